"""What is good and bad about a mesh before it is painted."""

from __future__ import annotations

import numpy as np


def degenerate_faces(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """[F] bool: faces whose area is below 1e-12 of the square of the mesh's size (work space: RADIUS²)."""
    t = vertices[faces].astype(np.float64)
    return np.linalg.norm(np.cross(t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]), axis=-1) < 2e-12


def duplicate_faces(faces: np.ndarray) -> np.ndarray:
    """[F] bool: faces with the same three vertices as an earlier face, whichever way round."""
    corners = np.sort(faces, axis=1)
    order = np.lexsort((corners[:, 2], corners[:, 1], corners[:, 0]))
    ordered = corners[order]
    result = np.zeros(len(faces), dtype=bool)
    result[order[1:]] = (ordered[1:] == ordered[:-1]).all(axis=1)
    return result
