"""Masks by hand: chosen in the dialog, seen on the atlas, taken off, one that is no picture; and a weight below zero."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.gui.driver import State, Window
from tests.gui.screen import why_not
from tests.gui.steps import column, fill, idle, ready, running, weight, whole

pytestmark = [pytest.mark.gui, pytest.mark.long, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]


@pytest.fixture(scope="module")
def window(begin: Callable[..., Window], project: Path) -> Window:
    window = begin(project, name="masks")
    ready(window)
    for section in ("section.training", "section.prompt"):
        window.reveal(section, column(window))
        window.click(section, (0.3, 0.5))
    return window


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """White on the left, grey on the right."""
    pixels = np.full((64, 64), 90, np.uint8)
    pixels[:, :32] = 255
    path = tmp_path_factory.mktemp("masks") / "half.png"
    Image.fromarray(pixels).save(path)
    return path


def of(knob: str) -> Callable[[State], list[str]]:
    return lambda s: s["config"][knob]


def choose(window: Window, button: str, path: Path) -> None:
    window.reveal(button, column(window))
    window.click(button)
    window.wait(lambda s: s["dialog"] == "browser")
    fill(window, "browser.name", str(path))
    window.key("Return")


def test_a_lock_and_a_region_are_chosen_and_seen_on_the_atlas(window: Window, half: Path) -> None:
    see, atlas = window.does, "atlas.sheet"
    see("locked", lambda: choose(window, "run.lock.0", half), says=of("lock"), where=atlas, pixels=2000)
    see("region", lambda: choose(window, "run.region.0", half), says=of("region"), where=atlas, pixels=2000)
    assert window.state()["config"]["lock"] == [str(half)] == window.state()["config"]["region"]
    shown = window.picture(atlas)
    window.click("atlas.region")
    window.repaints(atlas, shown, pixels=2000)
    window.keep("region not shown")
    window.click("atlas.region")
    window.reveal("run.region.0.clear", column(window))
    see("cleared", lambda: window.click("run.region.0.clear"), says=of("region"), where=atlas, pixels=2000)
    see("undone", lambda: window.key("ctrl+z"), says=of("region"), where=atlas, pixels=2000)
    assert window.state()["config"]["region"] == [str(half)] and window.shows("run.region.0.clear")


def test_what_is_no_picture_is_said_and_changes_nothing(window: Window, half: Path) -> None:
    broken = half.with_name("broken.png")
    broken.write_bytes(half.read_bytes()[:40])
    before = window.state()["config"]["lock"]
    choose(window, "run.lock.0", broken)
    window.wait(lambda s: s["dialog"] == "error")
    window.keep("no picture")
    window.key("Escape")
    window.wait(lambda s: not s["dialog"])
    assert window.state()["config"]["lock"] == before


def test_a_run_keeps_what_is_locked(window: Window) -> None:
    """In all of its pictures: the hatched part of the atlas stands still while the rest is painted."""
    left, top, right, bottom = window.rect("atlas.sheet")
    side = min(right - left, bottom - top)
    x, y = (left + right - side) // 2, (top + bottom - side) // 2
    locked = (x + side // 16, y + side // 16, x + side // 2 - side // 16, y + side - side // 16)
    before, all_before = window.picture(locked), window.picture("atlas.sheet")
    running(window)
    window.repaints("atlas.sheet", all_before, pixels=2000)
    idle(window)
    window.settle()
    window.keep("locked half after a run")
    assert np.array_equal(window.picture(locked), before)


def test_one_reward_gets_a_mask_and_a_weight_below_zero(window: Window, half: Path) -> None:
    window.reveal("rewards.palette.weight", column(window))
    slide = lambda: window.drag("rewards.palette.weight", (-150, 0), (0.7, 0.5))  # noqa: E731
    window.does("pushed away", slide, says=weight("palette"), where="rewards.palette.weight")
    assert window.state()["config"]["rewards"]["palette"]["weight"] < 0
    window.reveal("rewards.palette.more", column(window))
    window.click("rewards.palette.more")
    own = lambda s: s["config"]["rewards"]["palette"]["region"]  # noqa: E731
    window.does(
        "its own region", lambda: choose(window, "rewards.palette.region.0", half), says=own, where=whole(window), pixels=100
    )
    running(window)
    idle(window)
    assert "Traceback" not in window.log()
