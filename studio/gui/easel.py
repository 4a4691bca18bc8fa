"""What of the viewport is drawn when: fluently while something moves, in full size when it rests, then finely."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from studio.gui.painter import Painter, Picture, Request
from studio.gui.screen import Screen

if TYPE_CHECKING:
    from studio.shot import Shot

SMALLEST_PX = 256 * 256
"""Pictures are never smaller than that while the camera moves, however long they take."""
LARGEST_PX = 2_400_000
"""Larger viewports stretch their picture: every frame sends all of it to the graphics card."""
REST = 4.0
"""Beside a run, new paint is not looked at before so many times as long as the last picture took: the run needs the processor."""
SAMPLES = 4
"""Of a pixel, when the picture rests."""


class Easel:
    """Asks the painter for pictures and shows them on the screen. Draws nothing that is already there."""

    def __init__(self, drawlist: int | str, last: Easel | None = None) -> None:
        """`last` has shown the same on another drawlist: its picture is taken over."""
        self._screen, self._painter = Screen(drawlist, last._screen if last else None), Painter()
        self._asked: tuple[Any, ...] = ()
        self._shown: Picture | None = None
        self._pixel_s = 2.5e-7
        self._times: deque[float] = deque(maxlen=240)
        self.drawn = 0
        """Pictures shown so far."""
        if last is not None and last._shown is not None:
            self._shown, self._pixel_s = last._shown, last._pixel_s

    def close(self) -> None:
        """End the view thread and take the picture off the viewport."""
        self._painter.close()
        self._screen.close()

    @property
    def shown(self) -> Shot | None:
        """What the picture on the screen shows; None while it is the poster."""
        return self._shown.request.shot if self._shown else None

    @property
    def busy(self) -> bool:
        """True while a picture is drawn."""
        return self._painter.busy

    @property
    def fps(self) -> float:
        """Pictures shown during the last second."""
        now = time.monotonic()
        return float(sum(now - t <= 1 for t in self._times))

    def resize(self, size: tuple[int, int], now: float) -> bool:
        """Cover a viewport of `size` pixels; True while that is not settled."""
        return self._screen.resize(size, _limited(size), now)

    def clear(self) -> None:
        """Show the poster, and nothing of what is being drawn."""
        self._shown, self._asked = None, ()
        self._screen.clear()

    def show(self, request: Request, now: float) -> bool:
        """Put a finished picture of this mesh on the screen, if there is one. Raises what went wrong while drawing."""
        picture = self._painter.take()
        if picture is None or picture.request.mesh is not request.mesh:
            return False
        shot = picture.request.shot
        if not picture.request.patient:
            self._pixel_s += 0.15 * (picture.seconds / (shot.width * shot.height) - self._pixel_s)
        self._shown = picture
        self.drawn += 1
        self._times.append(now)
        self._screen.show(picture.pixels)
        return True

    def ask(self, request: Request, seconds: float | None, *, sparing: bool = False) -> None:
        """Have `request`, a full picture, drawn. `seconds`, while something moves: a smaller one, which takes about so long.
        `sparing`: beside a run, new paint may wait a little."""
        width, height = _limited((request.shot.width, request.shot.height))
        shot = replace(request.shot, width=width, height=height)
        if seconds is not None:
            width, height = self._affordable((width, height), seconds)
            request = replace(request, shot=replace(shot, width=width, height=height), patient=False)
        else:
            fine = replace(shot, samples=SAMPLES)
            # When the plain one is there, the fine one follows, and from then on comes at once.
            known = self.shown is not None and self.shown.geometry in (shot.geometry, fine.geometry)
            request = replace(request, shot=fine if known else shot)
        parts = (request.mesh, request.texture, request.before, request.beside, request.heat, *request.marks)
        asked = (request.shot, *map(id, parts))
        if asked != self._asked:
            if sparing and self._asked[:2] == asked[:2] and self._shown is not None and self._times:
                if time.monotonic() - self._times[-1] < REST * self._shown.seconds:
                    return
            self._asked = asked
            self._painter.ask(request)

    def _affordable(self, size: tuple[int, int], seconds: float) -> tuple[int, int]:
        """The size of a picture that takes about so long: the full one, or smaller in steps, so that it does not flicker."""
        (width, height), (widest, highest) = size, self._screen.capacity
        shrink = math.sqrt(width * height * self._pixel_s / seconds)
        shrink = min(2 ** (round(4 * math.log2(shrink)) / 4), math.sqrt(width * height / SMALLEST_PX))
        shrink = max(shrink, 1.0, width / widest, height / highest)
        return max(1, round(width / shrink)), max(1, round(height / shrink))


def _limited(size: tuple[int, int]) -> tuple[int, int]:
    """The size of the largest picture for a viewport of `size`."""
    shrink = max(1.0, math.sqrt(size[0] * size[1] / LARGEST_PX))
    return max(1, round(size[0] / shrink)), max(1, round(size[1] / shrink))
