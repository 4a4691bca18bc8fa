"""A job checks its places first, keeps what was done when it is stopped or fails, and continues from there."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from studio import files, job
from studio.config import Config
from studio.errors import OutputError, StudioError
from studio.exporters import Asset
from studio.job import Outputs, read_checkpoint, work
from studio.progress import Progress, Result
from studio.texture import Texture
from tests.meshes import cube

SCORES = [0.1, 0.5, 0.3, 0.4]


class Numbered:
    """An exporter that writes the first texel, which in these tests is the iteration that made the texture."""

    needs_lora = False

    def write(self, asset: Asset, path: Path) -> list[Path]:
        value = float(asset.texture.channels["base_color"].flatten()[0])
        return [files.write_json(path, {"texel": value, "receipt": asset.receipt})]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A run of four iterations with known scores in place of the real one; `resumed` is what it was given to continue from."""
    mesh = cube()
    plain = Texture.flat(mesh, 8)
    seen = SimpleNamespace(resumed=None, closed=0, fail_at=None)

    def run(config: Config, path: Path, *, resume: dict[str, Any] | None = None) -> Iterator[Progress]:
        seen.resumed = resume
        try:
            yield Progress("reading the mesh", 1, 1, mesh=mesh)
            memory = {"iteration": 0 if resume is None else resume["iteration"]}
            texture = plain
            for i in range(memory["iteration"], len(SCORES)):
                yield Progress("sampling", 1, 2)
                if i == seen.fail_at:
                    raise StudioError("The reward became NaN.", "Lower its weight.")
                memory["iteration"] = i + 1
                texture = plain.with_channel("base_color", torch.full_like(plain.channels["base_color"], (i + 1) / 8))
                yield Progress(
                    "learning",
                    i + 1,
                    len(SCORES),
                    mesh=mesh,
                    metrics={"score": SCORES[i], "symmetry": SCORES[i]},
                    texture=texture,
                    pictures=torch.zeros(2, 3, 8, 8),
                    checkpoint=lambda: dict(memory, lora=torch.ones(2), trainer={"lora": {"lora_A": torch.ones(2)}}),
                )
            report = {"steps": SCORES, "per_seed": {}}
            facts = {"painted": frozenset(), "report": report, "receipt": {}, "before": (), "after": (), "lora": {}}
            result = Result(mesh=mesh, texture=texture, **facts)
            yield Progress("done", 1, 1, mesh=mesh, texture=texture, result=result)
        finally:
            seen.closed += 1

    module = ModuleType("studio.run")
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "studio.run", module)
    monkeypatch.setattr(Outputs, "exporter", lambda self: Numbered())
    return seen


@pytest.fixture
def outputs(tmp_path: Path) -> Outputs:
    return Outputs(tmp_path / "x.glb", report=tmp_path / "r.json")


def after(steps: int) -> Callable[[], bool]:
    """Stops after so many steps of the run, of any kind."""
    left = iter(range(steps))
    return lambda: next(left, None) is None


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_finished_job_leaves_its_results_and_no_checkpoint(engine: SimpleNamespace, outputs: Outputs, tmp_path: Path) -> None:
    outcome = work(Config(), tmp_path / "m.obj", outputs)
    assert outcome.result is not None and outcome.written == (outputs.asset, outputs.report)
    assert names(tmp_path) == {"x.glb", "r.json"} and json.loads(outputs.asset.read_text())["texel"] == 0.5
    assert json.loads((tmp_path / "r.json").read_text())["steps"] == SCORES and engine.closed == 1


def test_a_stopped_job_keeps_the_best_texture_and_resumes_where_it_was(
    engine: SimpleNamespace, outputs: Outputs, tmp_path: Path
) -> None:
    # Steps: reading, then sampling and learning in turn; the seventh is the sampling of iteration 4, after three were learned.
    outcome = work(Config(), tmp_path / "m.obj", outputs, stop=after(7))
    assert outcome.result is None and outcome.written == (outputs.checkpoint, outputs.asset) and engine.closed == 1
    best = json.loads(outputs.asset.read_text())
    assert best["texel"] == 2 / 8 and best["receipt"]["iteration"] == 2 and best["receipt"]["score"] == 0.5
    assert "r.json" not in names(tmp_path)

    finished = work(Config(), tmp_path / "m.obj", outputs, resume=True)
    assert engine.resumed["iteration"] == 3 and torch.equal(engine.resumed["lora"], torch.ones(2))
    assert finished.result is not None and names(tmp_path) == {"x.glb", "r.json"}


def test_a_job_stopped_before_learning_writes_nothing(engine: SimpleNamespace, outputs: Outputs, tmp_path: Path) -> None:
    assert work(Config(), tmp_path / "m.obj", outputs, stop=after(1)).written == () and names(tmp_path) == set()


def test_a_failing_job_keeps_what_was_learned(engine: SimpleNamespace, outputs: Outputs, tmp_path: Path) -> None:
    engine.fail_at = 2
    with pytest.raises(StudioError, match="NaN"):
        work(Config(), tmp_path / "m.obj", outputs)
    assert names(tmp_path) == {"x.glb", "x.checkpoint.pt"} and read_checkpoint(outputs.checkpoint)["iteration"] == 2


