"""What lies over two variations that are compared: a line between them, what to press, and which one is meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import dearpygui.dearpygui as dpg

from studio.gui.theme import BONE, CHARCOAL, FAINT, GRID, VERDIGRIS, VERDIGRIS_DIM, Colour, rgba

if TYPE_CHECKING:
    from studio.gui.theme import Theme

Point = tuple[float, float]
Answer = Literal["left", "right", "neither"]
WORDS: dict[Answer, str] = {"left": "←  This one", "neither": "↓  Neither", "right": "This one  →"}
ARROWS: dict[Answer, str] = {"left": "←", "neither": "↓", "right": "→"}
PLACES: dict[Answer, float] = {"left": 0.25, "neither": 0.5, "right": 0.75}
"""Where the middle of each stands, as a part of the width."""
HIGH, FOOT, TEXT, PAD = 32, 28, 16, 14
"""Unscaled pixels: a pill, its distance from the lower edge, its words, and the room beside them."""
EDGE = 3
SHADE = rgba("#121110", 208)


@dataclass(frozen=True)
class Versus:
    """What is to be seen of it; equal ones look the same."""

    title: str
    aside: str = ""
    """Beside the title, where there is room."""
    meant: Answer | None = None
    """What the mouse points at."""
    picked: Answer | None = None
    """What was answered a moment ago."""
    waiting: bool = False
    """The next two are being painted."""


def answer(at: Point, size: tuple[int, int], theme: Theme) -> Answer | None:
    """What a click there says; None outside of the viewport."""
    if not (0 <= at[0] < size[0] and 0 <= at[1] < size[1]):
        return None
    (left, top), (right, bottom) = _pill("neither", size, theme)
    if left <= at[0] <= right and top <= at[1] <= bottom:
        return "neither"
    return "left" if at[0] < size[0] / 2 else "right"


def draw(layer: int | str, theme: Theme, versus: Versus, size: tuple[int, int], *, corner: float) -> None:
    """Draw it over two pictures that share a viewport of `size`, whose last `corner` pixels at the top are taken."""
    px, (width, height) = theme.px, size
    middle = width / 2
    dpg.draw_line((middle, 0), (middle, height), color=CHARCOAL, thickness=px(EDGE), parent=layer)
    for side, low in (("left", 0.0), ("right", middle)):
        lit, chosen = versus.meant == side and not versus.waiting, versus.picked == side
        if lit or chosen:
            corners = (low + px(EDGE), px(EDGE)), (low + middle - px(EDGE), height - px(EDGE))
            options: dict[str, Any] = {"thickness": px(EDGE + 1 if chosen else EDGE - 1), "rounding": px(6), "parent": layer}
            dpg.draw_rectangle(*corners, color=VERDIGRIS, **options)
    room, full = width - corner - px(2 * PAD), f"{versus.title}   {versus.aside}".rstrip()
    title = full if _wide(full, theme) <= room else versus.title
    centre = min(middle, width - corner - px(PAD) - _wide(title, theme) / 2)
    _words(layer, theme, title, (centre, px(FOOT - 6)), ground=SHADE, ink=BONE)
    for name, words in _said(size, theme).items():
        low, high = _pill(name, size, theme)
        chosen, lit = versus.picked == name, versus.meant == name and not versus.waiting
        ground = VERDIGRIS_DIM if chosen or lit else SHADE
        ink = FAINT if versus.waiting and not chosen else BONE
        _words(layer, theme, words, ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2), ground=ground, ink=ink)


def _said(size: tuple[int, int], theme: Theme) -> dict[Answer, str]:
    """The words of the answers; their arrows alone where the pills would meet."""
    beside = _wide(WORDS["left"], theme) / 2 + _wide(WORDS["neither"], theme) / 2 + theme.px(2 * PAD + GRID)
    return WORDS if beside <= (PLACES["neither"] - PLACES["left"]) * size[0] else ARROWS


def _pill(name: Answer, size: tuple[int, int], theme: Theme) -> tuple[Point, Point]:
    """The corners of an answer's pill."""
    px = theme.px
    half, middle = _wide(_said(size, theme)[name], theme) / 2 + px(PAD), PLACES[name] * size[0]
    low = size[1] - px(FOOT)
    return (middle - half, low - px(HIGH)), (middle + half, low)


def _words(layer: int | str, theme: Theme, words: str, middle: Point, *, ground: Colour, ink: Colour) -> None:
    px, half = theme.px, _wide(words, theme) / 2
    low, high = (middle[0] - half - px(PAD), middle[1] - px(HIGH) / 2), (middle[0] + half + px(PAD), middle[1] + px(HIGH) / 2)
    dpg.draw_rectangle(low, high, color=(0, 0, 0, 0), fill=ground, rounding=px(HIGH) / 2, parent=layer)
    dpg.draw_text((middle[0] - half, middle[1] - px(TEXT) * 0.52), words, size=px(TEXT), color=ink, parent=layer)


def _wide(words: str, theme: Theme) -> float:
    """About how wide a line of words is."""
    known: Any = dpg.get_text_size(words, font=theme.text)
    return known[0] if known else 0.5 * theme.px(TEXT) * len(words)
