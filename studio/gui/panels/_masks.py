"""Masks in the settings: a row for each texture set, with the picture that is chosen for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import dearpygui.dearpygui as dpg

from studio.gui.panels._room import measurable, room
from studio.gui.panels._words import fitted
from studio.gui.theme import GRID

if TYPE_CHECKING:
    from studio.gui.app import App

CROSS, INSET = 28, 24
"""Width of the button that takes a mask off, and what a name leaves free of its own. Unscaled pixels."""
NONE = "Choose…"


def per_set(paths: tuple[str, ...], sets: int) -> list[str]:
    """The mask of each texture set: one alone is for all of them."""
    each = list(paths) * sets if len(paths) == 1 else list(paths)
    return (each + [""] * sets)[:sets]


def replaced(paths: tuple[str, ...], sets: int, index: int, path: str) -> tuple[str, ...]:
    """The masks after one set got another, or none; nothing when that was the last."""
    each = per_set(paths, sets)
    each[index] = path
    return tuple(each) if any(each) else ()


class Masks:
    """Made in the container that is open; a set's button is "<part>.<knob>.<set>", its cross "<part>.<knob>.<set>.clear"."""

    def __init__(
        self, app: App, part: str, knob: str, label: str, tip: str, *, label_px: float = 112, inset_px: float = 0
    ) -> None:
        """`part` and `knob` as `Session.set_knob` takes them; `inset_px`: what the rows are indented by, unscaled."""
        self._app, self._part, self._knob, self._label, self._tip = app, part, knob, label, tip
        self._label_px, self._inset_px = label_px, inset_px
        self._tag = f"{part}.{knob}"
        self._paths: tuple[str, ...] = ()
        self._seen: tuple[Any, ...] = ()
        dpg.add_group(tag=self._tag)

    def update(self, paths: tuple[str, ...]) -> None:
        """Show these masks of the mesh's texture sets."""
        mesh, wide = self._app.session.mesh, room(self._app)
        names = tuple(m.name for m in mesh.sets) if mesh is not None else ("",)
        state = (paths, names, wide)
        if state == self._seen or not measurable(self._app):
            return
        self._seen, self._paths = state, paths
        dpg.delete_item(self._tag, children_only=True)
        for index, path in enumerate(per_set(paths, len(names))):
            self._row(index, names, path, wide)

    def _row(self, index: int, names: tuple[str, ...], path: str, wide: int) -> None:
        theme, px, tag = self._app.theme, self._app.theme.px, f"{self._tag}.{index}"
        label, tip = self._label, self._tip
        if len(names) > 1:
            label, tip = f"{label} {index + 1}", f"{tip}\nFor the material '{names[index]}'."
        width = wide - px(self._label_px + self._inset_px) - (px(CROSS + GRID) if path else 0)
        said = fitted(Path(path).name, width - px(INSET), lambda text: dpg.get_text_size(text)[0]) if path else NONE
        with dpg.group(parent=self._tag), theme.row(label, tip, width=self._label_px), dpg.group(horizontal=True):
            choose = lambda: self._app.dialogs.choose_mask(lambda chosen: self._choose(index, chosen))  # noqa: E731
            theme.button(said, f"{path}\n{tip}" if path else tip, choose, tag=tag, width=width)
            if path:
                clear = lambda: self._put(index, "")  # noqa: E731
                theme.button("✗", "Take this mask off.", clear, kind="quiet", tag=f"{tag}.clear", width=px(CROSS))

    def _choose(self, index: int, path: Path) -> None:
        self._app.session.read_mask(path, lambda: self._put(index, str(path.absolute())))

    def _put(self, index: int, path: str) -> None:
        session = self._app.session
        sets = len(session.mesh.sets) if session.mesh is not None else 1
        session.set_knob(self._part, self._knob, replaced(self._paths, sets, index, path))
        session.commit()
