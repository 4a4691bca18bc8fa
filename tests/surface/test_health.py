"""The health report against meshes whose faults are known exactly."""

from __future__ import annotations

import time

import numpy as np
import pytest

from studio.surface.health import OVERLAP_LIMIT, degenerate_faces, duplicate_faces, health, uv_overlap
from studio.surface.mesh import Material, Mesh
from tests.meshes import cube, cylinder, quad, two_set_box, uv_sphere

SQUARE = np.array([[0, 0], [0, 1], [1, 1], [0, 0], [1, 1], [1, 0]], float).reshape(2, 3, 2)


def squares(*places: tuple[float, float], sets: tuple[int, ...] | None = None) -> Mesh:
    """Unit squares side by side in space, whose UVs are unit squares / 4 with their corners at `places` / 4."""
    s, t = SQUARE[..., 0], SQUARE[..., 1]
    corners = np.concatenate([np.stack([s + 2 * i, -t, 0 * s], axis=-1) for i in range(len(places))])
    return Mesh.from_arrays(
        corners.reshape(-1, 3),
        np.arange(len(corners) * 3).reshape(-1, 3),
        corner_uv=np.concatenate([SQUARE + p for p in places]) / 4,
        face_set=np.repeat(sets or (0,) * len(places), 2),
        sets=(Material("a"), Material("b")),
    )


@pytest.mark.parametrize(
    ("places", "sets", "percent"),
    [
        ([(0, 0), (0.5, 0)], None, 50),  # two unit squares, half over each other
        ([(0, 0), (0.5, 0.5)], None, 25),
        ([(0, 0), (1, 0)], None, 0),  # neighbours share an edge, no texel
        ([(0, 0), (0, 0)], None, 100),
        ([(0, 0), (4, 0)], None, 100),  # one tile further is the same place
        ([(0, 0), (0.5, 0)], (0, 1), 0),  # different texture sets never meet
        ([(0, 0), (0.37, 0), (2, 2)], None, 200 * 0.63 / 3),
    ],
)
def test_overlap(places: list[tuple[float, float]], sets: tuple[int, ...] | None, percent: float) -> None:
    overlap = health(squares(*places, sets=sets)).uv_overlap
    assert overlap is not None and 100 * overlap == pytest.approx(percent, abs=1)


def test_overlap_of_thin_and_of_many_times_tiled_faces() -> None:
    """A fan of slivers that only touch has none; a square that repeats the texture nine times lies on itself everywhere."""
    angle = np.linspace(0, np.pi / 2, 300)
    rim = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    slivers = np.stack([np.zeros_like(rim[1:]), rim[:-1], rim[1:]], axis=1)
    assert uv_overlap(slivers, np.zeros(299, int), np.ones(299)) < 1e-3
    assert uv_overlap(SQUARE * 3, np.zeros(2, int), np.ones(2)) == 1
    wild = np.random.default_rng(0).uniform(-9e3, 9e3, (30_000, 3, 2))
    assert uv_overlap(wild, np.zeros(30_000, int), np.ones(30_000)) > 0.99


def test_flipped_and_outside() -> None:
    assert health(cube()).uv_flipped == health(cube()).uv_outside == 0
    uv = cube().corner_uv.copy()
    uv[:2, :, 0] = 1 - uv[:2, :, 0]
    uv[4:8] += 1
    mesh = cube().with_uv(uv, "changed")
    assert health(mesh).uv_flipped == 2 and health(mesh).uv_outside == 4
    uv[0] = np.nan
    uv[1] = 3e38
    report = health(cube().with_uv(uv, "changed"))
    assert report.nan == 3 and report.uv_outside == 6


def test_shape() -> None:
    ball = health(uv_sphere(16, 8))
    assert ball.watertight and ball.components == 1 and ball.open_edges == ball.bad_edges == ball.degenerate == 0
    pipe = health(cylinder(16, 4))
    assert not pipe.watertight and pipe.open_edges == 32 and pipe.bad_edges == 0
    box = cube()
    turned = box.faces.copy()
    turned[0] = turned[0, ::-1]
    report = health(Mesh.from_arrays(box.vertices, turned))
    assert report.bad_edges == 3 and report.open_edges == 0 and not report.watertight
    two = Mesh.from_arrays(np.concatenate([box.vertices, box.vertices + 3]), np.concatenate([box.faces, box.faces + 8]))
    assert health(two).components == 2 and health(two).watertight


def test_degenerate_and_duplicate_faces_are_counted_and_told() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0.5, 0, 0]], float)
    faces = np.array([[0, 1, 2], [2, 0, 1], [1, 0, 2], [0, 1, 3], [0, 0, 2]])
    assert degenerate_faces(vertices, faces).tolist() == [False, False, False, True, True]
    assert duplicate_faces(faces).tolist() == [False, True, True, False, False]
    mesh = Mesh.from_arrays(vertices, faces)
    report = health(mesh)
    assert report.degenerate == 2 and report.duplicate == 2 and len(mesh.repairs) == 2
    marked = {label for label, _, bad in report.rows() if bad}
    assert {"Faces without area", "Duplicate faces", "UVs", "Repair"} <= marked


def test_density_spread() -> None:
    """A square with four times the texels per length of its equal has a spread of 4; one chart of one scale has 1."""
    assert health(quad(4)).density_spread == pytest.approx(1)
    mesh = squares((0, 0), (2, 2))
    uv = mesh.corner_uv.copy()
    uv[2:] = (uv[2:] - uv[2:].min(axis=(0, 1))) / 4 + 0.5
    assert health(mesh.with_uv(uv, "shrunk")).density_spread == pytest.approx(4, rel=1e-3)


def test_rows_are_plain_words() -> None:
    for mesh in (two_set_box(), squares((0, 0), (0.5, 0))):
        rows = health(mesh).rows()
        assert all(label and value and isinstance(bad, bool) for label, value, bad in rows)
    value, bad = next((v, b) for label, v, b in rows if label == "UVs that overlap")
    assert value in ("49.9% of the surface", "50.0% of the surface", "50.1% of the surface") and bad and OVERLAP_LIMIT == 0.05
    assert not any(bad for _, _, bad in health(two_set_box()).rows())


def test_thirty_thousand_triangles_take_less_than_a_second() -> None:
    mesh = uv_sphere(170, 90)
    started = time.process_time()
    report = health(mesh)
    assert report.triangles > 30_000 and time.process_time() - started < 1
