"""The table of commands, and the keys that obey it: typed by the X server into the real window."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from studio import resources
from studio.gui.chords import Chord
from studio.gui.commands import HOLD_BEFORE, TABLE
from tests.gui.driver import ROOT, State, Window
from tests.gui.drop import drop
from tests.gui.screen import Screen, why_not

NAVIGATIONS = ("default", "blender")


def test_a_chord_is_read_as_it_is_written() -> None:
    chord = Chord.parse("Ctrl+Shift+S")
    assert (chord.key, chord.ctrl, chord.shift, chord.alt) == ("S", True, True, False)
    assert chord.fits(ctrl=True, shift=True, alt=False)
    assert not chord.fits(ctrl=True, shift=False, alt=False)
    with pytest.raises(ValueError, match="no modifier"):
        Chord.parse("Strg+S")


def test_a_question_mark_needs_shift_on_some_keyboards_only() -> None:
    for shift in (True, False):
        assert Chord.parse("?").fits(ctrl=False, shift=shift, alt=False)


def test_what_a_text_field_keeps_for_itself() -> None:
    """Letters, digits and the clipboard belong to the field; saving and layouts do not."""
    for kept in ("W", "1", "Esc", "Tab", "?", "Ctrl+Z", "Ctrl+Shift+Z", "Ctrl+Y", "Shift+C"):
        assert not Chord.parse(kept).while_typing, kept
    for free in ("Ctrl+S", "Ctrl+O", "Ctrl+Enter", "F1", "F5"):
        assert Chord.parse(free).while_typing, free


@pytest.mark.parametrize("navigation", NAVIGATIONS)
def test_no_key_means_two_things(navigation: str) -> None:
    chords = Counter(Chord.parse(key) for command in TABLE.values() for key in (*command.keys(navigation),))
    assert not [chord for chord, count in chords.items() if count > 1]
    assert Chord(HOLD_BEFORE) not in chords


def test_every_command_says_what_it_does() -> None:
    for command in TABLE.values():
        assert command.words and command.tip.endswith("."), command.name


@pytest.mark.parametrize("navigation", NAVIGATIONS)
def test_every_key_has_a_code_and_stands_on_the_sheet(navigation: str) -> None:
    pytest.importorskip("dearpygui.dearpygui", exc_type=ImportError)
    from studio.gui import keys, menu
    from studio.gui.dialogs import sheet

    handled = [chord for found in keys.table(navigation).values() for chord, _ in found]
    shown = [
        caps for groups in sheet.COLUMNS for group in groups for keys_of, _ in sheet.rows(group, navigation) for caps in keys_of
    ]
    for command in TABLE.values():
        for chord in map(Chord.parse, command.keys(navigation)):
            assert chord in handled and chord.caps() in shown
    named = [entry for entries in menu.MENUS.values() for entry in entries if entry and not entry.startswith("+")]
    assert set(named) <= set(TABLE)


# -- the real window -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    screen = Screen(1280, 720)
    pictures = os.environ.get("PATINA_SCREENSHOTS")
    window = Window(screen, tmp_path_factory.mktemp("home"), pictures=Path(pictures, "keys") if pictures else None)
    window.appear()
    yield window
    window.kill()
    screen.close()


def _shot(key: str) -> Any:
    return lambda s: s["canvas"]["shot"][key]


@pytest.mark.gui
@pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
def test_keys_on_the_real_window(window: Window) -> None:
    wire = _shot("wireframe")

    def now(read: Any = wire) -> Any:
        return read(window.state())

    window.key("w")
    window.wait(wire, what="wireframe")
    window.click("prompt.text")
    window.key("w", "c", "1")
    window.key("Escape")  # ends the edit, and nothing else
    window.key("w")
    window.wait(lambda s: not wire(s), what="the wireframe's end, once")
    assert now(_shot("channel")) == "material"
    window.key("ctrl+KP_1")
    window.wait(lambda s: abs(s["canvas"]["shot"]["camera"]["azimuth_deg"] - 180) < 0.1, what="the view from behind")
    window.key("question")
    window.wait(lambda s: s["dialog"] == "shortcuts")
    window.key("w")  # a dialog is open
    window.keep("shortcuts")
    window.key("Escape")
    state: State = window.wait(lambda s: not s["dialog"])
    assert not wire(state) and state["state"] == "idle"
    with window.holding("space"):
        window.wait(lambda s: s["canvas"]["before"])
    window.wait(lambda s: not s["canvas"]["before"])
    window.click("menu.View")
    window.wait(lambda s: "menu.view.front" in s["items"])
    window.key("Escape")
    window.wait(lambda s: "menu.view.front" not in s["items"], what="the menu's end")


@pytest.mark.gui
@pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
def test_escape_closes_an_open_list_and_nothing_else(window: Window) -> None:
    window.click("run.start")
    window.wait(lambda s: s["state"] in ("preparing", "running"), seconds=20)
    window.click("prompt.examples")
    listed = lambda s: any(tag.startswith("prompt.examples.") for tag in s["items"])  # noqa: E731
    window.wait(listed, what="the list")
    window.keep("a list")
    window.key("Escape")
    state = window.wait(lambda s: not listed(s), what="the list's end")
    assert state["state"] in ("preparing", "running")
    window.click("tools.channel")
    window.wait(lambda s: "tools.channel" not in s["items"], what="a list that covers its combo")
    window.key("Escape")
    state = window.wait(lambda s: "tools.channel" in s["items"], what="the combo's list's end")
    assert state["state"] in ("preparing", "running")
    window.key("Escape")
    window.wait(lambda s: s["state"] in ("idle", "done"), what="the run's end")


@pytest.mark.gui
@pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
def test_files_are_dropped_and_the_window_asks_before_it_closes(window: Window) -> None:
    """The first file that can be opened is, the others are named; a file that cannot be opened is a dialog, not a silence."""
    assert drop(window.screen.name, int(window._id), [ROOT / "README.md", resources.sample("mug"), resources.sample("vase")])
    window.wait(lambda s: s["mesh"] == "mug", seconds=20)
    assert drop(window.screen.name, int(window._id), [ROOT / "README.md"])
    window.wait(lambda s: s["dialog"] == "error")
    window.keep("dropped")
    window.key("Escape")
    window.wait(lambda s: not s["dialog"])
    window.key("ctrl+q")
    window.wait(lambda s: s["dialog"] == "question", what="a question, as the mug was not saved")
    window.click("question.answer_0")
    assert window.process.wait(15) == 0
