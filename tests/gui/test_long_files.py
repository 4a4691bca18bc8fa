"""Files in and out, errors, endings, and ten minutes of chance.

`PATINA_CLICKING_S` is how long the window is clicked at random: a minute unless it says otherwise, ten minutes before a release.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from studio import resources
from tests.gui.driver import Window
from tests.gui.screen import why_not
from tests.gui.steps import fill, idle, ready, running, whole

pytestmark = [pytest.mark.gui, pytest.mark.long, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]

Begin = Callable[..., Window]
CLICKING_S = float(os.environ.get("PATINA_CLICKING_S", "60"))
SEED = 3
MOST_GROWTH = 200 << 20
RESTED_S = 3.0  # in which what was freed goes back
"""Bytes a window may grow by while it is clicked at random, after a first third to warm up."""


UNTOUCHED = ("menu.file.quit", "browser.", "preferences.scale", "rewards.presets", "menu.preset", "generator.")
"""Items that chance leaves alone: what ends the window, and what loads the bundled model, which costs memory once."""


@pytest.fixture(scope="module")
def window(begin: Begin, project: Path) -> Window:
    window = begin(project, name="files")
    ready(window)
    return window


# -- files and errors ----------------------------------------------------------------------------------------------------------


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


def test_a_video_can_be_given_up(window: Window, tmp_path: Path) -> None:
    """Its progress shows in the status line; the cross beside it ends it and leaves nothing behind."""
    window.key("ctrl+e")
    window.click("export.format.turntable")
    fill(window, "export.folder", str(tmp_path))
    fill(window, "export.name", "turn.mp4")
    window.click("export.write")
    window.wait(lambda s: s["tasks"][-1][1] == "working", seconds=30)
    task = lambda s: s["tasks"][-1][1]  # noqa: E731
    window.does("video cancelled", lambda: window.click("status.cancel"), says=task, where="status.message", seconds=20)
    assert task(window.state()) == "cancelled" and not list(tmp_path.iterdir())


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
    window = begin(home=window.home, name="recents")
    ready(window)
    window.click("mesh.recent")
    mine = f"mesh.recent.{tmp_path / 'mine.patina'}"
    window.does("opened again", lambda: window.click(mine, (0.3, 0.3)), says=lambda s: s["project"], where="viewport", seconds=30)
    window.wait(lambda s: s["mesh"] == "rocket", seconds=30)


def test_closing_during_a_run_keeps_what_there_is(begin: Begin, project: Path, tmp_path: Path) -> None:
    """The window closes within seconds, and the next start offers the work."""
    window = begin(project, home=tmp_path / "home", name="closing")
    ready(window)
    running(window)
    began = time.monotonic()
    assert window.quit() == 0 and time.monotonic() - began < 8
    kept = [p for p in (tmp_path / "home" / "autosave").rglob("*") if p.is_file() and p.suffix == ".patina"]
    assert kept


def test_a_window_that_dies_loses_nothing(begin: Begin, project: Path, tmp_path: Path) -> None:
    """A minute's work is kept at the latest; the next start offers it, with the film's last moment and the settings."""
    window = begin(project, home=tmp_path / "home", name="dying")
    ready(window)
    running(window)
    end = time.monotonic() + 90
    while not list((tmp_path / "home" / "autosave").glob("*.patina")):
        assert time.monotonic() < end, "no autosave"
        time.sleep(0.5)
    window.kill()
    window = begin(home=tmp_path / "home", name="recovery")
    window.wait(lambda s: s["dialog"] == "recovery", seconds=30)
    window.keep("recovery")
    window.click("recovery.restore")
    window.wait(lambda s: s["moments"] and s["config"]["generator"]["name"] == "tiny", seconds=30)
    window.keep("restored")


# -- chance --------------------------------------------------------------------------------------------------------------------


def test_random_clicking(begin: Begin, project: Path, tmp_path: Path) -> None:
    """Clicks, drags, keys, loading, starting, stopping and undoing by chance: no crash, no deadlock, memory and threads flat.

    Sizes are compared before, after a third of the time and at the end, each time with the same project opened anew and at rest:
    a run that happens to be going, or the bundled model where chance has found it, is no growth. Each time it is a new copy:
    chance finds "Save", too, and what it has saved is another project.
    """
    copies = (tmp_path / f"rest {i}.patina" for i in itertools.count())

    def at_rest() -> tuple[int, int]:
        copy = shutil.copy(project, next(copies))
        window.key("Escape", "Escape")
        idle(window)
        window.key("ctrl+o")
        window.wait(lambda s: s["dialog"] == "browser")
        fill(window, "browser.name", str(copy))
        window.key("Return")
        if window.wait(lambda s: s["dialog"] == "question" or s["project"] == str(copy))["dialog"] == "question":
            window.click("question.answer_0")
        window.wait(lambda s: s["project"] == str(copy) and not s["moments"], seconds=20)
        window.wait(lambda s: s["config"]["generator"]["name"] == "tiny")
        ready(window)
        time.sleep(RESTED_S)
        print(f"at rest: {window.size()[0] >> 20} MB")
        return window.size()

    window = begin(name="chance")
    ready(window)
    running(window)  # what a first run of the bundled model loads and keeps is no growth
    rests = [at_rest()]
    running(window)
    idle(window)
    chance = random.Random(SEED)
    keys = "f w c m b t space 1 7 5 Tab F1 F2 F3 ctrl+z ctrl+y ctrl+Return n Escape".split()
    done: list[str] = []
    end = time.monotonic() + CLICKING_S
    while time.monotonic() < end:
        if len(rests) == 1 and time.monotonic() > end - 2 * CLICKING_S / 3:
            rests.append(at_rest())
        state = window.state()
        seen = (tag for tag, rect in state["items"].items() if min(rect) >= 0)  # what is scrolled away has a place, too
        tags = sorted(tag for tag in seen if not tag.startswith(UNTOUCHED))
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
    last = at_rest()
    window.keep("after chance")
    most, threads = (max(rest[k] for rest in rests) for k in (0, 1))
    assert len(rests) == 2 and len(done) > CLICKING_S / 3
    print(f"{len(done)} deeds; at rest {most >> 20} MB, {threads} threads became {last[0] >> 20} MB, {last[1]} threads")
    assert last[0] - most < MOST_GROWTH, f"{most >> 20} MB became {last[0] >> 20} MB"
    assert last[1] - threads <= 3, f"{threads} threads became {last[1]}"
    assert "Traceback" not in window.log()
    assert window.quit() == 0
