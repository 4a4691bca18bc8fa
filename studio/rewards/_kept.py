"""What an untrained texture has and must keep, so that fading to one flat colour is never the easy way to a better score."""

from __future__ import annotations

import torch
from torch import Tensor, nn

HALF = 0.5
"""This part of the untrained variance may be lost for nothing."""
LEAST = 0.01
"""A loss of the untrained texture below this counts as this, in sRGB, so that perfect textures may not fade either."""


class Kept(nn.Module):
    """The price of lost contrast: weight · max(d₀, LEAST) · relu(1 − v/v₀)².

    d₀ is the untrained texture's loss in the terms of the reward and v₀ HALF of its variance. A flat texture pays `weight` times
    what the untrained one lost, so both terms stay of one size whatever the mesh and the prompt are; the
    square lets ascent come to rest at the bound. The buffer `reference`, (d₀,
    v₀) and NaN before the first look, is the only state; a run may fill it by hand.
    """

    reference: Tensor

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.register_buffer("reference", torch.full((2,), float("nan")))

    @property
    def empty(self) -> bool:
        """True before the first look."""
        return bool(self.reference.isnan().any())

    def fill(self, loss: Tensor, variance: Tensor) -> None:
        """Take the loss and the variance of the untrained texture, scalars."""
        self.reference.copy_(torch.stack([loss.detach(), HALF * variance.detach()]))

    def forward(self, variance: Tensor) -> Tensor:
        """What a texture of this variance pays, a scalar ≥ 0."""
        loss, least = self.reference.to(variance.dtype)
        return self.weight * loss.clamp(min=LEAST) * torch.relu(1 - variance / least.clamp(min=1e-12)).square()
