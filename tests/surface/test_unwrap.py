"""Unwrapping in a process: what the UVs are, and that it can be stopped, timed out and fail with words."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from studio.errors import StudioError
from studio.surface import unwrap as module
from studio.surface._unwrap_worker import unwrapped
from studio.surface.health import _texels, health
from studio.surface.mesh import Mesh
from studio.surface.unwrap import UnwrapProgress, needs_unwrap, unwrap
from tests.meshes import cube, two_set_box, uv_sphere


def without_uv(mesh: Mesh) -> Mesh:
    return dataclasses.replace(mesh, corner_uv=None)


def finished(steps) -> tuple[Mesh, list[UnwrapProgress]]:
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as stop:
            return stop.value, seen


def chart_of_faces(uv: np.ndarray) -> np.ndarray:
    """[F] chart numbers: faces joined where they share a corner in UV."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _, corner = np.unique(np.round(uv.reshape(-1, 2) * 1e6), axis=0, return_inverse=True)
    ends = corner.reshape(-1, 3)[:, [0, 1, 0, 2]].reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(corner.max() + 1,) * 2)
    return connected_components(graph, directed=False)[1][corner.reshape(-1, 3)[:, 0]]


def smallest_gap(uv: np.ndarray, size_px: int) -> int:
    """The fewest empty texels between two charts, and between a chart and the border counted twice."""
    from scipy.ndimage import maximum_filter, minimum_filter

    face, x, y = _texels(uv.astype(float) * size_px)
    owner = np.zeros((size_px, size_px), np.int32)
    owner[y, x] = chart_of_faces(uv)[face] + 1
    border = min(x.min(), y.min(), size_px - 1 - x.max(), size_px - 1 - y.max())
    big = np.where(owner == 0, 10**6, owner)
    for gap in range(size_px):
        # A window of gap + 2 texels that holds two charts spans at most `gap` empty ones.
        most, least = maximum_filter(owner, gap + 2), minimum_filter(big, gap + 2)
        if ((most > 0) & (least < 10**6) & (most != least)).any():
            return min(gap, 2 * int(border))
    return 2 * int(border)


@pytest.mark.parametrize("mesh", [two_set_box(3), uv_sphere(32, 16)], ids=lambda m: m.name)
def test_unwrapped_mesh(mesh: Mesh) -> None:
    """Every set fills its own square with unmirrored charts that never overlap, and everything else is as it was."""
    bare = without_uv(mesh)
    result, seen = finished(unwrap(bare))
    report = health(result)
    assert report.uv_overlap == report.uv_flipped == report.uv_outside == report.uv_zero == 0
    assert report.density_spread < 2.5 and needs_unwrap(result) is None
    assert result.repairs[-1] == "The mesh has no UVs. It was unwrapped with xatlas."
    assert result.vertices is mesh.vertices and result.source is mesh.source and result.hash != bare.hash
    for number in range(len(mesh.sets)):
        assert np.ptp(result.corner_uv[mesh.face_set == number], axis=(0, 1)).max() > 0.9
    assert seen[-1].done == seen[-1].total == len(mesh.faces)
    assert all(a.done <= b.done and a.seconds <= b.seconds for a, b in zip(seen, seen[1:], strict=False))


@pytest.mark.parametrize("size_px", [256, 1024])
def test_padding(size_px: int) -> None:
    for mesh in (cube(3), uv_sphere(24, 12)):
        uv = unwrapped(mesh.vertices, mesh.faces, padding_px=4, size_px=size_px)
        assert smallest_gap(uv, size_px) >= 4


