"""The pictures that picture rewards see: the texture, lit, from cameras that are not the painting cameras, in chunks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio import environment
from studio.camera import Camera
from studio.renderers import Rasterizer
from studio.shade import Shader
from studio.surface.atlas import Atlas
from studio.surface.mesh import Mesh
from studio.texture import Fragments, Taps, Texture

SIZE_PX = 256
JITTER_DEG = 12.0
ENVIRONMENT = "softbox"


class RewardViews:
    """Renders base colours from jittered copies of the painting cameras; prepares nothing before a reward asks for pictures.

    Views are lit and differentiated a chunk at a time (`studio.looks`), so each chunk has a shader of its own.
    """

    def __init__(
        self,
        mesh: Mesh,
        atlas: Atlas,
        base: Texture,
        rasterizer: Rasterizer,
        cameras: tuple[Camera, ...],
        *,
        seed: int = 0,
        chunk: int = 16,
        jitter_deg: float = JITTER_DEG,
    ) -> None:
        """`base` gives the channels other than colour; `seed` fixes the jitter of up to `jitter_deg` per angle; chunks have at
        most `chunk` views, and differ by one at most."""
        shift = np.random.default_rng(seed).uniform(-jitter_deg, jitter_deg, (len(cameras), 2))
        self.cameras = tuple(
            replace(c, azimuth_deg=c.azimuth_deg + float(a), elevation_deg=float(np.clip(c.elevation_deg + e, -89, 89)))
            for c, (a, e) in zip(cameras, shift, strict=True)
        )
        self._mesh, self._atlas, self._base, self._rasterizer, self._most = mesh, atlas, base, rasterizer, chunk
        self._chunks = np.array_split(np.arange(len(cameras)), -(-len(cameras) // chunk))
        self._shaders: dict[int, Shader] = {}
        self._surfaces: dict[int, Tensor] = {}

    def __call__(self, base_color: Tensor) -> list[ViewsChunk]:
        """For base colours [S, 3, T, T]: what draws the pictures [v, 3, h, w] of each chunk, with their graph."""
        channels = {name: t.to(base_color.dtype) for name, t in self._base.channels.items()}
        texture = replace(self._base, channels={**channels, "base_color": base_color})
        return [ViewsChunk(self, n, texture) for n in range(len(self._chunks))]

    def jittered(self, seed: int, jitter_deg: float) -> RewardViews:
        """The same from cameras that lie at random up to so far from these."""
        parts = self._mesh, self._atlas, self._base, self._rasterizer, self.cameras
        return RewardViews(*parts, seed=seed, chunk=self._most, jitter_deg=jitter_deg)

    def shader(self, n: int) -> Shader:
        """What lights chunk `n`."""
        if n not in self._shaders:
            seen = self._seen(n)
            self._shaders[n] = Shader(seen, Taps(seen, self._atlas), environment.load(ENVIRONMENT))
        return self._shaders[n]

    def surface(self, n: int) -> Tensor:
        """The bare mesh in chunk `n` [v, 4, h, w], as `Look.surface`."""
        if n not in self._surfaces:
            self._surfaces[n] = bare(self._seen(n))
        return self._surfaces[n]

    def _seen(self, n: int) -> Fragments:
        return self._rasterizer.rasterize(self._mesh, [self.cameras[i] for i in self._chunks[n]], SIZE_PX, supersample=2)


@dataclass(frozen=True, eq=False)
class ViewsChunk:
    """A few of the reward views of one texture."""

    views: RewardViews
    number: int
    texture: Texture

    def __call__(self) -> Tensor:
        return self.views.shader(self.number)(self.texture)

    def surface(self) -> Tensor:
        return self.views.surface(self.number)


def bare(seen: Fragments) -> Tensor:
    """The mesh without its texture [V, 4, h, w], as `Look.surface`: normals on the side that is seen, and alpha."""
    R = seen.corners.position.new_tensor(np.stack([c.frame() for c in seen.cameras]))
    facing = torch.where(seen.cosine < 0, -1.0, 1.0)[..., None]
    normal = torch.einsum("vij,vhwj->vihw", R, seen.normal * facing)
    return torch.cat([F.normalize(F.avg_pool2d(normal, seen.supersample), dim=1), seen.alpha], 1)
