"""Cameras of photographs: any pose, any lens centre. Stands wherever a renderer takes a `studio.camera.Camera`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from studio.camera import Camera

Row = tuple[float, ...]


@dataclass(frozen=True)
class Pinhole:
    """A camera without distortion whose picture is a square of any number of pixels (row 0 at the top).

    Lengths in the picture are parts of the square's side, so that the camera does not depend on the resolution.
    """

    T_world_view: tuple[Row, ...]
    """[4, 4] rows; the camera looks along its −z, y up (OpenGL). The rotation part is one, without scale."""
    focal: tuple[float, float]
    """Focal lengths along x and y."""
    centre: tuple[float, float] = (0.5, 0.5)
    """Where the axis meets the picture, from the left and from the top."""
    orthographic = False

    @classmethod
    def at(cls, T_world_view: np.ndarray, focal: tuple[float, float], centre: tuple[float, float] = (0.5, 0.5)) -> Pinhole:
        """From a matrix [4, 4] (or its upper three rows)."""
        T = np.eye(4)
        T[:3] = np.asarray(T_world_view, float)[:3]
        return cls(tuple(tuple(map(float, row)) for row in T), focal, centre)

    @classmethod
    def of(cls, camera: Camera) -> Pinhole:
        """The same view as a perspective orbit camera's."""
        f = camera.distance / (2 * camera.half_height())
        return cls.at(np.linalg.inv(camera.T_view_world()), (f, f))

    @cached_property
    def matrix(self) -> np.ndarray:
        """`T_world_view` as an array [4, 4]."""
        return np.array(self.T_world_view)

    def moved(self, T: np.ndarray) -> Pinhole:
        """In another space: T [4, 4] is a uniform scale, a rotation or mirroring and a shift of the world."""
        placed = np.asarray(T) @ self.matrix
        placed[:3, :3] /= np.cbrt(abs(np.linalg.det(placed[:3, :3])))
        return replace(self, T_world_view=tuple(tuple(map(float, row)) for row in placed))

    @property
    def distance(self) -> float:
        """From the eye to the world's origin."""
        return float(np.linalg.norm(self.position()))

    def position(self) -> np.ndarray:
        """The eye [3]."""
        return self.matrix[:3, 3]

    def direction(self) -> np.ndarray:
        """Unit vector [3] against the viewing direction."""
        return self.matrix[:3, 2]

    def frame(self) -> np.ndarray:
        """Rows right, up, back [3, 3]."""
        return self.matrix[:3, :3].T

    def half_height(self) -> float:
        """Half the picture's height on the plane through the origin."""
        return self.distance / (2 * self.focal[1])

    def T_view_world(self) -> np.ndarray:
        """World to camera [4, 4]; the camera looks along −z."""
        return np.linalg.inv(self.matrix)

    def T_clip_world(self, *, near: float = 0.1, far: float = 10.0) -> np.ndarray:
        """World to OpenGL clip space [4, 4] of the square picture."""
        P = np.zeros((4, 4))
        P[0, 0], P[1, 1] = 2 * self.focal[0], 2 * self.focal[1]
        P[0, 2], P[1, 2] = 1 - 2 * self.centre[0], 2 * self.centre[1] - 1
        P[2, 2], P[2, 3], P[3, 2] = -(far + near) / (far - near), -2 * far * near / (far - near), -1
        return P @ self.T_view_world()

    def rays(self, size_px: int) -> tuple[np.ndarray, np.ndarray]:
        """Origins and unit directions [size_px², 3] float32 through pixel centres, row 0 at the top."""
        c = (np.arange(size_px) + 0.5) / size_px
        x, y = np.meshgrid((c - self.centre[0]) / self.focal[0], (self.centre[1] - c) / self.focal[1])
        right, up, back = self.frame()
        d = x[..., None] * right + y[..., None] * up - back
        d = (d / np.linalg.norm(d, axis=-1, keepdims=True)).reshape(-1, 3)
        origins = np.broadcast_to(self.position(), d.shape)
        return np.ascontiguousarray(origins, dtype=np.float32), np.ascontiguousarray(d, dtype=np.float32)
