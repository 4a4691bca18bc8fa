"""The studio behind the mesh in the viewport: a dark warm room with a pool of light, and the mesh's soft shadow on the floor."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.shadow import Floor
from studio.texture import linear_from_srgb, srgb_from_linear

if TYPE_CHECKING:
    from studio.camera import Camera

ROOM = (0.106, 0.102, 0.096)
"""sRGB of the corners, where the room blends into the window around it."""
WALL = (0.300, 0.285, 0.265)
"""sRGB of the wall where the light behind the mesh is brightest."""
SPOT = (0.47, 0.445, 0.405)
"""sRGB that a lamp above the mesh adds to the floor under it."""
DARKEST = 0.94
"""How much of the floor's light the deepest shadow takes."""
CONTRAST = 1.9
"""Shadows are deepened: on a dark floor they would hardly be seen."""
CELL_PX = 4
"""The room is smooth: it is worked out for cells of so many pixels and drawn bilinearly."""
NOISE_PX = 128


def backdrop(camera: Camera, width: int, height: int, floor: Floor, shadow: Tensor) -> Tensor:
    """The room behind a picture [height, width, 3] (sRGB); `shadow` is `Floor.shadow`. On the device of `shadow`."""
    device = shadow.device
    columns, rows = -(-width // CELL_PX), -(-height // CELL_PX)
    x = ((torch.arange(columns, device=device) + 0.5) * CELL_PX * 2 - width) / height
    y = (torch.arange(rows, device=device) + 0.5) * CELL_PX * 2 / height - 1
    room, wall, spot = (linear_from_srgb(torch.tensor(c, device=device)) for c in (ROOM, WALL, SPOT))
    pool = torch.outer(torch.exp(-1.1 * (y + 0.12) ** 2), torch.exp(-0.62 * x**2)).reshape(-1, 1)

    across, up, back = (torch.from_numpy(axis).float().to(device) for axis in camera.frame())
    plane = (x[:, None] * across - y[:, None, None] * up).reshape(-1, 3) * camera.half_height()
    eye = torch.from_numpy(camera.position()).float().to(device)
    if camera.orthographic:
        origins, directions = eye + plane, -back.expand_as(plane)
    else:
        origins, directions = eye.expand_as(plane), plane - camera.distance * back
    at, seen = floor.met(origins, directions)
    lit = torch.exp(-4.5 * at.square().sum(-1, keepdim=True)) * seen[:, None]
    left = 1 - DARKEST * floor.cast(shadow, at, seen)[:, None]
    light = srgb_from_linear((room + (wall - room) * pool + spot * lit) * left**CONTRAST)
    light = light.T.reshape(1, 3, rows, columns)
    light = F.interpolate(light, scale_factor=CELL_PX, mode="bilinear", align_corners=False)[0, :, :height, :width]
    return light.movedim(0, -1) + _noise(width, height, device)


@lru_cache(maxsize=4)
def _noise(width: int, height: int, device: torch.device) -> Tensor:
    """Triangular noise of ±1 / 255 [height, width, 1]: dark gradients in 8 bits show steps without it."""
    generator = torch.Generator().manual_seed(0)
    tile = (torch.rand(NOISE_PX, NOISE_PX, generator=generator) - torch.rand(NOISE_PX, NOISE_PX, generator=generator)) / 255
    return tile.repeat(-(-height // NOISE_PX), -(-width // NOISE_PX))[:height, :width, None].contiguous().to(device)