def test_faces_without_area_do_not_disturb() -> None:
    box = cube(2)
    faces = np.insert(box.faces, 5, [0, 0, 1], axis=0)
    uv = unwrapped(box.vertices, faces, padding_px=4, size_px=512)
    assert (uv[5] == 0).all()
    np.testing.assert_array_equal(np.delete(uv, 5, axis=0), unwrapped(box.vertices, box.faces, padding_px=4, size_px=512))
    assert (unwrapped(box.vertices, np.zeros((2, 3), int), padding_px=4, size_px=512) == 0).all()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[subprocess.Popen]:
    """The processes that `unwrap` starts; modules in tmp_path come before the real ones there."""
    processes, popen = [], subprocess.Popen

    def recorded(*args, env, **kwargs) -> subprocess.Popen:
        process = popen(*args, env={**env, "PYTHONPATH": f"{tmp_path}{os.pathsep}{env['PYTHONPATH']}"}, **kwargs)
        processes.append(process)
        return process

    monkeypatch.setattr(module.subprocess, "Popen", recorded)
    return processes


def test_closing_the_generator_ends_the_process(started: list[subprocess.Popen]) -> None:
    steps = unwrap(without_uv(uv_sphere(200, 100)))
    assert isinstance(next(steps), UnwrapProgress) and started[0].poll() is None
    before = time.monotonic()
    steps.close()
    assert started[0].poll() is not None and time.monotonic() - before < 2


def test_time_limit(started: list[subprocess.Popen]) -> None:
    with pytest.raises(StudioError, match="took longer than 0.3 s") as error:
        finished(unwrap(without_uv(uv_sphere(200, 100)), time_limit_s=0.3))
    assert "Allow more time" in error.value.remedy and started[0].poll() is not None


@pytest.mark.parametrize(
    ("xatlas", "said"),
    [("import os\nos.abort()", "xatlas (was )?ended"), ("raise ImportError('no such wheel')", "no such wheel")],
)
def test_a_crash_is_told(started: list[subprocess.Popen], tmp_path: Path, xatlas: str, said: str) -> None:
    """A worker that dies (here of a module in xatlas' place) gives words and a way out."""
    (tmp_path / "xatlas.py").write_text(xatlas)
    with pytest.raises(StudioError, match=said) as error:
        finished(unwrap(without_uv(cube())))
    assert "Blender" in error.value.remedy and started[0].poll() != 0


def test_a_missing_xatlas_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StudioError, match="not installed"):
        finished(unwrap(without_uv(cube())))


def test_needs_unwrap() -> None:
    box = cube()
    assert needs_unwrap(box) is None
    assert needs_unwrap(without_uv(box)) == "The mesh has no UVs."
    uv = box.corner_uv.copy()
    uv[:6] = 0.5
    assert needs_unwrap(box.with_uv(uv, "half")) is None
    uv[:7] = 0.5
    assert needs_unwrap(box.with_uv(uv, "most")) == "The mesh has no usable UVs."
    uv = box.corner_uv.copy()
    uv[0, 0, 0] = np.nan
    assert needs_unwrap(box.with_uv(uv, "NaN")) == "The mesh has no usable UVs."
    assert needs_unwrap(box.with_uv(box.corner_uv * 0 + box.corner_uv[:1] * 3, "tiled, all over each other")) is None


def test_only_sets_without_uvs_are_unwrapped() -> None:
    """A lid without UVs gets some and loses the map that cannot be placed; the walls keep both to the last bit."""
    box = two_set_box(2)
    picture = np.zeros((2, 2, 3), np.uint8)
    uv = np.where(box.face_set[:, None, None] == 1, 0, box.corner_uv)
    sets = tuple(dataclasses.replace(s, base_color=picture) for s in box.sets)
    bare = dataclasses.replace(box, corner_uv=uv, sets=sets)
    assert needs_unwrap(bare) == "The mesh has no usable UVs for material 'lid'."
    result, seen = finished(unwrap(bare))
    np.testing.assert_array_equal(result.corner_uv[box.face_set == 0], box.corner_uv[box.face_set == 0])
    assert result.sets[0].base_color is picture and result.sets[1].base_color is None
    assert needs_unwrap(result) is None and seen[-1].total == (box.face_set == 1).sum()
    assert any("'lid' lie on other UVs" in r for r in result.repairs) and health(result).uv_overlap == 0
