"""nabla-DB: what is known of it in closed form, its gradient, and what it owes every run."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from studio.config import parse
from studio.errors import StudioError
from studio.film import checkpoint_bytes, checkpoint_from
from studio.generators._schedule import ddim, trailing
from studio.objective import Term
from studio.progress import Live, Progress
from studio.replay import drain
from studio.run import run
from studio.trainers import _tilt, _transitions, nabla_db
from studio.trainers._pass import Pass
from studio.trainers._transitions import Aim, Transition, descended, gathered, spreads
from tests.runs import BALL, QUICK
from tests.test_replay import SEED, objective, painter_of, surface
from tests.trainers import ring

# -- known truths -------------------------------------------------------------------------------------------------------------


def test_the_exact_tilt_of_the_ring() -> None:
    weights, reward = ring.tilted()
    assert reward == pytest.approx(1.655, abs=1e-3)
    assert float((-(weights * weights.log()).sum()).exp()) == pytest.approx(3.43, abs=0.005)
    untrained = ring.measured(ring.base, 2048)  # type: ignore[arg-type]
    assert untrained["on"] > 0.97 and untrained["modes"] > 7.9 and abs(untrained["reward"]) < 0.1


@pytest.fixture(scope="module")
def stale() -> dict[str, float]:
    """The ring as it is learned from chains that are never renewed."""
    return ring.measured(ring.taught(updates=100, refresh=100), 2048)


def test_the_ring_is_tilted_and_not_collapsed(stale: dict[str, float]) -> None:
    assert stale["reward"] > 1.4 and stale["on"] > 0.94 and stale["error"] < 0.08 and stale["modes"] > 3


def test_stale_chains_reach_the_same_fixed_point(stale: dict[str, float]) -> None:
    """The residual of a transition does not ask who sampled it: chains renewed twice or never end at the same mixture."""
    renewed = ring.measured(ring.taught(updates=150, refresh=50), 2048)
    assert renewed["on"] > 0.94 and abs(renewed["reward"] - stale["reward"]) < 0.25 and renewed["error"] < 0.12


@pytest.mark.long
@pytest.mark.parametrize("refresh", [1, 20])
def test_the_whole_ring(refresh: int) -> None:
    found = ring.measured(ring.taught(updates=1000, refresh=refresh))
    print(f"ring, chains renewed every {refresh}: {found}")
    assert found["reward"] > 1.4 and found["on"] > 0.94 and found["error"] < 0.08
    assert found["reward"] == pytest.approx(ring.tilted()[1], abs=0.05) and found["modes"] == pytest.approx(3.43, abs=0.3)


def test_direct_back_propagation_without_an_anchor_leaves_the_ring() -> None:
    assert ring.measured(ring.draft(updates=25, batch=64), 1024)["on"] < 0.5


def test_the_papers_weighting_is_nearly_the_last_transition_alone() -> None:
    """How much a transition's error in the mean counts: 1/s⁴ as published, 1/s² in balance with its own noise."""
    apart = torch.tensor(1.0), torch.tensor(0.0), torch.tensor(0.0)
    ratios = {}
    for name, all_spreads in (("ring", ring.SPREADS), ("mini, 8 steps", spread_of(8)), ("50 steps", spread_of(50, shift=1.0))):
        steps = _tilt.usable(all_spreads)
        middle, last = (all_spreads[steps[n]] for n in (len(steps) // 2, -1))
        ratio = {}
        for weighting in ("calibrated", "paper"):
            losses = [
                _tilt.residual(*apart, spread=s, signal=1.0, beta=1.0, weighting=weighting).square() for s in (middle, last)
            ]
            ratio[weighting] = float(losses[1] / losses[0])
        print(f"{name}: the last transition outweighs a middle one {ratio['paper']:.3g} times as published")
        assert ratio["paper"] == pytest.approx(ratio["calibrated"] ** 2, rel=1e-3)
        ratios[name] = ratio["paper"]
    assert ratios["ring"] > 500 and ratios["50 steps"] > 5e3
    silent = [
        _tilt.residual(apart[1], apart[1], apart[0], spread=s, signal=1.0, beta=1.0, weighting="paper") for s in (0.02, 0.8)
    ]
    assert silent[0] == silent[1] == -1


def spread_of(steps: int, *, shift: float = 1 / 16) -> list[float]:
    """s of every step of the studio's schedule at eta 1; `shift` as mini has it."""
    zero, one, times = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64), trailing(steps)
    return [
        float(ddim(zero, zero, now=a, then=b, eta=1.0, noise=one, shift=shift)) for a, b in zip(times, times[1:], strict=False)
    ]


def test_a_step_without_noise_is_no_transition() -> None:
    assert ring.SPREADS[-1] == 0 and _tilt.usable(ring.SPREADS) == list(range(ring.STEPS - 1))
    assert _tilt.usable([0.5, 0.019, 0.3, 0.0]) == [0, 2]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 19])
