"""The best of a run so far, to end on: by seeds that are never trained on where they are measured, else by the smoothed score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

SMOOTHING = 0.8
"""How much of the smoothed score each iteration keeps."""
Lora = Callable[[], "dict[str, Tensor]"]


class Best:
    """Keeps one LoRA. Scores of different aims (weights, prompt) cannot be compared: a new aim begins anew."""

    def __init__(self, *, held_out: bool) -> None:
        """`held_out`: only what `measured` is told decides."""
        self.by = "held_out" if held_out else "score"
        self.iteration = 0
        self.score: float | None = None
        self.lora: dict[str, Tensor] = {}
        self.held_out: list[tuple[int, float]] = []
        """What was measured at which iteration."""
        self._aim: str | None = None
        self._sum = self._weight = 0.0

    def passed(self, iteration: int, total: float, aim: str, lora: Lora) -> None:
        """An iteration (from 1) was trained, and its texture scored so much."""
        self._aimed(aim)
        self._sum, self._weight = SMOOTHING * self._sum + total, SMOOTHING * self._weight + 1
        if self.by == "score":
            self._offer(iteration, self._sum / self._weight, lora)

    def measured(self, iteration: int, score: float, aim: str, lora: Lora) -> None:
        """After an iteration (0: before the first) the held-out seeds scored so much on average."""
        self._aimed(aim)
        self.held_out.append((iteration, score))
        self._offer(iteration, score, lora)

    def _offer(self, iteration: int, score: float, lora: Lora) -> None:
        if self.score is None or score > self.score:
            self.iteration, self.score, self.lora = iteration, score, lora()

    def _aimed(self, aim: str) -> None:
        if aim != self._aim:
            self._aim, self.score, self._sum, self._weight = aim, None, 0.0, 0.0

    def told(self) -> dict[str, Any]:
        """For the report."""
        return {"iteration": self.iteration, "score": self.score, "by": self.by, "held_out": [list(m) for m in self.held_out]}

    def state(self) -> dict[str, Any]:
        """Plain values and CPU tensors."""
        names = ("by", "iteration", "score", "_aim", "_sum", "_weight")
        lists = {"lora": dict(self.lora), "held_out": list(self.held_out)}
        return lists | {name: getattr(self, name) for name in names}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put such a state back, unless it was found by another measure."""
        if state.get("by") == self.by:
            for name, value in state.items():
                setattr(self, name, value.copy() if isinstance(value, dict | list) else value)
