"""What is known of the mesh's shape, switched on by a real mouse in the real window and seen on the screen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.gui.driver import Window
from tests.gui.screen import why_not

pytestmark = [pytest.mark.gui, pytest.mark.long, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]


@pytest.fixture(scope="module")
def window(begin: Callable[..., Window], project: Path) -> Window:
    window = begin(project, name="sights")
    window.wait(lambda s: s["texture_id"] and not s["loading"] and s["canvas"]["drawn"], seconds=60)
    window.key("1")
    return window


def choose(window: Window, entry: str) -> None:
    """View ▸ Surface ▸ `entry`."""
    window.click("menu.View")
    window.move("menu.surface")
    window.click(f"menu.{entry}")
    window.key("Escape", "Escape")


def shown(window: Window) -> np.ndarray:
    """The viewport when all that was asked for is there and finely drawn."""
    window.wait(lambda s: not s["canvas"]["waiting"], seconds=30, what="the survey")
    window.wait(lambda s: s["canvas"]["shown"]["samples"] == 4 and not s["canvas"]["busy"], seconds=30, what="the fine picture")
    window.beat()
    return window.picture("viewport").astype(int)


def test_the_symmetry_plane_is_drawn_and_measured(window: Window) -> None:
    plain = shown(window)
    choose(window, "view.symmetry")
    assert window.wait(lambda s: s["canvas"]["notes"], seconds=30)["canvas"]["notes"][0].startswith("Symmetric, 0.0 %")
    picture = shown(window)
    window.keep("symmetry")
    green = (picture[..., 1] - picture[..., 0] > 30).sum() - (plain[..., 1] - plain[..., 0] > 30).sum()
    assert green > 300
    choose(window, "view.symmetry")
    assert not window.wait(lambda s: s["canvas"]["lines"] == [])["canvas"]["notes"]


def test_the_line_field_lies_on_the_surface(window: Window) -> None:
    plain = shown(window)
    choose(window, "view.line_field")
    window.wait(lambda s: s["canvas"]["lines"] == ["line_field"])
    picture = shown(window)
    window.keep("line field")
    assert (np.abs(picture - plain).max(-1) > 40).sum() > 1000
    choose(window, "view.line_field")


def test_fields_take_the_place_of_the_channel(window: Window) -> None:
    last = shown(window)
    for name in ("mean_curvature", "occlusion", "anisotropy", "interior"):
        choose(window, f"field.{name}")
        window.wait(lambda s, n=name: s["canvas"]["field"] == n)
        now = shown(window)
        window.keep(name)
        assert (np.abs(now - last).max(-1) > 30).sum() > 2000, name
        last = now
    window.key("m")
    window.wait(lambda s: s["canvas"]["field"] is None)


def test_cameras_are_placed_by_a_run(window: Window) -> None:
    choose(window, "view.cameras")
    assert "when a run begins" in window.wait(lambda s: s["canvas"]["notes"])["canvas"]["notes"][0]
    window.click("run.step")
    window.wait(lambda s: s["state"] == "paused" and not s["canvas"]["notes"], seconds=60)
    choose(window, "view.cameras")
    choose(window, "view.cameras")
    window.wait(lambda s: s["canvas"]["shot"]["camera"]["distance"] > 4)
    shown(window)
    window.keep("cameras")
