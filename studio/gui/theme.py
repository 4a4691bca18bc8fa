"""How the window looks: one palette, one font in two weights, an 8-pixel grid, and small pieces every panel is built from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

DATA = Path(__file__).parent / "data"

Colour = tuple[int, int, int, int]


def rgba(code: str, alpha: int = 255) -> Colour:
    """ "#4FB5A0" as dearpygui wants it."""
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16), alpha


CHARCOAL = rgba("#1E1D1B")
"""The window."""
PANEL = rgba("#262522")
FIELD = rgba("#33312D")
FIELD_HOVER = rgba("#3D3B36")
FIELD_ACTIVE = rgba("#474540")
LINE = rgba("#3A3833")
BONE = rgba("#E9E4D8")
"""Text: 13.4 : 1 on charcoal, 9.9 : 1 on a field."""
ASH = rgba("#BAB4A6")
"""Secondary text: 8.1 : 1 on charcoal, 4.6 : 1 on a pressed field."""
FAINT = rgba("#ABA699")
"""Hints in empty fields, keys beside menu entries, and what cannot be chosen now: 4.5 : 1 on a field under the mouse."""
VERDIGRIS = rgba("#4FB5A0")
"""The one accent."""
VERDIGRIS_DIM = rgba("#2F6F62")
"""The accent as a ground: bone text on it has 4.6 : 1."""
VERDIGRIS_DEEP = rgba("#1E4A43")
"""A darker ground, on which ash can be read, too."""
COPPER = rgba("#C77B4A")
"""Warnings, and nothing else."""
CURVES = tuple(map(rgba, ("#4FB5A0", "#E9C46A", "#8FB7E3", "#D98BB0", "#B5CC6A", "#E0A07A", "#A79BE0", "#7FD1C7")))
"""Lines of the curves, in order; each readable on charcoal."""

GRID = 8
TEXT_PX, SMALL_PX, LARGE_PX = 16, 13, 20


class Theme:
    """The look at one UI scale: fonts, sizes and themes."""

    def __init__(self, scale: float) -> None:
        self.scale = scale
        with dpg.font_registry():
            regular, strong = (DATA / f"Inter-{weight}.otf" for weight in ("Regular", "SemiBold"))
            self.text = dpg.add_font(str(regular), round(TEXT_PX * scale))
            self.small = dpg.add_font(str(regular), round(SMALL_PX * scale))
            self.strong = dpg.add_font(str(strong), round(TEXT_PX * scale))
            self.large = dpg.add_font(str(strong), round(LARGE_PX * scale))
        self._everywhere = self._base()
        self.primary = self._button(VERDIGRIS_DIM, VERDIGRIS_DEEP, BONE, hover=rgba("#286055"))
        """A theme for the one big button."""
        self.quiet = self._button(PANEL, FIELD_HOVER, ASH, hover=FIELD)
        """A theme for small buttons that should not shout."""
        self.chosen = self._button(VERDIGRIS_DIM, VERDIGRIS_DIM, BONE, hover=VERDIGRIS_DIM)
        """A theme for a toggle that is on."""
        self.warning = self._text(COPPER)
        self.dim = self._text(ASH)
        self.accent = self._text(VERDIGRIS)
        self.worded = self._colours(PlotHistogram=VERDIGRIS_DIM)
        """A theme for a progress bar with words on it."""
        self.bar = self._zone(CHARCOAL, padding=(12, 4))
        """A theme for thin zones such as the status bar."""
        self.stage = self._zone(CHARCOAL, padding=(0, 0))
        """A theme for the zone of the viewport, which fills it."""
        self._overlap, self._apart = self._spaced(-20), self._spaced(GRID)

    def px(self, size: float) -> int:
        """A length in pixels at this scale."""
        return round(size * self.scale)

    def bind(self) -> None:
        """Use this look from now on. A scale's fonts are kept when another takes over: dearpygui crashes over deleted fonts."""
        dpg.bind_font(self.text)
        dpg.bind_theme(self._everywhere)

    def tip(self, item: int | str, text: str) -> None:
        """A plain-words tooltip on a control."""
        with dpg.tooltip(item, delay=0.4, hide_on_activity=True):
            dpg.add_text(text, wrap=self.px(320))

    def head(self, text: str) -> int | str:
        """A small heading inside a panel."""
        item = dpg.add_text(text)
        dpg.bind_item_font(item, self.strong)
        return item

    def note(self, text: str, *, wrap: int = 0, tag: str = "", warning: bool = False) -> int | str:
        """A line of small, quiet text; copper when it warns. `wrap` 0 wraps at the panel's edge."""
        item = dpg.add_text(text, wrap=wrap, tag=tag) if tag else dpg.add_text(text, wrap=wrap)
        dpg.bind_item_font(item, self.small)
        dpg.bind_item_theme(item, self.warning if warning else self.dim)
        return item

    def button(self, label: str, tip: str, callback: Any, *, kind: str = "", **options: Any) -> int | str:
        """A button with a tooltip; `kind` is "", "primary", "quiet" or "chosen"."""
        item = dpg.add_button(label=label, callback=callback, **options)
        if kind:
            dpg.bind_item_theme(item, getattr(self, kind))
        self.tip(item, tip)
        return item

    @contextmanager
    def dropdown(self) -> Iterator[None]:
        """The button or combo that is made inside has the arrow of a list at its right end."""
        with dpg.group(horizontal=True) as line:
            yield
            dpg.add_text("▾")
        dpg.bind_item_theme(line, self._overlap)
        dpg.bind_item_theme(dpg.get_item_children(line, 1)[0], self._apart)  # else a combo's list would be squeezed, too

    @contextmanager
    def row(self, label: str, tip: str, *, width: float = 112) -> Iterator[None]:
        """A labelled row of a form: what is made inside stands right of the label."""
        with dpg.group(horizontal=True, xoffset=self.px(width) / 2):  # a tooltip counts as an item of the row
            item = dpg.add_text(label)
            dpg.bind_item_theme(item, self.dim)
            self.tip(item, tip)
            yield

    def _base(self) -> int | str:
        px = self.px
        colours = {
            "Text": BONE, "TextDisabled": FAINT, "WindowBg": PANEL, "ChildBg": PANEL, "PopupBg": rgba("#2B2A27"),
            "MenuBarBg": CHARCOAL, "Border": LINE, "FrameBg": FIELD, "FrameBgHovered": FIELD_HOVER, "FrameBgActive": FIELD_HOVER,
            "TitleBg": CHARCOAL, "TitleBgActive": CHARCOAL, "Button": FIELD, "ButtonHovered": FIELD_ACTIVE,
            "ButtonActive": VERDIGRIS_DIM, "Header": FIELD, "HeaderHovered": FIELD_HOVER, "HeaderActive": FIELD_HOVER,
            "CheckMark": VERDIGRIS, "SliderGrab": VERDIGRIS_DIM, "SliderGrabActive": VERDIGRIS_DIM, "Tab": CHARCOAL,
            "TabHovered": FIELD_ACTIVE, "TabSelected": FIELD, "TabActive": FIELD, "TabSelectedOverline": VERDIGRIS,
            "TabDimmed": CHARCOAL, "TabDimmedSelected": FIELD, "Separator": LINE, "SeparatorHovered": VERDIGRIS,
            "SeparatorActive": VERDIGRIS, "ScrollbarBg": rgba("#1E1D1B", 0), "ScrollbarGrab": FIELD_ACTIVE,
            "ScrollbarGrabHovered": rgba("#5A5750"), "ScrollbarGrabActive": rgba("#6A665E"), "PlotHistogram": VERDIGRIS,
            "PlotLines": VERDIGRIS, "TextSelectedBg": VERDIGRIS_DIM, "TableHeaderBg": FIELD, "TableBorderLight": LINE,
            "TableBorderStrong": LINE, "NavCursor": VERDIGRIS, "DragDropTarget": VERDIGRIS, "ResizeGrip": LINE,
            "ModalWindowDimBg": rgba("#0E0D0C", 150), "InputTextCursor": VERDIGRIS,
        }  # fmt: skip
        styles = {
            "WindowPadding": (12, 8), "FramePadding": (8, 4), "ItemSpacing": (8, 8), "ItemInnerSpacing": (8, 4),
            "CellPadding": (4, 4), "WindowRounding": (0,), "ChildRounding": (6,), "FrameRounding": (4,),
            "PopupRounding": (6,), "GrabRounding": (4,),
            "ScrollbarRounding": (6,), "TabRounding": (4,), "ScrollbarSize": (10,), "GrabMinSize": (10,), "IndentSpacing": (16,),
        }  # fmt: skip
        flat = ("WindowBorderSize", "ChildBorderSize", "FrameBorderSize", "TabBorderSize")
        with dpg.theme() as theme, dpg.theme_component(dpg.mvAll):
            for name, value in colours.items():
                dpg.add_theme_color(getattr(dpg, f"mvThemeCol_{name}"), value)
            for name, sizes in styles.items():
                dpg.add_theme_style(getattr(dpg, f"mvStyleVar_{name}"), *(px(s) for s in sizes))
            for name in flat:
                dpg.add_theme_style(getattr(dpg, f"mvStyleVar_{name}"), 0)
            dpg.add_theme_style(dpg.mvStyleVar_PopupBorderSize, 1)
            plots = {"PlotBg": CHARCOAL, "FrameBg": PANEL, "PlotBorder": LINE, "AxisGrid": LINE, "LegendBg": PANEL}
            for name, value in plots.items():
                dpg.add_theme_color(getattr(dpg, f"mvPlotCol_{name}"), value, category=dpg.mvThemeCat_Plots)
        with dpg.theme_component(dpg.mvCollapsingHeader, parent=theme):  # a section is no button: darker than what it holds
            dpg.add_theme_color(dpg.mvThemeCol_Header, CHARCOAL)
            dpg.add_theme_color(dpg.mvThemeCol_HeaderHovered, FIELD)
        with dpg.theme_component(dpg.mvButton, parent=theme, enabled_state=False):
            for name in ("Button", "ButtonHovered", "ButtonActive"):
                dpg.add_theme_color(getattr(dpg, f"mvThemeCol_{name}"), rgba("#2D2C28"))
            dpg.add_theme_color(dpg.mvThemeCol_Text, rgba("#8F8A7E"))
        return theme

    def _button(self, colour: Colour, active: Colour, text: Colour, *, hover: Colour) -> int | str:
        return self._colours(Button=colour, ButtonHovered=hover, ButtonActive=active, Text=text)

    def _text(self, colour: Colour) -> int | str:
        return self._colours(Text=colour)

    @staticmethod
    def _colours(**colours: Colour) -> int | str:
        """By the names of dearpygui's mvThemeCol_*."""
        with dpg.theme() as theme, dpg.theme_component(dpg.mvAll):
            for name, colour in colours.items():
                dpg.add_theme_color(getattr(dpg, f"mvThemeCol_{name}"), colour)
        return theme

    def _spaced(self, gap: int) -> int | str:
        """Items side by side stand `gap` unscaled pixels apart, words on buttons at the left."""
        with dpg.theme() as theme, dpg.theme_component(dpg.mvAll):
            dpg.add_theme_style(dpg.mvStyleVar_ItemSpacing, self.px(gap), self.px(GRID))
            dpg.add_theme_style(dpg.mvStyleVar_ButtonTextAlign, 0, 0.5)
        return theme

    def _zone(self, colour: Colour, *, padding: tuple[int, int]) -> int | str:
        with dpg.theme() as theme, dpg.theme_component(dpg.mvAll):
            dpg.add_theme_color(dpg.mvThemeCol_WindowBg, colour)
            dpg.add_theme_color(dpg.mvThemeCol_ChildBg, colour)
            dpg.add_theme_style(dpg.mvStyleVar_WindowPadding, *(self.px(p) for p in padding))
        return theme
