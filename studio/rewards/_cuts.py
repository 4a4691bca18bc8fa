"""The live half of the seam reward."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from studio.errors import StudioError
from studio.rewards import Look
from studio.rewards._kept import Kept
from studio.rewards._mirror import robust
from studio.rewards._texels import gather
from studio.surface.seams import seams

if TYPE_CHECKING:
    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh

NEAREST = 8
"""Texels on either side from which the colour at the cut is read."""
RIDGE = 0.3
"""In texels: how little a side may spread before the colour at the cut is their mean and not a plane through them."""


class Cuts(nn.Module):
    """Scores how much colours differ across the cuts; see `seam.Seam` for the formula."""

    index: Tensor
    """[2, n, k] flat over S·T·T, the texels of either side."""
    weight: Tensor
    """[2, n, k] what the colour at the cut is made of, summing to 1."""
    length: Tensor
    """[n] of cut, summing to 1."""

    def __init__(self, mesh: Mesh, atlas: Atlas, *, contrast: float) -> None:
        super().__init__()
        self.kept = Kept(contrast)
        atlas = atlas.to("cpu")
        cuts = seams(mesh, atlas)
        sides = [_read(atlas, i.long(), w) for i, w in zip(cuts.index, cuts.weight, strict=True)]
        kept = sides[0][2] & sides[1][2]  # charts too small for a texel of their own have nothing to say
        length = cuts.length[kept]
        if not len(length):
            raise seamless(mesh)
        self.register_buffer("index", torch.stack([s[0][kept] for s in sides]), persistent=False)
        self.register_buffer("weight", torch.stack([s[1][kept] for s in sides]), persistent=False)
        self.register_buffer("length", length / length.sum().clamp(min=1e-30), persistent=False)

    def forward(self, look: Look) -> Tensor:
        """The score of a look, a scalar ≤ 0."""
        texels = gather(look.base_color, self.index.flatten()).unflatten(1, self.index.shape)
        sides = (texels * self.weight.to(texels.dtype)).sum(-1)
        length = self.length.to(texels.dtype)
        difference = (robust(sides[:, 0] - sides[:, 1]) @ length).mean()
        mean = (sides @ length).mean(1)[:, None, None]
        variance = ((sides - mean).square() @ length).mean()
        if self.kept.empty:
            self.kept.fill(difference, variance)
        return -difference - self.kept(variance)


def seamless(mesh: Mesh) -> StudioError:
    """What is said of a mesh without cuts."""
    problem = f"'{mesh.name}' has no seams: its atlas is one piece that hangs together everywhere."
    return StudioError(problem, "Leave the seam reward out for this mesh.")


def _read(atlas: Atlas, index: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How the colour at a cut is read from its chart alone: (texels [n, k], weights [n, k], whether it can be [n]) from bilinear
    taps [n, 4].

    The gutter beyond the cut only repeats the chart's own colours, half a texel late. So a plane is fitted to the nearest texels
    of the chart and followed to the cut.
    """
    from scipy.spatial import cKDTree

    size = atlas.size_px
    rows = torch.stack([index // size, index % size], -1).double()
    first = rows[:, :1]
    near = first + (rows - first + size / 2).remainder(size) - size / 2  # taps may wrap round the border
    place = (near * weight[..., None]).sum(1).numpy()
    known = atlas.valid.flatten().nonzero()[:, 0].numpy()
    chart = atlas.chart.flatten().numpy()
    asked = chart[atlas.nearest.flatten()[index[torch.arange(len(index)), weight.argmax(1)]].numpy()]
    far = 4.0 * size  # charts lie in layers of their own, so that a chart finds its own texels only
    points = np.column_stack([known // size, known % size, chart[known] * far])
    k = min(NEAREST, len(known))
    distance, found = cKDTree(points).query(np.column_stack([place, asked * far]), k=k)
    distance, found = distance.reshape(len(place), k), found.reshape(len(place), k)
    own = distance < far / 2
    share = np.where(own, np.exp(-0.5 * (np.where(own, distance, 0) / 1.5) ** 2), 0)
    share /= np.maximum(share.sum(1, keepdims=True), 1e-30)
    away = points[found][..., :2] - place[:, None]
    centre = np.einsum("nk,nkc->nc", share, away)
    off = away - centre[:, None]
    spread = np.einsum("nk,nki,nkj->nij", share, off, off) + RIDGE**2 * np.eye(2)
    slope = np.einsum("nij,nkj->nki", np.linalg.inv(spread), off) * share[..., None]
    read = share - np.einsum("nki,ni->nk", slope, centre)
    return torch.from_numpy(known[found]), torch.from_numpy(read).float(), torch.from_numpy(own.any(1))
