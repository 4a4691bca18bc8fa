"""Critics: pictures and text → how well they fit, how good the pictures are, and what they look like, differentiably.

To add one, put a file here that holds one frozen dataclass of knobs, a `Critic`; its `build()` returns an `Eye`, the live object
with weights on a device. Everything an eye says is a pure function of its arguments with a graph to the pictures. Rewards, the
held-out judge and picks share one loaded instance; the critic that judges must never have been a reward's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal
from weakref import WeakValueDictionary

from studio import resources
from studio.errors import StudioError
from studio.plug import Socket, knobs
from studio.words import Words

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Opinion = Literal["score", "quality"]
SMALLEST_PX = 64
"""Side of the smallest pictures an eye looks at; others are resized inside."""


class Eye(ABC):
    """A critic with its weights on a device. Pictures are [N, 3, h, w] sRGB in 0…1, h and w at least SMALLEST_PX."""

    px: int
    """Side of the pictures that its network sees; others are resized inside."""
    spread: Mapping[str, float] = {}
    """The standard deviation of each opinion over held-out renders of all kinds; empty where nobody has measured it."""

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
        """How good each picture is [N], higher is better. Of the bundled critics a logit: below 0 for blurred, noisy, banded,
        over-saturated, broken or washed-out ones. That is workmanship, not beauty."""


@dataclass(frozen=True)
class Critic(ABC):
    """The promise of a file in this folder: settings, and how to bring them to life."""

    description: ClassVar[str]
    """One plain sentence for menus."""
    opinions: ClassVar[tuple[Opinion, ...]] = ("score", "quality")
    """What its eye has an opinion on; it refuses the other."""
    held_out: ClassVar[bool] = False
    """True for a critic that only judges: no reward may use it."""
    weights_bytes: ClassVar[float] = 0.0
    """Of its weights on a device, where they are worth a word;"""
    glance_bytes: ClassVar[float] = 0.0
    """and of what one glance at a picture keeps for the way back."""

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
_SHARED: WeakValueDictionary[tuple[Critic, str, str], Eye] = WeakValueDictionary()


def chosen(name: str, path: str) -> Critic:
    """The critic called `name`, with the user's folder of its files, or the one that `studio models` has filled.

    Raises StudioError when it is unknown, needs a folder and there is none, or reads none and one is given.
    """
    own = "path" in knobs(SOCKET.load(name))
    if own and not path:
        fetched = resources.model_dir(name)
        if not fetched.is_dir():
            remedy = f"Give the folder of its files as its path, or fetch them: `studio models fetch {name}`."
            raise StudioError(f"The critic '{name}' does not come with the studio.", remedy)
        path = str(fetched)
    if path and not own:
        raise StudioError(f"The critic '{name}' comes with the studio and reads no folder.", "Leave its path empty.")
    return SOCKET.make(name, **({"path": path} if own else {}))


def shared(critic: Critic, device: torch.device, dtype: torch.dtype | None = None) -> Eye:
    """What `build` gives, one instance for all who hold it; its memory is free again when nobody does. Raises as `build` does."""
    key = (critic, str(device), str(dtype))
    eye = _SHARED.get(key)
    if eye is None:
        _SHARED[key] = eye = critic.build(device=device, dtype=dtype)
    return eye
