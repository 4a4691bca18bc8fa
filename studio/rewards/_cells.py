"""Small patches of surface, inside one chart and on one side of a mirror plane: what blurs and local variances average over.

A blur in the atlas would depend on how its charts are turned, cut and stretched, and costs a pass over every texel. Means over
cells of fixed size in space are a box blur read off once per cell: blind to the layout, and one scatter whatever the size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SHIFT = (0.1459, 0.3719, 0.6180)
"""Keeps cell borders off the places that modellers like."""
_BITS = 12


@dataclass(frozen=True, eq=False)
class Cells:
    """An order of n places in which every small and every large cell is one run, large cells in random order."""

    order: np.ndarray
    """[n] int64."""
    small: np.ndarray
    """[n] int64, ascending from 0: the small cell of each ordered place."""
    large: np.ndarray
    """[n] int64, ascending from 0; four small cells a side."""


def cells(position: np.ndarray, *, normal: np.ndarray, offset: float, chart: np.ndarray, size: float) -> Cells:
    """Sort places [n, 3] of charts [n] into cubic cells of side `size` and 4·`size`, aligned to the plane normal · x = offset."""
    across = np.linalg.svd(normal[None])[2][1:]
    height = position @ normal - offset
    frame = np.stack([np.abs(height), position @ across[0], position @ across[1]], axis=1) / (4 * size) + _SHIFT
    small = np.floor(4 * frame).astype(np.int64) + (1 << (_BITS - 1))
    owner = 2 * chart.astype(np.int64) + (height > 0)
    large_key, small_key = (_packed(owner, p) for p in (small >> 2, small))
    _, large = np.unique(large_key, return_inverse=True)
    rank = np.random.default_rng(0).permutation(large.max() + 1)[large]
    order = np.lexsort((small_key, rank))
    return Cells(order, _runs(small_key[order]), _runs(rank[order]))


def _packed(owner: np.ndarray, place: np.ndarray) -> np.ndarray:
    """One int64 per row of cell coordinates [n, 3] (each below 2^_BITS) and owner [n]."""
    assert place.min() >= 0 and place.max() < 1 << _BITS, "cells too small for the mesh"
    x, y, z = place.T
    return ((owner << _BITS | x) << _BITS | y) << _BITS | z


def _runs(keys: np.ndarray) -> np.ndarray:
    """The number of each run of equal keys."""
    return np.concatenate([[0], np.cumsum(keys[1:] != keys[:-1])])
