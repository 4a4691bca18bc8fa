"""Where the zones of the window lie: pure arithmetic, so that no dearpygui is needed to check it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from studio.gui.settings import Settings

Layout = Literal["3d+uv", "3d", "uv"]
Rect = tuple[int, int, int, int]
MENU, STATUS, RUN, TOOLS, GAP = 28, 30, 128, 40, 6
NARROWEST = 240
"""What the left column needs for its forms. Lengths are in unscaled pixels: heights of the fixed zones, the width of a split."""


def zones(
    width: int, height: int, settings: Settings, *, layout: Layout, panels: bool, px: Callable[[float], int]
) -> tuple[dict[str, Rect], dict[str, Rect]]:
    """(left, top, width, height) of every zone, and (left, top, right, bottom) of every split that can be dragged, in pixels.

    Zones without room have a width or height of 0 or less. `px` scales lengths; `panels` is whether they are shown.
    """
    top, gap = px(MENU), max(2, px(GAP) // 2)
    low = height - px(STATUS)
    left = min(px(settings.left), max(width // 3, min(px(NARROWEST), width * 3 // 8))) if panels else 0
    right = 0 if not panels or layout == "3d" else min(px(settings.right), width // 3)
    bottom = min(px(settings.bottom), (low - top) // 2) if panels else 0
    if panels and layout == "uv":
        right = (width - left) * 3 // 5
    middle = width - left - right
    rects = {
        "left": (0, top, left - gap, low - top - px(RUN)),
        "run": (0, low - px(RUN), left - gap, px(RUN)),
        "right": (width - right + gap, top, right - gap, low - top),
        "bottom": (left, low - bottom + gap, middle, bottom - gap),
        "status": (0, low, width, px(STATUS)),
        "tools": (left, top, middle, px(TOOLS)),
        "stage": (left, top + px(TOOLS), middle, low - bottom - top - px(TOOLS)),
    }
    edges: dict[str, Rect] = {}
    if left:
        edges["left"] = (left - gap, top, left, low)
    if right and layout == "3d+uv":
        edges["right"] = (width - right, top, width - right + gap, low)
    if bottom:
        edges["bottom"] = (left, low - bottom, width - right, low - bottom + gap)
    return rects, edges
