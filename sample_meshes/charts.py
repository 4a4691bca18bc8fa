"""Parts with UVs: swept grids that bring their own charts, unwrapping by xatlas, and the layout of charts in the unit square."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import igl
import numpy as np
import xatlas

ATLAS_PX = 1024
PADDING_PX = 6
XATLAS_SCALE = 1000.0  # xatlas drops triangles whose area is below 1.2e-7, which in metres would be visible ones


@dataclass(frozen=True, eq=False)
class Part:
    """One material's triangles: vertices [N, 3] in metres, unit normals [N, 3], faces [F, 3], uv [N, 2] (v down) or None."""

    material: str
    colour: tuple[float, float, float]
    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    uv: np.ndarray | None = None
    roughness: float = 0.6
    metallic: float = 0.0


def unwrap(part: Part) -> Part:
    """The part with an atlas of charts by xatlas; vertices are split along the cuts."""
    vertices = (part.vertices * XATLAS_SCALE).astype(np.float32)
    a, b, c = (vertices[part.faces[:, k]] for k in range(3))
    options = xatlas.ChartOptions()
    options.max_cost, options.max_iterations, options.normal_deviation_weight = 4.0, 2, 1.0
    options.max_chart_area = 0.08 * float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()) / 2
    atlas = xatlas.Atlas()
    atlas.add_mesh(vertices, part.faces.astype(np.uint32), part.normals.astype(np.float32))
    atlas.generate(options, xatlas.PackOptions())
    origin, faces, uv = atlas.get_mesh(0)
    faces, flat = faces.astype(np.int64), uv * np.array([atlas.width, -atlas.height], dtype=float)
    uv = pack(flat, faces, igl.vertex_components(faces))
    return replace(part, vertices=part.vertices[origin], normals=part.normals[origin], faces=faces, uv=uv)


@dataclass(frozen=True, eq=False)
class Sheet:
    """One chart of a swept surface, a grid of R x C points: points and normals [R, C, 3], flat [R, C, 2] its layout in metres."""

    points: np.ndarray
    normals: np.ndarray
    flat: np.ndarray


def turned(profile: np.ndarray, cuts: Sequence[int], segments: int) -> list[Sheet]:
    """Turn `profile` [K, 2] of (radius, height) about the y axis, cut into charts at the given indices.

    The profile starts and ends on the axis and has the solid on its left. A piece that touches the axis becomes a round chart,
    any other a rectangle as wide as its mean circumference.
    """
    tangent = np.gradient(profile, axis=0)
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1) / np.linalg.norm(tangent, axis=1, keepdims=True)
    normal[[0, -1]] = [[0.0, -1.0], [0.0, 1.0]]
    turn = np.arange(segments + 1) % segments * (2 * np.pi / segments)
    compass = np.stack([-np.sin(turn), -np.cos(turn)], axis=1)  # the cut is at the back
    sheets = []
    for first, last in zip([0, *cuts], [*cuts, len(profile) - 1], strict=True):
        piece, bent = profile[first : last + 1], normal[first : last + 1]
        points = _around(piece, compass)
        length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(piece, axis=0), axis=1))])
        if piece[0, 0] == 0.0 or piece[-1, 0] == 0.0:
            radius = length if piece[0, 0] == 0.0 else length[-1] - length
            side = 1.0 if piece[0, 0] == 0.0 else -1.0
            flat = radius[:, None, None] * compass * [side, 1.0]
        else:
            circumference = 2 * np.pi * np.average((piece[1:, 0] + piece[:-1, 0]) / 2, weights=np.diff(length))
            across = np.linspace(0.0, circumference, segments + 1)
            flat = np.stack(np.broadcast_arrays(across[None], -length[:, None]), axis=-1)
        sheets.append(Sheet(points, _around(bent, compass), flat))
    return sheets


def _around(profile: np.ndarray, compass: np.ndarray) -> np.ndarray:
    radius, height = profile[:, None, 0], np.broadcast_to(profile[:, None, 1], (len(profile), len(compass)))
    return np.stack([radius * compass[:, 0], height, radius * compass[:, 1]], axis=-1)


def join(sheets: Sequence[Sheet], material: str, colour: tuple[float, float, float], roughness: float) -> Part:
    """All sheets as one part, their charts packed into the unit square."""
    vertices = np.concatenate([sheet.points.reshape(-1, 3) for sheet in sheets])
    normals = np.concatenate([sheet.normals.reshape(-1, 3) for sheet in sheets])
    faces, start = [], 0
    for sheet in sheets:
        rows, columns = sheet.points.shape[:2]
        index = start + np.arange(rows * columns).reshape(rows, columns)
        a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
        faces += [np.stack([a, b, c], axis=-1).reshape(-1, 3), np.stack([a, c, d], axis=-1).reshape(-1, 3)]
        start += rows * columns
    triangles = np.concatenate(faces)
    chart = np.repeat(np.arange(len(sheets)), [sheet.points[..., 0].size for sheet in sheets])
    uv = pack(np.concatenate([sheet.flat.reshape(-1, 2) for sheet in sheets]), triangles, chart)
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    triangles = triangles[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-12]  # quads at a pole have one side of no length
    used, triangles = np.unique(triangles, return_inverse=True)
    return Part(material, colour, vertices[used], normals[used], triangles.reshape(-1, 3), uv[used], roughness)


