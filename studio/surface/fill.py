"""Colours for the texels that nothing was painted on.

Holes are filled from a pyramid: a cell of level l holds 2ˡ × 2ˡ texels *of one chart*, its value is the mean of the painted ones
among them, and a hole mixes the cells around it on the finest level that knows a colour there (pull–push; Gortler, Grzeszczuk,
Szeliski and Cohen 1996, The lumigraph, §3.4). As cells never join charts, no colour crosses a chart's border. Then every other
texel of the atlas takes the colour of the nearest texel of the chart that claims it, which keeps seams out of bilinear lookups
and mip levels. A chart on which nothing at all was painted takes, texel by texel, the painted colour nearest in space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from studio.sparse import SparseMap
from studio.surface.atlas import Atlas

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

CANDIDATES = 20_000
"""At most this many painted texels are asked for the one nearest in space."""


@dataclass(frozen=True)
class _Cells:
    """Cells of one pyramid level: sorted unique keys over chart, row and column."""

    key: np.ndarray
    bits: int

    @classmethod
    def of(cls, chart: np.ndarray, y: np.ndarray, x: np.ndarray, bits: int) -> _Cells:
        return cls(np.unique(_key(chart, y, x, bits)), bits)

    def find(self, key: np.ndarray) -> np.ndarray:
        """The place of each key, −1 where it is not there."""
        if not len(self.key):
            return np.full(key.shape, -1)
        place = np.searchsorted(self.key, key).clip(max=len(self.key) - 1)
        return np.where(self.key[place] == key, place, -1)

    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        low = (1 << self.bits) - 1
        return self.key >> 2 * self.bits, self.key >> self.bits & low, self.key & low


def _key(chart: np.ndarray, y: np.ndarray, x: np.ndarray, bits: int) -> np.ndarray:
    return (chart.astype(np.int64) << 2 * bits) | (y << bits) | x


class Fill:
    """A constant linear map from the P painted texels of an atlas to all of them."""

    def __init__(self, atlas: Atlas, painted: Tensor) -> None:
        """`painted` [S, T, T] bool, at least one. The maps live on the atlas's device."""
        mark = painted.cpu().numpy().reshape(-1)
        assert mark.any(), "nothing is painted"
        claim, nearest = (t.cpu().numpy().reshape(-1) for t in (atlas.claim, atlas.nearest))
        inside = (nearest == np.arange(len(nearest))) & (claim >= 0)  # texels of charts, without the gutter
        seen = np.zeros(int(claim.max()) + 1, bool)
        seen[claim[mark]] = True
        reached = (claim >= 0) & seen[claim]
        holes = np.flatnonzero(inside & ~mark & reached)

        count = int(mark.sum())
        source = np.full(len(mark), -1)
        source[mark] = np.arange(count)
        source[holes] = count + np.arange(len(holes))
        unseen = np.flatnonzero(inside & ~mark & ~reached)
        if len(unseen):
            source[unseen] = source[_nearest_in_space(atlas, unseen, mark)]
        rest = np.flatnonzero((source < 0) & (claim >= 0))
        source[rest] = source[nearest[rest]]

        device = atlas.device
        self._pyramid = _Pyramid(np.flatnonzero(mark), holes, np.flatnonzero(inside & reached), claim, atlas.size_px, device)
        offset = np.concatenate([[0], np.cumsum(source >= 0)])
        known = torch.from_numpy(source[source >= 0]).to(device)
        self._spread = SparseMap(torch.from_numpy(offset).to(device), known, torch.ones_like(known), columns=count + len(holes))

    def __call__(self, painted: Tensor) -> Tensor:
        """[P, C] colours of the painted texels in flat order → [S·T·T, C]; differentiable. Sets without faces are zero."""
        return self._spread(torch.cat([painted, self._pyramid(painted)]))


