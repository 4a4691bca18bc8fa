"""A ring of eight Gaussians in the plane, whose tilt by exp(β·x) is known in closed form, and a sampler that learns it.

The base is the exact posterior mean of the ring under the studio's own schedule; what learns is a small network added to it, 0 at
first. Everything that is learned goes through `studio.trainers._tilt`, as in the trainer.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from studio.generators._schedule import alpha_bar, ddim, trailing
from studio.trainers import _tilt

MODES, RADIUS, SIGMA, BETA = 8, 2.0, 0.15, 1.5
STEPS = 20
TIMES = trailing(STEPS)
SIGNAL = [float(alpha_bar(torch.tensor(t, dtype=torch.float64), shift=1.0)) for t in TIMES]
CENTRES = RADIUS * torch.tensor([[math.cos(k * math.pi / 4), math.sin(k * math.pi / 4)] for k in range(MODES)])
SPREADS = [
    float(ddim(torch.zeros(1), torch.zeros(1), now=a, then=b, eta=1.0, noise=torch.ones(1), shift=1.0))
    for a, b in zip(TIMES, TIMES[1:], strict=False)
]


def tilted() -> tuple[Tensor, float]:
    """The exact tilt: the modes' weights [8] and the mean of x."""
    weights = torch.softmax(BETA * CENTRES[:, 0].double(), 0)
    return weights, float((weights * CENTRES[:, 0]).sum() + BETA * SIGMA**2)


def base(x: Tensor, i: int) -> Tensor:
    """E[x0 | x_i = x] of the ring, [N, 2] → [N, 2]."""
    a = SIGNAL[i]
    spread = a * SIGMA**2 + 1 - a
    share = torch.softmax(-(x[:, None] - math.sqrt(a) * CENTRES).square().sum(-1) / (2 * spread), -1)
    means = CENTRES + (math.sqrt(a) * SIGMA**2 / spread) * (x[:, None] - math.sqrt(a) * CENTRES)
    return (share[..., None] * means).sum(1)


class Learner(nn.Module):
    """What is added to the base: nothing at first."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 + 8, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2))
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, x: Tensor, i: int) -> Tensor:
        return base(x, i) + self.added(x, torch.full((len(x),), TIMES[i]))

    def added(self, x: Tensor, times: Tensor) -> Tensor:
        """[N, 2] at times [N]."""
        wave = 2 * math.pi * times[:, None] * torch.tensor([0.25, 0.5, 1.0, 2.0])
        return self.layers(torch.cat([x, wave.sin(), wave.cos()], 1))


def step(x: Tensor, x0: Tensor, i: int, noise: Tensor | None) -> Tensor:
    return ddim(x, x0, now=TIMES[i], then=TIMES[i + 1], eta=1.0, noise=noise, shift=1.0)


def chain(model: nn.Module, n: int) -> list[Tensor]:
    """x_0 … x_STEPS [N, 2] of n noisy chains, the last one clean; no graph."""
    x = torch.randn(n, 2)
    found = [x]
    with torch.no_grad():
        for i in range(STEPS):
            x = step(x, model(x, i), i, torch.randn_like(x) if i + 1 < STEPS else None)
            found.append(x)
    return found


def slope(x: Tensor, i: int) -> Tensor:
    """∇R(x̂0(x)) of R = x, through the base's guess."""
    leaf = x.detach().requires_grad_()
    return torch.autograd.grad(base(leaf, i)[:, 0].sum(), leaf)[0]


def taught(
    *, updates: int, batch: int = 256, refresh: int = 1, beta: float = BETA, weighting: _tilt.Weighting = "calibrated",
    rate: float = 2e-3, fraction: float = 0.4,
) -> Learner:  # fmt: skip
    """nabla-DB on the ring: `updates` learning steps, on fresh chains every `refresh` of them."""
    torch.manual_seed(0)
    model = Learner()
    adam = torch.optim.Adam(model.parameters(), lr=rate, betas=(0.9, 0.99))
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, updates)
    steps, source = _tilt.usable(SPREADS), torch.Generator().manual_seed(0)
    for n in range(updates):
        if n % refresh == 0:
            xs = chain(model, batch)
            kept = [(i, xs[i], base(xs[i], i), slope(xs[i + 1], i + 1)) for i in _tilt.chosen(steps, fraction, generator=source)]
        added = model.added(
            torch.cat([x for _, x, *_ in kept]), torch.tensor([TIMES[i] for i, *_ in kept]).repeat_interleave(batch)
        )
        loss = torch.zeros(())
        for (i, x, frozen, pull), more in zip(kept, added.split(batch), strict=True):
            means = step(x, frozen + more, i, None), step(x, frozen, i, None)
            apart = _tilt.residual(*means, pull, spread=SPREADS[i], signal=SIGNAL[i], beta=beta, weighting=weighting)
            loss = loss + apart.square().mean() / len(kept)
        adam.zero_grad()
        loss.backward()
        adam.step()
        decay.step()
    return model


def draft(*, updates: int, batch: int = 256, rate: float = 2e-3) -> Learner:
    """Direct back-propagation of R through the whole chain, without an anchor (DRaFT)."""
    torch.manual_seed(0)
    model = Learner()
    adam = torch.optim.Adam(model.parameters(), lr=rate, betas=(0.9, 0.99))
    for _ in range(updates):
        x = torch.randn(batch, 2)
        for i in range(STEPS):
            x = step(x, model(x, i), i, torch.randn_like(x) if i + 1 < STEPS else None)
        adam.zero_grad()
        (-x[:, 0].mean()).backward()
        adam.step()
    return model


def measured(model: nn.Module, n: int = 4096) -> dict[str, float]:
    """Mean reward, share of samples within 3 σ of a centre, effective number of modes, and total variation of the modes' shares
    from the exact tilt's."""
    torch.manual_seed(1)
    x = chain(model, n)[-1]
    distance, nearest = torch.cdist(x, CENTRES).min(1)
    shares = torch.bincount(nearest, minlength=MODES).double() / n
    entropy = -(shares * shares.clamp_min(1e-12).log()).sum()
    apart = shares - tilted()[0]
    return {
        "reward": float(x[:, 0].mean()),
        "on": float((distance < 3 * SIGMA).double().mean()),
        "modes": float(entropy.exp()),
        "error": float(apart.abs().sum() / 2),
    }
