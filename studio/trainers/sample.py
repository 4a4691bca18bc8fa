"""Sampling only: the texture the generator makes as it is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studio.trainers import Trainer

if TYPE_CHECKING:
    from studio.objective import Objective
    from studio.progress import Progress


@dataclass(frozen=True)
class Sample(Trainer):
    """Paint and learn nothing; a prompt or a LoRA's scale that changes meanwhile begins the picture anew."""

    when = "You want one texture now, as the generator paints it."
    learns = False
    follows_rewards = False

    def train(self, objective: Objective, *, iterations: int, resume: dict[str, Any] | None = None) -> Iterator[Progress]:
        for turn in itertools.count():
            objective.live(turn)
            painting = objective.paint(objective.seed)
            while not objective.outdated:  # else begin again: a picture that is half of each could not be made twice
                try:
                    progress = next(painting)
                except StopIteration as end:
                    return end.value.texture
                yield progress
