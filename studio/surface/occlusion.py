"""Whether something stands in the way: any-hit rays on the CPU (Embree; Wald et al. 2014)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch

from studio.errors import DeviceError

if TYPE_CHECKING:
    from studio.surface.mesh import Mesh

CHUNK_RAYS = 1 << 15
CLEARANCE = 2e-4
"""How far above the surface, in work units, a ray starts so that it does not meet the face it leaves."""


class Occlusion:
    """The mesh as an obstacle for rays; the structure is built once."""

    def __init__(self, mesh: Mesh) -> None:
        """Raises DeviceError where the ray engine is not installed."""
        try:
            from embreex.mesh_construction import TriangleMesh
            from embreex.rtcore_scene import EmbreeScene
        except ImportError as error:
            raise DeviceError("The ray engine embreex is not installed.", "Install it: pip install embreex") from error

        self._scene = EmbreeScene(robust=True)
        TriangleMesh(self._scene, np.array(mesh.vertices, np.float32), np.array(mesh.faces, np.int32))  # embreex wants to write
        far_away = np.full((1, 3), 1e6, np.float32)
        self._scene.run(far_away, far_away)  # the first ray builds the structure, which threads must not do at once

    def blocked(self, points: np.ndarray, normals: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """[n] bool: a face lies on the ray from each surface point [n, 3] along its direction [n, 3].

        `normals` [n, 3] point out of the surface on the side that the ray leaves.
        """
        origins = np.ascontiguousarray(points + CLEARANCE * normals, np.float32)
        directions = np.ascontiguousarray(directions, np.float32)

        def cast(start: int) -> np.ndarray:
            part = slice(start, start + CHUNK_RAYS)
            return self._scene.run(origins[part], directions[part], query="OCCLUDED") >= 0

        with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # Embree releases the interpreter lock
            return np.concatenate([np.zeros(0, bool), *pool.map(cast, range(0, len(origins), CHUNK_RAYS))])
