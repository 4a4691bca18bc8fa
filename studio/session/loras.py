"""The part of a session that is about LoRAs: those of files that are in use, and the one that was learned."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio import document as edits
from studio import files, lora, resources
from studio.config import Config
from studio.desk import Desk
from studio.errors import StudioError

if TYPE_CHECKING:
    from studio.project import Project

LEARNED = "learned"
"""What a LoRA is called that was learned here and is kept in use."""


class Loras(ABC):
    """Belongs to the main thread; files are written on the writer's."""

    _writer: Desk
    _checkpoint: dict[str, Any] | None
    _lent: tuple[object, str] = None, ""
    """The checkpoint whose LoRA was taken into use last, and its file."""

    @property
    @abstractmethod
    def config(self) -> Config:
        """The document's settings."""

    @property
    @abstractmethod
    def active(self) -> bool:
        """A run is going on."""

    @abstractmethod
    def edit(self, config: Config, *, key: str) -> None:
        """One undo step."""

    @abstractmethod
    def commit(self) -> None:
        """The next edit is a step of its own."""

    @abstractmethod
    def say(self, text: str) -> None:
        """A sentence for the status line."""

    @abstractmethod
    def _failed(self, doing: str, error: BaseException) -> None:
        """Show a problem."""

    @abstractmethod
    def _project(self) -> Project:
        """Everything that is saved, as it stands."""

    def add_lora(self, path: Path, *, name: str = "") -> None:
        """Use a LoRA of a file, from the next start on. Raises StudioError for one that cannot be used with this generator."""
        changed = edits.with_lora(self.config, Path(path).absolute(), name=name)
        called = changed.loras[-1].name
        self.commit()
        self.edit(changed, key=f"add {called}")
        self.commit()
        self.say(f"The LoRA '{called}' is in use{' from the next start on' if self.active else ''}.")

    def remove_lora(self, name: str) -> None:
        """Use a LoRA no more; a run that is going on leaves it out at once."""
        self.commit()
        self.edit(edits.without_lora(self.config, name), key=f"remove {name}")
        self.commit()

    def about_lora(self, name: str) -> str:
        """What a loaded LoRA was made for, and from what, in words. Raises StudioError when its file is gone."""
        loaded = next(one for one in self.config.loras if one.name == name)
        return lora.in_words(lora.about(Path(loaded.file)))

    @property
    def has_learned(self) -> bool:
        """There is a LoRA that a run has learned and that is not in use yet."""
        lent_of, file = self._lent
        if self._checkpoint is None or self.active or (lent_of is self._checkpoint and self._in_use(file)):
            return False
        return "taught" in self._checkpoint or bool(self._checkpoint.get("trainer", {}).get("lora"))

    def use_learned(self, then: Callable[[], Any] = lambda: None) -> None:
        """Keep what was learned in use for the next run: in a file of the user's, loaded as one undo step. Then do `then`.

        Raises StudioError where nothing was learned.
        """
        if not self.has_learned:
            raise StudioError("No LoRA was learned that is not in use.", "Start a run with the trainer lora_reward.")
        project, checkpoint = self._project(), self._checkpoint

        def write() -> Path:
            data = lora.encoded(project.lora, project.receipt())
            path = resources.loras_dir() / f"{LEARNED}-{hashlib.sha256(data).hexdigest()[:12]}{lora.SUFFIX}"
            path.parent.mkdir(parents=True, exist_ok=True)
            return files.write_bytes(path, data)

        def here(path: Path) -> None:
            self._lent = checkpoint, str(path)
            if self._in_use(str(path)):
                return
            try:
                self.add_lora(path, name=LEARNED)
                then()
            except StudioError as error:  # another generator was chosen meanwhile
                failed(error)

        def failed(error: BaseException) -> None:
            self._failed("Using the LoRA", error)

        self._writer.submit("keeping the LoRA", write, then=here, failed=failed)

    def _in_use(self, file: str) -> bool:
        return any(loaded.file == file for loaded in self.config.loras)
