"""Glances at pictures, for a critic to score: crops of many sizes, a little turned, mirrored, softened, tinted and noisy.

A critic that is asked about the same pixels again and again can be fooled by a pattern that fits them; one that has to like every
glance follows what a person would see (expectation over transformations, Athalye et al. 2018, 1707.07397).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.rewards import Look

GLANCES = 2
"""At each picture, in one look."""
SMALLEST, TURNED_DEG = 0.6, 12.0
"""Side of the smallest crop as a part of the picture, and how far it is turned at most."""
SOFT, TINT, STOPS, NOISE = 0.7, 0.12, 0.3, 0.04
"""Share of a 3 × 3 binomial blur, gain per channel, brightness, and standard deviation of noise, at most."""
DRAWN = 12
"""Random numbers that decide over one glance, the noise aside."""


def mean_opinion(opinion: Callable[[Tensor], Tensor], look: Look, *, px: int) -> Tensor:
    """The mean of what `opinion` says of GLANCES at each of the look's pictures: a scalar with the dtype of the texture."""
    return opinion(glances(look.pictures(), px=px, step=look.step, first=look.first_view)).mean().to(look.base_color.dtype)


def glances(pictures: Tensor, *, px: int, step: int | None, first: int = 0) -> Tensor:
    """[V, 3, h, w] → [GLANCES · V, 3, px, px], not clamped, so that the slope is true everywhere.

    What is drawn for a picture depends on the step (None: always the same) and on its number among all views, from `first` on.
    """
    drawn, noise = _drawn(-1 if step is None else step, first, len(pictures), px, pictures.device, pictures.dtype)
    size, right, down, turn, mirror, soft, stops, loud, *tint = drawn.unbind(1)
    seen = _cropped(pictures.repeat_interleave(GLANCES, 0), px, *(x.flatten() for x in (size, right, down, turn, mirror)))
    blurred = F.avg_pool2d(F.avg_pool2d(F.pad(seen, (1, 1, 1, 1), mode="replicate"), 2, 1), 2, 1)  # binomial
    seen = torch.lerp(seen, blurred, SOFT * soft)
    gain = 1 + TINT * (2 * torch.cat(tint[:3], 1) - 1)
    return seen * gain * torch.exp2(STOPS * (2 * stops - 1)) + NOISE * loud * noise


@lru_cache(maxsize=8)
def _drawn(step: int, first: int, count: int, px: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """What is drawn for `count` pictures: numbers [GLANCES · count, DRAWN, 1, 1, 1] and noise. Kept, for the next who looks."""
    g = torch.Generator()
    numbers, noise = [], []
    for view in range(first, first + count):
        g.manual_seed(1_000_003 * (step + 1) + view)
        numbers.append(torch.rand(GLANCES, DRAWN, generator=g))
        noise.append(torch.randn(GLANCES, 3, px, px, generator=g))
    return torch.cat(numbers).to(device, dtype)[..., None, None, None], torch.cat(noise).to(device, dtype)


def _cropped(pictures: Tensor, px: int, size: Tensor, right: Tensor, down: Tensor, turn: Tensor, mirror: Tensor) -> Tensor:
    """Squares of [N, 3, h, w] as [N, 3, px, px]; numbers [N] in 0…1 say how large, where, how turned and whether mirrored."""
    side = 1 - (1 - SMALLEST) * size
    at = (1 - side)[:, None] * (2 * torch.stack([right, down], -1) - 1)
    angle = math.radians(TURNED_DEG) * (2 * turn - 1)
    flip = torch.where(mirror < 0.5, -1.0, 1.0).to(side)
    c, s = side * angle.cos(), side * angle.sin()
    affine = torch.stack([torch.stack([c * flip, -s, at[:, 0]], -1), torch.stack([s * flip, c, at[:, 1]], -1)], 1)
    grid = F.affine_grid(affine, [len(pictures), 3, px, px], align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
