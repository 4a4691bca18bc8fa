"""Stills: textured meshes photographed on a seamless backdrop with soft ray-cast shadows, for contact sheets and covers.

Only the texture changes between pictures of one `Stage`; geometry, shadows and backdrop are worked out once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.environment import Environment
from studio.shade import Shader
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
FLOOR_HALF = 2.0
"""Shadows on the floor are cast at FLOOR_PX² places around the mesh, out to this distance in work units."""
OFFSET = 0.004
"""Shadow rays start so far above the surface (work units): beyond rounding, below any shape worth seeing."""
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
        obstacle, floor = Occlusion(mesh), float(mesh.vertices[:, 1].min())
        lamps, strength = _lamps(environment)
        self._shader = Shader(
            fragments,
            Taps(fragments, atlas),
            environment,
            exposure_ev=exposure_ev,
            tone=tone,
            background=_backdrop(obstacle, floor, fragments, lamps, strength),
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


def _lamps(environment: Environment) -> tuple[Tensor, Tensor]:
    """Unit directions [LAMPS, 3] to the light, and how much of it each stands for [LAMPS] (CPU).

    Systematic sampling of a Fibonacci spiral over the sphere by luminance, a third of it evenly.
    """
    count = 4096
    i = torch.arange(count) + 0.5
    y, turn = 1 - 2 * i / count, i * (math.pi * (3 - math.sqrt(5)))
    ring = (1 - y * y).sqrt()
    spiral = torch.stack([ring * turn.sin(), y, ring * turn.cos()], dim=-1)
    light = environment.to("cpu").reflected(spiral, torch.full((count,), 0.3)).mean(-1)
    chance = 2 / 3 * light / light.mean() + 1 / 3
    places = (torch.arange(LAMPS) + 0.5) / LAMPS * chance.sum()
    chosen = torch.searchsorted(chance.cumsum(0), places).clamp(max=count - 1)
    return spiral[chosen], (light / chance)[chosen]


def _unhidden(obstacle: Occlusion, point: Tensor, normal: Tensor, lamps: Tensor, strength: Tensor) -> Tensor:
    """The part [n] of the lamps' light on surfaces at `point` [n, 3] facing `normal` [n, 3] that nothing hides (CPU)."""
    arriving = (normal @ lamps.T).clamp(min=0) * strength
    place, lamp = (arriving > 0).nonzero(as_tuple=True)
    origins = (point + OFFSET * normal)[place]
    hidden = torch.from_numpy(obstacle.blocked(origins.numpy(), normal[place].numpy(), lamps[lamp].numpy()))
    passing = arriving.index_put((place, lamp), arriving[place, lamp] * ~hidden)
    return passing.sum(1) / arriving.sum(1).clamp(min=1e-9)


def _visible(obstacle: Occlusion, fragments: Fragments, lamps: Tensor, strength: Tensor, *, stride: int) -> Tensor:
    """The part of the light [V, 1, H, W] that reaches each pixel, cast at every `stride`-th and smoothed in between."""
    coarse = slice(stride // 2, None, stride)
    mask = fragments.mask[:, coarse, coarse].cpu()
    facing = torch.where(fragments.cosine < 0, -1.0, 1.0)[..., None]
    points, normals = ((x[:, coarse, coarse].cpu())[mask] for x in (fragments.position, fragments.normal * facing))
    values = torch.zeros(mask.shape)
    values[mask] = _unhidden(obstacle, points, normals, lamps, strength)
    side = fragments.face.shape[-1]
    shown = torch.stack([values * mask, mask.float()], dim=1)
    soft = F.interpolate(F.avg_pool2d(F.pad(shown, (1, 1, 1, 1)), 3, 1), size=(side, side), mode="bilinear", align_corners=False)
    return (soft[:, :1] / soft[:, 1:].clamp(min=1e-6)).clamp(0, 1).to(fragments.device)


def _backdrop(obstacle: Occlusion, floor: float, fragments: Fragments, lamps: Tensor, strength: Tensor) -> Tensor:
    """A light pool that darkens towards the corners [V, 3, H, W] (sRGB), and the mesh's shadow on the floor at this height."""
    side, device = fragments.face.shape[-1], fragments.device
    axis = (torch.arange(side) + 0.5) / side * 2 - 1
    away = ((axis[:, None] + 0.15) ** 2 + axis**2).sqrt() / 1.5
    pool = (1 - away.clamp(0, 1) ** 2) ** 2
    near, far = (linear_from_srgb(torch.tensor(c))[:, None, None] for c in BACKDROP)
    light = torch.lerp(far, near, pool)

    across = (torch.arange(FLOOR_PX) + 0.5) / FLOOR_PX * 2 - 1
    z, x = torch.meshgrid(across * FLOOR_HALF, across * FLOOR_HALF, indexing="ij")
    points = torch.stack([x, torch.full_like(x, floor), z], dim=-1).reshape(-1, 3)
    up = torch.tensor([0.0, 1.0, 0.0]).expand_as(points)
    shadow = 1 - _unhidden(obstacle, points, up, lamps, strength).reshape(1, 1, FLOOR_PX, FLOOR_PX)
    for _ in range(2):  # melts the lamps' separate shadows together
        shadow = F.avg_pool2d(F.pad(shadow, (1, 1, 1, 1), mode="replicate"), 3, 1)

    pictures = []
    for camera in fragments.cameras:
        origins, directions = (torch.from_numpy(a) for a in camera.rays(side))
        reach = (floor - origins[:, 1]) / directions[:, 1].clamp(max=-1e-6)
        at = (origins + reach[:, None] * directions)[:, [0, 2]] / FLOOR_HALF
        seen = (directions[:, 1] < -1e-6) & (reach > 0)
        edge = (1 - at.norm(dim=-1).clamp(0, 1) ** 2) * seen  # shadows fade out before the floor map ends
        cast = F.grid_sample(shadow, at.clamp(-2, 2)[None, None], align_corners=False, padding_mode="zeros")[0, 0, 0]
        pictures.append(light * (1 - 0.9 * (cast * edge).reshape(side, side)))
    return srgb_from_linear(torch.stack(pictures)).to(device)
