"""Patches: overlapping pieces of surface over which colours are averaged and their surface gradient is fitted.

A derivative taken in the atlas depends on how charts are cut, turned and stretched, and on the atlas's size. A plane fitted by
weighted least squares to the colours in a window of fixed size in space depends on none of these: it is the gradient on the
surface, already blurred over a fixed surface width. Windows never cross a chart's border and never join the two sides of a thin
wall. Texels are first pooled into cells several times smaller than a window, so that a look costs little more than one gather.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from studio.device import constant
from studio.rewards._texels import area, valid
from studio.sparse import SparseMap, rows_of
from studio.store import recalled
from studio.surface.symmetry import texel_size

if TYPE_CHECKING:
    from studio.surface.atlas import Atlas

VERSION = 1
"""Grows when other patches come of the same atlas: those kept on disk are then not used."""
RADIUS = 0.024
"""Of a window in work units (the mesh has radius 0.9) …"""
TEXELS = 3.0
"""… but at least so many texels."""
SPACING, CELL = 0.5, 0.34
"""Of the windows, and side of the pooled cells, in radii."""
MOST = 40
"""Cells in a window."""
FACING = 0.3
"""Cosine between the normals of a window and of a cell, below which they lie on different sides."""
LUMA = (0.299, 0.587, 0.114)
"""Grey of sRGB values (ITU-R BT.601)."""
_SHIFT = (0.1459, 0.3719, 0.6180)


class Patches:
    """n texels pooled in M cells, seen through P windows. Constant once built, on the atlas's device; kept on disk."""

    def __init__(self, atlas: Atlas, *, radius: float = RADIUS) -> None:
        """Raises StudioError when no texel lies on the mesh."""
        self.radius = max(radius, TEXELS * texel_size(atlas))
        """Of the windows, in work units."""
        key = f"{atlas.key} {self.radius}" if atlas.key else ""
        arrays = recalled(f"patches {VERSION}", key, lambda: _made(atlas, self.radius))
        made = {name: torch.from_numpy(array).to(atlas.device) for name, array in arrays.items()}
        self.texel = made["texel"].long()
        """[n] int64, flat over S·T·T, cell by cell."""
        self.pool = SparseMap(made["first"], made["texel"], made["share"], columns=atlas.face.numel())
        """Texels [S·T·T, C] → means of the cells [M, C]."""
        self.windows = SparseMap(made["begin"], made["inside"], made["weight"], columns=self.pool.rows)
        """Cells [M, C] → what the windows see of them [P, C]."""
        begin, twice = made["begin"], made["inside"].repeat(2)
        self._slopes = SparseMap(
            torch.cat([begin, begin[1:] + begin[-1]]), twice, made["fit"].T.flatten(), columns=self.pool.rows
        )
        self.frame = made["frame"]
        """[P, 3, 2] two orthonormal directions of the surface."""
        self.area = made["area"]
        """[P] of the surface that each window stands for, summing to 1; 0 where no plane can be fitted."""

    def slope(self, cells: Tensor) -> Tensor:
        """Cells [M] → [P, 2]: how fast values change along the surface, per work unit, in each window's `frame`; 0 where no plane
        can be fitted."""
        return self._slopes(cells[:, None]).view(2, -1).T

    def colours(self, base_color: Tensor) -> Tensor:
        """[S, 3, T, T] → the cells' colours [M, 3]."""
        return self.pool(rows_of(base_color))

    def grey(self, base_color: Tensor) -> Tensor:
        """[S, 3, T, T] → the cells' luma [M]."""
        luma = torch.einsum("schw,c->shw", base_color, constant(LUMA, base_color))
        return self.pool(luma.reshape(-1, 1))[:, 0]

    def fields(self, values: np.ndarray) -> np.ndarray:
        """A constant field of the surface at the texels [n, C] → windows [P, C] float64, on the CPU."""
        share, first = self.pool.weight.cpu().numpy(), self.pool.offset.cpu().numpy()
        cells = np.add.reduceat(values * share[:, None], first[:-1], axis=0).astype(np.float32)
        return self.windows(torch.from_numpy(cells).to(self.area.device)).cpu().numpy().astype(np.float64)


