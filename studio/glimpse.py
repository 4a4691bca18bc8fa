"""Textures that are only looked at while they are denoised: as often as an eye needs, for a small part of the time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

SHARE = 0.15
"""They may cost this share of the time."""
APART_S = 1 / 15
"""Nor are they made more often than this."""

Made = TypeVar("Made")


class Glimpses:
    """Decides when another one is made, by what the last one took."""

    def __init__(self) -> None:
        self._at, self._cost_s = -math.inf, 0.0

    def of(self, make: Callable[[], Made]) -> Made | None:
        """What `make` makes, or None when it is too early."""
        began = time.perf_counter()
        if began - self._at < max(APART_S, self._cost_s / SHARE):
            return None
        made, self._at = make(), time.perf_counter()
        self._cost_s = self._at - began
        return made
