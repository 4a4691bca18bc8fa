"""Cameras that are learned in a run: they spread, turn, keep in bounds, are told of, and go on where they stood."""

from __future__ import annotations

import io
from collections import deque
from typing import Any

import pytest
import torch

from studio import posing
from studio.camera import Camera
from studio.config import Config, parse
from studio.coverage import coverage, painting_cameras
from studio.norms import STEPS, Norms
from studio.pose import STEEPEST_DEG, SoftCoverage, angles_of
from studio.posing import Posing
from studio.progress import Progress
from studio.renderers import SOCKET as RENDERERS
from studio.renderers import Rasterizer
from studio.rig import Rig, rigged
from studio.run import run
from studio.surface.atlas import Atlas, build_atlas
from tests.meshes import torus
from tests.runs import QUICK

MESH = torus(24, 12)
SMALL = {
    **QUICK,
    "iterations": 4,
    "held_out": 0,
    "views": 3,
    "max_views": 3,
    "trainer": {"name": "lora_reward", "learn_cameras": True, "cameras_from": "front"},
    "rewards": {"palette": 1.0},
}


@pytest.fixture(scope="module")
def whole() -> list[Progress]:
    """A run that turns its cameras after every second iteration, each with the checkpoint it had at the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posing, "EVERY", 2)
        return list(kept(run(parse(SMALL), MESH)))


def kept(steps: Any) -> Any:
    for p in steps:
        if p.checkpoint is not None:
            state = p.checkpoint()
            object.__setattr__(p, "checkpoint", lambda state=state: state)
        yield p


@pytest.fixture(scope="module")
def surface() -> tuple[Atlas, Rasterizer]:
    return build_atlas(MESH, 64), RENDERERS.make("embree").build(torch.device("cpu"))


def rig_of(surface: tuple[Atlas, Rasterizer], cameras: tuple[Camera, ...]) -> Rig:
    making = rigged(MESH, surface[0], cameras, surface[1], 32, turning=True)
    while True:
        try:
            next(making)
        except StopIteration as made:
            return made.value


def angles(cameras: tuple[Camera, ...]) -> list[dict[str, float]]:
    return [{"azimuth_deg": c.azimuth_deg, "elevation_deg": c.elevation_deg} for c in cameras]


def test_from_one_place_cameras_spread_and_see_strictly_more(whole: list[Progress]) -> None:
    """Six moments of the spreading at least, then the turns; the report says what was gained, the receipt where they stand."""
    spreading = [p for p in whole if p.stage == "spreading the cameras"]
    assert len(spreading) >= 6 and all(len(p.cameras) == 3 for p in spreading)
    turns = [p.cameras for p in whole if p.stage == posing.STAGE and p.cameras]
    assert len(turns) == 2 and turns[0] != turns[1]
    result = whole[-1].result
    assert result is not None
    assert result.report["coverage_at_first"] < 0.3 and result.report["coverage"] > 0.85
    assert result.report["coverage"] == coverage(MESH, build_atlas(MESH, 256), turns[-1])
    assert result.receipt["cameras"] == angles(turns[-1])
    assert any("spread out" in p.message for p in whole)


def test_a_run_that_was_stopped_goes_on_to_the_same_numbers(whole: list[Progress], monkeypatch: pytest.MonkeyPatch) -> None:
    """From the third iteration, with half of what the second turn follows felt already, by way of a file."""
    monkeypatch.setattr(posing, "EVERY", 2)
    states = [p.checkpoint() for p in whole if p.checkpoint is not None]
    file = io.BytesIO()
    torch.save(states[2], file)
    file.seek(0)
    (last,) = deque(run(parse(SMALL), MESH, resume=torch.load(file, weights_only=True)), maxlen=1)
    assert last.result is not None and whole[-1].result is not None
    for part in ("steps", "after", "coverage", "consistency_psnr"):
        assert last.result.report[part] == whole[-1].result.report[part]
    assert last.result.receipt["cameras"] == whole[-1].result.receipt["cameras"]
    assert torch.equal(last.result.texture.channels["base_color"], whole[-1].result.texture.channels["base_color"])


def test_cameras_stay_where_they_see_most_unless_asked() -> None:
    config: Config = parse({"iterations": 1, "trainer": {"learn_cameras": False}}, base=parse(SMALL))
    seen = list(run(config, MESH))
    best = painting_cameras(MESH, build_atlas(MESH, 256), count=3, max_count=3)
    assert {p.cameras for p in seen if p.cameras} == {best}
    result = seen[-1].result
    assert result is not None and result.report["coverage"] == result.report["coverage_at_first"]
    assert result.receipt["cameras"] == angles(best)


def test_without_rewards_the_coverage_alone_turns_them(
    surface: tuple[Atlas, Rasterizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is felt, and soft coverage still rises; elevations keep within their bounds."""
    monkeypatch.setattr(posing, "EVERY", 1)
    start = (Camera(elevation_deg=84.5), Camera(azimuth_deg=20.0), Camera(azimuth_deg=340.0))
    work, soft = Posing(MESH, surface[0], rig_of(surface, start), surface[1]), SoftCoverage(MESH, surface[0])
    before = float(soft(angles_of(start)))
    for _ in range(5):
        deque(work.turn(), maxlen=0)
    assert float(soft(angles_of(work.rig.cameras))) > before
    assert all(abs(c.elevation_deg) <= STEEPEST_DEG for c in work.rig.cameras)


def test_cameras_climb_what_the_rewards_push(surface: tuple[Atlas, Rasterizer], monkeypatch: pytest.MonkeyPatch) -> None:
    """With pictures that stay, what the bake of them is pushed towards is reached better and better."""
    monkeypatch.setattr(posing, "EVERY", 1)
    start = tuple(Camera(azimuth_deg=a, elevation_deg=10.0) for a in (0.0, 90.0, 180.0, 270.0))
    work = Posing(MESH, surface[0], rig_of(surface, start), surface[1])
    monkeypatch.setattr(work, "_unit", 1e9)  # the push alone
    ramp = torch.linspace(0, 1, 32).expand(4, 3, 32, 32)
    push = torch.sin(4 * surface[0].position).permute(0, 3, 1, 2)
    scores = []
    for _ in range(6):
        scores.append(float((work.rig.baker.bake(ramp) * push).sum()))
        work.feel(ramp, push)
        deque(work.turn(), maxlen=0)
    assert scores[-1] > scores[0] and sum(b > a for a, b in zip(scores, scores[1:], strict=False)) >= 4


def test_places_of_another_number_of_cameras_are_not_taken_over(surface: tuple[Atlas, Rasterizer]) -> None:
    two, three = (Posing(MESH, surface[0], rig_of(surface, (Camera(),) * n), surface[1]) for n in (2, 3))
    rig = two.rig
    assert not list(two.restore(three.state())) and not list(two.restore(None)) and two.rig is rig


def test_norms_are_a_running_mean_that_is_frozen() -> None:
    norms = Norms()
    for i in range(STEPS):
        assert norms.of("a", float(i)) == pytest.approx(max(i / 2, 1e-8))
    assert norms.of("a", 1e6) == pytest.approx((STEPS - 1) / 2)
    assert norms.of("b", 0.0) == 1e-8
    again = Norms()
    again.restore(norms.state())
    assert again.of("a", 1e6) == pytest.approx((STEPS - 1) / 2)
