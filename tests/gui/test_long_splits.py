"""The window's splits, dragged by a real mouse; and the keys that arrange it."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.gui.settings import Settings
from tests.gui.conftest import Begin
from tests.gui.driver import Window
from tests.gui.hands import Rect
from tests.gui.screen import why_not

pytestmark = [pytest.mark.gui, pytest.mark.long, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]

WIDTH, HEIGHT, STATUS = 1280, 800, 30
USUAL = Settings()
LEAST = {"left": 240, "right": 240, "bottom": 120}
MOST = {"left": WIDTH // 3, "right": WIDTH // 3, "bottom": (HEIGHT - STATUS - 28) // 2}
OUTWARD = {"left": (1, 0), "right": (-1, 0), "bottom": (0, -1)}
"""The way a split is dragged to make its panel larger."""


def edge(window: Window, name: str) -> Rect:
    """Where a split lies, beside the viewport."""
    left, top, right, bottom = window.rect("viewport")
    middle = (left + right) // 2, (top + bottom) // 2
    return {
        "left": (left - 3, middle[1], left, middle[1] + 2),
        "right": (right, middle[1], right + 3, middle[1] + 2),
        "bottom": (middle[0], bottom, middle[0] + 2, bottom + 3),
    }[name]


def size(window: Window, name: str) -> int:
    """How large the panels behind a split are."""
    left, _, right, bottom = window.rect("viewport")
    return {"left": left, "right": WIDTH - right, "bottom": HEIGHT - STATUS - bottom}[name]


def pull(window: Window, name: str, by: int) -> int:
    """Make the panels larger by so many pixels, as far as they can be; their size then."""
    right, down = OUTWARD[name]
    window.drag(edge(window, name), (right * by, down * by))
    window.settle()
    return size(window, name)


@pytest.mark.parametrize("name", ["left", "right", "bottom"])
def test_a_split_is_dragged(begin: Begin, tmp_path: Path, name: str) -> None:
    """It lights up under the mouse, follows it, stops where panels or viewport would be too small, keeps its place over a
    restart, and goes back to its usual one at a double click. Nothing else moves."""
    window = begin(home=tmp_path, name=f"split {name}")
    turned = window.state()["canvas"]["shot"]["camera"]["elevation_deg"]
    others = {other: size(window, other) for other in LEAST if other != name}
    assert size(window, name) == getattr(USUAL, name)
    dark = window.picture(edge(window, name))
    window.move(edge(window, name))
    window.repaints(edge(window, name), dark, pixels=2)
    assert pull(window, name, 40) == pytest.approx(getattr(USUAL, name) + 40, abs=4)
    window.keep("dragged")
    assert pull(window, name, -600) == LEAST[name]
    window.keep("least")
    assert pull(window, name, 600) == MOST[name]
    window.keep("most")
    assert pull(window, name, LEAST[name] + 20 - MOST[name]) == pytest.approx(LEAST[name] + 20, abs=4)
    kept = size(window, name)
    assert {other: size(window, other) for other in others} == others
    assert window.state()["canvas"]["shot"]["camera"]["elevation_deg"] == turned, "the drag turned the mesh, too"
    assert window.quit() == 0
    window = begin(home=tmp_path, name=f"split {name}")
    assert size(window, name) == kept
    window.click(edge(window, name))
    window.settle()
    assert size(window, name) == kept, "a click alone moves it"
    for _ in range(5):  # two clicks are one double click only where frames follow each other quickly
        window.move(edge(window, name))
        window._xdotool("click", "--repeat", 2, "--delay", 50, 1)
        window.settle()
        if size(window, name) == getattr(USUAL, name):
            break
    assert size(window, name) == getattr(USUAL, name)


def test_keys_arrange_the_window(begin: Begin) -> None:
    """F1: viewport and atlas, F2: viewport alone, F3: a large atlas; Tab leaves nothing but the viewport, and brings all back."""
    window = begin(name="layouts")
    usual = window.rect("viewport")
    for key, layout, atlas in (("F2", "3d", False), ("F3", "uv", True), ("F1", "3d+uv", True)):
        window.key(key)
        window.wait(lambda s, layout=layout: s["layout"] == layout)
        window.settle()
        window.keep(layout)
        assert window.shows("tab.atlas") == atlas and window.shows("run.start")
    assert window.rect("viewport") == usual
    window.key("Tab")
    window.wait(lambda s: "run.start" not in s["items"] and "curves.empty" not in s["items"])
    window.settle()
    window.keep("alone")
    left, _, right, _ = window.rect("viewport")
    assert (left, right) == (0, WIDTH)
    window.key("Tab")
    window.wait(lambda s: "run.start" in s["items"])
    window.settle()
    assert window.rect("viewport") == usual
