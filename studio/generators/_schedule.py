"""The noise schedule of the multi-view painters, and one denoising step.

Sources: DDIM (2010.02502); zero terminal SNR and trailing steps (2305.08891); cosine schedule (2102.09672) with its
signal-to-noise ratio shifted for large pictures as in simple diffusion (2301.11093, eq. 4).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SHIFT = 1 / 16  # of the signal-to-noise ratio: (64 px / 256 px)²
CLAMP = 0.05


def alpha_bar(t: Tensor, *, shift: float = SHIFT) -> Tensor:
    """Share of signal ᾱ at time t in 0…1: the cosine schedule with its SNR times `shift`; exactly 1 at t = 0 and 0 at t = 1."""
    signal, noise = shift * torch.cos(t * math.pi / 2).square(), torch.sin(t * math.pi / 2).square()
    return torch.where(t >= 1, torch.zeros_like(t), signal / (signal + noise))


def trailing(steps: int) -> list[float]:
    """Times that enter and leave each step, steps + 1 numbers from 1 down to 0."""
    return [1 - i / steps for i in range(steps + 1)]


def ddim(x: Tensor, x0: Tensor, *, now: float, then: float, eta: float, noise: Tensor | None, shift: float = SHIFT) -> Tensor:
    """x at time `then` from x at time `now` and the predicted clean x0 (DDIM, eq. 12 and 16)."""
    if then <= 0:
        return x0
    a, b = (float(alpha_bar(torch.tensor(s, dtype=torch.float64), shift=shift)) for s in (now, then))
    sigma = eta * math.sqrt((1 - b) / (1 - a) * (1 - a / b))
    direction = (x - math.sqrt(a) * x0) / math.sqrt(1 - a)
    y = math.sqrt(b) * x0 + math.sqrt(max(0.0, 1 - b - sigma**2)) * direction
    return y if noise is None or sigma == 0 else y + sigma * noise


def soft_clamp(values: Tensor) -> Tensor:
    """The identity on [0, 1]; outside it bends smoothly towards −0.05 and 1.05 and its slope never reaches 0."""
    over = values - values.clamp(0, 1)
    return values.clamp(0, 1) + over / (1 + over.abs() / CLAMP)
