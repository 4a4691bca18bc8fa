"""Fragments against analytic geometry; fetch and put as an exact pair."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
import torch

from studio.camera import Camera, ring
from studio.errors import MeshError
from studio.renderers import SOCKET as RENDERERS
from studio.renderers import Rasterizer
from studio.surface.atlas import Atlas, build_atlas
from studio.surface.mesh import Material, Mesh
from studio.texture import Fragments, Taps, Texture
from tests.meshes import cube, quad, two_set_box, uv_sphere

FRONT = (Camera(),)


@functools.cache
def renderer() -> Rasterizer:
    return RENDERERS.make("embree").build(torch.device("cpu"))


def draw(mesh: Mesh, cameras=FRONT, px: int = 48, supersample: int = 1) -> Fragments:
    return renderer().rasterize(mesh, cameras, px, supersample=supersample)


def noise(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def ramp(atlas: Atlas) -> torch.Tensor:
    """[1, 2, T, T]: u and v of each texel's centre."""
    centre = (torch.arange(atlas.size_px, dtype=torch.float64) + 0.5) / atlas.size_px
    return torch.stack(torch.meshgrid(centre, centre, indexing="xy"))[None]


# -- fragments ------------------------------------------------------------------------------------------------------------


def test_fragments_of_a_sphere() -> None:
    cameras = (Camera(azimuth_deg=40, elevation_deg=20), Camera(azimuth_deg=200, elevation_deg=-30, orthographic=True))
    f = draw(uv_sphere(96, 48), cameras, 32)
    m = f.mask
    radius = f.position.norm(dim=-1)
    assert ((radius[m] > 0.894) & (radius[m] < 0.901)).all()
    assert (f.normal * f.position / 0.9).sum(-1)[m].min() > 0.99
    torch.testing.assert_close(f.geometric_normal[m].norm(dim=-1), torch.ones(int(m.sum())))
    assert f.cosine[m].min() >= -1e-5 and f.cosine[m].max() > 0.999
    for v, camera in enumerate(cameras):
        eye, direction = (torch.as_tensor(x, dtype=torch.float32) for x in (camera.position(), camera.direction()))
        torch.testing.assert_close(f.depth[v][m[v]], ((eye - f.position[v]) @ direction)[m[v]], atol=1e-5, rtol=0)
    assert torch.allclose(f.view_direction[1][m[1]], torch.as_tensor(cameras[1].direction(), dtype=torch.float32))
    for field in (f.position, f.normal, f.geometric_normal, f.uv, f.view_direction, f.cosine):
        assert not field[~m].any()


def test_alpha_is_the_covered_part_of_a_pixel() -> None:
    f = draw(quad(), px=16, supersample=4)
    torch.testing.assert_close(f.alpha, f.mask.reshape(1, 16, 4, 16, 4).float().mean((2, 4))[:, None])
    side = 2 * quad().vertices.max() / (2 * Camera().half_height()) * 16
    assert float(f.alpha.sum()) == pytest.approx(side**2, rel=0.05)


def test_each_view_holds_the_same_sub_pixels_grouped_by_pixel() -> None:
    f = draw(cube(), ring(2), px=12, supersample=3)
    for v, view in enumerate(f.each_view()):
        grouped = f.face[v].reshape(12, 3, 12, 3).transpose(1, 2).reshape(144, 9)
        assert torch.equal(view.face[0], grouped)
        assert view.cosine_at_hits().sum() == pytest.approx(float(f.cosine[v].sum()), rel=1e-5)


def test_sets_and_meshes_without_uv() -> None:
    f = draw(two_set_box(), (Camera(elevation_deg=45),))
    assert set(f.set[f.mask].tolist()) == {0, 1}
    assert torch.equal(f.set == 1, f.mask & (f.geometric_normal[..., 1].abs() > 0.9))
    bare = Mesh.from_arrays(np.eye(3), [[0, 1, 2]])
    f = draw(bare)
    assert f.mask.any() and f.normal.isfinite().all()
    with pytest.raises(MeshError, match="no texture coordinates"):
        _ = f.uv


# -- fetch and put --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mesh", "supersample"), [(cube(), 1), (two_set_box(), 2), (quad(4), 3)])
def test_put_is_the_transpose_of_fetch(mesh: Mesh, supersample: int) -> None:
    atlas = build_atlas(mesh, 40)
    taps = Taps(draw(mesh, ring(3, elevation_deg=30), 24, supersample), atlas)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        x, y = noise(3, 2, 24, 24, dtype=dtype), noise(atlas.sets, 2, 40, 40, dtype=dtype, seed=1)
        one, other = (taps.put(x) * y).sum(), (x * taps.fetch(y)).sum()
        assert one.dtype == dtype
        assert abs(float(one - other)) <= tolerance * abs(float(other))


def test_fetch_and_put_are_differentiable() -> None:
    taps = Taps(draw(cube(), px=8), build_atlas(cube(), 12))
    assert torch.autograd.gradcheck(taps.fetch, noise(1, 1, 12, 12).requires_grad_())
    assert torch.autograd.gradcheck(taps.put, noise(1, 1, 8, 8).requires_grad_())
    assert torch.autograd.gradgradcheck(lambda t: taps.fetch(t) ** 2, noise(1, 1, 12, 12).requires_grad_())


