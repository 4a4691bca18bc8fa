"""The generator's views while they denoise: what it paints before it is laid on the mesh."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import dearpygui.dearpygui as dpg
import numpy as np

from studio.gui.panels import Panel
from studio.gui.panels._pictures import Shelf
from studio.gui.theme import GRID

if TYPE_CHECKING:
    from studio.gui.app import App

PAUSE_S = 0.12
"""Between two pictures at least; more is not seen and costs frames."""
NOTHING = (
    "Nothing yet. After Start, the generator paints several views of the mesh at once, all of them out of noise. They clear up "
    "here, step by step, while the mesh already wears what they agree on."
)


@dataclass(frozen=True)
class Views(Panel):
    """What the generator paints, view by view, while it denoises."""

    title: ClassVar[str] = "Views"
    place: ClassVar[Any] = "right"
    order: ClassVar[int] = 20

    def build(self, app: App, parent: int | str) -> Callable[[], None]:
        return _Grid(app, parent).update


def columns(count: int, width: float, height: float) -> int:
    """How many square views stand side by side so that all are as large as the room allows."""
    return max(range(1, count + 1), key=lambda n: (min(width / n, height / math.ceil(count / n)), -n))


def sheet(views: np.ndarray, across: int, cell_px: int, gap_px: int) -> np.ndarray:
    """Views [V, h, w, 3] side by side, `across` in a row, each cell_px wide: [H, W, 4] float32, transparent between them."""
    count, h, w = views.shape[:3]
    down = math.ceil(count / across)
    cell_h = round(cell_px * h / w)
    ys = np.minimum((np.arange(cell_h) + 0.5) * h / cell_h, h - 1).astype(int)
    xs = np.minimum((np.arange(cell_px) + 0.5) * w / cell_px, w - 1).astype(int)
    picture = np.zeros((down * (cell_h + gap_px) - gap_px, across * (cell_px + gap_px) - gap_px, 4), np.float32)
    for i, view in enumerate(views):
        top, left = i // across * (cell_h + gap_px), i % across * (cell_px + gap_px)
        cell = picture[top : top + cell_h, left : left + cell_px]
        cell[..., :3] = np.clip(view[ys][:, xs], 0, 1)
        cell[..., 3] = 1
    return picture


class _Grid:
    def __init__(self, app: App, parent: int | str) -> None:
        self._app, self._parent, self._shelf = app, parent, Shelf("views")
        self._seen: tuple[Any, ...] = ()
        self._shown_at = 0.0
        self._texture: int | None = None
        theme = app.theme
        with dpg.group(parent=parent, tag="views.empty"):
            dpg.add_spacer(height=theme.px(GRID))
            theme.note(NOTHING)
        with dpg.group(parent=parent, tag="views.full", show=False):
            theme.note("", tag="views.step")
            dpg.add_group(tag="views.grid")
        theme.tip("views.step", "How far the denoising is, and how many views are painted together.")

    def update(self) -> None:
        """Show the newest guess, not more often than can be seen."""
        session = self._app.session
        if not dpg.is_item_visible(self._parent) and self._seen:
            return
        room = self._room()
        state = (session.views_id, session.pace, room)
        if state == self._seen or time.monotonic() < self._shown_at + PAUSE_S:
            return
        fresh = state[::2] != self._seen[::2]
        self._seen, self._shown_at = state, time.monotonic()
        views = session.views
        dpg.configure_item("views.empty", show=views is None)
        dpg.configure_item("views.full", show=views is not None)
        if views is None:
            return
        pace, busy = session.pace, session.state in ("running", "paused", "preparing")
        counted = f"{len(views)} views" + (f", {pace.stage} {pace.step} of {pace.total}" if busy and pace.total > 1 else "")
        dpg.set_value("views.step", counted[:1].upper() + counted[1:])
        if fresh:
            self._show(views, *room)

    def _room(self) -> tuple[int, int]:
        px = self._app.theme.px
        return (dpg.get_item_width("zone.right") or 0) - px(24), (dpg.get_item_height("zone.right") or 0) - px(88)

    def _show(self, views: np.ndarray, width: int, height: int) -> None:
        gap = self._app.theme.px(GRID)
        if min(width, height) < 4 * gap:
            return
        across = columns(len(views), width, height)
        down = math.ceil(len(views) / across)
        cell = max(1, int(min((width - (across - 1) * gap) / across, (height - (down - 1) * gap) / down)))
        picture = sheet(views, across, cell, gap)
        dpg.delete_item("views.grid", children_only=True)
        self._shelf.drop(self._texture)
        self._texture = self._shelf.put(picture)
        dpg.add_image(self._texture, parent="views.grid", tag="views.picture")
        self._app.theme.tip("views.picture", "What the generator believes at this step, before it is laid on the mesh.")
