"""How open the surface is: the cosine-weighted share of the sky that each vertex sees (ambient occlusion), by Embree."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from studio.store import recalled
from studio.surface.occlusion import Occlusion

if TYPE_CHECKING:
    from studio.surface.mesh import Mesh

VERSION = 1
"""Grows when other numbers come of the same mesh: those kept on disk are then not used."""
LIFT = 2e-3
"""Rays start this far above the surface, in work units: creases of rounding do not count."""
CHUNK = 1 << 14
"""Vertices at a time, so that memory stays bounded."""


def openness(mesh: Mesh, rays: int = 64) -> np.ndarray:
    """[N] float32: 1 = every ray leaves, 0 = none does. `rays` directions per vertex, spread evenly over the cosine-weighted
    hemisphere about the mean normal of its faces, turned per vertex so that neighbours err differently, and smoothed over each
    vertex's neighbours. Vertices without faces are open. Kept on disk. Raises DeviceError where Embree is missing."""
    return recalled(f"openness {VERSION}", f"{mesh.hash} {rays}", lambda: {"open": _measured(mesh, rays)})["open"]


def _measured(mesh: Mesh, rays: int) -> np.ndarray:
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    normal = vertex_normals(vertices, faces)
    obstacle = Occlusion(mesh)
    i = np.arange(rays) + 0.5
    radius, angle = np.sqrt(i / rays), i * math.pi * (3 - math.sqrt(5))
    turn = np.random.default_rng(0).uniform(0, 2 * math.pi, len(vertices))
    out = np.ones(len(vertices))
    for start in range(0, len(vertices), CHUNK):
        part = slice(start, start + CHUNK)
        n, a = normal[part], angle + turn[part, None]
        aside = np.where(np.abs(n[:, :1]) < 0.9, [[1.0, 0, 0]], [[0, 1.0, 0]])
        x = np.cross(aside, n)
        x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        y = np.cross(n, x)
        plane = radius * np.cos(a), radius * np.sin(a)
        up = np.broadcast_to(np.sqrt(1 - i / rays), a.shape)
        d = plane[0][..., None] * x[:, None] + plane[1][..., None] * y[:, None] + up[..., None] * n[:, None]
        from_ = np.repeat(vertices[part] + LIFT * n, rays, 0)
        hidden = obstacle.blocked(from_, np.repeat(n, rays, 0), d.reshape(-1, 3))
        out[part] = 1 - hidden.reshape(-1, rays).mean(1)
    out[np.linalg.norm(normal, axis=1) < 0.5] = 1.0
    return _smoothed(out, faces).astype(np.float32)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit area-weighted normals [N, 3]; zero where a vertex has no face."""
    corners = vertices[faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    n = np.stack([np.bincount(faces.ravel(), np.repeat(flat[:, k], 3), minlength=len(vertices)) for k in range(3)], 1)
    length = np.linalg.norm(n, axis=1, keepdims=True)
    return np.where(length > 1e-20, n / np.maximum(length, 1e-20), 0.0)


def _smoothed(values: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Half of each vertex's own value and half of its neighbours' mean."""
    total, count = (np.zeros(len(values)) for _ in range(2))
    for a, b in ((0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)):
        total += np.bincount(faces[:, a], values[faces[:, b]], minlength=len(values))
        count += np.bincount(faces[:, a], minlength=len(values))
    return np.where(count > 0, 0.5 * values + 0.5 * total / np.maximum(count, 1), values)
