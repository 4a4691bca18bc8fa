"""Mean curvature of bodies whose answer is known; broken meshes give finite numbers."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from studio.surface import curvature
from studio.surface.mesh import Mesh


def mesh(body: trimesh.Trimesh) -> Mesh:
    return Mesh.from_arrays(np.asarray(body.vertices), np.asarray(body.faces))


def test_a_ball_is_convex_by_one_over_its_radius() -> None:
    H = curvature.mean_curvature(mesh(trimesh.creation.icosphere(subdivisions=3)))
    assert H.dtype == np.float32 and np.allclose(H, 1 / 0.9, rtol=0.12)


def test_a_ball_turned_inside_out_is_concave() -> None:
    ball = trimesh.creation.icosphere(subdivisions=3)
    H = curvature.mean_curvature(Mesh.from_arrays(np.asarray(ball.vertices), np.asarray(ball.faces)[:, ::-1]))
    assert np.allclose(H, -1 / 0.9, rtol=0.12)


def test_a_tube_bends_half_as_much_as_a_ball_and_its_caps_not_at_all() -> None:
    """A long cylinder, finely meshed: H = 1/2r on the wall, far from the rims; 0 in the middle of a flat cap."""
    tube = trimesh.creation.cylinder(radius=0.3, height=1.6, sections=48).subdivide_to_size(0.06)
    m = mesh(tube)
    H, p = curvature.mean_curvature(m), m.vertices
    radius = np.hypot(p[:, 0], p[:, 1])
    wall = (np.abs(p[:, 2]) < 0.4) & (radius > 0.98 * radius.max())
    cap = radius < 0.2 * radius.max()
    assert np.median(H[wall]) == pytest.approx(0.5 / radius.max(), rel=0.15) and np.abs(H[cap]).max() < 0.1


def test_normalised_edges_are_one_and_flat_is_nothing() -> None:
    box = trimesh.creation.box((1, 1, 1)).subdivide_to_size(0.08)
    m = mesh(box)
    K = curvature.normalised(m)
    inner = (np.sort(np.abs(m.vertices), axis=1)[:, 1] < 0.3) & (np.abs(m.vertices).max(1) > 0.5)
    assert K.min() >= -1 and K.max() == 1 and np.abs(K[inner]).max() < 0.02
    ball = curvature.normalised(mesh(trimesh.creation.icosphere(subdivisions=3)))
    assert ball.max() < 0.4, "a large ball is no edge"


def test_scale_does_not_matter_when_normalised() -> None:
    body = trimesh.creation.torus(0.6, 0.2)
    big = body.copy()
    big.apply_scale(40)
    assert np.allclose(curvature.normalised(mesh(body)), curvature.normalised(mesh(big)), atol=1e-3)


def test_broken_meshes_give_finite_numbers() -> None:
    """Loose triangles, a fin on an edge (non-manifold), a sliver, and a healthy ball beside them that keeps its values."""
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.3)
    n = len(ball.vertices)
    odd = np.array([[1, 0, 0], [1.2, 0, 0], [1, 0.2, 0], [1.1, 0.1, 0.3], [1, 0, 0], [1.2, 0, 1e-9], [0.5, 0.5, 0.9]])
    faces = np.array([[0, 1, 2], [0, 1, 3], [1, 0, 6], [4, 5, 2]]) + n
    m = Mesh.from_arrays(np.concatenate([ball.vertices, odd]), np.concatenate([ball.faces, faces]))
    H = curvature.mean_curvature(m)
    assert np.isfinite(H).all() and len(H) == len(m.vertices) and np.isfinite(curvature.normalised(m)).all()
    left = m.vertices[:, 0] < m.vertices[:, 0].max() - 0.9
    assert H[left].min() > 0.5


def test_one_triangle_is_flat() -> None:
    m = Mesh.from_arrays(np.eye(3), np.array([[0, 1, 2]]))
    assert not curvature.mean_curvature(m).any() and not curvature.normalised(m).any()
