"""The window on screens of several sizes: nothing sticks out of its place. `PATINA_SCREENSHOTS` keeps the pictures to look at."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.gui.driver import Rect, Window
from tests.gui.screen import Screen, why_not
from tests.gui.steps import column

pytestmark = [pytest.mark.gui, pytest.mark.long, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]

PICTURES = os.environ.get("PATINA_SCREENSHOTS")
LEFT = ("mesh.", "prompt.", "rewards.", "run.", "generator.", "trainer.")
RIGHT = ("atlas.", "views.", "health.", "tab.")
MIDDLE = ("tools.", "curves.", "film.empty")


@contextmanager
def opened(project: Path, home: Path, size: tuple[int, int], scale: float) -> Iterator[Window]:
    screen = Screen(*size)
    name = f"{size[0]}x{size[1]}-{scale:g}"
    window = Window(screen, home, (str(project),), pictures=Path(PICTURES, "sizes", name) if PICTURES else None, scale=scale)
    try:
        window.appear()
        window.wait(lambda s: s["texture_id"] and not s["loading"] and s["canvas"]["drawn"], seconds=60)
        yield window
    finally:
        window.kill()
        screen.close()


def outside(items: dict[str, Rect], kinds: tuple[str, ...], low: int, high: int) -> dict[str, Rect]:
    """Items of these kinds that stick out sideways of the pixels from `low` to `high`; popups and folded lists aside."""
    mine = {tag: r for tag, r in items.items() if tag.startswith(kinds) and ".list" not in tag and "popup" not in tag}
    return {tag: r for tag, r in mine.items() if r[0] < low or r[2] > high}


@pytest.mark.parametrize(("size", "scale"), [((1280, 720), 1), ((1280, 800), 2), ((1920, 1080), 1), ((2560, 1440), 2)])
def test_everything_has_its_place(project: Path, tmp_path: Path, size: tuple[int, int], scale: float) -> None:
    """Left column, tools, curves and right tabs stay within their zones; the run bar and the status line within the window."""
    with opened(project, tmp_path, size, scale) as window:
        for tab in ("tab.views", "tab.health", "tab.atlas"):
            window.click(tab)
            window.settle()
            window.keep(tab)
            items = window.state()["items"]
            left, _, right, _ = items["viewport"]
            assert not outside(items, LEFT, 0, left)
            assert not outside(items, MIDDLE, left, right)
            assert not outside(items, RIGHT, right, size[0])
            assert not outside(items, ("status.",), 0, size[0])
            low = {tag: r for tag, r in items.items() if tag.startswith(("run.", "status.")) and r[3] > size[1]}
            assert not low
        scroll = column(window)
        for section in ("section.generator", "section.training"):  # folded at first
            window.reveal(section, scroll)
            window.click(section)
        window.wheel(scroll, 60)
        for page in range(12):
            window.keep(f"left column {page}")
            items = window.state()["items"]
            assert not outside(items, (*LEFT, "section."), 0, left)
            if "run.renderer" in items and items["run.renderer"][3] <= scroll[3]:
                break
            window.wheel(scroll, -4)


def test_a_first_window_lies_on_its_screen(project: Path, tmp_path: Path) -> None:
    """All of it, although the screen is smaller than the window would like to be; its title bar has room above."""
    screen = Screen(1280, 720)
    window = Window(screen, tmp_path, (str(project),))
    try:
        window.wait(lambda s: s["items"], seconds=30)
        left, top, right, bottom = window.lies()
        assert 0 <= left < right <= 1280 and 30 <= top < bottom <= 720
    finally:
        window.kill()
        screen.close()


def test_sections_stay_folded_at_another_scale(project: Path, tmp_path: Path) -> None:
    with opened(project, tmp_path, (1600, 1000), 1) as window:
        for section in ("section.generator", "section.mesh"):
            window.click(section)
        window.wait(lambda s: "mesh.open" not in s["items"] and "generator.choice" in s["items"])
        for scale in (1.5, 1.0):
            window.key("ctrl+comma")
            window.wait(lambda s: s["dialog"] == "preferences")
            window.click(f"preferences.scale.{scale:g}")
            window.wait(lambda s, scale=scale: s["scale"] == scale)
            window.key("Escape")
            window.wait(lambda s: not s["dialog"])
            assert "mesh.open" not in window.state()["items"] and "generator.choice" in window.state()["items"]
