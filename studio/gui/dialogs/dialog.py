"""What every dialog is: a card in the middle of a dimmed window, with a title, a body, and buttons at its foot.

Not dearpygui's own modal windows: of these only one can be open, and a question must be able to lie over the file browser.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import dearpygui.dearpygui as dpg

from studio.gui.theme import FIELD, FIELD_ACTIVE, FIELD_HOVER, LINE, PANEL, VERDIGRIS_DEEP, rgba

if TYPE_CHECKING:
    from studio.gui.app import App
    from studio.gui.dialogs import Dialogs

MARGIN = 24
PADDING = 24
DIM = rgba("#0E0D0C", 170)
RESIZED_S = 0.2
"""A window that has kept its size for so long is not being dragged larger or smaller any more."""
UNSEEN = 0.004
"""Opacity: at 0 nothing would be laid out."""


@dataclass(frozen=True)
class Button:
    """A button at the foot. The last one is the default: Enter presses it."""

    name: str
    words: str
    tip: str
    act: Callable[[], Any]


class Dialog(ABC):
    """One dialog, from `open` to `close`. Its items are tagged "<name>.<item>"."""

    name: ClassVar[str]
    width: ClassVar[int] = 560

    def __init__(self, dialogs: Dialogs) -> None:
        self.dialogs = dialogs
        self.app: App = dialogs.app
        self.theme = dialogs.app.theme
        self.alive = False
        """Between `open` and `close`; callbacks that dearpygui had queued may come later."""
        self.ready = False
        """It has been drawn in its place."""
        self._window = self._made_for = (0, 0)
        self._resized = 0.0
        self._focus: int | str | None = None

    # -- what a dialog says of itself -----------------------------------------------------------------------------------------

    @abstractmethod
    def title(self) -> str: ...

    @abstractmethod
    def fill(self) -> None:
        """Make the body's items."""

    @abstractmethod
    def buttons(self) -> list[Button]:
        """From left to right."""

    def aside(self) -> None:  # noqa: B027 - most dialogs have none
        """Items left of the buttons."""

    def update(self) -> None:  # noqa: B027 - most dialogs stand still
        """Each frame, while it is the uppermost dialog."""

    def accept(self) -> None:
        """Enter: the last button, if it may be pressed."""
        last = self.buttons()[-1]
        if dpg.is_item_enabled(f"{self.name}.{last.name}"):
            last.act()

    def key(self, name: str) -> None:  # noqa: B027 - most dialogs need none
        """A key besides Esc and Enter: "Tab", "Up" or "Down"."""

    # -- life ---------------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Make it, over everything else."""
        self.alive, self.ready = True, False
        self._placed: tuple[int, ...] = ()
        self._height, self._settled = 0.0, False
        self._window = self._made_for = (dpg.get_viewport_client_width(), dpg.get_viewport_client_height())
        px, body = self.theme.px, self.inner()
        look(self.theme.scale, px)
        flat = {"no_title_bar": True, "no_move": True, "no_resize": True, "no_scrollbar": True, "no_scroll_with_mouse": True}
        with dpg.window(tag=f"{self.name}.veil", no_saved_settings=True, **flat):
            with dpg.child_window(
                tag=self.name, width=body + 2 * px(PADDING), auto_resize_y=True, border=True, no_scrollbar=True,
                always_use_window_padding=True, always_auto_resize=True,
            ):  # fmt: skip
                with dpg.group(horizontal=True, tag=f"{self.name}.head"):
                    heading = dpg.add_text(self.title(), tag=f"{self.name}.title")
                    dpg.bind_item_font(heading, self.theme.large)
                dpg.add_spacer(height=px(4))
                with dpg.group(tag=f"{self.name}.body"):
                    self.fill()
                dpg.add_spacer(height=px(8))
                self._foot(body)
        dpg.bind_item_theme(self.name, f"dialog.card.{self.theme.scale}")
        self.place()
        dpg.focus_item(self._focus or f"{self.name}.veil")

    def close(self) -> None:
        """Take it away; what lies below is the uppermost again."""
        self.alive = False
        self.dialogs.closed(self)
        if dpg.does_item_exist(f"{self.name}.veil"):
            dpg.delete_item(f"{self.name}.veil")

    def cancel(self) -> None:
        """Esc."""
        self.close()

    def place(self) -> None:
        """Keep it in the middle, a little above; the veil covers the window. In a window of another size it is made anew."""
        W, H = dpg.get_viewport_client_width(), dpg.get_viewport_client_height()
        if (W, H) != self._window:
            self._window, self._resized = (W, H), time.monotonic()
        elif (W, H) != self._made_for and self is self.dialogs.top and time.monotonic() - self._resized > RESIZED_S:
            dpg.delete_item(f"{self.name}.veil")
            self.open()
            return
        w, h = dpg.get_item_rect_size(self.name)
        w = w or self.inner() + 2 * self.theme.px(PADDING)
        # Its height is known only after two frames, which must not show it in the wrong place.
        self.ready = self._settled
        self._settled = self._settled or (h > 0 and h == self._height)
        self._height = h
        placed = (W, H, round(w), round(h) if self._settled else 0)
        if placed != self._placed:
            self._placed = placed
            top = max(self.theme.px(8), round((H - h) * 0.45)) if self._settled else self.theme.px(8)
            dpg.configure_item(f"{self.name}.veil", pos=(0, 0), width=W, height=H)
            dpg.configure_item(self.name, pos=(round((W - w) / 2), top))
            dpg.bind_item_theme(f"{self.name}.veil", f"dialog.{'veil' if self._settled else 'unseen'}.{self.theme.scale}")
            self.app.wake()
        if self._focus is not None and h:
            dpg.focus_item(self._focus)
            self._focus = None

    def focus(self, item: int | str) -> None:
        """Put the cursor there, once the item is on the screen."""
        self._focus = item

    def inner(self) -> int:
        """The body's width in pixels: as wished, or what the window leaves."""
        px = self.theme.px
        return min(px(self.width), dpg.get_viewport_client_width() - 2 * px(MARGIN)) - 2 * px(PADDING)

    def tall(self, wished: float, *, beside: float = 190) -> int:
        """A height in pixels for the body: as wished, or what the window leaves below title and buttons (`beside`)."""
        px = self.theme.px
        return max(px(96), min(px(wished), dpg.get_viewport_client_height() - px(beside)))

    def text(self, words: str, *, tag: str = "", dim: bool = False) -> int | str:
        """A paragraph in the body."""
        item = dpg.add_text(words, wrap=self.inner(), **({"tag": f"{self.name}.{tag}"} if tag else {}))
        if dim:
            dpg.bind_item_theme(item, self.theme.dim)
        return item

    def line(self, words: str, tip: str, act: Callable[[], Any], *, tag: str = "", width: int = -1) -> int | str:
        """An entry of a list in the body: a flat button with its words at the left."""
        options = {"tag": f"{self.name}.{tag}"} if tag else {}
        item = self.theme.button(words, tip, self.while_alive(act), width=width, height=self.theme.px(24), **options)
        self.mark(item, on=False)
        return item

    def mark(self, item: int | str, *, on: bool) -> None:
        """Show that this line is the chosen one, or not."""
        dpg.bind_item_theme(item, f"dialog.line.{on}.{self.theme.scale}")

    def hint(self, words: str = "", *, tag: str = "note") -> int | str:
        """A small line left of the buttons, level with them."""
        with dpg.group(pos=(0, self.theme.px(4))):
            return self.theme.note(words, tag=f"{self.name}.{tag}")

    def _foot(self, body: int) -> None:
        px, gap, buttons = self.theme.px, self.theme.px(8), self.buttons()
        widths = [max(px(104), self.measure(b.words) + px(32)) for b in buttons]
        with dpg.group(horizontal=True, horizontal_spacing=0):
            with dpg.child_window(
                width=body - sum(widths) - gap * len(buttons), height=px(28), border=False, no_scrollbar=True,
                tag=f"{self.name}.aside",
            ):  # fmt: skip
                self.aside()
            for button, width in zip(buttons, widths, strict=True):
                dpg.add_spacer(width=gap)
                self.theme.button(
                    button.words, button.tip, self.while_alive(button.act), kind="primary" if button is buttons[-1] else "",
                    tag=f"{self.name}.{button.name}", width=width, height=px(28),
                )  # fmt: skip

    def while_alive(self, act: Callable[[], Any]) -> Callable[[], None]:
        """A callback that does nothing once the dialog is closed."""

        def do() -> None:
            if self.alive:
                act()

        return do

    def measure(self, words: str) -> int:
        """The width of a line of text in pixels."""
        size = dpg.get_text_size(words, font=self.theme.text)
        return round(size[0]) if size else round(len(words) * self.theme.px(8))

    def enable(self, button: str, *, on: bool) -> None:
        """Let a button be pressed, or grey it."""
        item = f"{self.name}.{button}"
        if dpg.is_item_enabled(item) != on:
            dpg.configure_item(item, enabled=on)


