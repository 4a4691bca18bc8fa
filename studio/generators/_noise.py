"""Noise that belongs to the surface: where two views show the same point, it is the same.

Views that start from independent noise must first agree on a pattern; here they begin with what they will have to agree on, as in
texture-space sampling (TexFusion, 2310.13772), without any texture: space is parted into small cells, each with its own numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

PRIMES = (73_856_093, 19_349_663, 83_492_791)  # Teschner et al. 2003, Optimized Spatial Hashing
ENTRIES = 1 << 17


def solid(position: Tensor, table: Tensor, *, cell: float, key: Tensor | int = 0) -> Tensor:
    """Noise [N, C, h, w] at positions [N, 3, h, w] in work space from a `table` [M, C] of random numbers.

    Points in the same cell (cubes of side `cell`) get the same row; `key` [N, 1, 1] int64 tells objects apart.
    """
    at = (position.double() / cell).floor().long()
    x, y, z = (at[:, i] * prime for i, prime in enumerate(PRIMES))
    row = ((x ^ y ^ z) + key) % len(table)
    return table[row].movedim(-1, 1)


def drawn(position: Tensor, channels: int, *, cell: float, generator: torch.Generator) -> Tensor:
    """Noise [N, channels, h, w] of a seed for views [N, 3, h, w] of one object. The numbers are drawn on the CPU."""
    table = torch.randn(ENTRIES, channels, generator=generator)
    shift = torch.rand(3, generator=generator).to(position.device)[:, None, None] * cell
    return solid(position + shift, table.to(position), cell=cell)


def drawn_for_training(position: Tensor, channels: int, *, cell: float, objects: int) -> Tensor:
    """The same with the global random state for `objects` of equally many successive views each."""
    device, views = position.device, len(position) // objects
    table = torch.randn(8 * ENTRIES, channels, device=device)
    shift = (torch.rand(objects, 3, 1, 1, device=device) * cell).repeat_interleave(views, 0)
    key = torch.randint(1 << 40, (objects, 1, 1), device=device).repeat_interleave(views, 0)
    return solid(position + shift, table, cell=cell, key=key)
