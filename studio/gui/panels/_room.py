"""Room in the left column: how wide it is inside, and groups whose items stand closer than elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dearpygui.dearpygui as dpg

if TYPE_CHECKING:
    from studio.gui.app import App

PADDING, SCROLLBAR, SPARE = 12, 10, 2


def room(app: App) -> int:
    """Pixels between the left column's paddings, its scrollbar kept free."""
    width = dpg.get_item_width("zone.left") or 0
    return max(app.theme.px(160), width - app.theme.px(2 * PADDING + SCROLLBAR + SPARE))


def spacing(across: int, down: int) -> int | str:
    """A theme: so many pixels between the items of a group."""
    with dpg.theme() as theme, dpg.theme_component(dpg.mvAll):
        dpg.add_theme_style(dpg.mvStyleVar_ItemSpacing, across, down)
    return theme
