"""The texture laid flat: the part of it that is looked at, as a picture, and the outlines of the charts. Needs no screen."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from studio.gui.theme import BONE, CHARCOAL

if TYPE_CHECKING:
    from torch import Tensor

    from studio.surface.mesh import Mesh

FURTHEST, NEAREST = 0.5, 64.0
"""Zoom: the whole atlas at half the panel's size, or texels as large tiles."""
FINE = 3
"""Samples per pixel and direction at most, where texels are smaller than pixels; lines are drawn so many times larger."""
LINE_OPACITY, HALO_OPACITY = 0.85, 0.4


@dataclass(frozen=True)
class Look:
    """Which part of the unit square lies where in a picture of width × height pixels; v runs down."""

    width: int
    height: int
    zoom: float = 1.0
    u: float = 0.5
    v: float = 0.5
    """What lies in the middle."""

    @property
    def scale(self) -> float:
        """Pixels per unit of u or v: at zoom 1 the whole square fits."""
        return max(1, min(self.width, self.height)) * self.zoom

    def place(self, u: float, v: float) -> tuple[float, float]:
        """Where a point of the texture lies, in pixels."""
        return (u - self.u) * self.scale + self.width / 2, (v - self.v) * self.scale + self.height / 2

    def at(self, x: float, y: float) -> tuple[float, float]:
        """What lies at a pixel's corner: (u, v)."""
        return (x - self.width / 2) / self.scale + self.u, (y - self.height / 2) / self.scale + self.v

    def zoomed(self, factor: float, x: float, y: float) -> Look:
        """Nearer by `factor`, so that what lies at pixel (x, y) stays there."""
        u, v = self.at(x, y)
        zoom = min(NEAREST, max(FURTHEST, self.zoom * factor))
        ratio = self.zoom / zoom
        return replace(self, zoom=zoom)._centred(u + (self.u - u) * ratio, v + (self.v - v) * ratio)

    def moved(self, dx: float, dy: float) -> Look:
        """Dragged by so many pixels."""
        return self._centred(self.u - dx / self.scale, self.v - dy / self.scale)

    def _centred(self, u: float, v: float) -> Look:
        return replace(self, u=min(1.0, max(0.0, u)), v=min(1.0, max(0.0, v)))


def picture(channel: Tensor, look: Look) -> np.ndarray:
    """One texture set's channel [C, T, T] (C is 1 or 3) as `look` shows it: [height, width, 4], transparent outside."""
    size = channel.shape[-1]
    fine = min(FINE, max(1, math.ceil(size / look.scale)))
    (columns, inside_x), (rows, inside_y) = (_texels(look, axis, size, fine) for axis in ("u", "v"))
    texels = channel.detach()[:, rows][:, :, columns].numpy()
    mean = texels.reshape(len(texels), look.height, fine, look.width, fine).mean((2, 4))
    result = np.zeros((look.height, look.width, 4), np.float32)
    result[..., :3] = np.clip(mean, 0, 1).transpose(1, 2, 0)
    result[..., 3] = inside_y[:, None] * inside_x[None]
    return result


def _texels(look: Look, axis: str, size: int, fine: int) -> tuple[np.ndarray, np.ndarray]:
    """Along one axis: the texel under each of `fine` samples per pixel, and the share of each pixel within the square."""
    length, middle = (look.width, look.u) if axis == "u" else (look.height, look.v)
    place = ((np.arange(length * fine) + 0.5) / fine - length / 2) / look.scale + middle
    inside = ((place >= 0) & (place < 1)).reshape(length, fine).mean(1)
    return np.clip((place * size).astype(np.int64), 0, size - 1), inside.astype(np.float32)


def outlines(mesh: Mesh) -> list[np.ndarray]:
    """Per texture set the edges of its charts [m, 2, 2] in uv: those of one face only, or whose two faces disagree on the uv."""
    if mesh.corner_uv is None:
        return [np.zeros((0, 2, 2), np.float32) for _ in mesh.sets]
    uv = np.nan_to_num(mesh.corner_uv.reshape(-1, 2)).astype(np.float64)
    _, place = np.unique(uv[:, 0] + 1j * uv[:, 1], return_inverse=True)
    # A corner is a vertex at a uv: charts that lie upon each other keep their own edges.
    _, corner = np.unique(place * np.int64(len(mesh.vertices)) + mesh.faces.reshape(-1), return_inverse=True)
    start = np.arange(3 * len(mesh.faces)).reshape(-1, 3)
    end = np.roll(start, -1, axis=1).reshape(-1)
    start = start.reshape(-1)
    low, high = np.minimum(corner[start], corner[end]), np.maximum(corner[start], corner[end])
    _, first, count = np.unique(low * np.int64(corner.max() + 1) + high, return_index=True, return_counts=True)
    edges = first[count == 1]
    ends = np.stack([uv[start[edges]], uv[end[edges]]], 1).astype(np.float32)
    owner = mesh.face_set[edges // 3]
    return [ends[owner == i] for i in range(len(mesh.sets))]


def overlaid(ground: np.ndarray, segments: np.ndarray, look: Look, width_px: float = 1.0) -> np.ndarray:
    """`ground` [h, w, 4] with the segments [m, 2, 2] (uv) drawn over it: thin bone lines with a soft dark edge."""
    ends = (segments - np.array([look.u, look.v])) * look.scale + np.array([look.width, look.height]) / 2
    ends = ends[((ends.min(1) < (look.width, look.height)) & (ends.max(1) > 0)).all(1)]
    if not len(ends):
        return ground
    size = (look.width * FINE, look.height * FINE)
    line, halo = (_mask(ends * FINE, size, round(width_px * FINE * times)) for times in (1, 3))
    result = ground
    for mask, colour, opacity in ((halo, CHARCOAL, HALO_OPACITY), (line, BONE, LINE_OPACITY)):
        alpha = mask[..., None] * opacity
        colour = np.array([*colour[:3], 255], np.float32) / 255
        result = result * (1 - alpha) + colour * alpha
    return result.astype(np.float32)


def _mask(ends: np.ndarray, size: tuple[int, int], width: int) -> np.ndarray:
    """How much of each pixel the segments [m, 2, 2] (in fine pixels) cover: [height, width]."""
    image = Image.new("L", size)
    draw = ImageDraw.Draw(image)
    for segment in ends.reshape(-1, 4).tolist():
        draw.line(segment, fill=255, width=width)
    fine = np.asarray(image, np.float32)
    return fine.reshape(size[1] // FINE, FINE, size[0] // FINE, FINE).mean((1, 3)) / 255
