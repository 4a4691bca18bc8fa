"""Objects whose materials are known: what recovery is tried on, `studio recover --example NAME`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.errors import unknown
from studio.texture import Texture, linear_from_srgb

if TYPE_CHECKING:
    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh

PATCHES = torch.tensor(
    [  # sRGB, roughness, metallic
        (0.80, 0.15, 0.12, 0.25, 0.0),
        (0.02, 0.02, 0.02, 0.12, 0.0),  # black, glossy
        (0.20, 0.55, 0.25, 0.60, 0.0),
        (0.93, 0.72, 0.33, 0.25, 1.0),  # gold
        (0.85, 0.85, 0.82, 0.55, 0.0),
        (0.10, 0.18, 0.55, 0.35, 0.0),
        (0.06, 0.06, 0.07, 0.65, 0.0),  # black, rough
        (0.92, 0.70, 0.25, 0.45, 0.0),
        (0.77, 0.78, 0.78, 0.40, 1.0),  # steel
        (0.45, 0.28, 0.18, 0.50, 0.0),
        (0.00, 0.00, 0.00, 0.30, 0.0),  # black, between
        (0.62, 0.22, 0.55, 0.20, 0.0),
        (0.35, 0.65, 0.75, 0.45, 0.0),
        (0.08, 0.05, 0.04, 0.20, 0.0),  # nearly black, glossy
        (0.95, 0.64, 0.54, 0.55, 1.0),  # copper
        (0.60, 0.60, 0.60, 0.30, 0.0),
        (0.90, 0.50, 0.15, 0.50, 0.0),
        (0.12, 0.12, 0.12, 0.60, 0.0),  # dark, rough
    ]
)
"""The eighteen materials of the sphere, six around in each of three rows."""
DARK = (1, 6, 10, 13, 17)
"""Those of them that are black or nearly so."""


@dataclass(frozen=True, eq=False)
class Example:
    """A mesh, and what it is made of at points [n, 3] of work space: [n, 5] sRGB, roughness, metallic."""

    mesh: Mesh
    rows: Callable[[Tensor], Tensor]

    def material(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Linear base colour [n, 3], roughness [n] and metallic [n] at points [n, 3]."""
        rows = self.rows(points)
        return linear_from_srgb(rows[:, :3]), rows[:, 3], rows[:, 4]

    def texture(self, atlas: Atlas) -> Texture:
        """The same as a texture."""
        rows = self.rows(atlas.position.reshape(-1, 3)).reshape(atlas.sets, atlas.size_px, atlas.size_px, 5).movedim(-1, 1)
        stack = atlas.dilated(rows)
        channels = {"base_color": stack[:, :3], "roughness": stack[:, 3:4], "metallic": stack[:, 4:5]}
        names = tuple(material.name for material in self.mesh.sets)
        return Texture(names, {name: channel.contiguous() for name, channel in channels.items()})


LAMPS = ((-42, 40, 28, 7.0), (70, 15, 24, 4.0), (165, 35, 24, 6.0), (-110, -30, 24, 3.5), (20, -55, 28, 3.5))
"""Azimuth, elevation, half width in degrees, radiance."""


def lamps(rows: int = 200) -> Tensor:
    """The light of the examples: a panorama [rows, 2·rows, 3] of a dim room with soft lamps on all sides.

    Gloss shows in what it mirrors: where all light comes from above, nothing could tell matt from glossy below.
    """
    polar = ((torch.arange(rows) + 0.5) / rows * math.pi)[:, None]
    turn = ((torch.arange(2 * rows) + 0.5) / rows - 1) * math.pi
    way = torch.stack([polar.sin() * turn.sin(), polar.cos().expand(rows, 2 * rows), -polar.sin() * turn.cos()], -1)
    room = torch.full((rows, 2 * rows), 0.2)
    for azimuth_deg, elevation_deg, half_deg, radiance in LAMPS:
        a, e = math.radians(azimuth_deg), math.radians(elevation_deg)
        centre = torch.tensor([math.cos(e) * math.sin(a), math.sin(e), math.cos(e) * math.cos(a)])
        away_deg = (way @ centre).clamp(-1, 1).acos().rad2deg()
        room = room + radiance * torch.sigmoid((half_deg - away_deg) * 1.5)
    return room[..., None].expand(rows, 2 * rows, 3).contiguous()


