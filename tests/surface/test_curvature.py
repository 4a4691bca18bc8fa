"""Curvature on surfaces whose answer is known, and on broken ones that must only not break anything."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from studio.surface.curvature import curvature, line_field, mean_curvature, normalised
from studio.surface.mesh import Mesh


def made(shape: trimesh.Trimesh) -> tuple[Mesh, float]:
    """The mesh, and work units per unit of the shape."""
    mesh = Mesh.from_arrays(shape.vertices, shape.faces)
    return mesh, float(np.linalg.norm(mesh.T_work_source[:3, 0]))


@pytest.mark.parametrize("inside_out", [False, True])
def test_a_sphere_bends_alike_everywhere_and_outwards_however_it_is_wound(inside_out: bool) -> None:
    ball = trimesh.creation.icosphere(4, radius=2.0)
    if inside_out:
        ball.invert()
    mesh, scale = made(ball)
    found = curvature(mesh)
    for values in (found.high, found.low, found.mean):
        np.testing.assert_allclose(values * scale, 0.5, rtol=0.04)
    assert found.anisotropy.max() == 0
    assert np.allclose(normalised(mesh), 1, atol=0.02)


def test_a_torus_has_its_two_curvatures_and_its_directions() -> None:
    R, r = 1.0, 0.3
    ring = trimesh.creation.torus(R, r, major_sections=160, minor_sections=120)
    mesh, scale = made(ring)
    found = curvature(mesh)
    x, y, _ = ring.vertices.T
    across = np.hypot(x, y)
    np.testing.assert_allclose(found.high * scale, 1 / r, rtol=0.05)
    np.testing.assert_allclose(found.low * scale, (across - R) / (r * across), atol=0.05 / r)
    round_ = np.stack([-y, x, np.zeros_like(x)], 1) / across[:, None]
    assert (np.abs((found.low_direction * round_).sum(1)) > 0.99).mean() > 0.99
    strength, direction = np.linalg.eigh(line_field(mesh).astype(float))
    assert (np.abs((direction[..., -1] * round_).sum(1)) > 0.99).mean() > 0.99 and strength[:, -1].min() > 0.1


def test_a_plane_is_flat() -> None:
    sheet = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 3]]).subdivide()
    mesh, _ = made(sheet.subdivide().subdivide())
    assert np.abs(mean_curvature(mesh)).max() < 1e-6
    assert not normalised(mesh).any() and not line_field(mesh).any()


def test_a_file_that_is_cut_open_bends_like_a_whole_one() -> None:
    ball = trimesh.creation.icosphere(3)
    cut = trimesh.Trimesh(ball.triangles.reshape(-1, 3), np.arange(3 * len(ball.faces)).reshape(-1, 3), process=False)
    whole, open_ = (mean_curvature(Mesh.from_arrays(s.vertices, s.faces)) for s in (ball, cut))
    assert np.quantile(open_, [0.02, 0.98]) == pytest.approx(np.quantile(whole, [0.02, 0.98]), rel=0.01)


@pytest.mark.parametrize("seed", range(4))
def test_broken_meshes_give_numbers(seed: int) -> None:
    r = np.random.default_rng(seed)
    soup = Mesh.from_arrays(r.random((30, 3)), r.integers(0, 30, (50, 3)))
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, -1, 0.0]])
    fan = Mesh.from_arrays(points, np.array([[0, 1, 2], [0, 1, 3], [0, 1, 4]]))
    for mesh in (soup, fan):
        assert np.isfinite(mean_curvature(mesh)).all() and np.isfinite(line_field(mesh)).all()
