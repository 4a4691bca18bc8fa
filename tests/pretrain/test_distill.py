"""Distillation: its steps are DDIM's, two of the teacher's become one of the student's, and guidance goes into the weights."""

from __future__ import annotations

import pytest
import torch

from studio.generators import _weights
from studio.generators._multiview import MultiView
from studio.generators._schedule import ddim, trailing
from studio.pretrain import distill, session, train

SHIFT = 1 / 16


@pytest.mark.parametrize(("now", "then"), [(1.0, 0.75), (0.5, 0.25), (0.25, 0.0)])
def test_a_step_is_ddims_and_can_be_undone(now: float, then: float) -> None:
    g = torch.Generator().manual_seed(0)
    x, x0 = (torch.randn(2, 6, 4, 4, generator=g, dtype=torch.float64) for _ in range(2))
    t, s = (torch.full((2,), v, dtype=torch.float64) for v in (now, then))
    y = distill.stepped(x, x0, t, s, shift=SHIFT)
    assert torch.allclose(y, ddim(x, x0, now=now, then=then, eta=0, noise=None, shift=SHIFT))
    assert torch.allclose(distill.implied(x, y, t, s, shift=SHIFT), x0)


def test_mixing_is_clean_at_the_end_and_noise_at_the_start() -> None:
    x0, noise = torch.zeros(2, 1, 2, 2), torch.ones(2, 1, 2, 2)
    found = distill.mixed(x0, noise, torch.tensor([0.0, 1.0]), shift=SHIFT)
    assert torch.equal(found[0], x0[0]) and torch.equal(found[1], noise[1])


@pytest.fixture
def student(small, tmp_path, monkeypatch):
    """Makes a distillation of a network that was trained for one step."""
    train.main(small("--pictures", "4", "--previews", "1", "--steps", "1"))
    made: list[distill.Training] = []

    def start(*more: str) -> distill.Training:
        monkeypatch.setattr(distill, "run", lambda task, *_, **__: made.append(task))
        weights = str(tmp_path / "out" / "mini")
        distill.main(small("--weights", weights, "--pictures", "4", "--previews", "1", "--steps", "100", *more, out="student"))
        return made[-1]

    return start


def test_stages_follow_each_other_and_end_on_the_grid_that_painting_uses(student) -> None:
    t = student("--start-steps", "16", "--end-steps", "4")
    stages = [t.stage_at(s / 100) for s in range(101)]
    assert stages == sorted(stages) and set(stages) == {0, 1, 2} and stages[39] == 0
    for t.stage, steps in ((1, 8), (2, 4)):
        assert t.steps_now() == steps
    times = torch.ceil(torch.rand(1_000) * 4).clamp(min=1) / 4
    assert set(times.tolist()) == set(trailing(4)[:-1])


def test_the_teacher_of_guidance_is_what_painting_does_with_two_passes(student) -> None:
    t = student("--guidance", "3")
    lesson = t.batch()
    noisy, time = torch.randn_like(lesson.x), torch.full((len(lesson.x),), 0.5)
    with torch.no_grad():
        goal = t.guided(noisy, time, lesson)
        asked, bare = (t.ask(noisy, time, lesson, k) for k in (lesson.tokens, torch.zeros_like(lesson.tokens)))
    assert torch.allclose(goal, bare + 3 * (asked - bare), atol=1e-5)


def test_two_equal_predictions_are_one(student, monkeypatch) -> None:
    """A teacher that always says the same leaves the student nothing else to say."""
    t = student()
    t.stage = 2
    lesson = t.batch()
    fixed = torch.rand_like(lesson.x)
    monkeypatch.setattr(t, "ask", lambda *_: fixed)
    for now in (1.0, 0.5, 0.25):
        goal = t.two(torch.randn_like(fixed), torch.full((len(fixed),), now), lesson)
        assert torch.allclose(goal, fixed, atol=1e-3)


def test_the_distilled_network_paints_in_one_pass_a_step(student, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(session, "WARM", 1)
    t = student("--guidance", "2")
    t.advance()
    t.save()
    t.preview()
    network, vocabulary = _weights.load(tmp_path / "student" / "mini")
    assert network.size.guidance == 2.0
    geometry = t.batches.held_out[0, :4].float()
    for guidance, passes in ((2.0, 1), (3.0, 2)):
        painter = MultiView(network, vocabulary, steps=4, guidance=guidance, eta=0.0)
        assert len(painter.scene_of("red", geometry).text) == passes
