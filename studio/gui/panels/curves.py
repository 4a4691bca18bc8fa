"""Scores over the iterations of a run: one line per reward, the score, and what was changed on the way."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import dearpygui.dearpygui as dpg

from studio.errors import OutputError
from studio.gui.dialogs.browser import Wish
from studio.gui.panels import Panel
from studio.gui.panels._axes import framed, thinned
from studio.gui.panels._gauges import GAUGES, SCORE, about, rewarding
from studio.gui.panels._room import measurable, sentences
from studio.gui.panels._words import fitted, named, number, ticks
from studio.gui.theme import ASH, BONE, CURVES, GRID, Colour

if TYPE_CHECKING:
    from studio.gui.app import App

Points = Sequence[tuple[int, float]]
QUIET = GAUGES[1:]
"""Lines that are hidden until they are asked for."""
INSTEAD = ("accuracy", "loss")
"""Those of them that are shown where there is no score: a run that learns from picks follows these."""
NOTHING = "Nothing yet. During a run, a line for each reward grows here: how well the texture does, iteration by iteration. "
NOTHING_MORE = "When you move a weight meanwhile, a mark shows where."
LEGEND, SWITCH, NAME, NARROWEST = 136, 22, 68, 120
"""The widths of the legend, of its switches and its names; where the plot would be narrower than the last, there is no legend."""
NEAR, LEAST, LABEL, HEAD = 6, 10, 16, 44
"""How near the mouse must be to a mark; the iterations the axis shows at least; the room between its numbers; the height of the
heading. Lengths are in unscaled pixels."""


@dataclass(frozen=True)
class Curves(Panel):
    """A plot with a legend of switches."""

    title: ClassVar[str] = "Curves"
    place: ClassVar[Any] = "bottom"
    order: ClassVar[int] = 10
    share: ClassVar[float] = 1.1

    def build(self, app: App, parent: int | str) -> Callable[[], None]:
        return _Plot(app, parent).update


def ordered(names: Sequence[str]) -> list[str]:
    """The score first, then the rewards by name, the scores of further prompts, and the gauges."""
    rewards = rewarding(names)
    prompts = sorted(set(names) - {SCORE, *rewards, *GAUGES})
    return [n for n in (SCORE, *rewards, *prompts, *GAUGES) if n in names]


def write_csv(path: Path, curves: Mapping[str, Points], markers: Sequence[tuple[int, str]]) -> None:
    """One row per iteration, one column per line, and the changes in words. Raises OSError."""
    table = {name: dict(points) for name, points in curves.items()}
    words: dict[int, str] = {}
    for iteration, text in markers:
        words[iteration] = f"{words[iteration]}; {text}" if iteration in words else text
    names = ordered(list(table))
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["iteration", *names, "change"])
        for iteration in sorted({*words, *(i for points in table.values() for i in points)}):
            rows.writerow([iteration, *(table[n].get(iteration, "") for n in names), words.get(iteration, "")])


class _Plot:
    def __init__(self, app: App, parent: int | str) -> None:
        self._app, self._parent = app, parent
        self._seen: tuple[Any, ...] = ()
        self._lines: dict[str, int | str] = {}
        self._colours: dict[str, Colour] = {}
        self._off: set[str] = set()
        self._switched: dict[str, bool] = {}
        """What was asked for: lines that shall be shown, or not."""
        self._frame: tuple[float, float] | None = None
        self._marks: list[tuple[int, str]] = []
        self._pointed: tuple[int, str] | None = None
        theme, px = app.theme, app.theme.px
        with dpg.group(parent=parent, tag="curves.empty"):
            theme.head("Curves")
            theme.note("", tag="curves.nothing")
        with dpg.group(parent=parent, horizontal=True, tag="curves.full", show=False):
            with dpg.group(tag="curves.stage"):  # a plot itself can have no tooltip
                options = ("no_title", "no_mouse_pos", "no_menus", "no_box_select")
                with dpg.plot(tag="curves.plot", height=-1, width=-1, **dict.fromkeys(options, True)):
                    dpg.add_plot_axis(dpg.mvXAxis, tag="curves.x", no_gridlines=True, no_highlight=True, tick_format="%.0f")
                    dpg.add_plot_axis(dpg.mvYAxis, tag="curves.y", no_highlight=True, tick_format="%.3g")
                    dpg.add_inf_line_series([], tag="curves.marks", parent="curves.x")
                    dpg.add_inf_line_series([], tag="curves.here", parent="curves.x")
            with dpg.child_window(tag="curves.legend", width=px(LEGEND), height=-1, border=False):
                pass
        dpg.bind_item_font("curves.plot", theme.small)
        dpg.bind_item_theme("curves.plot", _plot_theme(px))
        dpg.bind_item_theme("curves.marks", _line_theme((*ASH[:3], 110), px(1)))
        with dpg.theme() as self._dense, dpg.theme_component(dpg.mvAll):
            dpg.add_theme_style(dpg.mvStyleVar_CellPadding, 0, px(2))
            dpg.add_theme_style(dpg.mvStyleVar_FramePadding, 0, px(2))
        dpg.bind_item_theme("curves.here", _line_theme((*BONE[:3], 70), px(1)))
        self._menu()
        with dpg.tooltip("curves.stage", tag="curves.words", show=False):
            dpg.add_text("", tag="curves.words.text", wrap=px(320))

    # -- saving -------------------------------------------------------------------------------------------------------------

    def _menu(self) -> None:
        """What a right click on the plot offers."""
        options = ("popup", "autosize", "no_title_bar", "no_move")
        with dpg.window(tag="curves.menu", show=False, min_size=(0, 0), **dict.fromkeys(options, True)):
            tip = "Write all lines and changes as a table, one row per iteration."
            self._app.theme.button("Save as CSV…", tip, self._save, kind="quiet", tag="curves.save")
        with dpg.item_handler_registry() as handlers:
            opens = lambda: dpg.configure_item("curves.menu", show=True, pos=dpg.get_mouse_pos(local=False))  # noqa: E731
            dpg.add_item_clicked_handler(dpg.mvMouseButton_Right, callback=opens)
        dpg.bind_item_handler_registry("curves.plot", handlers)

    def _save(self) -> None:
        dpg.configure_item("curves.menu", show=False)
        session = self._app.session
        mesh, kinds = session.document.mesh, {"Tables": (".csv",)}
        beside = session.path.parent if session.path else Path.home()
        name = f"{mesh.stem} curves.csv"
        self._app.dialogs.browse(Wish("Save the curves", "Save", kinds, self._write, beside, saves=True, name=name))

    def _write(self, path: Path) -> None:
        session = self._app.session
        try:
            write_csv(path, session.curves, session.markers)
        except OSError as error:
            problem = f"'{path.name}' cannot be written: {error.strerror}."
            raise OutputError(problem, "Choose another folder.") from error
        session.say(f"Wrote {path}.")

    # -- following ----------------------------------------------------------------------------------------------------------

    def update(self) -> None:
        """Take new points; show what lies under the mouse."""
        session = self._app.session
        size = tuple(dpg.get_item_rect_size(self._parent))
        state = (session.revision, size, frozenset(self._off))
        if state != self._seen and measurable(self._app):
            self._seen = state
            self._follow(session.curves, session.markers, size[0])
            words = sentences(self._app, NOTHING + NOTHING_MORE, size[0], size[1] - self._app.theme.px(HEAD))
            dpg.set_value("curves.nothing", words)
        if self._lines:
            self._point(session.curves)

    def _follow(self, curves: Mapping[str, Points], markers: Sequence[tuple[int, str]], width: float) -> None:
        drawn = {n: curves[n] for n in ordered([n for n in curves if curves[n]])}
        dpg.configure_item("curves.empty", show=not drawn)
        dpg.configure_item("curves.full", show=bool(drawn))
        if list(drawn) != list(self._lines):
            self._begin(list(drawn))
        if not drawn:
            return
        self._marks = list(markers)
        px = self._app.theme.px
        beside = width >= px(LEGEND + NARROWEST)
        dpg.configure_item("curves.legend", show=beside)
        dpg.configure_item("curves.plot", width=max(1, int(width) - (px(LEGEND + GRID) if beside else 0)))
        dpg.set_value("curves.marks", [[float(i) for i, _ in self._marks]])
        shown = [points for name, points in drawn.items() if name not in self._off]
        for name, points in drawn.items():
            dpg.set_value(self._lines[name], list(thinned(points)))
            dpg.configure_item(self._lines[name], show=name not in self._off)
            dpg.set_value(f"curves.last.{name}", number(points[-1][1]))
        first, last = min(p[0][0] for p in drawn.values()), max(p[-1][0] for p in drawn.values())
        last = max(last, first + LEAST)
        dpg.set_axis_limits("curves.x", first, last)
        room = dpg.get_item_width("curves.plot") or 0
        marks = ticks(first, last, int(room / (self._width(f"{last}") + px(LABEL))) - 1)
        dpg.set_axis_ticks("curves.x", tuple((f"{i}", i) for i in marks))
        if shown:
            values = [y for points in shown for _, y in points]
            self._frame = framed((min(values), max(values)), self._frame)
            dpg.set_axis_limits("curves.y", *self._frame)

    def _begin(self, names: list[str]) -> None:
        """Other lines than before: a run has begun, or a reward was added."""
        for line in self._lines.values():
            dpg.delete_item(line)
        dpg.delete_item("curves.legend", children_only=True)
        self._lines, self._frame = {}, None
        quiet = set(QUIET) - (set() if SCORE in names else {*INSTEAD})
        self._off = {name for name in names if not self._switched.get(name, name not in quiet)}
        px = self._app.theme.px
        colours = iter(CURVES * (1 + len(names) // len(CURVES)))
        with dpg.table(tag="curves.legend.rows", parent="curves.legend", header_row=False, policy=dpg.mvTable_SizingFixedFit):
            for width in (SWITCH, NAME, LEGEND - SWITCH - NAME):
                dpg.add_table_column(width_fixed=True, init_width_or_weight=px(width))
        dpg.bind_item_font("curves.legend.rows", self._app.theme.small)
        dpg.bind_item_theme("curves.legend.rows", self._dense)
        for name in names:
            colour = BONE if name == SCORE else ASH if name == "gradient" else next(colours)
            self._colours[name] = colour
            line = dpg.add_line_series([], [], parent="curves.y", show=name not in self._off)
            dpg.bind_item_theme(line, _line_theme(colour, self._app.theme.scale * (2.4 if name == SCORE else 1.6)))
            self._lines[name] = line
            self._entry(name, colour)

    def _entry(self, name: str, colour: Colour) -> None:
        """A row of the legend: a switch in the line's colour, its name, its last value."""
        theme, px = self._app.theme, self._app.theme.px
        with dpg.table_row(parent="curves.legend.rows"):
            on = name not in self._off
            dpg.add_checkbox(tag=f"curves.show.{name}", default_value=on, user_data=name, callback=self._switch)
            label = dpg.add_text(fitted(named(name), px(NAME - 4), self._width))
            dpg.add_text("", tag=f"curves.last.{name}")
        dpg.bind_item_theme(f"curves.show.{name}", _check_theme(colour, px))
        dpg.bind_item_theme(label, theme.dim)
        tip = about(name)
        for item in (f"curves.show.{name}", label):
            theme.tip(item, f"{named(name)}: {tip[:1].lower()}{tip[1:]} Click the box to show or hide its line.")

    def _width(self, text: str) -> float:
        size = dpg.get_text_size(text, font=self._app.theme.small)
        return size[0] if size else 0.0

    def _switch(self, _: Any, on: bool, name: str) -> None:
        self._switched[name] = on
        self._off.symmetric_difference_update({name})
        self._frame = None

    # -- pointing -----------------------------------------------------------------------------------------------------------

    def _point(self, curves: Mapping[str, Points]) -> None:
        """The values at the iteration under the mouse, and the words of a mark nearby."""
        over = dpg.is_item_hovered("curves.plot")
        words = self._said(curves) if over else None
        if words == self._pointed:
            return
        self._pointed = words
        dpg.configure_item("curves.words", show=words is not None)
        dpg.set_value("curves.here", [[float(words[0])] if words else []])
        if words:
            dpg.set_value("curves.words.text", words[1])

    def _said(self, curves: Mapping[str, Points]) -> tuple[int, str] | None:
        x = dpg.get_plot_mouse_pos()[0]
        steps = [i for i, _ in max((curves[n] for n in self._lines), key=len)]
        nearest = min(steps, key=lambda i: abs(i - x))
        low, high = dpg.get_axis_limits("curves.x")
        reach = (high - low) * self._app.theme.px(NEAR) / max(1, dpg.get_item_rect_size("curves.plot")[0])
        near = [text for i, text in self._marks if abs(i - x) <= reach]
        rows = [f"Iteration {nearest}"]
        for name in self._lines:
            value = next((y for i, y in curves[name] if i == nearest), None)
            if name not in self._off and value is not None:
                rows.append(f"{named(name)}  {number(value)}")
        return nearest, "\n".join([*near, *([""] if near else []), *rows])


