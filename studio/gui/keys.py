"""The keyboard: one handler that looks every key up in the table of commands.

Letters never fire while a text field is being edited, nothing fires while a dialog is open: it gets Esc, Enter, Tab and arrows.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import dearpygui.dearpygui as dpg

from studio.gui import choice, menu
from studio.gui.chords import Chord
from studio.gui.commands import HOLD_BEFORE, TABLE, Command, canvas

if TYPE_CHECKING:
    from studio.gui.app import App

CODES: dict[str, tuple[int, ...]] = {
    "Enter": (dpg.mvKey_Return, dpg.mvKey_NumPadEnter),
    "Esc": (dpg.mvKey_Escape,),
    "Tab": (dpg.mvKey_Tab,),
    "Space": (dpg.mvKey_Spacebar,),
    "Home": (dpg.mvKey_Home,),
    "Left": (dpg.mvKey_Left,),
    "Right": (dpg.mvKey_Right,),
    "Up": (dpg.mvKey_Up,),
    "Down": (dpg.mvKey_Down,),
    "?": (dpg.mvKey_Slash,),
    ",": (dpg.mvKey_Comma,),
    ".": (dpg.mvKey_Decimal, dpg.mvKey_Period),
    **{f"F{n}": (getattr(dpg, f"mvKey_F{n}"),) for n in range(1, 13)},
    **{str(n): (getattr(dpg, f"mvKey_NumPad{n}"), getattr(dpg, f"mvKey_{n}")) for n in range(10)},
    **{letter: (getattr(dpg, f"mvKey_{letter}"),) for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
}
"""dearpygui's codes of each key; digits mean the numeric pad and the row above the letters alike."""

FOR_DIALOGS = {code: name for name in ("Esc", "Enter", "Tab", "Up", "Down") for code in CODES[name]}
LOOK_S = 1.0
"""How often fields of several lines are looked for among new items."""


class Keys:
    """Turns keys into commands. `update` belongs into every frame."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._table: dict[int, list[tuple[Chord, Command]]] = {}
        self._navigation = ""
        self._down: set[int] = set()
        self._holding = False
        self._fields: list[int] = []
        self._combos: list[int] = []
        self._newest = 0
        self._looked = 0.0
        self.editing = False
        """A text field is being edited, as of the last frame."""
        with dpg.handler_registry(tag="keys"):
            dpg.add_key_press_handler(callback=self._pressed)

    def update(self) -> None:
        """Notice keys that were let go, fields that are edited, and another navigation preset."""
        if self._navigation != self._app.settings.navigation:
            self._navigation = self._app.settings.navigation
            self._table = table(self._navigation)
        if self._down:
            self._down = {code for code in self._down if dpg.is_key_down(code)}
        if self._holding and not any(map(dpg.is_key_down, CODES[HOLD_BEFORE])):
            self._hold(False)
        if time.monotonic() - self._looked > LOOK_S:
            self._look()
        # A field of one line is focused while it is edited; one of several lines is not, so these are asked one by one.
        focused = dpg.get_focused_item()
        self.editing = any(_active(item) for item in (*self._fields, focused))

    def leave_fields(self) -> None:
        """Nothing is edited any more, and open menus close."""
        dpg.focus_item("zone.stage")

    def _look(self) -> None:
        self._looked = time.monotonic()
        items = dpg.get_all_items()
        new = [(item, dpg.get_item_type(item)) for item in items if item > self._newest]
        self._newest = max(items)
        self._fields = [item for item in self._fields if dpg.does_item_exist(item)]
        texts = [item for item, kind in new if kind == "mvAppItemType::mvInputText"]
        self._fields += [item for item in texts if dpg.get_item_configuration(item)["multiline"]]
        self._combos = [item for item in self._combos if dpg.does_item_exist(item)]
        self._combos += [item for item, kind in new if kind == "mvAppItemType::mvCombo"]

    def _hold(self, on: bool) -> None:
        self._holding = on
        canvas(self._app).hold_before(on)

    def _pressed(self, sender: int, code: int) -> None:
        repeated = code in self._down
        self._down.add(code)
        dialogs = self._app.dialogs
        if dialogs.top:
            if code in FOR_DIALOGS:
                dialogs.key(FOR_DIALOGS[code])
            return
        held = {
            "ctrl": dpg.is_key_down(dpg.mvKey_ModCtrl) or dpg.is_key_down(dpg.mvKey_ModSuper),
            "shift": dpg.is_key_down(dpg.mvKey_ModShift),
            "alt": dpg.is_key_down(dpg.mvKey_ModAlt),
        }
        if code in CODES["Esc"] and (menu.is_open() or choice.is_open() or any(map(_hangs_open, self._combos))):
            self.leave_fields()
        elif code in CODES[HOLD_BEFORE] and not any(held.values()):
            if not repeated and not self.editing:
                self._hold(True)
        else:
            self._obey(code, held, repeated=repeated)

    def _obey(self, code: int, held: dict[str, bool], *, repeated: bool) -> None:
        for chord, command in self._table.get(code, ()):
            if chord.fits(**held) and (chord.while_typing or not self.editing) and (command.repeats or not repeated):
                if command.enabled(self._app):
                    command.act(self._app)
                return


def _active(item: int | str) -> bool:
    return bool(item) and dpg.does_item_exist(item) and bool(dpg.get_item_state(item).get("active"))


def _hangs_open(combo: int | str) -> bool:
    """Whether a combo shows its list: dearpygui then gives it a width, but no height."""
    width, height = dpg.get_item_state(combo).get("rect_size", (0, 0)) if dpg.does_item_exist(combo) else (0, 0)
    return width > 0 and height == 0


def table(navigation: str) -> dict[int, list[tuple[Chord, Command]]]:
    """The commands of each key code under a navigation preset."""
    found: dict[int, list[tuple[Chord, Command]]] = {}
    for command in TABLE.values():
        for chord in map(Chord.parse, command.keys(navigation)):
            for code in CODES[chord.key]:
                found.setdefault(code, []).append((chord, command))
    return found
