"""The atlas against closed forms, and its rasteriser against a slow twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from studio.errors import StudioError
from studio.surface.atlas import build_atlas
from studio.surface.mesh import Mesh
from tests.meshes import cube, cylinder, quad, two_set_box, uv_sphere


def flat(triangles: np.ndarray) -> Mesh:
    """Triangles [F, 3, 2] in uv that lie in space as in the atlas (x = u, y = −v), each pair of them at a height of its own."""
    count = len(triangles)
    height = np.broadcast_to(np.arange(count)[:, None, None] // 2 / count, (count, 3, 1))
    vertices = np.concatenate([triangles * (1, -1), height], -1).reshape(-1, 3)
    return Mesh.from_arrays(vertices, np.arange(3 * count).reshape(-1, 3), corner_uv=np.asarray(triangles, np.float32))


def square(x: float, y: float, side: float) -> np.ndarray:
    a, b, c, d = ((x, y), (x, y + side), (x + side, y + side), (x + side, y))
    return np.array([[a, b, c], [a, c, d]])


def test_a_texel_stands_for_the_point_under_its_centre() -> None:
    atlas = build_atlas(quad(4), 16)
    half = quad().vertices.max()
    centre = ((torch.arange(16) + 0.5) / 16 * 2 - 1) * half
    assert atlas.valid.all() and not atlas.shared.any()
    torch.testing.assert_close(atlas.position[0, ..., 0], centre.expand(16, 16), atol=1e-6, rtol=0)
    torch.testing.assert_close(atlas.position[0, ..., 1], -centre[:, None].expand(16, 16), atol=1e-6, rtol=0)


def test_frames_and_jacobian_of_a_square() -> None:
    atlas = build_atlas(quad(3), 16)
    side = 2 * float(quad().vertices.max())
    expected = torch.tensor([[side, 0], [0, -side], [0, 0]]).expand(16, 16, 3, 2)
    torch.testing.assert_close(atlas.jacobian[0], expected, atol=1e-5, rtol=0)
    for field, axis in ((atlas.tangent, 0), (atlas.bitangent, 1), (atlas.normal, 2)):
        torch.testing.assert_close(field[0], torch.eye(3)[axis].expand(16, 16, 3), atol=1e-6, rtol=0)


def test_frames_are_orthonormal_and_follow_u_around_a_cylinder() -> None:
    atlas = build_atlas(cylinder(), 64)
    inside = atlas.interior
    t, b, n = (f[inside] for f in (atlas.tangent, atlas.bitangent, atlas.normal))
    gram = torch.stack([t, b, n], 1) @ torch.stack([t, b, n], 2)
    torch.testing.assert_close(gram, torch.eye(3).expand_as(gram), atol=1e-5, rtol=0)
    assert (b[:, 1] > 0.999).all()  # v runs down, so −v points up
    along = atlas.jacobian[inside][..., 0]
    assert (torch.nn.functional.cosine_similarity(t, along) > 0.99).all()


def test_mirrored_charts_have_the_other_handedness() -> None:
    mirrored = quad().with_uv(np.asarray(quad().corner_uv) * (-1, 1) + (1, 0), "mirrored")
    atlas = build_atlas(mirrored, 16)
    torch.testing.assert_close(atlas.tangent[0, 5, 5], torch.tensor([-1.0, 0, 0]))
    torch.testing.assert_close(atlas.bitangent[0, 5, 5], torch.tensor([0.0, 1, 0]))


def test_interior_is_two_texels_from_every_border() -> None:
    interior = build_atlas(quad(), 16).interior[0]
    assert interior.sum() == 12 * 12 and interior[2:-2, 2:-2].all()
    assert torch.equal(build_atlas(flat(square(4 / 16, 4 / 16, 8 / 16)), 16).interior[0].nonzero().amin(0), torch.tensor([6, 6]))


def test_rasteriser_equals_its_slow_twin() -> None:
    triangles = np.random.default_rng(1).uniform(-0.4, 1.4, (25, 3, 2)).astype(np.float32)
    triangles[3, 2] = triangles[3, 1]  # no area
    size = 24
    atlas = build_atlas(flat(triangles), size)
    owner = np.full((size, size), -1)
    for face in reversed(range(len(triangles))):
        p = triangles[face].astype(float)
        edges = np.stack([p[1] - p[0], p[2] - p[0]], 1)
        if abs(np.linalg.det(edges)) < 1e-12:
            continue
        y, x, tile_y, tile_x = np.indices((size, size, 5, 5))
        places = np.stack([(x + 0.5) / size + tile_x - 2, (y + 0.5) / size + tile_y - 2], -1) - p[0]
        s, t = np.moveaxis(places @ np.linalg.inv(edges).T, -1, 0)
        owner[(np.minimum(np.minimum(s, t), 1 - s - t) >= 0).any((2, 3))] = face
    assert np.array_equal(atlas.face[0].numpy(), owner)


def test_barycentrics_lead_back_to_the_texel() -> None:
    atlas = build_atlas(uv_sphere(), 64)
    uv = torch.einsum("nk,nkc->nc", atlas.bary[atlas.valid], atlas.corners.uv[atlas.face[atlas.valid].long()])
    _, row, column = atlas.valid.nonzero(as_tuple=True)
    torch.testing.assert_close(uv, (torch.stack([column, row], -1) + 0.5) / 64, atol=1e-6, rtol=0)


def test_the_lowest_face_owns_shared_texels_and_overlapping_charts_are_one() -> None:
    both = np.concatenate([square(0.25, 0.25, 0.5), square(0.5, 0.5, 0.4)])
    for order in (both, both[::-1]):
        atlas = build_atlas(flat(order), 32)
        assert set(atlas.face[atlas.shared].tolist()) <= {0, 1}
        assert atlas.shared.sum() == 8 * 8  # a quarter of a unit wide
        assert (atlas.face_chart == 0).all()


def test_touching_charts_stay_apart() -> None:
    atlas = build_atlas(flat(np.concatenate([square(0, 0, 0.5), square(0.5, 0, 0.5)])), 16)
    assert atlas.face_chart.tolist() == [0, 0, 1, 1] and not atlas.shared.any()
    assert (atlas.chart[0, :8, :8] == 0).all() and (atlas.chart[0, :8, 8:] == 1).all() and (atlas.chart[0, 8:] == -1).all()


def test_a_cube_has_six_charts_and_sets_do_not_mix() -> None:
    assert build_atlas(cube(2), 48).face_chart.max() == 5
    atlas = build_atlas(two_set_box(), 48)
    assert atlas.sets == 2
    wall, lid = (set(atlas.chart[s][atlas.valid[s]].tolist()) for s in (0, 1))
    assert wall == {0, 1, 2, 3} and lid == {4, 5}


def test_uv_outside_the_unit_square_wrap() -> None:
    here = build_atlas(quad(2, margin=1 / 8), 32)
    there = build_atlas(quad(2).with_uv(np.asarray(quad(2, margin=1 / 8).corner_uv) + (3, -2), "moved"), 32)
    assert torch.equal(here.face, there.face)
    tiled = build_atlas(quad().with_uv(np.asarray(quad().corner_uv) * 2.5, "tiled"), 16)
    assert tiled.valid.all() and tiled.shared.all()
    many = build_atlas(quad().with_uv(np.asarray(quad().corner_uv) * 500, "tiled"), 16)
    assert many.valid.all()


def test_faces_without_area_in_uv_own_nothing() -> None:
    point = np.full((1, 3, 2), 0.1, np.float32)
    line = np.array([[[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]]], np.float32)
    mesh = Mesh.from_arrays(np.eye(3), [[0, 1, 2]] * 1, corner_uv=point)
    assert not build_atlas(mesh, 16).valid.any()
    assert not build_atlas(mesh.with_uv(line, "a line"), 16).valid.any()


def test_taps_are_bilinear_within_a_chart() -> None:
    atlas = build_atlas(quad(), 16)
    uv = torch.rand(200, 2, generator=torch.Generator().manual_seed(0)) * 0.9 + 0.05
    index, weight = atlas.taps(torch.zeros(200, dtype=torch.long), uv, torch.zeros(200, dtype=torch.int32))
    centre = torch.stack([index % 16, index // 16], -1).add(0.5) / 16
    torch.testing.assert_close((centre * weight[..., None]).sum(1), uv, atol=1e-6, rtol=0)  # exact on linear functions
    middle = (torch.tensor([[3, 5]]) + 0.5) / 16
    index, weight = atlas.taps(torch.zeros(1, dtype=torch.long), middle, torch.zeros(1, dtype=torch.int32))
    assert index[0, weight[0].argmax()] == 5 * 16 + 3 and weight.max() > 1 - 1e-5


def test_taps_never_reach_into_another_chart() -> None:
    mesh = flat(np.concatenate([square(0.1, 0.1, 0.3), square(0.42, 0.1, 0.3)]))  # a third of a texel apart
    atlas = build_atlas(mesh, 16)
    points = atlas.corners.uv.repeat_interleave(100, 0)
    mix = torch.distributions.Dirichlet(torch.ones(3)).sample((400,))
    uv = (points * mix[..., None]).sum(1)
    chart = atlas.face_chart.repeat_interleave(100)
    index, weight = atlas.taps(torch.zeros(400, dtype=torch.long), uv, chart)
    reached = atlas.claim.flatten()[index.long()]
    assert ((reached == chart[:, None]) | (weight == 0)).all()
    torch.testing.assert_close(weight.sum(-1), torch.ones(400))


def test_a_chart_smaller_than_a_texel_claims_the_one_it_lies_in() -> None:
    atlas = build_atlas(flat(np.concatenate([square(0.1, 0.1, 0.3), square(0.83, 0.83, 0.01)])), 16)
    assert not (atlas.chart == 1).any()
    assert atlas.claim[0, 13, 13] == 1
    index, weight = atlas.taps(torch.zeros(1, dtype=torch.long), torch.tensor([[0.835, 0.835]]), torch.tensor([1]))
    assert (atlas.claim.flatten()[index.long()][weight > 0] == 1).all()


def test_what_cannot_be_an_atlas_is_said() -> None:
    bare = Mesh.from_arrays(np.eye(3), [[0, 1, 2]])
    with pytest.raises(StudioError, match="no texture coordinates"):
        build_atlas(bare, 64)
    with pytest.raises(StudioError, match="3 texels"):
        build_atlas(quad(), 3)


def test_dilation_changes_only_the_gutter_and_fills_it_from_its_chart() -> None:
    atlas = build_atlas(cube(), 48)
    texels = torch.where(atlas.valid[:, None], atlas.chart[:, None].float(), torch.full((1, 1, 48, 48), -7.0))
    out = atlas.dilated(texels)
    assert torch.equal(out[atlas.valid[:, None]], texels[atlas.valid[:, None]])
    assert torch.equal(out[:, 0], atlas.claim.float())
