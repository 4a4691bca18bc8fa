"""Curvature on surfaces whose answer is known, and on broken ones that must only not break anything."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from studio.surface.curvature import curvature, line_field, mean_curvature, normalised, sharpness
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


def mesh(body: trimesh.Trimesh) -> Mesh:
    return Mesh.from_arrays(np.asarray(body.vertices), np.asarray(body.faces))


def test_a_ball_is_convex_by_one_over_its_radius() -> None:
    H = mean_curvature(mesh(trimesh.creation.icosphere(subdivisions=3)))
    assert H.dtype == np.float32 and np.allclose(H, 1 / 0.9, rtol=0.12)


def test_a_tube_bends_half_as_much_as_a_ball_and_its_caps_not_at_all() -> None:
    """A long cylinder, finely meshed: H = 1/2r on the wall, far from the rims; 0 in the middle of a flat cap."""
    tube = trimesh.creation.cylinder(radius=0.3, height=1.6, sections=48).subdivide_to_size(0.06)
    m = mesh(tube)
    H, p = mean_curvature(m), m.vertices
    radius = np.hypot(p[:, 0], p[:, 1])
    wall = (np.abs(p[:, 2]) < 0.4) & (radius > 0.98 * radius.max())
    cap = radius < 0.2 * radius.max()
    assert np.median(H[wall]) == pytest.approx(0.5 / radius.max(), rel=0.15) and np.abs(H[cap]).max() < 0.1


def test_edges_are_one_and_flat_is_nothing() -> None:
    box = trimesh.creation.box((1, 1, 1)).subdivide_to_size(0.08)
    m = mesh(box)
    K = sharpness(m)
    inner = (np.sort(np.abs(m.vertices), axis=1)[:, 1] < 0.3) & (np.abs(m.vertices).max(1) > 0.5)
    assert K.min() >= -1 and K.max() == 1 and np.abs(K[inner]).max() < 0.02
    ball = sharpness(mesh(trimesh.creation.icosphere(subdivisions=3)))
    assert ball.max() < 0.4, "a large ball is no edge"


def test_scale_does_not_matter() -> None:
    body = trimesh.creation.torus(0.6, 0.2)
    big = body.copy()
    big.apply_scale(40)
    assert np.allclose(sharpness(mesh(body)), sharpness(mesh(big)), atol=1e-3)


def test_broken_parts_leave_the_others_alone() -> None:
    """Loose triangles, a fin on an edge (non-manifold), a sliver, and a healthy ball beside them that keeps its values."""
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.3)
    n = len(ball.vertices)
    odd = np.array([[1, 0, 0], [1.2, 0, 0], [1, 0.2, 0], [1.1, 0.1, 0.3], [1, 0, 0], [1.2, 0, 1e-9], [0.5, 0.5, 0.9]])
    faces = np.array([[0, 1, 2], [0, 1, 3], [1, 0, 6], [4, 5, 2]]) + n
    m = Mesh.from_arrays(np.concatenate([ball.vertices, odd]), np.concatenate([ball.faces, faces]))
    H = mean_curvature(m)
    assert np.isfinite(H).all() and len(H) == len(m.vertices) and np.isfinite(sharpness(m)).all()
    left = m.vertices[:, 0] < m.vertices[:, 0].max() - 0.9
    assert H[left].min() > 0.5


def test_one_triangle_is_flat() -> None:
    m = Mesh.from_arrays(np.eye(3), np.array([[0, 1, 2]]))
    assert not mean_curvature(m).any() and not sharpness(m).any()