@pytest.mark.parametrize("supersample", [1, 4])
def test_texel_centres_are_where_the_convention_says(supersample: int) -> None:
    """Bilinear reading is exact on linear functions, so a picture of the ramp shows each pixel's own uv."""
    mesh = quad(2)
    atlas = build_atlas(mesh, 32)
    f = draw(mesh, px=40, supersample=supersample)
    shown = Taps(f, atlas).fetch(ramp(atlas))[0]
    mean_uv = f.uv[0].reshape(40, supersample, 40, supersample, 2).mean((1, 3)).permute(2, 0, 1)
    inside = ((mean_uv > 0.05) & (mean_uv < 0.95)).all(0) & (f.alpha[0, 0] == 1)
    assert inside.sum() > 400
    assert (shown - mean_uv)[:, inside].abs().max() < 1e-6


def test_fetch_of_ones_is_alpha() -> None:
    taps = Taps(draw(cube(), ring(2), 20, 2), build_atlas(cube(), 24))
    torch.testing.assert_close(taps.fetch(torch.ones(1, 1, 24, 24)), taps.alpha)


def test_each_pixel_shows_its_own_set_and_chart_only() -> None:
    mesh = two_set_box(margin=1 / 200)  # charts less than a texel apart
    atlas = build_atlas(mesh, 30)
    f = draw(mesh, (Camera(azimuth_deg=30, elevation_deg=35),), 40)
    taps = Taps(f, atlas)
    for chart in range(6):
        shown = taps.fetch((atlas.claim == chart).double()[:, None])[0, 0]
        expected = f.mask[0] & (atlas.face_chart[f.face[0].clamp_min(0)] == chart)
        torch.testing.assert_close(shown, expected.double())


def test_texels_outside_the_support_of_put_do_not_show() -> None:
    atlas = build_atlas(cube(), 48)
    taps = Taps(draw(cube(), ring(4, elevation_deg=20), 32), atlas)
    support = taps.put(torch.ones(4, 1, 32, 32)) > 0
    texture = noise(1, 1, 48, 48)
    assert torch.equal(taps.fetch(texture), taps.fetch(torch.where(support, texture, 99 * noise(1, 1, 48, 48, seed=2))))


def test_a_blob_stays_in_place_through_ten_rounds() -> None:
    mesh = quad()
    atlas = build_atlas(mesh, 64)
    taps = Taps(draw(mesh, px=120), atlas)
    y, x = (i.double() for i in torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij"))
    texture = torch.exp(-((x - 29.3) ** 2 + (y - 35.8) ** 2) / 18)[None, None]
    weight = taps.put(torch.ones(1, 1, 120, 120, dtype=torch.float64))
    for _ in range(10):
        texture = taps.put(taps.fetch(texture)) / weight.clamp_min(1e-9)
    mass = texture[0, 0] / texture.sum()
    assert abs(float((mass * x).sum()) - 29.3) < 0.02
    assert abs(float((mass * y).sum()) - 35.8) < 0.02


# -- textures -------------------------------------------------------------------------------------------------------------


def test_flat_texture_has_the_materials_factors() -> None:
    texture = Texture.flat(two_set_box(), 16)
    assert texture.names == ("wall", "lid") and texture.size_px == 16
    expected = torch.tensor([0.9063, 0.3492, 0.3492])  # sRGB of linear 0.8, 0.1, 0.1
    torch.testing.assert_close(texture.channels["base_color"][0, :, 3, 4], expected, atol=1e-4, rtol=0)
    assert texture.channels["roughness"][1].unique().tolist() == [pytest.approx(0.3)]
    assert texture.channels["metallic"][:, 0, 0, 0].tolist() == [0, 1]


def test_maps_of_the_mesh_are_kept_and_multiplied_by_their_factors() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    packed = np.full((8, 4, 3), (0, 128, 255), np.uint8)
    material = Material("m", base_color=image, metallic_roughness=packed, roughness=0.5, metallic=0.25)
    mesh = dataclasses.replace(quad(), sets=(material,))
    channels = Texture.from_mesh(mesh, 32).channels
    assert torch.equal((channels["base_color"][0] * 255).round().byte(), torch.from_numpy(image).permute(2, 0, 1))
    torch.testing.assert_close(channels["roughness"], torch.full((1, 1, 32, 32), 0.5 * 128 / 255))
    torch.testing.assert_close(channels["metallic"], torch.full((1, 1, 32, 32), 0.25))
    half = Texture.from_mesh(mesh, 16).channels["base_color"]
    assert float(half.mean()) == pytest.approx(image.mean() / 255, abs=0.01)
    white = np.full((4, 4, 3), 255, np.uint8)
    tinted = dataclasses.replace(mesh, sets=(Material("m", base_color=white, base_factor=(0.8, 0.1, 0.1, 1)),))
    colour = Texture.from_mesh(tinted, 16).channels["base_color"][0, :, 0, 0]
    assert colour.tolist() == pytest.approx([0.9063, 0.3492, 0.3492], abs=1e-4)


def test_with_channel_replaces_one_and_checks_its_shape() -> None:
    texture = Texture.flat(quad(), 16)
    height = torch.rand(1, 1, 16, 16, requires_grad=True)
    other = texture.with_channel("height", height)
    assert "height" not in texture.channels and other.channels["height"] is height
    assert not other.detach().channels["height"].requires_grad
    with pytest.raises(AssertionError, match="height"):
        texture.with_channel("height", torch.rand(1, 3, 16, 16))
