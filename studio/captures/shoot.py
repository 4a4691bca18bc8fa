"""Taking pictures for a capture: a textured mesh under a known light, from cameras all around, as files any NeRF tool reads."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from studio import files
from studio.camera import Camera, looking_along
from studio.captures import OWN_FILE, Capture
from studio.pinhole import Pinhole
from studio.shade import Shader
from studio.shadow import spiral
from studio.texture import Fragments, Taps, Texture, srgb_from_linear

if TYPE_CHECKING:
    from studio.environment import Environment
    from studio.renderers import Rasterizer
    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh

EXPOSURE_EV = -1.0
"""Environments have a mean radiance of 1: a stop darker, white surface does not burn out."""
CHUNK = 1 << 16
"""Samples whose ways to the light are gathered at a time."""
LOWEST = -0.6
"""The y of the lowest camera's direction."""


@dataclass(frozen=True, eq=False)
class Studio:
    """What a picture is taken with; the texture has the atlas's size."""

    mesh: Mesh
    atlas: Atlas
    texture: Texture
    environment: Environment
    rasterizer: Rasterizer
    open: Tensor | None = None
    """[F, 3, R] uint8, how clear the ways from the faces' corners are (`studio.shelter`); None: nothing hides the light."""
    exposure_ev: float = EXPOSURE_EV

    def light(self, camera: Pinhole, size_px: int, *, supersample: int = 1) -> tuple[Tensor, Tensor]:
        """Linear light [3, h, w] of the surface, before any tone curve, and alpha [1, h, w]. The camera is in work space.

        Supersampled pictures average what textures hold; normals too.
        """
        fragments = self.rasterizer.rasterize(self.mesh, cast("Sequence[Camera]", [camera]), size_px, supersample=supersample)
        taps = Taps(fragments, self.atlas)
        visible = None
        if self.open is not None:
            visible = _clear(fragments, self.open.to(fragments.device))
        shader = Shader(fragments, taps, self.environment, exposure_ev=self.exposure_ev, visible=visible)
        with torch.no_grad():
            light = shader.linear(self.texture)
        seen = taps.alpha[0, 0] > 0
        picture = light.new_zeros(*seen.shape, 3).index_put((seen,), light)
        return picture.movedim(-1, 0), taps.alpha[0]

    def photograph(self, camera: Pinhole, size_px: int, *, supersample: int = 2) -> Tensor:
        """[4, h, w] uint8 on the CPU: sRGB, cut at white, and alpha."""
        light, alpha = self.light(camera, size_px, supersample=supersample)
        shown = torch.cat([srgb_from_linear(light.clamp(0, 1)), alpha])
        return (shown * 255).round().byte().cpu()


def _clear(fragments: Fragments, clear: Tensor) -> Tensor:
    """Rows [n, R] of the pixels of one view that show some surface, in order: the mean over their samples that do."""
    s, wide = fragments.supersample, fragments.mask.shape[-1]
    place = fragments.mask[0].flatten().nonzero()[:, 0]
    pixel = place // wide // s * (wide // s) + place % wide // s
    pixels, row = pixel.unique(return_inverse=True)
    face, bary = fragments.face[fragments.mask].long(), fragments.bary[fragments.mask]
    total, count = clear.new_zeros(len(pixels), clear.shape[-1], dtype=torch.float32), torch.bincount(row)[:, None]
    for k in range(3):
        for part in torch.arange(len(row), device=row.device).split(CHUNK):
            total.index_add_(0, row[part], clear[face[part], k] * bary[part, k, None])
    return total / count


def around(count: int, *, distance: float = 2.8) -> list[Pinhole]:
    """`count` cameras in work space that look at the mesh from all sides, down to a little below its middle."""
    ways = spiral(math.ceil(count * 2 / (1 - LOWEST)))
    cameras = [looking_along(way, base=Camera(distance=distance)) for way in ways[:count].numpy()]
    return [Pinhole.of(camera) for camera in cameras]


def taken(studio: Studio, cameras: Sequence[Pinhole], size_px: int, *, environment: str | None = None) -> Capture:
    """The pictures of `cameras` (in work space), in memory."""
    shots = torch.stack([studio.photograph(camera, size_px) for camera in cameras])
    return capture_of(studio.mesh, cameras, shots, exposure_ev=studio.exposure_ev, environment=environment)


def capture_of(
    mesh: Mesh, cameras: Sequence[Pinhole], shots: Tensor, *, exposure_ev: float, environment: str | None = None
) -> Capture:
    """A capture of pictures [V, 4, n, n] uint8 (sRGB, alpha) by cameras in the mesh's work space."""
    back = np.linalg.inv(mesh.T_work_source)
    placed = tuple(camera.moved(back) for camera in cameras)
    names = tuple(f"{i:04d}.png" for i in range(len(placed)))
    known = torch.ones(len(shots), *shots.shape[2:], dtype=torch.bool)
    return Capture(names, placed, shots[:, :3], shots[:, 3:], known, placed, environment, exposure_ev)


def shoot(studio: Studio, folder: Path, *, views: int, size_px: int, environment: str) -> Iterator[tuple[int, Path | None]]:
    """Write a set: `images/0000.png` …, then `capture.json`, which NeRF tools read as a transforms.json.

    Yields how many pictures are done, and at the end the file of cameras. Raises OutputError.
    """
    cameras, frames = around(views), []
    back = np.linalg.inv(studio.mesh.T_work_source)
    with files.folder(folder / "images"):
        # The cameras of an earlier set say nothing of these pictures; none are there until all pictures are.
        (folder / OWN_FILE).unlink(missing_ok=True)
        for i, camera in enumerate(cameras):
            yield i, None
            name = f"images/{i:04d}.png"
            files.write_bytes(folder / name, _png(studio.photograph(camera, size_px)))
            frames.append({"file_path": name, "transform_matrix": camera.moved(back).matrix.tolist()})
    focal, centre = (size_px * np.array(x) for x in (cameras[0].focal, cameras[0].centre))
    lens = {"fl_x": focal[0], "fl_y": focal[1], "cx": centre[0], "cy": centre[1], "w": size_px, "h": size_px}
    patina = {"version": 1, "environment": environment, "exposure_ev": studio.exposure_ev}
    yield views, files.write_json(folder / OWN_FILE, {**lens, "patina": patina, "frames": frames})


def _png(shot: Tensor) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(shot.permute(1, 2, 0).contiguous().numpy()).save(file, "PNG")
    return file.getvalue()
