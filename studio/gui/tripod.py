"""What carries the viewport's camera: moves it by hand, flies it to a view, lets the mesh turn."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.camera import Camera, between, framed, orbit, pan, zoom
from studio.errors import unknown

if TYPE_CHECKING:
    from studio.shot import Shot
    from studio.surface.mesh import Mesh

SITES = {"front": (0, 0), "right": (90, 0), "back": (180, 0), "left": (270, 0), "top": (0, 90), "bottom": (0, -90)}
"""Azimuth and elevation of the six views."""
HOME = Camera(32.0, 14.0)
FLIGHT_S = 0.28
"""A jump of the camera is shown as a short flight."""
TURN_DEG_PER_S = 14.0


class Tripod(ABC):
    """The camera of a shot. Belongs to the window's thread."""

    shot: Shot
    size: tuple[int, int]
    _mesh: Mesh | None

    def __init__(self) -> None:
        self.turntable, self._idle_turn = False, True
        self._flight: tuple[Camera, Camera, float] | None = None
        self._ticked = 0.0

    @abstractmethod
    def _change(self, **values: Any) -> None:
        """Something of the shot moves."""

    @property
    @abstractmethod
    def aspect(self) -> float:
        """Width by height of what the mesh is framed in."""

    @property
    @abstractmethod
    def turning(self) -> bool:
        """Whether the mesh turns by itself."""

    def touched(self) -> None:
        """The user's hand: nothing turns by itself any more."""
        self._idle_turn = self.turntable = False
        self._flight = None

    def orbit(self, right_deg: float, up_deg: float) -> None:
        """Turn around the target."""
        self.touched()
        self._change(camera=orbit(self.shot.camera, right_deg=right_deg, up_deg=up_deg))

    def pan(self, right: float, up: float) -> None:
        """Move sideways; 1 is half the viewport's height."""
        self.touched()
        self._change(camera=pan(self.shot.camera, right=right, up=up))

    def zoom(self, factor: float) -> None:
        """Go nearer by `factor`."""
        self.touched()
        self._change(camera=zoom(self.shot.camera, factor=factor))

    def frame(self, points: np.ndarray | None = None) -> None:
        """Bring the whole mesh into view, and `points` [n, 3] with it."""
        self._fly(self._whole(self._goal, points))

    def look(self, site: str) -> None:
        """Look from the "front", "back", "left", "right", "top" or "bottom". Raises StudioError for another word."""
        if site not in SITES:
            raise unknown("view", site, SITES)
        azimuth, elevation = SITES[site]
        self._fly(replace(self._goal, azimuth_deg=float(azimuth), elevation_deg=float(elevation)))

    def toggle_perspective(self) -> None:
        """Switch between perspective and orthographic."""
        self.touched()
        self._change(camera=replace(self.shot.camera, orthographic=not self.shot.camera.orthographic))

    def toggle_turntable(self) -> None:
        """Let the mesh turn, or stop it."""
        on = not self.turning
        self.touched()
        self.turntable = on

    def _stand_anew(self) -> None:
        """For another mesh: where the first camera stands."""
        self._flight = None
        self._change(camera=self._whole(replace(HOME, orthographic=self.shot.camera.orthographic)))

    def _animate(self, now: float) -> None:
        passed, self._ticked = min(0.1, now - self._ticked), now
        if self._flight is not None:
            start, end, began = self._flight
            t = min(1.0, (now - began) / FLIGHT_S)
            self._change(camera=between(start, end, t * t * (3 - 2 * t)))
            self._flight = self._flight if t < 1 else None
        elif self.turning:
            self.shot = replace(self.shot, camera=orbit(self.shot.camera, right_deg=-TURN_DEG_PER_S * passed, up_deg=0))

    @property
    def _goal(self) -> Camera:
        return self._flight[1] if self._flight else self.shot.camera

    def _fly(self, camera: Camera) -> None:
        self.touched()
        self._flight = (self.shot.camera, camera, time.monotonic())

    def _whole(self, camera: Camera, points: np.ndarray | None = None) -> Camera:
        """The camera so that the whole mesh is seen, and `points` [n, 3]."""
        if self._mesh is None:
            return camera
        seen = self._mesh.vertices if points is None else np.concatenate([self._mesh.vertices, points])
        return framed(camera, seen, aspect=self.aspect)
