"""The part of a session that edits its document: every edit is checked, labelled, and one step of undo."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio import document as edits
from studio.config import Config
from studio.document import Document, History

if TYPE_CHECKING:
    from studio.generators import Words


class Editing(ABC):
    """Settings and undo. Every edit raises StudioError for what is unknown, of the wrong type or out of range, and then changes
    nothing."""

    def __init__(self, document: Document) -> None:
        self._history = History(document)

    @abstractmethod
    def _edited(self, before: Document) -> None:
        """The document has been replaced."""

    @property
    def document(self) -> Document:
        """What is being worked on, replaced whole by every edit."""
        return self._history.document

    @property
    def config(self) -> Config:
        """The document's settings."""
        return self._history.document.config

    def edit(self, config: Config, *, key: str) -> None:
        """One undo step, labelled `key`; successive edits of one key are merged until `commit`."""
        self._replace(replace(self.document, config=config), key)

    def commit(self) -> None:
        """A drag ended."""
        self._history.commit()

    @property
    def can_undo(self) -> str | None:
        """The label of what would be undone."""
        return self._history.undo_label

    @property
    def can_redo(self) -> str | None:
        """The label of what would be done again."""
        return self._history.redo_label

    def undo(self) -> None:
        """Back by one edit, if there is one."""
        before = self.document
        if self._history.undo():
            self._edited(before)

    def redo(self) -> None:
        """Forth by one edit, if there is one."""
        before = self.document
        if self._history.redo():
            self._edited(before)

    def set_weight(self, name: str, weight: float) -> None:
        """How much a reward counts."""
        self.edit(edits.with_knob(self.config, f"rewards.{name}", "weight", weight), key=f"weight of {name}")

    def add_reward(self, name: str) -> None:
        """One more reward, at its default weight."""
        self.edit(edits.with_reward(self.config, name), key=f"add {name}")

    def remove_reward(self, name: str) -> None:
        """One reward less."""
        self.edit(edits.without_reward(self.config, name), key=f"remove {name}")

    def set_knob(self, part: str, knob: str, value: Any) -> None:
        """`part` is "run", "generator", "trainer", "rewards.<name>" or "loras.<name>"."""
        said = knob.replace("_", " ")
        label = said if part == "run" else f"{part.removeprefix('rewards.').removeprefix('loras.')} {said}"
        self.edit(edits.with_knob(self.config, part, knob, value), key=label)

    def choose(self, part: str, name: str) -> None:
        """Another "generator" or "trainer"."""
        self.edit(edits.with_plug(self.config, part, name), key=part)

    def apply_preset(self, name: str) -> None:
        """A preset's settings in place of the present ones, except for what to paint and where to compute."""
        self.edit(edits.with_preset(self.config, name), key=f"preset {name}")

    def set_prompt(self, text: str) -> None:
        """What the surface should look like."""
        self.set_knob("run", "prompt", text)

    def words(self, prompt: str) -> Words | None:
        """Which words of a prompt the chosen generator knows; None where only its weights can tell."""
        return self.config.generator.words(prompt)

    def _replace(self, document: Document, key: str) -> None:
        before = self.document
        if self._history.edit(document, key=key):
            self._edited(before)

    def _adopt(self, mesh: Path) -> list[str]:
        """The mesh that has been opened, as a step of its own; what to say of that. Masks lie on the UVs of the one before."""
        stale = mesh != self.document.mesh and bool(self.config.masks())
        config = self.config.with_masks(lambda path: "") if stale else self.config
        self._history.commit()
        self._replace(replace(self.document, mesh=mesh, config=config), f"open {mesh.name}")
        self._history.commit()
        return ["The masks belonged to the mesh before; they were taken off."] if stale else []
