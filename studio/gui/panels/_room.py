"""Room in the left column: how wide it is inside, and groups whose items stand closer than elsewhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import dearpygui.dearpygui as dpg

from studio.gui.theme import GRID

if TYPE_CHECKING:
    from studio.gui.app import App

PADDING, SCROLLBAR, SPARE = 12, 10, 2


def room(app: App) -> int:
    """Pixels between the left column's paddings, its scrollbar kept free."""
    width = dpg.get_item_width("zone.left") or 0
    return max(app.theme.px(160), width - app.theme.px(2 * PADDING + SCROLLBAR + SPARE))


def span(app: App) -> int:
    """The room up to the scrollbar or else the edge: for what grows no taller with it, or the scrollbar would flicker."""
    return room(app) + (0 if dpg.get_y_scroll_max("zone.left") > 0 else app.theme.px(SCROLLBAR))


def close(app: App, gap: float) -> int | str:
    """A theme for a group whose items, lines of text above all, stand `gap` unscaled pixels apart."""
    with dpg.theme() as theme, dpg.theme_component(dpg.mvAll):
        dpg.add_theme_style(dpg.mvStyleVar_ItemSpacing, app.theme.px(GRID), app.theme.px(gap))
        dpg.add_theme_style(dpg.mvStyleVar_FramePadding, app.theme.px(GRID), 0)  # a line of text is as high as a field
    return theme


def measurable(app: App) -> bool:
    """Whether texts can be measured: fonts are loaded with the first frame that knows them."""
    return all(dpg.get_text_size("m", font=font) is not None for font in (app.theme.text, app.theme.small, app.theme.large))


def sentences(app: App, text: str, width: float, height: float) -> str:
    """As many of a small text's sentences as there is room for, in pixels; at least the first one."""
    kept = re.split(r"(?<=[.:]) ", text)
    while len(kept) > 1 and dpg.get_text_size(" ".join(kept), wrap_width=width, font=app.theme.small)[1] > height:
        kept.pop()
    return " ".join(kept)


class Section:
    """A section of the left column that is folded at first, so that what changes often stays in sight; its head says more."""

    def __init__(self, header: int | str) -> None:
        self._header, self._title = header, dpg.get_item_label(header) or ""
        self._label = self._title
        dpg.set_value(header, False)

    def update(self, said: str) -> None:
        """`said`: what is in it, in a few words."""
        label = self._title if dpg.get_value(self._header) else f"{self._title}  ·  {said}"
        if label != self._label:
            self._label = label
            dpg.set_item_label(self._header, label)
