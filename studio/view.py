"""Fast pictures of one mesh for the viewport: lit like `shade.Shader`, of any shape, on a studio backdrop. No gradients.

A picture is drawn band by band, sample by sample. What the geometry of the last shot costs is kept, so that a new texture under
the same camera is only looked up and lit.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio import environment
from studio.backdrop import backdrop
from studio.errors import unknown
from studio.heat import CLAY, HOTTEST, on_clay
from studio.pixels import Mipmaps, Model, Places
from studio.renderers import Band, build
from studio.shade import checker, filmic
from studio.shadow import Floor, spiral
from studio.shot import CHANNELS, Shot
from studio.surface.occlusion import Occlusion
from studio.texture import srgb_from_linear

if TYPE_CHECKING:
    from studio.camera import Camera
    from studio.surface.mesh import Mesh
    from studio.texture import Texture

CLAY_ROUGHNESS = 0.62
WIRE = ((0.10, 0.097, 0.09), (0.914, 0.894, 0.847))
"""Edges are dark on bright surfaces and bright on dark ones."""
BAND_PIXELS = {"cpu": 1 << 16}
"""A band is about that large, to stay in a processor's cache and to be left soon; a graphics card draws the whole at once."""
KEPT_HITS = 1_500_000
"""At most so many surface pixels stay prepared for the next texture."""
FLOOR_PX, FLOOR_LAMPS = 112, 128
BACK = 8.0
"""Orthographic pictures are taken from so far away: nothing may lie behind the eye."""


class Superseded(Exception):
    """The picture is no longer wanted."""


