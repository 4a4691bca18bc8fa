"""Soft shadows: how much of the light from all around reaches a place, found by rays to some directions of the sphere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from studio.environment import Environment
    from studio.surface.occlusion import Occlusion

OFFSET = 0.004
"""Shadow rays start so far above the surface (work units): beyond rounding, below any shape worth seeing."""
FLOOR_HALF = 2.0
"""Shadows on the floor are cast around the mesh out to this distance in work units."""


def spiral(count: int) -> Tensor:
    """`count` unit directions [count, 3] spread evenly over the sphere (a Fibonacci spiral)."""
    i = torch.arange(count) + 0.5
    y, turn = 1 - 2 * i / count, i * (math.pi * (3 - math.sqrt(5)))
    ring = (1 - y * y).sqrt()
    return torch.stack([ring * turn.sin(), y, ring * turn.cos()], dim=-1)


def upper(count: int) -> Tensor:
    """`count` directions over the upper half of the sphere [count, 3]."""
    return spiral(2 * count)[:count]


def reached(obstacle: Occlusion, point: Tensor, normal: Tensor, lamps: Tensor) -> Tensor:
    """[n, L] bool: nothing stands between the surface at `point` [n, 3] facing `normal` [n, 3] and the lamp in direction [L, 3],
    which lies before the surface (CPU)."""
    before = normal @ lamps.T > 0
    place, lamp = before.nonzero(as_tuple=True)
    origins = (point + OFFSET * normal)[place]
    hidden = torch.from_numpy(obstacle.blocked(origins.numpy(), normal[place].numpy(), lamps[lamp].numpy()))
    return before.index_put((place, lamp), ~hidden)


def unhidden(normal: Tensor, lamps: Tensor, strength: Tensor, reached: Tensor) -> Tensor:
    """The part [n] of the light of `lamps` [L, 3] of this `strength` [L] that gets to surfaces facing `normal` [n, 3]."""
    arriving = (normal @ lamps.T).clamp_(min=0).mul_(strength)
    return (arriving * reached).sum(1) / arriving.sum(1).clamp(min=1e-9)


class Floor:
    """The level floor under a mesh at height `y`, and which of `lamps` [L, 3] its places see."""

    def __init__(self, obstacle: Occlusion, y: float, lamps: Tensor, px: int) -> None:
        """Shadows are cast at px² places (CPU)."""
        self.y, self._px, self._lamps = y, px, lamps
        across = ((torch.arange(px) + 0.5) / px * 2 - 1) * FLOOR_HALF
        z, x = torch.meshgrid(across, across, indexing="ij")
        points = torch.stack([x, torch.full_like(x, y), z], dim=-1).reshape(-1, 3)
        self._up = torch.tensor([0.0, 1.0, 0.0]).expand_as(points)
        self._reached = reached(obstacle, points, self._up, lamps)

    def shadow(self, strength: Tensor) -> Tensor:
        """The part of the lamps' light that is missing [1, 1, px, px]: rows along z, columns along x."""
        missing = 1 - unhidden(self._up, self._lamps, strength, self._reached).reshape(1, 1, self._px, self._px)
        for _ in range(2):  # melts the lamps' separate shadows together
            missing = F.avg_pool2d(F.pad(missing, (1, 1, 1, 1), mode="replicate"), 3, 1)
        return missing

    def cast(self, shadow: Tensor, at: Tensor, seen: Tensor) -> Tensor:
        """How much of `shadow` lies [n] where rays met the floor, as `met` says."""
        edge = (1 - at.norm(dim=-1).clamp(0, 1) ** 2) * seen  # shadows fade out before the floor map ends
        return F.grid_sample(shadow, at.clamp(-2, 2)[None, None], align_corners=False, padding_mode="zeros")[0, 0, 0] * edge

    def met(self, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Where rays [n, 3] meet the floor, (x, z) / FLOOR_HALF [n, 2], and whether they do [n]."""
        reach = (self.y - origins[:, 1]) / directions[:, 1].clamp(max=-1e-6)
        at = (origins + reach[:, None] * directions)[:, [0, 2]] / FLOOR_HALF
        return at, (directions[:, 1] < -1e-6) & (reach > 0)


def importance(environment: Environment, count: int) -> tuple[Tensor, Tensor]:
    """Unit directions [count, 3] to the light, and how much of it each stands for [count] (CPU).

    Systematic sampling of the sphere by luminance, a third of it evenly.
    """
    fine = spiral(4096)
    light = environment.to("cpu").reflected(fine, torch.full((len(fine),), 0.3)).mean(-1)
    chance = 2 / 3 * light / light.mean() + 1 / 3
    places = (torch.arange(count) + 0.5) / count * chance.sum()
    chosen = torch.searchsorted(chance.cumsum(0), places).clamp(max=len(fine) - 1)
    return fine[chosen], (light / chance)[chosen]
