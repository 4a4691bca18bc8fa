"""Scores without a gradient that come with the studio."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np

COLOURS = 16
"""Of a palette that a game or a printer may have."""
# What three kinds of colour-blind eyes see of linear RGB (Machado, Oliveira and Fernandes 2009, severity 1).
EYES = np.array(
    [
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]
)


def palette_size(pictures: np.ndarray, texture: np.ndarray) -> float:
    """Minus the size in KiB of the texture as a PNG of 16 colours: what few colours in large areas say well is small."""
    from PIL import Image

    size = 0
    for one in texture:
        file = io.BytesIO()
        Image.fromarray(one).quantize(COLOURS, dither=Image.Dither.NONE).save(file, "png", optimize=True)
        size += len(file.getvalue())
    return -size / 1024


def colour_blind_contrast(pictures: np.ndarray, texture: np.ndarray) -> float:
    """How far colours of the texture lie apart for the eye that tells them worst: the root mean square distance from their mean,
    in sRGB 0…1."""
    srgb = texture.reshape(-1, 3)[:: max(1, texture.size // 300_000)] / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.einsum("eij,nj->eni", EYES, linear), 0, 1)
    seen = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    away = seen - seen.mean(1, keepdims=True)
    return float(np.sqrt((away**2).sum(-1).mean(1)).min())


SCORES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "palette_size": palette_size,
    "colour_blind_contrast": colour_blind_contrast,
}