class Viewer:
    """Draws one mesh at a time. Belongs to the thread that made it."""

    def __init__(self, device: torch.device | str = "cpu", renderer: str = "auto") -> None:
        """Raises StudioError for an unknown renderer, DeviceError when it cannot run."""
        self.device = torch.device(device)
        self._rasterizer, self.notice = build(renderer, self.device)
        self._mipmaps: OrderedDict[int, tuple[object, Mipmaps]] = OrderedDict()

    def show(self, mesh: Mesh) -> None:
        """Take up `mesh`: its tables, and what hides light from it and from the floor."""
        obstacle = Occlusion(mesh)
        self._mesh, self._model = mesh, Model(mesh, obstacle, self.device)
        self._floor = Floor(obstacle, float(mesh.vertices[:, 1].min()) - 0.002, _upper(FLOOR_LAMPS), FLOOR_PX)
        self._frame: _Frame | None = None
        self._lit: _Light | None = None

    def draw(
        self,
        shot: Shot,
        texture: Texture,
        *,
        before: Texture | None = None,
        heat: Tensor | None = None,
        out: np.ndarray | None = None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> np.ndarray:
        """RGBA float32 [height, width, 4] in sRGB, colours not multiplied by alpha; written into `out` when that is given.

        `heat` [S, 1, T, T] ≥ 0 is shown in colours over clay. `wanted` is asked between bands and samples: raises Superseded
        when it says no. Raises StudioError for an unknown channel or environment.
        """
        if shot.channel not in CHANNELS:
            raise unknown("channel", shot.channel, CHANNELS)
        with torch.no_grad():  # not inference mode: environments made here are shared with runs, which need gradients
            frame = self._framed(shot)
            picture = np.empty((shot.height, shot.width, 4), np.float32) if out is None else out
            here = self.device.type == "cpu"
            drawn = torch.from_numpy(picture) if here else torch.empty(picture.shape, device=self.device)
            for number, band in enumerate(frame.bands):
                rows = slice(band.top, band.top + band.rows)
                room, pictures = frame.room[rows].reshape(-1, 4), []
                for sample in range(shot.samples):
                    if not wanted():
                        raise Superseded
                    places = frame.places(number, sample)
                    colours = self._colours(shot, frame, places, texture, before, heat)
                    colours = torch.cat([colours, torch.ones_like(colours[:, :1])], dim=1)
                    pictures.append(room.index_copy(0, places.pixel, colours))
                mean = pictures[0] if len(pictures) == 1 else torch.stack(pictures).mean(0)
                if not shot.backdrop:
                    mean[:, :3] /= mean[:, 3:].clamp(min=1e-6)
                drawn[rows] = mean.reshape(band.rows, band.width, 4)
            if shot.samples == 1 and shot.backdrop:
                frame.soften(drawn)
            if not here:
                torch.from_numpy(picture).copy_(drawn)
        return picture

    def pick(self, camera: Camera, width: int, height: int, x: float, y: float) -> tuple[float, float, float] | None:
        """The surface point under pixel (x, y) from the top left, or None."""
        row = int(y)
        if not (0 <= x < width and 0 <= row < height):
            return None
        band = Band(width, height, row, 1, shift=(0.0, y - row - 0.5))
        with torch.no_grad():
            pixel, face, bary = self._rasterizer.surface(self._mesh, _taken_back(camera), band)
            found = (pixel == int(x)).nonzero()[:, 0].tolist()
            if not found:
                return None
            corners = self._mesh.vertices[self._mesh.faces[int(face[found[0]])]]
            at = bary[found[0]].cpu().numpy() @ corners
        return float(at[0]), float(at[1]), float(at[2])

    def _framed(self, shot: Shot) -> _Frame:
        """The prepared geometry and light of the shot; the last one is kept."""
        if self._frame is None or self._frame.made_for != shot.geometry:
            self._frame = _Frame(self, shot, self._light(shot))
        return self._frame

    def _light(self, shot: Shot) -> _Light:
        """The shot's environment, its shadows made; the last one is kept."""
        key = (shot.environment, shot.environment_turn_deg)
        if self._lit is None or self._lit.key != key:
            light = environment.load(shot.environment).turned(shot.environment_turn_deg)
            self._model.light_from(light)
            strength = light.reflected(_upper(FLOOR_LAMPS), torch.full((FLOOR_LAMPS,), 0.5)).mean(-1)
            self._lit = _Light(key, light.to(self.device), self._floor.shadow(strength).to(self.device))
        return self._lit

    def _colours(
        self, shot: Shot, frame: _Frame, places: Places, texture: Texture, before: Texture | None, heat: Tensor | None
    ) -> Tensor:
        """sRGB [n, 3] of surface pixels."""
        if heat is not None:
            shown = self._heated(shot, places, heat)
        else:
            shown = self._painted(shot, frame, places, texture)
            if before is not None and shot.split is not None:
                left = (places.pixel % shot.width < shot.split * shot.width)[:, None]
                shown = torch.where(left, self._painted(shot, frame, places, before), shown)
        if shot.wireframe:
            dark, bright = (shown.new_tensor(c) for c in WIRE)
            luminance = shown @ shown.new_tensor([0.3, 0.6, 0.1])
            shown = torch.lerp(shown, torch.where(luminance[:, None] > 0.42, dark, bright), 0.7 * places.wire)
        return shown

    def _painted(self, shot: Shot, frame: _Frame, places: Places, texture: Texture) -> Tensor:
        """sRGB [n, 3] of the shot's channel."""
        if shot.channel == "normal":
            return (places.normal + 1) / 2
        if shot.channel == "uv_checker":
            return checker(places.uv)
        if shot.channel == "depth":
            near, far = frame.reach
            return ((far - places.depth) / (far - near)).clamp(0, 1)[:, None].expand(-1, 3)
        if shot.channel == "clay":
            clay = places.facing.new_tensor((*CLAY, CLAY_ROUGHNESS, 0.0)).expand(len(places), -1)
            return _shown(shot, places.lighting(clay[:, :3], clay[:, 3:4], clay[:, 4:]))
        values = self._mips(texture, lambda: _stacked(texture))(places.taps(texture.size_px))
        base_color, roughness, metallic = values.split([3, 1, 1], dim=1)
        if shot.channel == "material":
            return _shown(shot, places.lighting(base_color, roughness, metallic))
        return {"base_color": base_color, "roughness": roughness, "metallic": metallic}[shot.channel].expand(-1, 3)

    def _heated(self, shot: Shot, places: Places, heat: Tensor) -> Tensor:
        """sRGB [n, 3] of clay in the colours of `heat`."""
        level = self._mips(heat, lambda: heat / _strong(heat))(places.taps(heat.shape[-1])).clamp(0, 1)
        table = torch.tensor(on_clay(), device=self.device)
        colours = table[(level[:, 0] * (len(table) - 1)).round().long()]
        return _shown(shot, places.lighting(colours, torch.full_like(level, CLAY_ROUGHNESS), torch.zeros_like(level)))

    def _mips(self, source: Texture | Tensor, texels: Callable[[], Tensor]) -> Mipmaps:
        """The mipmaps of a texture or a heat map; the last three are kept."""
        if id(source) not in self._mipmaps:
            self._mipmaps[id(source)] = source, Mipmaps(texels().to(self.device))
            while len(self._mipmaps) > 3:
                self._mipmaps.popitem(last=False)
        self._mipmaps.move_to_end(id(source))
        return self._mipmaps[id(source)][1]


@dataclass(frozen=True)
class _Light:
    """An environment that is turned, and the mesh's shadow on the floor in it."""

    key: tuple[str, float]
    environment: environment.Environment
    shadow: Tensor


class _Frame:
    """What pictures with one camera, size and light share."""

    def __init__(self, viewer: Viewer, shot: Shot, light: _Light) -> None:
        self.made_for = shot.geometry
        self._viewer, self._shot, self._light = viewer, shot, light
        self._camera = _taken_back(shot.camera)
        rows = max(1, BAND_PIXELS.get(viewer.device.type, shot.width * shot.height) // shot.width)
        self.bands = [Band(shot.width, shot.height, top, min(rows, shot.height - top)) for top in range(0, shot.height, rows)]
        self._places: dict[tuple[int, int], Places] = {}
        self._hits = 0

    @property
    def reach(self) -> tuple[float, float]:
        """The mesh's nearest and farthest depth."""
        along = self._viewer._mesh.vertices @ self._camera.direction().astype(np.float32)
        eye = float(np.dot(self._camera.position(), self._camera.direction()))
        return eye - float(along.max()), eye - float(along.min()) + 1e-6

    @cached_property
    def room(self) -> Tensor:
        """What is behind the mesh [height, width, 4]."""
        shot = self._shot
        room = torch.zeros(shot.height, shot.width, 4, device=self._viewer.device)
        if shot.backdrop:
            room[..., :3] = backdrop(self._camera, shot.width, shot.height, self._viewer._floor, self._light.shadow)
            room[..., 3] = 1
        return room

    def soften(self, picture: Tensor) -> None:
        """Melt the steps of the silhouette in a picture [height, width, 4] of one sample a pixel."""
        flat, offsets, weights = picture.view(-1, 4), *self._neighbours
        flat[self._edge] = (flat[self._edge[:, None] + offsets] * weights[:, None]).sum(1)

    @cached_property
    def _edge(self) -> Tensor:
        """The pixels, counted over the picture, between the surface and the room; none at the picture's border."""
        shot = self._shot
        hit = torch.zeros(shot.height * shot.width, device=self._viewer.device)
        for number, band in enumerate(self.bands):
            hit[self.places(number, 0).pixel + band.top * shot.width] = 1
        share = F.avg_pool2d(hit.reshape(1, shot.height, shot.width), 3, 1)[0]
        row, column = ((share > 0.05) & (share < 0.95)).nonzero(as_tuple=True)
        return (row + 1) * shot.width + column + 1

    @cached_property
    def _neighbours(self) -> tuple[Tensor, Tensor]:
        """A pixel's 3 × 3 neighbours, as steps from it, and their weights."""
        device = self._viewer.device
        side, weight = torch.tensor([-1, 0, 1], device=device), torch.tensor([0.25, 0.5, 0.25], device=device)
        return (side[:, None] * self._shot.width + side).flatten(), torch.outer(weight, weight).flatten()

    def places(self, number: int, sample: int) -> Places:
        """What a sample of a band shows."""
        if (number, sample) in self._places:
            return self._places[number, sample]
        viewer, grid = self._viewer, round(math.sqrt(self._shot.samples))
        shift = ((sample % grid + 0.5) / grid - 0.5, (sample // grid + 0.5) / grid - 0.5)
        band = replace(self.bands[number], shift=shift)
        hits = viewer._rasterizer.surface(viewer._mesh, self._camera, band)
        made = Places(viewer._model, self._light.environment, self._camera, band, hits, 1 / grid)
        if self._hits + len(made) <= KEPT_HITS:
            self._hits += len(made)
            self._places[number, sample] = made
        return made


def _taken_back(camera: Camera) -> Camera:
    """An orthographic camera that sees the same with its eye outside of everything."""
    if not camera.orthographic:
        return camera
    return replace(camera, distance=BACK, fov_deg=2 * math.degrees(math.atan(camera.half_height() / BACK)))


@cache
def _upper(count: int) -> Tensor:
    """`count` directions over the upper half of the sphere [count, 3]."""
    return spiral(2 * count)[:count]


def _shown(shot: Shot, light: Tensor) -> Tensor:
    """Linear light → sRGB."""
    return srgb_from_linear(filmic(light * 2.0**shot.exposure_ev))


def _stacked(texture: Texture) -> Tensor:
    """Base colour, roughness and metallic [S, 5, T, T]."""
    return torch.cat([texture.channels[name] for name in ("base_color", "roughness", "metallic")], dim=1)


def _strong(heat: Tensor) -> float:
    """What the hottest colour stands for."""
    values = heat[heat > 0]
    values = values[:: 1 + len(values) // 200_000]
    return float(values.quantile(HOTTEST)) if len(values) else 1.0
