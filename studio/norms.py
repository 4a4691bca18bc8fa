"""What gradients are divided by, so that equal weights pull equally."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

STEPS = 20
FLOOR = 1e-8


class Norms:
    """Running means of the norms of named gradients, over the first STEPS of each, floored and then frozen: a gradient that fades
    later fades for good instead of being blown up."""

    def __init__(self) -> None:
        self._seen: dict[str, list[float]] = {}

    def of(self, name: str, norm: float) -> float:
        """The mean of the norms called `name`, this one among them while it counts."""
        seen = self._seen.setdefault(name, [])
        if len(seen) < STEPS:
            seen.append(norm)
        return max(sum(seen) / len(seen), FLOOR)

    def state(self) -> dict[str, list[float]]:
        """The norms that were seen, by name."""
        return {name: list(seen) for name, seen in self._seen.items()}

    def restore(self, state: Mapping[str, Sequence[float]]) -> None:
        """Put such a state back."""
        self._seen = {name: list(seen) for name, seen in state.items()}
