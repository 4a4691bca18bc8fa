"""Random shapes to paint on, and what eight cameras see of them: the rigs that a generator learns on.

Every shape is one of the implicit forms, meshed by marching cubes. `make_rigs` draws them through the studio's own renderer on
all cores into one memory-mapped file, so a resumed run reads it again. The sample meshes that ship with the studio are not among
them.
"""

from __future__ import annotations

import math
import os
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from studio.camera import Camera, looking_along, sphere_directions
from studio.errors import MeshError
from studio.pretrain.forms import gradient, random_form, rotation
from studio.surface.ambient import openness
from studio.surface.curvature import sharpness
from studio.surface.mesh import Mesh

GRID = 72
VIEWS = 8
CHANNELS = 9  # position 3, normal 3, mask, curvature, openness
FEWEST_FACES = 500
REACH = 1.15  # the grid spans −REACH … REACH


def shape(seed: int) -> Mesh:
    """The shape of this seed, about 5,000 to 30,000 triangles, in work space without UVs."""
    import igl

    axis = np.linspace(-REACH, REACH, GRID)
    z, y, x = (v.ravel() for v in np.meshgrid(axis, axis, axis, indexing="ij"))
    grid = np.stack([x, y, z], -1)
    rim = (np.abs(grid) > REACH * 0.985).any(-1)
    for attempt in range(100):
        r = np.random.default_rng([seed, attempt])
        field = random_form(r)
        values = field(grid)
        values[rim] = np.maximum(values[rim], 0.05)  # closed where the shape leaves the grid
        if values.min() > -0.02:
            continue
        vertices, faces, _ = igl.marching_cubes(values, grid, GRID, GRID, GRID, 0.0)
        extent = np.ptp(vertices, axis=0)
        if len(faces) < FEWEST_FACES or extent.min() < 0.12 * extent.max():
            continue
        corners = vertices[faces]
        inner = 0.8 * corners + 0.2 * corners.mean(1, keepdims=True)  # so that creases stay creases
        normals = gradient(field, inner.reshape(-1, 3)).reshape(-1, 3, 3)
        facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        if np.einsum("fi,fi->", facing, normals.mean(1)) < 0:
            faces, normals = faces[:, ::-1], normals[:, ::-1]
        try:
            return Mesh.from_arrays(vertices, faces, corner_normals=normals, name=f"shape {seed}")
        except MeshError:  # nothing but slivers
            continue
    raise AssertionError(f"no shape from seed {seed}")


def cameras(seed: int) -> tuple[Camera, ...]:
    """Eight well-spread cameras, ordered so that the first four, five … of them are spread as well.

    A jittered ring, two staggered rings, a ring with the poles, a turned Fibonacci sphere, or, like the studio's own choice of
    painting cameras, directions of a subdivided icosahedron, each far from those before.
    """
    r = np.random.default_rng([seed, 1000])
    kind, start, tilt = r.integers(5), r.uniform(0, 360), r.uniform(-15, 35)
    if kind == 4:
        d = sphere_directions()
        spread = d[_spread(d, first=int(r.integers(len(d))), count=VIEWS)]
    elif kind == 3:
        i = np.arange(VIEWS) + 0.5
        y, angle = 1 - 2 * i / VIEWS, math.pi * (1 + 5**0.5) * i
        flat = np.sqrt(1 - y**2)
        spread = np.stack([flat * np.cos(angle), y, flat * np.sin(angle)], -1) @ rotation(r)
    else:
        count = VIEWS - 2 if kind == 2 else VIEWS
        level = np.where(np.arange(count) % 2 == 0, 1, -1) * r.uniform(20, 40) if kind == 1 else np.full(count, tilt)
        ring = [(start + 360 * k / count + r.normal() * 5, level[k] + r.normal() * 6) for k in range(count)]
        poles = [(r.uniform(0, 360), s * r.uniform(60, 89)) for s in (1, -1)] if kind == 2 else []
        spread = np.stack([Camera(a, float(np.clip(e, -89, 89))).direction() for a, e in ring + poles])
    order = _spread(spread, first=int(r.integers(len(spread))), count=VIEWS)
    return tuple(looking_along(spread[k] + r.normal(size=3) * 0.04) for k in order)


def _spread(directions: np.ndarray, *, first: int, count: int) -> list[int]:
    """`count` of the directions [n, 3], each the farthest from all before it."""
    chosen, nearest = [first], np.full(len(directions), -2.0)
    while len(chosen) < count:
        nearest = np.maximum(nearest, directions @ directions[chosen[-1]])
        nearest[chosen] = 2.0
        chosen.append(int(nearest.argmin()))
    return chosen


@lru_cache(maxsize=2)
def vertex_fields(mesh: Mesh) -> np.ndarray:
    """Normalised mean curvature and openness of every vertex: [N, 2] float32."""
    return np.stack([sharpness(mesh), openness(mesh)], -1)


def seen(mesh: Mesh, views: tuple[Camera, ...], size_px: int) -> np.ndarray:
    """What the network gets of the mesh: [V, 9, h, w] float16, zero outside the mask. Curvature and openness are interpolated
    from the vertices."""
    import torch

    from studio.renderers import SOCKET

    f = SOCKET.make("embree").build(torch.device("cpu")).rasterize(mesh, views, size_px)
    table = torch.from_numpy(vertex_fields(mesh)[mesh.faces])
    found = torch.zeros(*f.mask.shape, 2)
    found[f.mask] = f.at_hits(table)
    facts = torch.cat([f.position, f.normal, torch.ones_like(f.position[..., :1]), found], -1) * f.mask[..., None]
    return facts.movedim(-1, 1).half().numpy()


def _draw(task: tuple[Path, int, int, int]) -> None:
    """One worker's rig, written in place into the memory-mapped file."""
    path, row, seed, size_px = task
    rigs = np.lib.format.open_memmap(path, mode="r+")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        rigs[row] = seen(shape(seed), cameras(seed), size_px)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def make_rigs(path: Path, count: int, *, size_px: int, seed: int = 0, workers: int | None = None) -> np.ndarray:
    """`count` rigs [count, 8, 9, h, w] float16, memory-mapped at `path`; read if they are there, else drawn on all cores."""
    expected = (count, VIEWS, CHANNELS, size_px, size_px)
    if path.exists():
        rigs = np.load(path, mmap_mode="r")
        if rigs.shape == expected:
            return rigs
    partial = path.with_suffix(".part.npy")
    np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=expected)
    tasks = [(partial, row, seed + row, size_px) for row in range(count)]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ProcessPoolExecutor(workers or os.cpu_count(), get_context("spawn"), _one_thread) as pool:
        for _ in pool.map(_draw, tasks, chunksize=4):
            pass
    os.replace(partial, path)
    return np.load(path, mmap_mode="r")
