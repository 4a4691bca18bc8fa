"""The colours of heat maps."""

from __future__ import annotations

from functools import cache

import numpy as np

HOTTEST = 0.99
"""The hottest colour stands for this percentile of what is not zero: a few texels must not make the rest look cold."""

CLAY = (0.66, 0.635, 0.60)
"""sRGB of a surface without heat."""
FADE = 0.125
"""Below this part of the hottest value the colours run out into clay."""


@cache
def on_clay(count: int = 256) -> np.ndarray:
    """From nothing to hot [count, 3] float32 sRGB, as the surface shows it: clay, then `heat_colours`; read-only."""
    share = np.minimum(np.linspace(0, 1 / FADE, count, dtype=np.float32), 1)[:, None]
    colours = (np.array(CLAY, np.float32) * (1 - share) + heat_colours(count) * share).astype(np.float32)
    colours.setflags(write=False)
    return colours


@cache
def two_sided(count: int = 256) -> np.ndarray:
    """From hollow to bulge [count, 3] float32 sRGB: verdigris, clay in the middle, amber; read-only."""
    stops = np.array([(0.05, 0.31, 0.33), (0.29, 0.63, 0.58), CLAY, (0.93, 0.72, 0.40), (0.78, 0.36, 0.14)])
    turn, at = np.linspace(0, 1, count), np.linspace(0, 1, len(stops))
    colours = np.stack([np.interp(turn, at, channel) for channel in stops.T], 1).astype(np.float32)
    colours.setflags(write=False)
    return colours


def of_lines(count: int = 256) -> np.ndarray:
    """`heat_colours` [count, 3] without the brightest, which would be lost on white."""
    return heat_colours(round(count / 0.8))[:count]


@cache
def heat_colours(count: int = 256) -> np.ndarray:
    """From cold to hot [count, 3] float32 sRGB, violet to yellow: even steps for the eye, read-only.

    Lightness grows evenly in Oklab (Ottosson 2020, A perceptual color space for image processing).
    """
    turn = np.linspace(0, 1, count)
    hue = np.radians(np.interp(turn, [0, 0.35, 0.65, 1], [305, 380, 410, 465]))
    chroma = np.interp(turn, [0, 0.3, 0.65, 1], [0.10, 0.17, 0.165, 0.10])
    lab = np.stack([0.28 + 0.65 * turn, chroma * np.cos(hue), chroma * np.sin(hue)])
    root = np.array([[1, 0.3963378, 0.2158038], [1, -0.1055613, -0.0638542], [1, -0.0894842, -1.2914855]]) @ lab
    to_rgb = [[4.0767417, -3.3077116, 0.2309699], [-1.2684380, 2.6097574, -0.3413194], [-0.0041961, -0.7034186, 1.7076147]]
    rgb = (np.array(to_rgb) @ root**3).T.clip(0, 1)
    rgb = np.where(rgb <= 0.0031308, rgb * 12.92, 1.055 * rgb.clip(0.0031308) ** (1 / 2.4) - 0.055).astype(np.float32)
    rgb.setflags(write=False)
    return rgb
