"""What several walks through the window have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.gui.driver import Rect, State, Window


def idle(window: Window) -> None:
    """End the run."""
    if window.state()["state"] in ("preparing", "running", "paused"):
        window.key("Escape")
    window.wait(lambda s: s["state"] in ("idle", "done", "failed"))


def column(window: Window) -> Rect:
    """The part of the left column that scrolls."""
    return 12, 40, window.rect("viewport")[0] - 24, window.rect("run.start")[1] - 8


def running(window: Window) -> None:
    """Have a run that has got somewhere."""
    idle(window)
    window.click("run.start")
    window.wait(lambda s: s["state"] == "running" and s["iteration"] >= 1, seconds=90, what="the first iteration")


def shot(key: str) -> Callable[[State], Any]:
    """A part of what the viewport is asked to show."""
    return lambda s: s["canvas"]["shot"][key]


def camera(state: State) -> Any:
    return state["canvas"]["shot"]["camera"]


def weight(name: str) -> Callable[[State], float]:
    return lambda s: s["config"]["rewards"][name]["weight"]


def whole(window: Window) -> tuple[int, int, int, int]:
    return 0, 0, *window.screen.size


def ready(window: Window) -> None:
    """Mesh, picture and generator are there."""
    window.wait(lambda s: s["mesh"] and s["texture_id"] and not s["loading"] and s["canvas"]["drawn"], seconds=120)


def fill(window: Window, field: str, text: str) -> None:
    window.click(field)
    window.key("ctrl+a")
    window.type(text)
