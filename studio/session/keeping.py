"""The part of a session that keeps picks: how many there are, what they say of a taste, export, import, and learning from them.

What is picked is written at once, by the writer's thread, so that nothing is lost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from studio import device
from studio import document as edits
from studio.config import Config, parse
from studio.desk import Desk
from studio.errors import StudioError
from studio.preferences import FEWEST, FEWEST_FOR_TASTE, HAND, Picks, by_hand, home

SEEDS = 8
"""Held-out seeds that tell what learning changed, where none are asked for."""
EVERY = 4
"""A taste is read anew after so many picks."""


class Keeping(ABC):
    """Belongs to the main thread."""

    _writer: Desk

    def __init__(self) -> None:
        self.picked: int | None = None
        """How many picks there are of this mesh and generator, or, before the first was compared, of all; None: not yet known."""
        self.taste: tuple[float, str] | None = None
        """How well a taste that is read from all picks predicts some that were left out, and that in words."""
        self.no_taste = ""
        """Why none could be read, in words."""
        self._folder: Path | None = None
        self._pending, self._taste_of = 0, 0
        self._taster = Desk("taste")

    @property
    @abstractmethod
    def config(self) -> Config:
        """The document's settings."""

    @abstractmethod
    def edit(self, config: Config, *, key: str) -> None:
        """One undo step."""

    @abstractmethod
    def commit(self) -> None:
        """The next edit is a step of its own."""

    @abstractmethod
    def start(self) -> None:
        """Begin a run."""

    @abstractmethod
    def stop_comparing(self) -> None:
        """Show the texture again."""

    @abstractmethod
    def say(self, text: str) -> None:
        """A sentence for the status line."""

    @abstractmethod
    def _changed(self) -> None:
        """Something that is shown has changed."""

    @abstractmethod
    def _failed(self, doing: str, error: BaseException) -> None:
        """Show a problem."""

    @property
    def where_picks_lie(self) -> Path | None:
        """Their folder, once it is known: it depends on mesh, cameras and generator."""
        return self._folder

    def look_for_picks(self) -> None:
        """Count the picks of other days, once."""
        if self.picked is None and self._folder is None:
            self.picked = 0
            here = lambda count: self._counted(count) if self._folder is None else None  # noqa: E731
            self._taster.submit("", by_hand, then=here, failed=lambda e: self._failed("Reading picks", e))

    def export_picks(self, target: Path) -> None:
        """Write the picks of this mesh and generator, with their textures, into a folder."""
        folder = self._known_folder()
        there = lambda n: self.say(f"{_were(n)} written into '{target.name}'.")  # noqa: E731
        self._on_disk("exporting picks", lambda: Picks(folder).export(target), there, "Exporting picks")

    def import_picks(self, log: Path) -> None:
        """Add picks that were exported, here or elsewhere: `log` is their list."""
        folder = self._folder

        def read() -> int:
            subject = next((sample.subject for sample in Picks(log.parent).samples.values()), {})
            return Picks(folder or home(subject)).take_in(log.parent)

        def there(count: int) -> None:
            self.say(f"{_were(count)} added.")
            if self._folder is not None:
                self._count()
            else:
                self.picked = None
                self.look_for_picks()

        self._on_disk("importing picks", read, there, "Importing picks")

    def _known_folder(self) -> Path:
        if self._folder is None:
            raise StudioError("It is not yet known where these picks lie.", "Compare two variations first.")
        return self._folder

    def _count(self) -> None:
        self._write(None)

    def _write(self, change: Callable[[Picks], Any] | None) -> None:
        """Change what is kept, and count it."""
        folder = self._known_folder()
        self._pending += 1

        def write() -> int:
            picks = Picks(folder)
            if change is not None:
                change(picks)
            return len(picks.by(HAND))

        def here(count: int) -> None:
            self._pending -= 1
            if not self._pending and folder == self._folder:  # else the next one tells
                self._counted(count)

        def failed(error: BaseException) -> None:
            self._pending -= 1
            self._failed("Keeping the pick", error)
            if change is not None and folder == self._folder:
                self._count()

        self._writer.submit("", write, then=here, failed=failed)

    def _counted(self, picks: int) -> None:
        self.picked = picks
        self._read_taste()
        self._changed()

    def _on_disk(self, label: str, do: Callable[[], Any], then: Callable[[Any], None], doing: str) -> None:
        self._writer.submit(label, do, then=then, failed=lambda error: self._failed(doing, error))

    # -- what is learned ------------------------------------------------------------------------------------------------------

    def learn_from_picks(self) -> None:
        """Train the document's generator on all picks, with the trainer `preference`, as one undo step. Raises StudioError."""
        if (self.picked or 0) < FEWEST:
            raise StudioError(f"Too few picks to learn from: {self.picked or 0}.", f"Make at least {FEWEST}.")
        self.stop_comparing()
        config = edits.with_plug(self.config, "trainer", "preference")
        config = parse({"trainer": {"score": ""}, "held_out": self.config.held_out or SEEDS}, base=config)
        self.commit()
        self.edit(config, key="learn from picks")
        self.commit()
        begin = lambda _: self._or_say_why_not(self.start)  # noqa: E731
        self._on_disk("", lambda: None, begin, "The run")  # after what is still being written

    def _or_say_why_not(self, act: Callable[[], None]) -> None:
        """Do it; what the user can mend becomes a problem: nobody catches what is raised here."""
        try:
            act()
        except StudioError as error:
            self._failed("The run", error)

    def _read_taste(self) -> None:
        """How well a taste predicts picks, where enough have been made since it was last read."""
        count = self.picked or 0
        if count < FEWEST_FOR_TASTE or abs(count - self._taste_of) < EVERY or self._taster.busy:
            return
        self._taste_of = count

        def read() -> tuple[float, str]:
            from studio.rewards.personal import agreement

            device.leave_a_core()
            return agreement()

        def here(found: tuple[float, str]) -> None:
            self.taste, self.no_taste = found, ""
            self._changed()

        def failed(error: BaseException) -> None:
            self.taste, self.no_taste = None, f"No taste can be read. {error}"
            self._changed()

        self._taster.submit("", read, then=here, failed=failed)


def _were(picks: int) -> str:
    return "1 pick was" if picks == 1 else f"{picks} picks were"
