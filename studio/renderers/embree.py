"""Embree: ray casting on the CPU, on every core; exact, without OpenGL or a graphics card.

One ray through each pixel centre, closest hit (Wald et al. 2014, Embree: a kernel framework for efficient CPU ray tracing), with
watertight edges so that no pixel falls between two faces.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studio.errors import DeviceError
from studio.renderers import Rasterizer, Renderer

if TYPE_CHECKING:
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
