"""Critics: pictures and text → how well they fit, how good the pictures are, and what they look like, differentiably.

To add one, put a file here that holds one frozen dataclass of knobs, a `Critic`; its `build()` returns an `Eye`, the live object
with weights on a device. Everything an eye says is a pure function of its arguments with a graph to the pictures. Rewards, the
held-out judge and picks share one loaded instance; the critic that judges must never have been a reward's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from studio.plug import Socket
from studio.words import Words

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SMALLEST_PX = 64
"""Side of the smallest pictures an eye looks at; others are resized inside."""


class Eye(ABC):
    """A critic with its weights on a device. Pictures are [N, 3, h, w] sRGB in 0…1, h and w at least SMALLEST_PX."""

    @abstractmethod
    def words(self, prompt: str) -> Words:
        """Which words of the prompt it knows."""

    @abstractmethod
    def features(self, pictures: Tensor) -> Tensor:
        """What the pictures look like: unit vectors [N, D]; their distance is how different two pictures are."""

    @abstractmethod
    def score(self, pictures: Tensor, prompt: str) -> Tensor:
        """How well each picture fits the prompt: [N], the cosine between picture and text; higher is better."""

    @abstractmethod
    def quality(self, pictures: Tensor) -> Tensor:
        """How undamaged each picture is [N], a logit: below 0 for blurred, noisy, banded, over-saturated, broken or washed-out
        ones. This is workmanship, not beauty."""


@dataclass(frozen=True)
class Critic(ABC):
    """The promise of a file in this folder: settings, and how to bring them to life."""

    description: ClassVar[str]
    """One plain sentence for menus."""
    held_out: ClassVar[bool] = False
    """True for a critic that only judges: no reward may use it."""

    @classmethod
    def why_not(cls) -> str | None:
        """Why it cannot be built here, in a sentence; None when it can."""
        return None

    @abstractmethod
    def build(self, *, device: torch.device, dtype: torch.dtype | None = None) -> Eye:
        """Load the weights. Raises StudioError when they are missing, partial or corrupt."""

    def stages(self) -> Iterator[str]:
        """What `build` does, in words, for the progress line."""
        yield "loading the critic"


SOCKET: Socket[Critic] = Socket(__name__, Critic)
