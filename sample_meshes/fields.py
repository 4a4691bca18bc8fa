"""Signed distance fields to sculpt with: primitives, smooth blends and warps, all pure functions of points.

A field maps points [N, 3] (metres, y up) to signed distances [N], negative inside. Distances are exact or slightly too small
near the surface, which is all that the mesher in `meshing.py` needs. Blends follow Quilez's cubic smooth minimum, whose second
derivative is continuous, so that blended forms shade without a visible line where the blend begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Field = Callable[[np.ndarray], np.ndarray]
Vector = Sequence[float]


def rotation(axis: int, degrees: float) -> np.ndarray:
    """The [3, 3] rotation about a coordinate axis (0 x, 1 y, 2 z), counter-clockwise seen from the axis' tip."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = c
    matrix[i, j], matrix[j, i] = -s, s
    return matrix


def ellipsoid(centre: Vector, radii: Vector, turn: np.ndarray | None = None) -> Field:
    """An ellipsoid with half axes `radii`, turned by a rotation matrix; distance to first order."""
    centre, radii = np.asarray(centre), np.asarray(radii)
    turn = np.eye(3) if turn is None else turn

    def field(points: np.ndarray) -> np.ndarray:
        local = (points - centre) @ turn
        k0 = np.linalg.norm(local / radii, axis=1)
        k1 = np.linalg.norm(local / radii**2, axis=1)
        return (k0 - 1.0) * np.where(k1 > 1e-9, k0 / np.maximum(k1, 1e-9), radii.min())

    return field


def sphere(centre: Vector, radius: float) -> Field:
    """A ball."""
    return ellipsoid(centre, (radius, radius, radius))


def box(centre: Vector, half: Vector, rounding: float, turn: np.ndarray | None = None) -> Field:
    """A box with half sizes `half` (rounding included) whose edges are rounded by `rounding`."""
    centre, inner = np.asarray(centre), np.asarray(half) - rounding
    turn = np.eye(3) if turn is None else turn

    def field(points: np.ndarray) -> np.ndarray:
        q = np.abs((points - centre) @ turn) - inner
        return np.linalg.norm(np.maximum(q, 0.0), axis=1) + np.minimum(q.max(axis=1), 0.0) - rounding

    return field


def cylinder(centre: Vector, axis: Vector, radius: float, half: float, rounding: float) -> Field:
    """A cylinder along `axis` with half length `half` and rounded rims."""
    centre, axis = np.asarray(centre), np.asarray(axis) / np.linalg.norm(axis)

    def field(points: np.ndarray) -> np.ndarray:
        local = points - centre
        along = local @ axis
        across = np.linalg.norm(local - along[:, None] * axis, axis=1)
        q = np.stack([across - radius + rounding, np.abs(along) - half + rounding], axis=1)
        return np.linalg.norm(np.maximum(q, 0.0), axis=1) + np.minimum(q.max(axis=1), 0.0) - rounding

    return field


def torus(centre: Vector, axis: Vector, major: float, minor: float) -> Field:
    """A ring of radius `major` about `axis` with tube radius `minor`."""
    centre, axis = np.asarray(centre), np.asarray(axis) / np.linalg.norm(axis)

    def field(points: np.ndarray) -> np.ndarray:
        local = points - centre
        along = local @ axis
        across = np.linalg.norm(local - along[:, None] * axis, axis=1)
        return np.hypot(across - major, along) - minor

    return field


def tube(path: np.ndarray, radii: np.ndarray | float) -> Field:
    """A round tube along the polyline `path` [K, 3] whose radius (one number, or [K]) runs linearly along each segment."""
    path = np.asarray(path, dtype=float)
    radii = np.broadcast_to(np.asarray(radii, dtype=float), len(path))
    steps = np.diff(path, axis=0)

    def field(points: np.ndarray) -> np.ndarray:
        nearest = np.full(len(points), np.inf)
        for start, step, r0, r1 in zip(path, steps, radii, radii[1:], strict=False):
            local = points - start
            t = np.clip(local @ step / (step @ step), 0.0, 1.0)
            away = np.linalg.norm(local - t[:, None] * step, axis=1)
            nearest = np.minimum(nearest, away - (r0 + t * (r1 - r0)))
        return nearest

    return field


