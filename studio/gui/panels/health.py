"""Is the mesh fit to be painted, and how well did the painting go: in words, with a remedy for whatever is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import dearpygui.dearpygui as dpg

from studio.gui.panels import Panel
from studio.gui.theme import GRID

if TYPE_CHECKING:
    from studio.gui.app import App

REMEDIES = {
    "Edges with contradicting faces": "Curvature is unsure there. In Blender: Mesh > Normals > Recalculate Outside.",
    "Faces without area": "They are left out. In Blender: Mesh > Clean Up > Degenerate Dissolve removes them.",
    "Duplicate faces": "They may flicker. In Blender: Merge by Distance, then delete the doubles.",
    "Corners that are not numbers": "Their UVs are ignored. Export the mesh again.",
    "UVs": "Nothing to do: Start lays out UVs and the exported file brings them along.",
    "UVs that overlap": "These places share texels and get the same colours. Set Unwrap to 'always' under Mesh for new UVs.",
    "UVs outside the unit square": "They repeat the texture. Set Unwrap to 'always' under Mesh for new UVs.",
    "Faces without area in UV": "They cannot be painted. Set Unwrap to 'always' under Mesh for new UVs.",
    "Texel density, dense to sparse": "Some parts will look sharper than others. New UVs (Unwrap: 'always') even it out.",
}
ELSE = "Mend it in the program that made the mesh."
NOTHING = "The mesh is looked over as soon as it is read."
NO_RUN = "Coverage, seams and consistency are measured at the end of a run."
LABEL = 0.6
"""Of the panel's width, for what a number is about."""


@dataclass(frozen=True)
class HealthReport(Panel):
    """Whether the mesh is fit to be painted, and how well the last run did."""

    title: ClassVar[str] = "Health"
    place: ClassVar[Any] = "right"
    order: ClassVar[int] = 30

    def build(self, app: App, parent: int | str) -> Callable[[], None]:
        return _Report(app, parent).update


@dataclass(frozen=True)
class Row:
    """A line of the report; `remedy` is empty where nothing is wrong."""

    label: str
    value: str
    remedy: str = ""
    tip: str = ""


def of_mesh(rows: list[tuple[str, str, bool]]) -> tuple[list[Row], list[str]]:
    """The rows of a health report with what to do about the bad ones, and apart from them the repairs."""
    repairs = [value for label, value, _ in rows if label == "Repair"]
    shown = [Row(label, value, REMEDIES.get(label, ELSE) if bad else "") for label, value, bad in rows if label != "Repair"]
    return shown, repairs


def of_run(report: Mapping[str, Any]) -> list[Row]:
    """What a run measured of its result, as far as it did."""
    rows = []
    if (covered := report.get("coverage")) is not None:
        remedy = "More views see more: raise Max views under Generator." if covered < 0.95 else ""
        tip = "Share of the reachable surface that some view paints; the rest is filled in from beside."
        rows.append(Row("Painted surface", f"{covered:.1%}", remedy, tip))
    if (seam := report.get("seam_error")) is not None:
        remedy = "Cuts may show. More texels or more iterations help." if seam > 0.08 else ""
        tip = "Mean difference of colour between both sides of the cuts of the atlas."
        rows.append(Row("Color jump at seams", f"{seam:.1%}", remedy, tip))
    if (psnr := report.get("consistency_psnr")) is not None:
        remedy = "The views disagree: lower the guidance or paint more steps." if psnr < 20 else ""
        value = "perfect" if math.isinf(psnr) else f"{psnr:.1f} dB"
        tip = "How far the painted views agree with the texture made of them; 30 dB is good."
        rows.append(Row("Agreement of the views", value, remedy, tip))
    return rows


class _Report:
    def __init__(self, app: App, parent: int | str) -> None:
        self._app, self._parent = app, parent
        self._seen: tuple[Any, ...] = ()
        dpg.add_child_window(parent=parent, tag="health.list", border=False, height=-1)
        with dpg.theme() as self._dense, dpg.theme_component(dpg.mvAll):
            dpg.add_theme_style(dpg.mvStyleVar_CellPadding, 0, app.theme.px(1))
            dpg.add_theme_style(dpg.mvStyleVar_FramePadding, 0, app.theme.px(1))

    def update(self) -> None:
        """Write the lists anew when the mesh or the last run's report has changed."""
        session = self._app.session
        if self._seen and not dpg.is_item_visible(self._parent):
            return
        width = dpg.get_item_width("zone.right")
        report = session.report
        state = (id(session.mesh), len(session.health), session.loading, id(report), width)
        if state == self._seen:
            return
        self._seen = state
        dpg.delete_item("health.list", children_only=True)
        theme = self._app.theme
        room = (width or 0) - theme.px(36)
        dpg.push_container_stack("health.list")
        dpg.add_spacer(height=theme.px(GRID) // 2)
        if session.mesh is None or not session.health:
            theme.note(session.loading and f"{session.loading[:1].upper()}{session.loading[1:]}…" or NOTHING)
        else:
            rows, repairs = of_mesh(session.health)
            bad = sum(bool(row.remedy) for row in rows)
            theme.head(session.mesh.name)
            theme.note("✓ Fit to be painted." if not bad else "One thing to know." if bad == 1 else f"{bad} things to know.")
            self._rows(rows, room)
            if repairs:
                dpg.add_spacer(height=theme.px(GRID))
                theme.head("Repairs")
                for sentence in repairs:
                    theme.note(sentence, wrap=room)
            dpg.add_spacer(height=theme.px(GRID))
            theme.head("Last run")
            if report:
                self._rows(of_run(report), room)
            else:
                theme.note(NO_RUN, wrap=room)
        dpg.pop_container_stack()

    def _rows(self, rows: list[Row], room: int) -> None:
        """A table; where something is wrong it is interrupted by the remedy, which needs the whole width."""
        theme, px = self._app.theme, self._app.theme.px
        label_room = round(room * LABEL)
        parts: list[list[Row]] = [[]]
        for row in rows:
            parts[-1].append(row)
            if row.remedy:
                parts.append([])
        for part in filter(None, parts):
            with dpg.table(header_row=False, policy=dpg.mvTable_SizingFixedFit, width=room) as table:
                dpg.add_table_column(width_fixed=True, init_width_or_weight=label_room)
                dpg.add_table_column(width_fixed=True, init_width_or_weight=room - label_room)
                for row in part:
                    with dpg.table_row():
                        label = dpg.add_text(row.label, wrap=label_room - px(GRID))
                        value = dpg.add_text(row.value, wrap=room - label_room)
                    dpg.bind_item_theme(label, theme.dim)
                    if row.tip:
                        theme.tip(label, row.tip)
                    if row.remedy:
                        dpg.bind_item_theme(value, theme.warning)
            dpg.bind_item_theme(table, self._dense)
            if part[-1].remedy:
                theme.note(part[-1].remedy, wrap=room, warning=True)
                dpg.add_spacer(height=px(GRID) // 2)
