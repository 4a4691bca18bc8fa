"""Painting cameras and the three numbers of every report, on shapes whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from studio.bake import Baker
from studio.camera import Camera, looking_along, ring
from studio.coverage import consistency_psnr, coverage, painting_cameras, samples, seam_error
from studio.errors import MeshError
from studio.renderers import SOCKET as RENDERERS
from studio.surface.atlas import build_atlas
from studio.surface.mesh import Mesh
from studio.surface.occlusion import Occlusion
from studio.surface.seams import seams
from studio.texture import Texture
from tests.meshes import cube, quad, uv_sphere


def nested() -> Mesh:
    """A cube with a smaller one inside, which nobody can see; each has half of the atlas."""
    one = cube()
    uv = np.asarray(one.corner_uv) * (1, 0.5)
    return Mesh.from_arrays(
        np.concatenate([one.vertices, 0.5 * one.vertices]),
        np.concatenate([one.faces, one.faces + len(one.vertices)]),
        corner_uv=np.concatenate([uv, uv + (0, 0.5)]),
    )


def test_blocked_rays() -> None:
    occlusion = Occlusion(quad())
    points = np.array([[0, 0, -0.5], [0, 0, 0.5], [0, 0, 0], [0, 0, -0.5]], float)
    up = np.tile([0, 0, 1.0], (4, 1))
    towards = np.array([[0, 0, 1], [0, 0, 1], [0, 0, 1], [1, 0, 0]], float)
    assert occlusion.blocked(points, up, towards).tolist() == [True, False, False, False]
    assert occlusion.blocked(points[:0], up[:0], towards[:0]).shape == (0,)


def test_coverage_of_a_cube_counts_its_faces() -> None:
    mesh, atlas = cube(), build_atlas(cube(), 64)
    corner = looking_along(np.ones(3))
    opposite = looking_along(-np.ones(3))
    assert coverage(mesh, atlas, [Camera()]) == pytest.approx(1 / 6, abs=0.02)
    assert coverage(mesh, atlas, [corner]) == pytest.approx(1 / 2, abs=0.02)
    assert coverage(mesh, atlas, [corner, opposite]) == 1
    assert coverage(mesh, atlas, []) == 0


def test_flat_angles_do_not_count() -> None:
    mesh, atlas = quad(), build_atlas(quad(), 32)
    for azimuth, seen in ((80, 1), (88, 0), (180, 0)):
        assert coverage(mesh, atlas, [Camera(azimuth_deg=azimuth, orthographic=True)]) == seen


def test_what_nobody_can_see_is_neither_covered_nor_asked_for() -> None:
    mesh, atlas = nested(), build_atlas(nested(), 64)
    assert coverage(mesh, atlas, [Camera()]) == pytest.approx(1 / 6, abs=0.02)
    assert coverage(mesh, atlas, [looking_along(np.ones(3)), looking_along(-np.ones(3))]) == 1


def test_two_cameras_see_all_of_a_cube() -> None:
    mesh, atlas = cube(), build_atlas(cube(), 64)
    cameras = painting_cameras(mesh, atlas, count=2, max_count=2)
    assert len(cameras) == 2 and coverage(mesh, atlas, cameras) == 1
    assert cameras == painting_cameras(mesh, build_atlas(cube(), 64), count=2, max_count=2)


def test_more_cameras_see_more_and_are_added_until_the_target() -> None:
    mesh, atlas = uv_sphere(), build_atlas(uv_sphere(), 64)
    chosen = [painting_cameras(mesh, atlas, count=n, max_count=n) for n in range(1, 9)]
    covered = [coverage(mesh, atlas, cameras) for cameras in chosen]
    assert covered == sorted(covered) and covered[5] >= 0.97
    few = painting_cameras(mesh, atlas, count=1, max_count=8, target=0.9)
    assert len(few) == 1 + sum(c < 0.9 for c in covered) and coverage(mesh, atlas, few) >= 0.9
    assert len(set(painting_cameras(quad(), build_atlas(quad(), 16), count=6))) == 6


def test_cameras_look_straight_at_what_they_paint() -> None:
    """Six cameras of 162 that only have to see a ball would leave a fifth of it at flat angles, where pixels are coarse."""
    mesh, atlas = uv_sphere(), build_atlas(uv_sphere(), 64)
    cameras = painting_cameras(mesh, atlas, count=6, max_count=6)
    straightness = samples(mesh, atlas).see(cameras).max(0)
    assert (straightness > 0.4).mean() > 0.97


def test_a_mesh_turned_inside_out_is_refused() -> None:
    right = cube()
    inside_out = Mesh.from_arrays(right.vertices, right.faces[:, ::-1], corner_uv=right.corner_uv[:, ::-1])
    with pytest.raises(MeshError, match="from outside"):
        painting_cameras(inside_out, build_atlas(inside_out, 32))


def test_seam_error_is_the_mean_jump() -> None:
    mesh, atlas = cube(), build_atlas(cube(), 48)
    cuts = seams(mesh, atlas)
    texture = Texture.flat(mesh, 48)
    assert seam_error(texture, cuts) == pytest.approx(0, abs=1e-6)
    front = (atlas.claim == 0)[:, None].float().expand(-1, 3, -1, -1)  # four of twelve edges jump, by 0.6
    assert seam_error(texture.with_channel("base_color", 0.2 + 0.6 * front), cuts) == pytest.approx(0.2, rel=1e-4)
    assert seam_error(Texture.flat(quad(), 16), seams(quad(), build_atlas(quad(), 16))) == 0


def test_consistency_is_the_psnr_against_the_texture() -> None:
    mesh, atlas = uv_sphere(), build_atlas(uv_sphere(), 48)
    renderer = RENDERERS.make("embree").build(torch.device("cpu"))
    baker = Baker(renderer.rasterize(mesh, ring(2), 32), atlas)
    texture = Texture.flat(mesh, 48).with_channel("base_color", torch.full((1, 3, 48, 48), 0.5))
    views = baker.taps.fetch(texture.channels["base_color"])
    assert consistency_psnr(torch.where(baker.taps.alpha > 0, views, 7.0), baker, texture) > 120
    assert consistency_psnr(views + 0.1, baker, texture) == pytest.approx(20, abs=1e-3)
    assert consistency_psnr(views.clone(), baker, texture) == math.inf


def test_cameras_beyond_full_coverage_look_straighter() -> None:
    """Two corners see all of a cube, at a cosine of 0.58; those that follow turn to its faces instead of anywhere."""
    cameras = painting_cameras(cube(), build_atlas(cube(), 64), count=6)
    towards = np.array([c.direction() for c in cameras])
    for axis in np.concatenate([np.eye(3), -np.eye(3)]):
        assert (towards @ axis).max() > 0.75
