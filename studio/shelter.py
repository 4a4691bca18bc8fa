"""What hides the light, direction by direction: cast once per mesh by Embree and kept on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from studio.shadow import spiral
from studio.store import recalled
from studio.surface.ambient import LIFT, vertex_normals
from studio.surface.occlusion import Occlusion

if TYPE_CHECKING:
    from studio.surface.mesh import Mesh

WAYS = 128
"""Directions, spread evenly over the sphere by `spiral`."""
VERSION = 1
"""Grows when other numbers come of the same mesh: those kept on disk are then not used."""
LOWEST = 0.02
"""Rays start at least this far above the surface's horizon, as a cosine; what is lower counts as clear."""
CHUNK = 1 << 13
"""Vertices at a time, so that memory stays bounded."""


def shelter(mesh: Mesh) -> Tensor:
    """[F, 3, WAYS] uint8: 1 where the way from a face's corner along each direction is clear, 0 where the mesh hides it.

    Raises DeviceError where Embree is missing.
    """
    kept = recalled(f"shelter {VERSION}", f"{mesh.hash} {WAYS}", lambda: {"clear": np.packbits(_cast(mesh), axis=1)})["clear"]
    clear = np.unpackbits(kept, axis=1, count=WAYS)
    return torch.from_numpy(clear[np.asarray(mesh.faces)])


def _cast(mesh: Mesh) -> np.ndarray:
    """[N, WAYS] bool."""
    ways, vertices = spiral(WAYS).numpy().astype(np.float64), np.asarray(mesh.vertices, np.float64)
    normal = vertex_normals(vertices, np.asarray(mesh.faces, np.int64))
    obstacle, clear = Occlusion(mesh), np.ones((len(vertices), WAYS), bool)
    for start in range(0, len(vertices), CHUNK):
        vertex, way = np.nonzero(normal[start : start + CHUNK] @ ways.T > LOWEST)
        vertex += start
        from_ = vertices[vertex] + LIFT * normal[vertex]
        clear[vertex, way] = ~obstacle.blocked(from_, normal[vertex], ways[way])
    return clear
