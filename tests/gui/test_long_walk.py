"""The rest of the walk, which takes minutes: the first minute with the bundled generator, and settings of all kinds."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gui.driver import Window
from tests.gui.screen import why_not
from tests.gui.steps import camera, column, fill, idle, ready, running, shot, weight, whole

pytestmark = [pytest.mark.gui, pytest.mark.long, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]

Begin = Callable[..., Window]


# -- the first minute ----------------------------------------------------------------------------------------------------------


def test_the_first_frame_is_never_empty(begin: Begin) -> None:
    """Usable in three seconds, a painted-to-be mesh already turning, and colours on it within ten of the click on Start."""
    window = begin(name="first minute")
    assert time.monotonic() - window.began < 5, "three seconds, and two for the test's own looking"
    state = window.wait(lambda s: s["mesh"] and s["canvas"]["drawn"], seconds=30)
    assert state["mesh"] == "vase" and state["config"]["prompt"] and state["canvas"]["turning"]
    window.does("turning", lambda: None, says=camera, where="viewport", pixels=200)
    ready(window)
    began = time.monotonic()
    window.does("first colours", lambda: window.click("run.start"), says=lambda s: s["texture_id"], where="viewport", seconds=30)
    assert time.monotonic() - began <= 10
    window.click("run.stop")
    window.wait(lambda s: s["state"] in ("idle", "done"), seconds=2.5, what="the end within two seconds")


def test_a_sample_from_the_gallery(begin: Begin) -> None:
    window = begin(name="gallery")
    ready(window)
    window.reveal("mesh.sample.mug", column(window))
    see = lambda name, act: window.does(name, act, says=lambda s: s["mesh"], where="viewport", pixels=2000, seconds=30)  # noqa: E731
    see("mug", lambda: window.click("mesh.sample.mug"))
    see("vase again", lambda: window.key("ctrl+z"))


# -- forms, presets, prompt ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def window(begin: Begin, project: Path) -> Window:
    window = begin(project, name="settings")
    ready(window)
    return window


def test_words_the_generator_does_not_know(begin: Begin) -> None:
    """The unknown word is greyed with the nearest known one beside it, which a click takes."""
    window = begin(name="words")
    ready(window)
    prompt = lambda s: s["config"]["prompt"]  # noqa: E731
    window.reveal("prompt.text", column(window))

    def typed() -> None:
        window.click("prompt.text")
        window.key("ctrl+a")
        window.type("red brikcs")
        window.key("Return")

    window.does("unknown word", typed, says=prompt, where="prompt.chips")
    window.does("did you mean", lambda: window.click("prompt.chip.1.instead"), says=prompt, where="prompt.chips")
    assert prompt(window.state()) == "red bricks"
    window.click("prompt.materials")
    window.reveal("prompt.material.lava", column(window))
    window.does("a sphere", lambda: window.click("prompt.material.lava"), says=prompt, where="prompt.material.lava", pixels=0)
    assert "lava" in prompt(window.state())


def test_presets_and_rewards(window: Window) -> None:
    rewards = lambda s: sorted(s["config"]["rewards"])  # noqa: E731
    window.reveal("rewards.palette.more", column(window))
    window.click("rewards.palette.more")
    window.reveal("rewards.palette.remove", column(window))
    window.does("reward removed", lambda: window.click("rewards.palette.remove"), says=rewards, where="rewards.rows")
    window.does("reward back", lambda: window.key("ctrl+z"), says=rewards, where="rewards.rows")
    window.reveal("rewards.presets", column(window))
    window.click("rewards.presets")
    window.wait(lambda s: "rewards.presets.mirrored" in s["items"])
    window.keep("presets")
    take = lambda: window.click("rewards.presets.mirrored", (0.3, 0.3))  # noqa: E731
    window.does("preset", take, says=lambda s: s["undo"], where=whole(window))
    window.does("without it", lambda: window.key("ctrl+z"), says=lambda s: s["redo"], where=whole(window))


def test_menus_do_what_keys_do(window: Window) -> None:
    """A tick in a menu, a light from a menu within a menu, and the two dialogs of Help."""

    def choose(*way: str) -> None:
        for tag in way:
            window.click(tag)

    see = lambda name, act, says: window.does(name, act, says=says, where="viewport", pixels=500)  # noqa: E731
    see("wireframe by menu", lambda: choose("menu.View", "menu.view.wireframe"), shot("wireframe"))
    see("city by menu", lambda: choose("menu.View", "menu.environments", "menu.environment.city"), shot("environment"))
    window.key("w")
    for name in ("doctor", "about"):
        window.does(name, lambda n=name: choose("menu.Help", f"menu.help.{n}"), says=lambda s: s["dialog"], where=whole(window))
        window.key("Escape")
        window.wait(lambda s: not s["dialog"])


def test_settings_answer_during_a_run(window: Window) -> None:
    """A weight and the prompt, changed while it runs, leave marks."""
    running(window)
    window.reveal("rewards.palette.weight", column(window))
    slide = lambda: window.drag("rewards.palette.weight", (30, 0), (0.6, 0.5))  # noqa: E731
    window.does("palette during a run", slide, says=weight("palette"), where="rewards.palette.weight")
    marks = window.wait(lambda s: s["markers"] >= 1)["markers"]
    window.reveal("prompt.text", column(window))
    window.click("prompt.text")
    window.key("ctrl+a")
    window.type("green")
    window.key("Return")
    window.wait(lambda s: s["config"]["prompt"] == "green" and s["markers"] > marks, what="a mark for the prompt")
    window.reveal("section.training", column(window))
    if not window.shows("trainer.k"):
        window.click("section.training", (0.3, 0.5))
    window.reveal("trainer.k", column(window))
    marks = window.state()["markers"]
    k = lambda s: s["config"]["trainer"]["k"]  # noqa: E731

    def more() -> None:
        fill(window, "trainer.k", "2")
        window.key("Return")

    window.does("truncation", more, says=k, where="trainer.k", pixels=10)
    window.wait(lambda s: s["markers"] > marks, what="a mark for K")
    idle(window)


def test_keys_of_blender_and_the_ball_of_axes(window: Window) -> None:
    window.key("ctrl+comma")
    window.click("preferences.navigation.blender")
    window.key("Escape")
    window.wait(lambda s: not s["dialog"])
    left, top, right, _ = window.rect("viewport")
    window.does("middle button orbits", lambda: window.drag("viewport", (80, 0), button=2), says=camera, where="viewport")
    ball = (right - 100, top, right, top + 100)
    window.does("gizmo", lambda: window.drag(ball, (30, 0)), says=camera, where="viewport", pixels=500)
    window.does("period frames", lambda: window.key("period"), says=camera, where="viewport", pixels=200)


def test_another_size_of_everything(window: Window) -> None:
    """At twice the size the same items are there, none of them beyond the window's edge."""
    window.key("ctrl+comma")
    window.wait(lambda s: s["dialog"] == "preferences")
    scale = lambda s: s["scale"]  # noqa: E731
    window.does("twice the size", lambda: window.click("preferences.scale.2"), says=scale, where=whole(window), pixels=5000)
    window.key("Escape")
    window.settle()
    window.keep("twice the size, plain")
    width, height = window.screen.size
    beyond = {tag: r for tag, r in window.state()["items"].items() if tag.startswith(("run.", "status.")) and r[2] > width}
    assert not beyond
    window.key("ctrl+comma")
    window.click("preferences.scale.1")
    window.wait(lambda s: s["scale"] == 1)
    window.key("Escape")
