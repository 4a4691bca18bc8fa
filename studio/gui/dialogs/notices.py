"""Short dialogs: what went wrong, a question before something is lost, work that a crash left behind."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dearpygui.dearpygui as dpg

from studio import __version__
from studio.gui.dialogs.dialog import Button, Dialog
from studio.gui.dialogs.places import ago

if TYPE_CHECKING:
    from studio.gui.dialogs import Dialogs


@dataclass(frozen=True)
class Failure:
    """What an error dialog tells."""

    title: str
    cause: str
    remedy: str
    log: str = ""


class Error(Dialog):
    """What failed, the likely cause, the next action, and a log to copy. Several wait in a queue."""

    name = "error"

    def __init__(self, dialogs: Dialogs, failure: Failure) -> None:
        super().__init__(dialogs)
        self.failure = failure
        self._waiting = 0

    def title(self) -> str:
        return f"⚠  {self.failure.title}"

    def fill(self) -> None:
        self._waiting = 0
        dpg.bind_item_theme(f"{self.name}.title", self.theme.warning)
        self.text(self.failure.cause, tag="cause")
        self.text(self.failure.remedy, tag="remedy", dim=True)
        if self.failure.log:
            with dpg.tree_node(label="Details", tag=f"{self.name}.details", span_full_width=True):
                dpg.add_input_text(
                    default_value=self.failure.log, multiline=True, readonly=True, width=-1, height=self.theme.px(160),
                    tag=f"{self.name}.log",
                )  # fmt: skip
                dpg.bind_item_font(f"{self.name}.log", self.theme.small)
                self.theme.tip(f"{self.name}.log", "What the program was doing when it failed. Copy log takes it along.")

    def aside(self) -> None:
        self.hint(tag="more")

    def buttons(self) -> list[Button]:
        return [
            Button("copy", "Copy log", "Put everything a bug report needs on the clipboard.", self._copy),
            Button("close", "Close", "Back to work.", self.close),
        ]

    def update(self) -> None:
        waiting = len(self.dialogs.failures)
        if waiting != self._waiting:
            self._waiting = waiting
            dpg.set_value(f"{self.name}.more", f"{waiting} more after this" if waiting else "")

    def _copy(self) -> None:
        dpg.set_clipboard_text(log_of(self.failure, list(self.app.session.messages)))
        dpg.configure_item(f"{self.name}.copy", label="Copied")


def log_of(failure: Failure, messages: list[str]) -> str:
    """The text of a report: versions, what failed, the last messages, the traceback."""
    head = f"Patina Studio {__version__} | Python {platform.python_version()} | {platform.platform()}"
    parts = [head, "", failure.title, failure.cause, failure.remedy]
    if messages:
        parts += ["", "Last messages:", *messages[-10:]]
    if failure.log:
        parts += ["", failure.log]
    return "\n".join(parts)


class Question(Dialog):
    """Something would be lost: go on? The default is the last answer, or, where the first one loses something, "Cancel"."""

    name = "question"

    def __init__(
        self,
        dialogs: Dialogs,
        title: str,
        words: str,
        answers: list[tuple[str, str, Callable[[], Any]]],
        *,
        careful: bool = False,
    ) -> None:
        """`answers`: words, tip and what is done, from left to right; `careful` makes "Cancel" the default."""
        super().__init__(dialogs)
        self._title, self._words, self._answers, self._careful = title, words, answers, careful

    def title(self) -> str:
        return self._title

    def fill(self) -> None:
        self.text(self._words)

    def buttons(self) -> list[Button]:
        cancel = [Button("cancel", "Cancel", "Leave everything as it is.", self.close)]
        answers = [Button(f"answer_{i}", words, tip, self._answer(act)) for i, (words, tip, act) in enumerate(self._answers)]
        return answers + cancel if self._careful else cancel + answers

    def _answer(self, act: Callable[[], Any]) -> Callable[[], None]:
        def do() -> None:
            self.close()
            act()

        return do


class Recovery(Dialog):
    """At the start: work that was never saved was found."""

    name = "recovery"

    def __init__(self, dialogs: Dialogs, path: Path) -> None:
        super().__init__(dialogs)
        self._path = path

    def title(self) -> str:
        return "Unsaved work was found"

    def fill(self) -> None:
        when = ago(time.time() - self._path.stat().st_mtime) if self._path.exists() else "some time ago"
        self.text(f"The studio ended {when}, before this work was saved. It was kept.")
        self.text("Restore it to go on where you were.", dim=True)

    def buttons(self) -> list[Button]:
        return [
            Button("discard", "Discard", "Begin as usual and do not ask for this work again.", self._discard),
            Button("later", "Not now", "Begin as usual; the next start asks again.", self.close),
            Button("restore", "Restore", "Open the kept work.", self._restore),
        ]

    def _discard(self) -> None:
        self.close()
        self.app.session.decline(self._path)

    def _restore(self) -> None:
        self.close()
        self.app.session.open_project(self._path)