class _Pyramid:
    """Colours of the holes, coarse to fine; only the cells that some hole asks for exist."""

    def __init__(
        self, painted: np.ndarray, holes: np.ndarray, inside: np.ndarray, claim: np.ndarray, size: int, device: torch.device
    ) -> None:
        """`painted`, `holes` and `inside` (all texels of charts that hold a painted one) are flat texels, `claim` [S·T·T]."""
        from scipy.sparse import vstack

        bits = int(size).bit_length()
        chart, y, x = _places(inside, claim, size)
        p_chart, p_y, p_x = _places(painted, claim, size)
        rows = _places(holes, claim, size)
        hole = np.arange(len(holes))
        count = len(holes)
        self._push: list[SparseMap] = []
        means: list[csr_matrix] = []
        while len(hole):
            y, x, p_y, p_x = y >> 1, x >> 1, p_y >> 1, p_x >> 1
            cells = _Cells.of(chart, y, x, bits)
            chart, y, x = cells.parts()
            row, cell, weight = _interpolated(rows, cells)
            asked, cell = np.unique(cell, return_inverse=True)
            asked = _Cells(cells.key[asked], bits)
            self._push.append(SparseMap.of(_normalised(weight, hole[row], cell.reshape(-1), (count, len(asked.key))), device))

            place = asked.find(_key(p_chart, p_y, p_x, bits))
            mine = np.flatnonzero(place >= 0)
            mean = _normalised(np.ones(len(mine)), place[mine], mine, (len(asked.key), len(painted)))
            means.append(mean)
            hole = np.flatnonzero(np.diff(mean.indptr) == 0)
            count = len(asked.key)
            rows = tuple(a[hole] for a in asked.parts())
        self._levels = [m.shape[0] for m in means]
        if means:
            self._pull = SparseMap.of(vstack(means, format="csr"), device)

    def __call__(self, painted: Tensor) -> Tensor:
        if not self._push:
            return painted[:0]
        known = list(self._pull(painted).split(self._levels))
        value = known.pop()
        for push in reversed(self._push[1:]):
            value = known.pop() + push(value)
        return self._push[0](value)


def _places(texels: np.ndarray, claim: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(chart, row, column) of flat texels."""
    return claim[texels], texels // size % size, texels % size


def _interpolated(rows: tuple[np.ndarray, ...], cells: _Cells) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bilinear taps of fine cells (chart, y, x) among the coarser `cells` that exist: (row [n], cell [n], weight [n])."""
    chart, y, x = rows
    found, weights = [], []
    for dy, wy in ((0, 0.75), (1, 0.25)):
        for dx, wx in ((0, 0.75), (1, 0.25)):
            near_y, near_x = (y >> 1) + dy * ((y & 1) * 2 - 1), (x >> 1) + dx * ((x & 1) * 2 - 1)
            there = (near_y >= 0) & (near_x >= 0)
            found.append(np.where(there, cells.find(_key(chart, near_y.clip(0), near_x.clip(0), cells.bits)), -1))
            weights.append(np.full(len(y), wy * wx))
    cell, weight = np.stack(found, 1), np.stack(weights, 1)
    row, _ = np.nonzero(cell >= 0)
    return row, cell[cell >= 0], weight[cell >= 0]


def _normalised(weight: np.ndarray, row: np.ndarray, column: np.ndarray, shape: tuple[int, int]) -> csr_matrix:
    """A csr_matrix whose rows sum to 1 (or hold nothing)."""
    from scipy.sparse import csr_matrix

    total = np.bincount(row, weight, minlength=shape[0])
    return csr_matrix((weight / total[row], (row, column)), shape)


def _nearest_in_space(atlas: Atlas, texels: np.ndarray, mark: np.ndarray) -> np.ndarray:
    """For each flat texel the nearest in space among `mark` [S·T·T]. Texels without a face stand at their chart's middle."""
    from scipy.spatial import cKDTree

    position = atlas.position.cpu().numpy().reshape(-1, 3)
    face_chart = atlas.face_chart.cpu().numpy()
    middle = atlas.corners.position.mean(1).cpu().numpy().astype(np.float64)
    faces = np.bincount(face_chart)
    centre = np.stack([np.bincount(face_chart, middle[:, k]) for k in range(3)], 1) / np.maximum(faces, 1)[:, None]
    valid = atlas.valid.cpu().numpy().reshape(-1)
    point = np.where(valid[texels, None], position[texels], centre[atlas.claim.cpu().numpy().reshape(-1)[texels]])
    painted = np.flatnonzero(mark & valid if (mark & valid).any() else mark)
    painted = painted[:: -(-len(painted) // CANDIDATES)]
    return painted[cKDTree(position[painted]).query(point)[1]]
