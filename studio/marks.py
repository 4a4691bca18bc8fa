"""Lines in space that are drawn over the mesh: strokes, outlines, cameras. Light: no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from studio.camera import Camera

VERDIGRIS = (0.31, 0.71, 0.63)
BONE = (0.914, 0.894, 0.847)
WIDTH = 0.0026
"""Of a line, as a part of the picture's height."""
FRUSTUM = 0.3
"""Size of a camera that is shown, in work units."""


@dataclass(frozen=True, eq=False)
class Marks:
    """n straight lines in work space, and a translucent sheet between them."""

    ends: np.ndarray
    """[n, 2, 3] float32."""
    color: np.ndarray
    """[n, 4] float32: sRGB and opacity."""
    behind: float = 0.0
    """What is left of the opacity behind the surface."""
    width: float = WIDTH
    sheet: np.ndarray | None = None
    """[4, 3] corners in order of a parallelogram, filled in the first line's colour with SHEET of its opacity."""
    labels: tuple[tuple[tuple[float, float, float], str], ...] = ()
    """Words, and the places that they name."""
    legend: tuple[str, str, str] | None = None
    """What heat colours of the lines mean: a title, the faint and the strong end."""
    note: str = ""
    """What there is to say of them, in words."""

    @property
    def reach(self) -> np.ndarray:
        """[2 n, 3] places that a camera must see to see all of it."""
        return self.ends.reshape(-1, 3)


def polyline(
    points: np.ndarray, color: Sequence[float] = VERDIGRIS, *, closed: bool = False, opacity: float = 1.0, behind: float = 0.25,
    label: str = "",
) -> Marks:  # fmt: skip
    """Points [N, 3] joined in order; `label` stands at the first."""
    points = np.asarray(points, np.float32)
    ends = np.stack([points, np.roll(points, -1, 0)], 1)[: len(points) if closed else -1]
    shade = np.broadcast_to(np.array([*color, opacity], np.float32), (len(ends), 4))
    x, y, z = map(float, points[0])
    return Marks(ends, shade, behind, labels=(((x, y, z), label),) if label else ())


def together(marks: Sequence[Marks]) -> Marks:
    """Several as one, with the looks of the first."""
    first = marks[0]
    ends, color = (np.concatenate([getattr(m, name) for m in marks]) for name in ("ends", "color"))
    return Marks(ends, color, first.behind, first.width, labels=tuple(label for m in marks for label in m.labels))


def frustum(camera: Camera, label: str = "") -> Marks:
    """A camera as a pyramid from its eye towards what it sees, with a tick that says where up is."""
    right, up, back = camera.frame()
    half = FRUSTUM * math.tan(math.radians(camera.fov_deg) / 2)
    eye = camera.position()
    centre = eye - FRUSTUM * back
    corners = [centre + half * (x * right + y * up) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    tick = [centre + half * (x * right + y * up) for x, y in ((-0.5, 1.12), (0, 1.7), (0.5, 1.12))]
    sides = [polyline(np.array([eye, corner])) for corner in corners]
    named = polyline(np.array([eye, eye]), label=label)
    return together([*sides, polyline(np.array(corners), closed=True), polyline(np.array(tick), closed=True), named])


def frusta(cameras: Sequence[Camera]) -> Marks:
    """All cameras, numbered from 1."""
    return together([frustum(camera, str(i)) for i, camera in enumerate(cameras, 1)])
