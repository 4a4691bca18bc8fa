"""The run bar: one big button, and what to expect of it or how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import dearpygui.dearpygui as dpg

from studio.gui.commands import command
from studio.gui.panels import Panel
from studio.gui.panels._part import waiting
from studio.gui.panels._room import close, measurable
from studio.gui.panels._words import duration, fitted, memory, pace
from studio.gui.theme import GRID, LINE

if TYPE_CHECKING:
    from studio.gui.app import App
    from studio.session import Pace, Session

SMALL, ICON, TALL, BAR = 72, 40, 40, 6
"""Unscaled pixels: the width of a small button, without its words, and heights."""
NARROW = 280
"""In a column narrower than this the small buttons lose their words."""
BUTTON = {
    "idle": "▶   Start",
    "done": "▶   Start",
    "failed": "▶   Start",
    "preparing": "⏸   Pause",
    "running": "⏸   Pause",
    "paused": "▶   Resume",
    "pausing": "Pausing …",
    "stopping": "Stopping …",
}
DOT = "  ·  "
COMMANDS = {"start": "run.toggle", "step": "run.step", "stop": "run.stop"}


@dataclass(frozen=True)
class Run(Panel):
    """Start, pause, step, stop."""

    title: ClassVar[str] = "Run"
    place: ClassVar[Any] = "run"
    order: ClassVar[int] = 10

    def build(self, app: App, parent: int | str) -> Callable[[], None]:
        return _Run(app, parent).update


def expectation(session: Session) -> str:
    """What a start would bring, in a sentence or two."""
    if session.mesh is None:
        return "A mesh is being read." if session.loading else "Open a mesh to begin."
    return session.forecast().text


def progress(now: Pace, *, counts: bool) -> float:
    """How much of the run is done, 0 to 1. `counts`: its trainer goes by iterations; else the steps of its stage count."""
    done, of = (now.iteration, now.iterations) if counts else (now.step, now.total)
    return min(1.0, done / of) if of else 0.0


def saying(state: str, now: Pace, *, counts: bool) -> tuple[str, str]:
    """Two short lines about a run: where it is, and how fast."""
    told = counts and (now.step, now.total) == (now.iteration, now.iterations)  # the same numbers twice say nothing
    stage = now.stage[:1].upper() + now.stage[1:] or "Preparing"
    where = [state.capitalize()] if state in ("pausing", "paused", "stopping") else []
    where += [f"Iteration {now.iteration}/{now.iterations}"] if counts and now.iterations else []
    where += [f"{stage} {now.step}/{now.total}" if now.total and not told else stage]
    left = f"{duration(now.eta_s)} left" if now.eta_s is not None and state != "stopping" else ""
    speed = [left, pace(now.it_per_s), memory(now.memory_bytes, now.memory_total_bytes)]
    return DOT.join(where), DOT.join(s for s in speed if s)


def _tip(name: str) -> str:
    return f"{command(name).tip} Key: {command(name).chords[0]}"


class _Run:
    def __init__(self, app: App, parent: int | str) -> None:
        self._app = app
        self._seen: tuple[Any, ...] = ()
        self._state = ""
        theme, px = app.theme, app.theme.px
        dpg.draw_line((-px(12), -px(GRID)), (4 * px(NARROW), -px(GRID)), color=LINE, thickness=1, parent=parent)
        with dpg.group(parent=parent):
            with dpg.group(horizontal=True):
                for tag, name in COMMANDS.items():
                    theme.button("", _tip(name), partial(self._do, name), tag=f"run.{tag}", height=px(TALL))
            dpg.bind_item_theme("run.start", theme.primary)
            dpg.bind_item_font("run.start", theme.strong)
            with dpg.group(tag="run.done", show=False):  # a tooltip of its own would go on without a hidden bar
                dpg.add_progress_bar(tag="run.progress", width=-1, height=px(BAR))
                theme.tip("run.progress", "How much of the run is done.")
            with dpg.group() as lines:
                theme.note("", tag="run.forecast")
                theme.note("", tag="run.where")
                theme.note("", tag="run.pace")
                theme.note("", tag="run.pending")
            dpg.bind_item_theme(lines, close(app, 4))

    def _do(self, name: str) -> None:
        command(name).act(self._app)

    def update(self) -> None:
        """Follow the session."""
        session, px = self._app.session, self._app.theme.px
        wide = dpg.get_item_width("zone.run") or 0
        state = (session.revision, session.loading, wide)
        if state == self._seen or not measurable(self._app):
            return
        self._seen = state
        said = "pausing" if session.pausing else session.state
        active = session.state in ("preparing", "running", "paused", "stopping")
        narrow = wide < px(NARROW)
        small = px(ICON if narrow else SMALL)
        sizes = {"start": wide - px(24) - 2 * (small + px(GRID)), "step": small, "stop": small}
        labels = {"start": BUTTON[said], "step": "⏭" if narrow else "⏭  Step", "stop": "■" if narrow else "■  Stop"}
        for tag, name in COMMANDS.items():
            dpg.configure_item(f"run.{tag}", width=sizes[tag], label=labels[tag], enabled=command(name).enabled(self._app))
        for tag in ("done", "where", "pace", "pending"):
            dpg.configure_item(f"run.{tag}", show=active)
        dpg.configure_item("run.forecast", show=not active)
        if active:
            counts = session.document.config.trainer.iterates
            dpg.set_value("run.progress", progress(session.pace, counts=counts))
            small = self._app.theme.small
            lines = *saying(said, session.pace, counts=counts), waiting(session.pending())
            for tag, line in zip(("where", "pace", "pending"), lines, strict=True):
                dpg.set_value(f"run.{tag}", fitted(line, wide - px(24), lambda text: dpg.get_text_size(text, font=small)[0]))
        else:
            dpg.set_value("run.forecast", expectation(session))
