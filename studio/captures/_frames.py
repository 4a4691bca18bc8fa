"""What the readers of cameras hand over, and what files may mean by a camera's axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from studio.errors import StudioError

MOST_STOPS = 20.0
"""Exposures beyond this, to either side, leave nothing of any light."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture's file and camera; lengths in pixels of a picture of width × height."""

    picture: Path
    T_world_view: np.ndarray
    """[4, 4]."""
    focal: tuple[float, float]
    centre: tuple[float, float]
    width: int
    height: int
    mask: Path | None = None
    distortion: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """k1, k2, p1, p2 of OpenCV's lens model (Brown 1966)."""


@dataclass(frozen=True, eq=False)
class Frames:
    """A set's frames, and what else its file says."""

    frames: tuple[Frame, ...]
    environment: str | None = None
    exposure_ev: float = 0.0
    notes: tuple[str, ...] = ()


def stops(value: Any, *, of: str) -> float:
    """`value` as an exposure; `of` says whose it is. Raises StudioError for what is no number, or out of all proportion."""
    try:
        exposure_ev = float(value)
    except (TypeError, ValueError):
        exposure_ev = math.nan
    if not abs(exposure_ev) <= MOST_STOPS:  # not a number is neither more nor less
        problem = f"{of} is no number of stops between -{MOST_STOPS:g} and {MOST_STOPS:g}: {value!r}."
        raise StudioError(problem, "Give a number of stops, such as -1.")
    return exposure_ev


def _turned(*signs: float) -> np.ndarray:
    return np.diag([*signs, 1.0])


Z_UP = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""From a world whose z points up to one whose y does."""

CONVENTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "opengl": lambda T: T,
    "opencv": lambda T: T @ _turned(1, -1, -1),
    "inverse": np.linalg.inv,
    "opencv_inverse": lambda T: np.linalg.inv(T) @ _turned(1, -1, -1),
    "z_up": lambda T: Z_UP @ T,
    "opencv_z_up": lambda T: Z_UP @ T @ _turned(1, -1, -1),
    "left_handed": lambda T: _turned(1, 1, -1) @ T @ _turned(1, 1, -1),
    "left_handed_x": lambda T: _turned(-1, 1, 1) @ T @ _turned(-1, 1, 1),
}
"""What a file's matrices may mean, by name: as written → camera to world, x right, y up, looking along −z, world y up."""