def pack(flat: np.ndarray, faces: np.ndarray, chart: np.ndarray) -> np.ndarray:
    """Lay charts out in the unit square at the largest common scale: uv [N, 2], v down.

    `flat` [N, 2] are isometric coordinates with y up, `chart` [N] says whose they are; mirrored charts are mirrored back. Charts
    come largest first; each may be turned by quarters and drops to where it lies lowest on the skyline of those before it,
    PADDING_PX apart at ATLAS_PX.
    """
    edges = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0)
    corner = flat[faces]
    doubled = np.linalg.det(corner[:, 1:] - corner[:, :1])
    mirrored = np.bincount(chart[faces[:, 0]], weights=doubled) < 0
    charts = []
    for k in range(chart.max() + 1):
        members, inner = np.flatnonzero(chart == k), edges[chart[edges[:, 0]] == k]
        turn = _tight_turn(flat[members]) * ([[-1.0, 1.0]] if mirrored[k] else 1.0)
        along = [flat[inner[:, 0]] * (1 - t) + flat[inner[:, 1]] * t for t in np.linspace(0, 1, 9)]
        dense = np.concatenate(along) @ turn
        charts.append((members, turn, dense, np.prod(np.ptp(dense, axis=0))))
    charts.sort(key=lambda c: -c[3])
    high = 1.0 / np.sqrt(sum(c[3] for c in charts)) * 1.5
    low, best = 0.0, None
    while best is None or high - low > 0.01 * high:
        middle = (low + high) / 2
        places = _drop([c[2] * middle * ATLAS_PX for c in charts])
        low, high, best = (low, middle, best) if places is None else (middle, high, (middle, places))
    scale, places = best
    uv = np.empty_like(flat)
    for (members, turn, _, _), (quarter, shift) in zip(charts, places, strict=True):
        uv[members] = flat[members] @ turn @ quarter * scale + shift / ATLAS_PX
    return np.stack([uv[:, 0], 1.0 - uv[:, 1]], axis=1)


def _tight_turn(flat: np.ndarray) -> np.ndarray:
    """The rotation [2, 2] that makes the bounding box of points [N, 2] smallest, in steps of 3 degrees."""
    turns = [np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) for a in np.radians(np.arange(0, 90, 3))]
    return min(turns, key=lambda turn: np.prod(np.ptp(flat @ turn, axis=0)))


def _drop(charts: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]] | None:
    """Quarter turns [2, 2] and shifts [2] that place charts (points in pixels) on a skyline, or None when they do not fit."""
    half, places = PADDING_PX / 2, []
    skyline = np.full(ATLAS_PX, half)
    for points in charts:
        options = []
        for turn in (np.eye(2), np.array([[0.0, 1.0], [-1.0, 0.0]]), -np.eye(2), np.array([[0.0, -1.0], [1.0, 0.0]])):
            turned_points = points @ turn
            corner = turned_points.min(axis=0)
            local = turned_points - corner
            width = int(np.ceil(local[:, 0].max() + 2 * half)) + 1
            if width > ATLAS_PX or local[:, 1].max() + 2 * half > ATLAS_PX:
                continue
            bottom, top = _profiles(local, width, int(half))
            start = np.lib.stride_tricks.sliding_window_view(skyline, width)
            rest = (start - bottom).max(axis=1)
            x = int(np.argmin(rest + 1e-3 * np.arange(len(rest))))
            options.append((rest[x] + top.max(), rest[x], x, top, turn, corner))
        if not options:
            return None
        height, rest, x, top, turn, corner = min(options, key=lambda o: (o[0], o[1]))
        if height > ATLAS_PX:
            return None
        skyline[x : x + len(top)] = np.maximum(skyline[x : x + len(top)], rest + top)
        places.append((turn, np.array([x + half, rest]) - corner))
    return places


def _profiles(points: np.ndarray, width: int, half: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest point over each of `width` columns, widened by `half` columns to both sides; the gap above included."""
    column = np.floor(points[:, 0]).astype(int) + half
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    np.minimum.at(low, column, points[:, 1])
    np.maximum.at(high, column, points[:, 1])
    known = np.flatnonzero(np.isfinite(low))
    low, high = (np.interp(np.arange(width), known, v[known]) for v in (low, high))
    reach = np.pad(low, half + 1, mode="edge"), np.pad(high, half + 1, mode="edge")
    low = np.lib.stride_tricks.sliding_window_view(reach[0], 2 * half + 3).min(axis=1)
    high = np.lib.stride_tricks.sliding_window_view(reach[1], 2 * half + 3).max(axis=1)
    return low - 1.0, high + 2 * half + 1.0
