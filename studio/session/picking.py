"""The part of a session that compares: two variations at a time, and which of them is better.

Variations are painted by a run of the trainer `variations` on a thread of its own, which stands still while there are enough.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, cast

from studio import device
from studio import document as edits
from studio.config import Config, parse
from studio.errors import StudioError
from studio.preferences import Pick, Picks
from studio.session.keeping import Keeping
from studio.session.pairing import AHEAD, ROOM, Pair, Pool, Variation
from studio.session.recovering import Recovery
from studio.session.running import WAITING, Seen
from studio.worker import Worker, ended

if TYPE_CHECKING:
    from collections.abc import Generator

    from studio.progress import Progress
    from studio.surface.mesh import Mesh

Side = Literal["left", "right"]


class Picking(Keeping, ABC):
    """Belongs to the main thread; `_watch_variations` takes what the worker left."""

    mesh: Mesh | None
    recovery: Recovery
    _leaving: Worker[Seen] | None

    def __init__(self) -> None:
        Keeping.__init__(self)
        self.pair: Pair | None = None
        """What is compared: left and right."""
        self.painting = ""
        """What is being done for the next variation, in words."""
        self._pool = Pool()
        self._answered: deque[tuple[Pair, Pick | None]] = deque(maxlen=ROOM)  # they hold textures
        self._variations: Worker[Seen | Variation] | None = None
        self._compared: tuple[object, ...] = ()
        """What the settings were that variations cannot follow."""
        self._placed: tuple[object, ...] = ()
        """What the settings were that decide where picks lie."""

    @property
    @abstractmethod
    def active(self) -> bool:
        """A run is going on."""

    @abstractmethod
    def use_learned(self, then: Callable[[], Any]) -> None:
        """Keep what was learned in use; then go on."""

    @abstractmethod
    def _on_the_right_uvs(self, config: Config) -> Config:
        """The settings as a run on the present mesh needs them."""

    # -- comparing ------------------------------------------------------------------------------------------------------------

    @property
    def comparing(self) -> bool:
        """Two variations are shown instead of the texture, or will be soon."""
        return self._variations is not None

    @property
    def can_undo_pick(self) -> bool:
        """There is an answer to take back."""
        return self.comparing and self._folder is not None and bool(self._answered or self.picked)

    def compare(self) -> None:
        """Begin to paint variations. Raises StudioError where there is no mesh, a run goes on, or the settings cannot work."""
        if self.comparing:
            return
        if self.active:
            raise StudioError("A run is going on.", "Stop it, then compare.")
        if self.mesh is None:
            raise StudioError("There is no mesh to paint.", "Open one first.")
        if self.recovery.active:
            raise StudioError("Materials are being recovered.", "Wait until that is done, or stop it under Recover.")
        self._forget_where_they_lie()
        trainer = {"name": "variations", "count": 0, "picks": getattr(self.config.trainer, "picks", "")}
        config = parse({"trainer": trainer}, base=replace(self.config, rewards=(), held_out=0, judge_every=0))
        config = self._on_the_right_uvs(config)
        config.check()
        config.check_loras()
        self._pool, self.pair, self.painting = Pool(), None, "preparing"
        self._answered.clear()
        mesh, after, self._leaving = self.mesh, self._leaving, None
        self._compared, self._placed = _lasting(self.config), _place(self.config)
        live = lambda: edits.live(config, self.config if self.config.prompt.strip() else config, None)  # noqa: E731
        self._variations = Worker(lambda: _painted(config, mesh, live, after))
        self._variations.start()
        self._changed()

    def keep_and_compare(self) -> None:
        """Keep what was learned in use, and compare fresh samples of it. Raises StudioError where nothing was learned."""
        self.use_learned(self.compare)

    def stop_comparing(self) -> None:
        """Show the texture again; what was picked stays."""
        if self._variations is not None:
            self._variations.stop()
            self._leaving = cast("Worker[Seen]", self._variations)
            self._variations, self.pair, self.painting = None, None, ""
            self._changed()

    def _compare_as_edited(self) -> None:
        """Begin anew where the settings have changed in what variations cannot follow; paint what is asked for now."""
        if self._variations is None:
            self._forget_where_they_lie()
        elif _lasting(self.config) != self._compared:
            self.stop_comparing()
            self._or_say_why_not(self.compare)
        elif not self._enough:
            self._variations.resume()

    def _forget_where_they_lie(self) -> None:
        """Where the settings are no longer those of the picks that were counted."""
        if self._folder is not None and _place(self.config) != self._placed:
            self._folder = self.picked = None

    def pick(self, side: Side | None) -> None:
        """The left or the right one is better, or neither: the next pair."""
        if self.pair is None or self._folder is None:
            return
        pair, pick = self.pair, None
        if side is not None:
            pick = Pick(*(one.key for one in (pair if side == "left" else pair[::-1])))
            self._write(lambda picks: picks.prefer(pick.better, pick.worse))
            self.picked = (self.picked or 0) + 1
        self._answered.append((pair, pick))
        self._turn()

    def undo_pick(self) -> None:
        """Take the last answer back and show its pair again; of one long ago, only the pick is taken back."""
        if not self.can_undo_pick:
            return
        pair, pick = self._answered.pop() if self._answered else (None, None)
        if pick is not None or pair is None:
            self._write(lambda picks: picks.undo(of=pick))
            self.picked = max(0, (self.picked or 0) - 1)
        self.pair = pair or self.pair
        self._changed()

    @property
    def _enough(self) -> bool:
        """So many are ahead that no more need be painted; those of the last prompt do not count once there is another."""
        prompt = self.config.prompt
        return self._pool.unseen >= AHEAD and (self._pool.holds(prompt) or not prompt.strip())

    def _turn(self) -> None:
        """The next pair, if there is one; paint on while too few are ahead."""
        worker = self._variations
        if worker is None:
            return
        self.pair = self._pool.next()
        (worker.pause if self._enough else worker.resume)()
        self._read_taste()
        self._changed()

    def _watch_variations(self) -> None:
        """Take what was painted since the last frame; nothing is painted while materials are recovered."""
        if self.recovery.active:
            self.stop_comparing()
        if (worker := self._variations) is None:
            return
        state = worker.state  # read before the items: none comes after a final state
        for item in worker.take():
            if isinstance(item, Variation):
                self._take_variation(item)
            else:
                self.painting = item.stage
                if item.message:
                    self.say(item.message)
        if state == "failed" and worker.error is not None:
            self.stop_comparing()
            self._failed("Painting variations", worker.error)

    def _take_variation(self, variation: Variation) -> None:
        if self._folder != variation.file.parent:
            self._folder = variation.file.parent
            self._count()
        self._pool.add(variation)
        if self.pair is None:
            self._turn()
        elif self._enough and self._variations is not None:
            self._variations.pause()
        self._changed()


def _lasting(config: Config) -> tuple[object, ...]:
    """The settings that a run of variations keeps to its end."""
    loras = tuple(loaded.name for loaded in config.loras)
    place = config.generator, config.seed, config.views, config.max_views, config.atlas_px
    return *place, config.device, config.unwrap, config.region, config.lock, loras


def _place(config: Config) -> tuple[object, ...]:
    """The settings that decide in which folder picks lie."""
    where = getattr(config.trainer, "picks", "")
    return config.generator, config.views, config.max_views, config.atlas_px, config.unwrap, where


def _painted(config: Config, mesh: Mesh, live: Callable[[], Any], after: Worker[Seen] | None) -> Iterator[Seen | Variation]:
    """The worker's side: paint until it is stopped."""
    yield from ended(after, WAITING)
    after = None
    from studio.run import run

    device.leave_a_core()
    where = device.device(config.device)
    steps = cast("Generator[Progress]", run(config, mesh, live))
    try:
        for progress in steps:
            if progress.mesh is not None:
                mesh = progress.mesh
            if progress.kept is not None and progress.texture is not None:
                prompt = Picks(progress.kept.parent).samples[progress.kept.stem].prompt
                yield Variation(progress.kept, progress.texture.to("cpu"), mesh, prompt)
            else:
                yield Seen(progress.stage, progress.step, progress.total, 0.0, progress.message)
    finally:
        steps.close()
        steps = progress = None
        device.give_memory_back(where)
