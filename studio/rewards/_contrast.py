"""The live halves of the detail and coverage rewards: both look at how much colours differ within a window of the surface."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from studio.errors import StudioError
from studio.rewards import Look
from studio.rewards._patches import patches
from studio.sparse import rows_of

if TYPE_CHECKING:
    from studio.surface.atlas import Atlas

HALF = 0.08
"""Contrast (standard deviation of sRGB values within a window) that counts as half of full detail."""
BARE = 0.5
"""A window is half covered when it has this part of the mean contrast …"""
FAINT = 0.01
"""… and a surface without any contrast is bare everywhere."""
SMOOTH = 1e-3
"""Below this a standard deviation is rounded off, so that its slope stays finite."""


def deviation(square: Tensor, mean: Tensor) -> Tensor:
    """[n] standard deviation over all channels, of the mean square over channels [n] and the means [n, 3]."""
    return ((square - mean.square().mean(1)).clamp(min=0) + SMOOTH**2).sqrt() - SMOOTH


class _OnWindows(nn.Module):
    def __init__(self, atlas: Atlas) -> None:
        super().__init__()
        self.patches = patches(atlas)
        if not float(self.patches.area.sum()) > 0:
            raise StudioError("The atlas is too coarse to tell detail on this mesh.", "Use a larger atlas.")


class Detail(_OnWindows):
    """See `detail.Detail` for the formula."""

    leak: Tensor

    def __init__(self, atlas: Atlas, *, speckle: float) -> None:
        super().__init__(atlas)
        self.speckle = speckle
        # The mean of a cell of few texels still shows their grain: this part of the variance seen within it.
        pool = self.patches.pool
        cell = torch.repeat_interleave(pool.offset.diff())
        squares = pool.weight.new_zeros(pool.rows).index_add(0, cell, pool.weight.square())
        self.register_buffer("leak", (squares / (1 - squares).clamp(min=1e-3)).clamp(max=1), persistent=False)

    def forward(self, look: Look) -> Tensor:
        """The score of a look, a scalar below 1."""
        texels = look.base_color
        rows = rows_of(torch.cat([texels, texels.square().mean(1, keepdim=True)], 1))
        cells, square = self.patches.pool(rows).split([3, 1], 1)
        noise = (square - cells.square().mean(1, keepdim=True)).clamp(min=0)
        signal = cells.square().mean(1, keepdim=True) - noise * self.leak[:, None].to(noise.dtype)
        mean, square, noise = self.patches.windows(torch.cat([cells, signal, noise], 1)).split([3, 1, 1], 1)
        seen = deviation(square[:, 0], mean)
        area = self.patches.area.to(seen.dtype)
        grain = (noise[:, 0] + SMOOTH**2).sqrt() - SMOOTH
        return (area * seen / (seen + HALF)).sum() - self.speckle * (area * grain).sum()


class Coverage(_OnWindows):
    """See `coverage.Coverage` for the formula."""

    def forward(self, look: Look) -> Tensor:
        """The score of a look, a scalar in [0, 1]."""
        cells = self.patches.colours(look.base_color)
        rows = torch.cat([cells, cells.square().mean(1, keepdim=True)], 1)
        mean, square = self.patches.windows(rows).split([3, 1], 1)
        seen = deviation(square[:, 0], mean)
        area = self.patches.area.to(seen.dtype)
        bare = BARE * (area * seen).sum() + FAINT
        return (area * seen.square() / (seen.square() + bare.square())).sum()
