"""Embree: ray casting on the CPU, on every core; exact, without OpenGL or a graphics card.

One ray through each pixel centre, closest hit (Wald et al. 2014, Embree: a kernel framework for efficient CPU ray tracing), with
watertight edges so that no pixel falls between two faces.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from studio.errors import DeviceError
from studio.renderers import Band, Rasterizer, Renderer

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from studio.camera import Camera
    from studio.surface.mesh import Mesh

KEPT_SCENES = 4
CHUNK_RAYS = 1 << 15
"""Rays of one call: small enough to spread over cores, large enough that a call's overhead vanishes."""


class EmbreeRasterizer(Rasterizer):
    """Casts rays on the CPU; the Fragments lie on any device."""

    name = "embree"

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._scenes: OrderedDict[str, Any] = OrderedDict()

    def hits(self, mesh: Mesh, cameras: Sequence[Camera], px: int) -> Tensor:
        """See `Rasterizer.hits`; on the CPU."""
        import numpy as np
        import torch

        scene = self._scene(mesh)
        face = np.empty((len(cameras), px * px), dtype=np.int32)

        def cast(view: int, origins: np.ndarray, directions: np.ndarray, start: int) -> None:
            part = slice(start, start + CHUNK_RAYS)
            face[view, part] = scene.run(origins[part], directions[part])

        with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # Embree releases the interpreter lock
            for view, camera in enumerate(cameras):
                origins, directions = camera.rays(px)
                jobs = [pool.submit(cast, view, origins, directions, start) for start in range(0, px * px, CHUNK_RAYS)]
                for job in jobs:
                    job.result()
        return torch.from_numpy(face.reshape(len(cameras), px, px))

    def surface(self, mesh: Mesh, camera: Camera, band: Band) -> tuple[Tensor, Tensor, Tensor]:
        """See `Rasterizer.surface`; on the CPU."""
        import numpy as np
        import torch

        scene = self._scene(mesh)
        left, right, top, bottom = _extent(mesh, camera, band)
        columns, rows = right - left, bottom - top
        if columns <= 0 or rows <= 0:
            return torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 3)
        origins, directions = _rays(camera, band, left, right, top, bottom)

        def cast(start: int) -> dict[str, np.ndarray]:
            part = slice(start, start + CHUNK_RAYS)
            return scene.run(origins[part], directions[part], query="INTERSECT", output=1)

        starts = range(0, len(directions), CHUNK_RAYS)
        if torch.get_num_threads() > 1 and len(starts) > 1:
            with ThreadPoolExecutor(torch.get_num_threads()) as pool:
                found = list(pool.map(cast, starts))
        else:
            found = [cast(start) for start in starts]
        face, u, v = (np.concatenate([part[name] for part in found]) for name in ("primID", "u", "v"))
        hit = np.flatnonzero(face >= 0)
        u, v = u[hit], v[hit]
        pixel = (hit // columns + top) * band.width + hit % columns + left
        return torch.from_numpy(pixel), torch.from_numpy(face[hit]).long(), torch.from_numpy(np.stack([1 - u - v, u, v], axis=1))

    def _scene(self, mesh: Mesh) -> Any:
        """Embree's acceleration structure of the mesh, built once per mesh."""
        import numpy as np
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        if mesh.hash not in self._scenes:
            scene = EmbreeScene(robust=True)
            # Fresh arrays: embreex wants writable ones and a mesh's are not.
            TriangleMesh(scene, np.array(mesh.vertices, dtype=np.float32), np.array(mesh.faces, dtype=np.int32))
            far_away = np.full((1, 3), 1e6, dtype=np.float32)
            scene.run(far_away, far_away)  # the first ray builds the structure, which threads must not do at once
            self._scenes[mesh.hash] = scene
            if len(self._scenes) > KEPT_SCENES:
                self._scenes.popitem(last=False)
        self._scenes.move_to_end(mesh.hash)
        return self._scenes[mesh.hash]


@lru_cache(maxsize=4)
def _box(mesh: Mesh) -> np.ndarray:
    """The corners [4, 8] of the mesh's bounding box, homogeneous."""
    import itertools

    import numpy as np

    corners = itertools.product(*zip(mesh.vertices.min(axis=0), mesh.vertices.max(axis=0), strict=True))
    return np.array([(*corner, 1.0) for corner in corners]).T


def _extent(mesh: Mesh, camera: Camera, band: Band) -> tuple[int, int, int, int]:
    """The columns and the rows of the band (left, right, top, bottom; ends excluded) outside which there is no mesh."""
    x, y, _, w = camera.T_clip_world() @ _box(mesh)
    if w.min() < 1e-3:  # the eye is inside the box
        return 0, band.width, 0, band.rows
    column = (x / w * band.height + band.width) / 2
    row = (1 - y / w) * band.height / 2 - band.top
    left, top = int(column.min()) - 2, int(row.min()) - 2
    right, bottom = int(column.max()) + 3, int(row.max()) + 3
    return max(left, 0), min(right, band.width), max(top, 0), min(bottom, band.rows)


def _rays(camera: Camera, band: Band, left: int, right: int, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray]:
    """Origins and directions (not of unit length) [n, 3] float32 through the pixels of these columns and rows of the band."""
    import numpy as np

    across, up, back = (axis.astype(np.float32) for axis in camera.frame())
    step = 2 * camera.half_height() / band.height
    x = ((np.arange(left, right, dtype=np.float32) + 0.5 + band.shift[0]) - band.width / 2) * np.float32(step)
    y = (band.height / 2 - (np.arange(top, bottom, dtype=np.float32) + band.top + 0.5 + band.shift[1])) * np.float32(step)
    eye, forward = camera.position().astype(np.float32), np.float32(-camera.distance) * back
    plane = np.empty((len(y), len(x), 3), np.float32)
    for k in range(3):  # an axis at a time is several times as fast as all three
        plane[..., k] = y[:, None] * up[k] + (x * across[k] + (eye if camera.orthographic else forward)[k])
    plane = plane.reshape(-1, 3)
    if camera.orthographic:
        return plane, np.broadcast_to(-back, plane.shape).copy()
    return np.broadcast_to(eye, plane.shape).copy(), plane


@dataclass(frozen=True)
class Embree(Renderer):
    """Ray casting on the CPU: runs everywhere, needs no graphics card."""

    def build(self, device: torch.device) -> Rasterizer:
        """See `Renderer.build`."""
        if reason := self.why_not():
            raise DeviceError(reason, "Reinstall Patina Studio with `pip install --force-reinstall embreex`.")
        return EmbreeRasterizer(device)

    @classmethod
    def why_not(cls) -> str | None:
        """The reason why Embree cannot run here, or None."""
        from importlib.util import find_spec

        if find_spec("embreex"):
            return None
        return "embreex, the CPU ray caster, is not installed (there is no wheel for Linux on ARM)."
