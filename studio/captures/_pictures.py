"""The pictures of a set: read, checked against their cameras, scaled down, freed of the lens's distortion, put into squares."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.captures._frames import Frame
from studio.errors import StudioError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
FOLDERS = ("images", "images_2", "images_4", "images_8", "rgb", ".")
"""Where pictures lie beside a file of cameras that does not name them."""
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, TypeError, MemoryError)  # what Pillow ends in


@dataclass(frozen=True, eq=False)
class Picture:
    """[h, w, 3] uint8 sRGB, and [h, w] uint8 of the object's share where it is known."""

    rgb: np.ndarray
    alpha: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Square:
    """A picture in a square: [3, n, n] uint8, [1, n, n] uint8 or None, [n, n] bool."""

    rgb: Tensor
    alpha: Tensor | None
    known: Tensor


def found(path: Path) -> Path:
    """The picture that a file names without its suffix, as NeRF's sets do; `path` itself where it has one."""
    if path.suffix.lower() in SUFFIXES:
        return path
    return next((p for s in SUFFIXES if (p := path.with_name(path.name + s)).exists()), path.with_name(path.name + ".png"))


def listed(folder: Path) -> list[Path]:
    """The pictures in or below `folder`, by name, numbers in them counting as numbers."""

    def order(path: Path) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]

    for name in FOLDERS:
        if (folder / name).is_dir():
            pictures = [p for p in (folder / name).iterdir() if p.suffix.lower() in SUFFIXES]
            if pictures:
                return sorted(pictures, key=order)
    return []


def size_of(path: Path) -> tuple[int, int] | None:
    """Width and height of a picture; None where it cannot be read."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return picture.size
    except _DAMAGED:
        return None


def read(frames: Sequence[Frame], size_px: int) -> tuple[list[Picture | None], list[str]]:
    """The frames' pictures, None where one is missing or damaged, and notes on these.

    Raises StudioError when fewer than half can be read, and for pictures whose shape is not their camera's.
    """
    with ThreadPoolExecutor(max(1, torch.get_num_threads())) as pool:
        pictures = list(pool.map(lambda frame: _read(frame, size_px), frames))
    lost = [frame.picture.name for frame, picture in zip(frames, pictures, strict=True) if picture is None]
    if 2 * len(lost) > len(frames) or len(lost) == len(frames):
        problem = f"{len(lost)} of {len(frames)} pictures are missing or damaged, the first is '{lost[0]}'."
        raise StudioError(problem, "Put the pictures where the file of cameras says they are.")
    notes = [f"The picture '{name}' is missing or damaged: it is left out." for name in lost[:8]]
    return pictures, notes + ([f"So are {len(lost) - 8} more."] if len(lost) > 8 else [])


def _read(frame: Frame, size_px: int) -> Picture | None:
    from PIL import Image

    try:
        with Image.open(frame.picture) as file:
            file.load()
            width, height = file.size
            transparent = file.mode in ("RGBA", "LA", "PA") or "transparency" in file.info
            pixels = np.asarray(_eight_bits(file).convert("RGBA" if transparent else "RGB"))
    except _DAMAGED:
        return None
    # The same shape at another scale is the same picture; anything else was cropped or turned, and its camera is another one.
    if not _alike((width, height), (frame.width, frame.height)):
        problem = f"'{frame.picture.name}' has {width} × {height} pixels, but its camera is for {frame.width} × {frame.height}."
        raise StudioError(problem, "Use the pictures the cameras were made of, neither cropped nor turned.")
    alpha = pixels[..., 3] if transparent else _mask(frame, (width, height))
    planes = pixels[..., :3] if alpha is None else np.concatenate([pixels[..., :3], alpha[..., None]], -1)
    if any(frame.distortion):
        planes = _undistorted(planes, frame)
    if max(width, height) > size_px:
        scale = size_px / max(width, height)
        planes = _reduced(planes, max(1, round(width * scale)), max(1, round(height * scale)))
    return Picture(planes[..., :3], None if alpha is None else planes[..., 3])


def _mask(frame: Frame, size: tuple[int, int]) -> np.ndarray | None:
    """[h, w] uint8 from the frame's own mask file, or the one in `masks` of the picture's name; None where there is none.

    Raises StudioError for one that cannot be read, or has another shape than the picture.
    """
    from PIL import Image

    beside = [frame.picture.parent / "masks", frame.picture.parent.parent / "masks"]
    guesses = [folder / f"{stem}.png" for folder in beside for stem in (frame.picture.stem, frame.picture.name)]
    path = frame.mask or next((p for p in guesses if p.is_file()), None)
    if path is None:
        return None
    try:
        with Image.open(path) as file:
            grey = file.getchannel("A") if file.mode == "RGBA" else _eight_bits(file).convert("L")
            fitting = np.asarray(grey if grey.size == size else grey.resize(size))
    except _DAMAGED as error:
        raise StudioError(f"The mask '{path.name}' is missing or damaged.", "Save it again as a grey PNG.") from error
    if not _alike(grey.size, size):
        problem = f"The mask '{path.name}' has {grey.width} × {grey.height} pixels, but its picture has {size[0]} × {size[1]}."
        raise StudioError(problem, "Save the mask in the shape of its picture, neither cropped nor turned.")
    return fitting


def _alike(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Widths and heights are of one shape, up to scale and a pixel's rounding."""
    return abs(size[0] * other[1] - size[1] * other[0]) <= 2e-3 * max(size) * max(other)


