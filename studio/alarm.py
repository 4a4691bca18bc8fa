"""Is a run cheating? Its trained score rises while what it is not trained on says that the pictures get worse: reward hacking.

Everything here is a pure function of the curves. A trend counts only when it is steady: the mean of the last differences must be
many standard errors from zero (Student's t over increments). On increments that test holds for random walks, whose ups and downs
fool a test of the slope, and it is strict on plain noise, whose differences cancel. The price: a fall at one stroke that ends in
noise is not told from chance; the curves show it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

WINDOW, BLOCKS = 8, (1, 2, 4)
"""So many evaluations in a row are looked at: single ones, and means of so many."""
STEADY, RISING = 5.5, 2.5
"""How many standard errors the mean difference of a gauge, and of the trained score, must lie from zero. Of 500 pairs of random
walks over 60 evaluations about 2 give an alarm then, whatever their steps."""
FALL = 1.0
"""The judge must have fallen by at least so many deviations of its reference within the window."""
BEYOND = 4.0
"""Without a judge, saturation or energy must lie at least so many deviations above their reference, half of it won in the
window."""
SETTLED = 0.05
"""A score that rises by less than this part of its range so far counts as settled."""


@dataclass(frozen=True)
class Row:
    """One evaluation. Gauges are in standard deviations of their reference, the untrained textures."""

    iteration: int
    total: float
    """The trained, weighted score: its mean over the iterations since the last row."""
    gauges: Mapping[str, float]
    """"judge" (higher is better), where there is one; "saturation" and "energy"."""


@dataclass(frozen=True)
class Alarm:
    """What was noticed, and where it was still well."""

    iteration: int
    back_to: int
    """The best iteration before."""
    gauge: str
    change: float
    """How far the gauge moved over the window, in deviations of its reference."""
    rise: float
    """How far the trained score rose meanwhile."""

    def plain(self) -> dict[str, Any]:
        """As JSON, the inverse of `Alarm(**plain)`."""
        return asdict(self)

    @property
    def words(self) -> str:
        """What happened, in a sentence."""
        what = {
            "judge": f"the judge, a critic that nothing is trained on, fell by {-self.change:.1f} times the usual spread",
            "saturation": f"the saturation grew by {self.change:.1f} times its usual spread, far beyond the untrained pictures'",
            "energy": f"fine grain grew by {self.change:.1f} times its usual spread, far beyond the untrained pictures'",
        }[self.gauge]
        return f"The score rose by {self.rise:.3g} while {what}."

    def __str__(self) -> str:
        return f"Iteration {self.iteration}: the run may be fooling its rewards, it was best at {self.back_to}. {self.words}"


def alarmed(rows: Sequence[Row]) -> Alarm | None:
    """The alarm that these rows give, looked at one by one and, for what is slow or noisy, as means of BLOCKS of them.

    None where all is well or there are too few. With a judge only the judge counts: saturated or fine-grained pictures may be
    just what was asked for.
    """
    return next(filter(None, (_seen_in(rows, block) for block in BLOCKS)), None)


def _seen_in(rows: Sequence[Row], block: int) -> Alarm | None:
    """The same from the means of `block` rows each, counted from the last one."""
    if len(rows) < WINDOW * block:
        return None
    totals = _blocks([row.total for row in rows], block)
    rise = totals[-1] - totals[-WINDOW]
    if _steadiness(totals[-WINDOW:]) < RISING or rise < SETTLED * (max(totals) - min(totals)):
        return None
    for gauge in ("judge",) if "judge" in rows[-1].gauges else ("saturation", "energy"):
        values = [row.gauges[gauge] for row in rows]
        curve = _blocks(values, block)
        change, steady = curve[-1] - curve[-WINDOW], _steadiness(curve[-WINDOW:])
        if gauge == "judge":
            hacked = change <= -FALL and steady <= -STEADY
            well = max(range(len(rows) - 1), key=lambda i: (values[i], i))
        else:
            hacked = curve[-1] >= BEYOND and change >= BEYOND / 2 and steady >= STEADY
            within = [i for i in range(len(rows) - 1) if values[i] < BEYOND / 2]
            well = max(within, key=lambda i: (rows[i].total, i), default=0)
        if hacked:
            return Alarm(rows[-1].iteration, rows[well].iteration, gauge, change, rise)
    return None


def _blocks(values: Sequence[float], size: int) -> list[float]:
    """Means of `size` values each, the last one at the end; what is left over at the beginning is left out."""
    first = len(values) % size
    return [statistics.fmean(values[i : i + size]) for i in range(first, len(values), size)]


def _steadiness(curve: Sequence[float]) -> float:
    """Student's t of the curve's differences: their mean in standard errors; infinite for a straight line, 0 for a flat one."""
    steps = [b - a for a, b in zip(curve, curve[1:], strict=False)]
    mean = statistics.fmean(steps)
    error = math.sqrt(sum((step - mean) ** 2 for step in steps) / (len(steps) - 1) / len(steps))
    if error <= 1e-9 * abs(mean):
        return math.copysign(math.inf, mean) if mean else 0.0
    return mean / error


class Watch:
    """Collects rows, and says when an alarm is due. After one, and when the aim changes, it looks at what comes later alone."""

    def __init__(self, every: int) -> None:
        """`every`: iterations from one evaluation to the next."""
        self.every = every
        self.rows: list[Row] = []
        self._totals: list[float] = []
        self._last: int | None = None
        self._aim: Any = None

    def due(self, iteration: int) -> bool:
        """Whether this iteration, counted from 1, is to be evaluated."""
        return self._last is None or iteration - self._last >= self.every

    def passed(self, total: float, aim: Any) -> None:
        """An iteration was trained; `aim` is what the total means: weights, prompt."""
        if aim != self._aim:
            self._aim, self.rows, self._totals = aim, [], []
        self._totals.append(total)

    def note(self, iteration: int, gauges: Mapping[str, float]) -> Alarm | None:
        """An iteration was evaluated."""
        self._last = iteration
        self.rows.append(Row(iteration, statistics.fmean(self._totals), dict(gauges)))
        self._totals = []
        found = alarmed(self.rows)
        if found:
            self.rows = []
        return found

    def state(self) -> dict[str, Any]:
        """Plain values."""
        return {"rows": [asdict(row) for row in self.rows], "totals": list(self._totals), "last": self._last, "aim": self._aim}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put such a state back."""
        self.rows = [Row(**row) for row in state["rows"]]
        self._totals, self._last, self._aim = list(state["totals"]), state["last"], state["aim"]
