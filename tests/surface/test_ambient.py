"""Convex bodies are open everywhere; hollows are shut by as much as geometry says."""

from __future__ import annotations

import numpy as np
import trimesh

from studio.surface.ambient import openness
from studio.surface.mesh import Mesh


def mesh(body: trimesh.Trimesh) -> Mesh:
    return Mesh.from_arrays(np.asarray(body.vertices), np.asarray(body.faces))


def test_convex_bodies_are_open() -> None:
    for body in (trimesh.creation.icosphere(subdivisions=3), trimesh.creation.box((1, 1, 1)).subdivide_to_size(0.3)):
        o = openness(mesh(body))
        assert o.dtype == np.float32 and o.min() > 0.97


def test_inside_a_closed_ball_nothing_is_open() -> None:
    ball = trimesh.creation.icosphere(subdivisions=2)
    ball.invert()
    assert openness(mesh(ball)).max() < 0.02


def test_the_corner_of_two_walls_sees_half_of_the_sky() -> None:
    """A point of a floor close to a wall that is much higher loses half of the cosine-weighted sky."""
    n = 41
    x, y = (v.ravel() for v in np.meshgrid(np.linspace(0, 1, n), np.linspace(-1, 1, n)))
    floor, wall = np.stack([x, y, 0 * x], 1), np.stack([0 * x - 0.004, y, x], 1)
    i = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    quads = np.concatenate([np.stack([i, i + 1, i + n + 1], 1), np.stack([i, i + n + 1, i + n], 1)])
    m = Mesh.from_arrays(np.concatenate([floor, wall]), np.concatenate([quads, quads[:, ::-1] * [1, 1, 1] + n * n]))
    o = openness(m, rays=128)[: n * n].reshape(n, n)
    middle = o[n // 2 - 3 : n // 2 + 4]
    assert 0.45 < middle[:, 1].mean() < 0.62 and middle[:, -2].mean() > 0.75 and (np.diff(middle.mean(0)) > -0.03).all()


def test_the_same_twice() -> None:
    m = mesh(trimesh.creation.torus(0.6, 0.25))
    assert np.array_equal(openness(m), openness(m))
