"""The texels that count: those whose centre lies in a face, gathered into one row and weighted by the surface they cover."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from studio.errors import StudioError

if TYPE_CHECKING:
    from studio.surface.atlas import Atlas


def valid(atlas: Atlas) -> Tensor:
    """Flat indices [n] int64 (over S·T·T) of the texels inside charts, on the CPU. Raises StudioError when there are none."""
    index = atlas.valid.cpu().flatten().nonzero().squeeze(1)
    if not len(index):
        raise StudioError("No texel of the atlas lies on the mesh.", "Use a larger atlas, or unwrap the mesh again.")
    return index


def area(atlas: Atlas, index: Tensor) -> Tensor:
    """Surface [n] float32 covered by the texels at flat indices [n], summing to 1, on the CPU; equal shares when it is all 0."""
    du, dv = atlas.corners.jacobian.cpu().double().unbind(-1)
    covered = torch.linalg.cross(du, dv).norm(dim=-1)[atlas.face.cpu().flatten()[index].long()]
    total = covered.sum()
    return (covered / total if total > 0 else torch.full_like(covered, 1 / len(index))).float()


def portions(count: int, most: int) -> list[Tensor]:
    """The numbers below `count` in random parts alike in size, of at most `most`, each ascending; the same ones each time."""
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    return [part.sort().values for part in shuffled.tensor_split(max(1, -(-count // most)))]


def gather(base_color: Tensor, index: Tensor) -> Tensor:
    """Colours [C, n] of the texels at flat indices [n] of [S, C, T, T]. Repeated indices accumulate in the gradient."""
    rows = base_color.transpose(0, 1).reshape(base_color.shape[1], -1)
    return rows.gather(1, index.expand(len(rows), -1))
