"""Polygons → triangles, many at a time."""

from __future__ import annotations

import numpy as np

MAX_CONCAVE = 2000
"""Corners up to which a concave polygon is cut by its ears; a larger one is cut as a fan."""


def triangulate(places: np.ndarray, corners: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles of polygons with sizes [P] ≥ 3, whose corners are corners[starts[p] + k], indices into places [N, 3].

    Returns polygon [F] and corner [F, 3]: for each triangle the polygon it is cut from and which of its corners (k) it uses, in
    polygon order. Convex polygons become fans; concave ones are cut by their ears (Meisters, 1975).
    """
    polygon, corner = [], []
    for size in np.unique(sizes):
        those = np.flatnonzero(sizes == size)
        if size == 3:
            polygon.append(those)
            corner.append(np.tile([0, 1, 2], (len(those), 1)))
            continue
        points = places[corners[starts[those][:, None] + np.arange(size)]]
        turns = _turns(points)
        fan = np.stack([np.zeros(size - 2, np.int64), np.arange(1, size - 1), np.arange(2, size)], axis=1)
        cuts = np.broadcast_to(fan, (len(those), size - 2, 3)).copy()
        concave = (turns < 0).any(axis=1)
        if size == 4:
            # The diagonal of a concave quadrilateral starts at its reflex corner.
            other = concave & (turns[:, [1, 3]] < 0).any(axis=1)
            cuts[other] = [[1, 2, 3], [1, 3, 0]]
        elif size <= MAX_CONCAVE:
            for i in np.flatnonzero(concave):
                cuts[i] = _ears(points[i])
        polygon.append(np.repeat(those, size - 2))
        corner.append(cuts.reshape(-1, 3))
    order = np.argsort(np.concatenate(polygon), kind="stable")
    return np.concatenate(polygon)[order], np.concatenate(corner)[order]


def _newell(points: np.ndarray) -> np.ndarray:
    """Area vectors [P, 3] of polygons [P, n, 3]."""
    centred = points - points[:, :1]
    return np.cross(centred, np.roll(centred, -1, axis=1)).sum(axis=1)


def _turns(points: np.ndarray) -> np.ndarray:
    """For polygons [P, n, 3]: how far each corner turns left, seen from the polygon's own front [P, n]; reflex is < 0."""
    into, out = points - np.roll(points, 1, axis=1), np.roll(points, -1, axis=1) - points
    turn = np.einsum("pnc,pc->pn", np.cross(into, out), _newell(points))
    # Straight corners of nearly flat polygons must not count as reflex.
    return np.where(np.abs(turn) <= 1e-9 * np.abs(turn).max(axis=1, keepdims=True), 0.0, turn)


def _ears(points: np.ndarray) -> np.ndarray:
    """Triangles [n − 2, 3] of one polygon [n, 3] by ear clipping in the plane of its area vector."""
    normal = _newell(points[None])[0]
    drop = int(np.argmax(np.abs(normal)))
    flat = np.delete(points, drop, axis=1)
    if (normal[drop] < 0) != (drop == 1):  # dropping y turns the plane round
        flat = flat[:, ::-1]
    left = list(range(len(points)))
    triangles = []
    while len(left) > 3:
        n = len(left)
        ring = flat[left]
        before, after = np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0)
        convex = _cross2(ring - before, after - ring)
        ear = next((k for k in np.flatnonzero(convex > 0).tolist() if not _holds(ring, k)), None)
        if ear is None:  # crossing itself, or without area: any cut is as good
            ear = int(np.argmax(convex))
        triangles.append([left[ear - 1], left[ear], left[(ear + 1) % n]])
        del left[ear]
    return np.array([*triangles, left])


def _holds(ring: np.ndarray, k: int) -> bool:
    """Whether the triangle at corner k of a flat polygon [n, 2] contains another of its corners."""
    n = len(ring)
    a, b, c = ring[k - 1], ring[k], ring[(k + 1) % n]
    others = np.delete(ring, [(k - 1) % n, k, (k + 1) % n], axis=0)
    others = others[~((others == a) | (others == c)).all(axis=1)]
    inside = (_cross2(b - a, others - a) >= 0) & (_cross2(c - b, others - b) >= 0) & (_cross2(a - c, others - c) >= 0)
    return bool(inside.any())


def _cross2(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