def _plot_theme(px: Callable[[float], int]) -> int | str:
    with dpg.theme() as theme, dpg.theme_component(dpg.mvAll):
        dpg.add_theme_style(dpg.mvPlotStyleVar_PlotPadding, px(4), px(4), category=dpg.mvThemeCat_Plots)
        dpg.add_theme_style(dpg.mvPlotStyleVar_LabelPadding, px(4), px(2), category=dpg.mvThemeCat_Plots)
        dpg.add_theme_style(dpg.mvPlotStyleVar_PlotBorderSize, 0, category=dpg.mvThemeCat_Plots)
        dpg.add_theme_color(dpg.mvPlotCol_AxisText, ASH, category=dpg.mvThemeCat_Plots)
    return theme


def _line_theme(colour: Colour, weight: float) -> int | str:
    with dpg.theme() as theme, dpg.theme_component(dpg.mvAll):
        dpg.add_theme_color(dpg.mvPlotCol_Line, colour, category=dpg.mvThemeCat_Plots)
        dpg.add_theme_style(dpg.mvPlotStyleVar_LineWeight, weight, category=dpg.mvThemeCat_Plots)
    return theme


def _check_theme(colour: Colour, px: Callable[[float], int]) -> int | str:
    with dpg.theme() as theme, dpg.theme_component(dpg.mvAll):
        dpg.add_theme_color(dpg.mvThemeCol_CheckMark, colour)
        dpg.add_theme_style(dpg.mvStyleVar_FramePadding, 0, px(1))
    return theme
