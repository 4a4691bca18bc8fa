"""What the surface pixels of a fast picture show: tables of the mesh, mipmaps of textures, and both looked up per pixel.

The viewport's twin of `texture.Fragments` and `texture.Taps`: for the eye, not for learning. Pictures of any shape, textures
filtered by mipmaps (Williams 1983, Pyramidal parametrics), nothing differentiable.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.heat import HOTTEST
from studio.shade import Lighting
from studio.shadow import reached, spiral, unhidden
from studio.sparse import rows_of
from studio.surface.corners import Corners

if TYPE_CHECKING:
    from studio.camera import Camera
    from studio.environment import Environment
    from studio.renderers import Band
    from studio.surface.mesh import Mesh
    from studio.surface.occlusion import Occlusion
    from studio.texture import Texture

LEVELS = 5
"""Mip levels: beyond that texels of different charts would mix."""
BACK = 8.0
"""Orthographic pictures are taken from so far away: nothing may lie behind the eye."""
HEAT_PX = 256
SHADOW_RAYS = 2_000_000
"""About as many rays find out what hides light from a mesh, whatever its size."""


# -- The mesh -------------------------------------------------------------------------------------------------------------


class Model:
    """A mesh as tables on a device."""

    def __init__(self, mesh: Mesh, obstacle: Occlusion, device: torch.device) -> None:
        """Casts `SHADOW_RAYS`, which takes a moment."""
        corners = Corners.of(mesh)
        count = len(mesh.faces)
        uv = corners.position.new_zeros(count, 3, 2) if corners.uv is None else corners.uv
        table = torch.cat([corners.position, corners.normal, uv, torch.ones(count, 3, 1)], dim=-1)
        self.corner = table.reshape(-1, 9).to(device)
        """[3 F, 9] of each face's corners: position, normal, uv, the part of the light that nothing hides."""
        a, b = (uv[:, k] - uv[:, 0] for k in (1, 2))
        sides = [corners.position[:, k] - corners.position[:, 0] for k in (1, 2)]
        area = torch.linalg.cross(*sides).norm(dim=-1).clamp(min=1e-12)
        density = ((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).abs() / area).sqrt()
        self.flat = torch.cat([corners.geometric_normal, density[:, None], corners.face_set[:, None]], dim=-1).to(device)
        """[F, 5]: normal, uv units per work unit, texture set."""
        self.sets = len(mesh.sets)
        self.vertices = torch.from_numpy(np.array(mesh.vertices)).to(device)
        self.faces = torch.from_numpy(mesh.faces.astype(np.int64)).to(device)
        self._obstacle = obstacle
        self._lit: tuple[str, float] | None = None

    def light_from(self, environment: Environment) -> None:
        """Set how much of `environment`'s light reaches each corner."""
        if self._lit == (key := (environment.name, environment.azimuth_deg)):
            return
        normal, lamps, seen, corner = self._hidden
        strength = environment.to("cpu").reflected(lamps, torch.full((len(lamps),), 0.6)).mean(-1)
        self.corner[:, 8] = unhidden(normal, lamps, strength, seen)[corner].to(self.corner.device)
        self._lit = key

    @cached_property
    def _hidden(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Places on the surface: normals [P, 3], lamps [L, 3], which lamps they see [P, L]; and each corner's place [3 F]."""
        position, normal = self.corner[:, :3].cpu(), self.corner[:, 3:6].cpu()
        # Corners at one vertex with one normal are one place. Whole numbers are sorted many times faster than rows of vectors;
        # should two places ever share a number, they share their shadows.
        bits = normal.contiguous().numpy().view(np.uint32).astype(np.uint64)
        number = self.faces.reshape(-1).cpu().numpy().astype(np.uint64)
        for k, factor in enumerate((0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)):
            number = (number ^ bits[:, k]) * np.uint64(factor)
        _, first, corner = np.unique(number, return_index=True, return_inverse=True)
        position, normal = position[first], normal[first].contiguous()
        lamps = spiral(max(16, min(160, 2 * SHADOW_RAYS // len(first))))
        return normal, lamps, reached(self._obstacle, position, normal, lamps), torch.from_numpy(corner)


# -- Textures -------------------------------------------------------------------------------------------------------------


class Mipmaps:
    """Texels [S, C, T, T] and their halvings, row by row in one table."""

    def __init__(self, texels: Tensor) -> None:
        self.sizes = sizes_of(texels.shape[-1])
        levels = [texels.float()]
        for size in self.sizes[1:]:
            levels.append(F.adaptive_avg_pool2d(levels[-1], size))
        self._table = torch.cat([rows_of(level) for level in levels])

    def __call__(self, taps: tuple[Tensor, Tensor]) -> Tensor:
        """[n, C] from `Places.taps` of this size."""
        index, weight = taps
        return _by_channel(F.embedding_bag(index, self._table, per_sample_weights=weight, mode="sum"))


def stacked(texture: Texture) -> Tensor:
    """Base colour, roughness and metallic [S, 5, T, T]."""
    return torch.cat([texture.channels[name] for name in ("base_color", "roughness", "metallic")], dim=1)


def evened(heat: Tensor) -> Tensor:
    """A heat map [S, 1, T, T] at HEAT_PX² or less, 1 where it is hottest. Texels without heat do not cool their neighbours:
    rewards may look at a part of the texels at a time."""
    side = min(heat.shape[-1], HEAT_PX)
    pooled = F.adaptive_avg_pool2d(heat, side) / F.adaptive_avg_pool2d((heat > 0).to(heat.dtype), side).clamp(min=1e-9)
    values = pooled[pooled > 0]
    return pooled / values.quantile(HOTTEST) if len(values) else pooled


def looked_up(table: np.ndarray, level: Tensor) -> Tensor:
    """The colours [n, 3] of a table [count, 3] at levels [n] from 0 to 1."""
    return torch.tensor(table, device=level.device)[(level.clamp(0, 1) * (len(table) - 1)).round().long()]


def _by_channel(rows: Tensor) -> Tensor:
    """The same [n, C] with each channel's numbers side by side in memory: what follows is several times as fast on a CPU."""
    return rows.T.contiguous().T


def sizes_of(size_px: int) -> list[int]:
    """The sides of the mip levels of a texture."""
    return [size_px >> level for level in range(LEVELS) if size_px >> level >= 4] or [size_px]


# -- The pixels -----------------------------------------------------------------------------------------------------------


def taken_back(camera: Camera) -> Camera:
    """An orthographic camera that sees the same with its eye outside of everything."""
    if not camera.orthographic:
        return camera
    return replace(camera, distance=BACK, fov_deg=2 * math.degrees(math.atan(camera.half_height() / BACK)))


class Places:
    """What the n surface pixels of a band show, on the model's device."""

    def __init__(
        self,
        model: Model,
        light: Environment,
        camera: Camera,
        band: Band,
        hits: tuple[Tensor, Tensor, Tensor],
        sample_px: float,
    ) -> None:
        """`hits` as `Rasterizer.surface` gives them; `sample_px` is the side of what a sample stands for, in pixels."""
        self._model, self._light, self._camera, self._band = model, light, camera, band
        self._taps: tuple[int, tuple[Tensor, Tensor]] | None = None
        device = model.corner.device
        self.pixel, self.face, self.bary = (t.to(device) for t in hits)
        corner = self.face[:, None] * 3 + torch.arange(3, device=device)
        looked = _by_channel(F.embedding_bag(corner, model.corner, per_sample_weights=self.bary, mode="sum"))
        position, normal, uv, open_ = looked.split([3, 3, 2, 1], dim=1)
        self.uv = uv.clone()  # these stay while the picture does: a view of `looked` would keep all of it
        flat = _by_channel(model.flat.index_select(0, self.face))
        axis = torch.from_numpy(camera.direction()).float().to(device)
        if camera.orthographic:
            self.to_eye = axis.expand_as(position)
        else:
            self.to_eye = _unit(torch.from_numpy(camera.position()).float().to(device) - position)
        self._front = (self.to_eye * flat[:, :3]).sum(-1, keepdim=True) >= 0
        self.normal = _unit(normal)
        self._open = torch.where(self._front, open_, 1.0)  # what hides light from the back of a sheet is not known
        self.depth = camera.distance + (np.dot(camera.target, camera.direction()) - position @ axis)
        self._set = flat[:, 4].int()
        across = 2 * math.tan(math.radians(camera.fov_deg) / 2) / band.height * sample_px
        slant = (self.facing * self.to_eye).sum(-1).clamp(min=0.1).rsqrt()
        self._footprint = flat[:, 3] * slant * across * (camera.distance if camera.orthographic else self.depth)  # uv units

    def __len__(self) -> int:
        """n."""
        return len(self.pixel)

    @property
    def facing(self) -> Tensor:
        """The normals [n, 3] of the side that is seen: that is the one that is lit."""
        return torch.where(self._front, self.normal, -self.normal)

    @cached_property
    def lighting(self) -> Lighting:
        """What lights them."""
        return Lighting(self._light, self.facing, self.to_eye, visible=self._open)

    def at(self, values: Tensor) -> Tensor:
        """Values of the vertices [N] at the pixels [n]."""
        return (values[self._model.faces[self.face]] * self.bary).sum(1)

    def taps(self, size_px: int) -> tuple[Tensor, Tensor]:
        """Which four texels of the `Mipmaps` of a texture of this size each pixel shows [n, 4], and their weights [n, 4]."""
        if self._taps is None or self._taps[0] != size_px:
            self._taps = size_px, self._tapped(size_px)
        return self._taps[1]

    def _tapped(self, size_px: int) -> tuple[Tensor, Tensor]:
        sides = torch.tensor(sizes_of(size_px), device=self.pixel.device)
        level = (self._footprint * size_px).clamp(min=1e-6).log2().round().long().clamp(0, len(sides) - 1)
        starts = self._model.sets * ((sides**2).cumsum(0) - sides**2)
        side = sides[level]
        start = starts[level] + self._set * side**2
        (left, right, x), (above, below, y) = (_around(c.remainder(1) * side - 0.5, side) for c in self.uv.unbind(1))
        above, below = start + above * side, start + below * side
        index = torch.stack([above + left, above + right, below + left, below + right], dim=1).int()  # half as large
        return index, torch.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], dim=1)

    @cached_property
    def wire(self) -> Tensor:
        """[n, 1] how much of each pixel the edges of the triangles cover, fainter where triangles are only few pixels wide."""
        model, camera, band = self._model, self._camera, self._band
        T = torch.from_numpy(camera.T_clip_world()[[0, 1, 3]]).float().to(model.vertices.device)
        clip = model.vertices @ T[:, :3].T + T[:, 3]
        seen, index = self.face.unique(return_inverse=True)
        at = (clip[:, :2] / clip[:, 2:].clamp(min=1e-3) * band.height / 2)[model.faces[seen]]
        sides = at[:, [2, 0, 1]] - at[:, [1, 2, 0]]  # across from each corner
        area = (sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0]).abs()
        height = area[:, None] / sides.norm(dim=-1).clamp(min=1e-6)  # of the triangle over each side, in pixels
        away = (self.bary * height[index]).amin(-1, keepdim=True)
        dense = (height.amin(-1, keepdim=True)[index] / 9).clamp(0.12, 1)
        return (1.15 - away).clamp(0, 1) * dense


def _unit(x: Tensor) -> Tensor:
    """Of length 1, row by row; quicker than torch's own where channels lie side by side."""
    return x * x.square().sum(-1, keepdim=True).clamp(min=1e-20).rsqrt()


def _around(place: Tensor, side: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The texels [n] before and after places [n] along an axis of `side` [n] texels, and how far between them they lie [n]."""
    low = place.floor()
    near = low.long()
    return near.clamp(min=0), torch.minimum(near + 1, side - 1), place - low