def _made(atlas: Atlas, radius: float) -> dict[str, np.ndarray]:
    """What `Patches` consists of: its sparse matrices by compressed rows, the windows' frames and areas."""
    from scipy.spatial import cKDTree

    texel = valid(atlas)
    pick = texel.numpy()
    position = atlas.position.cpu().numpy().reshape(-1, 3)[pick].astype(np.float64)
    normal = atlas.normal.cpu().numpy().reshape(-1, 3)[pick].astype(np.float64)
    chart = atlas.chart.cpu().numpy().reshape(-1)[pick].astype(np.int64)
    covered = area(atlas, texel).numpy().astype(np.float64)
    fine = _Pool(chart, position, normal, covered, radius * CELL)
    site = _Pool(chart, position, normal, covered, radius * SPACING)
    k = min(MOST, len(fine.area))
    distance, found = cKDTree(fine.position).query(site.position, k=k, distance_upper_bound=radius, workers=-1)
    distance, found = distance.reshape(len(site.area), k), found.reshape(len(site.area), k)
    none = found == len(fine.area)
    found = np.where(none, 0, found)
    apart = none | (fine.chart[found] != site.chart[:, None])
    apart |= np.einsum("pkc,pc->pk", fine.normal[found], site.normal) < FACING
    weight = np.where(apart, 0, (1 - (np.where(none, 0, distance) / radius) ** 2) ** 2 * fine.area[found])
    weight /= np.maximum(weight.sum(1, keepdims=True), 1e-30)

    away = fine.position[found] - np.einsum("pk,pkc->pc", weight, fine.position[found])[:, None]
    frame = np.linalg.svd(site.normal[:, None])[2][:, 1:].transpose(0, 2, 1)
    flat = np.einsum("pkc,pcj->pkj", away, frame)
    spread = np.einsum("pk,pki,pkj->pij", weight, flat, flat)
    fits = np.linalg.eigvalsh(spread)[:, 0] > (0.15 * radius) ** 2
    inverse = np.linalg.inv(np.where(fits[:, None, None], spread, np.eye(2)))
    fit = np.einsum("pij,pkj->pki", inverse, flat) * (weight * fits[:, None])[..., None]
    stands_for = site.area * fits
    order = np.argsort(fine.of, kind="stable")
    seen = weight > 0
    return {
        "texel": pick[order].astype(np.int32),
        "first": _begins(np.bincount(fine.of, minlength=len(fine.area))),
        "share": (np.maximum(covered, 1e-30) / fine.area[fine.of])[order].astype(np.float32),
        "inside": found[seen].astype(np.int32),
        "begin": _begins(seen.sum(1)),
        "weight": weight[seen].astype(np.float32),
        "fit": fit[seen].astype(np.float32),
        "frame": frame.astype(np.float32),
        "area": (stands_for / max(stands_for.sum(), 1e-30)).astype(np.float32),
    }


def _begins(counts: np.ndarray) -> np.ndarray:
    """Where each of consecutive runs begins, and the end."""
    return np.concatenate([[0], counts.cumsum()]).astype(np.int32)


_KNOWN: WeakKeyDictionary[Atlas, Patches] = WeakKeyDictionary()


def patches(atlas: Atlas) -> Patches:
    """The atlas's windows of the usual size, on its device; rewards of one atlas share them."""
    if atlas not in _KNOWN:
        _KNOWN[atlas] = Patches(atlas)
    return _KNOWN[atlas]


class _Pool:
    """Texels sorted into cubic cells, parted by chart and by the axis that their normal is nearest to; means are by area."""

    def __init__(self, chart: np.ndarray, position: np.ndarray, normal: np.ndarray, covered: np.ndarray, size: float) -> None:
        axis = np.abs(normal).argmax(1)
        side = 2 * axis + (normal[np.arange(len(normal)), axis] > 0)
        place = np.floor(position / size + _SHIFT).astype(np.int64)
        packed = np.zeros(len(chart), np.int64)
        for column in (chart, side, *place.T):
            packed = packed * int(np.ptp(column) + 1) + (column - column.min())
        _, first, of = np.unique(packed, return_index=True, return_inverse=True)
        self.of = of.reshape(-1)
        """[n] the cell of each texel."""
        self.chart = chart[first]
        covered = np.maximum(covered, 1e-30)
        self.area = np.bincount(self.of, covered)
        self.position, self.normal = (
            np.stack([np.bincount(self.of, covered * column) for column in values.T], 1) / self.area[:, None]
            for values in (position, normal)
        )


def length(slope: Tensor, floor: float = 1e-3) -> Tensor:
    """|g| [P] of slopes [P, 2], smooth at 0: √(|g|² + floor²) − floor."""
    return (slope.square().sum(-1) + floor**2).sqrt() - floor
