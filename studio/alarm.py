"""Is a run cheating? Its trained score rises while what it is not trained on says that the pictures get worse: reward hacking.

Everything here is a pure function of the curves. Levels are means of the last NEAR evaluations. The alarm rings when the judge's
level lies FALL below its best one and the score's level has risen since then, both by far more than these curves jitter: noise,
however large, is not a fall, and a fall counts whether it comes at one stroke or slowly.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

NEAR = 2
"""So many evaluations make a level."""
LEAST = 6
"""With fewer evaluations nothing is said."""
JITTER, FEW = 3.0, 20.0
"""A gauge's level has moved when it has by so many times the curve's jitter, and by FEW steps' share more where few are known. Of
100 runs of plain noise over 40 evaluations, beside a score that rises, one or none gives an alarm, however loud the noise."""
RISEN = 2.5
"""So many times its jitter must the score's level have risen."""
FALL = 0.5
"""The judge must have fallen by at least so many standard deviations of held-out renders."""
BEYOND = 4.0
"""Without a judge, saturation or energy must lie at least so many deviations above their reference, half of it won since the
beginning."""


@dataclass(frozen=True)
class Row:
    """One evaluation. Gauges are in standard deviations of their reference (`studio.judge`)."""

    iteration: int
    total: float
    """The trained, weighted score, with nothing left to chance."""
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
    """How far the gauge's level has moved since then, in deviations of its reference."""
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
    """The alarm that these rows give; None where all is well or there are too few.

    With a judge only the judge counts: saturated or fine-grained pictures may be just what was asked for.
    """
    if len(rows) < LEAST:
        return None
    totals = [row.total for row in rows]
    for gauge in ("judge",) if "judge" in rows[-1].gauges else ("saturation", "energy"):
        values = [row.gauges[gauge] for row in rows]
        levels = [statistics.fmean(values[i : i + NEAR]) for i in range(len(rows) - NEAR + 1)]
        if gauge == "judge":
            since = max(range(len(levels)), key=lambda i: (levels[i], i))
            moved, enough = levels[since] - levels[-1], FALL
            well = max(range(since, since + NEAR), key=lambda i: (values[i], i))
        else:
            since, moved, enough = 0, levels[-1] - levels[0], BEYOND / 2 if levels[-1] >= BEYOND else float("inf")
            within = [i for i in range(len(rows) - 1) if values[i] < BEYOND / 2]
            well = max(within, key=lambda i: (totals[i], i), default=0)
        rise = statistics.fmean(totals[-NEAR:]) - statistics.fmean(totals[since : since + NEAR])
        doubt = JITTER * (1 + FEW / (len(rows) - 3))
        if moved >= max(enough, doubt * jitter(values)) and rise > RISEN * jitter(totals):
            return Alarm(rows[-1].iteration, rows[well].iteration, gauge, levels[-1] - levels[since], rise)
    return None


def jitter(curve: Sequence[float]) -> float:
    """How far noise alone moves a curve: by its third largest second difference, so that neither a steady trend, nor one that
    turns, nor a jump counts as noise."""
    return sorted(abs(a - 2 * b + c) for a, b, c in zip(curve, curve[1:], curve[2:], strict=False))[-3] / 6**0.5


class Watch:
    """Collects rows, and says when an alarm is due. After one, and when the aim changes, it looks at what comes later alone."""

    def __init__(self, every: int) -> None:
        """`every`: iterations from one evaluation to the next."""
        self.every = every
        self.rows: list[Row] = []
        self._last: int | None = None
        self._aim: Any = None

    def due(self, iteration: int) -> bool:
        """Whether this iteration, counted from 1, is to be evaluated."""
        return self._last is None or iteration - self._last >= self.every

    def note(self, iteration: int, total: float, gauges: Mapping[str, float], *, aim: Any = None) -> Alarm | None:
        """An iteration was evaluated; `aim` is what the total means: weights, prompt."""
        if aim != self._aim:
            self._aim, self.rows = aim, []
        self._last = iteration
        self.rows.append(Row(iteration, total, dict(gauges)))
        found = alarmed(self.rows)
        if found:
            self.rows = []
        return found

    def state(self) -> dict[str, Any]:
        """Plain values."""
        return {"rows": [asdict(row) for row in self.rows], "last": self._last, "aim": self._aim}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put such a state back."""
        self.rows = [Row(**row) for row in state["rows"]]
        self._last, self._aim = state["last"], state["aim"]
