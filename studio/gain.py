"""Whether learning helped: the same held-out seeds before and after, compared in pairs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio.progress import Live


@dataclass(frozen=True)
class Gain:
    """The mean difference after − before over seeds, and what supports it."""

    mean: float
    low: float
    """Lower end of the two-sided 95 % confidence interval of the mean (Student's t over the paired differences)."""
    share: float
    """The mean in standard deviations of the untrained seeds; infinite when those are all alike."""
    seeds: int


def paired(before: Sequence[float], after: Sequence[float]) -> Gain:
    """The gain over seeds given in the same order. Raises ValueError for fewer than two seeds or different lengths."""
    from scipy.special import stdtrit

    difference = [b - a for a, b in zip(before, after, strict=True)]
    n, mean = len(difference), statistics.mean(difference)
    error = statistics.stdev(difference) / math.sqrt(n) if n > 1 else _too_few()
    spread = statistics.stdev(before)
    share = mean / spread if spread > 0 else math.copysign(math.inf, mean) if mean else 0.0
    return Gain(mean, mean - float(stdtrit(n - 1, 0.975)) * error, share, n)


def of_report(report: Mapping[str, Any], weights: Mapping[str, float]) -> Gain | None:
    """The gain in the weighted sum of rewards over a report's held-out seeds; None when it holds fewer than two."""
    seeds = report["per_seed"].values()
    if len(seeds) < 2:
        return None
    live = Live(weights)
    before, after = ([live.total(seed[when]) for seed in seeds] for when in ("before", "after"))
    return paired(before, after)


def _too_few() -> float:
    raise ValueError("a paired comparison needs at least two seeds")
