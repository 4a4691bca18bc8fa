"""What the learning loop promises beside its gradient: warm-up, average, prompts in turn, held-out seeds, the best, the drift."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from studio.config import parse
from studio.errors import StudioError
from studio.film import checkpoint_bytes, checkpoint_from
from studio.generators import SOCKET
from studio.progress import Live, Progress
from studio.replay import drain, replay, sample
from studio.run import run
from studio.trainers._average import Average
from studio.trainers._best import Best
from tests.runs import BALL, QUICK
from tests.test_replay import painter_of, surface

SMALL = {
    **QUICK,
    "prompt": "red",
    "iterations": 4,
    "judge_every": 0,
    "trainer": {"name": "lora_reward", "seeds": 1, "rate": 0.01},
    "rewards": {"palette": 1.0},
}
EVERYTHING = {
    "judge_every": 2,
    "held_out": 2,
    "trainer": {"ema": 0.9, "warmup": 3, "prompts": ["blue dots"], "held_out_every": 2, "end_on": "best", "anchor": 0.1},
}


def ran(**changes: Any) -> tuple[list[Progress], Any, list[dict[str, Any]]]:
    """(the iterations, the result, their checkpoints)"""
    seen, checkpoints = [], []
    for p in run(parse(changes, base=parse(SMALL)), BALL):
        if p.checkpoint is not None:
            seen.append(p)
            checkpoints.append(p.checkpoint())
    assert p.result is not None
    return seen, p.result, checkpoints


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return set(a) == set(b) and all(torch.equal(a[n], b[n]) for n in a)


# -- drift --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("views", ["attend", "fused"])
@pytest.mark.parametrize("anchor", [0.0, 0.7])
def test_drift_is_the_anchors_mean_square_at_the_last_step(views: str, anchor: float) -> None:
    _, _, baker, seen = surface()
    painter = painter_of(views=views, eta=0.0)
    scene = painter.scene("red", seen, baker=baker)
    rollout: Any = drain(sample(painter, scene, seed=1))
    with torch.no_grad():
        x = rollout.entering[-1]
        learned = painter.predict(x, 2, scene)
        with painter.base():
            apart = learned - painter.predict(x, 2, scene)
    d = torch.ones(3, 3, 64, 64, dtype=torch.float64)
    go = functools.partial(replay, painter, scene, rollout, d, anchor=anchor, chunk=1 if views == "fused" else None)
    grads = []
    for truncation, gauge in ((1, True), (3, True), (1, False)):
        for p in painter.lora_parameters():
            p.grad = None
        flow: Any = drain(go(truncation=truncation, gauge=gauge))
        grads.append([p.grad for p in painter.lora_parameters()])
        if gauge or anchor:
            assert flow.drift == pytest.approx(float(apart.square().mean()), rel=1e-9) and flow.drift > 0
        else:
            assert flow.drift is None
    assert all(torch.equal(a, b) for a, b in zip(grads[0], grads[2], strict=True)), "measuring changes no gradient"


@pytest.mark.long
def test_drift_begins_at_nothing_and_an_anchor_holds_it_back() -> None:
    free, held = (ran(judge_every=1, iterations=3, trainer={"anchor": anchor})[0] for anchor in (0.0, 1e4))
    drift = [p.metrics["drift"] for p in free]
    assert drift[0] == 0 and drift == sorted(drift) and held[-1].metrics["drift"] < 0.5 * drift[-1]


# -- average, best ------------------------------------------------------------------------------------------------------------


def painter_with_lora() -> Any:
    painter = SOCKET.make("tiny", steps=2).build(device=torch.device("cpu"))
    painter.add_lora(rank=2)
    return painter


def moved(painter: Any, by: float) -> None:
    with torch.no_grad():
        for p in painter.lora_parameters():
            p += by


@pytest.mark.parametrize("decay", [0.0, 0.15, 0.9])
def test_the_average_of_steps(decay: float) -> None:
    """e ← d·e + (1 − d)·p, with d no larger than (1 + n)/(10 + n) at the nth step."""
    painter = painter_with_lora()
    average, p = Average(painter, decay), painter.lora_parameters()[0]
    expected = p.detach().clone()
    for n in range(1, 6):
        moved(painter, 0.1 * n)
        average.update()
        d = min(decay, (1 + n) / (10 + n))
        expected = d * expected + (1 - d) * p.detach()
    own = p.detach().clone()
    with average.in_place():
        assert torch.allclose(p, expected, atol=1e-6)
    assert torch.equal(p, own)
    state = average.state()
    assert ("raw" in state) is bool(decay)
    other = painter_with_lora()
    again = Average(other, decay)
    again.restore(state)
    assert same(other.lora_state(), painter.lora_state())
    for each in (average, again):
        each.update()
        each.settle()
    assert same(other.lora_state(), painter.lora_state())


def test_an_average_that_is_left_by_an_error_gives_the_lora_back() -> None:
    painter = painter_with_lora()
    average, before = Average(painter, 0.9), painter.lora_state()
    moved(painter, 1.0)
    after = painter.lora_state()
    with pytest.raises(ZeroDivisionError), average.in_place():
        assert same(painter.lora_state(), before)
        raise ZeroDivisionError
    assert same(painter.lora_state(), after)


def lora(value: float) -> Any:
    return lambda: {"w": torch.tensor(value)}


def test_the_best_goes_by_the_smoothed_score_and_one_lucky_iteration_is_not_it() -> None:
    best = Best(held_out=False)
    for i, score in enumerate([0.1, 0.2, 0.9, 0.1, 0.5, 0.6, 0.7, 0.7, 0.7, 0.4, 0.3], start=1):
        best.passed(i, score, "a", lora(i))
    assert best.iteration == 9 == float(best.lora["w"])
    best.passed(12, 0.1, "b", lora(12))
    assert best.iteration == 12, "other weights, another score"


def test_the_best_goes_by_held_out_seeds_where_they_are_measured() -> None:
    best = Best(held_out=True)
    best.measured(0, 0.3, "a", lora(0))
    for i, score in enumerate([0.5, 0.8, 0.9, 1.0], start=1):
        best.passed(i, score, "a", lora(i))
        if i % 2 == 0:
            best.measured(i, {2: 0.4, 4: 0.35}[i], "a", lora(i))
    assert best.told() == {"iteration": 2, "score": 0.4, "by": "held_out", "held_out": [[0, 0.3], [2, 0.4], [4, 0.35]]}
    again, other = Best(held_out=True), Best(held_out=False)
    for one in (again, other):
        one.restore(best.state())
    assert again.told() == best.told() and again.lora == best.lora and other.score is None


# -- runs ---------------------------------------------------------------------------------------------------------------------


def test_everything_at_once_continues_to_the_same_numbers() -> None:
    """Average, best, held-out seeds, prompts and the judge's history survive a checkpoint, as a window keeps it, to the bit."""
    seen, whole, checkpoints = ran(**EVERYTHING)
    config = parse(EVERYTHING, base=parse(SMALL))
    rest = list(run(config, BALL, resume=checkpoint_from(checkpoint_bytes(checkpoints[1]))))
    assert [p.metrics for p in rest if p.checkpoint is not None] == [p.metrics for p in seen[2:]]
    again = rest[-1].result
    assert again is not None and same(again.lora, whole.lora)
    for name in ("iteration", "best", "gauges", "alarms", "steps", "after"):
        assert again.report[name] == whole.report[name], name
    assert whole.report["best"]["by"] == "held_out" and [i for i, _ in whole.report["best"]["held_out"]] == [0, 2, 4]
    assert whole.report["iteration"] == whole.report["best"]["iteration"]
    assert f"The run ends on iteration {whole.report['iteration']}, the best so far." in [p.message for p in rest]


