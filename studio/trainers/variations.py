"""Variations: one texture after another from seeds of its own, each kept so that it can be picked from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.plug import knob
from studio.trainers import Trainer

if TYPE_CHECKING:
    from studio.objective import Objective
    from studio.progress import Progress


@dataclass(frozen=True)
class Variations(Trainer):
    """Paint and learn nothing; seeds that were kept before are not painted again."""

    when = "You want to say which textures you like better, here or elsewhere, before anything is learned."
    learns = False
    follows_rewards = False

    count: int = knob(16, "Textures to paint; 0: until it is stopped.", low=0, high=10_000)
    picks: str = knob("", "Folder that they are kept in; empty: one for each mesh and generator.")

    def beside(self, asset: Path) -> Variations:
        return self if self.picks else replace(self, picks=str(asset.with_name(f"{asset.stem}.picks").absolute()))

    def public(self) -> Variations:
        return replace(self, picks="")

    def train(self, objective: Objective, *, iterations: int, resume: dict[str, Any] | None = None) -> Iterator[Progress]:
        from studio.preferences import Picks, home
        from studio.trainers._gathering import kept

        objective.live(0)
        picks = Picks(Path(self.picks) if self.picks else home(objective.subject))
        known = {sample.seed for sample in picks.samples.values()}
        fresh = (seed for seed in map(objective.train_seed, itertools.count()) if seed not in known)
        turns = itertools.count() if not self.count else range(self.count)
        for turn, seed in zip(turns, fresh, strict=False):
            objective.live(turn)
            _, painted = yield from kept(objective, picks, seed)
            assert painted is not None, "a seed that is kept is not fresh"
        return painted.texture
