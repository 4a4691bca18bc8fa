"""The pictures that picture rewards see: the texture, lit, from cameras that are not the painting cameras."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from torch import Tensor

from studio import environment
from studio.camera import Camera
from studio.renderers import Rasterizer
from studio.shade import Shader
from studio.surface.atlas import Atlas
from studio.surface.mesh import Mesh
from studio.texture import Taps, Texture

SIZE_PX = 256
JITTER_DEG = 12.0
ENVIRONMENT = "softbox"


class RewardViews:
    """Renders base colours from jittered copies of the painting cameras; prepares nothing before a reward asks for pictures."""

    def __init__(
        self,
        mesh: Mesh,
        atlas: Atlas,
        base: Texture,
        rasterizer: Rasterizer,
        cameras: tuple[Camera, ...],
        *,
        seed: int = 0,
    ) -> None:
        """`base` gives the channels other than colour; `seed` fixes the jitter of up to JITTER_DEG per angle."""
        shift = np.random.default_rng(seed).uniform(-JITTER_DEG, JITTER_DEG, (len(cameras), 2))
        self.cameras = tuple(
            replace(c, azimuth_deg=c.azimuth_deg + float(a), elevation_deg=float(np.clip(c.elevation_deg + e, -89, 89)))
            for c, (a, e) in zip(cameras, shift, strict=True)
        )
        self._mesh, self._atlas, self._base, self._rasterizer = mesh, atlas, base, rasterizer
        self._shader: Shader | None = None

    def __call__(self, base_color: Tensor) -> Callable[[], Tensor]:
        """For base colours [S, 3, T, T]: a function that gives the pictures [V, 3, h, w] and keeps them, graph included."""
        kept: list[Tensor] = []

        def pictures() -> Tensor:
            if not kept:
                self._shader = self._shader or self._prepared()
                channels = {name: t.to(base_color.dtype) for name, t in self._base.channels.items()}
                kept.append(self._shader(replace(self._base, channels={**channels, "base_color": base_color})))
            return kept[0]

        return pictures

    def _prepared(self) -> Shader:
        seen = self._rasterizer.rasterize(self._mesh, self.cameras, SIZE_PX, supersample=2)
        return Shader(seen, Taps(seen, self._atlas), environment.load(ENVIRONMENT))
