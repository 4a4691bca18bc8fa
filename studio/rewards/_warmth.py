"""The live half of the colorization reward."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from studio.errors import StudioError
from studio.rewards import Look
from studio.rewards._texels import area, gather, valid
from studio.surface.curvature import FLAT, at_texels, mean_curvature, normalised

if TYPE_CHECKING:
    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh

LEAST = 0.05


class Warmth(nn.Module):
    """Scores D = red − blue against a constant signed weight per texel; see `colorization.Colorization` for the formula."""

    texel: Tensor
    weight: Tensor

    def __init__(self, mesh: Mesh, atlas: Atlas, *, mode: str, share: float) -> None:
        super().__init__()
        texel = valid(atlas)
        surface = area(atlas, texel).numpy().astype(np.float64)
        mean = at_texels(mean_curvature(mesh), mesh, atlas, texel.numpy())
        curved = np.abs(mean) > FLAT
        if surface @ curved < LEAST:
            raise flat(mesh, float(surface @ curved))
        if mode == "smooth":
            signed = at_texels(normalised(mesh), mesh, atlas, texel.numpy()) * curved * surface
            weight = signed / np.abs(signed).sum()
        else:
            rank = _ranks(mean, surface * curved)
            warm, cool = (_soft((rank - (1 - share)) / share), _soft((share - rank) / share))
            warm, cool = (w * surface * curved for w in (warm, cool))
            weight = (warm / warm.sum() - cool / cool.sum()) / 2
        used = np.flatnonzero(weight)
        self.register_buffer("texel", texel[torch.from_numpy(used)], persistent=False)
        self.register_buffer("weight", torch.from_numpy(weight[used]).float(), persistent=False)

    def forward(self, look: Look) -> Tensor:
        """The score of a look, a scalar in [−1, 1]."""
        rows = gather(look.base_color, self.texel)
        return (rows[0] - rows[2]) @ self.weight.to(rows.dtype)


def flat(mesh: Mesh, curved: float) -> StudioError:
    """What is said of a mesh of which only this part is curved."""
    problem = f"There is no curvature here: only {curved:.0%} of '{mesh.name}' is curved."
    return StudioError(problem, "Leave the colorization reward out for this mesh.")


def _ranks(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Where each value stands among all, 0…1, in the middle of the weight that it and its equals (to a thousandth) stand for."""
    level, place = np.unique(np.round(values / max(np.abs(values).max(), 1e-12), 3), return_inverse=True)
    held = np.bincount(place.reshape(-1), weight, len(level))
    return ((held.cumsum() - held / 2) / held.sum())[place.reshape(-1)]


def _soft(x: np.ndarray) -> np.ndarray:
    """The smooth step 3x² − 2x³, exactly 0 below 0 and 1 above 1."""
    x = x.clip(0, 1)
    return x * x * (3 - 2 * x)
