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
from torch import Tensor, nn

from studio.rewards._texels import area, gather, valid
from studio.surface.symmetry import texel_size

if TYPE_CHECKING:
    from studio.surface.atlas import Atlas

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


class Patches(nn.Module):
    """n texels pooled in M cells, seen through P windows. Constant once built."""

    texel: Tensor
    """[n] int64, flat over S·T·T."""
    cell: Tensor
    """[n] int64, the cell of each."""
    share: Tensor
    """[n] of its cell's surface, summing to 1 per cell."""
    inside: Tensor
    """[P, k] int64, the cells that each window sees."""
    weight: Tensor
    """[P, k] how much of its mean each of them is, summing to 1."""
    fit: Tensor
    """[P, k, 2]: Σ fit · value is the slope of the plane fitted in the window, in its `frame`; 0 where none can be fitted."""
    frame: Tensor
    """[P, 3, 2] two orthonormal directions of the surface."""
    area: Tensor
    """[P] of the surface that each window stands for, summing to 1; 0 where no plane can be fitted."""

    def __init__(self, atlas: Atlas, *, radius: float = RADIUS) -> None:
        """On the CPU; `.to(device)` moves it. Raises StudioError when no texel lies on the mesh."""
        from scipy.spatial import cKDTree

        super().__init__()
        texel = valid(atlas)
        pick = texel.numpy()
        position = atlas.position.cpu().numpy().reshape(-1, 3)[pick].astype(np.float64)
        normal = atlas.normal.cpu().numpy().reshape(-1, 3)[pick].astype(np.float64)
        chart = atlas.chart.cpu().numpy().reshape(-1)[pick].astype(np.int64)
        covered = area(atlas, texel).numpy().astype(np.float64)
        size = texel_size(atlas)
        self.radius = max(radius, TEXELS * size)
        """Of the windows, in work units."""
        fine = _Pool(chart, position, normal, covered, self.radius * CELL)
        site = _Pool(chart, position, normal, covered, self.radius * SPACING)
        k = min(MOST, len(fine.area))
        distance, found = cKDTree(fine.position).query(site.position, k=k, distance_upper_bound=self.radius)
        distance, found = distance.reshape(len(site.area), k), found.reshape(len(site.area), k)
        none = found == len(fine.area)
        found = np.where(none, 0, found)
        apart = none | (fine.chart[found] != site.chart[:, None])
        apart |= np.einsum("pkc,pc->pk", fine.normal[found], site.normal) < FACING
        weight = np.where(apart, 0, (1 - (np.where(none, 0, distance) / self.radius) ** 2) ** 2 * fine.area[found])
        weight /= np.maximum(weight.sum(1, keepdims=True), 1e-30)

        away = fine.position[found] - np.einsum("pk,pkc->pc", weight, fine.position[found])[:, None]
        frame = np.linalg.svd(site.normal[:, None])[2][:, 1:].transpose(0, 2, 1)
        flat = np.einsum("pkc,pcj->pkj", away, frame)
        spread = np.einsum("pk,pki,pkj->pij", weight, flat, flat)
        fits = np.linalg.eigvalsh(spread)[:, 0] > (0.15 * self.radius) ** 2
        inverse = np.linalg.inv(np.where(fits[:, None, None], spread, np.eye(2)))
        fit = np.einsum("pij,pkj->pki", inverse, flat) * (weight * fits[:, None])[..., None]
        stands_for = site.area * fits
        self.cells = len(fine.area)
        """M."""
        order = np.argsort(fine.of, kind="stable")  # neighbours in memory are pooled together
        of, covered = fine.of[order], covered[order]
        constants = {
            "texel": texel[torch.from_numpy(order)], "cell": torch.from_numpy(of),
            "share": torch.from_numpy(covered / fine.area[of]).float(),
            "inside": torch.from_numpy(found), "weight": torch.from_numpy(weight).float(), "fit": torch.from_numpy(fit).float(),
            "frame": torch.from_numpy(frame).float(), "area": torch.from_numpy(stands_for / max(stands_for.sum(), 1e-30)).float(),
        }  # fmt: skip
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)

    def pooled(self, values: Tensor) -> Tensor:
        """Values of the texels [C, n] → means of the cells [C, M]."""
        return values.new_zeros(len(values), self.cells).index_add(1, self.cell, values * self.share.to(values.dtype))

    def mean(self, cells: Tensor) -> Tensor:
        """Cells [C, M] → windows [C, P]."""
        return (self._seen(cells) * self.weight.to(cells.dtype)).sum(-1)

    def slope(self, cells: Tensor) -> Tensor:
        """Cells [M] → [P, 2]: how fast values change along the surface, per work unit, in each window's `frame`."""
        return torch.einsum("pk,pkj->pj", self._seen(cells[None])[0], self.fit.to(cells.dtype))

    def _seen(self, cells: Tensor) -> Tensor:
        """Cells [C, M] → what each window sees of them [C, P, k]."""
        flat = self.inside.flatten()
        return cells.gather(1, flat.expand(len(cells), -1)).unflatten(1, self.inside.shape)  # its adjoint is one scatter

    def colours(self, base_color: Tensor) -> Tensor:
        """[S, 3, T, T] → the cells' colours [3, M]."""
        return self.pooled(gather(base_color, self.texel))

    def grey(self, base_color: Tensor) -> Tensor:
        """[S, 3, T, T] → the cells' luma [M]."""
        luma = torch.einsum("schw,c->shw", base_color, base_color.new_tensor(LUMA))
        return self.pooled(gather(luma[:, None], self.texel))[0]

    def fields(self, values: np.ndarray) -> np.ndarray:
        """A constant field of the surface at the texels [n, C] → windows [P, C] float64, on the CPU."""
        rows = torch.from_numpy(np.ascontiguousarray(values.T, np.float32)).to(self.texel.device)
        return self.mean(self.pooled(rows)).cpu().numpy().T.astype(np.float64)


_KNOWN: WeakKeyDictionary[Atlas, Patches] = WeakKeyDictionary()


def patches(atlas: Atlas) -> Patches:
    """The atlas's windows of the usual size, on its device; rewards of one atlas share them."""
    if atlas not in _KNOWN:
        _KNOWN[atlas] = Patches(atlas).to(atlas.device)
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
