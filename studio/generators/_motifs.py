"""The small perceptron that every token writes for its pixels: solid fields → motifs → levels, whose tanh are shares of inks.

It is a function of a point of the surface alone, so it can be asked anywhere, between pixels too (`_detail`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from studio.generators._reader import INKS
from studio.generators._solid import FIELDS


@dataclass(frozen=True, eq=False)
class Motifs:
    """The perceptrons of tokens [...]: each mixes the fields into motifs, these into levels, and has its inks."""

    mixing: Tensor
    """[..., mixed, FIELDS]"""
    bias: Tensor
    """[..., mixed, 1]"""
    sharing: Tensor
    """[..., INKS, mixed]"""
    lift: Tensor
    """[..., INKS, 1]"""
    inks: Tensor
    """[..., painted, INKS]"""

    @staticmethod
    def numbers(mixed: int, painted: int) -> list[int]:
        """How many numbers of a token each of the above takes."""
        return [FIELDS * mixed, mixed, INKS * mixed, INKS, INKS * painted]

    @classmethod
    def of(cls, written: Sequence[Tensor], like: Tensor) -> Motifs:
        """From what tokens wrote, five tensors [N, `numbers`, h, w]: tokens [N, h·w], in the dtype of `like`."""
        mixed, painted = written[1].shape[1], written[4].shape[1] // INKS
        rows = (mixed, mixed, INKS, INKS, painted)
        return cls(
            *(w.unflatten(1, (n, -1)).flatten(3).permute(0, 3, 1, 2).to(like.dtype) for w, n in zip(written, rows, strict=True))
        )

    def flat(self) -> Motifs:
        """All tokens in one row."""
        return Motifs(*(t.flatten(0, -3) for t in (self.mixing, self.bias, self.sharing, self.lift, self.inks)))

    def of_tokens(self, which: Tensor) -> Motifs:
        """The tokens `which` [K] of one row."""
        return Motifs(*(t[which] for t in (self.mixing, self.bias, self.sharing, self.lift, self.inks)))

    def at(self, fields: Tensor) -> tuple[Tensor, Tensor]:
        """Motifs [..., mixed, points] and levels [..., INKS, points] at fields [..., points, FIELDS]."""
        motifs = (self.mixing @ fields.mT) * (3 / math.sqrt(FIELDS))
        return motifs, self.sharing @ torch.tanh(motifs + self.bias) + self.lift