def _eight_bits(file: Image.Image) -> Image.Image:
    """Grey of 16 bits as grey of 8: what is brighter than 255 would be cut off."""
    from PIL import Image

    if not file.mode.startswith("I"):
        return file
    return Image.fromarray((np.asarray(file).astype(np.float32) / 257).round().clip(0, 255).astype(np.uint8))


def _reduced(planes: np.ndarray, width: int, height: int) -> np.ndarray:
    """Averaged over areas, colours weighted by alpha so that what lies behind the object does not bleed in."""
    x = torch.from_numpy(planes.astype(np.float32)).permute(2, 0, 1)[None] / 255
    alpha = x[:, 3:]
    rgb = x[:, :3] * alpha if len(alpha[0]) else x[:, :3]
    small = F.interpolate(torch.cat([rgb, alpha], 1), size=(height, width), mode="bilinear", antialias=True, align_corners=False)
    if len(alpha[0]):
        small[:, :3] /= small[:, 3:].clamp(min=1 / 255)
    return (small[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def _undistorted(planes: np.ndarray, frame: Frame) -> np.ndarray:
    """What a lens without distortion would have shown (Brown 1966, as OpenCV writes it)."""
    height, width = planes.shape[:2]
    k1, k2, p1, p2 = frame.distortion
    sx, sy = width / frame.width, height / frame.height
    x = ((torch.arange(width) + 0.5) / sx - frame.centre[0]) / frame.focal[0]
    y = (((torch.arange(height) + 0.5) / sy - frame.centre[1]) / frame.focal[1])[:, None]
    r2 = x**2 + y**2
    radial = 1 + r2 * (k1 + k2 * r2)
    u = (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2)) * frame.focal[0] + frame.centre[0]
    v = (y * radial + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y) * frame.focal[1] + frame.centre[1]
    grid = torch.stack([u * sx / width, v * sy / height], -1)[None] * 2 - 1
    picture = torch.from_numpy(planes.astype(np.float32)).permute(2, 0, 1)[None]
    moved = F.grid_sample(picture, grid.float(), padding_mode="zeros", align_corners=False)
    return moved[0].round().clamp(0, 255).byte().permute(1, 2, 0).numpy()


def squared(picture: Picture, side: int) -> Square:
    """In the upper left corner of a square of `side` pixels."""
    height, width = picture.rgb.shape[:2]

    def padded(planes: np.ndarray) -> Tensor:
        return F.pad(torch.from_numpy(np.ascontiguousarray(planes)), (0, side - width, 0, side - height))

    known = torch.zeros(side, side, dtype=torch.bool)
    known[:height, :width] = True
    alpha = None if picture.alpha is None else padded(picture.alpha)[None]
    return Square(padded(picture.rgb.transpose(2, 0, 1)), alpha, known)