def polygon(outline: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Exact signed distance [N] from 2D points [N, 2] to a closed polygon [K, 2] (even-odd inside)."""
    squared = np.full(len(points), np.inf)
    inside = np.zeros(len(points), dtype=bool)
    for start, end in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        step, local = end - start, points - start
        t = np.clip(local @ step / max(step @ step, 1e-18), 0.0, 1.0)
        squared = np.minimum(squared, np.sum((local - t[:, None] * step) ** 2, axis=1))
        crosses = (start[1] > points[:, 1]) != (end[1] > points[:, 1])
        if start[1] != end[1]:
            inside ^= crosses & (points[:, 0] < start[0] + (points[:, 1] - start[1]) * step[0] / step[1])
    return np.where(inside, -1.0, 1.0) * np.sqrt(squared)


def lathe(profile: np.ndarray) -> Field:
    """The solid that the open profile [K, 2] of (radius, height), starting and ending on the y axis, sweeps about that axis.

    Distances are tabulated once in the half plane and read with Keys' cubic convolution, so that normals vary smoothly along the
    profile although it is a polyline.
    """
    reach = 2.0 * profile[:, 0].max()
    outline = np.concatenate([profile, [[-reach, profile[-1, 1]], [-reach, profile[0, 1]]]])
    low, high = profile.min(axis=0), profile.max(axis=0)
    spacing = max(high - low) / 250
    low, size = low - 12 * spacing, np.ceil((high - low) / spacing).astype(int) + 25
    grid = low + spacing * np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), axis=-1)
    table = polygon(outline, grid.reshape(-1, 2)).reshape(size)

    def field(points: np.ndarray) -> np.ndarray:
        place = (np.stack([np.hypot(points[:, 0], points[:, 2]), points[:, 1]], axis=1) - low) / spacing
        inside = np.clip(place, 1.0, size - 2.001)
        cell = np.floor(inside).astype(int)
        (wx, wy), total = (_cubic_weights(t) for t in (inside - cell).T), np.zeros(len(points))
        for i in range(4):
            for j in range(4):
                total += wx[i] * wy[j] * table[cell[:, 0] + i - 1, cell[:, 1] + j - 1]
        return total + spacing * np.linalg.norm(place - inside, axis=1)

    return field


def plate(outline: np.ndarray, half: float, rounding: float, turn: np.ndarray | None = None) -> Field:
    """A rounded plate: the polygon [K, 2] in the local xy plane, `half` thick to either side of it."""
    turn = np.eye(3) if turn is None else turn

    def field(points: np.ndarray) -> np.ndarray:
        local = points @ turn
        q = np.stack([polygon(outline, local[:, :2]) + rounding, np.abs(local[:, 2]) - half + rounding], axis=1)
        return np.linalg.norm(np.maximum(q, 0.0), axis=1) + np.minimum(q.max(axis=1), 0.0) - rounding

    return field


def union(width: float, *fields: Field) -> Field:
    """All fields together, blended over `width` metres where they meet (0 leaves the crease)."""

    def field(points: np.ndarray) -> np.ndarray:
        total = fields[0](points)
        for other in fields[1:]:
            total = _smooth_min(total, other(points), width)
        return total

    return field


def carve(width: float, base: Field, *tools: Field) -> Field:
    """`base` without the tools, the cut's edge rounded over `width`."""

    def field(points: np.ndarray) -> np.ndarray:
        total = base(points)
        for tool in tools:
            total = -_smooth_min(-total, tool(points), width)
        return total

    return field


def both_sides(axis: int, field: Field) -> Field:
    """`field` and its mirror image: what is modelled at positive coordinates appears at negative ones too."""
    sign = np.array([0.0 if k == axis else 1.0 for k in range(3)])
    unit = np.eye(3)[axis]
    return lambda points: field(points * sign + np.abs(points[:, axis : axis + 1]) * unit)


def warp(field: Field, move: Callable[[np.ndarray], np.ndarray]) -> Field:
    """`field` seen through `move`, which maps points of the bent object back to the straight one ([N, 3] to [N, 3])."""
    return lambda points: field(move(points))


def curve(control: Sequence[Vector], samples: int) -> np.ndarray:
    """A centripetal Catmull-Rom spline through `control` [K, D], as `samples` points evenly spaced in arc length [samples, D]."""
    knots = np.asarray(control, dtype=float)
    knots = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    dense = [knots[1:2]]
    for p0, p1, p2, p3 in zip(knots, knots[1:], knots[2:], knots[3:], strict=False):
        t = np.cumsum([0.0] + [np.sqrt(np.linalg.norm(b - a)) for a, b in ((p0, p1), (p1, p2), (p2, p3))])
        x = np.linspace(t[1], t[2], 65)[1:, None]
        a1, a2, a3 = (
            ((hi - x) * a + (x - lo) * b) / (hi - lo) for a, b, lo, hi in zip((p0, p1, p2), (p1, p2, p3), t, t[1:], strict=False)
        )
        b1, b2 = ((t[2] - x) * a1 + (x - t[0]) * a2) / (t[2] - t[0]), ((t[3] - x) * a2 + (x - t[1]) * a3) / (t[3] - t[1])
        dense.append(((t[2] - x) * b1 + (x - t[1]) * b2) / (t[2] - t[1]))
    points = np.concatenate(dense)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    even = np.linspace(0.0, length[-1], samples)
    return np.stack([np.interp(even, length, column) for column in points.T], axis=1)


def _cubic_weights(t: np.ndarray) -> tuple[np.ndarray, ...]:
    """Keys (1981): weights of the samples at -1, 0, 1, 2 for a point at `t` in [0, 1]."""
    return (
        ((-0.5 * t + 1.0) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1.0,
        ((-1.5 * t + 2.0) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    )


def _smooth_min(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    if width <= 0.0:
        return np.minimum(a, b)
    overlap = np.maximum(width - np.abs(a - b), 0.0) / width
    return np.minimum(a, b) - overlap**3 * (width / 6.0)
