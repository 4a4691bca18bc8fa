"""Mirror planes are found where they are, refused where there is none, and texels meet their mirror images."""

from __future__ import annotations

import numpy as np
import pytest

from studio.errors import StudioError
from studio.surface.atlas import build_atlas
from studio.surface.mesh import Mesh
from studio.surface.symmetry import LIMIT, Plane, best_plane, find_plane, mirrored_pairs, texel_size
from tests.meshes import cube, joined, patch, quad, uv_sphere


def turned(mesh: Mesh, seed: int = 3) -> tuple[Mesh, np.ndarray]:
    """The mesh under a random rotation [3, 3]."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    rotation = q * np.sign(np.linalg.det(q))
    return Mesh.from_arrays(mesh.vertices @ rotation.T, mesh.faces, corner_uv=mesh.corner_uv, name="turned"), rotation


def blob(*, twist: float = 0.0) -> Mesh:
    """A flattened sphere bent and tapered so that x → −x is its only symmetry; `twist` (radians per y) breaks that too."""
    mesh = uv_sphere(32, 16)
    x, y, z = mesh.vertices.astype(np.float64).T / 0.9
    x, y, z = 0.5 * x * (1 + 0.4 * y), 1.4 * y, z + 0.4 * y * y + 0.3 * y
    s, c = np.sin(twist * y), np.cos(twist * y)
    return Mesh.from_arrays(np.stack([c * x + s * z, y, c * z - s * x], axis=-1), mesh.faces, name="blob")


def test_left_and_right_are_preferred_where_planes_are_equally_good() -> None:
    for mesh in (cube(4), uv_sphere()):
        plane = find_plane(mesh)
        assert plane.origin == "the x axis" and plane.offset == 0
        assert plane.error < 1e-6 and plane.confidence == 1


def test_the_only_plane_is_found_in_any_orientation() -> None:
    for seed in (3, 4):
        mesh, rotation = turned(blob(), seed)
        plane = find_plane(mesh)
        assert abs(plane.normal @ rotation[:, 0]) > 0.9999
        assert plane.error < 1e-3 and plane.confidence == 1


def test_a_small_part_may_be_missing_on_one_side() -> None:
    """A box with a knob on one side is symmetric front to back, and left to right but for the knob: the better plane wins."""
    box = cube(4).vertices.astype(np.float64)
    faces = cube(4).faces
    knob = box * 0.25 + (0.9, 0.0, 0.0)
    mesh = Mesh.from_arrays(np.concatenate([box, knob]), np.concatenate([faces, faces + len(box)]), name="knob")
    plane = find_plane(mesh)
    assert plane.origin == "the z axis" and plane.error < 1e-6


def test_a_sheet_is_not_symmetric_about_itself() -> None:
    corners = np.array([[-1, -1, 0], [1.6, -1, 0], [0.2, 1.5, 0], [-1, 0.2, 0]], np.float32)
    sheet = Mesh.from_arrays(corners, np.array([[0, 1, 2], [0, 2, 3]]), name="sheet")
    assert abs(best_plane(sheet).normal[2]) < 1e-3, "the plane it lies in"
    assert find_plane(quad()).origin == "the x axis"


def test_a_twisted_mesh_is_refused_with_the_number() -> None:
    with pytest.raises(StudioError, match=r"'blob' is not symmetric: .* over 1%"):
        find_plane(blob(twist=1.0))


def test_the_result_is_the_same_every_time() -> None:
    mesh = turned(blob(twist=0.05))[0]
    a, b = find_plane(mesh), find_plane(mesh)
    assert np.array_equal(a.normal, b.normal) and a.offset == b.offset and a.error == b.error <= LIMIT


def test_mirroring_twice_is_nothing_and_once_turns_the_height() -> None:
    plane = Plane(np.array([0.6, 0.0, 0.8]), 0.3, "test")
    points = np.random.default_rng(0).normal(size=(20, 3))
    assert np.allclose(plane.mirror(plane.mirror(points)), points)
    assert np.allclose(plane.height(plane.mirror(points)), -plane.height(points))
    assert np.allclose(plane.turn(plane.normal[None]), -plane.normal)


def test_texels_meet_their_mirror_images() -> None:
    """On a cube whose charts are 64 / 6 texels wide: nearest texels, facing alike, on the other side."""
    atlas = build_atlas(cube(2), 64)
    plane = Plane(np.array([1.0, 0, 0]), 0.0, "the x axis")
    pairs = mirrored_pairs(plane, atlas)
    position, normal = (a.reshape(-1, 3).double().numpy() for a in (atlas.position, atlas.normal))
    miss = np.linalg.norm(plane.mirror(position[pairs.texel]) - position[pairs.partner], axis=1)
    assert miss.max() <= 0.5**0.5 * 1.2 * texel_size(atlas)
    assert ((plane.turn(normal[pairs.texel]) * normal[pairs.partner]).sum(1) > 0.5).all()
    assert pairs.alone == 0 and len(pairs.texel) + pairs.own == int(atlas.valid.sum())
    assert (pairs.texel != pairs.partner).all()


def test_texels_on_the_plane_are_their_own_image() -> None:
    """A square of 15 × 15 texels about x = 0: its middle column lies on the plane."""
    square = patch(lambda s, t: np.stack([s - 0.5, 0.5 - t, 0 * s], axis=-1), 1, 1, (1 / 32, 1 / 32, 16 / 32, 16 / 32))
    atlas = build_atlas(joined([square], "square"), 32)
    pairs = mirrored_pairs(Plane(np.array([1.0, 0, 0]), 0.0, "the x axis"), atlas)
    assert pairs.own == 15 and pairs.alone == 0
    assert np.array_equal(pairs.texel % 32 + pairs.partner % 32, np.full(15 * 14, 16))
    assert np.array_equal(pairs.texel // 32, pairs.partner // 32)


def test_the_two_sides_of_a_thin_wall_are_kept_apart() -> None:
    def front(s: np.ndarray, t: np.ndarray) -> np.ndarray:
        return np.stack([s - 0.5, 0.5 - t, 0 * s + 1e-4], axis=-1)

    def back(s: np.ndarray, t: np.ndarray) -> np.ndarray:
        return np.stack([0.5 - s, 0.5 - t, 0 * s - 1e-4], axis=-1)

    wall = joined([patch(front, 1, 1, (0.05, 0.05, 0.45, 0.45)), patch(back, 1, 1, (0.55, 0.05, 0.95, 0.45))], "wall")
    atlas = build_atlas(wall, 64)
    pairs = mirrored_pairs(Plane(np.array([1.0, 0, 0]), 0.0, "the x axis"), atlas)
    chart = atlas.chart.flatten().numpy()
    assert np.array_equal(chart[pairs.texel], chart[pairs.partner]) and pairs.alone == 0


def test_texels_without_an_image_are_counted() -> None:
    atlas = build_atlas(quad(), 32)
    pairs = mirrored_pairs(Plane(np.array([1.0, 0, 0]), 0.3, "off the middle"), atlas)
    x = atlas.position[..., 0][atlas.valid].double()
    lost = int((0.6 - x > x.max() + 3 * texel_size(atlas)).sum())
    assert 0 < lost <= pairs.alone < len(x) * 0.6
    assert len(pairs.texel) + pairs.own + pairs.alone == len(x)


def test_texel_size_is_the_side_of_a_texel() -> None:
    side = 2 * 0.9 / 2**0.5
    assert texel_size(build_atlas(quad(), 32)) == pytest.approx(side / 32, rel=1e-5)
    assert texel_size(build_atlas(quad(margin=0.25), 32)) == pytest.approx(side / 16, rel=1e-5)
