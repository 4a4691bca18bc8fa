"""A small mirror-symmetric mesh in several layouts of its atlas, and looks at it."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from studio import renderers
from studio.camera import ring
from studio.reward_views import bare
from studio.rewards import Look
from studio.surface.atlas import Atlas, build_atlas
from studio.surface.mesh import Mesh
from studio.texture import Taps

SIZE, PICTURE_PX = 32, 64
PROMPT = "a painted sheet"
ROWS, COLUMNS = 14, 10
LEFT, RIGHT = (2, 2), (2, 16)
"""First row and column of the two charts; the right one is laid out differently below."""
LAYOUTS = ("moved", "turned", "mirrored")


@cache
def scene(layout: str = "plain") -> tuple[Mesh, Atlas]:
    """A bumpy sheet, mirror-symmetric about x = 0, whose halves are charts of 14 × 10 whole texels; no edge meets a centre."""
    a, b = np.meshgrid([0, 2.3, 4.7, 7.1, 10], [0, 2.6, 5.1, 7.3, 9.2, 11.7, 14], indexing="xy")
    rows, columns = a.shape
    a, b = a.ravel(), b.ravel()
    x, y = a / 10 - 1, 0.7 - b / 10
    left = np.stack([x, y, 0.4 * np.cos(2.2 * x) + 0.2 * np.sin(3 * y + 0.4) + 0.15 * x * x * y], axis=-1)
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    faces = np.concatenate([corner[:, None] + (0, columns, columns + 1), corner[:, None] + (0, columns + 1, 1)])
    mirrored_a = 10 - a
    row, column = {
        "plain": (2 + b, 16 + mirrored_a),
        "moved": (13 + b, 19 + mirrored_a),
        "turned": (2 + mirrored_a, 16 + 14 - b),
        "mirrored": (2 + b, 16 + 10 - mirrored_a),
        "askew": (16 + 0.6 * (b - 7) + 0.8 * (mirrored_a - 5), 22 + 0.6 * (mirrored_a - 5) - 0.8 * (b - 7)),
    }[layout]
    uv = np.concatenate([np.stack([2 + a, 2 + b], axis=-1), np.stack([column, row], axis=-1)]) / SIZE
    every = np.concatenate([faces, faces[:, ::-1] + len(a)])
    mesh = Mesh.from_arrays(np.concatenate([left, left * (-1, 1, 1)]), every, corner_uv=uv[every], name="sheet")
    return mesh, build_atlas(mesh, SIZE)


def laid_out(base: Tensor, layout: str, *, rim: int = 0) -> Tensor:
    """The texture `base` [1, 3, T, T] of the plain layout as it looks in another one, with other noise further than `rim` texels
    outside the charts."""
    out = torch.rand(base.shape, dtype=base.dtype, generator=torch.Generator().manual_seed(99))
    rows, left = (slice(2 - rim, 2 + n + rim) for n in (ROWS, COLUMNS))
    out[..., rows, left] = base[..., rows, left]
    right = base[..., rows, 16 - rim : 16 + COLUMNS + rim]
    right = {"plain": right, "moved": right, "turned": right.rot90(-1, (2, 3)), "mirrored": right.flip(3)}[layout]
    row, column = (13 - rim, 19 - rim) if layout == "moved" else (RIGHT[0] - rim, RIGHT[1] - rim)
    out[..., row : row + right.shape[2], column : column + right.shape[3]] = right
    return out


@cache
def views(layout: str = "plain") -> tuple[Taps, Tensor]:
    """Two pictures of the sheet: the texels they show, and the bare surface."""
    mesh, atlas = scene(layout)
    seen = renderers.SOCKET.make("embree").build(torch.device("cpu")).rasterize(mesh, ring(2), PICTURE_PX)
    return Taps(seen, atlas), bare(seen)


def look(base_color: Tensor, layout: str = "plain") -> Look:
    def pictures() -> Tensor:
        return views(layout)[0].fetch(base_color)

    return Look(base_color, scene(layout)[1], PROMPT, cache(pictures), surface=lambda: views(layout)[1])


def counted(sees: str) -> Tensor:
    """[1, 1, T, T] bool: the texels that a reward may see. Pictures also show what bilinear lookups mix in around a chart."""
    if sees == "atlas":
        return scene()[1].valid[:, None]
    return views()[0].put(torch.ones(2, 1, PICTURE_PX, PICTURE_PX)) > 0


def noise(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.2 + 0.6 * torch.rand(1, 3, SIZE, SIZE, dtype=torch.float64, generator=generator)
