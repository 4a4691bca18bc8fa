"""The pictures an export writes: which texture sets really changed, as 8-bit maps."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

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
    """[T, T, 3] uint8 linear as glTF packs it: red occlusion (255: none), green roughness, blue metallic."""
    normal: np.ndarray | None = None
    """[T, T, 3] uint8 linear, tangent space."""
    occluded: bool = False
    """The red of `surface` is an occlusion map."""

    def __bool__(self) -> bool:
        return any(m is not None for m in (self.base_color, self.surface, self.normal))


def changed(asset: Asset, *, unwrapped: bool, size_px: int = 0) -> list[Maps]:
    """The maps of every texture set that differ, in 8 bits, from what the source shows; all painted ones if it was unwrapped.

    After an unwrap a set's own maps lie on other UVs, so there is nothing to compare with. New maps are resampled to size_px²
    (0: as painted).
    """
    texture, names = asset.texture, asset.painted
    own = Texture.from_mesh(asset.mesh, texture.size_px)

    def differs(name: str, s: int) -> bool:
        if name not in names or name not in texture.channels:
            return False
        return (
            unwrapped
            or name not in own.channels
            or not np.array_equal(pixels(texture.channels[name][s]), pixels(own.channels[name][s]))
        )

    result = []
    for s in range(len(texture.names)):
        color = surface = normal = None
        occluded = differs("occlusion", s)
        if differs("base_color", s):
            color = pixels(resampled(texture.channels["base_color"][s : s + 1], size_px)[0])
        if occluded or differs("roughness", s) or differs("metallic", s):
            shown = {"occlusion": torch.ones_like(own.channels["roughness"]), **own.channels, **texture.channels}
            packed = (resampled(shown[name][s : s + 1], size_px)[0] for name in ("occlusion", "roughness", "metallic"))
            surface = np.concatenate([pixels(plane) for plane in packed], axis=-1)
        if differs("normal", s):
            normal = pixels(resampled(texture.channels["normal"][s : s + 1], size_px)[0])
        result.append(Maps(color, surface, normal, occluded))
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


def resampled(channel: Tensor, size_px: int) -> Tensor:
    """[S, C, T, T] in [0, 1] → float32 [S, C, size_px, size_px] on the CPU; as it is when size_px is 0 or T.

    Bicubic, averaged when it shrinks. Charts are painted beyond their borders, so that neighbours do not bleed into each other.
    """
    channel = channel.detach().cpu().float()
    if size_px in (0, channel.shape[-1]):
        return channel
    options = {"mode": "bicubic", "antialias": True, "align_corners": False}
    return F.interpolate(channel, size=(size_px, size_px), **options).clamp(0, 1)


def pixels(channel: Tensor) -> np.ndarray:
    """[C, T, T] in [0, 1] → [T, T, C] uint8, rounded to nearest."""
    return channel.detach().cpu().float().clamp(0, 1).mul(255).round_().byte().permute(1, 2, 0).numpy()
