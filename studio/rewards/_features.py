"""The live half of the emphasis reward."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from studio.device import constant
from studio.errors import StudioError
from studio.rewards import Look
from studio.rewards._patches import LUMA, length, patches
from studio.surface.curvature import at_texels, normalised

if TYPE_CHECKING:
    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh

LOW, HIGH = 0.05, 0.95
FAINT = 0.02
EVEN = 0.01
"""Spread of |H| (of its 95 % quantile) below which the surface counts as evenly curved."""


class Features(nn.Module):
    """Scores whether the texture's edges lie where the surface is curved; see `emphasis.Emphasis` for the formula."""

    curved: Tensor
    weight: Tensor

    def __init__(self, mesh: Mesh, atlas: Atlas, *, color: float) -> None:
        super().__init__()
        self.patches, self.color = patches(atlas), color
        bend = np.abs(at_texels(normalised(mesh), mesh, atlas, self.patches.texel.cpu().numpy()))
        curved = self.patches.fields(bend[:, None])[:, 0]
        weight = self.patches.area.cpu().numpy().astype(np.float64)
        if not weight.sum() > 0:
            raise StudioError("The atlas is too coarse to tell edges on this mesh.", "Use a larger atlas.")
        weight = weight / weight.sum()
        curved, deviation = spread(curved, weight)
        if deviation < EVEN:
            raise even(mesh)
        self.register_buffer("curved", torch.from_numpy(curved / deviation).float(), persistent=False)
        self.register_buffer("weight", torch.from_numpy(weight).float(), persistent=False)

    def forward(self, look: Look) -> Tensor:
        """The score of a look, a scalar."""
        colours = self.patches.colours(look.base_color)
        weight = self.weight.to(colours.dtype)
        edge = length(self.patches.slope(colours @ constant(LUMA, colours))) * self.patches.radius
        low, high = _quantiles(edge, weight)
        edge = edge.clamp(low, high)
        off = edge - (edge * weight).sum()
        sigma = ((off.square() * weight).sum() + 1e-12).sqrt()
        together = (off * self.curved.to(colours.dtype) * weight).sum() / (sigma + FAINT)
        return together + self.color * self._colourfulness(colours)

    def _colourfulness(self, colours: Tensor) -> Tensor:
        """√(σ_rg² + σ_yb²) + 0.3·√(μ_rg² + μ_yb²) of the windows' mean colours."""
        red, green, blue = self.patches.windows(colours).T
        pair = torch.stack([red - green, (red + green) / 2 - blue])
        area = self.weight.to(pair.dtype)
        mean = pair @ area
        variance = (pair - mean[:, None]).square() @ area
        return (variance.sum() + 1e-6).sqrt() + 0.3 * (mean.square().sum() + 1e-6).sqrt()


def spread(values: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, float]:
    """Values [P] within their LOW and HIGH quantiles less their mean, and their standard deviation; `weight` [P] sums to 1."""
    values = values.astype(np.float64)
    low, high = _quantiles(torch.from_numpy(values), torch.from_numpy(weight))
    values = values.clip(float(low), float(high))
    values = values - values @ weight
    return values, float(np.sqrt(values**2 @ weight))


def even(mesh: Mesh) -> StudioError:
    """What is said of a mesh whose curvature is the same everywhere."""
    problem = f"'{mesh.name}' is evenly curved: there is no curvature here that a texture could emphasise."
    return StudioError(problem, "Leave the emphasis reward out for this mesh.")


def _quantiles(values: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The LOW and HIGH quantiles of `values` [P], each counting with its weight [P]."""
    order = values.argsort()
    reached = weight[order].to(values.dtype).cumsum(0)
    places = torch.searchsorted(reached, reached[-1] * reached.new_tensor((LOW, HIGH))).clamp(max=len(values) - 1)
    low, high = values[order[places]]
    return low, high