def test_the_rate_warms_up() -> None:
    """AdamW's first steps are as long as its rate: the LoRA's other half moves by a quarter of it, then by half."""
    rate, moved = 0.01, []
    _, _, checkpoints = ran(iterations=2, trainer={"warmup": 4, "rate": rate})
    for a, b in zip([None, *checkpoints], checkpoints, strict=False):
        now = {n: t for n, t in b["trainer"]["lora"].items() if "lora_B" in n}
        before = a["trainer"]["lora"] if a else {n: torch.zeros_like(t) for n, t in now.items()}
        moved.append(max(float((now[n] - before[n]).abs().max()) for n in now))
    assert moved[0] == pytest.approx(rate / 4, rel=0.05) and moved[1] == pytest.approx(rate / 2, rel=0.3)


def test_the_average_paints_the_end_and_is_what_is_kept() -> None:
    _, plain, _ = ran()
    _, averaged, checkpoints = ran(trainer={"ema": 0.9})
    last = checkpoints[-1]["trainer"]
    assert same(averaged.lora, last["lora"]) and same(plain.lora, last["raw"])
    assert not torch.equal(averaged.texture.channels["base_color"], plain.texture.channels["base_color"])
    assert averaged.report["iteration"] == 4 == plain.report["iteration"]


def test_prompts_take_turns_and_the_runs_own_is_the_one_that_is_seen() -> None:
    live = Live(weights={"palette": 1.0}, watched=True)
    config = parse({"trainer": {"prompts": ["blue dots", "gold"]}}, base=parse(SMALL))
    shown, iterations = [], []
    for p in run(config, BALL, lambda: live):
        if p.checkpoint is not None:
            iterations.append(p)
        elif p.stage == "sampling":
            shown.append(p.pictures is not None)
    assert [p.texture is not None for p in iterations] == [True, False, False, True]
    assert ["score" in p.metrics for p in iterations] == [True, False, False, True]
    assert "score: blue dots" in iterations[1].metrics and "score: gold" in iterations[2].metrics
    assert shown == [True] * 2 + [False] * 4 + [True] * 2
    (only,) = ran(iterations=1, trainer={"prompts": ["blue dots"], "batch": 2})[0]
    assert {"score", "score: blue dots"} <= set(only.metrics) and only.texture is not None


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"trainer": {"held_out_every": 2}}, "none are held out"), ({"trainer": {"prompts": ["blue", " "]}}, "empty")],
)
def test_settings_that_cannot_work_are_refused_before_the_work(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(StudioError, match=said):
        parse(changes, base=parse(SMALL)).check()


@pytest.mark.long
def test_the_whole_chain_is_any_k_beyond_the_steps() -> None:
    (whole, *_), (all_, *_) = (ran(iterations=1, trainer={"k": k})[0] for k in (2, 1000))
    assert whole.metrics == all_.metrics
