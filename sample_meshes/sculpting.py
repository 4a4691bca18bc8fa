"""From signed distance fields to well-shaped triangles."""

from __future__ import annotations

from collections.abc import Sequence

import igl
import numpy as np
from fields import Field

BLOCK = 4  # cells along the edge of a block that is either sampled throughout or left out


def sculpt(
    field: Field, lower: Sequence[float], upper: Sequence[float], *, cell: float, faces: int, mirror: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mesh the zero set of `field` in a box with about `faces` triangles: vertices [N, 3], normals [N, 3], faces [F, 3].

    Marching cubes on cells of `cell` metres, Newton steps onto the surface, decimation by quadrics (small triangles where the
    surface bends), then rounds of Newton steps, flips and mending of folds: no stair-steps survive, edges follow the form, and
    normals are the field's gradient. With `mirror` (an axis) only the positive half is meshed and then reflected, so that the
    result is symmetric to the last bit.
    """
    low, high = np.array(lower, dtype=float), np.array(upper, dtype=float)
    if mirror is not None:
        low[mirror] = 0.0
    vertices, triangles = _marching_cubes(field, low, high, cell)
    target = faces if mirror is None else faces // 2
    vertices = _project(field, vertices, _rim(vertices, triangles), mirror, cell)
    for collapse, count in ((igl.qslim, round(1.03 * target)), (igl.decimate, target)):  # the latter takes the shortest edges
        vertices, triangles = collapse(np.asfortranarray(vertices), np.asfortranarray(triangles.astype(np.int32)), count)[:2]
    rim = _rim(vertices, triangles)
    if mirror is not None:
        vertices[rim, mirror] = 0.0
    for _ in range(6):
        vertices = _project(field, vertices, rim, mirror, cell)
        triangles = _flip(vertices, _normals(field, vertices, cell), triangles)
        vertices = _unfold(vertices, _normals(field, vertices, cell), triangles, rim)
    vertices = _project(field, vertices, rim, mirror, cell)
    if mirror is not None:
        vertices, triangles = _reflect(vertices, triangles, rim, mirror)
    if volume(vertices, triangles) < 0:
        triangles = triangles[:, ::-1]
    normals = _normals(field, vertices, cell)
    if mirror is not None:
        normals[vertices[:, mirror] == 0.0, mirror] = 0.0
    return vertices, normals / np.linalg.norm(normals, axis=1, keepdims=True), triangles


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Signed volume enclosed by a closed mesh, positive when its faces turn outward."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return float(np.sum(a * np.cross(b, c)) / 6.0)


def _marching_cubes(field: Field, low: np.ndarray, high: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """Exact values only near the surface: one sample in the middle of each block of cells says whether the block is needed."""
    blocks = np.ceil((high - low) / (BLOCK * cell)).astype(int)
    size = BLOCK * blocks + 1
    coarse = field(low + BLOCK * cell * (_lattice(blocks) + 0.5)).reshape(blocks[::-1]).transpose(2, 1, 0)
    values = np.pad(np.kron(coarse, np.ones((BLOCK, BLOCK, BLOCK))), [(0, 1)] * 3, mode="edge")
    needed = np.zeros(size, dtype=bool)
    for x, y, z in BLOCK * np.argwhere(np.abs(coarse) < BLOCK * cell):
        needed[x : x + BLOCK + 1, y : y + BLOCK + 1, z : z + BLOCK + 1] = True
    index = np.argwhere(needed)
    values[needed] = np.concatenate([field(low + cell * part) for part in np.array_split(index, len(index) // 100_000 + 1)])
    # A value of exactly zero would give triangles without area.
    values[np.abs(values) < 1e-3 * cell] = 1e-3 * cell
    grid = np.ascontiguousarray(low + cell * _lattice(size))
    vertices, triangles, _ = igl.marching_cubes(values.transpose(2, 1, 0).ravel().copy(), grid, *map(int, size), 0.0)
    return vertices, triangles


def _lattice(size: np.ndarray) -> np.ndarray:
    """Integer grid points [X*Y*Z, 3], x running fastest."""
    return np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), axis=-1).transpose(2, 1, 0, 3).reshape(-1, 3)


def _normals(field: Field, points: np.ndarray, cell: float) -> np.ndarray:
    moves = np.eye(3) * 0.6 * cell
    gradient = np.stack([field(points + move) - field(points - move) for move in moves], axis=1)
    return gradient / np.linalg.norm(gradient, axis=1, keepdims=True)


def _project(field: Field, vertices: np.ndarray, rim: np.ndarray, mirror: int | None, cell: float) -> np.ndarray:
    """One Newton step of at most half a cell towards the zero set; the rim [N] stays on the mirror plane."""
    value, small = field(vertices), 0.02 * cell
    gradient = np.stack([field(vertices + move) - value for move in np.eye(3) * small], axis=1) / small
    step = value[:, None] * gradient / np.maximum(np.sum(gradient**2, axis=1, keepdims=True), 0.05)
    step *= np.minimum(1.0, 0.5 * cell / np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-12))
    if mirror is not None:
        step[rim, mirror] = 0.0
    return vertices - step


def _rim(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Which vertices [N] lie on an open border."""
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    pairs, count = np.unique(edges, axis=0, return_counts=True)
    on_rim = np.zeros(len(vertices), dtype=bool)
    on_rim[pairs[count == 1]] = True
    return on_rim


def _flip(vertices: np.ndarray, normals: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Flip edges until the triangles lean as the surface does: each flip lowers area times (1 - face normal . vertex normals)."""
    triangles = np.array(triangles)
    slack = 0.05 * np.median(_misfit(vertices, 0 * normals, *triangles.T)[0])
    for _ in range(8):
        start, end, tip = (triangles[:, [k, (k + 1) % 3, (k + 2) % 3]].T.ravel() for k in range(3))
        owner = np.tile(np.arange(len(triangles)), 3)
        key, back = start * len(vertices) + end, end * len(vertices) + start
        order = np.argsort(key)
        twin = order[np.minimum(np.searchsorted(key, back, sorter=order), len(key) - 1)]
        half = np.flatnonzero((key[twin] == back) & (start < end))
        i, j, c, d = start[half], end[half], tip[half], tip[twin[half]]
        (old, sliver), (new, thin) = (
            np.sum([_misfit(vertices, normals, *corners) for corners in pair], axis=0)
            for pair in (((i, j, c), (j, i, d)), ((c, i, d), (d, j, c)))
        )
        fresh = ~np.isin(c * len(vertices) + d, key) & ~np.isin(d * len(vertices) + c, key)
        mend = (sliver > thin) & (new < 1.5 * old + slack)
        wanted = np.flatnonzero(((new < 0.9 * old) & (thin == 0) | mend) & fresh)
        wanted = wanted[np.argsort((new - old)[wanted], kind="stable")]
        faces = np.stack([owner[half[wanted]], owner[twin[half[wanted]]]], axis=1)
        rank = np.full(len(triangles), len(wanted))
        np.minimum.at(rank, faces, np.arange(len(wanted))[:, None])
        free = np.all(rank[faces] == np.arange(len(wanted))[:, None], axis=1)
        _, first = np.unique(np.sort(np.stack([c, d])[:, wanted], axis=0), axis=1, return_index=True)
        free[np.setdiff1d(np.arange(len(wanted)), first)] = False  # no edge is made twice
        wanted, faces = wanted[free], faces[free]
        if not len(wanted):
            break
        i, j, c, d = i[wanted], j[wanted], c[wanted], d[wanted]
        triangles[faces[:, 0]], triangles[faces[:, 1]] = np.stack([c, i, d], axis=1), np.stack([d, j, c], axis=1)
    return triangles


def _misfit(vertices: np.ndarray, normals: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Area times departure from the vertex normals, and whether the triangle is too thin: [2, N]."""
    cross = np.cross(vertices[b] - vertices[a], vertices[c] - vertices[a])
    area = np.linalg.norm(cross, axis=1)
    longest = np.max([np.sum((vertices[p] - vertices[q]) ** 2, axis=1) for p, q in ((a, b), (b, c), (c, a))], axis=0)
    lean = sum(np.sum(cross * normals[k], axis=1) for k in (a, b, c)) / 3
    return np.stack([area - lean, area < 0.08 * longest])


def _unfold(vertices: np.ndarray, normals: np.ndarray, triangles: np.ndarray, rim: np.ndarray) -> np.ndarray:
    """Move the corners of slivers and of triangles that face away from the surface half way to their neighbours' mean."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    cross = np.cross(b - a, c - a)
    lean = np.min([np.sum(cross * normals[triangles[:, k]], axis=1) for k in range(3)], axis=0)
    folded = np.zeros(len(vertices), dtype=bool)
    area, longest = np.linalg.norm(cross, axis=1), np.max([np.sum(e**2, axis=1) for e in (b - a, c - b, a - c)], axis=0)
    folded[triangles[(lean < 0.4 * area) | (area < 0.02 * longest)]] = True
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    edges = np.concatenate([edges, edges[:, ::-1]])
    total = np.zeros_like(vertices)
    np.add.at(total, edges[:, 0], vertices[edges[:, 1]])
    count = np.bincount(edges[:, 0], minlength=len(vertices))
    move = folded & ~rim
    return np.where(move[:, None], (vertices + total / np.maximum(count, 1)[:, None]) / 2, vertices)


def _reflect(vertices: np.ndarray, triangles: np.ndarray, rim: np.ndarray, mirror: int) -> tuple[np.ndarray, np.ndarray]:
    """The half and its mirror image, sewn at the rim; a triangle that lies in the mirror plane would double itself and goes."""
    triangles = triangles[~rim[triangles].all(axis=1)]
    image = np.arange(len(vertices))
    image[~rim] = len(vertices) + np.arange(np.count_nonzero(~rim))
    flip = np.ones(3)
    flip[mirror] = -1.0
    return np.concatenate([vertices, vertices[~rim] * flip]), np.concatenate([triangles, image[triangles][:, ::-1]])
