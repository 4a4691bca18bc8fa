"""Photographing a textured mesh all around: pictures with cameras, for recovery or any NeRF tool."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from studio import environment, renderers
from studio.captures import shoot, stops
from studio.device import device as find_device
from studio.errors import StudioError
from studio.progress import Progress
from studio.shelter import shelter
from studio.surface.atlas import build_atlas
from studio.surface.mesh import load
from studio.texture import Texture


def photographed(
    mesh: Path, out: Path, *, views: int, size_px: int, atlas_px: int, light: str, exposure_ev: float, device: str, renderer: str
) -> Generator[Progress, None, Path]:
    """Photograph a textured mesh all around into a folder; returns the file of cameras.

    Raises StudioError for a mesh without UVs, an unknown light, an impossible exposure and a place that cannot be written.
    """
    stops(exposure_ev, of="The exposure")
    if not 1 <= views <= 10_000 or not 16 <= size_px <= 4096:
        raise StudioError(f"{views} pictures of {size_px} pixels cannot be taken.", "Ask for 1 to 10000 of 16 to 4096 pixels.")
    yield Progress("reading", 0, 1)
    read = load(mesh)
    light_of = environment.load(light)
    atlas = build_atlas(read, atlas_px)
    rasterizer, notice = renderers.build(renderer, find_device(device))
    texture = Texture.from_mesh(read, atlas_px).to(rasterizer.device)
    yield Progress("casting occlusion", 0, 1, message=notice or "")
    stand = shoot.Studio(read, atlas, texture, light_of, rasterizer, shelter(read), exposure_ev)
    written = out
    for done, file in shoot.shoot(stand, out, views=views, size_px=size_px, environment=light):
        yield Progress("taking pictures", done, views)
        written = file or written
    return written
