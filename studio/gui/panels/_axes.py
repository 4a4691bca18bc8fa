"""What of a curve is drawn, and on which axis."""

from __future__ import annotations

from collections.abc import Sequence

MOST_POINTS, DASH = 600, 0.2
"""More points would not show on the screen; how many iterations long a dash is."""


def thinned(points: Sequence[tuple[float, float]], most: int = MOST_POINTS) -> tuple[list[float], list[float]]:
    """x and y of at most about `most` points; the last one always stays. One point alone becomes a short dash, to be seen."""
    stride = max(1, -(-len(points) // most))
    kept = [*points[:-1:stride], *points[-1:]]
    if len(kept) == 1:
        kept.append((kept[0][0] + DASH, kept[0][1]))
    return [float(x) for x, _ in kept], [float(y) for _, y in kept]


def framed(lows_highs: tuple[float, float], present: tuple[float, float] | None) -> tuple[float, float]:
    """The y axis for values from low to high, given the present one: it stays until a value leaves it or it is twice too wide."""
    low, high = lows_highs
    span = max(high - low, 0.02, 1e-3 * max(abs(low), abs(high)))
    low, high = min(low, (low + high - span) / 2), max(high, (low + high + span) / 2)
    if present is not None:
        bottom, top = present
        if bottom <= low and high <= top and top - bottom <= 2.4 * span:
            return present
    return low - 0.12 * span, high + 0.18 * span
