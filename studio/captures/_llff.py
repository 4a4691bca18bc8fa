"""LLFF's `poses_bounds.npy` (Mildenhall et al. 2019, Local light field fusion): a row of 17 numbers for each picture, by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from studio.captures._frames import Frame, Frames
from studio.captures._pictures import listed, size_of
from studio.errors import StudioError


def read(path: Path) -> Frames:
    """Rows of a 3 × 5 matrix (axes down, right, back; place; height, width, focal length) and two depths, which are not needed.

    The pictures lie in `images`, or in a scaled `images_4`, `images_8`, …. Raises StudioError.
    """
    try:
        table = np.load(path, allow_pickle=False)
        assert table.ndim == 2 and table.shape[1] == 17 and np.isfinite(table).all()
    except (OSError, ValueError, EOFError, AssertionError) as error:
        problem = f"'{path.name}' is no LLFF table of cameras, which has rows of 17 numbers."
        raise StudioError(problem, "Make it again with LLFF's imgs2poses.") from error
    pictures = listed(path.parent)
    if len(pictures) != len(table):
        problem = f"'{path.name}' has {len(table)} cameras, but there are {len(pictures)} pictures beside it."
        raise StudioError(problem, "Keep exactly the pictures that the cameras were made of.")
    for number, row in enumerate(table, 1):
        matrix = row[:15].reshape(3, 5)
        if abs(np.linalg.det(matrix[:, :3])) < 1e-6 or matrix[:, 4].min() <= 0:
            problem = f"Camera {number} of '{path.name}' has no axes that stand apart, or no size and focal length."
            raise StudioError(problem, "Make it again with LLFF's imgs2poses.")
    return Frames(tuple(_frame(picture, row) for picture, row in zip(pictures, table, strict=True)))


def _frame(picture: Path, row: np.ndarray) -> Frame:
    matrix = row[:15].reshape(3, 5)
    down, right, back, place, (height, width, focal) = matrix.T
    T = np.eye(4)
    T[:3] = np.stack([right, -down, back, place], 1)
    scaled = size_of(picture)
    if scaled and abs(scaled[0] * height - scaled[1] * width) <= max(scaled) * max(height, width) * 2e-3:
        focal, (width, height) = focal * scaled[0] / width, scaled  # a scaled folder goes with the same table
    width, height = round(width), round(height)
    return Frame(picture, T, (focal, focal), (width / 2, height / 2), width, height)
