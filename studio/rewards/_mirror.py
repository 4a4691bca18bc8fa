"""The live half of the symmetry reward."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from studio.errors import StudioError
from studio.rewards import Look
from studio.rewards._cells import cells
from studio.rewards._kept import Kept
from studio.rewards._texels import area, gather
from studio.surface.symmetry import Plane, mirrored_pairs, texel_size

if TYPE_CHECKING:
    from studio.surface.atlas import Atlas

CELL = 0.02
"""Side of the small cells in work units (the mesh has radius 0.9), at least two texels; the large ones are four times that."""
CORE = 0.01
"""Colour difference below which the robust loss turns from linear to quadratic."""


def robust(difference: Tensor) -> Tensor:
    """Charbonnier's loss √(x² + CORE²) − CORE: 0 at 0, |x| far from it, smooth (Charbonnier et al., 1994)."""
    return (difference.square() + CORE**2).sqrt() - CORE


class Mirror(nn.Module):
    """Scores how alike the two halves of a texture are; see `symmetry.Symmetry` for the formula.

    What the untrained texture has is taken at the first look and is the module's only state. A look with a step sees one portion
    of the pairs, large cells drawn without replacement until every pair has had its turn; a look without one sees them all.
    """

    def __init__(self, plane: Plane, atlas: Atlas, *, contrast: float, most: int) -> None:
        super().__init__()
        pairs = mirrored_pairs(plane, atlas)
        if not len(pairs.texel):
            raise StudioError("No texel has a mirror image on this mesh.", "Use a larger atlas, or leave this reward out.")
        self.kept = Kept(contrast)
        position = atlas.position.cpu().numpy().reshape(-1, 3)[pairs.texel].astype(np.float64)
        chart = atlas.chart.cpu().numpy().reshape(-1)[pairs.texel]
        size = max(CELL, 2 * texel_size(atlas))
        sorted_ = cells(position, normal=plane.normal, offset=plane.offset, chart=chart, size=size)
        order, small, large = (torch.from_numpy(a) for a in (sorted_.order, sorted_.small, sorted_.large))
        texel = torch.from_numpy(pairs.texel)[order]
        self._constant("texel", texel)
        self._constant("partner", torch.from_numpy(pairs.partner)[order])
        self._constant("weight", area(atlas, texel))
        self._constant("small", small)
        self._constant("large", large)
        self.portions = _portions(large, most)
        total = int(atlas.valid.sum())
        self.notes = (
            f"The mirror plane is from {plane.origin}: {plane.confidence:.0%} of the surface is mirrored, {plane.error:.2%} off.",
            f"{len(texel)} of {total} texels are compared; {pairs.own} are their own mirror image and {pairs.alone} have none.",
        )

    def forward(self, look: Look) -> Tensor:
        """The score of a look, a scalar ≤ 0."""
        if self.kept.empty:
            with torch.no_grad():
                self.kept.fill(*self.compare(look.base_color, slice(None)))
        portion = slice(None) if look.step is None else self.portions[look.step % len(self.portions)]
        difference, variance = self.compare(look.base_color, portion)
        return -difference - self.kept(variance)

    def compare(self, base_color: Tensor, portion: slice) -> tuple[Tensor, Tensor]:
        """The data term (mean robust difference of three scales) and the local variance of a portion of the pairs."""
        weight = self.weight[portion].to(base_color.dtype)
        weight = weight / weight.sum()
        here = gather(base_color, self.texel[portion])
        difference = here - gather(base_color, self.partner[portion])
        small, large = (_Mean(cell[portion], weight) for cell in (self.small, self.large))
        levels = [(robust(difference) @ weight).mean()]
        levels += [(robust(cell.mean(difference)) @ cell.weight).mean() for cell in (small, large)]
        spread = here - large.mean(here).gather(1, large.cell.expand(len(here), -1))
        return torch.stack(levels).mean(), (spread.square() @ weight).mean()

    def _constant(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value, persistent=False)


class _Mean:
    """Weighted means over runs of cells: cell [n] ascending, weight [n] summing to 1."""

    def __init__(self, cell: Tensor, weight: Tensor) -> None:
        self.cell = cell - cell[0]
        self._share = weight
        self.weight = weight.new_zeros(int(self.cell[-1]) + 1).index_add(0, self.cell, weight)

    def mean(self, values: Tensor) -> Tensor:
        """[C, n] → [C, cells]; cells without area give 0."""
        sums = values.new_zeros(len(values), len(self.weight))
        sums = sums.scatter_add(1, self.cell.expand(len(values), -1), values * self._share)
        return sums / self.weight.clamp_min(1e-30)


def _portions(large: Tensor, most: int) -> list[slice]:
    """Consecutive runs of whole large cells, alike in size, of at most `most` pairs (more only where one cell has more)."""
    size = torch.unique_consecutive(large, return_counts=True)[1]
    start = size.cumsum(0) - size
    count = -(-len(large) // max(most - int(size.max()), 1))
    number = start * count // len(large)
    firsts = [int(start[number == i][0]) for i in number.unique()]
    return [slice(a, b) for a, b in zip(firsts, [*firsts[1:], len(large)], strict=True)]
