"""The rest of the walk, which takes minutes: what needs a window of its own, the bundled generator, files, or chance.

`PATINA_CLICKING_S` is how long the window is clicked at random: a minute unless it says otherwise, ten minutes before a release.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from studio import resources
from tests.gui.driver import Window
from tests.gui.screen import why_not
from tests.gui.steps import camera, column, idle, running, weight

pytestmark = [pytest.mark.gui, pytest.mark.long, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]

Begin = Callable[..., Window]
CLICKING_S = float(os.environ.get("PATINA_CLICKING_S", "60"))
SEED = 3
MOST_GROWTH = 200 << 20
"""Bytes a window may grow by while it is clicked at random, after a first third to warm up."""


def whole(window: Window) -> tuple[int, int, int, int]:
    return 0, 0, *window.screen.size


def ready(window: Window) -> None:
    """Mesh, picture and generator are there."""
    window.wait(lambda s: s["mesh"] and s["texture_id"] and not s["loading"] and s["canvas"]["drawn"], seconds=60)


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


# -- files and errors ----------------------------------------------------------------------------------------------------------


def fill(window: Window, field: str, text: str) -> None:
    window.click(field)
    window.key("ctrl+a")
    window.type(text)


@pytest.mark.parametrize(("kind", "suffix"), [("glb", ".glb"), ("png", ".png"), ("obj", ".obj")])
def test_exports(window: Window, tmp_path: Path, kind: str, suffix: str) -> None:
    """The dialog writes the file in the background and the window goes on."""
    window.key("ctrl+e")
    window.wait(lambda s: s["dialog"] == "export")
    window.click(f"export.format.{kind}")
    fill(window, "export.folder", str(tmp_path))
    fill(window, "export.name", f"out{suffix}")
    window.keep(f"export {kind}")
    window.click("export.write")
    window.wait(lambda s: not s["dialog"] and s["tasks"] and s["tasks"][-1][1] == "done", seconds=30)
    assert (tmp_path / f"out{suffix}").stat().st_size > 100


def test_a_broken_mesh_is_an_error_in_words(window: Window, tmp_path: Path) -> None:
    """A dialog with cause, remedy and a log to copy; the mesh that was open stays."""
    broken = tmp_path / "broken.glb"
    broken.write_bytes(b"glTF and nothing behind it")
    mesh = window.state()["mesh"]
    window.key("ctrl+o")
    window.wait(lambda s: s["dialog"] == "browser")
    fill(window, "browser.name", str(broken))
    window.does("error", lambda: window.key("Return"), says=lambda s: s["dialog"] == "error", where=whole(window), pixels=2000)
    assert all(window.shows(f"error.{part}") for part in ("cause", "remedy", "copy", "close"))
    said = window.picture("error.copy")
    window.click("error.copy")
    window.repaints("error.copy", said, pixels=4, what="copied")
    window.does("back to work", lambda: window.key("Escape"), says=lambda s: s["dialog"], where=whole(window), pixels=2000)
    assert window.state()["mesh"] == mesh


def test_a_mesh_from_the_command_line_and_a_project_saved(begin: Begin, tmp_path: Path) -> None:
    window = begin(resources.sample("rocket"), name="files")
    ready(window)
    assert window.state()["mesh"] == "rocket"
    window.key("ctrl+s")
    window.wait(lambda s: s["dialog"] == "browser")
    fill(window, "browser.name", str(tmp_path / "mine"))
    window.keep("save as")
    window.click("browser.accept")
    window.wait(lambda s: s["project"] == str(tmp_path / "mine.patina") and (tmp_path / "mine.patina").is_file(), seconds=20)
    assert window.quit() == 0


def test_closing_during_a_run_keeps_what_there_is(begin: Begin, project: Path, tmp_path: Path) -> None:
    """The window closes within seconds, and the next start offers the work."""
    window = begin(project, home=tmp_path / "home", name="closing")
    ready(window)
    running(window)
    began = time.monotonic()
    assert window.quit() == 0 and time.monotonic() - began < 5
    kept = [p for p in (tmp_path / "home" / "autosave").rglob("*") if p.is_file() and p.suffix == ".patina"]
    assert kept


# -- chance --------------------------------------------------------------------------------------------------------------------


def test_random_clicking(begin: Begin, project: Path) -> None:
    """Clicks, drags, keys, loading, starting, stopping and undoing by chance: no crash, no deadlock, memory and threads flat."""
    window = begin(project, name="chance")
    ready(window)
    chance = random.Random(SEED)
    keys = "f w c m b t space 1 7 5 Tab F1 F2 F3 ctrl+z ctrl+y ctrl+Return n Escape".split()
    end, sizes, done = time.monotonic() + CLICKING_S, [], []
    while time.monotonic() < end:
        state = window.state()
        tags = sorted(tag for tag in state["items"] if not tag.startswith(("menu.file.quit", "browser.", "preferences.scale")))
        deed = chance.choice(("click", "click", "drag", "key", "wheel", "right"))
        target = tuple(state["items"][chance.choice(tags)]) if tags else whole(window)
        at = (chance.uniform(0.1, 0.9), chance.uniform(0.1, 0.9))
        done.append(deed)
        if deed == "click":
            window.click(target, at)
        elif deed == "right":
            window.click(target, at, button=3)
        elif deed == "drag":
            window.drag(target, (chance.randint(-150, 150), chance.randint(-100, 100)), at)
        elif deed == "wheel":
            window.wheel(target, chance.choice((-3, 3)))
        else:
            window.key(chance.choice(keys))
        if chance.random() < 0.1:
            window.key("Escape")
        sizes.append((time.monotonic(), *window.size()))
    window.key("Escape", "Escape")
    idle(window)
    window.keep("after chance")
    later = [s for s in sizes if s[0] > end - 2 * CLICKING_S / 3]
    assert len(done) > CLICKING_S / 3
    assert later[-1][1] - later[0][1] < MOST_GROWTH, f"{later[0][1] >> 20} MB became {later[-1][1] >> 20} MB"
    assert later[-1][2] - later[0][2] <= 3, f"{later[0][2]} threads became {later[-1][2]}"
    assert "Traceback" not in window.log()
    assert window.quit() == 0
