"""Distances between what is drawn and what a picture shows, per pixel and colour."""

from __future__ import annotations

import torch
from torch import Tensor

from studio.texture import linear_from_srgb, srgb_from_linear

EPSILON = 0.01
SOFT = 0.02
"""Differences below this many sRGB units count by their square, larger ones by their size."""


def displayed(light: Tensor, target: Tensor) -> Tensor:
    """Linear light [n, 3] as sRGB, cut where the picture [n, 3] is cut too: what burns out in both is no difference.

    Beyond white the curve goes on as a straight line, so that light that is too bright is pulled down.
    """
    low = srgb_from_linear(light.clamp(0, 1))
    beyond = (light - 1).clamp(min=0)
    return torch.where(target >= 254.5 / 255, low, low + beyond * 0.4396)


def robust(shown: Tensor, target: Tensor) -> Tensor:
    """Charbonnier's distance of sRGB values (1994): outliers such as unmodelled shadows and reflections do not decide."""
    return ((shown - target).square() + SOFT**2).sqrt() - SOFT


def _linear(shown: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    return linear_from_srgb(shown.clamp(min=0)), linear_from_srgb(target)


def log_l1(shown: Tensor, target: Tensor) -> Tensor:
    """|log(1 + x) − log(1 + y)| of linear light, as nvdiffrec's default."""
    x, y = _linear(shown, target)
    return (torch.log1p(x) - torch.log1p(y)).abs()


def colour_loss(shown: Tensor, target: Tensor) -> Tensor:
    """Branch A of Separate and Specialize: 0.35 log-L1 + 0.15 SMAPE. Its mask term is constant on a locked mesh, and left out."""
    x, y = _linear(shown, target)
    return 0.35 * log_l1(shown, target) + 0.15 * (x - y).abs() / (x + y + EPSILON)


def gloss_loss(shown: Tensor, target: Tensor) -> Tensor:
    """Branch B of Separate and Specialize: 0.7 relative MSE + 0.3 MSE, of linear light."""
    x, y = _linear(shown, target)
    square = (x - y).square()
    return 0.7 * square / (y.square() + EPSILON) + 0.3 * square
