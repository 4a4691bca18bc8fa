"""Preferences: how large everything is and how the mouse moves the view. They hold at once, so there is nothing to confirm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dearpygui.dearpygui as dpg

from studio.gui.commands import SCALES
from studio.gui.dialogs.dialog import Button, Dialog
from studio.gui.system import content_scale

if TYPE_CHECKING:
    from studio.gui.dialogs import Dialogs

NAVIGATION = {
    "default": ("Default", "The left button turns the mesh, the middle one or Shift moves the view, the wheel zooms."),
    "blender": (
        "Blender",
        "The middle button turns the mesh, with Shift it moves the view, with Ctrl zooms; keys like Blender's.",
    ),
}


class Preferences(Dialog):
    """A few choices, each a row of buttons."""

    name = "preferences"
    width = 640

    def __init__(self, dialogs: Dialogs) -> None:
        super().__init__(dialogs)
        self._drawn: tuple[object, ...] = ()

    def title(self) -> str:
        return "Preferences"

    def fill(self) -> None:
        self._drawn = ()
        with self.theme.row("Interface size", "How large text and controls are.", width=136):
            with dpg.group(horizontal=True):
                auto = f"Automatic ({content_scale():.0%})".replace("%", " %")
                self.theme.button(auto, "As large as the display asks for.", lambda: self._scale(0.0), tag="preferences.scale.0")
                for scale in SCALES:
                    self.theme.button(
                        f"{100 * scale:.0f} %", f"Show everything at {100 * scale:.0f} % of its plain size.",
                        lambda scale=scale: self._scale(scale), tag=f"preferences.scale.{scale:g}",
                    )  # fmt: skip
        with self.theme.row("Navigation", "How mouse and keys move the view.", width=136):
            with dpg.group(horizontal=True):
                for name, (words, about) in NAVIGATION.items():
                    self.theme.button(
                        words, about, lambda name=name: self._navigate(name), tag=f"preferences.navigation.{name}",
                    )  # fmt: skip
        with dpg.group(horizontal=True, horizontal_spacing=0):
            dpg.add_spacer(width=self.theme.px(136))
            dpg.add_text("", tag="preferences.about", wrap=self.inner() - self.theme.px(136))
            dpg.bind_item_theme("preferences.about", self.theme.dim)

    def buttons(self) -> list[Button]:
        return [Button("close", "Close", "Back to work.", self.close)]

    def aside(self) -> None:
        self.hint("Kept for the next start.")

    def update(self) -> None:
        settings = self.app.settings
        state = (settings.scale, settings.navigation)
        if state == self._drawn:
            return
        self._drawn = state
        for scale in (0.0, *SCALES):
            self._mark(f"preferences.scale.{scale:g}", settings.scale == scale)
        for name in NAVIGATION:
            self._mark(f"preferences.navigation.{name}", settings.navigation == name)
        dpg.set_value("preferences.about", NAVIGATION[settings.navigation][1])

    def _mark(self, item: str, on: bool) -> None:
        dpg.bind_item_theme(item, self.theme.chosen if on else 0)

    def _scale(self, scale: float) -> None:
        self.app.rebuild(scale or content_scale())
        self.app.settings = self.app.settings.changed(scale=scale)

    def _navigate(self, name: str) -> None:
        self.app.settings = self.app.settings.changed(navigation=name)
