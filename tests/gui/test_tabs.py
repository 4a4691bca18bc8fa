"""Tabs of the right column that come when they are asked for: none is there at first, and none goes with another UI scale."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gui.driver import Window
from tests.gui.screen import why_not
from tests.gui.steps import ready

pytestmark = [pytest.mark.gui, pytest.mark.long, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]
SUMMONED = {"tab.picks", "tab.seeds", "tab.recover"}


def summoned(window: Window) -> set[str]:
    return SUMMONED & set(window.state()["items"])


def rescale(window: Window, scale: float) -> None:
    window.key("ctrl+comma")
    window.click(f"preferences.scale.{scale:g}")
    window.wait(lambda s: s["scale"] == scale and s["dialog"] == "preferences")
    window.key("Escape")
    window.wait(lambda s: not s["dialog"])
    window.beat(5)


def test_tabs_that_were_asked_for_stay_at_another_scale(begin: Callable[..., Window], project: Path) -> None:
    window = begin(project, name="tabs")
    ready(window)
    assert summoned(window) == set() and {"tab.atlas", "tab.views"} <= set(window.state()["items"])
    window.key("ctrl+p")
    window.wait(lambda s: s["dialog"] == "browser" and "recover.open" in s["items"])
    window.key("Escape")
    window.wait(lambda s: not s["dialog"])
    window.key("k")
    window.wait(lambda s: s["comparing"] and "picks.compare" in s["items"], what="the tab Picks in front")
    rescale(window, 1.5)
    assert summoned(window) == {"tab.picks", "tab.recover"} and "picks.compare" in window.state()["items"]
    window.keep("one and a half times the size")
    window.click("tab.views")
    window.wait(lambda s: "picks.compare" not in s["items"])
    window.key("k")
    window.wait(lambda s: not s["comparing"])
    rescale(window, 1.0)
    assert summoned(window) == {"tab.picks", "tab.recover"} and "picks.compare" not in window.state()["items"]
    window.keep("the plain size")
