"""Recovered against true materials under lights that recovery has not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from studio import environment
from studio.camera import Camera
from studio.captures.shoot import Studio
from studio.pinhole import Pinhole
from studio.texture import Texture, srgb_from_linear

if TYPE_CHECKING:
    from studio.renderers import Rasterizer
    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh

HELD_OUT = ("softbox", "white")
"""Lights of the studio that no example is taken under."""
VIEWS = tuple(Camera(azimuth_deg=a, elevation_deg=e) for a, e in ((25.0, 20.0), (145.0, -10.0), (265.0, 35.0)))


def pictures(
    mesh: Mesh,
    atlas: Atlas,
    texture: Texture,
    rasterizer: Rasterizer,
    light: str,
    *,
    size_px: int = 96,
    cameras: Sequence[Camera] = VIEWS,
    open_: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """What `cameras` show of a texture under a light: sRGB [V, 3, n, n], and [V, 1, n, n] bool where all of it is surface."""
    stand = Studio(mesh, atlas, texture, environment.load(light), rasterizer, open_)
    shots = [stand.light(Pinhole.of(camera), size_px, supersample=2) for camera in cameras]
    return torch.stack([srgb_from_linear(s[0].clamp(0, 1)) for s in shots]), torch.stack([s[1] == 1 for s in shots])


def held_out_psnr(
    mesh: Mesh,
    atlas: Atlas,
    found: Texture,
    truth: Texture,
    rasterizer: Rasterizer,
    *,
    lights: Sequence[str] = HELD_OUT,
    open_: Tensor | None = None,
) -> float:
    """dB between recovered and true materials, both of the atlas's size, from new views under lights not seen before.

    Both are drawn without normal maps, which the truth of an example does not have.
    """
    total, count = 0.0, 0
    for light in lights:
        (ours, seen), (theirs, _) = (pictures(mesh, atlas, texture, rasterizer, light, open_=open_) for texture in (found, truth))
        away = ((ours - theirs).square() * seen).sum()
        total, count = total + float(away), count + 3 * int(seen.sum())
    return -10 * math.log10(max(total / max(count, 1), 1e-12))
