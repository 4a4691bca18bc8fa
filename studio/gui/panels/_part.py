"""A part of the settings that is one plug of a socket: a list to choose it from, a sentence about it, and its form."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import dearpygui.dearpygui as dpg

from studio.gui.choice import Choice, Entry
from studio.gui.form import Form
from studio.gui.panels._words import named
from studio.plug import Socket

if TYPE_CHECKING:
    from studio.gui.app import App


def entries(socket: Socket[Any], said: Callable[[type], str]) -> list[Entry]:
    """A socket's plugs with a sentence each; those that cannot run here with the reason."""
    found = []
    for name in socket.names():
        why_not = socket.why_not(name)
        found.append(Entry(name, named(name), "" if why_not else said(socket.load(name)), why_not))
    return found


def waiting(pending: tuple[str, ...], part: str = "") -> str:
    """Which settings, or which of one part's, wait for the next start, in a sentence; empty when none do."""
    names = [name.removeprefix(f"{part} ") for name in pending if not part or name.split()[0] == part]
    return f"From the next start on: {', '.join(names)}." if names else ""


class Part:
    """Made in the container that is open; tags are "<part>.choice", "<part>.<knob>", "<part>.pending"."""

    def __init__(
        self, app: App, part: Literal["generator", "trainer"], socket: Socket[Any], tip: str, *,
        said: Callable[[type], str], live: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """`said` is the sentence about a plug; the knobs in `live` answer during a run."""
        self._app, self._part, self._socket, self._said, self._live = app, part, socket, said, live
        self._seen: tuple[Any, ...] = ()
        self._form: Form | None = None
        self._kind: type | None = None
        choose = lambda name: app.session.choose(part, name)  # noqa: E731
        self._choice = Choice(app, f"{part}.choice", tip, lambda: entries(socket, said), choose)
        app.theme.note("", tag=f"{part}.about")
        dpg.add_group(tag=f"{part}.form")
        app.theme.note("", tag=f"{part}.pending")

    def update(self) -> None:
        """Follow the session; another plug gets another form."""
        session = self._app.session
        plug = getattr(session.document.config, self._part)
        if self._form is None or type(plug) is not self._kind:
            self._kind = type(plug)
            self._choice.show(named(self._socket.name_of(plug)))
            dpg.set_value(f"{self._part}.about", self._said(type(plug)))
            dpg.delete_item(f"{self._part}.form", children_only=True)
            self._form = Form(self._app, f"{self._part}.form", self._part, plug, live=self._live)
        self._form.update(plug)
        state = (session.document, session.state)
        if state == self._seen:
            return
        self._seen = state
        sentence = waiting(session.pending(), self._part)
        dpg.configure_item(f"{self._part}.pending", show=bool(sentence))
        dpg.set_value(f"{self._part}.pending", sentence)
