"""Every key on one sheet, made from the table of commands; and what the mouse does."""

from __future__ import annotations

import dearpygui.dearpygui as dpg

from studio.gui.chords import Chord
from studio.gui.commands import HOLD_BEFORE, TABLE
from studio.gui.dialogs.dialog import Button, Dialog
from studio.gui.hand import LEFT, MIDDLE, RIGHT, Held, deed
from studio.gui.theme import BONE, FIELD, LINE

BUTTONS = {LEFT: "drag", MIDDLE: "middle drag", RIGHT: "right drag"}
DEEDS = {"orbit": "Turn the mesh", "pan": "Move the view", "zoom": "Zoom", "light": "Turn the light"}
DRAGS = (
    (LEFT, Held()), (MIDDLE, Held()), (LEFT, Held(shift=True)), (MIDDLE, Held(shift=True)), (MIDDLE, Held(ctrl=True)),
    (RIGHT, Held(alt=True)), (RIGHT, Held(shift=True)),
)  # fmt: skip
OTHER = (("wheel", "Zoom"), ("double click", "On a border: its usual place"), ("right click", "On a slider: its usual value"))
COLUMNS = (("file", "edit", "run"), ("view",), ("picks", "mouse", "help"))
NARROW = (
    (("file", "edit", "run", "picks", "mouse", "help"), ("view",)),
    (("file", "edit", "run", "picks", "view", "mouse", "help"),),
)
"""Two columns, or one, where there is no room for three."""
COLUMN = 352
SPACING = 4
HEADS = {"file": "File", "edit": "Edit", "run": "Run", "picks": "Picks", "view": "View", "help": "Help", "mouse": "Mouse"}
WORDS = 168


class Shortcuts(Dialog):
    """The shortcut sheet."""

    name = "shortcuts"
    width = 1120

    def title(self) -> str:
        return "Keys and mouse"

    def fill(self) -> None:
        px, theme = self.theme.px, self._cap_theme()
        dense = f"dialog.dense.{self.theme.scale}"
        with dpg.child_window(height=self.tall(504), border=False, tag="shortcuts.sheet"):
            with dpg.group(horizontal=True, horizontal_spacing=px(24)):
                room = max(1, min(3, self.inner() // px(COLUMN)))
                for groups in (*NARROW[::-1], COLUMNS)[room - 1]:
                    with dpg.group():
                        for group in groups:
                            self._group(group, theme)
        dpg.bind_item_theme("shortcuts.sheet", dense)

    def aside(self) -> None:
        said = "Blender" if self.app.settings.navigation == "blender" else "default"
        self.hint(f"With the {said} navigation. Cmd does what Ctrl does.")

    def buttons(self) -> list[Button]:
        return [Button("close", "Close", "Back to work.", self.close)]

    def _group(self, group: str, theme: int | str) -> None:
        self.theme.head(HEADS[group])
        for keys, words in rows(group, self.app.settings.navigation):
            with dpg.group(horizontal=True, horizontal_spacing=self.theme.px(4)):
                label = dpg.add_text(words)
                dpg.bind_item_theme(label, self.theme.dim)
                dpg.add_spacer(width=max(0, self.theme.px(WORDS) - self.measure(words)))
                for i, caps in enumerate(keys):
                    if i:
                        dpg.bind_item_theme(dpg.add_text("or"), self.theme.dim)
                    for cap in caps:
                        button = dpg.add_button(label=cap)
                        dpg.bind_item_font(button, self.theme.small)
                        dpg.bind_item_theme(button, theme)
        dpg.add_spacer(height=self.theme.px(8))

    def _cap_theme(self) -> int | str:
        tag, px = f"dialog.cap.{self.theme.scale}", self.theme.px
        if not dpg.does_item_exist(tag):
            with dpg.theme(tag=f"dialog.dense.{self.theme.scale}"), dpg.theme_component(dpg.mvAll):
                dpg.add_theme_style(dpg.mvStyleVar_ItemSpacing, px(8), px(SPACING))
                dpg.add_theme_style(dpg.mvStyleVar_FramePadding, px(8), px(2))
            with dpg.theme(tag=tag), dpg.theme_component(dpg.mvAll):
                for part in ("Button", "ButtonHovered", "ButtonActive"):
                    dpg.add_theme_color(getattr(dpg, f"mvThemeCol_{part}"), FIELD)
                dpg.add_theme_color(dpg.mvThemeCol_Text, BONE)
                dpg.add_theme_color(dpg.mvThemeCol_Border, LINE)
                dpg.add_theme_style(dpg.mvStyleVar_FramePadding, px(6), px(3))
                dpg.add_theme_style(dpg.mvStyleVar_FrameBorderSize, 1)
        return tag


def rows(group: str, navigation: str) -> list[tuple[list[tuple[str, ...]], str]]:
    """A group's rows: the caps of each chord, and the words."""
    if group == "mouse":
        return _mouse(navigation)
    found = [
        ([Chord.parse(chord).caps() for chord in keys], "Start, pause, resume" if c.name == "run.toggle" else c.words.rstrip("…"))
        for c in TABLE.values()
        if c.group == group and (keys := c.keys(navigation))
    ]
    if group == "view":
        found.append(([(f"hold {HOLD_BEFORE}",)], "Look at before"))
    return found


def _mouse(navigation: str) -> list[tuple[list[tuple[str, ...]], str]]:
    """What the viewport's hand makes of each drag; modifiers that change nothing are left out."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for button, held in DRAGS:
        does = deed(navigation, button, held)
        if does in DEEDS and (held == Held() or does != deed(navigation, button, Held())):
            names = [name.capitalize() for name in ("ctrl", "shift", "alt") if getattr(held, name)]
            found.setdefault(DEEDS[does], []).append((*names, BUTTONS[button]))
    return [(caps, words) for words, caps in found.items()] + [([(cap,)], words) for cap, words in OTHER]
