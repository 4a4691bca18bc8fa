"""The view thread: draws the viewport's pictures, the newest request first."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from studio import device

if TYPE_CHECKING:
    from torch import Tensor

    from studio.fields import Field
    from studio.marks import Marks
    from studio.shot import Shot
    from studio.surface.mesh import Mesh
    from studio.texture import Texture

REST_S, UNREST_S = 1.0, 5.0
"""What pictures have freed goes back to the system when nothing was to be drawn for so long; and so often where that never comes:
a mesh that turns, a run with quick iterations."""


@dataclass(frozen=True, eq=False)
class Request:
    """A picture to draw. All of it is frozen: the view thread reads it while the window goes on."""

    shot: Shot
    mesh: Mesh
    texture: Texture
    before: Texture | None = None
    beside: Texture | None = None
    """Drawn to the right of `texture`, each in one half of the picture, from the same camera."""
    heat: Tensor | Field | None = None
    marks: tuple[Marks, ...] = ()
    patient: bool = True
    """Left for another view of the mesh as soon as that is asked for; a picture while the camera moves is not: it is soon done,
    and otherwise none would ever be."""

    def outlives(self, other: Request) -> bool:
        """Whether it shall be finished although `other` was asked for."""
        return not self.patient or (self.mesh is other.mesh and self.shot.geometry == other.shot.geometry)


@dataclass(frozen=True, eq=False)
class Picture:
    """A finished request: RGBA float32 [height, width, 4], and how long it took."""

    request: Request
    pixels: np.ndarray
    seconds: float


class Painter:
    """A thread with a `Viewer`. `ask` and `take` are called by the window's thread."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._wanted: Request | None = None
        self._done: Picture | None = None
        self._error: Exception | None = None
        self._busy = self._closed = False
        self._trimmed = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="view", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """True while a picture is drawn or asked for."""
        return self._busy or self._wanted is not None

    def ask(self, request: Request) -> None:
        """Draw this next, instead of what was asked for before and is not yet begun."""
        with self._change:
            self._wanted = request
            self._change.notify()

    def take(self) -> Picture | None:
        """The newest finished picture, once. Raises what went wrong while drawing."""
        with self._change:
            error, self._error = self._error, None
            picture, self._done = self._done, None
        if error is not None:
            raise error
        return picture

    def close(self) -> None:
        """Leave whatever is drawn and end the thread (within a band's time, or that of loading a mesh)."""
        with self._change:
            self._closed = True
            self._change.notify()
        self._thread.join(2)

    def _work(self) -> None:
        viewer: Any = None
        shown: Mesh | None = None
        while (request := self._next()) is not None:
            try:
                if viewer is None:
                    viewer = _viewer()
                if request.mesh is not shown:
                    shown = None
                    viewer.show(request.mesh)
                    shown = request.mesh
                self._draw(viewer, request)
            except Exception as error:  # noqa: BLE001 - comes home through `take`, which raises it in the window's thread
                with self._change:
                    self._error = error
            finally:
                self._busy = False

    def _next(self) -> Request | None:
        if not self._asked(REST_S) or time.monotonic() > self._trimmed + UNREST_S:
            device.trim()
            self._trimmed = time.monotonic()
        self._asked(None)
        with self._change:
            request, self._wanted = self._wanted, None
            self._busy = True
            return None if self._closed else request

    def _asked(self, timeout_s: float | None) -> bool:
        """Wait until there is something to do; False when that did not come in time."""
        with self._change:
            return self._change.wait_for(lambda: self._closed or self._wanted is not None, timeout_s)

    def _draw(self, viewer: Any, request: Request) -> None:
        from studio.view import Superseded

        def wanted() -> bool:
            newer = self._wanted
            return not self._closed and (newer is None or request.outlives(newer))

        began = time.perf_counter()
        try:
            if request.beside is None:
                over = {"before": request.before, "heat": request.heat, "marks": request.marks}
                pixels = viewer.draw(request.shot, request.texture, **over, wanted=wanted)
            else:
                half = replace(request.shot, width=max(1, request.shot.width // 2))
                both = [viewer.draw(half, texture, wanted=wanted) for texture in (request.texture, request.beside)]
                pixels = np.concatenate(both, axis=1)
        except Superseded:
            return
        with self._change:
            self._done = Picture(request, pixels, time.perf_counter() - began)


def _viewer() -> Any:
    """Made on the view thread, which also waits for torch. A graphics card draws where there is one."""
    import torch

    from studio.view import Viewer

    torch.set_num_threads(1)  # of this thread: beside a run, threads that wait for each other take ten times as long
    return Viewer("cuda" if torch.cuda.is_available() else "cpu")
