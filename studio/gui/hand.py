"""The hand on the mouse: what dragging and scrolling over the viewport mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import dearpygui.dearpygui as dpg

if TYPE_CHECKING:
    from studio.gui.viewport import Canvas

LEFT, RIGHT, MIDDLE = dpg.mvMouseButton_Left, dpg.mvMouseButton_Right, dpg.mvMouseButton_Middle
BUTTONS = LEFT, RIGHT, MIDDLE
ORBIT_DEG = 240.0
"""A drag over the viewport's height turns so far."""
CLICK_PX = 4
Deed = Literal["orbit", "pan", "zoom", "light", "split", "gizmo"]


@dataclass(frozen=True)
class Held:
    """The keys that are down."""

    shift: bool = False
    ctrl: bool = False
    alt: bool = False

    @classmethod
    def now(cls) -> Held:
        return cls(*(dpg.is_key_down(key) for key in (dpg.mvKey_ModShift, dpg.mvKey_ModCtrl, dpg.mvKey_ModAlt)))


def deed(navigation: str, button: int, held: Held) -> Deed | None:
    """What a drag with `button` does, or None.

    Default: left orbits (with Alt too), Shift or the middle button pans, Alt + right zooms. Blender: the middle button orbits,
    with Shift pans, with Ctrl zooms; Alt + left stands for the middle button. In both Shift + right turns the light.
    """
    if button == RIGHT:
        return "light" if held.shift else "zoom" if held.alt else None
    if navigation == "blender":
        if button == MIDDLE or held.alt:
            return "pan" if held.shift else "zoom" if held.ctrl else "orbit"
        return None if held.shift or held.ctrl else "orbit"
    return "pan" if button == MIDDLE or held.shift else "orbit"


class Hand:
    """Follows the mouse from frame to frame and moves a canvas."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._deed: Deed | None = None
        self._button = LEFT
        self._at = self._from = (0.0, 0.0)
        self._down = dict.fromkeys(BUTTONS, False)
        self._wheel = 0.0
        with dpg.handler_registry() as self._handlers:
            dpg.add_mouse_wheel_handler(callback=lambda _, amount: self._scroll(amount))

    @property
    def deed(self) -> Deed | None:
        """What the drag that goes on does; None while there is none."""
        return self._deed

    def close(self) -> None:
        """Listen no more."""
        dpg.delete_item(self._handlers)

    def update(self, at: tuple[float, float], *, over: bool) -> None:
        """`at` is the mouse in the viewport's pixels, `over` whether it is free to act there."""
        for button, was in self._down.items():
            down = dpg.is_mouse_button_down(button)
            if down and not was and over and self._deed is None:
                self._begin(button, at)
            elif was and not down and self._deed is not None and button == self._button:
                self._end(at)
            self._down[button] = down
        if self._deed is not None:
            self._drag(at)
        self._at = at
        wheel, self._wheel = self._wheel, 0.0
        if wheel and over:
            self._canvas.zoom(1.12**wheel)

    def _scroll(self, amount: float) -> None:
        self._wheel += amount

    def _begin(self, button: int, at: tuple[float, float]) -> None:
        canvas = self._canvas
        self._button, self._from, self._at = button, at, at
        if button == LEFT and canvas.overlay.over_split(at):
            self._deed = "split"
        elif button == LEFT and canvas.overlay.gizmo.over(at):
            self._deed = "gizmo"
        else:
            self._deed = deed(canvas.navigation, button, Held.now())
        if self._deed is not None:
            canvas.touched()

    def _drag(self, at: tuple[float, float]) -> None:
        canvas = self._canvas
        right, down = at[0] - self._at[0], at[1] - self._at[1]
        height = max(1, canvas.size[1])
        if self._deed == "split":
            canvas.set_split(at[0] / max(1, canvas.size[0]))
        elif not (right or down):
            return
        elif self._deed in ("orbit", "gizmo"):
            canvas.orbit(-right / height * ORBIT_DEG, down / height * ORBIT_DEG)
        elif self._deed == "pan":
            canvas.pan(-2 * right / height, 2 * down / height)
        elif self._deed == "zoom":
            canvas.zoom(2 ** (3 * (right - down) / height))
        elif self._deed == "light":
            canvas.turn_environment(right / height * ORBIT_DEG)

    def _end(self, at: tuple[float, float]) -> None:
        self._drag(at)  # the mouse may have moved within the frame that let go
        still = abs(at[0] - self._from[0]) + abs(at[1] - self._from[1]) <= CLICK_PX
        if self._deed == "gizmo" and still and (site := self._canvas.overlay.gizmo.site(at)) is not None:
            self._canvas.look(site)
        elif self._deed == "orbit" and still and self._canvas.click(at):
            pass
        else:
            self._canvas.let_go()
        self._deed = None