def look(scale: float, px: Callable[[float], int]) -> None:
    """Make the themes of dialogs at a UI scale, once: "dialog.<part>.<scale>"."""
    if not dpg.does_item_exist(f"dialog.veil.{scale}"):
        for part, alpha in (("veil", 1.0), ("unseen", UNSEEN)):
            with dpg.theme(tag=f"dialog.{part}.{scale}"), dpg.theme_component(dpg.mvAll):
                dpg.add_theme_color(dpg.mvThemeCol_WindowBg, DIM)
                dpg.add_theme_style(dpg.mvStyleVar_WindowPadding, 0, 0)
                dpg.add_theme_style(dpg.mvStyleVar_Alpha, alpha)
        with dpg.theme(tag=f"dialog.card.{scale}"), dpg.theme_component(dpg.mvAll):
            dpg.add_theme_color(dpg.mvThemeCol_ChildBg, PANEL)
            dpg.add_theme_color(dpg.mvThemeCol_Border, LINE)
            dpg.add_theme_style(dpg.mvStyleVar_WindowPadding, px(PADDING), px(PADDING) - px(4))
            dpg.add_theme_style(dpg.mvStyleVar_ChildRounding, px(10))
            dpg.add_theme_style(dpg.mvStyleVar_ChildBorderSize, 1)
        with dpg.theme(tag=f"dialog.list.{scale}"), dpg.theme_component(dpg.mvAll):
            dpg.add_theme_color(dpg.mvThemeCol_Header, VERDIGRIS_DEEP)
            dpg.add_theme_color(dpg.mvThemeCol_HeaderHovered, FIELD_HOVER)
            dpg.add_theme_style(dpg.mvStyleVar_FramePadding, px(8), 0)  # texts stand level with selectables
            dpg.add_theme_style(dpg.mvStyleVar_CellPadding, px(8), px(4))
            dpg.add_theme_style(dpg.mvStyleVar_ItemSpacing, px(8), px(8))
        for on, colour in ((False, PANEL), (True, FIELD_ACTIVE)):
            with dpg.theme(tag=f"dialog.line.{on}.{scale}"), dpg.theme_component(dpg.mvAll):
                dpg.add_theme_color(dpg.mvThemeCol_Button, colour)
                dpg.add_theme_color(dpg.mvThemeCol_ButtonHovered, FIELD_ACTIVE if on else FIELD)
                dpg.add_theme_color(dpg.mvThemeCol_ButtonActive, FIELD_ACTIVE)
                dpg.add_theme_style(dpg.mvStyleVar_ButtonTextAlign, 0, 0.5)
