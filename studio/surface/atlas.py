"""The atlas: what lies under each texel, and which chart a texel belongs to.

A *chart* is an island of faces that hang together in uv. Faces that lie on top of each other in the atlas (mirrored or reused
UVs) share texels, so charts that overlap are one chart here; a texel under several faces is owned by the one with the lowest
number. UVs outside [0, 1] wrap round. Texel (row, column) has its centre at ((column + 0.5) / T, (row + 0.5) / T).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.errors import MeshError, StudioError
from studio.surface.corners import Corners

if TYPE_CHECKING:
    from studio.surface.mesh import Mesh

VERSION = 1
"""Grows when another atlas is built of the same mesh: what was computed from the old one and kept on disk is then not used."""
INTERIOR_PX = 2
"""A texel is interior when every texel this near (in rows and columns) belongs to the same chart."""
LARGEST_PX = 8192
"""The largest side of an atlas."""
ENTRIES = 4_000_000
"""Texels covered per chunk of faces, which bounds memory."""


@dataclass(frozen=True, eq=False)
class Atlas:
    """S texture sets of T × T texels over F faces; torch tensors on one device. Attributes below the fields are made on first use
    and are zero outside the charts."""

    size_px: int
    face: Tensor
    """[S, T, T] int32, the owner under the texel's centre; −1 where none."""
    bary: Tensor
    """[S, T, T, 3] float32 weights of the owner's corners."""
    chart: Tensor
    """[S, T, T] int32, numbered over all sets; −1 where there is no face."""
    claim: Tensor
    """[S, T, T] int32, the chart a texel serves: its own, or in the gutter the nearest; −1 in sets without faces."""
    nearest: Tensor
    """[S, T, T] int64, flat index of the nearest texel of that chart: where the gutter takes its colour from."""
    shared: Tensor
    """[S, T, T] bool: more than one face lies under the texel's centre."""
    face_chart: Tensor
    """[F] int32."""
    corners: Corners
    key: str = ""
    """Stands for all of the above: what is computed from it alone is kept on disk under this; "" where nothing is."""

    @property
    def sets(self) -> int:
        """S."""
        return self.face.shape[0]

    @property
    def device(self) -> torch.device:
        return self.face.device

    def to(self, device: torch.device | str) -> Atlas:
        """On `device`."""
        if torch.device(device) == self.device:
            return self
        names = ("face", "bary", "chart", "claim", "nearest", "shared", "face_chart", "corners")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    def dilated(self, texels: Tensor) -> Tensor:
        """Texels [S, C, T, T] with every gutter texel replaced by the nearest one of the chart that claims it."""
        flat = texels.movedim(1, -1).reshape(-1, texels.shape[1])
        return flat[self.nearest.flatten()].reshape(*texels.movedim(1, -1).shape).movedim(-1, 1)

    @cached_property
    def valid(self) -> Tensor:
        """[S, T, T] bool: the texel's centre lies inside a face."""
        return self.face >= 0

    @cached_property
    def interior(self) -> Tensor:
        """[S, T, T] bool: at least INTERIOR_PX inside a chart; beyond the border of the picture is outside."""
        r = INTERIOR_PX
        chart = F.pad(self.chart[:, None].float(), (r, r, r, r), value=-1.0)
        high, low = F.max_pool2d(chart, 2 * r + 1, 1), -F.max_pool2d(-chart, 2 * r + 1, 1)
        return (high == low)[:, 0] & self.valid

    @cached_property
    def position(self) -> Tensor:
        """[S, T, T, 3] surface points in work space."""
        return self._interpolated(self.corners.position)

    @cached_property
    def normal(self) -> Tensor:
        """[S, T, T, 3] unit shading normals."""
        return F.normalize(self._interpolated(self.corners.normal), dim=-1)

    @cached_property
    def jacobian(self) -> Tensor:
        """[S, T, T, 3, 2] ∂position/∂(u, v), v down, in work units per unit of uv."""
        return self._per_face(self.corners.jacobian)

    @cached_property
    def tangent(self) -> Tensor:
        """[S, T, T, 3] unit, along +u, orthogonal to `normal` (MikkTSpace, `Corners.tangent`)."""
        t = self._interpolated(self.corners.tangent[..., :3].contiguous())
        return F.normalize(t - (t * self.normal).sum(-1, keepdim=True) * self.normal, dim=-1)

    @cached_property
    def bitangent(self) -> Tensor:
        """[S, T, T, 3] unit, along −v (up in the picture, the green axis of a normal map), orthogonal to the other two."""
        sign = self._per_face(self.corners.tangent[:, 0, 3:].contiguous())
        return sign * torch.linalg.cross(self.normal, self.tangent)

    def taps(self, texture_set: Tensor, uv: Tensor, chart: Tensor) -> tuple[Tensor, Tensor]:
        """The texels that show at uv [n, 2] on `chart` [n] of `texture_set` [n], and how much: (index [n, 4], weight [n, 4]).

        Bilinear, on texels that the chart owns or claims alone, so that charts never mix; weights sum to 1. `index` is flat in
        [S, T, T]. Where a chart is too small to claim a texel, those of others are shown. int32 and float32.
        """
        size = self.size_px
        place = (uv.double() if uv.device.type != "mps" else uv) * size - 0.5
        corner = place.floor()
        fx, fy = (place - corner).float().unbind(-1)
        x, y = corner.to(self.face.dtype).remainder(size).unbind(-1)
        right, above = (x + 1) % size, (texture_set.to(y.dtype) * size + y) * size
        below = (texture_set.to(y.dtype) * size + (y + 1) % size) * size
        index = torch.stack([above + x, above + right, below + x, below + right], -1)
        weight = torch.stack([(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy], -1)
        own = weight * (self.claim.flatten()[index] == chart[:, None])
        total = own.sum(-1, keepdim=True)
        return index, torch.where(total > 1e-6, own / total, weight)

    def _interpolated(self, table: Tensor) -> Tensor:
        out = table.new_zeros((*self.face.shape, table.shape[-1]))
        out[self.valid] = torch.einsum("nk,nkc->nc", self.bary[self.valid], table[self.face[self.valid].long()])
        return out

    def _per_face(self, table: Tensor) -> Tensor:
        out = table.new_zeros((*self.face.shape, *table.shape[1:]))
        out[self.valid] = table[self.face[self.valid].long()]
        return out


def build_atlas(mesh: Mesh, size_px: int) -> Atlas:
    """The atlas of a mesh with UVs at size_px², on the CPU. Faces without area in uv own nothing.

    Raises MeshError when the mesh has no UVs, StudioError for a size that no atlas has.
    """
    if mesh.corner_uv is None:
        raise MeshError("This mesh has no texture coordinates.", "Unwrap it first.")
    if not 8 <= size_px <= LARGEST_PX:
        raise StudioError(f"An atlas cannot have {size_px} texels a side.", f"Choose 8 to {LARGEST_PX}, for example 1024.")
    if len(mesh.sets) * size_px**2 >= 2**31:
        raise StudioError(f"{len(mesh.sets)} texture sets of {size_px}² texels are too many.", "Choose a smaller atlas.")
    corners = Corners.of(mesh)
    uv = np.asarray(mesh.corner_uv, np.float64)
    uv = uv - np.floor(uv.mean(1, keepdims=True))
    face_set = np.asarray(mesh.face_set, np.int64)
    shape = (len(mesh.sets), size_px, size_px)
    chart = _islands(corners)

    owner = np.full(np.prod(shape), -1, np.int32)
    bary = np.zeros((len(owner), 3), np.float32)
    cover = np.zeros(len(owner), np.float32)
    covers = np.zeros(len(uv), bool)
    overlaps = [np.empty((0, 2), np.int64)]
    for first, last in _chunks(uv * size_px):
        face, x, y, weight = _covered(uv[first:last] * size_px, size_px)
        face = face + first
        texel = (face_set[face] * size_px + y % size_px) * size_px + x % size_px
        covers[face] = True
        on_edges = (weight < 1e-6).sum(1)  # neighbours share a texel on their common edge or corner, and that is no overlap
        cover += np.bincount(texel, np.array([1, 1 / 2, 1 / 6])[on_edges.clip(0, 2)], minlength=len(owner)).astype(np.float32)
        lowest = np.flatnonzero(owner[texel] < 0)[::-1]  # faces come in order, the last assignment stays: the lowest face does
        owner[texel[lowest]] = face[lowest]
        mine = owner[texel] == face
        bary[texel[mine]] = weight[mine]
        over = (on_edges == 0) & ~mine
        overlaps.append(np.unique(np.stack([chart[face[over]], chart[owner[texel[over]]]], 1), axis=0))
    chart = _merged(chart, np.concatenate(overlaps))
    texel_chart = np.where(owner < 0, -1, chart[owner]).reshape(shape)
    claim, nearest = _claims(texel_chart, _seeds(uv, face_set, chart, covers, shape))
    return Atlas(
        size_px=size_px,
        face=torch.from_numpy(owner.reshape(shape)),
        bary=torch.from_numpy(bary.reshape(*shape, 3)),
        chart=torch.from_numpy(texel_chart.astype(np.int32)),
        claim=torch.from_numpy(claim),
        nearest=torch.from_numpy(nearest),
        shared=torch.from_numpy(cover.reshape(shape) > 1.25),
        face_chart=torch.from_numpy(chart.astype(np.int32)),
        corners=corners,
        key=f"{mesh.hash} {size_px} {VERSION}",
    )


def _islands(corners: Corners) -> np.ndarray:
    """[F] the connected component of each face over edges that agree in set, position and uv."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    assert corners.uv is not None
    count = len(corners.uv)
    which = corners.face_set[:, None, None].expand(-1, 3, 1).float()
    key = torch.cat([corners.position, corners.uv, which], -1).reshape(-1, 6).numpy() + 0.0  # + 0.0 makes −0 equal 0
    _, vertex = np.unique(key.view(np.dtype((np.void, key.itemsize * 6))).reshape(-1), return_inverse=True)
    vertex = vertex.reshape(-1, 3)
    edge = np.sort(np.stack([vertex, np.roll(vertex, -1, 1)], -1).reshape(-1, 2), axis=1)
    _, edge = np.unique(edge[:, 0].astype(np.int64) * (vertex.max() + 1) + edge[:, 1], return_inverse=True)
    order = np.argsort(edge.reshape(-1), kind="stable")
    same = np.diff(edge.reshape(-1)[order]) == 0
    a, b = order[:-1][same] // 3, order[1:][same] // 3
    return connected_components(coo_matrix((np.ones(len(a)), (a, b)), (count, count)), directed=False)[1].astype(np.int64)


def _merged(chart: np.ndarray, overlaps: np.ndarray) -> np.ndarray:
    """Charts that overlap get one number; numbers run from 0 in the order of the faces."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    count = int(chart.max()) + 1
    pairs = coo_matrix((np.ones(len(overlaps)), (overlaps[:, 0], overlaps[:, 1])), (count, count))
    joined = connected_components(pairs, directed=False)[1][chart]
    _, first, inverse = np.unique(joined, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse.reshape(-1)]


def _chunks(uv_px: np.ndarray) -> list[tuple[int, int]]:
    """Runs of faces whose boxes cover about ENTRIES texels."""
    total = np.cumsum(np.prod(np.ptp(uv_px, axis=1) + 1, axis=1))
    edges = [0, *(np.flatnonzero(np.diff((total / ENTRIES).astype(np.int64))) + 1).tolist(), len(uv_px)]
    return list(zip(edges[:-1], edges[1:], strict=True))


def _covered(p: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Texel centres inside triangles p [F, 3, 2] (in texels), in the order of the faces: (face [n], x [n], y [n], bary [n, 3]).

    Row by row: each edge bounds the row from one side. A face that spans more than three tiles is kept to the tile of its centre
    and the ones around it, which show every texel that the rest shows again.
    """
    a, b = np.roll(p, -1, 1), np.roll(p, -2, 1)
    normal = np.stack([a[..., 1] - b[..., 1], b[..., 0] - a[..., 0]], -1)  # corner i's weight is normal·x + offset, over area
    offset = -(normal * a).sum(-1)
    area = (normal[:, 0] * p[:, 0]).sum(-1) + offset[:, 0]
    solid = np.abs(area) > 1e-9
    scale = np.where(solid, area, 1.0)[:, None]
    normal, offset = normal / scale[..., None], offset / scale

    low = np.maximum(np.ceil(p[..., 1].min(1) - 0.5), -size).astype(np.int64)
    high = np.minimum(np.floor(p[..., 1].max(1) - 0.5), 2 * size - 1).astype(np.int64)
    face, y = _expanded(np.where(solid, low, 0), np.where(solid, high, -1))
    slope, level = normal[face, :, 0], normal[face, :, 1] * (y + 0.5)[:, None] + offset[face]
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = -level / slope
    left = np.where(slope > 0, bound, -np.inf).max(1)
    right = np.where(slope < 0, bound, np.inf).min(1)
    outside = ((slope == 0) & (level < 0)).any(1)
    left = np.maximum(np.ceil(left - 0.5 - 1e-9), -size)
    right = np.where(outside, -np.inf, np.minimum(np.floor(right - 0.5 + 1e-9), 2 * size - 1))
    row, x = _expanded(left.astype(np.int64), np.maximum(right, left - 1).astype(np.int64))
    face, y = face[row], y[row]
    weight = np.maximum(normal[face, :, 0] * (x + 0.5)[:, None] + level[row], 0)
    return face, x, y, weight / weight.sum(1, keepdims=True)


def _expanded(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each i the whole numbers low[i] … high[i]: (i repeated, the numbers)."""
    count = np.maximum(high - low + 1, 0)
    which = np.repeat(np.arange(len(low)), count)
    return which, np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count) + low[which]


def _seeds(uv: np.ndarray, face_set: np.ndarray, chart: np.ndarray, covers: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[S, T, T] the chart of faces that are too small to cover a texel's centre, at the texels they lie in; −1 elsewhere."""
    size = shape[1]
    small = np.flatnonzero(~covers)[::-1]
    points = np.concatenate([uv[small], uv[small].mean(1, keepdims=True)], 1)
    x, y = (np.floor(points * size).astype(np.int64) % size).transpose(2, 0, 1)
    out = np.full(shape, -1, np.int64)
    out[face_set[small][:, None], y, x] = chart[small][:, None]
    return out


def _claims(chart: np.ndarray, seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(claim [S, T, T] int32, nearest [S, T, T] int64): the nearest texel with a chart and that chart."""
    from scipy.ndimage import distance_transform_edt

    known = np.where(chart >= 0, chart, seeds)
    nearest = np.arange(known.size).reshape(known.shape)
    for s, layer in enumerate(known):
        if (layer >= 0).any():
            row, column = distance_transform_edt(layer < 0, return_distances=False, return_indices=True)
            nearest[s] = (s * layer.shape[0] + row.astype(np.int64)) * layer.shape[1] + column
    return known.reshape(-1)[nearest].astype(np.int32), nearest
