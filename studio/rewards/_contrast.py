"""The live halves of the detail and coverage rewards: both look at how much colours differ within a window of the surface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from studio.errors import StudioError
from studio.rewards import Look
from studio.rewards._patches import Patches, patches
from studio.rewards._texels import gather

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


def contrast(windows: Patches, cells: Tensor, *, less: Tensor | None = None) -> Tensor:
    """[P] standard deviation of the cells' colours [3, M] within each window, over all channels; `less` [M] of their variance."""
    mean = windows.mean(cells)
    variance = (windows.mean(cells.square()) - mean.square()).mean(0)
    variance = (variance if less is None else variance - windows.mean(less[None])[0]).clamp(min=0)
    return (variance + SMOOTH**2).sqrt() - SMOOTH


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
        squares = self.patches.pooled(self.patches.share[None])[0]
        self.register_buffer("leak", (squares / (1 - squares).clamp(min=1e-3)).clamp(max=1), persistent=False)

    def forward(self, look: Look) -> Tensor:
        """The score of a look, a scalar below 1."""
        texels = gather(look.base_color, self.patches.texel)
        cells = self.patches.pooled(texels)
        noise = (self.patches.pooled(texels.square()) - cells.square()).mean(0).clamp(min=0)
        seen = contrast(self.patches, cells, less=noise * self.leak.to(noise.dtype))
        area = self.patches.area.to(seen.dtype)
        grain = (self.patches.mean(noise[None])[0] + SMOOTH**2).sqrt() - SMOOTH
        return (area * seen / (seen + HALF)).sum() - self.speckle * (area * grain).sum()


class Coverage(_OnWindows):
    """See `coverage.Coverage` for the formula."""

    def forward(self, look: Look) -> Tensor:
        """The score of a look, a scalar in [0, 1]."""
        seen = contrast(self.patches, self.patches.colours(look.base_color))
        area = self.patches.area.to(seen.dtype)
        bare = BARE * (area * seen).sum() + FAINT
        return (area * seen.square() / (seen.square() + bare.square())).sum()
