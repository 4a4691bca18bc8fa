"""The bake: weights, what it leaves alone, how it fills, and its exact derivative."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import torch

from studio.bake import Baker, supersample
from studio.camera import Camera, ring
from studio.errors import StudioError
from studio.renderers import SOCKET as RENDERERS
from studio.renderers import Rasterizer
from studio.surface.atlas import Atlas, build_atlas
from studio.surface.mesh import Mesh
from studio.texture import Fragments
from tests.meshes import cube, joined, patch, quad, two_set_box, uv_sphere

FRONT = (Camera(),)


@functools.cache
def renderer() -> Rasterizer:
    return RENDERERS.make("embree").build(torch.device("cpu"))


def draw(mesh: Mesh, cameras=FRONT, px: int = 48, k: int = 1) -> Fragments:
    return renderer().rasterize(mesh, cameras, px, supersample=k)


def noise(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def waves(position: torch.Tensor) -> torch.Tensor:
    """A smooth colour [..., 3] of a point in space."""
    return 0.5 + 0.4 * torch.sin(3 * position + torch.tensor([0.0, 1.0, 2.0]))


def painted(fragments: Fragments) -> torch.Tensor:
    """The straight-colour pictures [V, 3, h, w] of `waves` at pixel centres."""
    return waves(fragments.position).permute(0, 3, 1, 2)


def stage() -> Mesh:
    """A small square (chart 0, above in the atlas) in front of a large one (chart 1), both facing +z."""
    small = patch(lambda s, t: np.stack([s - 0.5, 0.5 - t, 0 * s + 0.8], -1), 1, 1, (0.05, 0.05, 0.45, 0.45))
    large = patch(lambda s, t: np.stack([4 * s - 2, 2 - 4 * t, 0 * s], -1), 1, 1, (0.05, 0.55, 0.45, 0.95))
    return joined([small, large], "stage")


@pytest.mark.parametrize(("mesh", "k"), [(cube(), 1), (two_set_box(), 2), (uv_sphere(), 1)])
def test_one_colour_fills_everything(mesh: Mesh, k: int) -> None:
    atlas = build_atlas(mesh, 40)
    baker = Baker(draw(mesh, ring(3, elevation_deg=30), 32, k), atlas)
    for dtype in (torch.float32, torch.float64):
        baked = baker.bake(torch.tensor([0.2, 0.5, 0.9], dtype=dtype)[None, :, None, None].expand(3, 3, 32, 32))
        assert baked.dtype == dtype and baked.shape == (atlas.sets, 3, 40, 40)
        assert (baked - torch.tensor([0.2, 0.5, 0.9])[None, :, None, None]).abs().max() < 1e-5


@pytest.mark.parametrize("k", [1, 3])
def test_colours_arrive_where_they_belong(k: int) -> None:
    """The atlas is as fine as the picture, then three times finer: a smooth colour comes back."""
    mesh, px = uv_sphere(), 40
    atlas = build_atlas(mesh, 64 * k)
    baker = Baker(draw(mesh, ring(4), px, k), atlas)
    baked = baker.bake(painted(draw(mesh, ring(4), px)))
    error = (baked - waves(atlas.position).permute(0, 3, 1, 2)).abs().amax(1)
    clear = baker.painted & atlas.interior & (baker.weight[:, 0] > 0.01)
    assert clear.sum() > 0.35 * atlas.valid.sum()
    assert error[clear].mean() < 0.01 and error[clear].max() < 0.04


def test_bake_is_linear_with_an_exact_gradient() -> None:
    baker = Baker(draw(two_set_box(), ring(2, elevation_deg=40), 4, 2), build_atlas(two_set_box(), 8))
    x, y = noise(2, 1, 4, 4), noise(2, 1, 4, 4, seed=1)
    torch.testing.assert_close(baker.bake(2 * x - 3 * y), 2 * baker.bake(x) - 3 * baker.bake(y), atol=1e-12, rtol=0)
    assert torch.autograd.gradcheck(baker.bake, x.requires_grad_())


def test_gradient_is_the_same_in_float32() -> None:
    baker = Baker(draw(cube(), ring(3, elevation_deg=30), 24, 2), build_atlas(cube(), 32))
    push = noise(1, 3, 32, 32)
    grads = []
    for dtype in (torch.float32, torch.float64):
        x = noise(3, 3, 24, 24).to(dtype).requires_grad_()
        (baker.bake(x) * push.to(dtype)).sum().backward()
        grads.append(x.grad.double())
    torch.testing.assert_close(grads[0], grads[1], atol=1e-5, rtol=1e-4)


def test_two_equal_views_are_averaged() -> None:
    mesh = quad()
    baker = Baker(draw(mesh, (Camera(azimuth_deg=25), Camera(azimuth_deg=-25)), 64), build_atlas(mesh, 32))
    baked = baker.bake(torch.stack([torch.zeros(1, 64, 64), torch.ones(1, 64, 64)]))[0, 0]
    torch.testing.assert_close(baked, 1 - baked.flip(1), atol=0.02, rtol=0)
    assert abs(float(baked[:, 15:17].mean()) - 0.5) < 0.01


def test_weight_falls_with_the_power_of_the_cosine() -> None:
    mesh, atlas = quad(), build_atlas(quad(), 16)
    views = (Camera(orthographic=True), Camera(azimuth_deg=60, orthographic=True))
    ratio = {}
    for power in (0.0, 2.0, 4.0):
        weight = [Baker(draw(mesh, (v,), 48), atlas, power=power).weight[0, 0, 6:10, 6:10].sum() for v in views]
        ratio[power] = float(weight[1] / weight[0])
    assert ratio[2.0] / ratio[0.0] == pytest.approx(0.25, rel=1e-3)
    assert ratio[4.0] / ratio[0.0] == pytest.approx(0.0625, rel=1e-3)
    assert ratio[0.0] == pytest.approx(0.5, rel=0.1)  # half as many pixels see it


def test_flat_angles_and_back_faces_receive_nothing() -> None:
    mesh = two_set_box()
    baker = Baker(draw(mesh, FRONT), build_atlas(mesh, 48))
    seen = baker.painted & build_atlas(mesh, 48).valid
    assert set(build_atlas(mesh, 48).chart[seen].tolist()) == {0}
    with pytest.raises(StudioError, match="nothing"):
        Baker(draw(quad(), (Camera(azimuth_deg=180),)), build_atlas(quad(), 16))
    with pytest.raises(StudioError, match="nothing"):
        Baker(draw(quad(), (Camera(azimuth_deg=88),)), build_atlas(quad(), 16))


@pytest.mark.parametrize("k", [1, 2, 4])
def test_occluded_surface_receives_nothing_and_no_colour_crosses_a_depth_edge(k: int) -> None:
    mesh = stage()
    atlas = build_atlas(mesh, 96)
    f = draw(mesh, px=40, k=k)
    baker = Baker(f, atlas)
    back = atlas.chart == 1
    shadow = back & (atlas.position[..., :2].abs().amax(-1) < 0.8 * 0.25 * atlas.position[back].abs().amax())
    assert shadow.sum() > 20 and not (baker.painted & shadow).any()
    # A picture whose mixed pixels are mixed, as a generator draws it.
    picture = ((f.face < 2) & f.mask).reshape(1, 40, k, 40, k).double().mean((2, 4))[:, None]
    baked = baker.bake(picture)[:, 0]
    assert baked[atlas.chart == 0].min() > 1 - 1e-5
    assert baked[back].max() < 1e-5


def test_pictures_are_not_read_across_their_border_with_the_background() -> None:
    mesh = quad()
    f = draw(mesh, px=32, k=4)
    baker = Baker(f, build_atlas(mesh, 96))
    baked = baker.bake(f.alpha.double())  # white surface, black background, mixed silhouettes
    assert baked.min() > 1 - 1e-5


def test_feather_lets_the_view_without_an_edge_win() -> None:
    mesh, atlas = stage(), build_atlas(stage(), 96)
    cameras = (Camera(), Camera(azimuth_deg=35))
    picture = torch.stack([torch.ones(1, 64, 64), torch.zeros(1, 64, 64)])
    share = [Baker(draw(mesh, cameras, 64), atlas, feather_px=r).bake(picture)[0, 0] for r in (0, 3)]
    faded = (atlas.chart[0] == 1) & (share[1] < share[0] - 0.2)
    assert faded.sum() > 20


# -- what is left alone, and what is filled -------------------------------------------------------------------------------


def test_kept_texels_come_back_bit_for_bit() -> None:
    mesh, atlas = cube(), build_atlas(cube(), 48)
    baker = Baker(draw(mesh, ring(3, elevation_deg=30), 32, 2), atlas)
    kept = noise(1, 3, 48, 48, dtype=torch.float32)
    keep = noise(1, 1, 48, 48, seed=3) < 0.4
    texture = kept
    for round_ in range(3):
        pictures = baker.taps.fetch(texture) + noise(3, 3, 32, 32, dtype=torch.float32, seed=round_)
        texture = baker.bake(pictures, keep=keep, onto=texture)
    assert torch.equal(texture[keep.expand_as(kept)], kept[keep.expand_as(kept)])
    assert not torch.equal(texture, kept)


def test_gradient_of_kept_texels_goes_to_what_was_kept() -> None:
    baker = Baker(draw(quad(), px=16), build_atlas(quad(), 16))
    keep = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    keep[..., 5:9] = True
    pictures, onto = noise(1, 1, 16, 16).requires_grad_(), noise(1, 1, 16, 16).requires_grad_()
    baker.bake(pictures, keep=keep, onto=onto).sum().backward()
    assert torch.equal(onto.grad, keep.double())
    assert float(pictures.grad.sum()) == pytest.approx(16 * 12, rel=1e-6)


def test_holes_are_filled_from_their_own_chart() -> None:
    """The background of `stage` is white and its hidden middle must be, though the square before it is black."""
    mesh, atlas = stage(), build_atlas(stage(), 64)
    f = draw(mesh, px=64)
    baker = Baker(f, atlas)
    baked = baker.bake((f.face >= 2).double()[:, None])[0, 0]
    hidden = (atlas.chart[0] == 1) & ~baker.painted[0]
    assert hidden.sum() > 20
    assert baked[hidden].min() > 1 - 1e-5


def test_filling_stays_within_the_range_of_the_chart() -> None:
    mesh = uv_sphere()
    atlas = build_atlas(mesh, 48)
    baker = Baker(draw(mesh, (Camera(elevation_deg=20),), 32), atlas)
    baked = baker.bake(painted(draw(mesh, (Camera(elevation_deg=20),), 32)))
    known = baked[0][:, baker.painted[0]]
    assert (baked[0].flatten(1).amax(1) <= known.amax(1) + 1e-6).all()
    assert (baked[0].flatten(1).amin(1) >= known.amin(1) - 1e-6).all()


def test_gutter_takes_the_colour_of_the_nearest_texel() -> None:
    atlas = build_atlas(cube(margin=1 / 12), 64)
    baker = Baker(draw(cube(margin=1 / 12), ring(3, elevation_deg=40), 32, 2), atlas)
    baked = baker.bake(noise(3, 2, 32, 32)).permute(0, 2, 3, 1).reshape(-1, 2)
    gutter = ~(atlas.valid | baker.painted).flatten()
    assert gutter.sum() > 500
    assert torch.equal(baked[gutter], baked[atlas.nearest.flatten()[gutter]])


def test_unseen_charts_take_what_is_nearest_in_space() -> None:
    """From the front only the front of a cube is seen: its sides continue its rim, row by row."""
    atlas = build_atlas(cube(), 48)
    baker = Baker(draw(cube(), FRONT, 64), atlas)
    f = draw(cube(), FRONT, 64)
    baked = baker.bake(f.position[..., 1:2].permute(0, 3, 1, 2).double())[0, 0]
    right = atlas.chart[0] == 1
    assert not (baker.painted[0] & right).any()
    assert (baked[right] - atlas.position[0, ..., 1][right]).abs().max() < 0.06


# -- in sum ---------------------------------------------------------------------------------------------------------------


def test_a_blob_stays_in_place_through_ten_bakes() -> None:
    mesh, atlas = quad(), build_atlas(quad(), 64)
    baker = Baker(draw(mesh, px=80, k=2), atlas)
    y, x = (i.double() for i in torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij"))
    texture = torch.exp(-((x - 29.3) ** 2 + (y - 35.8) ** 2) / 18)[None, None]
    for _ in range(10):
        texture = baker.bake(baker.taps.fetch(texture))
    mass = texture[0, 0] / texture.sum()
    assert abs(float((mass * x).sum()) - 29.3) < 0.02
    assert abs(float((mass * y).sum()) - 35.8) < 0.02


def test_coverage_counts_painted_texels() -> None:
    atlas = build_atlas(cube(), 48)
    assert Baker(draw(cube(), FRONT, 96), atlas).coverage() == pytest.approx(1 / 6, abs=0.01)


def test_supersampling_follows_the_size_of_texels() -> None:
    def needed(texels: int) -> float:
        atlas: Atlas = build_atlas(quad(), texels)
        return 2 * Camera().half_height() / 64 / (2 * float(quad().vertices.max()) / atlas.size_px)

    for texels in (16, 64, 96, 128, 512):
        assert supersample(build_atlas(quad(), texels), 64) == min(max(math.ceil(needed(texels)), 2), 4)


def test_pixels_that_hold_no_colour_are_never_read() -> None:
    """A picture painted at its pixels' centres is blank where the surface is only grazed, as thin strips are between centres."""
    y = np.linspace(-0.9, 0.9, 9)
    strips = [((-0.9, a, 0.0), (0.9, a + 0.1, 0.0), (0.9, a + 0.13, 0.0), (-0.9, a + 0.03, 0.0)) for a in y]
    uv = [((0, v), (1, v), (1, v + 0.1), (0, v + 0.1)) for v in np.linspace(0, 0.88, 9)]
    faces = np.array([(4 * i, 4 * i + a, 4 * i + a + 1) for i in range(9) for a in (1, 2)])
    mesh = Mesh.from_arrays(np.array(strips).reshape(-1, 3), faces, corner_uv=np.array(uv).reshape(-1, 2)[faces])
    atlas, shown = build_atlas(mesh, 64), draw(mesh, k=1).mask
    fine = draw(mesh, k=4)
    assert bool(((fine.alpha[:, 0] > 0) & ~shown).any())
    baker = Baker(fine, atlas, shown=shown)
    assert baker.bake(shown.float()[:, None])[:, 0][atlas.valid].min() > 1 - 1e-5
    assert Baker(fine, atlas).bake(shown.float()[:, None])[:, 0][atlas.valid].min() < 0.9
