"""What rewards say of a texture: one value and one texture gradient each, a few reward views at a time where that is the same.

The graph of a picture reward (lighting, a critic's network) grows with the views it is given. A score that is the mean over views
is therefore asked chunk by chunk, Σ (views of chunk / views) · score(chunk); each chunk's graph is gone before the next is drawn,
so that memory depends on the chunk and not on the number of views.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from studio.rewards import Look, Score
from studio.surface.atlas import Atlas


class Chunk(Protocol):
    """A few of the reward views."""

    def __call__(self) -> Tensor:
        """Its pictures [v, 3, h, w], drawn anew at every call."""
        ...

    def surface(self) -> Tensor:
        """As `Look.surface` [v, 4, h, w]."""
        ...


Views = Callable[[Tensor], Sequence[Chunk]]
"""Base colours [S, 3, T, T] → the chunks of views."""


@dataclass(frozen=True, eq=False)
class Term:
    """A reward at work on one mesh."""

    name: str
    score: Score
    averages: bool = False
    """As `Reward.averages`."""
    settings: str = ""
    """What it was made with: a score with others is another one."""


@dataclass(frozen=True, eq=False)
class Scores:
    """What the rewards say of one texture."""

    raw: dict[str, float]
    push: Tensor
    """[S, 3, T, T] weighted, normalised sum of the rewards' gradients, to be ascended."""
    total: float
    shares: dict[str, float]
    """Each reward's part of the push, by its norm; they add up to 1."""
    heat: dict[str, Tensor]
    """The length [S, 1, T, T] of the gradient of the reward that is being looked at."""
    message: str = ""
    """What the user should know: a reward was switched off."""


@dataclass(frozen=True, eq=False)
class Looks:
    """The looks that rewards get at one texture."""

    base_color: Tensor
    """[S, 3, T, T]; a leaf, where gradients are wanted."""
    atlas: Atlas
    prompt: str
    chunks: Sequence[Chunk]
    """As `Views` gives them."""
    step: int | None = None

    def whole(self) -> Look:
        """With all views."""
        return self._look(self.chunks, 0)

    def parts(self) -> Iterator[Look]:
        """With one chunk of views after another."""
        first = 0
        for chunk in self.chunks:
            look = self._look((chunk,), first)
            first += len(look.pictures())
            yield look

    def _look(self, chunks: Sequence[Chunk], first: int) -> Look:
        kept: list[Tensor] = []

        def pictures() -> Tensor:
            if not kept:
                kept.append(torch.cat([draw() for draw in chunks]))
            return kept[0]

        def surface() -> Tensor:
            return torch.cat([chunk.surface() for chunk in chunks])

        return Look(self.base_color, self.atlas, self.prompt, pictures, self.step, first, surface)


Measured = tuple[str, Tensor, Tensor | None]


def measured(terms: Sequence[Term], looks: Looks, *, differentiate: Collection[str]) -> Iterator[Measured]:
    """(name, value without its graph, gradient [S, 3, T, T]) of each term; no gradient for those not in `differentiate`."""
    chunked = [t for t in terms if t.averages] if len(looks.chunks) > 1 else []
    whole = looks.whole()
    for term in terms:
        if term not in chunked:
            value = term.score(whole)
            yield term.name, value.detach(), _gradient(value, looks.base_color) if term.name in differentiate else None
    if not chunked:
        return
    del whole
    values: dict[str, Tensor] = {}
    gradients: dict[str, Tensor] = {}
    total = 0
    for part in looks.parts():
        views = len(part.pictures())
        for term in chunked:
            value = term.score(part) * views
            values[term.name] = values.get(term.name, 0) + value.detach()
            if term.name in differentiate:
                found = _gradient(value, looks.base_color)
                gradients[term.name] = gradients[term.name].add_(found) if term.name in gradients else found
            del value
        total += views
        del part
    for term in chunked:
        gradient = gradients.pop(term.name, None)
        yield term.name, values[term.name] / total, None if gradient is None else gradient / total


def _gradient(value: Tensor, leaf: Tensor) -> Tensor:
    found = torch.autograd.grad(value, leaf, retain_graph=True, allow_unused=True) if value.requires_grad else (None,)
    return torch.zeros_like(leaf) if found[0] is None else found[0]
