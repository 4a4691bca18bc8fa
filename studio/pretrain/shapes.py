"""Random shapes to paint on, and what six cameras see of them.

Every shape is an implicit function on a grid, meshed by marching cubes: smooth blends of primitives, lathes, sweeps, bevelled
boxes and assemblies of these. `make_rigs` draws them through the studio's own renderer on all cores into one memory-mapped file,
so a resumed run reads it again. The sample meshes that ship with the studio are not among them.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from studio.camera import Camera, looking_along
from studio.errors import MeshError
from studio.surface.mesh import Mesh

Field = Callable[[np.ndarray], np.ndarray]
"""Points [N, 3] → values [N], negative inside, about the distance to the surface."""

GRID = 72
VIEWS = 6
CHANNELS = 7  # position, normal, mask
FEWEST_FACES = 500
REACH = 1.15  # the grid spans −REACH … REACH


def rotation(r: np.random.Generator) -> np.ndarray:
    """A random rotation [3, 3]."""
    q, s = np.linalg.qr(r.normal(size=(3, 3)))
    q *= np.sign(np.diag(s))
    return q if np.linalg.det(q) > 0 else -q


def primitive(r: np.random.Generator) -> Field:
    """An ellipsoid, rounded box, capsule, cone or torus of random size, upright or turned, around the origin."""
    kind, turn = r.integers(5), rotation(r) if r.random() < 0.5 else np.eye(3)
    a, b, c = r.uniform(0.18, 0.5, 3)
    bevel = r.uniform(0.02, 0.12)

    def field(p: np.ndarray) -> np.ndarray:
        x, y, z = (p @ turn).T
        flat = np.hypot(x, z)
        if kind == 0:
            k = np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2)
            return (k - 1) * min(a, b, c)
        if kind == 1:
            d = np.stack([np.abs(x) - a, np.abs(y) - b, np.abs(z) - c], -1) + bevel
            return np.linalg.norm(np.maximum(d, 0), axis=-1) + np.minimum(d.max(-1), 0) - bevel
        if kind == 2:
            return np.sqrt(x**2 + (y - np.clip(y, -b, b)) ** 2 + z**2) - 0.5 * a
        if kind == 3:
            lean = a / (2 * b)
            return np.maximum((flat - lean * (b - y)) / math.hypot(1, lean), np.abs(y) - b)
        return np.hypot(flat - a, y) - 0.35 * c

    return field


def moved(field: Field, to: np.ndarray) -> Field:
    return lambda p: field(p - to)


def blend(a: np.ndarray, b: np.ndarray, k: float) -> np.ndarray:
    """Polynomial smooth minimum of two fields with radius k."""
    h = np.clip(0.5 + 0.5 * (b - a) / k, 0, 1)
    return b + (a - b) * h - k * h * (1 - h)


def blob(r: np.random.Generator) -> Field:
    """Two to six primitives grown together, each starting from an earlier one; sometimes mirrored like an animal."""
    parts, at = [], np.zeros(3)
    places = [at]
    for _ in range(r.integers(2, 7)):
        parts.append(moved(primitive(r), at))
        at = places[r.integers(len(places))] + rotation(r)[0] * r.uniform(0.25, 0.55)
        places.append(at)
    k, mirrored = float(np.exp(r.uniform(np.log(0.02), np.log(0.25)))), r.random() < 0.5

    def field(p: np.ndarray) -> np.ndarray:
        q = p * [1, 1, 1]
        if mirrored:
            q[:, 0] = np.abs(q[:, 0])
        out = parts[0](q)
        for part in parts[1:]:
            out = blend(out, part(q), k)
        return out

    return field


def lathe(r: np.random.Generator) -> Field:
    """A turned profile, solid or hollow and open at the top, now and then with a handle."""
    knots = r.uniform(0.2, 0.75, r.integers(4, 8))
    top, wall = r.uniform(0.5, 0.95), r.uniform(0.06, 0.12)
    hollow, handle = r.random() < 0.5, r.random() < 0.3
    from scipy.interpolate import PchipInterpolator

    profile = PchipInterpolator(np.linspace(-top, top, len(knots)), knots)

    def field(p: np.ndarray) -> np.ndarray:
        x, y, z = p.T
        flat, radius = np.hypot(x, z), profile(np.clip(y, -top, top))
        out = np.maximum(flat - radius, np.abs(y) - top)
        if hollow:
            out = np.maximum(out, -np.maximum(flat - radius + wall, -y - top + wall))
        if handle:
            ring = np.hypot(np.hypot(x - knots.mean() - 0.1, y) - 0.3, z) - 0.07
            out = np.where(flat > radius - wall, blend(out, ring, 0.05), out)
        return out

    return field


def sweep(r: np.random.Generator) -> Field:
    """A tube along a closed curve (torus knots among them) or an open, wandering one."""
    from scipy.spatial import cKDTree

    t = np.linspace(0, 2 * np.pi, 400)
    if r.random() < 0.5:
        p, q = ((2, 3), (3, 2), (2, 5), (1, 2), (3, 4))[r.integers(5)]
        k = 0.55 + 0.25 * np.cos(q * t)
        curve = np.stack([k * np.cos(p * t), k * np.sin(p * t), 0.3 * np.sin(q * t)], -1)
        width = r.uniform(0.08, 0.15)
    else:
        waves = r.normal(size=(3, 3, 2)) / np.arange(1, 4)[:, None, None]
        span = t * r.choice([0.5, 1.0])
        angles = [span[:, None] * (k + 1) for k in range(3)]
        curve = sum(np.cos(angle) * w[:, 0] + np.sin(angle) * w[:, 1] for angle, w in zip(angles, waves, strict=True))
        curve = 0.75 * curve / np.abs(curve).max()
        width = r.uniform(0.1, 0.22)
    tree = cKDTree(curve @ rotation(r))
    return lambda p: tree.query(p)[0] - width


def boxes(r: np.random.Generator) -> Field:
    """Furniture-like: a few bevelled, axis-aligned boxes and posts, often mirrored left and right."""
    n = r.integers(2, 7)
    centre, half = r.uniform(-0.55, 0.55, (n, 3)), np.exp(r.uniform(np.log(0.07), np.log(0.55), (n, 3)))
    bevel, mirrored = r.uniform(0.0, 0.06), r.random() < 0.6

    def field(p: np.ndarray) -> np.ndarray:
        q = np.abs(p) * [1, 0, 0] + p * [0, 1, 1] if mirrored else p
        d = np.abs(q[:, None] - centre) - half + bevel
        return (np.linalg.norm(np.maximum(d, 0), axis=-1) + np.minimum(d.max(-1), 0) - bevel).min(1)

    return field


def assembly(r: np.random.Generator) -> Field:
    """Two to four primitives stacked upward, touching with hard creases."""
    parts, height = [], -0.6
    for _ in range(r.integers(2, 5)):
        parts.append(moved(primitive(r), np.array([r.normal() * 0.08, height, r.normal() * 0.08])))
        height += r.uniform(0.3, 0.5)
    return lambda p: np.min([part(p) for part in parts], axis=0)


KINDS = (blob, blob, blob, blob, lathe, lathe, lathe, sweep, boxes, assembly, assembly)


def gradient(field: Field, p: np.ndarray, h: float = 0.01) -> np.ndarray:
    """Unit gradient [N, 3] of the field at p by central differences."""
    g = np.stack([field(p + step) - field(p - step) for step in np.eye(3) * h], -1)
    return g / np.maximum(np.linalg.norm(g, axis=-1, keepdims=True), 1e-9)


def shape(seed: int) -> Mesh:
    """The shape of this seed, about 5,000 to 30,000 triangles, in work space without UVs."""
    import igl

    axis = np.linspace(-REACH, REACH, GRID)
    z, y, x = (v.ravel() for v in np.meshgrid(axis, axis, axis, indexing="ij"))
    grid = np.stack([x, y, z], -1)
    rim = (np.abs(grid) > REACH * 0.985).any(-1)
    for attempt in range(100):
        r = np.random.default_rng([seed, attempt])
        field = KINDS[r.integers(len(KINDS))](r)
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
    """Six well-spread directions: a jittered ring, a ring with the poles, or a turned Fibonacci sphere."""
    r = np.random.default_rng([seed, 1000])
    kind, start = r.integers(3), r.uniform(0, 360)
    if kind == 2:
        i = np.arange(VIEWS) + 0.5
        y, angle = 1 - 2 * i / VIEWS, math.pi * (1 + 5**0.5) * i
        flat = np.sqrt(1 - y**2)
        spread = np.stack([flat * np.cos(angle), y, flat * np.sin(angle)], -1) @ rotation(r)
        return tuple(looking_along(d + r.normal(size=3) * 0.08) for d in spread)
    count = VIEWS if kind == 0 else VIEWS - 2
    ring = [Camera(start + 360 * k / count + r.normal() * 6, (15 if kind == 0 else 5) + r.normal() * 12) for k in range(count)]
    poles = [] if kind == 0 else [Camera(r.uniform(0, 360), s * r.uniform(55, 89)) for s in (1, -1)]
    return tuple(ring + poles)


def seen(mesh: Mesh, views: tuple[Camera, ...], size_px: int) -> np.ndarray:
    """What the network gets of the mesh: [V, 7, h, w] float16, zero outside the mask."""
    import torch

    from studio.renderers import SOCKET

    f = SOCKET.make("embree").build(torch.device("cpu")).rasterize(mesh, views, size_px)
    facts = torch.cat([f.position, f.normal, torch.ones_like(f.position[..., :1])], -1) * f.mask[..., None]
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
    """`count` rigs [count, 6, 7, h, w] float16, memory-mapped at `path`; read if they are there, else drawn on all cores."""
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
