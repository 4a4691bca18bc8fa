"""For tests that drive the window from outside: its state as JSON in the file that PATINA_TRACE names, whenever it changes."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import dearpygui.dearpygui as dpg

if TYPE_CHECKING:
    from studio.gui.app import App

VARIABLE = "PATINA_TRACE"
BUTTONS = dpg.mvMouseButton_Left, dpg.mvMouseButton_Middle, dpg.mvMouseButton_Right
"""As the X server counts them, from 1."""


class Trace:
    """Writes what a test may want to know: the session's numbers, and where each tagged item lies on the window."""

    def __init__(self, app: App) -> None:
        self._app, self._path, self._last = app, os.environ.get(VARIABLE), ""
        self._frame = 0

    def update(self) -> None:
        """Write the state if it differs from the last one written."""
        if not self._path:
            return
        self._frame += 1
        text = json.dumps(self._state(), sort_keys=True, default=str)
        if text != self._last:
            self._last = text
            temporary = f"{self._path}.part"
            with open(temporary, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(temporary, self._path)

    def _state(self) -> dict[str, Any]:
        app, session = self._app, self._app.session
        config = session.document.config
        return {
            "frame": self._frame,
            "mouse": dpg.get_mouse_pos(local=False),
            "buttons": [dpg.is_mouse_button_down(button) for button in BUTTONS],
            "state": session.state,
            "iteration": session.pace.iteration,
            "mesh": session.mesh.name if session.mesh else None,
            "loading": session.loading,
            "config": config.table(),
            "texture_id": session.texture_id,
            "moments": [m.id for m in session.film],
            "undo": session.can_undo,
            "redo": session.can_redo,
            "curves": {name: len(points) for name, points in session.curves.items()},
            "markers": len(session.markers),
            "recovery": {
                "state": session.recovery.state,
                "stage": session.recovery.moment.stage,
                "pictures": str(session.recovery.wish.pictures),
                "settings": vars(session.recovery.wish.settings),
            },
            "comparing": session.comparing,
            "answerable": session.pair is not None,
            "picked": session.picked,
            "taste": session.taste,
            "tasks": [[t.name, t.state] for t in session.tasks],
            "project": str(session.path) if session.path else None,
            "status": session.status,
            "layout": app.layout,
            "scale": app.theme.scale,
            "dialog": app.dialogs.open_name,
            "canvas": app.canvas.state() if app.canvas else {},
            "items": {tag: rect for tag in dpg.get_aliases() if (rect := _rect(tag))},
        }


def _rect(tag: str) -> list[int] | None:
    """[left, top, right, bottom] of a visible item on the window."""
    if not dpg.does_item_exist(tag):
        return None
    state = dpg.get_item_state(tag)
    if not state.get("visible") or "rect_min" not in state:
        return None
    low, size = state["rect_min"], state["rect_size"]
    return [round(low[0]), round(low[1]), round(low[0] + size[0]), round(low[1] + size[1])]
