"""How the surface bends: mean curvature per vertex, by quadric fitting (Panozzo, Puppo and Rocca 2010, in libigl)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from studio.surface.mesh import Mesh

RADIUS = 5
"""Of the fitted neighbourhood, in mean edge lengths."""
SHARP = 4.0
"""Mean curvature in 1/work unit under which no bend counts as an edge: of a ball of radius 1/4, or a bevel of radius 1/8."""
STRONGEST = 1e4
"""A fit that claims more than this has failed."""


def mean_curvature(mesh: Mesh) -> np.ndarray:
    """[N] float32 in 1/work unit: half the sum of the principal curvatures, positive where the surface is convex.

    A sphere of radius r has 1/r, a cylinder 1/2r, a plane 0. Faces must point outwards. A connected part whose fit fails is
    fitted anew with smaller neighbourhoods; where that fails too, and at vertices without faces, the value is 0.
    """
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    out = np.zeros(len(vertices))
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    for part in _parts(len(vertices), faces[area > 1e-14]):
        used, inverse = np.unique(part, return_inverse=True)
        fitted = _fitted(vertices[used], inverse.reshape(part.shape))
        if fitted is not None:
            out[used] = fitted
    return out.astype(np.float32)


def normalised(mesh: Mesh) -> np.ndarray:
    """[N] float32 in −1…1: mean curvature over its own 95th percentile of magnitude (by area), which counts as SHARP at least:
    on a large ball and on noise in flat faces nothing is an edge."""
    H = mean_curvature(mesh)
    corners = np.asarray(mesh.vertices, np.float64)[mesh.faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    weight = np.bincount(np.asarray(mesh.faces).ravel(), np.repeat(area, 3), minlength=len(H))
    order = np.argsort(np.abs(H))
    share = np.cumsum(weight[order])
    usual = np.abs(H)[order][np.searchsorted(share, 0.95 * share[-1])] if len(H) else 0.0
    return np.clip(H / max(float(usual), SHARP), -1, 1).astype(np.float32)


def _parts(count: int, faces: np.ndarray) -> list[np.ndarray]:
    """Faces [F, 3] grouped by connected part."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(faces):
        return []
    a, b = faces[:, (0, 1)].ravel(), faces[:, (1, 2)].ravel()
    _, label = connected_components(coo_array((np.ones(len(a), bool), (a, b)), shape=(count, count)), directed=False)
    of = label[faces[:, 0]]
    order = np.argsort(of, kind="stable")
    return np.split(faces[order], np.flatnonzero(np.diff(of[order])) + 1)


def _fitted(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray | None:
    """Mean curvature [n] of one connected part, or None where no neighbourhood gives a finite fit."""
    import igl

    if len(vertices) < 6:  # a quadric has five coefficients
        return None
    for radius in (RADIUS, 3, 2):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                _, _, largest, smallest, _ = igl.principal_curvature(vertices, faces, radius, True)
        except (RuntimeError, ValueError):
            continue
        H = (np.asarray(largest).ravel() + np.asarray(smallest).ravel()) / 2
        good = np.isfinite(H) & (np.abs(H) < STRONGEST)
        if len(H) == len(vertices) and good.mean() > 0.5:
            return np.where(good, H, 0.0)
    return None