def test_the_log_holds_every_reward_of_every_iteration(engine: SimpleNamespace, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    work(Config(), tmp_path / "m.obj", Outputs(tmp_path / "x.glb", log=tmp_path / "log"))
    events = EventAccumulator(str(tmp_path / "log")).Reload()
    assert [round(e.value, 6) for e in events.Scalars("symmetry")] == SCORES
    assert [e.step for e in events.Images("views")] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"asset": "missing/x.glb"}, "does not exist"),
        ({"report": "missing/r.json"}, "does not exist"),
        ({"asset": "folder.glb"}, "is a folder"),
        ({"report": "x.glb"}, "same file"),
        ({"sheet": "s.jpg"}, ".png"),
        ({"asset": "m.obj"}, "is the mesh itself"),
        ({"log": "m.obj/log"}, "cannot be made"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    engine: SimpleNamespace, tmp_path: Path, change: dict[str, str], said: str
) -> None:
    (tmp_path / "folder.glb").mkdir()
    (tmp_path / "m.obj").write_text("the user's own")
    places = {"asset": tmp_path / "x.glb"} | {name: tmp_path / value for name, value in change.items()}
    before = names(tmp_path)
    with pytest.raises(OutputError) as error:
        work(Config(), tmp_path / "m.obj", Outputs(**places))
    assert said in str(error.value) and engine.closed == 0
    assert names(tmp_path) == before and (tmp_path / "m.obj").read_text() == "the user's own"


def test_an_unknown_suffix_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match=r"\.glb"):
        Outputs(tmp_path / "x.fbx").check(tmp_path / "m.obj")


def test_a_checkpoint_that_is_not_there_or_not_one(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="without --resume"):
        read_checkpoint(tmp_path / "x.checkpoint.pt")
    for content in (b"", b"garbage", b"PK\x03\x04 half a file"):
        (tmp_path / "x.checkpoint.pt").write_bytes(content)
        with pytest.raises(StudioError, match="Delete it"):
            read_checkpoint(tmp_path / "x.checkpoint.pt")


@pytest.mark.parametrize("content", [b"junk junk", b"\x80\x02}q\x00(X", b"(((((", b"PK\x03\x04" + bytes(40)])
def test_no_damage_of_a_checkpoint_ends_in_a_traceback(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.checkpoint.pt").write_bytes(content)
    with pytest.raises(StudioError, match="Delete it"):
        read_checkpoint(tmp_path / "x.checkpoint.pt")


def test_names_that_are_too_long_or_go_in_circles_are_refused(tmp_path: Path) -> None:
    (tmp_path / "loop.glb").symlink_to("loop.glb")
    with pytest.raises(OutputError):
        Outputs(tmp_path / ("x" * 300 + ".glb")).check(tmp_path / "m.obj")
    Outputs(tmp_path / "x.glb", report=tmp_path / "loop.glb").check(tmp_path / "m.obj")
    with pytest.raises(OutputError, match="same file"):
        Outputs(tmp_path / "x.glb", report=tmp_path / "../" / tmp_path.name / "x.glb").check(tmp_path / ("m" * 300))


def test_the_meshs_own_pictures_are_never_replaced(
    engine: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "wood.png"
    own.write_bytes(b"the user's own")
    source = replace(cube().source, path=tmp_path / "m.gltf", sha256="0", files=((own, "0"),))
    read = Progress("preparing the surface", 0, 1, mesh=replace(cube(), source=source))
    monkeypatch.setattr(sys.modules["studio.run"], "run", lambda *a, **k: (p for p in [read]))
    with pytest.raises(OutputError, match="wood.png"):
        work(Config(), tmp_path / "m.gltf", Outputs(tmp_path / "x.glb", sheet=own))
    assert own.read_bytes() == b"the user's own"


def test_a_killed_job_leaves_a_checkpoint(
    engine: SimpleNamespace, outputs: Outputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "KEEP_S", 0.0)
    seen: list[int] = []

    def show(progress: Progress) -> None:
        if progress.checkpoint is not None:
            seen.append(read_checkpoint(outputs.checkpoint)["iteration"])

    work(Config(), tmp_path / "m.obj", outputs, show=show)
    assert seen == [1, 2, 3, 4] and names(tmp_path) == {"x.glb", "r.json"}


def test_an_interrupted_job_hands_its_lora_to_the_exporter(
    engine: SimpleNamespace, outputs: Outputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Asset] = []
    monkeypatch.setattr(Numbered, "write", lambda self, asset, path: given.append(asset) or [path])
    work(Config(), tmp_path / "m.obj", outputs, stop=after(4))
    assert torch.equal(given[0].lora["lora_A"], torch.ones(2))


def test_a_lora_alone_needs_a_trainer_that_learns_one(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="lora_reward"):
        work(Config(), tmp_path / "m.obj", Outputs(tmp_path / "x.safetensors"))
    assert not names(tmp_path)
