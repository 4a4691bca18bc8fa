"""The live half of the alignment reward."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from studio.errors import StudioError
from studio.rewards import Look
from studio.rewards._patches import length, patches
from studio.surface.curvature import at_texels, line_field

if TYPE_CHECKING:
    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh

LEAST = 0.01
"""Mean anisotropy below which no direction is better than another."""


class Lines(nn.Module):
    """Scores how well strokes follow the line field; see `alignment.Alignment` for the formula."""

    def __init__(self, mesh: Mesh, atlas: Atlas, *, follow: str, contrast: float) -> None:
        super().__init__()
        self.patches = patches(atlas)
        self.follow, self.contrast = follow, contrast
        tensor = at_texels(line_field(mesh).reshape(-1, 9), mesh, atlas, self.patches.texel.cpu().numpy())
        held = self.patches.fields(tensor).reshape(-1, 3, 3)
        frame = self.patches.frame.cpu().numpy().astype(np.float64)
        strength, direction = np.linalg.eigh(np.einsum("pik,pij,pjl->pkl", frame, held, frame))
        weight = (strength[:, 1] - strength[:, 0]).clip(0)
        mean = float(weight @ self.patches.area.cpu().numpy())
        if mean < LEAST:
            raise aimless(mesh)
        self.register_buffer("direction", torch.from_numpy(direction[:, :, 1]).float(), persistent=False)
        self.register_buffer("weight", torch.from_numpy(weight).float() * self.patches.area.cpu(), persistent=False)
        clear = float((weight > 0.2) @ self.patches.area.cpu().numpy())
        self.notes = (f"The surface has a clear direction of bend on {clear:.0%} of it.",)

    def forward(self, look: Look) -> Tensor:
        """The score of a look, a scalar in [0, 1]."""
        slope = self.patches.slope(self.patches.grey(look.base_color))
        across = (slope * self.direction.to(slope.dtype)).sum(-1).square() / (slope.square().sum(-1) + 1e-12)
        aligned = across if self.follow == "max" else 1 - across
        size = length(slope)
        weight = self.weight.to(slope.dtype)
        return (weight * aligned * size / (size + self.contrast)).sum() / weight.sum()


def aimless(mesh: Mesh) -> StudioError:
    """What is said of a mesh without directions."""
    problem = f"'{mesh.name}' bends nowhere, or alike in all directions, so strokes have nothing to follow."
    return StudioError(problem, "Leave the alignment reward out for this mesh.")