def test_every_quarter_and_the_last_step_are_learned_from(n: int) -> None:
    source = torch.Generator().manual_seed(0)
    for fraction in (0.01, 0.4, 1.0):
        for _ in range(20):
            picked = _tilt.chosen(range(10, 10 + n), fraction, generator=source)
            assert picked == sorted(set(picked)) and picked[-1] == 9 + n and 10 <= picked[0]
            assert len(picked) >= max(fraction * n, min(n, 4))
            if n >= 4:
                assert {(p - 10) * 4 // n for p in picked} >= {0, 3} and len({round((p - 10) * 4 / n) for p in picked}) >= 3
        assert fraction < 1 or len(picked) == n


def test_gradients_are_cut_where_they_stick_out() -> None:
    slope = torch.tensor([-8.0, 1.0, 2.0, 3.0])
    assert _tilt.clipped(slope, 0.75, "quantile").tolist() == [-3, 1, 2, 3]
    assert _tilt.clipped(slope, 2.5, "value").tolist() == [-2.5, 1, 2, 2.5]
    assert _tilt.clipped(slope, 0.5, "none") is slope
    assert _tilt.clipped(slope, 1.0, "quantile").tolist() == slope.tolist()


# -- the gradient -------------------------------------------------------------------------------------------------------------

AIM = Aim(beta=3.0, weighting="calibrated", trust=0.0, clip=1.0, clip_by="none", eta=1.0)


def reward(texture: torch.Tensor) -> torch.Tensor:
    return -(texture - 0.3).square().mean()


@pytest.mark.parametrize("views", ["attend", "fused"])
@pytest.mark.parametrize("weighting", ["calibrated", "paper"])
def test_the_residual_and_its_gradient_are_plain_autograds(views: str, weighting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One transition in float64, against the whole expression written down and differentiated: for the reward through the frozen
    network's guess, the decoder and the bake, and through the mean of the step for what learns."""
    _, _, baker, seen = surface()
    painter = painter_of(views=views, eta=0.0)
    work = objective((Term("a", lambda look: reward(look.base_color)),), painter)
    monkeypatch.setattr(painter, "at_once", lambda views, *, learning: 2)
    scene, beta, i = work.scene, AIM.beta, 1
    aim = Aim(**{**vars(AIM), "weighting": weighting})
    painted = drain(work.paint(SEED, eta=1.0))
    spread = spreads(painter, scene, like=painted.rollout.x0, eta=1.0)
    assert spread[0] > spread[1] > 0.02 and spread[2] == 0
    live = Live(weights={"a": 2.0})
    (found, *_), scores, _ = drain(gathered(work, painted.rollout, [i], live=live, iteration=0, look=lambda colour: [], aim=aim))
    assert set(scores.raw) == {"a"} and found.x.dtype == torch.float16

    x, after = (painted.rollout.entering[n].half().double() for n in (i, i + 1))
    leaf = after.clone().requires_grad_()
    with painter.base():
        guess = painter.guess(leaf, painter.predict(leaf, i + 1, scene), i + 1, scene)
        texture = baker.bake(painter.decode(guess, scene)[:, :3])
        kept = texture + (texture.clamp(0, 1) - texture).detach()  # rewards see colours; what is beyond them still comes back
        (slope,) = torch.autograd.grad(2.0 * reward(kept), leaf)
        with torch.no_grad():
            frozen = painter.advance(x, painter.predict(x, i, scene), i, scene, noise=None, eta=1.0)
    assert torch.allclose(found.slope.double(), slope, rtol=1e-4, atol=1e-7 * float(slope.abs().max()))
    found.slope = slope
    mean = painter.advance(x, painter.predict(x, i, scene), i, scene, noise=None, eta=1.0)
    s = spread[i]
    factors = (1 / s**2, painter.signal(i)) if weighting == "paper" else (1 / s, s)
    plain = (factors[0] * (mean - frozen) - factors[1] * beta * slope).square().sum() / 2
    expected = torch.autograd.grad(plain, painter.lora_parameters())

    for p in painter.lora_parameters():
        p.grad = None
    loss, kl = drain(descended(painter, found, chunk=work.chunk, spread=s, share=0.5, aim=aim))
    assert loss == pytest.approx(plain.item(), rel=1e-9)
    assert kl == pytest.approx((mean - frozen).square().sum().item() / (2 * s**2), rel=1e-9)
    for p, g in zip(painter.lora_parameters(), expected, strict=True):
        assert torch.allclose(p.grad, 0.5 * g, rtol=1e-8, atol=1e-12)


def test_trust_pulls_towards_what_the_network_said_before() -> None:
    painter = painter_of(views="attend", eta=0.0)
    work = objective((), painter)
    painted = drain(work.paint(SEED, eta=1.0))
    x = painted.rollout.entering[0].half()
    frozen = drain(Pass(painter, work.scene, x.double(), 0, chunk=None, base=True).forward())
    transition = Transition(0, work.scene, x, frozen, torch.zeros_like(frozen[:, 0]))
    aim = Aim(**{**vars(AIM), "trust": 5.0})
    settings: dict[str, Any] = {"chunk": None, "spread": 0.8, "share": 1.0, "aim": aim}
    first, _ = drain(descended(painter, transition, **settings))
    assert transition.old is not None
    assert drain(descended(painter, transition, **settings))[0] == first
    transition.old += 0.1
    assert drain(descended(painter, transition, **settings))[0] == pytest.approx(
        first + 5.0 * 0.01 * transition.old.numel() / 2, rel=1e-6
    )


# -- runs ---------------------------------------------------------------------------------------------------------------------

pytestmark = pytest.mark.usefixtures("small_pictures")


@pytest.fixture(autouse=True)
def few_untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer chains tell how much untrained textures differ: what they cost is most of a small run."""
    monkeypatch.setattr(nabla_db, "UNTRAINED", 2)


SMALL = {
    **QUICK,
    "prompt": "red",
    "iterations": 2,
    "judge_every": 0,
    "generator": {"name": "tiny", "steps": 3},
    "trainer": {"name": "nabla_db", "updates": 1, "rate": 0.01},
    "rewards": {"palette": 1.0},
}


def ran(**changes: Any) -> tuple[list[Progress], Any, list[dict[str, Any]]]:
    """(the iterations, the result, their checkpoints)"""
    seen, checkpoints = [], []
    for p in run(parse(changes, base=parse(SMALL)), BALL):
        if p.checkpoint is not None:
            seen.append(p)
            checkpoints.append(p.checkpoint())
    return seen, p.result, checkpoints


def test_a_run_continues_to_the_same_numbers_and_can_be_left_at_every_yield() -> None:
    changes: dict[str, Any] = {"trainer": {"ema": 0.5, "trust": 1.0, "updates": 2}}
    seen, whole, checkpoints = ran(**changes)
    assert {"palette", "score", "gradient", "loss", "drift", "kl"} <= set(seen[0].metrics)
    assert seen[0].metrics["kl"] > 0 and seen[-1].metrics["drift"] > 0 and seen[0].texture is not None
    assert [p.step for p in seen] == [1, 2] and whole.report["iteration"] == 2
    steps = run(parse(changes, base=parse(SMALL)), BALL, resume=checkpoint_from(checkpoint_bytes(checkpoints[0])))
    rest = [p.metrics for p in steps if p.checkpoint is not None]
    assert rest == [p.metrics for p in seen[1:]]
    left = run(parse(changes, base=parse(SMALL)), BALL, resume=checkpoint_from(checkpoint_bytes(checkpoints[0])))
    while next(left).stage != "learning":
        pass
    left.close()


def test_without_beta_nothing_changes() -> None:
    seen, result, _ = ran(trainer={"beta": 0.0, "updates": 2})
    assert all(p.metrics["kl"] == p.metrics["gradient"] == 0 for p in seen)
    assert all(not t.any() for name, t in result.lora.items() if "lora_B" in name)
    assert result.report["after"] == result.report["before"]


def test_a_gradient_that_is_no_number_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = _transitions.residual
    monkeypatch.setattr(_transitions, "residual", lambda *given, **settings: plain(*given, **settings) * float("nan"))
    with pytest.raises(StudioError, match="The gradient turns into nan. Lower the rate"):
        ran(iterations=1, generator={"steps": 2})


def test_the_kl_budget_ends_the_run() -> None:
    seen, result, _ = ran(iterations=20, trainer={"kl_budget": 1e-9, "updates": 2})
    assert len(seen) == 1 == result.report["iteration"] and "KL budget" in seen[0].message


def test_pictures_are_seen_from_cameras_that_move() -> None:
    """With a reward that sees pictures."""
    still, moved = (
        ran(rewards={"palette": 0.0, "quality": 1.0}, iterations=1, generator={"steps": 2}, trainer={"view_jitter_deg": deg})[0][
            0
        ]
        for deg in (0.0, 30.0)
    )
    assert still.metrics["gradient"] > 0 < moved.metrics["gradient"] != still.metrics["gradient"]


@pytest.mark.long
def test_tiny_learns_a_palette() -> None:
    """The score of held-out seeds rises, and their textures still differ."""
    _, result, _ = ran(iterations=40, held_out=8, trainer={"beta": 4.0, "updates": 2}, generator={"weights_seed": 1})
    after, before = (result.report[when]["palette"] for when in ("after", "before"))
    assert after > before
