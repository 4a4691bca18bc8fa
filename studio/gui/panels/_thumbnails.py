"""Small pictures that ship with the window: the samples painted, the materials the generator was taught; and a die."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from studio.gui.theme import DATA

FINE = 8
"""The die is drawn so many times larger and averaged, which makes smooth edges."""


@dataclass(frozen=True)
class Material:
    """A sphere in the drawer."""

    name: str
    """The end of its tag."""
    label: str
    words: str
    """What it adds to the prompt."""
    file: Path


def materials() -> tuple[Material, ...]:
    """The materials in the order of the drawer."""
    return tuple(Material(Path(m["file"]).stem, m["label"], m["words"], DATA / m["file"]) for m in _listed("materials.json"))


def samples() -> dict[str, Path]:
    """The pictures of the sample meshes, by name."""
    return {sample["mesh"]: DATA / sample["file"] for sample in _listed("samples.json")}


def picture(file: Path, side_px: int) -> np.ndarray:
    """[side, side, 4] float32, no larger than the file's own picture."""
    with Image.open(file) as image:
        side = min(side_px, *image.size)
        small = image.convert("RGBA").resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(small, np.float32) / 255


def die(side_px: int) -> np.ndarray:
    """[side, side, 4] float32: the outline of a die that shows five, white for the button to tint."""
    side = side_px * FINE
    image = Image.new("L", (side, side))
    draw = ImageDraw.Draw(image)
    box = side * 0.06, side * 0.06, side * 0.94, side * 0.94
    draw.rounded_rectangle(box, side * 0.2, outline=255, width=round(side * 0.09))
    for x, y in ((0.31, 0.31), (0.69, 0.31), (0.5, 0.5), (0.31, 0.69), (0.69, 0.69)):
        draw.ellipse([side * (c + d) for d in (-0.085, 0.085) for c in (x, y)], fill=255)
    white = np.ones((side_px, side_px, 4), np.float32)
    white[..., 3] = np.asarray(image, np.float32).reshape(side_px, FINE, side_px, FINE).mean((1, 3)) / 255
    return white


def _listed(name: str) -> list[dict[str, str]]:
    path = DATA / name
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
