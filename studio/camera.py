"""Cameras: where pictures of the mesh are taken from.

Work space is right-handed, y up, the mesh inside the unit ball of radius 0.9 around the origin (`surface.mesh`). Azimuth 0 looks
at the mesh's front from +z, azimuth 90 from +x; elevation 90 looks straight down. Pictures have row 0 at the top.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

DISTANCE = 2.8
FOV_DEG = 40.0


@dataclass(frozen=True)
class Camera:
    """A perspective (or orthographic) camera that orbits `target`. Angles in degrees, lengths in work units."""

    azimuth_deg: float = 0.0
    elevation_deg: float = 0.0
    distance: float = DISTANCE
    fov_deg: float = FOV_DEG
    target: tuple[float, float, float] = (0.0, 0.0, 0.0)
    orthographic: bool = False

    def direction(self) -> np.ndarray:
        """Unit vector [3] from the target to the camera."""
        a, e = math.radians(self.azimuth_deg), math.radians(self.elevation_deg)
        return np.array([math.cos(e) * math.sin(a), math.sin(e), math.cos(e) * math.cos(a)])

    def position(self) -> np.ndarray:
        """The eye [3]."""
        return np.asarray(self.target) + self.distance * self.direction()

    def frame(self) -> np.ndarray:
        """Rows right, up, back [3, 3] of the camera in world space: a rotation. `up` is well defined at the poles too."""
        a, e = math.radians(self.azimuth_deg), math.radians(self.elevation_deg)
        right = np.array([math.cos(a), 0.0, -math.sin(a)])
        up = np.array([-math.sin(e) * math.sin(a), math.cos(e), -math.sin(e) * math.cos(a)])
        return np.stack([right, up, self.direction()])

    def T_view_world(self) -> np.ndarray:
        """World to camera [4, 4]; the camera looks along −z."""
        T = np.eye(4)
        T[:3, :3] = self.frame()
        T[:3, 3] = -self.frame() @ self.position()
        return T

    def half_height(self) -> float:
        """Half the picture's height on the plane through the target, in work units."""
        return self.distance * math.tan(math.radians(self.fov_deg) / 2)

    def T_clip_world(self, *, near: float = 0.1, far: float = 10.0) -> np.ndarray:
        """World to OpenGL clip space [4, 4] of a square picture (y up, z in −w…w)."""
        P = np.zeros((4, 4))
        if self.orthographic:
            s = 1 / self.half_height()
            P[0, 0] = P[1, 1] = s
            P[2, 2], P[2, 3], P[3, 3] = -2 / (far - near), -(far + near) / (far - near), 1
        else:
            f = 1 / math.tan(math.radians(self.fov_deg) / 2)
            P[0, 0] = P[1, 1] = f
            P[2, 2], P[2, 3], P[3, 2] = -(far + near) / (far - near), -2 * far * near / (far - near), -1
        return P @ self.T_view_world()

    def rays(self, size_px: int) -> tuple[np.ndarray, np.ndarray]:
        """Origins and unit directions [size_px², 3] float32 through pixel centres, row 0 at the top."""
        c = (np.arange(size_px) + 0.5) / size_px * 2 - 1
        x, y = np.meshgrid(c, -c)
        right, up, back = self.frame()
        plane = (x[..., None] * right + y[..., None] * up) * self.half_height()
        if self.orthographic:
            origins = self.position() + plane
            directions = np.broadcast_to(-back, plane.shape)
        else:
            origins = np.broadcast_to(self.position(), plane.shape)
            directions = plane - self.distance * back
            directions = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
        return (
            np.ascontiguousarray(origins.reshape(-1, 3), dtype=np.float32),
            np.ascontiguousarray(directions.reshape(-1, 3), dtype=np.float32),
        )


def looking_along(direction: np.ndarray, *, base: Camera = Camera()) -> Camera:
    """`base` moved so that it looks at its target from `direction` [3] (need not be unit)."""
    d = np.asarray(direction, dtype=float) / np.linalg.norm(direction)
    azimuth = math.degrees(math.atan2(d[0], d[2]))
    return replace(base, azimuth_deg=azimuth, elevation_deg=math.degrees(math.asin(np.clip(d[1], -1, 1))))


def orbit(camera: Camera, *, right_deg: float, up_deg: float) -> Camera:
    """Turned around the target; elevation stays within ±90°."""
    elevation = float(np.clip(camera.elevation_deg + up_deg, -90, 90))
    return replace(camera, azimuth_deg=(camera.azimuth_deg + right_deg) % 360, elevation_deg=elevation)


def pan(camera: Camera, *, right: float, up: float) -> Camera:
    """The target moved in the picture plane; 1 is the picture's half height."""
    r, u, _ = camera.frame()
    moved = np.asarray(camera.target) + (right * r + up * u) * camera.half_height()
    return replace(camera, target=(float(moved[0]), float(moved[1]), float(moved[2])))


def zoom(camera: Camera, *, factor: float) -> Camera:
    """The distance divided by `factor`, kept between 0.2 and 20."""
    return replace(camera, distance=float(np.clip(camera.distance / factor, 0.2, 20.0)))


def framed(camera: Camera, points: np.ndarray, *, aspect: float = 1.0, share: float = 0.84) -> Camera:
    """`camera` moved back or forth, looking at the origin, until `points` [n, 3] fill `share` of its picture of that shape."""
    right, up, back = camera.frame().astype(np.float32) @ points.T
    slope = math.tan(math.radians(camera.fov_deg) / 2) * share
    reach = np.maximum(np.abs(up) / slope, np.abs(right) / (slope * aspect))
    distance = float((reach if camera.orthographic else reach + back).max())
    return replace(camera, target=(0.0, 0.0, 0.0), distance=float(np.clip(distance, 0.2, 20.0)))


def between(start: Camera, end: Camera, t: float) -> Camera:
    """On the way from one camera to another, t from 0 to 1: around the shorter way, with the lens and projection of `end`."""
    turn = (end.azimuth_deg - start.azimuth_deg + 180) % 360 - 180
    a, b = np.asarray(start.target), np.asarray(end.target)
    x, y, z = a + t * (b - a)
    return replace(
        end,
        azimuth_deg=end.azimuth_deg if t == 1 else (start.azimuth_deg + t * turn) % 360,
        elevation_deg=start.elevation_deg + t * (end.elevation_deg - start.elevation_deg),
        distance=start.distance * (end.distance / start.distance) ** t,
        target=(float(x), float(y), float(z)),
    )


def ring(count: int, *, elevation_deg: float = 15.0, base: Camera = Camera()) -> tuple[Camera, ...]:
    """`count` cameras evenly around the mesh at one elevation."""
    return tuple(replace(base, azimuth_deg=360 * i / count, elevation_deg=elevation_deg) for i in range(count))


def sphere_directions(subdivisions: int = 2) -> np.ndarray:
    """The vertices of a subdivided icosahedron on the unit sphere: 12, 42, 162 (default), 642 directions [n, 3]."""
    import trimesh

    return np.asarray(trimesh.creation.icosphere(subdivisions=subdivisions).vertices)
