"""Curvature: how strongly and in which directions the surface bends, per vertex.

Principal curvatures by libigl, a quadric fitted to each vertex's surroundings (Panozzo, Puppo and Rocca 2010, Efficient
multi-scale curvature and crease estimation). Convex is positive, whichever way a file's faces are wound. The directions have no
sign, so they are kept as tensors d·dᵀ, which can be averaged and interpolated: a line field, weighted by anisotropy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from studio.store import recalled

if TYPE_CHECKING:
    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh

VERSION = 1
"""Grows when other numbers come of the same mesh: those kept on disk are then not used."""
RADII = (5, 3, 2)
"""Neighbourhoods of the fit, in rings of edges: the first, and smaller ones for a part of the mesh on which it fails."""
STRONGEST = 1e4
"""A fit that claims more than this, in 1 / work unit, has failed."""
STRONG = 0.95
"""Curvatures are clipped and measured at this quantile of their magnitude: creases must not decide over the rest."""
SMOOTHINGS = 4
FLAT = 0.05
"""Mean curvature below this, in 1 / work unit, is noise of a flat surface (a sphere that fills the view has about 1.1)."""
SHARP = 4.0
"""Mean curvature in 1 / work unit under which no bend counts as an edge: of a ball of radius 1/4, or a bevel of radius 1/8."""


@dataclass(frozen=True, eq=False)
class Curvature:
    """Principal curvatures of N vertices in 1 / work unit, with unit directions; zero where the surface is too broken to tell."""

    high: np.ndarray
    """[N] float32, the larger one, signed: convex is positive."""
    low: np.ndarray
    """[N] float32, the smaller one."""
    high_direction: np.ndarray
    """[N, 3] float32, where it bends by `high`."""
    low_direction: np.ndarray
    """[N, 3] float32."""

    @property
    def mean(self) -> np.ndarray:
        """[N] float32, (high + low) / 2."""
        return (self.high + self.low) / 2

    @property
    def anisotropy(self) -> np.ndarray:
        """[N] float32 in [0, 1]: how much more it bends one way than the other, over STRONG of all vertices that bend."""
        difference = self.high - self.low
        bent = difference[difference > FLAT]
        return np.clip(difference / max(np.quantile(bent, STRONG), FLAT), 0, 1) if len(bent) else np.zeros_like(difference)


@lru_cache(maxsize=4)
def curvature(mesh: Mesh) -> Curvature:
    """The curvature of a mesh's vertices, kept on disk; vertices at one place count as one: cuts in a file are no creases.

    A sphere of radius r has 1/r twice, a cylinder 1/r and 0, a plane 0.
    """
    return Curvature(**recalled(f"curvature {VERSION}", mesh.hash, lambda: _measured(mesh)))


def _measured(mesh: Mesh) -> dict[str, np.ndarray]:
    """The attributes of a `Curvature`."""
    points, vertex = np.unique(mesh.vertices.astype(np.float64), axis=0, return_inverse=True)
    faces = vertex.reshape(-1)[mesh.faces]
    a, b, c = (points[faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    solid = (area > 1e-12) & (faces != np.roll(faces, 1, 1)).all(1)
    d1, d2 = np.zeros((2, len(points), 3))
    k1, k2 = np.zeros((2, len(points)))
    for part in _parts(len(points), faces[solid]):
        used, inner = np.unique(part, return_inverse=True)
        inner = inner.reshape(-1, 3).astype(np.int64)
        if (found := _fitted(points[used], inner)) is not None:
            sign = _outward(points[used], inner)
            d1[used], d2[used], k1[used], k2[used] = found[0], found[1], sign * found[2], sign * found[3]
    swapped = k1 < k2  # turned inside out, the larger one is the other
    high, low = np.where(swapped, k2, k1), np.where(swapped, k1, k2)
    to_high, to_low = (np.where(swapped[:, None], x, y) for x, y in ((d2, d1), (d1, d2)))
    back = vertex.reshape(-1)
    found = {"high": high, "low": low, "high_direction": to_high, "low_direction": to_low}
    return {name: np.ascontiguousarray(x[back], np.float32) for name, x in found.items()}


def mean_curvature(mesh: Mesh) -> np.ndarray:
    """[N] float32, in 1 / work unit, convex positive."""
    return curvature(mesh).mean


def normalised(mesh: Mesh) -> np.ndarray:
    """[N] float32 in [−1, 1]: mean curvature over its STRONG quantile; 0 everywhere on a flat mesh."""
    mean = mean_curvature(mesh)
    size = np.abs(mean)
    bent = size[size > FLAT]
    return np.clip(mean / np.quantile(bent, STRONG), -1, 1) if len(bent) else np.zeros_like(mean)


def sharpness(mesh: Mesh) -> np.ndarray:
    """[N] float32 in [−1, 1]: edges positive, grooves negative; mean curvature over its STRONG quantile by area, which counts as
    SHARP at least: on a large ball and on noise in flat faces nothing is an edge."""
    mean = mean_curvature(mesh)
    weight = vertex_area(mesh)
    order = np.argsort(np.abs(mean))
    share = np.cumsum(weight[order])
    usual = np.abs(mean)[order][np.searchsorted(share, STRONG * share[-1])] if len(mean) else 0.0
    return np.clip(mean / max(float(usual), SHARP), -1, 1)


def vertex_area(mesh: Mesh) -> np.ndarray:
    """[N] float64, the part of the surface around each vertex, summing to 1; a third of its faces'."""
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    weight = np.bincount(mesh.faces.ravel(), np.repeat(area, 3), minlength=len(mesh.vertices))
    return weight / max(weight.sum(), 1e-30)


