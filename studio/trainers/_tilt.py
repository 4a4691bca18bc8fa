"""Tilting a sampler towards a reward, one transition at a time: what has to vanish, which transitions count, and for how much.

A stochastic sampler steps from x_t to x_{t−1} ~ N(μ(x_t), s²). Detailed balance between p_base·exp(β·R) and what is learned asks,
to first order in the step, that (μ_θ − μ_ref)/s = s·β·∇R(x̂0(x_{t−1})): both sides are in standard deviations of the step's own
noise, so that no transition outweighs another. Nabla-GFlowNet (2412.07775) and Nabla-R2D3 (2506.15684) divide once more by s and
count the reward by ᾱ; that is the weighting "paper".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

LEAST_SPREAD = 0.02
"""Transitions with less noise than this are none: a step without noise has no density that could be tilted."""
QUARTERS = 4
"""Of a chain: one transition of each is always learned from."""
Weighting = Literal["calibrated", "paper"]


def residual(
    mean: Tensor, reference: Tensor, slope: Tensor, *, spread: float, signal: float, beta: float, weighting: Weighting
) -> Tensor:
    """What has to vanish at a transition, of the shape of its latents: its mean square is the loss.

    `mean` and `reference` are the means of x_{t−1} that the learning and the frozen network give for the same x_t; `slope` is ∇R
    with respect to x_{t−1}; `spread` is s; `signal` is ᾱ of x_t, which only "paper" uses.
    """
    if weighting == "paper":
        return (mean - reference) / spread**2 - beta * signal * slope
    return (mean - reference) / spread - spread * beta * slope


def divergence(mean: Tensor, reference: Tensor, *, spread: float) -> float:
    """KL(N(mean, s²) ‖ N(reference, s²)) in nats, summed over all components."""
    return float((mean - reference).square().sum()) / (2 * spread**2)


def usable(spreads: Sequence[float]) -> list[int]:
    """The steps with enough noise to be transitions; step i leads from x_i to x_{i+1}."""
    return [i for i, s in enumerate(spreads) if s >= LEAST_SPREAD]


def chosen(steps: Sequence[int], fraction: float, *, generator: torch.Generator) -> list[int]:
    """⌈fraction · n⌉ of n steps in order, but always the last and at least one of each quarter of them."""
    bounds = [round(q * len(steps) / QUARTERS) for q in range(QUARTERS + 1)]
    picked = {len(steps) - 1}
    for low, high in zip(bounds[:-2], bounds[1:-1], strict=True):  # the last quarter has the last step
        if high > low:
            picked.add(low + int(torch.randint(high - low, (), generator=generator)))
    rest = [n for n in torch.randperm(len(steps), generator=generator).tolist() if n not in picked]
    picked.update(rest[: max(0, math.ceil(fraction * len(steps)) - len(picked))])
    return [steps[n] for n in sorted(picked)]


def clipped(slope: Tensor, clip: float, by: str) -> Tensor:
    """A reward's gradient with its components held within ±clip, or within that quantile of their own sizes; "none" leaves it."""
    if by == "none":
        return slope
    sizes = slope.abs().flatten().float()
    limit = float(sizes.kthvalue(max(1, math.ceil(min(clip, 1.0) * len(sizes)))).values) if by == "quantile" else clip
    return slope.clamp(-limit, limit)
