"""Seeds: the same ones before and after learning, and how different they still are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import dearpygui.dearpygui as dpg
import numpy as np

from studio import trainers
from studio.gui.panels import Panel
from studio.gui.panels._pictures import Shelf
from studio.gui.panels._words import named, number
from studio.gui.panels.views import columns, sheet
from studio.gui.theme import GRID

if TYPE_CHECKING:
    from studio.gui.app import App

MUCH, WORTH_A_WARNING = 0.9, 0.7
"""A generator that keeps so much of its variety is as good as before, and below this it begins to paint one picture."""
NOTHING = (
    "Learning is apt to make all pictures alike. Hold seeds out, 8 for example, under Training: they are painted before and "
    "after, and what became of their variety is told here."
)
LEAST_PX = 40


@dataclass(frozen=True)
class Seeds(Panel):
    """Held-out seeds before and after."""

    title: ClassVar[str] = "Seeds"
    place: ClassVar[Any] = "right"
    order: ClassVar[int] = 26
    summoned: ClassVar[bool] = True

    def build(self, app: App, parent: int | str) -> Callable[[], None]:
        return _Seeds(app, parent).update


def told(report: Mapping[str, Any]) -> tuple[str, bool]:
    """What a run's report says of variety, and whether that is a warning."""
    found = report.get("diversity") or {}
    kept = found.get("kept")
    if kept is None:
        return "", False
    verdict = (
        "as different as before" if kept >= MUCH else "more alike than before" if kept >= WORTH_A_WARNING else "nearly alike"
    )
    said = f"{kept:.0%} of the variety of {found['seeds']} seeds is left: they are {verdict}."
    if kept < WORTH_A_WARNING:
        said += " A higher anchor, fewer iterations, or the trainer nabla_db keep more."
    return said, kept < WORTH_A_WARNING


def facts(report: Mapping[str, Any]) -> str:
    """Distance, drift and rewards in one line each."""
    found = report["diversity"]
    lines = [f"Mean distance of two  {number(found['before'])} → {number(found['after'])}"]
    if (drift := report.get("drift")) is not None:
        lines.append(f"Drift  {number(drift)}")
    before, after = report["before"], report["after"]
    lines += [f"{named(name)}  {number(before[name])} → {number(after[name])}" for name in after if name in before]
    return "\n".join(lines)


class _Seeds:
    def __init__(self, app: App, parent: int | str) -> None:
        self._app, self._parent, self._shelf = app, parent, Shelf("seeds")
        self._seen: tuple[Any, ...] = ()
        self._textures: list[int] = []
        theme, px = app.theme, app.theme.px
        with dpg.child_window(parent=parent, tag="seeds.list", border=False, height=-1):
            dpg.add_spacer(height=px(GRID) // 2)
            theme.note(NOTHING, tag="seeds.empty")
            theme.note("", tag="seeds.kept")
            theme.note("", tag="seeds.warning", warning=True)
            for when in ("before", "after"):
                with dpg.group(tag=f"seeds.{when}", show=False):
                    theme.head(when.capitalize())
                    dpg.add_group(tag=f"seeds.{when}.grid")
            theme.note("", tag="seeds.facts")
            dpg.add_spacer(height=px(GRID))
            theme.head("Which trainer keeps it?")
            for name in trainers.SOCKET.working():
                kind = trainers.SOCKET.load(name)
                if kind.learns:
                    theme.note(f"{named(name)}: {kind.when[:1].lower()}{kind.when[1:]}")

    def update(self) -> None:
        """Follow the last run's report."""
        session = self._app.session
        if not dpg.is_item_shown(self._parent) and told(session.report)[0]:
            self._app.summon_tab("seeds")
        if self._seen and not dpg.is_item_visible(self._parent):
            return
        wide = (dpg.get_item_width("zone.right") or 0) - self._app.theme.px(36)
        if self._seen and self._seen[0] is session.report and self._seen[1] == wide:
            return
        self._seen = session.report, wide
        said, bad = told(session.report)
        for tag, text in (("kept", "" if bad else said), ("warning", said if bad else "")):
            dpg.set_value(f"seeds.{tag}", text)
            dpg.configure_item(f"seeds.{tag}", show=bool(text))
        dpg.configure_item("seeds.empty", show=not said)
        dpg.set_value("seeds.facts", facts(session.report) if said else "")
        dpg.configure_item("seeds.facts", show=bool(said))
        self._show(session.seeds if said else None, wide)

    def _show(self, seeds: np.ndarray | None, wide: int) -> None:
        px = self._app.theme.px
        for when in ("before", "after"):
            dpg.configure_item(f"seeds.{when}", show=seeds is not None)
            dpg.delete_item(f"seeds.{when}.grid", children_only=True)
        while self._textures:
            self._shelf.drop(self._textures.pop())
        if seeds is None or wide < px(LEAST_PX):
            return
        gap = px(GRID) // 2
        across = columns(seeds.shape[1], wide, wide / 2)
        cell = max(1, (wide - gap * (across - 1)) // across)
        for when, row in zip(("before", "after"), seeds, strict=True):
            texture = self._shelf.put(sheet(row.astype(np.float32) / 255, across, cell, gap))
            self._textures.append(texture)
            dpg.add_image(texture, parent=f"seeds.{when}.grid", tag=f"seeds.{when}.picture")
            self._app.theme.tip(f"seeds.{when}.picture", "The same seeds in the same order; none of them was learned from.")
