"""Materials as a field over the surface: a multi-resolution hash grid and a small network, in torch alone.

Grids after Müller et al. 2022, Instant neural graphics primitives, §3: every level is a lattice of feature vectors, trilinear
between its corners; coarse levels are stored whole, fine ones share a table through a hash.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEATURES = 2
TABLE_LOG2 = 16
COARSEST = 8
FINEST = 512
PRIMES = (1, 2654435761, 805459861)
WIDTH = 32


class HashGrid(nn.Module):
    """Points [n, 3] in [−1, 1]³ → features [n, levels · FEATURES]; finest cells at `FINEST`, or less with few levels."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        growth = math.exp(math.log(FINEST / COARSEST) / 15)
        span = max(1, 15 // max(levels - 1, 1)) if levels > 1 else 1
        sides = [math.floor(COARSEST * growth ** min(i * span, 15)) for i in range(levels)]
        sizes = [min((side + 1) ** 3, 1 << TABLE_LOG2) for side in sides]
        self.levels = levels
        self.register_buffer("side", torch.tensor(sides), persistent=False)
        self.register_buffer("size", torch.tensor(sizes), persistent=False)
        self.register_buffer("start", torch.tensor([sum(sizes[:i]) for i in range(levels)]), persistent=False)
        self.register_buffer("whole", torch.tensor([(s + 1) ** 3 <= 1 << TABLE_LOG2 for s in sides]), persistent=False)
        corners = torch.tensor([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(8)])
        self.register_buffer("corners", corners, persistent=False)
        self.table = nn.Parameter(torch.empty(sum(sizes), FEATURES).uniform_(-1e-2, 1e-2))

    def forward(self, points: Tensor) -> Tensor:
        place = ((points + 1) / 2).clamp(0, 1 - 1e-6)[:, None] * self.side[:, None]  # [n, L, 3]
        low = place.floor()
        between = place - low
        corner = low.long()[:, :, None] + self.corners  # [n, L, 8, 3]
        x, y, z = corner.unbind(-1)
        stride = (self.side + 1)[:, None]
        dense = x + stride * (y + stride * z)
        hashed = ((x * PRIMES[0]) ^ (y * PRIMES[1]) ^ (z * PRIMES[2])) % self.size[:, None]
        index = torch.where(self.whole[:, None], dense, hashed) + self.start[:, None]
        weight = torch.where(self.corners.bool(), between[:, :, None], 1 - between[:, :, None]).prod(-1)  # [n, L, 8]
        near = self.table.index_select(0, index.flatten()).unflatten(0, index.shape)
        return (near * weight[..., None]).sum(2).flatten(1)


class Branch(nn.Module):
    """A grid and a network of its own: points [n, 3] → [n, outputs], before any squashing."""

    def __init__(self, levels: int, start: list[float]) -> None:
        """`start` are the outputs at the beginning, everywhere."""
        super().__init__()
        self.grid = HashGrid(levels)
        self.inner = nn.Linear(levels * FEATURES + 3, WIDTH)
        self.middle = nn.Linear(WIDTH, WIDTH)
        self.outer = nn.Linear(WIDTH, len(start))
        with torch.no_grad():
            self.outer.weight.mul_(0.1)
            self.outer.bias.copy_(torch.tensor(start))

    def forward(self, points: Tensor) -> Tensor:
        hidden = F.relu(self.inner(torch.cat([self.grid(points), points], -1)))
        return self.outer(F.relu(self.middle(hidden)))


@dataclass(frozen=True, eq=False)
class Matter:
    """What n places are made of."""

    base_color: Tensor
    """[n, 3] sRGB in [0, 1]."""
    bend: Tensor
    """[n, 3] in work space, or [n, 2] along tangent and bitangent: added to the unit normal."""
    roughness: Tensor
    """[n, 1]."""
    metallic: Tensor
    """[n, 1]."""
    open: Tensor | None = None
    """[n, 1] the part of the light that nothing hides, where it is learned."""

    def flat(self) -> Tensor:
        """All of it, [n, C]."""
        parts = (self.base_color, self.bend, self.roughness, self.metallic, self.open)
        return torch.cat([part for part in parts if part is not None], -1)


class Field(nn.Module):
    """Materials at points of work space: branch A holds base colour and normal, branch B roughness, metallic (and occlusion).

    With `joint` one grid and network hold everything, as nvdiffrec does (Munkberg et al. 2022, §3.3).
    """

    def __init__(self, levels: int, *, metallic: float, occlusion: bool, joint: bool) -> None:
        """`metallic` is what all of the surface starts with; roughness starts at 0.5, colours at a middle grey."""
        super().__init__()
        colour = [0.0] * 6
        rest = [0.0, math.log(metallic / (1 - metallic)), *([3.0] if occlusion else [])]
        branches = [Branch(levels, colour + rest)] if joint else [Branch(levels, colour), Branch(levels, rest)]
        self.branches = nn.ModuleList(branches)

    def forward(self, points: Tensor) -> Matter:
        out = torch.cat([branch(points) for branch in self.branches], -1)
        squashed = out.sigmoid()
        return Matter(
            squashed[:, :3],
            out[:, 3:6].tanh() * 0.7,
            squashed[:, 6:7],
            squashed[:, 7:8],
            squashed[:, 8:9] if out.shape[1] > 8 else None,
        )
