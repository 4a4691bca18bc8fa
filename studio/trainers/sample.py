"""Sampling only: the texture the generator makes as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studio.trainers import Trainer

if TYPE_CHECKING:
    from studio.objective import Objective
    from studio.progress import Progress


@dataclass(frozen=True)
class Sample(Trainer):
    """Paint once and learn nothing."""

    when = "You want one texture now, as the generator paints it."
    learns = False
    follows_rewards = False

    def train(self, objective: Objective, *, iterations: int, resume: dict[str, Any] | None = None) -> Iterator[Progress]:
        painted = yield from objective.paint(objective.seed)
        return painted.texture