@lru_cache(maxsize=4)
def line_field(mesh: Mesh) -> np.ndarray:
    """[N, 3, 3] float32: the mean around each vertex of anisotropy · d·dᵀ, d the direction in which the surface bends least.

    The eigenvector of the largest eigenvalue is the line, the eigenvalue its weight. Smoothed over SMOOTHINGS rings.
    """
    from scipy.sparse import coo_matrix, diags

    found = curvature(mesh)
    tensor = found.anisotropy[:, None, None] * found.low_direction[:, :, None] * found.low_direction[:, None, :]
    _, vertex = np.unique(mesh.vertices, axis=0, return_inverse=True)
    vertex, count = vertex.reshape(-1), int(vertex.max()) + 1
    edge = vertex[mesh.faces[:, [0, 1, 1, 2, 2, 0]]].reshape(-1, 2)
    ones = np.ones(len(edge))
    near = coo_matrix((ones, (edge[:, 0], edge[:, 1])), (count, count)).tocsr()
    near = ((near + near.T) > 0).astype(np.float64) + diags(np.ones(count))
    mean = diags(1 / np.asarray(near.sum(1)).ravel()) @ near
    at_points = np.zeros((count, 9))
    at_points[vertex] = tensor.reshape(-1, 9)
    for _ in range(SMOOTHINGS):
        at_points = mean @ at_points
    return at_points[vertex].reshape(-1, 3, 3).astype(np.float32)


def at_texels(values: np.ndarray, mesh: Mesh, atlas: Atlas, index: np.ndarray) -> np.ndarray:
    """Vertex values [N, ...] at the texels with flat indices [n] (over S·T·T): [n, ...] float32."""
    face = atlas.face.cpu().numpy().reshape(-1)[index]
    weight = atlas.bary.cpu().numpy().reshape(-1, 3)[index]
    return np.einsum("nk,nk...->n...", weight, values[mesh.faces[face]])


def _parts(count: int, faces: np.ndarray) -> list[np.ndarray]:
    """Faces [F, 3] grouped by connected part."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if not len(faces):
        return []
    edges = coo_matrix((np.ones(2 * len(faces)), faces[:, [0, 1, 0, 2]].reshape(-1, 2).T), (count, count))
    label = connected_components(edges, directed=False)[1][faces[:, 0]]
    order = np.argsort(label, kind="stable")
    return np.split(faces[order], np.flatnonzero(np.diff(label[order])) + 1)


def _fitted(points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """libigl's directions [n, 3] × 2 and curvatures [n] × 2 of one part, zero where they are not finite or beyond STRONGEST.

    None where no neighbourhood gives a fit for more than half of it.
    """
    import igl

    if len(points) < 6:  # a quadric has five coefficients
        return None
    for radius in RADII:
        try:
            d1, d2, k1, k2, _ = igl.principal_curvature(points, faces, radius, True)
        except (RuntimeError, ValueError, IndexError):
            continue
        k1, k2 = np.asarray(k1, float).reshape(-1), np.asarray(k2, float).reshape(-1)
        if len(k1) != len(points):
            continue
        good = (np.abs(k1) < STRONGEST) & (np.abs(k2) < STRONGEST) & np.isfinite(d1).all(1) & np.isfinite(d2).all(1)
        if good.mean() > 0.5:
            d1, d2 = (np.where(good[:, None], d, 0) for d in (d1, d2))
            return d1, d2, np.where(good, k1, 0), np.where(good, k2, 0)
    return None


def _outward(points: np.ndarray, faces: np.ndarray) -> float:
    """±1: the sign of the volume that the faces of one part enclose about their own centre."""
    a, b, c = (points[faces[:, i]] - points.mean(0) for i in range(3))
    return -1.0 if (a * np.cross(b, c)).sum() < 0 else 1.0
