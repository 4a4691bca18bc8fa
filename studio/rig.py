"""A camera rig: the painting cameras, what they see of the mesh, and the bake of their pictures."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.bake import Baker, supersample
from studio.camera import Camera
from studio.coverage import coverage
from studio.renderers import Rasterizer
from studio.surface.atlas import Atlas
from studio.texture import Fragments

if TYPE_CHECKING:
    from studio.surface.mesh import Mesh

PARTS = 3


@dataclass(frozen=True, eq=False)
class Rig:
    """Painting cameras that stand where they stand; others are another rig."""

    cameras: tuple[Camera, ...]
    covered: float
    """The part of the reachable texels that the cameras see."""
    seen: Fragments
    """What the generator paints: one sub-pixel per pixel."""
    baker: Baker


def rigged(
    mesh: Mesh, atlas: Atlas, cameras: Sequence[Camera], rasterizer: Rasterizer, view_px: int, *, turning: bool = False
) -> Generator[int, None, Rig]:
    """The rig of `cameras` for views of view_px², yielding how many of its PARTS are done. `turning`: its cameras are learned."""
    covered = coverage(mesh, atlas, cameras)
    seen = rasterizer.rasterize(mesh, cameras, view_px)
    yield 1
    fine = rasterizer.rasterize(mesh, cameras, view_px, supersample=supersample(atlas, view_px))
    yield 2
    baking = Baker.in_steps(fine, atlas, shown=seen.mask, turning=turning)
    while True:
        try:
            next(baking)
        except StopIteration as made:
            return Rig(tuple(cameras), covered, seen, made.value)
        yield PARTS
