"""Fast pictures of one mesh for the viewport: lit like `shade.Shader`, of any shape, on a studio backdrop. No gradients.

A picture is drawn band by band, sample by sample. What the geometry of the last shot costs is kept, so that a new texture under
the same camera is only looked up and lit.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio import environment
from studio.backdrop import backdrop
from studio.errors import unknown
from studio.heat import CLAY, on_clay, two_sided
from studio.inking import ink
from studio.pixels import Mipmaps, Model, Places, evened, looked_up, stacked, taken_back
from studio.renderers import Band, build
from studio.shade import checker, filmic
from studio.shadow import Floor, upper
from studio.shot import CHANNELS, Shot
from studio.surface.occlusion import Occlusion
from studio.texture import srgb_from_linear

if TYPE_CHECKING:
    from studio.camera import Camera
    from studio.fields import Field
    from studio.marks import Marks
    from studio.surface.mesh import Mesh
    from studio.texture import Texture

CLAY_ROUGHNESS = 0.62
WIRE = ((0.10, 0.097, 0.09), (0.914, 0.894, 0.847))
"""Edges are dark on bright surfaces and bright on dark ones."""
BAND_PIXELS = {"cpu": 1 << 16}
"""A band is about that large, to stay in a processor's cache and to be left soon; a graphics card draws the whole at once."""
KEPT_HITS = 1_000_000
"""At most so many surface pixels stay prepared for the next texture; each takes some 140 bytes."""
FLOOR_PX, FLOOR_LAMPS = 112, 128


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
        self._floor = Floor(obstacle, float(mesh.vertices[:, 1].min()) - 0.002, upper(FLOOR_LAMPS), FLOOR_PX)
        self._frame: _Frame | None = None
        self._lit: _Light | None = None

    def draw(
        self,
        shot: Shot,
        texture: Texture,
        *,
        before: Texture | None = None,
        heat: Tensor | Field | None = None,
        marks: Sequence[Marks] = (),
        out: np.ndarray | None = None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> np.ndarray:
        """RGBA float32 [height, width, 4] in sRGB, colours not multiplied by alpha; written into `out` when that is given.

        `heat` [S, 1, T, T] ≥ 0, or a field, is shown in colours over clay, and `marks` over everything. `wanted` is asked between
        bands and samples: raises Superseded when it says no. Raises StudioError for an unknown channel or environment.
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
            for each in marks:
                ink(drawn, frame.depth, frame.camera, each)
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
            pixel, face, bary = self._rasterizer.surface(self._mesh, taken_back(camera), band)
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
            strength = light.reflected(upper(FLOOR_LAMPS), torch.full((FLOOR_LAMPS,), 0.5)).mean(-1)
            self._lit = _Light(key, light.to(self.device), self._floor.shadow(strength).to(self.device))
        return self._lit

    def _colours(
        self, shot: Shot, frame: _Frame, places: Places, texture: Texture, before: Texture | None, heat: Tensor | Field | None
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
            return self._clay(shot, places, places.facing.new_tensor(CLAY).expand(len(places), -1))
        values = self._mips(texture, lambda: stacked(texture))(places.taps(texture.size_px))
        base_color, roughness, metallic = values.split([3, 1, 1], dim=1)
        if shot.channel == "material":
            return _shown(shot, places.lighting(base_color, roughness, metallic))
        return {"base_color": base_color, "roughness": roughness, "metallic": metallic}[shot.channel].expand(-1, 3)

    def _heated(self, shot: Shot, places: Places, heat: Tensor | Field) -> Tensor:
        """sRGB [n, 3] of clay in the colours of `heat`."""
        if isinstance(heat, Tensor):
            mips = self._mips(heat, lambda: evened(heat))
            level, table = mips(places.taps(mips.sizes[0]))[:, 0], on_clay()
        else:
            values = torch.from_numpy(heat.values).to(self.device)
            if values.ndim == 1:
                level = places.at(values)
            else:
                level = self._mips(heat, lambda: values[:, None])(places.taps(values.shape[-1]))[:, 0]
            level, table = ((level + 1) / 2, two_sided()) if heat.signed else (level, on_clay())
        return self._clay(shot, places, looked_up(table, level))

    @staticmethod
    def _clay(shot: Shot, places: Places, colours: Tensor) -> Tensor:
        """sRGB [n, 3] of matt clay in these colours."""
        rough = torch.full_like(colours[:, :1], CLAY_ROUGHNESS)
        return _shown(shot, places.lighting(colours, rough, torch.zeros_like(rough)))

    def _mips(self, source: object, texels: Callable[[], Tensor]) -> Mipmaps:
        """The mipmaps of a texture, a heat map or a field; the last three are kept."""
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
        self.camera = taken_back(shot.camera)
        rows = max(1, BAND_PIXELS.get(viewer.device.type, shot.width * shot.height) // shot.width)
        self.bands = [Band(shot.width, shot.height, top, min(rows, shot.height - top)) for top in range(0, shot.height, rows)]
        self._places: dict[tuple[int, int], Places] = {}
        self._hits = 0

    @property
    def reach(self) -> tuple[float, float]:
        """The mesh's nearest and farthest depth."""
        along = self._viewer._mesh.vertices @ self.camera.direction().astype(np.float32)
        eye = float(np.dot(self.camera.position(), self.camera.direction()))
        return eye - float(along.max()), eye - float(along.min()) + 1e-6

    @cached_property
    def room(self) -> Tensor:
        """What is behind the mesh [height, width, 4]."""
        shot = self._shot
        room = torch.zeros(shot.height, shot.width, 4, device=self._viewer.device)
        if shot.backdrop:
            room[..., :3] = backdrop(self.camera, shot.width, shot.height, self._viewer._floor, self._light.shadow)
            room[..., 3] = 1
        return room

    @cached_property
    def depth(self) -> Tensor:
        """Of the surface along the view axis [height, width], infinite where there is none."""
        shot = self._shot
        depth = torch.full((shot.height * shot.width,), math.inf, device=self._viewer.device)
        for number, band in enumerate(self.bands):
            places = self.places(number, 0)
            depth[places.pixel + band.top * shot.width] = places.depth
        return depth.view(shot.height, shot.width)

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
        hits = viewer._rasterizer.surface(viewer._mesh, self.camera, band)
        made = Places(viewer._model, self._light.environment, self.camera, band, hits, 1 / grid)
        if self._hits + len(made) <= KEPT_HITS:
            self._hits += len(made)
            self._places[number, sample] = made
        return made


def _shown(shot: Shot, light: Tensor) -> Tensor:
    """Linear light → sRGB."""
    return srgb_from_linear(filmic(light * 2.0**shot.exposure_ev))
