"""What this machine offers the studio, row by row, with the cures for what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dearpygui.dearpygui as dpg

from studio.desk import Desk
from studio.doctor import Row, examine
from studio.gui.dialogs.dialog import Button, Dialog
from studio.gui.theme import LINE, VERDIGRIS

if TYPE_CHECKING:
    from studio.gui.dialogs import Dialogs

LABEL = 144


class Doctor(Dialog):
    """Examines the machine on a thread and shows what it found."""

    name = "doctor"
    width = 820

    def __init__(self, dialogs: Dialogs) -> None:
        super().__init__(dialogs)
        self._rows: list[Row] | None = None
        self._desk = Desk("doctor")

    def title(self) -> str:
        return "Doctor"

    def fill(self) -> None:
        with dpg.child_window(height=self.tall(420), border=False, tag="doctor.rows"):
            with dpg.group(horizontal=True, horizontal_spacing=self.theme.px(16), tag="doctor.busy"):
                dpg.add_loading_indicator(style=1, radius=1.4, color=VERDIGRIS, secondary_color=LINE)
                self.text("Looking at drivers, libraries and folders. This takes a few seconds.", dim=True)
        if self._rows is not None:
            self._show(self._rows)
        elif not self._desk.busy:
            self._desk.submit("examining", examine, then=self._show, failed=self._failed)

    def buttons(self) -> list[Button]:
        return [
            Button("copy", "Copy report", "Put these rows on the clipboard.", self._copy),
            Button("close", "Close", "Back to work.", self.close),
        ]

    def aside(self) -> None:
        self.hint()

    def update(self) -> None:
        self.enable("copy", on=self._rows is not None)
        if self._rows is None:
            self.app.wake()  # so that the indicator turns
            self._desk.poll()
        elif not dpg.get_value("doctor.note"):
            bad = sum(row.bad for row in self._rows)
            dpg.set_value("doctor.note", f"{bad} to mend" if bad else "Everything is as it should be.")

    def close(self) -> None:
        super().close()
        self._desk.close(0)

    def _failed(self, error: BaseException) -> None:
        self._show([Row("Examination", f"it failed: {error}", True, "Run `studio doctor` in a terminal for the whole error.")])

    def _show(self, rows: list[Row]) -> None:
        self._rows = rows
        dpg.delete_item("doctor.busy")
        px = self.theme.px
        wrap = self.inner() - px(LABEL + 24 + 24 + 16)
        dpg.push_container_stack("doctor.rows")
        for row in rows:
            with dpg.group(horizontal=True, horizontal_spacing=0):
                mark = dpg.add_text("⚠" if row.bad else "✓")
                dpg.bind_item_theme(mark, self.theme.warning if row.bad else self.theme.accent)
                dpg.add_spacer(width=px(24) - self.measure("⚠" if row.bad else "✓"))
                label = dpg.add_text(row.label)
                dpg.bind_item_theme(label, self.theme.dim)
                dpg.add_spacer(width=max(px(8), px(LABEL) - self.measure(row.label)))
                with dpg.group():
                    dpg.add_text(row.value, wrap=wrap)
                    if row.cure:
                        cure = dpg.add_text(row.cure, wrap=wrap)
                        dpg.bind_item_theme(cure, self.theme.warning)
        dpg.pop_container_stack()

    def _copy(self) -> None:
        dpg.set_clipboard_text(report(self._rows or []))
        dpg.configure_item("doctor.copy", label="Copied")


def report(rows: list[Row]) -> str:
    """The rows as text."""
    return "\n".join(f"{'!' if r.bad else ' '} {r.label}: {r.value}" + (f"\n    {r.cure}" if r.cure else "") for r in rows)
