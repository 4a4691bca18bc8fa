"""Every promise of the window once, by mouse and keys alone: after each step the state is another one and so is the picture.

`PATINA_SCREENSHOTS` names the folder that keeps a picture of every step.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gui.driver import ROOT, Window
from tests.gui.screen import why_not
from tests.gui.steps import camera, column, idle, running, shot, weight

APART = 8
"""Iterations after which the eye tells a texture from the first: a busy machine has two moments after two of them."""

pytestmark = [pytest.mark.gui, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]


@pytest.fixture(scope="module")
def shared(begin: Callable[..., Window], project: Path) -> Window:
    """One window for the tests that leave it as they found it."""
    window = begin(project, name="walkthrough")
    window.wait(lambda s: s["mesh"] == "vase" and s["texture_id"] and not s["loading"] and s["canvas"]["drawn"], seconds=40)
    return window


@pytest.fixture
def window(shared: Window) -> Window:
    """The shared window, without a dialog and without a run."""
    if shared.state()["dialog"]:
        shared.key("Escape")
        shared.wait(lambda s: not s["dialog"])
    idle(shared)
    return shared


# -- the first frame -----------------------------------------------------------------------------------------------------------


def test_without_a_display_one_sentence_says_what_to_do() -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, "-m", "studio"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "studio bake" in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_a_project_from_the_command_line_fills_the_window(window: Window) -> None:
    """A mesh is there, its prompt as chips, and one big button; every zone has a place."""
    state = window.state()
    assert state["config"]["generator"]["name"] == "tiny" and state["project"].endswith("quick.patina")
    assert all(tag in state["items"] for tag in ("viewport", "prompt.chip.0", "run.start", "mesh.sample.mug", "status.state"))
    left, top, right, bottom = state["items"]["run.start"]
    assert right - left > 100 and bottom - top >= 40
    assert window.picture("viewport").std() > 8
    window.keep("first frame")


# -- layout --------------------------------------------------------------------------------------------------------------------


def test_layouts(window: Window) -> None:
    whole = (0, 0, *window.screen.size)
    window.does("large atlas", lambda: window.key("F3"), says=lambda s: s["layout"], where=whole)
    window.does("viewport alone", lambda: window.key("F2"), says=lambda s: s["layout"], where=whole)
    window.does("both", lambda: window.key("F1"), says=lambda s: s["layout"], where=whole)
    window.does("panels hidden", lambda: window.key("Tab"), says=lambda s: "run.start" in s["items"], where=whole)
    window.does("panels shown", lambda: window.key("Tab"), says=lambda s: "run.start" in s["items"], where=whole)


@pytest.mark.long
def test_a_split_is_dragged(window: Window) -> None:
    left, top, _, bottom = window.rect("viewport")
    edge = (left - 4, top, left, bottom)
    width = lambda s: s["items"]["viewport"][2] - s["items"]["viewport"][0]  # noqa: E731
    window.does("wider column", lambda: window.drag(edge, (60, 0)), says=width, where="viewport")
    window.does("back again", lambda: window.drag((left + 56, top, left + 60, bottom), (-60, 0)), says=width, where="viewport")


def test_an_open_menu_keeps_its_size_and_knows_what_was_opened(window: Window) -> None:
    window.click("menu.File")
    before = window.rect("menu.file.new")
    window.move("menu.recent", (0.2, 0.5))
    window.wait(lambda s: "menu.recent.0" in s["items"], what="the project of this window")
    window.beat(12)
    assert window.rect("menu.file.new") == before
    window.key("Escape")
    window.wait(lambda s: "menu.file.new" not in s["items"])


# -- viewport ------------------------------------------------------------------------------------------------------------------


def test_the_camera_moves(window: Window) -> None:
    see, where = window.does, "viewport"
    see("orbit", lambda: window.drag(where, (120, 40)), says=camera, where=where, pixels=2000)
    see("pan", lambda: window.drag(where, (50, 20), button=2), says=camera, where=where, pixels=2000)
    see("zoom", lambda: window.wheel(where, 3), says=camera, where=where, pixels=2000)
    see("frame", lambda: window.key("f"), says=camera, where=where, pixels=2000)
    see("from the right", lambda: window.key("KP_3"), says=camera, where=where, pixels=500)
    see("from above, by letter", lambda: window.key("y"), says=camera, where=where, pixels=2000)
    see("orthographic", lambda: window.key("5"), says=lambda s: camera(s)["orthographic"], where=where, pixels=200)
    see("perspective", lambda: window.key("5"), says=lambda s: camera(s)["orthographic"], where=where, pixels=200)
    see("front", lambda: window.key("1"), says=camera, where=where, pixels=2000)


@pytest.mark.long
def test_what_the_viewport_shows(window: Window) -> None:
    see, where = window.does, "viewport"
    see("next channel", lambda: window.key("c"), says=shot("channel"), where=where, pixels=2000)
    see("material", lambda: window.key("m"), says=shot("channel"), where=where, pixels=200)
    see("wireframe", lambda: window.key("w"), says=shot("wireframe"), where=where, pixels=2000)
    see("no wireframe", lambda: window.click("tools.wireframe"), says=shot("wireframe"), where=where, pixels=2000)
    see(
        "turned light",
        lambda: window.drag(where, (90, 0), button=3, held="shift"),
        says=shot("environment_turn_deg"),
        where=where,
    )
    see("exposure", lambda: window.drag("tools.exposure", (25, 0)), says=shot("exposure_ev"), where=where, pixels=2000)
    see("turntable", lambda: window.key("t"), says=lambda s: s["canvas"]["turning"], where=where, pixels=500)
    see("standing still", lambda: window.key("t"), says=lambda s: s["canvas"]["turning"], where="tools.turntable", pixels=10)


# -- the run -------------------------------------------------------------------------------------------------------------------


def test_a_run_is_watched_steered_and_ended(window: Window) -> None:
    """Colours come while the run goes on; a weight that is dragged leaves a mark; pause, resume, one step, stop."""
    texture = lambda s: s["texture_id"]  # noqa: E731
    window.does("started", lambda: window.click("run.start"), says=texture, where="viewport", seconds=40, pixels=2000)
    window.wait(lambda s: s["iteration"] >= 2 and len(s["moments"]) >= 1, seconds=40)
    window.does("curves", lambda: None, says=lambda s: s["curves"], where="curves.plot", seconds=20)
    window.reveal("rewards.symmetry.weight", column(window))
    drag = lambda: window.drag("rewards.symmetry.weight", (70, 0), (0.6, 0.5))  # noqa: E731
    window.does("symmetry dragged up", drag, says=weight("symmetry"), where="rewards.symmetry.weight")
    assert weight("symmetry")(window.state()) > 0.5
    window.wait(lambda s: s["markers"] >= 1, what="a mark in the curves")
    see = lambda name, act: window.does(name, act, says=lambda s: s["state"], where="run.start", pixels=10)  # noqa: E731
    assert see("paused", lambda: window.click("run.start"))["state"] == "paused"
    before = window.wait(lambda s: s["state"] == "paused")["iteration"]
    window.click("run.step")
    window.wait(lambda s: s["state"] == "paused" and s["iteration"] == before + 1, what="one step")
    assert see("resumed", lambda: window.key("ctrl+Return"))["state"] == "running"
    window.click("run.stop")
    window.wait(lambda s: s["state"] in ("done", "idle"), seconds=2.5, what="the end within two seconds")
    window.keep("stopped")


@pytest.mark.long
def test_a_moment_of_the_film_comes_back(window: Window) -> None:
    if window.state().get("iteration", 0) < APART:
        running(window)
        window.wait(lambda s: s["iteration"] >= APART and len(s["moments"]) >= 2, seconds=120)
        idle(window)
    first = next(tag for tag in sorted(window.state()["items"]) if tag.startswith("film.frame."))
    shown = lambda s: s["texture_id"]  # noqa: E731
    window.settle()  # a picture that is still being refined changes by itself
    window.does("a moment under the mouse", lambda: window.move(first), says=shown, where="viewport")
    window.settle()
    window.does("the newest again", lambda: window.move("viewport"), says=shown, where="viewport")


def test_undo_and_redo(window: Window) -> None:
    slider = "rewards.palette.weight"
    window.reveal(slider, column(window))
    window.does("palette down", lambda: window.drag(slider, (-40, 0)), says=weight("palette"), where=slider)
    changed_to = weight("palette")(window.state())
    window.does("undone", lambda: window.key("ctrl+z"), says=weight("palette"), where=slider)
    window.does("redone", lambda: window.key("ctrl+shift+z"), says=weight("palette"), where=slider)
    assert weight("palette")(window.state()) == changed_to
    window.does("undone once more", lambda: window.key("ctrl+z"), says=weight("palette"), where=slider)
    window.does("redone by the other key", lambda: window.key("ctrl+y"), says=weight("palette"), where=slider)
    window.does("default by a right click", lambda: window.click(slider, button=3), says=weight("palette"), where=slider)


# -- prompt, rewards -----------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_words_become_chips(window: Window) -> None:
    prompt = lambda s: s["config"]["prompt"]  # noqa: E731
    window.reveal("prompt.text", column(window))

    def type_it() -> None:
        window.click("prompt.text")
        window.key("ctrl+a")
        window.type("red bricks")
        window.key("Return")

    window.does("a prompt typed", type_it, says=prompt, where="prompt.chips")
    assert prompt(window.state()) == "red bricks"
    window.does("taken back", lambda: window.key("ctrl+z"), says=prompt, where="prompt.chips")


@pytest.mark.long
def test_a_heat_map(window: Window) -> None:
    running(window)
    window.reveal("rewards.symmetry.eye", column(window))
    eye = lambda: window.click("rewards.symmetry.eye")  # noqa: E731
    window.does("heat of symmetry", eye, says=lambda s: s["canvas"]["heat"], where="viewport", pixels=2000, seconds=20)
    window.does("material again", eye, says=lambda s: s["canvas"]["heat"], where="viewport", pixels=2000, seconds=20)


def test_before_and_after(window: Window) -> None:
    """After a run the line between before and after can be dragged, and Space shows what was."""
    if window.state()["iteration"] < 1:
        running(window)
        idle(window)
    where = "viewport"
    window.does("split", lambda: window.key("b"), says=shot("split"), where=where, pixels=500)
    window.does("split dragged", lambda: window.drag(where, (-120, 0)), says=shot("split"), where=where, pixels=500)
    window.does("no split", lambda: window.key("b"), says=shot("split"), where=where, pixels=500)
    after = window.picture(where)
    with window.holding("space"):
        window.wait(lambda s: s["canvas"]["before"])
        window.repaints(where, after, pixels=500, what="before")
        window.keep("before, held")
    window.wait(lambda s: not s["canvas"]["before"])


# -- dialogs -------------------------------------------------------------------------------------------------------------------


FURTHER = [pytest.param(*dialog, marks=pytest.mark.long) for dialog in (("export", "ctrl+e"), ("browser", "ctrl+o"))]


@pytest.mark.parametrize(("name", "chord"), [("shortcuts", "question"), *FURTHER])
def test_dialogs_open_and_close(window: Window, name: str, chord: str) -> None:
    whole = (0, 0, *window.screen.size)
    state = window.does(name, lambda: window.key(chord), says=lambda s: s["dialog"], where=whole, pixels=5000)
    assert state["dialog"] == name
    window.does(f"{name} closed", lambda: window.key("Escape"), says=lambda s: s["dialog"], where=whole, pixels=5000)
