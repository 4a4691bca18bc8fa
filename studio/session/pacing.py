"""How fast a run goes, how long it will take, and what to remember of it for the next forecast."""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass, replace

from studio.config import Config
from studio.session.forecast import Timing
from studio.session.running import Seen


@dataclass(frozen=True)
class Pace:
    """How far the run is and how fast."""

    stage: str = ""
    step: int = 0
    total: int = 0
    iteration: int = 0
    iterations: int = 0
    it_per_s: float = 0.0
    eta_s: float | None = None
    memory_bytes: int = 0
    memory_total_bytes: int = 0


class Pacer:
    """Learns, from what a run took so far, how long it will take."""

    def __init__(self, expected_s: float) -> None:
        self._expected_s = expected_s
        self._busy_s = self._since_s = self._prepare_s = 0.0
        self._iterations: deque[float] = deque(maxlen=9)
        self._steps: deque[float] = deque(maxlen=99)
        self._learning: deque[float] = deque(maxlen=99)
        self._learn_s = 0.0
        self._memory = 0

    def pace(self, last: Pace, seen: Seen) -> Pace:
        """`last` after one more yield."""
        self._busy_s += seen.busy_s
        self._since_s += seen.busy_s if seen.stage != "measuring before" else 0.0
        self._memory = max(self._memory, seen.memory[0])
        if seen.stage in ("sampling", "painting", "measuring", "measuring before"):
            self._steps.append(seen.busy_s)
        elif not self._steps:
            self._prepare_s += seen.busy_s
        elif seen.stage != "done":
            self._learn_s += seen.busy_s
        iteration, iterations = last.iteration, last.iterations
        if seen.learned:
            iteration, iterations = seen.step, seen.total
            self._iterations.append(self._since_s - (self._prepare_s if not self._iterations else 0.0))
            self._learning.append(self._learn_s)
            self._since_s = self._learn_s = 0.0
        each = statistics.median(self._iterations) if self._iterations else 0.0
        eta = (iterations - iteration) * each - self._since_s if each else self._expected_s - self._busy_s
        return replace(
            last,
            stage=seen.stage,
            step=seen.step,
            total=seen.total,
            iteration=iteration,
            iterations=iterations,
            it_per_s=1 / each if each else 0.0,
            eta_s=0.0 if seen.stage == "done" else max(eta, 0.0),
            memory_bytes=seen.memory[0],
            memory_total_bytes=seen.memory[1],
        )

    def timing(self, config: Config) -> Timing | None:
        """What to remember of the run, once it has painted."""
        if len(self._steps) < 2:
            return None
        step, learn = statistics.median(self._steps), 0.0
        if self._learning:
            batch, k = getattr(config.trainer, "batch", 1), getattr(config.trainer, "k", 1)
            learn = statistics.median(self._learning) / (batch * k)
        return Timing(self._prepare_s, step, learn, float(self._memory))
