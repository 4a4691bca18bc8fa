"""The sample meshes as the studio loads them: size, shape, UVs and symmetry."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from studio.surface.mesh import Mesh, load
from studio.surface.unwrap import needs_unwrap, unwrap

FOLDER = Path(__file__).parents[1] / "sample_meshes"
NAMES = ("chair", "mug", "mushroom", "rabbit", "robot", "rocket", "torus_knot", "vase")
WITH_UV = tuple(n for n in NAMES if n != "rabbit")
MIRROR_AXIS = {"chair": 0, "mug": 2, "rabbit": 0, "robot": 0, "rocket": 0, "vase": 0}
PADDING = 4 / 1024


@cache
def sample(name: str) -> Mesh:
    return load(FOLDER / f"{name}.glb")


def unwrapped(name: str) -> Mesh:
    """The sample with UVs, given by the studio where it brings none."""
    steps = unwrap(sample(name), size_px=256)
    while needs_unwrap(sample(name)):
        try:
            next(steps)
        except StopIteration as end:
            return end.value
    return sample(name)


def corners(mesh: Mesh) -> np.ndarray:
    """[F, 3, 3] corner positions in the source's metres."""
    T = np.linalg.inv(mesh.T_work_source)
    return (mesh.vertices[mesh.faces].astype(float)) @ T[:3, :3].T + T[:3, 3]


def test_these_are_all_and_small_enough_to_ship() -> None:
    files = sorted(FOLDER.glob("*.glb"))
    assert tuple(f.stem for f in files) == NAMES
    assert sum(f.stat().st_size for f in files) <= 6e6


@pytest.mark.parametrize("name", NAMES)
def test_shape(name: str) -> None:
    mesh = sample(name)
    assert mesh.repairs == ()
    assert 2_000 <= len(mesh.faces) <= 30_000
    p = corners(mesh)
    low, high = p.min(axis=(0, 1)), p.max(axis=(0, 1))
    assert abs(low[1]) < 1e-3, "stands on the floor"
    assert 0.05 < (high - low).max() < 1.0, "metres"

    half_edges = np.concatenate([mesh.faces[:, [i, (i + 1) % 3]] for i in range(3)])
    assert len(np.unique(half_edges, axis=0)) == len(half_edges), "no edge runs twice the same way"
    forward, backward = (np.sort(e @ [len(mesh.vertices), 1]) for e in (half_edges, half_edges[:, ::-1]))
    assert np.array_equal(forward, backward), "watertight: every edge is met by its opposite"
    volume = np.einsum("fi,fi->", p[:, 0], np.cross(p[:, 1], p[:, 2])) / 6
    assert volume > 0, "faces turn outward"


@pytest.mark.parametrize("name", NAMES)
def test_no_slivers_and_normals_agree_with_faces(name: str) -> None:
    p = corners(sample(name))
    cross = np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0])
    twice_area = np.linalg.norm(cross, axis=1)
    longest = np.max([np.sum((p[:, i] - p[:, (i + 1) % 3]) ** 2, axis=1) for i in range(3)], axis=0)
    assert (twice_area / longest).min() > 1e-3
    lean = np.einsum("fkd,fd->fk", sample(name).corner_normals, cross / twice_area[:, None])
    assert np.average(lean.min(axis=1) < 0.5, weights=twice_area) < 0.005
    assert np.abs(np.linalg.norm(sample(name).corner_normals, axis=2) - 1).max() < 1e-4


def test_only_the_rabbit_has_no_uvs_and_only_the_mushrooms_two_materials() -> None:
    assert [n for n in NAMES if sample(n).corner_uv is None] == ["rabbit"]
    assert {n: len(sample(n).sets) for n in NAMES if len(sample(n).sets) > 1} == {"mushroom": 2}


@pytest.mark.parametrize("name", WITH_UV)
def test_uvs_fill_the_unit_square_evenly(name: str) -> None:
    mesh = sample(name)
    assert mesh.corner_uv is not None
    uv, p = mesh.corner_uv.astype(float), corners(mesh)
    assert uv.min() >= PADDING / 2 and uv.max() <= 1 - PADDING / 2

    e, q = uv[:, 1:] - uv[:, :1], p[:, 1:] - p[:, :1]
    first = np.linalg.norm(q[:, 0], axis=1)
    along = np.einsum("fd,fd->f", q[:, 1], q[:, 0]) / first
    height = np.sqrt(np.maximum(np.sum(q[:, 1] ** 2, axis=1) - along**2, 1e-18))
    du = e[:, 0] / first[:, None]
    stretch = np.linalg.svd(np.stack([du, (e[:, 1] - along[:, None] * du) / height[:, None]], axis=2), compute_uv=False)
    area = first * height
    assert np.average(stretch[:, 0] < 2 * stretch[:, 1], weights=area) > 0.97, "little stretch"
    assert (np.linalg.det(e) < 0).all(), "v points down: a face that is not mirrored turns clockwise in (u, v)"
    for s in range(len(mesh.sets)):
        own = mesh.face_set == s
        density = np.sqrt(stretch[own].prod(axis=1))
        assert np.average(np.abs(np.log(density / np.median(density))) < np.log(1.6), weights=area[own]) > 0.97
        assert np.abs(np.linalg.det(e[own])).sum() / 2 > 0.25, "the square is used"


@pytest.mark.parametrize("name", WITH_UV)
def test_charts_neither_overlap_nor_touch(name: str) -> None:
    from studio.surface.atlas import build_atlas

    atlas = build_atlas(sample(name), 1024)
    assert atlas.shared.float().mean() < 1e-4
    for chart in atlas.chart.numpy():
        for dy, dx in ((0, 4), (4, 0), (3, 3), (3, -3), (0, 2), (2, 0)):
            here = chart[: 1024 - dy, max(0, -dx) : 1024 - max(0, dx)]
            there = chart[dy:, max(0, dx) : 1024 - max(0, -dx)]
            assert not ((here >= 0) & (there >= 0) & (here != there)).any()


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_eight_cameras_see_nearly_all_of_it(name: str) -> None:
    """At least 97 % of the reachable texels with at most 8 cameras, chosen on one atlas and measured on another."""
    from studio.coverage import coverage, painting_cameras
    from studio.surface.atlas import build_atlas

    mesh = unwrapped(name)
    cameras = painting_cameras(mesh, build_atlas(mesh, 256))
    assert len(cameras) <= 8 and coverage(mesh, build_atlas(mesh, 200), cameras) >= 0.97


@pytest.mark.parametrize("name", sorted(MIRROR_AXIS))
def test_mirror_symmetry(name: str) -> None:
    p = corners(sample(name)).reshape(-1, 3)
    tolerance = 1e-3 * np.linalg.norm(np.ptp(p, axis=0))
    mirrored = p * np.where(np.arange(3) == MIRROR_AXIS[name], -1.0, 1.0)
    from scipy.spatial import cKDTree

    assert cKDTree(p).query(mirrored)[0].max() < tolerance


def test_fronts_face_forward() -> None:
    """The seat of the chair lies before its back, the rabbit's tail behind its feet, the mug's handle on its right."""
    chair, rabbit, mug = (corners(sample(n)).reshape(-1, 3) for n in ("chair", "rabbit", "mug"))
    assert chair[chair[:, 1] > 0.6, 2].max() < chair[:, 2].mean()
    assert rabbit[rabbit[:, 1] < 0.02, 2].mean() > rabbit[:, 2].mean()
    assert mug[:, 0].max() > -1.5 * mug[:, 0].min()
