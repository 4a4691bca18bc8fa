"""Transitions of sampled chains with what they should become, and the step that brings the network closer to it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from studio.errors import StudioError
from studio.generators import Painter, Scene
from studio.progress import Live, Progress
from studio.trainers._pass import Pass
from studio.trainers._tilt import Weighting, clipped, divergence, residual

if TYPE_CHECKING:
    from studio.looks import Scores, Views
    from studio.objective import Objective
    from studio.replay import Rollout


@dataclass(frozen=True)
class Aim:
    """How transitions are weighed and held: as `NablaDB` has its knobs."""

    beta: float
    weighting: Weighting
    trust: float
    clip: float
    clip_by: str
    eta: float


@dataclass(eq=False)
class Transition:
    """One step of one sampled chain, on the CPU."""

    step: int
    scene: Scene
    x: Tensor
    """[V, C, h, w] float16: what entered the step."""
    reference: Tensor
    """[V, P, C, h, w] what the frozen network predicts for x."""
    slope: Tensor
    """[V, C, h, w] float32: ∇R with respect to what left the step."""
    old: Tensor | None = None
    """[V, P, C, h, w] what the network predicted for x before it learned from this transition."""


def spreads(painter: Painter, scene: Scene, *, like: Tensor, eta: float) -> list[float]:
    """s of each step: how far one unit of noise moves the latents; 0 where a step adds none. `like` [V, C, h, w] are latents."""
    zero, one = torch.zeros_like(like), torch.ones_like(like)
    flat = torch.zeros_like(like).unsqueeze(1)
    found = []
    with torch.no_grad():
        for i in range(painter.steps):
            with_noise, mean = (painter.advance(zero, flat, i, scene, noise=n, eta=eta) for n in (one, None))
            found.append(float((with_noise - mean).abs().max()))
    return found


def gathered(
    objective: Objective, rollout: Rollout, steps: Sequence[int], *, live: Live, iteration: int, look: Views, aim: Aim
) -> Generator[Progress, None, tuple[list[Transition], Scores, float]]:
    """The transitions at `steps` of one chain; what the rewards say of the last one's guess; the drift at the chain's last step,
    mean‖prediction − frozen prediction‖², or of the last step that was looked at."""
    painter, scene, chunk = objective.painter, rollout.scene, objective.chunk
    frozen: dict[int, Tensor] = {}
    found: list[Transition] = []
    scores, drift = None, 0.0
    for i in steps:
        x, after = (rollout.entering[n].half().to(rollout.x0) for n in (i, i + 1))
        if i not in frozen:
            frozen[i] = yield from Pass(painter, scene, x, i, chunk=chunk, base=True).forward()
        scores, slope, guessed = yield from _slope(objective, scene, after, i + 1, live=live, iteration=iteration, look=look)
        frozen[i + 1] = guessed
        if not slope.isfinite().all():
            problem = f"The reward's gradient turns into {float(slope.sum())} at step {i + 1}."
            raise StudioError(problem, "Lower the guidance scale, or switch off the newest reward.")
        slope = clipped(slope.float(), aim.clip, aim.clip_by)
        found.append(Transition(i, scene, x.half().cpu(), frozen[i].cpu(), slope.cpu()))
        drift = float((rollout.predictions[i + 1] - guessed).square().mean())
    assert scores is not None, "a chain without transitions"
    return found, scores, drift


def _slope(
    objective: Objective, scene: Scene, x: Tensor, i: int, *, live: Live, iteration: int, look: Views
) -> Generator[Progress, None, tuple[Scores, Tensor, Tensor]]:
    """What the rewards say of the frozen network's guess at x, their total's gradient by x, and the frozen prediction."""
    painter = objective.painter
    frozen = Pass(painter, scene, x, i, chunk=objective.chunk, base=True)
    prediction = yield from frozen.forward(for_x=True)
    with torch.enable_grad():
        leaf, raw = x.detach().requires_grad_(), prediction.detach().requires_grad_()
        x0 = painter.guess(leaf, raw, i, scene)
    views = [slice(v, v + 1) for v in range(len(x))]
    with torch.no_grad():
        pictures = torch.cat([painter.decode(x0[v], scene, views=v) for v in views])
    scores = objective.score(objective.baked(pictures).channels["base_color"], live, step=iteration, normalised=False, look=look)
    yield Progress("learning", 0, 1)
    d_pictures = objective.pictures_gradient(pictures, scores.push)
    parts = []
    for v in views:
        with torch.enable_grad():
            one = x0[v].detach().requires_grad_()
            drawn = painter.decode(one, scene, views=v)
        parts.append(torch.autograd.grad(drawn, one, d_pictures[v])[0])
        yield Progress("learning", 0, 1)
    d_x, d_prediction = torch.autograd.grad(x0, (leaf, raw), torch.cat(parts), allow_unused=True)
    slope = torch.zeros_like(x) if d_x is None else d_x
    if d_prediction is not None:
        slope = slope + (yield from frozen.to_x(d_prediction))
    return scores, slope, prediction


def descended(
    painter: Painter, transition: Transition, *, chunk: int | None, spread: float, share: float, aim: Aim
) -> Generator[Progress, None, tuple[float, float]]:
    """Add the gradient of a transition's loss, times `share`, to what learns; returns the loss, Σ residual² / 2 and what trust
    adds to it, and the KL of this one step from the frozen network; both in nats."""
    i, scene = transition.step, transition.scene
    x, reference, slope = (t.to(scene.geometry) for t in (transition.x, transition.reference, transition.slope))
    network = Pass(painter, scene, x, i, chunk=chunk)
    prediction = yield from network.forward(for_parameters=True)
    with torch.no_grad():
        frozen = painter.advance(x, reference, i, scene, noise=None, eta=aim.eta)
    with torch.enable_grad():
        leaf = prediction.requires_grad_()
        mean = painter.advance(x, leaf, i, scene, noise=None, eta=aim.eta)
        apart = residual(mean, frozen, slope, spread=spread, signal=painter.signal(i), beta=aim.beta, weighting=aim.weighting)
        loss = apart.square().sum() / 2
        if transition.old is not None:
            loss = loss + aim.trust * (leaf - transition.old.to(leaf)).square().sum() / 2
    (d_prediction,) = torch.autograd.grad(loss, leaf)
    if transition.old is None and aim.trust:
        transition.old = prediction.detach().cpu()
    yield from network.to_parameters(d_prediction * share)
    return float(loss.detach()), divergence(mean.detach(), frozen, spread=spread)
