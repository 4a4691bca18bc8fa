"""The browser's list: names, sizes and dates, sorted by a click on their heads, chosen from by mouse and arrows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import dearpygui.dearpygui as dpg

from studio.gui.dialogs import places
from studio.gui.dialogs.places import Entry

if TYPE_CHECKING:
    from studio.gui.dialogs.dialog import Dialog

SIZE, CHANGED = 72, 128
SHOWN = 400
"""More rows than this make no sense to look through; typing narrows them."""
DOUBLE_S = 0.45
COLUMNS = ("name", "size", "changed")
ICONS = {".patina": "◆", ".glb": "◇", ".gltf": "◇", ".obj": "◇", ".ply": "◇", ".stl": "◇"}
LIST = "browser.list"


def icon(entry: Entry) -> str:
    """The sign before a name."""
    return "❐" if entry.folder else ICONS.get(entry.path.suffix.lower(), "■")


class FileList:
    """A table of entries. `chosen` is told of each choice, `entered` of a double click."""

    def __init__(self, dialog: Dialog, *, chosen: Callable[[Entry], None], entered: Callable[[Entry], None]) -> None:
        self._dialog, self._chosen, self._entered = dialog, chosen, entered
        self._rows: list[Entry] = []
        self._items: list[int | str] = []
        self._index: int | None = None
        self._clicked = (-1, 0.0)
        self._sort = ("name", False)

    def build(self, resorted: Callable[[], None]) -> None:
        """Make the table, as large as its parent; `resorted` is called when the order has changed."""
        px = self._dialog.theme.px

        def sort(sender: int | str, specs: list[list[int]] | None) -> None:
            if specs and self._dialog.alive:
                column, direction = specs[0]
                self._sort = (next(c for c in COLUMNS if dpg.get_alias_id(f"browser.by.{c}") == column), direction < 0)
                resorted()

        with dpg.table(
            tag=LIST,
            scrollY=True,
            freeze_rows=1,
            sortable=True,
            callback=sort,
            policy=dpg.mvTable_SizingFixedFit,
            width=-1,
            height=-1,
        ):
            dpg.add_table_column(label="Name", tag="browser.by.name", width_stretch=True, default_sort=True)
            dpg.add_table_column(label="Size", tag="browser.by.size", width_fixed=True, init_width_or_weight=px(SIZE))
            dpg.add_table_column(label="Changed", tag="browser.by.changed", width_fixed=True, init_width_or_weight=px(CHANGED))
        dpg.bind_item_theme(LIST, f"dialog.list.{self._dialog.theme.scale}")

    @property
    def entry(self) -> Entry | None:
        """What is chosen."""
        return self._rows[self._index] if self._index is not None else None

    def show(self, entries: list[Entry], *, room: float, note: str, warning: bool, first: bool) -> None:
        """Replace the rows. Names get `room` pixels; `note` stands below when there is something to say; `first` chooses one."""
        by, descending = self._sort
        self._rows = places.ordered(entries, by=by, descending=descending)
        self._items, self._index = [], None
        dpg.delete_item(LIST, children_only=True, slot=1)
        now = time.time()
        for i, entry in enumerate(self._rows[:SHOWN]):
            with dpg.table_row(parent=LIST):
                self._add(i, entry, room, now)
        more = len(self._rows) - SHOWN
        note = note or (f"{more:,} more; type the beginning of a name." if more > 0 else "")
        if note:
            with dpg.table_row(parent=LIST):
                self._dialog.theme.note(note, warning=warning, wrap=round(room))
        if first:
            self.choose(0)
        dpg.set_y_scroll(LIST, 0)

    def choose(self, index: int) -> None:
        """Mark a row, the nearest one where there is none of that number."""
        if not self._items:
            return
        if self._index is not None:
            dpg.set_value(self._items[self._index], False)
        self._index = max(0, min(index, len(self._items) - 1))
        dpg.set_value(self._items[self._index], True)
        self._chosen(self._rows[self._index])

    def move(self, step: int) -> None:
        """An arrow key: the next row or the one before, kept in sight."""
        if self._items:
            self.choose(0 if self._index is None else self._index + step)
            high = dpg.get_item_rect_size(self._items[0])[1] + self._dialog.theme.px(8)
            dpg.set_y_scroll(LIST, max(0, ((self._index or 0) - 4) * high))

    def _add(self, index: int, entry: Entry, room: float, now: float) -> None:
        theme = self._dialog.theme
        words = places.elided(entry.name, room, self._dialog.measure)
        item = dpg.add_selectable(label=f"{icon(entry)}  {words}", span_columns=True, user_data=index, callback=self._click)
        if words != entry.name:
            theme.tip(item, entry.name)
        self._items.append(item)
        for text in ("" if entry.folder else places.size_words(entry.size), places.date_words(entry.changed, now)):
            dpg.bind_item_theme(dpg.add_text(text), theme.dim)

    def _click(self, sender: int | str, on: bool, index: int) -> None:
        if not self._dialog.alive:
            return
        last, when = self._clicked
        self._clicked = (index, time.monotonic())
        self.choose(index)
        if last == index and time.monotonic() - when < DOUBLE_S:
            self._entered(self._rows[index])
