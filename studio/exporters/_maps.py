"""The pictures an export writes: which texture sets really changed, as 8-bit maps."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from studio.texture import Texture

if TYPE_CHECKING:
    from torch import Tensor

    from studio.exporters import Asset
    from studio.surface.mesh import Material


@dataclass(frozen=True, eq=False)
class Maps:
    """What replaces the maps of one texture set; None keeps the set's own. T is the side of the texture."""

    base_color: np.ndarray | None
    """[T, T, 3] uint8 sRGB, row 0 at the top."""
    surface: np.ndarray | None
    """[T, T, 3] uint8 linear as glTF packs it: red 255 (no occlusion), green roughness, blue metallic."""

    def __bool__(self) -> bool:
        return self.base_color is not None or self.surface is not None


def changed(asset: Asset, *, unwrapped: bool) -> list[Maps]:
    """The maps of every texture set that differ, in 8 bits, from what the source shows; all painted ones if it was unwrapped.

    After an unwrap a set's own maps lie on other UVs, so there is nothing to compare with.
    """
    texture, names = asset.texture, asset.painted
    own = Texture.from_mesh(asset.mesh, texture.size_px)
    now = {k: _bytes(t) for k, t in texture.channels.items()}
    before = {k: _bytes(t) for k, t in own.channels.items()}

    def differs(name: str, s: int) -> bool:
        return name in names and name in now and (unwrapped or not np.array_equal(now[name][s], before[name][s]))

    result = []
    for s in range(len(texture.names)):
        surface = None
        if differs("roughness", s) or differs("metallic", s):
            rough, metal = (now.get(k, before[k])[s] for k in ("roughness", "metallic"))
            surface = np.concatenate([np.full_like(rough, 255), rough, metal], axis=-1)
        result.append(Maps(now["base_color"][s] if differs("base_color", s) else None, surface))
    return result


def with_alpha(color: np.ndarray, material: Material) -> np.ndarray:
    """`color` [T, T, 3] with the opacity of the material's own map, resampled; unchanged when that map has none."""
    own = material.base_color
    if own is None or own.shape[-1] < 4 or own[..., 3].min() == 255:
        return color
    return np.concatenate([color, resized(own[..., 3], color.shape[0])[..., None]], axis=-1)


def resized(grey: np.ndarray, size_px: int) -> np.ndarray:
    """[h, w] uint8 → [size_px, size_px], untouched when it has that size."""
    from PIL import Image

    if grey.shape == (size_px, size_px):
        return grey
    picture = Image.fromarray(np.ascontiguousarray(grey))
    return np.asarray(picture.resize((size_px, size_px), Image.Resampling.BILINEAR))


def png(pixels: np.ndarray) -> bytes:
    """[h, w, 3 or 4] or [h, w] uint8 → a PNG file's bytes."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG")
    return file.getvalue()


def _bytes(channel: Tensor) -> np.ndarray:
    """[S, C, T, T] in [0, 1] → [S, T, T, C] uint8, rounded to nearest."""
    scaled = channel.detach().cpu().float().clamp(0, 1).mul(255).round_()
    return scaled.byte().permute(0, 2, 3, 1).numpy()
