"""Seams: places on the surface where the atlas is cut, so that one point lies in two charts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from studio.surface.atlas import Atlas

if TYPE_CHECKING:
    from studio.surface.mesh import Mesh

MOST_PER_EDGE = 256


@dataclass(frozen=True, eq=False)
class Seams:
    """n points along the cuts, each with its four texels and their weights (`Atlas.taps`) on either side."""

    index: tuple[Tensor, Tensor]
    """[n, 4] int32 each, flat in [S, T, T]."""
    weight: tuple[Tensor, Tensor]
    """[n, 4] float32 each."""
    length: Tensor
    """[n] the length of cut that each point stands for, in work units."""

    def jump(self, texture: Tensor) -> Tensor:
        """[n, C] how much `texture` [S, C, T, T] differs from one side to the other; differentiable."""
        rows = texture.permute(0, 2, 3, 1).reshape(-1, texture.shape[1])
        one, other = ((rows[i.long()] * w[..., None].to(rows)).sum(1) for i, w in zip(self.index, self.weight, strict=True))
        return one - other


def cut_edges(mesh: Mesh) -> np.ndarray:
    """[n, 2] the vertices at the ends of every cut of a mesh with UVs; n is 0 where nothing is cut."""
    return _vertices(mesh, _cuts(mesh)[0])


def _vertices(mesh: Mesh, edge: np.ndarray) -> np.ndarray:
    """[n, 2] the ends of edges 3 · face + side [n]."""
    face, side = np.divmod(edge, 3)
    return np.stack([mesh.faces[face, side], mesh.faces[face, (side + 1) % 3]], 1)


def _cuts(mesh: Mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The n edges that are cut, as either of their faces has them (3 · face + side) [n], and their uv there [n, 2, 2], at the end
    with the lower vertex number first.

    An edge between two faces is cut where they lie in different texture sets or where its ends have other uv in each of them.
    """
    uv = np.asarray(mesh.corner_uv, np.float64)
    faces = np.asarray(mesh.faces, np.int64)
    face, side = np.divmod(np.arange(3 * len(faces)), 3)
    start, end = faces[face, side], faces[face, (side + 1) % 3]
    key = np.minimum(start, end) * (faces.max() + 1) + np.maximum(start, end)
    order = np.lexsort((face, key))
    pair = np.flatnonzero(np.diff(key[order]) == 0)
    a, b = order[pair], order[pair + 1]

    def ends(edge: np.ndarray) -> np.ndarray:  # [m, 2, 2] uv at the end with the lower vertex number and at the other
        ordered = np.stack([uv[face[edge], side[edge]], uv[face[edge], (side[edge] + 1) % 3]], 1)
        return np.where((start[edge] < end[edge])[:, None, None], ordered, ordered[:, ::-1])

    uv_a, uv_b = ends(a), ends(b)
    apart = uv_a - uv_b
    same_place = (np.abs(apart - np.round(apart[:, :1])) < 1e-6).all((1, 2))  # whole tiles apart is the same texel
    face_set = np.asarray(mesh.face_set)
    cut = np.flatnonzero(~same_place | (face_set[face[a]] != face_set[face[b]]))
    return a[cut], b[cut], uv_a[cut], uv_b[cut]


def seams(mesh: Mesh, atlas: Atlas) -> Seams:
    """The cuts of `atlas` about every texel, on its device; n is 0 where nothing is cut."""
    a, b, uv_a, uv_b = _cuts(mesh)
    texels = atlas.size_px * np.maximum(*(np.linalg.norm(x[:, 1] - x[:, 0], axis=-1) for x in (uv_a, uv_b)))
    count = np.clip(np.ceil(texels), 1, MOST_PER_EDGE).astype(np.int64)
    which = np.repeat(np.arange(len(a)), count)
    along = (np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count) + 0.5) / count[which]
    vertices = np.asarray(mesh.vertices, np.float64)
    ends = vertices[_vertices(mesh, a)]
    length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=-1) / count
    sides = []
    for edge, ends_uv in ((a, uv_a), (b, uv_b)):
        owner = torch.from_numpy((edge // 3)[which]).to(atlas.device)
        place = torch.from_numpy(ends_uv[which, 0] + along[:, None] * (ends_uv[which, 1] - ends_uv[which, 0]))
        place = place.float().to(atlas.device)
        sides.append(atlas.taps(atlas.corners.face_set[owner], place, atlas.face_chart[owner]))
    return Seams(
        index=(sides[0][0], sides[1][0]),
        weight=(sides[0][1], sides[1][1]),
        length=torch.from_numpy(length[which]).float().to(atlas.device),
    )
