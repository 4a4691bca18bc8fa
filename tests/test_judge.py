"""The judge: gauges that measure what they say, a reference that follows the prompt, and an alarm in a run that really cheats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from studio import critics, ground, stages
from studio.config import parse
from studio.critics import Eye
from studio.errors import StudioError
from studio.judge import CRITIC, Judge, Views, energy, opinions, saturation
from studio.judge import eye as held_out_eye
from studio.progress import Progress
from studio.renderers import SOCKET as RENDERERS
from studio.rewards import palette
from studio.run import run
from studio.surface.atlas import build_atlas
from studio.texture import Texture
from studio.words import Words
from tests.critics.test_critics import eye
from tests.critics.test_user_critics import clip_folder
from tests.runs import BALL, QUICK

CPU = torch.device("cpu")
SMALL = {
    **QUICK,
    "prompt": "a red vase",
    "iterations": 9,
    "judge_every": 1,
    "trainer": {"name": "texture_direct", "rate": 0.1},
    "rewards": {"palette": 1.0},
}


class Honest(Eye):
    """Sees grain, and dislikes it; every prompt but "grain" fits everything alike."""

    def words(self, prompt: str) -> Words:
        return Words(())

    def features(self, pictures: Tensor) -> Tensor:
        return F.normalize(pictures.flatten(1), dim=-1)

    def score(self, pictures: Tensor, prompt: str) -> Tensor:
        return torch.full((len(pictures),), 0.7 if prompt == "grain" else 0.1)

    def quality(self, pictures: Tensor) -> Tensor:
        return -600 * (pictures - F.avg_pool2d(pictures, 5, 1, 2)).abs().mean((1, 2, 3))


def painted(grain: float = 0.0, *, colour: tuple[float, ...] = (0.5, 0.4, 0.3)) -> Texture:
    texture = Texture.flat(BALL, 128)
    noise = torch.rand(1, 1, 128, 128, generator=torch.Generator().manual_seed(0)) - 0.5
    return texture.with_channel("base_color", (torch.tensor(colour).view(1, 3, 1, 1) + grain * noise).clamp(0, 1))


def judge(eye: Eye | None) -> Judge:
    return Judge(Views(BALL, build_atlas(BALL, 128), RENDERERS.make("embree").build(CPU)), eye, every=1)


# -- gauges -------------------------------------------------------------------------------------------------------------------


def test_gauges_of_plain_pictures() -> None:
    """Of a colour: how far its components lie apart. Of a checkerboard a: a times what a 3 × 3 mean leaves, 8/9 off or 10/9."""
    surface = torch.zeros(2, 1, 32, 32)
    surface[:, :, 4:28, 4:28] = 1
    pictures = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    board = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * 2.0 - 1
    pictures[:, :, 4:28, 4:28] = torch.tensor([0.7, 0.5, 0.4]).view(3, 1, 1) + 0.1 * board[4:28, 4:28]
    pictures[1, :, 4:28, 4:28] = torch.tensor([0.7, 0.5, 0.4]).view(3, 1, 1)
    assert saturation(pictures, surface).tolist() == pytest.approx([0.3, 0.3], abs=1e-6)
    grained, plain = energy(pictures, surface).tolist()
    assert 0.085 < grained < 0.1 and plain == pytest.approx(0, abs=1e-6)


def test_more_colour_and_more_grain_are_measured_as_such() -> None:
    j = judge(None)
    j.refer([painted(0.1)], "red")
    same, _ = j.measure(painted(0.1), "red")
    vivid, _ = j.measure(painted(0.1, colour=(0.8, 0.4, 0.1)), "red")
    rough, away = j.measure(painted(0.6), "red")
    assert set(same) == {"saturation", "energy"} and vivid["saturation"] > same["saturation"] + 0.2
    assert rough["energy"] > 2 * same["energy"] and away["energy"] > 1


def test_the_judge_speaks_in_deviations_and_a_new_prompt_begins_anew() -> None:
    j = judge(Honest())
    j.refer([painted(g) for g in (0.1, 0.2, 0.3)], "red")
    fine, rough = (j.measure(painted(g), "red")[0]["judge"] for g in (0.1, 0.4))
    assert fine > 0 > rough
    assert j.measure(painted(0.4), "grain")[0]["judge"] == 0, "it likes this prompt better, which is nobody's merit"
    assert j.measure(painted(0.1), "grain")[0]["judge"] > 0


def test_a_judge_goes_on_from_its_state_unless_it_has_other_eyes() -> None:
    one, same, blind = judge(Honest()), judge(Honest()), judge(None)
    one.refer([painted(0.1), painted(0.2)], "red")
    one.follow(1, lambda: 0.5, "aim", painted(0.2), "red")
    for other in (same, blind):
        other.restore(one.state())
    assert same.state() == one.state() and same.measure(painted(0.3), "red") == one.measure(painted(0.3), "red")
    assert not blind.referred


def test_a_bundled_critic_judges_lit_textures_and_nothing_learns_from_it() -> None:
    small = eye("patches")
    j = judge(small)
    j.refer([painted(0.1)], "a red vase")
    texture = painted(0.5)
    texture.channels["base_color"].requires_grad_()
    shown, watched = j.measure(texture, "red")
    assert set(shown) == {"judge", "saturation", "energy"} == set(watched)
    assert all(isinstance(v, float) for v in shown.values())


def test_without_weights_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(critics.SOCKET.load(CRITIC), "why_not", classmethod(lambda cls: "its weights are on holiday."))
    found, said = held_out_eye(CPU)
    assert found is None and "on holiday" in said and "saturation" in said


# -- in a run -----------------------------------------------------------------------------------------------------------------


def judged_by(monkeypatch: pytest.MonkeyPatch, eye: Eye | None) -> None:
    monkeypatch.setattr(stages, "held_out_eye", lambda *_: (eye, ""))


def cheated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reward by a critic that knows nothing: whatever raises its opinion is noise."""
    naive = eye("patches")
    monkeypatch.setattr(ground, "_kept", None)
    score = lambda look: naive.score(look.pictures(), "red vase").mean()  # noqa: E731
    monkeypatch.setattr(palette.Palette, "build", lambda self, mesh, atlas, device: score)


