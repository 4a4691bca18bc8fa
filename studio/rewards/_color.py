"""OKLab (Björn Ottosson, "A perceptual color space for image processing", 2020), differentiable everywhere, black included."""

from __future__ import annotations

import torch
from torch import Tensor

from studio.device import constant
from studio.texture import linear_from_srgb

_LMS_LINEAR = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_LAB_LMS = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
_TOE = 0.1
"""Cone responses below _TOE³ (sRGB 3/255) leave the cube root on its tangent, as in CIELAB, so that black has a gradient."""


def oklab(rgb: Tensor) -> Tensor:
    """sRGB [3, n] → L, a, b [3, n]: white is (1, 0, 0), and a distance of 0.02 is about the least one sees."""
    lms = _mixed(_LMS_LINEAR, linear_from_srgb(rgb))
    root = torch.where(lms > _TOE**3, lms.clamp_min(_TOE**3) ** (1 / 3), lms / (3 * _TOE**2) + _TOE * 2 / 3)
    return _mixed(_LAB_LMS, root)


def _mixed(matrix: tuple[tuple[float, float, float], ...], x: Tensor) -> Tensor:
    """matrix [3, 3] · x [3, n], as sums: several times faster on a CPU than a product of such shapes."""
    a, b, c = constant(matrix, x).unbind(1)
    return a[:, None] * x[0] + b[:, None] * x[1] + c[:, None] * x[2]
