"""Which two variations are compared next: those that were seen least and have not met."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studio.surface.mesh import Mesh
    from studio.texture import Texture

ROOM = 8
"""Variations that are kept at hand: a texture of 1024² texels takes 20 MB."""
AHEAD = 3
"""So many that nobody has seen are painted ahead."""


@dataclass(frozen=True, eq=False)
class Variation:
    """A texture that can be picked."""

    file: Path
    """Where it is kept: the key and the folder of the picks."""
    texture: Texture
    mesh: Mesh
    """The mesh that `texture` belongs to."""
    prompt: str = ""

    @property
    def key(self) -> str:
        """Its name among the picks."""
        return self.file.stem


Pair = tuple[Variation, Variation]


class Pool:
    """The newest variations, and who has met whom. Holds those of one prompt only."""

    def __init__(self) -> None:
        self._at_hand: list[Variation] = []
        self._seen: Counter[str] = Counter()
        self._met: set[frozenset[str]] = set()

    def add(self, variation: Variation) -> None:
        """One more; the one that was seen most makes room for it, and those of another prompt all do."""
        self._at_hand = [one for one in self._at_hand if one.prompt == variation.prompt]
        if len(self._at_hand) == ROOM:
            self._at_hand.remove(max(self._at_hand, key=lambda one: self._seen[one.key]))
        self._at_hand.append(variation)

    def holds(self, prompt: str) -> bool:
        """There are variations of this prompt."""
        return any(one.prompt == prompt for one in self._at_hand)

    @property
    def unseen(self) -> int:
        """How many nobody has been shown."""
        return sum(not self._seen[one.key] for one in self._at_hand)

    def next(self) -> Pair | None:
        """The next two, which have met now; None until there are two that have not."""
        free = [p for p in itertools.combinations(self._at_hand, 2) if frozenset(one.key for one in p) not in self._met]
        if not free:
            return None
        pair = min(free, key=lambda p: self._seen[p[0].key] + self._seen[p[1].key])
        self._seen.update(one.key for one in pair)
        self._met.add(frozenset(one.key for one in pair))
        return pair
