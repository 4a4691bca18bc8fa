"""Stills: textured meshes photographed on a seamless backdrop with soft ray-cast shadows, for contact sheets and covers.

Only the texture changes between pictures of one `Stage`; geometry, shadows and backdrop are worked out once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.environment import Environment
from studio.shade import Shader
from studio.shadow import Floor, importance, reached, unhidden
from studio.surface.occlusion import Occlusion
from studio.texture import Fragments, Taps, Texture, linear_from_srgb, srgb_from_linear

if TYPE_CHECKING:
    from studio.camera import Camera
    from studio.renderers import Rasterizer
    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh

LAMPS = 96
"""Directions from which shadows fall."""
FLOOR_PX = 160
"""Shadows on the floor are cast at FLOOR_PX² places around the mesh."""
BACKDROP = ((0.86, 0.865, 0.875), (0.52, 0.53, 0.55))
"""sRGB of the backdrop, at the pool of light behind the mesh and in the corners."""


class Stage:
    """A mesh on its table before V cameras: `stage(texture)` → pictures [V, 3, size_px, size_px] in sRGB."""

    def __init__(
        self,
        mesh: Mesh,
        atlas: Atlas,
        cameras: Sequence[Camera],
        environment: Environment,
        rasterizer: Rasterizer,
        size_px: int,
        *,
        supersample: int = 2,
        exposure_ev: float = 0.0,
        tone: str = "filmic",
    ) -> None:
        """`atlas` has the textures' size. Pictures are lit at size_px · supersample and averaged after tone mapping, so that
        highlights have smooth edges too. Raises StudioError for an unknown tone."""
        self._supersample = supersample
        fragments = rasterizer.rasterize(mesh, cameras, size_px * supersample)
        obstacle = Occlusion(mesh)
        lamps, strength = importance(environment, LAMPS)
        floor = Floor(obstacle, float(mesh.vertices[:, 1].min()), lamps, FLOOR_PX)
        self._shader = Shader(
            fragments,
            Taps(fragments, atlas),
            environment,
            exposure_ev=exposure_ev,
            tone=tone,
            background=_backdrop(floor, fragments, strength),
            visible=_visible(obstacle, fragments, lamps, strength, stride=supersample),
        )

    def __call__(self, texture: Texture) -> Tensor:
        """Pictures [V, 3, size_px, size_px] of `texture`, on the rasteriser's device."""
        with torch.no_grad():
            return F.avg_pool2d(self._shader(texture), self._supersample)


def still(
    mesh: Mesh,
    atlas: Atlas,
    texture: Texture,
    camera: Camera,
    environment: Environment,
    rasterizer: Rasterizer,
    size_px: int,
    *,
    supersample: int = 2,
    exposure_ev: float = 0.0,
    tone: str = "filmic",
) -> Tensor:
    """One picture [3, size_px, size_px] in sRGB; several of one mesh are faster on one `Stage`."""
    options = {"supersample": supersample, "exposure_ev": exposure_ev, "tone": tone}
    return Stage(mesh, atlas, [camera], environment, rasterizer, size_px, **options)(texture)[0]


def _visible(obstacle: Occlusion, fragments: Fragments, lamps: Tensor, strength: Tensor, *, stride: int) -> Tensor:
    """The part of the light [V, 1, H, W] that reaches each pixel, cast at every `stride`-th and smoothed in between."""
    coarse = slice(stride // 2, None, stride)
    mask = fragments.mask[:, coarse, coarse].cpu()
    facing = torch.where(fragments.cosine < 0, -1.0, 1.0)[..., None]
    points, normals = ((x[:, coarse, coarse].cpu())[mask] for x in (fragments.position, fragments.normal * facing))
    values = torch.zeros(mask.shape)
    values[mask] = unhidden(normals, lamps, strength, reached(obstacle, points, normals, lamps))
    side = fragments.face.shape[-1]
    shown = torch.stack([values * mask, mask.float()], dim=1)
    soft = F.interpolate(F.avg_pool2d(F.pad(shown, (1, 1, 1, 1)), 3, 1), size=(side, side), mode="bilinear", align_corners=False)
    return (soft[:, :1] / soft[:, 1:].clamp(min=1e-6)).clamp(0, 1).to(fragments.device)


def _backdrop(floor: Floor, fragments: Fragments, strength: Tensor) -> Tensor:
    """A light pool that darkens towards the corners [V, 3, H, W] (sRGB), and the mesh's shadow on the floor."""
    side, device = fragments.face.shape[-1], fragments.device
    axis = (torch.arange(side) + 0.5) / side * 2 - 1
    away = ((axis[:, None] + 0.15) ** 2 + axis**2).sqrt() / 1.5
    pool = (1 - away.clamp(0, 1) ** 2) ** 2
    near, far = (linear_from_srgb(torch.tensor(c))[:, None, None] for c in BACKDROP)
    light = torch.lerp(far, near, pool)

    shadow = floor.shadow(strength)
    pictures = []
    for camera in fragments.cameras:
        origins, directions = (torch.from_numpy(a) for a in camera.rays(side))
        cast = floor.cast(shadow, *floor.met(origins, directions))
        pictures.append(light * (1 - 0.9 * cast.reshape(side, side)))
    return srgb_from_linear(torch.stack(pictures)).to(device)
