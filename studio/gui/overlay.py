"""What is drawn over the viewport's picture: the axes' ball, the split's handle, what colours mean, and words at places."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import dearpygui.dearpygui as dpg

from studio import heat
from studio.gui import versus
from studio.gui.theme import BONE, CHARCOAL, VERDIGRIS, Colour, rgba
from studio.gui.versus import Versus

if TYPE_CHECKING:
    import numpy as np

    from studio.camera import Camera
    from studio.gui.theme import Theme

Point = tuple[float, float]

AXES: tuple[tuple[str, Colour, str, str], ...] = (
    ("X", rgba("#D0685F"), "right", "left"),
    ("Y", rgba("#8DB65A"), "top", "bottom"),
    ("Z", rgba("#5E93D6"), "front", "back"),
)
"""Letter, colour, and from where a click on its positive and its negative end looks."""
RADIUS, MARGIN, BALL, TEXT = 34, 50, 9, 13
"""Unscaled pixels: the gizmo's axes, its centre's distance from the corner, its balls, the text in it."""
GRIP = 13
OUTSIDE = (-1e4, -1e4)
SHADE = rgba("#121110", 208)
"""Under text: even over white, what is lightly grey has 4.5 : 1 on it."""
NONE = (0, 0, 0, 0)


@dataclass(frozen=True)
class Legend:
    """What colours mean."""

    title: str
    low: str
    high: str
    colours: Literal["on_clay", "two_sided", "of_lines"] = "on_clay"
    """A table of `studio.heat`."""


@dataclass(frozen=True)
class Scene:
    """What lies over the picture; equal scenes look the same."""

    camera: Camera
    size: tuple[int, int]
    mouse: Point
    split: float | None = None
    """Where the line between before and after stands; None: there is none."""
    grabbed: bool = False
    """The mouse is on the line."""
    before: bool = False
    """Before alone is shown."""
    legends: tuple[Legend, ...] = ()
    """Above the lower left corner, the first lowest."""
    notes: tuple[str, ...] = ()
    """Sentences above them."""
    labels: tuple[tuple[tuple[float, float, float], str], ...] = ()
    """Words, and the places in work space that they stand at."""
    words: str = ""
    """A sentence at the foot."""
    versus: Versus | None = None
    """Two variations are compared."""


class Overlay:
    """Draws scenes on a layer, anew when they differ."""

    def __init__(self, drawlist: int | str, theme: Theme) -> None:
        self._layer, self._theme = dpg.add_draw_layer(parent=drawlist), theme
        self._drawn: Scene | None = None
        self.gizmo = Gizmo(theme)

    def over_split(self, at: Point) -> bool:
        """Whether a place lies on the line between before and after, so that it can be dragged."""
        scene = self._drawn
        if scene is None or scene.split is None or scene.before:
            return False
        return abs(at[0] - scene.split * scene.size[0]) <= self._theme.px(10)

    def draw(self, scene: Scene) -> None:
        """Show `scene`."""
        if not self.gizmo.over(scene.mouse):
            scene = replace(scene, mouse=OUTSIDE)  # where else it is changes nothing
        if scene == self._drawn:
            return
        self._drawn = scene
        dpg.delete_item(self._layer, children_only=True)
        if scene.versus is not None:
            corner = self._theme.px(MARGIN + RADIUS + BALL + 4)
            versus.draw(self._layer, self._theme, scene.versus, scene.size, corner=corner)
        if scene.split is not None:
            _split(self._layer, self._theme, scene)
        for place, words in scene.labels:
            _label(self._layer, self._theme, scene, place, words)
        free = _key(self._layer, self._theme, scene)
        if scene.words:
            _words(self._layer, self._theme, (scene.size[0], free), scene.words)
        self.gizmo.place(scene.camera, scene.size)
        self.gizmo.draw(self._layer, scene.mouse)


class Gizmo:
    """A ball of axes in the upper right corner that shows how the camera stands; its ends can be clicked."""

    def __init__(self, theme: Theme) -> None:
        self._px = theme.px
        self._centre: Point = (0.0, 0.0)
        self._ends: list[tuple[float, Point, int, bool]] = []

    def place(self, camera: Camera, size: tuple[int, int]) -> None:
        """Work out where everything lies in a viewport of `size`."""
        px = self._px
        self._centre = (size[0] - px(MARGIN), px(MARGIN))
        right, up, back = camera.frame()
        self._ends = []
        for axis in range(3):
            for sign in (1, -1):
                at = (self._centre[0] + sign * right[axis] * px(RADIUS), self._centre[1] - sign * up[axis] * px(RADIUS))
                self._ends.append((float(sign * back[axis]), (float(at[0]), float(at[1])), axis, sign > 0))
        self._ends.sort(key=lambda end: end[0])

    def over(self, at: Point) -> bool:
        """Whether a place lies on the gizmo."""
        return math.dist(at, self._centre) <= self._px(RADIUS + BALL + 2)

    def site(self, at: Point) -> str | None:
        """From where a click there looks: the nearest end under it."""
        hit = [end for end in self._ends if math.dist(at, end[1]) <= self._px(BALL + 2)]
        if not hit:
            return None
        _, _, axis, positive = hit[-1]
        _, _, ahead, behind = AXES[axis]
        return ahead if positive else behind

    def draw(self, layer: int | str, mouse: Point) -> None:
        """Draw it anew."""
        px, centre, site = self._px, self._centre, self.site(mouse)
        if self.over(mouse):
            dpg.draw_circle(centre, px(RADIUS + BALL + 4), color=NONE, fill=rgba("#E9E4D8", 24), parent=layer)
        for depth, at, axis, positive in self._ends:
            letter, colour, ahead, behind = AXES[axis]
            seen = (*colour[:3], round(255 * (0.62 + 0.38 * (depth + 1) / 2)))
            lit = site == (ahead if positive else behind)
            if positive:
                dpg.draw_line(centre, at, color=seen, thickness=px(2), parent=layer)
                dpg.draw_circle(at, px(BALL), color=BONE if lit else seen, fill=colour, parent=layer)
                place = (at[0] - px(TEXT) * 0.31, at[1] - px(TEXT) * 0.52)
                dpg.draw_text(place, letter, size=px(TEXT), color=CHARCOAL, parent=layer)
            else:
                dpg.draw_circle(at, px(BALL - 2), color=BONE if lit else seen, fill=(*colour[:3], 60), parent=layer)


def _split(layer: int | str, theme: Theme, scene: Scene) -> None:
    """The line between before and after with its labels, and the grip that it is dragged by."""
    assert scene.split is not None
    px, (width, height) = theme.px, scene.size
    x = width if scene.before else scene.split * width
    colour = VERDIGRIS if scene.grabbed else BONE
    if not scene.before:
        dpg.draw_line((x, 0), (x, height), color=rgba("#121110", 110), thickness=px(4), parent=layer)
        dpg.draw_line((x, 0), (x, height), color=colour, thickness=max(1, px(1.5)), parent=layer)
        y, r = height / 2, px(GRIP)
        dpg.draw_circle((x, y), r, color=colour, fill=rgba("#1E1D1B", 235), thickness=max(1, px(1.5)), parent=layer)
        for side in (-1, 1):
            tip, foot = x + side * r * 0.62, x + side * r * 0.22
            dpg.draw_triangle((tip, y), (foot, y - r * 0.36), (foot, y + r * 0.36), color=colour, fill=colour, parent=layer)
    if x > px(84):
        _tag(layer, theme, "before", x - px(12), px(14), after=False)
    if width - x > px(84):
        _tag(layer, theme, "after", x + px(12), px(14), after=True)


def _key(layer: int | str, theme: Theme, scene: Scene) -> int:
    """What the colours mean, from the lower left corner upwards, and what else there is to say; the height above all that."""
    px = theme.px
    top = scene.size[1] - px(74)
    for legend in scene.legends:
        _legend(layer, theme, legend, top)
        top -= px(78)
    top += px(42)
    for note in scene.notes:
        width = _width(note, px(14))
        _ground(layer, theme, (px(8), top - px(5)), (px(24) + width, top + px(21)))
        dpg.draw_text((px(16), top), note, size=px(14), color=BONE, parent=layer)
        top -= px(32)
    return top + px(32) if scene.notes or scene.legends else scene.size[1]


def _legend(layer: int | str, theme: Theme, legend: Legend, top: float) -> None:
    """A title, a bar of colours, and words at its ends."""
    px = theme.px
    ends = _width(legend.low, px(13)) + _width(legend.high, px(13)) + px(16)
    width, left = max(px(188), ends, _width(legend.title, px(15))), px(16)
    _ground(layer, theme, (left - px(8), top - px(8)), (left + width + px(8), top + px(58)))
    dpg.draw_text((left, top - px(2)), legend.title, size=px(15), color=BONE, parent=layer)
    bar, colours = top + px(22), _bytes(getattr(heat, legend.colours)(48))
    for i, (low, high) in enumerate(zip(colours[:-1], colours[1:], strict=True)):
        a, b = (left + width * (i + k) / (len(colours) - 1) for k in (0, 1))
        corners = [low, high, high, low]
        dpg.draw_rectangle((a, bar), (b, bar + px(10)), color=NONE, multicolor=True, corner_colors=corners, parent=layer)
    for words, x in ((legend.low, left), (legend.high, left + width - _width(legend.high, px(13)))):
        dpg.draw_text((x, bar + px(15)), words, size=px(13), color=rgba("#B3AD9F"), parent=layer)


def _label(layer: int | str, theme: Theme, scene: Scene, place: tuple[float, float, float], words: str) -> None:
    """Words beside a place in work space, where it is in the picture."""
    at = projected(scene.camera, scene.size, place)
    if at is None:
        return
    px, width = theme.px, _width(words, theme.px(14))
    _ground(layer, theme, (at[0] + px(6), at[1] - px(11)), (at[0] + px(18) + width, at[1] + px(11)))
    dpg.draw_text((at[0] + px(12), at[1] - px(8)), words, size=px(14), color=BONE, parent=layer)


def projected(camera: Camera, size: tuple[int, int], place: tuple[float, float, float]) -> Point | None:
    """Where a viewport of `size` shows a place in work space; None outside of it and behind the eye."""
    x, y, _, w = camera.T_clip_world() @ (*place, 1.0)
    if w <= 0:
        return None
    at = size[0] / 2 + x / w * size[1] / 2, size[1] / 2 - y / w * size[1] / 2
    return at if 0 <= at[0] < size[0] and 0 <= at[1] < size[1] else None


def _words(layer: int | str, theme: Theme, size: tuple[int, int], words: str) -> None:
    """A line of text in the middle of the lower edge of what is free."""
    text, px = theme.px(16), theme.px
    width = _width(words, text)
    x, y = (size[0] - width) / 2, size[1] - px(52)
    _ground(layer, theme, (x - px(14), y - px(8)), (x + width + px(14), y + px(26)))
    dpg.draw_text((x, y), words, size=text, color=BONE, parent=layer)


def _tag(layer: int | str, theme: Theme, words: str, x: float, y: float, *, after: bool) -> None:
    """A word on a dark ground that begins, or ends, at x."""
    px, width = theme.px, _width(words, theme.px(14))
    x = x if after else x - width
    _ground(layer, theme, (x - px(7), y - px(4)), (x + width + px(7), y + px(19)))
    dpg.draw_text((x, y), words, size=px(14), color=BONE, parent=layer)


def _ground(layer: int | str, theme: Theme, low: Point, high: Point) -> None:
    """A dark rounded ground on which text can be read over any picture."""
    dpg.draw_rectangle(low, high, color=NONE, fill=SHADE, rounding=theme.px(5), parent=layer)


def _width(words: str, size: float) -> float:
    """About how wide a text of that size is."""
    known: Any = dpg.get_text_size(words)
    return known[0] * size / known[1] if known and known[1] else 0.5 * size * len(words)


def _bytes(colours: np.ndarray) -> list[Colour]:
    return [(*(round(255 * float(c)) for c in colour), 255) for colour in colours]  # type: ignore[misc]
