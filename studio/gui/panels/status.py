"""The bar at the foot of the window: the last message on the left; state, progress, pace and memory on the right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import dearpygui.dearpygui as dpg

from studio.gui.panels import Panel
from studio.gui.panels._words import STATES, duration, fitted, memory, pace
from studio.gui.theme import GRID

if TYPE_CHECKING:
    from studio.gui.app import App

SLOTS = {"state": 72, "bar": 120, "step": 184, "rate": 56, "eta": 104, "memory": 104, "fps": 48}
"""Widths in unscaled pixels, from left to right: every number has its place and nothing jumps."""
TIPS = {
    "state": "What the run is doing.",
    "bar": "How far the run, or else an export, has come.",
    "step": "What is being done, and which step of how many.",
    "rate": "Learning steps per second, lately.",
    "eta": "How long the run will take from here, at the present pace.",
    "memory": "Memory in use, of all there is: the graphics card's where one is used.",
    "fps": "Pictures of the viewport per second. Still: nothing moves, so nothing is drawn.",
}
RIGHT = ("rate", "eta", "memory", "fps")
"""Slots whose words end where the slot does."""
FIRST_TO_GO = ("fps", "rate", "memory", "step", "eta")
"""In a narrow window these are left out, in this order, so that a message stays readable."""
TASK, EDGE, LINE, LEAST = 200, 12, 16, 176
TEXT_Y = 3
"""dearpygui sets texts lower by the padding of a frame."""


@dataclass(frozen=True)
class Status(Panel):
    """One line that is always there."""

    title: ClassVar[str] = "Status"
    place: ClassVar[Any] = "status"
    order: ClassVar[int] = 10

    def build(self, app: App, parent: int | str) -> Callable[[], None]:
        return _Bar(app, parent).update


class _Bar:
    def __init__(self, app: App, parent: int | str) -> None:
        self._app = app
        self._seen: tuple[Any, ...] = ()
        self._ends: dict[str, int] = {}
        theme, px = app.theme, app.theme.px
        dpg.add_text("", tag="status.message", parent=parent)
        with dpg.tooltip("status.message", delay=0.4, hide_on_activity=True, tag="status.message.tip"):
            dpg.add_text("", tag="status.message.whole", wrap=px(480))
        dpg.add_text("", tag="status.task", parent=parent, show=False)
        dpg.bind_item_theme("status.task", theme.dim)
        theme.tip("status.task", "A file that is being written; the run goes on meanwhile.")
        dpg.add_button(label="✗", tag="status.cancel", parent=parent, show=False, small=True, callback=self._cancel)
        dpg.bind_item_theme("status.cancel", theme.quiet)
        theme.tip("status.cancel", "Stop writing this file.")
        dpg.add_text("●", tag="status.dot", parent=parent)
        for name in SLOTS:
            if name == "bar":
                dpg.add_progress_bar(tag="status.bar", parent=parent, width=px(SLOTS["bar"]), height=px(6))
            else:
                dpg.add_text("", tag=f"status.{name}", parent=parent)
                if name != "state":
                    dpg.bind_item_theme(f"status.{name}", theme.dim)
            theme.tip(f"status.{name}", TIPS[name])

    def _cancel(self) -> None:
        if task := self._task():
            self._app.session.cancel(task)

    def _task(self) -> Any:
        """The oldest task that goes on, or None."""
        return next((t for t in self._app.session.tasks if t.state == "working"), None)

    def update(self) -> None:
        """Put every number into its slot."""
        app, session = self._app, self._app.session
        fps = round(app.canvas.fps) if app.canvas else 0
        if not dpg.get_text_size(""):  # before the first frame no text has a size
            return
        shown = (session.revision, session.status, session.loading, tuple(session.tasks), fps)
        state = (*shown, dpg.get_item_width("zone.status"), _width("0"))  # another scale's font comes a frame later
        if state == self._seen:
            return
        self._seen = state
        now, task = session.pace, self._task()
        room = self._place(dpg.get_item_width("zone.status") or 0, bool(task))
        loading = session.loading or ""
        whole = f"{loading[:1].upper()}{loading[1:]}…" if loading else session.status
        message = fitted(whole, room, _width)
        dpg.set_value("status.message", message)
        dpg.set_value("status.message.whole", whole)
        dpg.configure_item("status.message.tip", show=message != whole)
        busy = session.state in ("preparing", "running", "paused", "stopping")
        words = {
            "state": STATES[session.state],
            "step": self._step(now) if busy else "",
            "rate": pace(now.it_per_s) if busy else "",
            "eta": f"{duration(now.eta_s)} left" if busy and now.eta_s is not None else "",
            "memory": memory(now.memory_bytes, now.memory_total_bytes),
            "fps": f"{fps} fps" if fps else "still",
        }
        for name, text in words.items():
            dpg.set_value(f"status.{name}", text)
            if name in RIGHT and name in self._ends:
                dpg.set_item_pos(f"status.{name}", [self._ends[name] - _width(text), self._app.theme.px(TEXT_Y)])
        dpg.set_value("status.bar", _share(now, task, busy=busy))
        dpg.configure_item("status.bar", show=bool(busy or task))
        if task:
            done, px = f" {task.done / task.total:.0%}" if task.total else "", self._app.theme.px
            text = fitted(f"Writing {task.name}", px(TASK) - _width(done), _width) + done
            dpg.set_value("status.task", text)
            dpg.set_item_pos("status.task", [self._ends["task"] - _width(text), px(TEXT_Y)])
        dpg.configure_item("status.task", show=bool(task))
        dpg.configure_item("status.cancel", show=bool(task))
        theme = app.theme
        dots = {"failed": theme.warning, "idle": theme.dim, "paused": theme.dim}
        dpg.bind_item_theme("status.dot", dots.get(session.state, theme.accent))

    def _step(self, now: Any) -> str:
        """ "learning 23/60", its words cut where the slot is too narrow for them."""
        count = f" {now.step}/{now.total}" if now.total > 1 else ""
        return fitted(now.stage, self._app.theme.px(SLOTS["step"]) - _width(count), _width) + count

    def _place(self, width: int, task: bool) -> float:
        """Give the items their places; the room that is left for the message."""
        px = self._app.theme.px
        taken = sum(map(px, SLOTS.values())) + px(LINE) * len(SLOTS) + 2 * px(EDGE) + (px(TASK + 2 * LINE) if task else 0)
        away = set()
        for name in FIRST_TO_GO:
            if width - taken < px(LEAST):
                away.add(name)
                taken -= px(SLOTS[name] + LINE)
        x, y = width - px(EDGE), px(TEXT_Y)
        self._ends.clear()
        for name in reversed(SLOTS):
            dpg.configure_item(f"status.{name}", show=name not in away)
            if name in away:
                continue
            self._ends[name] = x
            x -= px(SLOTS[name])
            dpg.set_item_pos(f"status.{name}", [x, px(12 if name == "bar" else TEXT_Y)])
            x -= px(LINE)
        x -= px(16) - px(LINE)
        dpg.set_item_pos("status.dot", [x, y])
        if task:
            x -= px(LINE + 24)
            dpg.set_item_pos("status.cancel", [x, px(7)])
            self._ends["task"] = x - px(GRID)
            x -= px(TASK + GRID)
        dpg.set_item_pos("status.message", [px(EDGE), y])
        return x - px(EDGE + LINE)


def _width(text: str) -> float:
    """In pixels, in the window's font."""
    return dpg.get_text_size(text)[0]


def _share(now: Any, task: Any, *, busy: bool) -> float:
    """What the bar shows, 0 to 1: iterations; before the first one the stage's steps; without a run, the export."""
    if busy and now.iteration:
        return now.iteration / now.iterations
    if busy:
        return now.step / now.total if now.total else 0.0
    return task.done / task.total if task and task.total else 0.0
