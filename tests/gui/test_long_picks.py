"""Picking by hand: twenty answers with real keys and clicks, learning from them, fresh samples, undo, and the next day."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gui.conftest import QUICK
from tests.gui.driver import State, Window
from tests.gui.screen import why_not
from tests.gui.steps import camera, column, fill, ready

pytestmark = [pytest.mark.gui, pytest.mark.long, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]
Begin = Callable[..., Window]
PICKS = 20
KEYS = ("Left", "Right", "Down", "Left", "Left")


def pair(state: State) -> list[str] | None:
    return state["canvas"]["pair"]


def lines(home: Path) -> list[dict]:
    """All logs of picks below a home."""
    logs = home.rglob("picks.jsonl")
    return [json.loads(line) for log in logs for line in log.read_text(encoding="utf-8").splitlines()]


def open_pair(window: Window) -> None:
    """Wait for two variations that can be answered."""
    window.wait(lambda s: pair(s) and s["answerable"], seconds=60, what="two variations")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def window(begin: Begin, project: Path, home: Path) -> Window:
    window = begin(project, home=home, name="picks")
    ready(window)
    window.reveal("section.training", column(window))
    window.click("section.training", (0.3, 0.5))
    window.reveal("run.iterations", column(window))
    fill(window, "run.iterations", "30")
    window.key("Return")
    window.wait(lambda s: s["config"]["iterations"] == 30)
    ready(window)
    return window


def test_two_variations_orbit_together(window: Window) -> None:
    window.keep("before")
    window.does("compare", lambda: window.key("k"), says=lambda s: s["comparing"], where="viewport", pixels=2000)
    open_pair(window)
    window.settle()
    window.keep("two variations")
    left, top, right, bottom = window.rect("viewport")
    halves = (left, top, (left + right) // 2, bottom), ((left + right) // 2, top, right, bottom)
    before = [window.picture(half) for half in halves]
    window.drag("viewport", (120, 20), (0.3, 0.4))
    for half, old in zip(halves, before, strict=True):
        window.repaints(half, old, pixels=2000)
    assert camera(window.state()) and pair(window.state())


def test_twenty_picks_with_keys_and_a_click(window: Window, home: Path) -> None:
    for n in range(PICKS):
        open_pair(window)
        shown, key = pair(window.state()), KEYS[n % len(KEYS)]
        if n == 7:
            window.click("viewport", (0.75, 0.4))
        elif n == 12:
            left, _, right, bottom = window.rect("viewport")
            window.click((left, bottom - 60, right, bottom - 28))  # "Neither", below the middle
        else:
            window.key(key)
        window.wait(lambda s, shown=shown: pair(s) != shown or not s["answerable"], seconds=60)
        if n in (0, 7):
            window.keep(f"answered {n}")
    said = lines(home)
    assert sum("better" in line for line in said) == window.state()["picked"] == PICKS - PICKS // len(KEYS) + 1
    before = window.state()["picked"]
    open_pair(window)
    window.key("Up")
    window.wait(lambda s: s["picked"] == before - 1)
    open_pair(window)
    window.key("Right")
    window.wait(lambda s: s["picked"] == before)
    assert sum("undo" in line for line in lines(home)) == 1
    window.wait(lambda s: s["taste"], seconds=60, what="a taste")
    window.settle()
    window.keep("twenty picks")


def test_picks_are_exported(window: Window, tmp_path: Path) -> None:
    window.click("picks.export.button")
    window.wait(lambda s: s["dialog"] == "browser")
    fill(window, "browser.name", str(tmp_path / "mine.picks"))
    window.key("Return")
    window.wait(lambda s: (tmp_path / "mine.picks" / "picks.jsonl").exists() and "written into" in s["status"])


def test_the_generator_learns_and_shows_fresh_samples(window: Window) -> None:
    window.click("tab.views", (0.5, 0.5))
    window.wait(lambda s: "picks.learn" not in s["items"])
    window.key("shift+k")
    window.wait(lambda s: "picks.learn" in s["items"], what="the tab Picks in front")
    window.wait(lambda s: s["state"] == "running" and s["iteration"] >= 1, seconds=120, what="the first iteration")
    assert window.state()["config"]["trainer"]["name"] == "preference" and not window.state()["comparing"]
    window.keep("learning")
    window.wait(lambda s: s["curves"].get("accuracy"), seconds=120, what="a look at the picks that are held out")
    window.keep("accuracy")
    window.wait(lambda s: s["state"] == "done", seconds=240, what="the end")
    window.settle()
    window.keep("learned")
    window.click("tab.seeds", (0.5, 0.5))
    window.wait(lambda s: "seeds.after.picture" in s["items"])
    window.settle()
    window.keep("seeds before and after")
    window.click("tab.picks", (0.5, 0.5))
    window.click("picks.on")
    open_pair(window)
    window.settle()
    window.keep("fresh samples of what was learned")
    assert list(window.state()["config"]["loras"]) == ["learned"]


def test_the_next_day(begin: Begin, project: Path, home: Path, window: Window) -> None:
    picked = window.state()["picked"]
    assert "Traceback" not in window.log()
    window.kill()
    again = begin(project, home=home, name="picks next day")
    ready(again)
    again.beat(5)
    if again.state()["dialog"]:  # an autosave is offered: the window was killed
        again.key("Escape")
        again.wait(lambda s: not s["dialog"])
    again.key("k")
    open_pair(again)
    again.wait(lambda s: s["picked"] == picked)
    again.settle()
    again.keep("the next day")


def test_a_score_of_ones_own_runs_only_after_it_was_shown(begin: Begin, tmp_path: Path) -> None:
    """The first start shows path and hash, and Escape runs nothing; the second is confirmed, and a third does not ask."""
    from studio import resources
    from studio.config import parse
    from studio.document import Document
    from studio.project import Project, save
    from studio.surface.mesh import load

    ran, score = tmp_path / "ran", tmp_path / "my score.py"
    code = f"""from pathlib import Path

def score(pictures, texture):
    Path({str(ran)!r}).touch()
    return float(texture.std())
"""
    score.write_text(code, encoding="utf-8")
    trainer = {"name": "preference", "score": str(score), "samples": 16, "gap": 0.0}
    config = parse({**QUICK, "trainer": trainer, "iterations": 1, "rewards": {}})
    mesh = resources.sample("vase")
    window = begin(save(Project(Document(mesh, config), load(mesh)), tmp_path / "own.patina"), name="picks own score")
    ready(window)
    window.key("F5")
    window.wait(lambda s: s["dialog"] == "question")
    window.settle()
    window.keep("run this code?")
    window.key("Escape")
    window.wait(lambda s: not s["dialog"])
    assert window.state()["state"] == "idle" and not ran.exists()
    window.key("F5")
    window.wait(lambda s: s["dialog"] == "question")
    window.click("question.answer_0")
    window.wait(lambda s: s["state"] == "done", seconds=120, what="the end of the run")
    assert ran.exists() and "Traceback" not in window.log()
    window.key("F5")
    window.wait(lambda s: s["state"] in ("preparing", "running"))
    assert not window.state()["dialog"]
