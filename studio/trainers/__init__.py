"""Trainers: what to do with an objective, one step at a time.

To add one, put a file here that holds one frozen dataclass of knobs, a `Trainer`. `train` is a generator: it holds no locks,
callbacks or stop flags, and yields once per denoising step; whoever iterates it decides about pause, stop and checkpoints. Its
return value is the texture of the run's own seed. Grad mode is entered per step, never held across a yield.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from studio.plug import Socket, knob

if TYPE_CHECKING:
    from pathlib import Path

    from studio.objective import Objective
    from studio.progress import Progress


def rank() -> Any:
    """The knob of trainers with a LoRA: its rank."""
    return knob(4, "LoRA rank: how much the generator can learn.", low=1, high=128)


def adapter() -> Any:
    """The knob of trainers with a LoRA: what learns."""
    said = "What learns: a LoRA, or only an offset on the prompt (raise the rate tenfold)."
    return knob("lora", said, choices=("lora", "prompt"))


def ema(keep: float) -> Any:
    """The knob of trainers with a LoRA: the average that paints at the end."""
    return knob(keep, "Average of the LoRA that paints at the end: how much each step keeps; 0: off.", low=0.0, high=0.9999)


@dataclass(frozen=True)
class Trainer(ABC):
    """The promise of a file in this folder."""

    when: ClassVar[str]
    """One sentence: when a user should pick this trainer."""
    learns: ClassVar[bool]
    """True when the generator itself changes, so that held-out seeds can be compared before and after."""
    follows_rewards: ClassVar[bool] = True
    """False when rewards are only measured, so that it needs none."""

    @property
    def iterates(self) -> bool:
        """It goes by iterations."""
        return self.learns or self.follows_rewards

    def check(self) -> None:  # noqa: B027 - most settings can work
        """Raises StudioError for settings that cannot work, before anything is painted."""

    def beside(self, asset: Path) -> Trainer:
        """The same, keeping what it keeps beside this file unless it was given another place."""
        return self

    def public(self) -> Trainer:
        """The same for whoever gets the painted mesh: without places on the user's disk."""
        return self

    def learns_cameras_from(self) -> str | None:
        """From where the painting cameras learn their places: "best", the set that sees most, or "front", all in one place. None
        where they stay in the best."""
        return None

    @abstractmethod
    def train(self, objective: Objective, *, iterations: int, resume: dict[str, Any] | None = None) -> Iterator[Progress]:
        """Work on the objective for `iterations`, continuing from the state of an earlier `Progress.checkpoint` if given."""


SOCKET: Socket[Trainer] = Socket(__name__, Trainer)
