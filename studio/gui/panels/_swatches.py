"""A list of colours as squares: click one to change it, right-click to take it out, or add one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import dearpygui.dearpygui as dpg

from studio.gui.chips import rows
from studio.gui.form import editable
from studio.gui.theme import rgba
from studio.plug import knobs

if TYPE_CHECKING:
    from studio.gui.app import App

_HEX = re.compile(r"#[0-9a-fA-F]{6}")
EDGE, FRAMED = rgba("#6A665E"), "swatches.framed"
SIDE, GAP = 24, 6
"""Unscaled pixels."""


def colour_knobs(plug: object) -> tuple[str, ...]:
    """The knobs of a plug that are lists of colours, as their defaults show."""
    defaults = {name: type(plug).__dataclass_fields__[name].default for name in knobs(plug)}  # type: ignore[attr-defined]
    lists = {name: value for name, value in defaults.items() if value and isinstance(value, tuple)}
    return tuple(name for name, value in lists.items() if all(_HEX.fullmatch(str(c)) for c in value))


def rgb(code: str) -> tuple[int, int, int]:
    """A colour such as "#c77b4a", "c77b4a" or "#fc4" in 0 to 255."""
    digits = code.strip().removeprefix("#")
    digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
    red, green, blue = (int(digits[i : i + 2], 16) for i in (0, 2, 4))
    return red, green, blue


def code(colour: list[float]) -> str:
    """The code, such as "#c77b4a", of red, green and blue in 0 to 1; more numbers are left out."""
    return "#" + "".join(f"{round(255 * min(1.0, max(0.0, c))):02x}" for c in colour[:3])


class Swatches:
    """The colours of one knob. Tags: "<part>.<knob>.<place>" and "<part>.<knob>.add"."""

    def __init__(self, app: App, part: str, knob: str, *, width: int) -> None:
        """Made in the container that is open; `width` is how many pixels there are."""
        self._app, self._part, self._knob, self._width = app, part, knob, width
        self._shown: tuple[str, ...] = ()
        self._group = dpg.add_group()
        if not dpg.does_item_exist(FRAMED):
            with dpg.theme(tag=FRAMED), dpg.theme_component(dpg.mvColorEdit):
                dpg.add_theme_style(dpg.mvStyleVar_FrameBorderSize, 1)
                dpg.add_theme_color(dpg.mvThemeCol_Border, EDGE)
        dpg.bind_item_theme(self._group, FRAMED)

    def update(self, colours: tuple[str, ...]) -> None:
        """Show these, unless one is being picked."""
        if colours == self._shown:
            return
        alike = len(colours) == len(self._shown)
        self._shown = colours
        if alike:
            for i, colour in enumerate(colours):
                if code([c / 255 for c in dpg.get_value(self._tag(i))]) != code([c / 255 for c in rgb(colour)]):
                    dpg.set_value(self._tag(i), (*rgb(colour), 255))
            return
        dpg.delete_item(self._group, children_only=True)
        px = self._app.theme.px
        for line in rows([px(SIDE)] * (len(colours) + 1), self._width, gap=px(GAP)):
            with dpg.group(horizontal=True, horizontal_spacing=px(GAP), parent=self._group):
                for i in line:
                    self._add(i) if i < len(colours) else self._more()

    def _tag(self, place: int) -> str:
        return f"{self._part}.{self._knob}.{place}"

    def _add(self, i: int) -> None:
        dpg.add_color_edit(
            (*rgb(self._shown[i]), 255), tag=self._tag(i), no_inputs=True, no_alpha=True, no_label=True, no_tooltip=True,
            no_options=True, callback=lambda _, value: self._set(i, code(value)),
        )  # fmt: skip
        editable(self._app, self._tag(i), lambda: self._take_out(i))
        self._app.theme.tip(self._tag(i), "Click: another colour. Right-click: take it out.")

    def _more(self) -> None:
        side = self._app.theme.px(SIDE)
        tag, tip = f"{self._part}.{self._knob}.add", "One more colour."
        self._app.theme.button("+", tip, self._one_more, tag=tag, width=side, height=side)

    def _set(self, place: int, colour: str) -> None:
        self._change(tuple(colour if i == place else c for i, c in enumerate(self._shown)))

    def _one_more(self) -> None:
        self._change((*self._shown, self._shown[-1]))
        self._app.session.commit()

    def _take_out(self, place: int) -> None:
        self._change(tuple(c for i, c in enumerate(self._shown) if i != place))

    def _change(self, colours: tuple[str, ...]) -> None:
        self._app.session.set_knob(self._part, self._knob, colours)
