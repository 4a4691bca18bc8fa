"""A drop-down whose entries explain themselves: each with a sentence, those that cannot be chosen here greyed with the reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dearpygui.dearpygui as dpg

from studio.gui.theme import ASH, BONE, VERDIGRIS

if TYPE_CHECKING:
    from studio.gui.app import App

ENTRY_PX = 300
"""The least width of the list."""
_lists: set[str] = set()


@dataclass(frozen=True)
class Entry:
    """One line of the list."""

    name: str
    """What is handed to the callback, and the end of the line's tag."""
    label: str
    note: str = ""
    """A sentence below the label."""
    why_not: str | None = None
    """Why it cannot be chosen; it then stands in the sentence's place."""


def is_open() -> bool:
    """Whether a list hangs open."""
    return any(dpg.does_item_exist(item) and dpg.is_item_visible(item) for item in _lists)


class Choice:
    """A button that opens a list. The entries are asked for when it is opened, so that reasons are never old."""

    def __init__(
        self, app: App, tag: str, tip: str, entries: Callable[[], Sequence[Entry]], pick: Callable[[str], None], *,
        label: str = "",
    ) -> None:  # fmt: skip
        """Made in the container that is open. `tag` is the button's; a line's is "<tag>.<name>". `label` is what it shows."""
        self._app, self._tag, self._entries, self._pick, self._label = app, tag, entries, pick, label
        self._list = f"{tag}.list"
        with app.theme.dropdown():
            dpg.add_button(label=label, tag=tag, width=-1, callback=self._open)
        app.theme.tip(tag, tip)
        _lists.add(self._list)
        with dpg.window(popup=True, show=False, tag=self._list, no_title_bar=True, no_move=True, no_resize=True):
            pass

    def show(self, label: str) -> None:
        """Change what the button shows."""
        if label != self._label:
            self._label = label
            dpg.set_item_label(self._tag, label)

    def _open(self) -> None:
        px, fonts = self._app.theme.px, self._app.theme
        left, top = dpg.get_item_rect_min(self._tag)
        width, height = dpg.get_item_rect_size(self._tag)
        width = max(width, px(ENTRY_PX))
        dpg.delete_item(self._list, children_only=True)
        y, pad, inner = px(6), px(8), width - px(32)
        for entry in self._entries():
            note, free = entry.why_not or entry.note, entry.why_not is None
            size = dpg.get_text_size(note, wrap_width=inner, font=fonts.small) if note else None
            tall = px(24) + (round(size[1]) + px(4) if size else 0)
            name = f"{self._tag}.{entry.name}"
            dpg.add_selectable(
                parent=self._list, tag=name, pos=(pad, y), width=width - 2 * pad, height=tall, enabled=free,
                callback=self._picked, user_data=entry.name,
            )  # fmt: skip
            colour = VERDIGRIS if entry.label == self._label else BONE if free else ASH
            dpg.add_text(entry.label, parent=self._list, pos=(2 * pad, y + px(4)), color=colour)
            if note:
                text = dpg.add_text(note, parent=self._list, pos=(2 * pad, y + px(22)), wrap=inner, color=ASH)
                dpg.bind_item_font(text, fonts.small)
            y += tall + px(4)
        screen, gap = dpg.get_viewport_client_height(), px(2)
        below = screen - top - height - 2 * gap
        under = y + gap <= below or top < below
        tall = min(y + gap, below if under else top - 2 * gap)
        place = top + height + gap if under else top - gap - tall
        dpg.configure_item(self._list, show=True, pos=(left, place), width=width, height=tall)

    def _picked(self, sender: int | str, value: bool, name: str) -> None:
        dpg.configure_item(self._list, show=False)
        self._pick(name)
