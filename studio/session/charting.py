"""The part of a session that follows a run's numbers: curves, marks, each reward's share; and what to do when they alarm."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from studio.film import Film

if TYPE_CHECKING:
    from studio.alarm import Alarm
    from studio.film import Moment
    from studio.session.running import Seen


class Charting(ABC):
    """The numbers of the last run. Belongs to the main thread."""

    _film: Film

    def __init__(self) -> None:
        self.curves: dict[str, list[tuple[int, float]]] = {}
        """Raw rewards, "score", "gradient", "judge" … by iteration."""
        self.markers: list[tuple[int, str]] = []
        """What was changed before an iteration, in words."""
        self.shares: dict[str, float] = {}
        """Each reward's part of the push; they add up to 1."""
        self.alarm: Alarm | None = None
        """Why the run has paused by itself, until it is answered by `roll_back`, `go_on`, `stop` or another start."""

    @abstractmethod
    def keep(self, id: int) -> None:
        """Make a moment current; a run that is going on ends."""

    @abstractmethod
    def resume(self) -> None:
        """Go on after a pause."""

    @abstractmethod
    def say(self, text: str) -> None:
        """A sentence for the status line."""

    def way_back(self) -> Moment | None:
        """The moment of the film that the alarm leads back to: the last one that is no later than the best iteration before."""
        if self.alarm is None or not self._film.moments:
            return None
        moments = self._film.moments
        return next((m for m in reversed(moments) if m.iteration <= self.alarm.back_to), moments[0])

    def roll_back(self) -> None:
        """End the run and return to `way_back`: texture, LoRA and optimiser. The next start goes on from there."""
        moment, self.alarm = self.way_back(), None
        if moment is not None:
            self.keep(moment.id)
            self.say(f"Back at iteration {moment.iteration}: Start goes on from there.")

    def go_on(self) -> None:
        """The alarm is heard: train on."""
        self.alarm = None
        self.resume()

    def _chart(self, seen: Seen) -> None:
        """Take the numbers of an iteration."""
        for name, value in seen.metrics.items():
            self.curves.setdefault(name, []).append((seen.step, value))
        if "score" in seen.metrics:  # not one that learned another prompt
            self.shares = dict(seen.shares)
        if seen.change:
            self.markers.append((seen.step, seen.change))
        if seen.alarm is not None:
            self.alarm = seen.alarm
            self.markers.append((seen.step, "The run paused: it may be fooling its rewards"))

    def _chart_from(self, iteration: int) -> None:
        """A run begins after this one; nothing is known of it where it is negative. What came later is forgotten."""
        self.curves = {n: kept for n, curve in self.curves.items() if (kept := [p for p in curve if p[0] <= iteration])}
        self.markers = [m for m in self.markers if m[0] <= iteration]
        self.shares, self.alarm = {}, None
