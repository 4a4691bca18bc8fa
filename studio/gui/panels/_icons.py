"""The pictures on the buttons above the viewport, drawn at the window's scale: white lines that the button tints."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

FINE = 8
"""Drawn so many times larger and averaged, which makes smooth lines."""

Stroke = Callable[[list[tuple[float, float]]], None]


def icon(name: str, size_px: int) -> np.ndarray:
    """[size_px, size_px, 4] float32, white with opacity. Names: those of this file's functions with a `_` before them."""
    side = size_px * FINE
    image = Image.new("L", (side, side))
    draw = ImageDraw.Draw(image)
    width = round(side / 13)

    def stroke(points: list[tuple[float, float]]) -> None:
        places = [(x * side, y * side) for x, y in points]
        draw.line(places, fill=255, width=width, joint="curve")
        for x, y in places:  # round ends
            draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)

    _DRAWN[name](stroke)
    alpha = np.asarray(image, np.float32).reshape(size_px, FINE, size_px, FINE).mean((1, 3)) / 255
    result = np.ones((size_px, size_px, 4), np.float32)
    result[..., 3] = alpha
    return result


def _wireframe(stroke: Stroke) -> None:
    """A triangle cut into four."""
    top, left, right = (0.5, 0.1), (0.06, 0.86), (0.94, 0.86)
    inner = [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) for a, b in ((top, left), (left, right), (right, top))]
    stroke([top, left, right, top])
    stroke([*inner, inner[0]])


def _split(stroke: Stroke) -> None:
    """A square whose right half is hatched."""
    stroke([(0.08, 0.14), (0.92, 0.14), (0.92, 0.86), (0.08, 0.86), (0.08, 0.14)])
    stroke([(0.5, 0.02), (0.5, 0.98)])
    for y in (0.38, 0.62):
        stroke([(0.62, y), (0.82, y)])


def _turntable(stroke: Stroke) -> None:
    """A ring seen from above its edge, with an arrow's head."""
    at = [(0.5 + 0.42 * math.cos(math.radians(a)), 0.5 + 0.42 * math.sin(math.radians(a))) for a in range(-50, 245, 5)]
    stroke(at)
    x, y = at[0]
    stroke([(x - 0.24, y + 0.02), (x, y), (x - 0.02, y - 0.25)])


def _perspective(stroke: Stroke) -> None:
    """A floor that grows narrow in the distance."""
    stroke([(0.3, 0.22), (0.7, 0.22), (0.96, 0.82), (0.04, 0.82), (0.3, 0.22)])
    stroke([(0.5, 0.22), (0.5, 0.82)])
    stroke([(0.2, 0.46), (0.8, 0.46)])


def _orthographic(stroke: Stroke) -> None:
    """A floor that does not."""
    stroke([(0.12, 0.12), (0.88, 0.12), (0.88, 0.88), (0.12, 0.88), (0.12, 0.12)])
    stroke([(0.5, 0.12), (0.5, 0.88)])
    stroke([(0.12, 0.5), (0.88, 0.5)])


def _frame(stroke: Stroke) -> None:
    """Four corners around a dot."""
    for x, y, dx, dy in ((0.08, 0.08, 1, 1), (0.92, 0.08, -1, 1), (0.92, 0.92, -1, -1), (0.08, 0.92, 1, -1)):
        stroke([(x + 0.24 * dx, y), (x, y), (x, y + 0.24 * dy)])
    stroke([(0.45, 0.5), (0.5, 0.45), (0.55, 0.5), (0.5, 0.55), (0.45, 0.5)])


def _more(stroke: Stroke) -> None:
    """Three dots."""
    for x in (0.16, 0.5, 0.84):
        stroke([(x - 0.03, 0.5), (x, 0.47), (x + 0.03, 0.5), (x, 0.53), (x - 0.03, 0.5)])


_DRAWN: dict[str, Callable[[Stroke], None]] = {
    "wireframe": _wireframe,
    "split": _split,
    "turntable": _turntable,
    "perspective": _perspective,
    "orthographic": _orthographic,
    "frame": _frame,
    "more": _more,
}