def example(name: str) -> Example:
    """One of EXAMPLES. Raises StudioError for another name."""
    if name not in EXAMPLES:
        raise unknown("example", name, EXAMPLES)
    return EXAMPLES[name]()


def _sample(name: str, rows: Callable[[Tensor], Tensor]) -> Example:
    from studio import resources
    from studio.surface.mesh import load

    return Example(load(resources.sample(name)), rows)


SOFT = 0.08
"""Neighbouring patches run into each other over this part of a patch, to either side of their border."""


def patch(points: Tensor) -> tuple[Tensor, Tensor]:
    """[n] which of the eighteen patches lies at points [n, 3], and [n] bool: away from its borders.

    Six by longitude in each of three bands of equal height.
    """
    weights = _shares(points)
    return weights.argmax(-1), weights.amax(-1) > 0.999


def _shares(points: Tensor) -> Tensor:
    """[n, 18] how much of each patch there is at points [n, 3]."""
    around = torch.atan2(points[:, 0], points[:, 2]) / (2 * math.pi) % 1 * 6
    down = (1 - points[:, 1] / points.norm(dim=1).clamp(min=1e-6)) / 2 * 3
    columns, rows = (torch.arange(n, device=points.device) + 0.5 for n in (6, 3))
    away = (around[:, None] - columns + 3) % 6 - 3

    def within(distance: Tensor) -> Tensor:
        t = ((0.5 + SOFT - distance.abs()) / (2 * SOFT)).clamp(0, 1)
        return t * t * (3 - 2 * t)

    across, along = within(away), within(down.clamp(0.5, 2.5)[:, None] - rows)
    return F.normalize((along[:, :, None] * across[:, None]).flatten(1), p=1, dim=1)


def _sphere_rows(points: Tensor) -> Tensor:
    return _shares(points) @ PATCHES.to(points.device)


def _banded(numbers: tuple[int, ...], bands: int, axis: int) -> Callable[[Tensor], Tensor]:
    """Bands of the eighteen materials along an axis of work space, each one mottled a little in colour and roughness."""

    def rows(points: Tensor) -> Tensor:
        band = ((points[:, axis] + 0.9) / 1.8 * bands).long().clamp(0, bands - 1) % len(numbers)
        found = PATCHES.to(points.device)[torch.tensor(numbers, device=points.device)[band]].clone()
        mottle = (
            torch.sin(points * 23).prod(-1, keepdim=True) + torch.sin(points[:, [1, 2, 0]] * 41 + 1).prod(-1, keepdim=True)
        ) / 2
        found[:, :3] = (found[:, :3] * (1 + 0.15 * mottle)).clamp(0, 1)
        found[:, 3:4] = (found[:, 3:4] + 0.06 * mottle).clamp(0.08, 1)
        return found

    return rows


def sphere_mesh(columns: int = 96, rows: int = 48, *, margin: float = 1 / 64) -> Mesh:
    """A sphere of radius 0.9 by longitude and latitude, one chart with a seam at the back."""
    from studio.surface.mesh import Mesh

    s, t = np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows + 1))
    angle, polar = 2 * np.pi * np.where(s == 1, 0.0, s) - np.pi, np.pi * t
    ring = np.where((t == 0) | (t == 1), 0.0, np.sin(polar))
    places = np.stack([ring * np.sin(angle), np.cos(polar), ring * np.cos(angle)], -1).reshape(-1, 3)
    uv = np.stack([margin + s * (1 - 2 * margin), margin + t * (1 - 2 * margin)], -1).reshape(-1, 2)
    j, i = np.meshgrid(np.arange(columns), np.arange(rows))
    a = (i * (columns + 1) + j).reshape(-1)
    b, c, d = a + columns + 1, a + columns + 2, a + 1
    faces = np.concatenate([np.stack([a, b, c], 1)[i.reshape(-1) < rows - 1], np.stack([a, c, d], 1)[i.reshape(-1) > 0]])
    normals = places / np.linalg.norm(places, axis=1, keepdims=True)
    return Mesh.from_arrays(places, faces, corner_uv=uv[faces], corner_normals=normals[faces], name="sphere")


EXAMPLES: dict[str, Callable[[], Example]] = {
    "sphere": lambda: Example(sphere_mesh(), _sphere_rows),
    "vase": lambda: _sample("vase", _banded((4, 1, 3, 5, 11, 6), 9, 1)),
    "robot": lambda: _sample("robot", _banded((8, 0, 1, 7, 14, 2, 17), 11, 1)),
}