def iterated(**changes: Any) -> list[Progress]:
    return [p for p in run(parse(changes, base=parse(SMALL)), BALL) if p.checkpoint is not None or p.result is not None]


def test_a_run_that_fools_its_critic_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trained score rises with every step, the honest eye sees the grain; without a window the run says so and goes on."""
    cheated(monkeypatch)
    judged_by(monkeypatch, Honest())
    *iterations, last = iterated()
    assert len(iterations) == 9 and last.result is not None
    alarms = [p for p in iterations if p.alarm is not None]
    assert alarms and alarms[0].alarm is not None
    assert iterations[0].metrics["score"] < alarms[0].metrics["score"] and alarms[0].metrics["judge"] < -1
    assert alarms[0].alarm.back_to < alarms[0].step and "fooling" in alarms[0].message
    assert last.result.report["alarms"] == [p.alarm.plain() for p in alarms if p.alarm]
    assert [row["iteration"] for row in last.result.report["gauges"]] == list(range(1, 10))


@pytest.mark.long
def test_an_honest_run_raises_no_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same number of steps towards colours that this eye does not mind, though they make the grain stronger."""

    class Bright(Honest):
        """Likes light pictures, a little."""

        def quality(self, pictures: Tensor) -> Tensor:
            return pictures.mean((1, 2, 3))

    judged_by(monkeypatch, Bright())
    monkeypatch.setattr(ground, "_kept", None)
    *iterations, last = iterated(rewards={"palette": 1.0})
    assert last.result is not None and last.result.report["alarms"] == [] and not any(p.alarm for p in iterations)
    assert iterations[-1].metrics["score"] > iterations[0].metrics["score"]


def test_nobody_judges_where_nothing_is_asked_or_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    judged_by(monkeypatch, Honest())
    *iterations, last = iterated(iterations=1, judge_every=0)
    assert last.result is not None and last.result.report["gauges"] == [] and "judge" not in iterations[0].metrics
    (last,) = iterated(trainer={"name": "sample"})
    assert last.result is not None and last.result.report["gauges"] == []


def test_a_critic_of_ones_own_judges_by_what_it_has_an_opinion_on(tmp_path: Path) -> None:
    folder = clip_folder(tmp_path / "clip")
    assert opinions("clip_score", of_prompt=False) == ("score",) and opinions("judge", of_prompt=False) == ("quality",)
    settings = {"judge": "clip_score", "judge_path": str(folder), "judge_every": 1, "iterations": 2}
    *iterations, last = iterated(**settings)
    assert len({p.metrics["judge"] for p in iterations}) == 2
    assert last.result is not None and str(tmp_path) not in str(last.result.receipt["config"])
    followed = {"prompt": {"critic": "clip_score", "path": str(folder)}}
    assert str(tmp_path) not in parse({"rewards": followed}).public().to_toml()
    with pytest.raises(StudioError, match="would be worth nothing"):
        iterated(**settings, rewards=followed)
    with pytest.raises(StudioError, match="studio models fetch clip_score"):
        iterated(**settings | {"judge_path": ""})
