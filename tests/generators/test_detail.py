"""What textures show beyond their pictures: exact stripes between pixels, and nothing that the pictures do not confirm."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from studio.bake import Baker, supersample, texel
from studio.camera import Camera
from studio.generators import _solid
from studio.generators._detail import Drawing, _grouped, detail
from studio.generators._motifs import Motifs
from studio.generators._multiview import MultiView
from studio.generators._network import Denoiser
from studio.generators._reader import INKS
from studio.pretrain.measures import fine_energy
from studio.renderers import SOCKET as RENDERERS
from studio.surface.atlas import Atlas, build_atlas
from studio.surface.mesh import Mesh
from studio.surface.seams import seams
from studio.texture import Fragments
from tests.generators.test_multiview import FULL, WORDS
from tests.meshes import cube, quad

CPU = torch.device("cpu")
PX, PATCH, MIXED = 64, 8, 2
RED, BLUE = (torch.tensor(c).view(1, 3, 1, 1) for c in ((0.8, 0.1, 0.1), (0.1, 0.2, 0.7)))


@pytest.fixture(scope="module")
def volumes() -> _solid.Volumes:
    return _solid.Volumes.make(CPU, cell_res=24)


def stage(mesh: Mesh, cameras: tuple[Camera, ...], atlas_px: int) -> tuple[Fragments, Atlas, Baker]:
    renderer, atlas = RENDERERS.make("embree").build(CPU), build_atlas(mesh, atlas_px)
    seen = renderer.rasterize(mesh, cameras, PX)
    fine = renderer.rasterize(mesh, cameras, PX, supersample=supersample(atlas, PX))
    return seen, atlas, Baker(fine, atlas, shown=seen.mask)


def stripes(views: int, *, steep: float = 2.0) -> Motifs:
    """Every token's first share follows the sine of one stripe per unit across, with edges of about a pixel, as they are taught;
    the other shares are nowhere."""
    tokens = (views, (PX // PATCH) ** 2)
    mixing, sharing = torch.zeros(*tokens, MIXED, _solid.FIELDS), torch.zeros(*tokens, INKS, MIXED)
    mixing[..., 0, 1], sharing[..., 0, 0] = math.sqrt(_solid.FIELDS) / 3, steep
    bias, lift = torch.zeros(*tokens, MIXED, 1), torch.zeros(*tokens, INKS, 1)
    return Motifs(mixing, bias, sharing, lift, torch.zeros(*tokens, 3, INKS))


def drawn(seen: Fragments, motifs: Motifs, volumes: _solid.Volumes, *, unit: float = 0.2) -> Drawing:
    position, normal = seen.position.movedim(-1, 1), seen.normal.movedim(-1, 1)
    at, place = torch.tensor(unit), torch.tensor([0.13, 0.0, 0.0])
    frame = _solid.code(position, at.expand(len(position)), place.expand(len(position), 3))
    found = torch.tanh(motifs.at(_solid.seen(frame, normal, volumes, patch=PATCH))[1])
    shares = found.permute(0, 2, 3, 1).flatten(1, 2).unflatten(2, (PX // PATCH, -1))
    shares = torch.nn.functional.pixel_shuffle(shares, PATCH)
    return Drawing(motifs, shares, seen.mask[:, None].float(), at, place, PATCH)


def side(atlas: Atlas) -> float:
    """Of a texel, in a world where these pixels are as large as those that are taught."""
    return texel(atlas) * _solid.PIXEL * PX / (2 * Camera().half_height())


def inked(share: Tensor) -> Tensor:
    """Two colours by a share [N, 1, h, w] in −1…1."""
    return torch.lerp(RED, BLUE, (share + 1) / 2)


def test_stripes_are_as_sharp_as_texels_and_the_cameras_see_no_difference(volumes: _solid.Volumes) -> None:
    seen, atlas, baker = stage(quad(), (Camera(),), 256)
    drawing = drawn(seen, stripes(1), volumes)
    pictures = inked(drawing.shares[:, :1])
    beyond = detail(drawing, pictures, volumes, atlas=atlas, baker=baker, texel=side(atlas))
    baked = baker.bake(pictures)
    wave = torch.sin(2 * math.pi * (atlas.position[..., 0] / 0.2 + 0.13))[:, None]
    truth, inside = inked(wave.sign()), (atlas.interior & baker.painted)[:, None]
    fine = fine_energy(truth, inside)
    assert fine_energy(baked, inside) < 0.25 * fine
    assert 0.5 * fine < fine_energy(baked + beyond, inside) < 1.2 * fine
    on = inside.expand_as(truth)
    assert (baked + beyond - truth)[on].abs().mean() < 0.6 * (baked - truth)[on].abs().mean()
    reached = (baked + beyond)[on].quantile(torch.tensor([0.01, 0.99]))
    assert 0.04 < reached[0] and reached[1] < 0.86  # inks are 0.1 … 0.8: hardly any halo
    again = baker.bake(baker.taps.fetch(beyond) / baker.taps.alpha.clamp(min=1e-6))
    assert again[on].square().mean() < 0.1 * beyond[on].square().mean()


def test_what_the_pictures_do_not_confirm_is_not_added(volumes: _solid.Volumes) -> None:
    """One colour over all stripes, as an effect lays it, stays one colour."""
    seen, atlas, baker = stage(quad(), (Camera(),), 192)
    drawing = drawn(seen, stripes(1), volumes)
    plain = BLUE.expand(1, 3, PX, PX)
    assert detail(drawing, plain, volumes, atlas=atlas, baker=baker, texel=side(atlas)).abs().max() < 1e-4


def test_cuts_stay_and_views_that_agree_draw_one_edge(volumes: _solid.Volumes) -> None:
    mesh = cube()
    seen, atlas, baker = stage(mesh, (Camera(20, 10), Camera(-20, 10)), 288)
    drawing = drawn(seen, stripes(2), volumes)
    pictures = inked(drawing.shares[:, :1])
    beyond = detail(drawing, pictures, volumes, atlas=atlas, baker=baker, texel=side(atlas))
    cuts, baked = seams(mesh, atlas), baker.bake(pictures)
    both = torch.stack([baker.painted.flatten()[i].all(1) for i in cuts.index]).all(0)
    assert both.any() and torch.equal(cuts.jump(baked + beyond)[both], cuts.jump(baked)[both])
    front = (atlas.interior & baker.painted & (atlas.normal[..., 2] > 0.9))[:, None]
    wave = torch.sin(2 * math.pi * (atlas.position[..., 0] / 0.2 + 0.13))[:, None]
    on = front.expand_as(beyond)
    truth = inked(wave.sign())
    assert (baked + beyond - truth)[on].abs().mean() < 0.6 * (baked - truth)[on].abs().mean()


@pytest.mark.parametrize("atlas_px", [96, 288])
def test_the_motif_goes_on_where_no_view_shows_the_surface(volumes: _solid.Volumes, atlas_px: int) -> None:
    """On the cube's top, bottom and back, which filling alone would smear, whether or not texels are finer than pixels."""
    seen, atlas, baker = stage(cube(), (Camera(20, 0), Camera(-20, 0)), atlas_px)
    drawing = drawn(seen, stripes(2), volumes)
    pictures = inked(drawing.shares[:, :1])
    beyond, baked = detail(drawing, pictures, volumes, atlas=atlas, baker=baker, texel=side(atlas)), baker.bake(pictures)
    hidden = atlas.valid & ~baker.painted & (atlas.normal[..., 0].abs() < 0.1)
    truth = inked(torch.sin(2 * math.pi * (atlas.position[..., 0] / 0.2 + 0.13))[:, None].sign())
    for axis in ((0, 1, 0), (0, -1, 0), (0, 0, -1)):
        on = (hidden & ((atlas.normal * torch.tensor(axis)).sum(-1) > 0.9))[:, None].expand_as(beyond)
        assert on.any() and (baked + beyond - truth)[on].abs().mean() < 0.4 * (baked - truth)[on].abs().mean()


def test_a_view_whose_network_wrote_nothing_there_has_no_say(volumes: _solid.Volumes) -> None:
    """Tokens that lie outside the mask wrote anything at all."""
    seen, atlas, baker = stage(quad(), (Camera(),), 192)
    motifs = stripes(1)
    empty = torch.nn.functional.max_pool2d(seen.mask[:, None].float(), PATCH).flatten(1) == 0
    wild = replace(motifs, lift=torch.where(empty[..., None, None], 100.0, motifs.lift))
    results = []
    for m in (motifs, wild):
        drawing = drawn(seen, m, volumes)
        pictures = inked(drawing.shares[:, :1])
        results.append(detail(drawing, pictures, volumes, atlas=atlas, baker=baker, texel=side(atlas)))
    assert empty.any() and torch.equal(results[0][:, :, 60:-60, 60:-60], results[1][:, :, 60:-60, 60:-60])


def test_tokens_are_grouped_without_a_loss() -> None:
    token = torch.randint(7, (200,), generator=torch.Generator().manual_seed(0)).square()
    found = torch.full_like(token, -1)
    for names, places in _grouped(token):
        found[places] = names[:, None].expand_as(places)
    assert torch.equal(found, token)


def test_a_frame_can_be_read_back() -> None:
    position = torch.rand(2, 3, 4, 4)
    at, unit = torch.tensor([4.0, 2.5, 30.0]), torch.tensor(0.3)
    found, place = _solid.decoded(_solid.code(position, unit.expand(2), at.expand(2, 3)), position)
    assert torch.allclose(found, unit) and torch.allclose(place, at, atol=1e-5)


@pytest.mark.parametrize(("mixed", "atlas_px", "there"), [(2, 224, True), (2, 96, False), (0, 224, False)])
def test_a_painter_knows_more_where_it_draws_in_a_frame_and_texels_are_finer(mixed: int, atlas_px: int, there: bool) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Denoiser(replace(FULL, mixed=mixed, cell=0.05), len(WORDS.words))
    painter = MultiView(network, WORDS, steps=2, guidance=1.0, eta=0.0)
    mesh = quad()
    seen, atlas, baker = stage(mesh, (Camera(), Camera(25, 10)), atlas_px)
    scene = painter.scene("red", seen, mesh=mesh)
    last, pictures = painter.painted(scene, seed=1)
    assert torch.equal(pictures, painter.paint(scene, seed=1))
    beyond = painter.detail(last, pictures, scene, atlas=atlas, baker=baker)
    assert (beyond is not None) == there
    if beyond is not None:
        assert beyond.shape == (1, 6, atlas_px, atlas_px) and beyond.isfinite().all() and beyond.abs().max() > 0
        x0 = painter.predict(last, 1, scene)[:, 0]
        assert torch.allclose(painter.decode(x0, scene), pictures, atol=1e-5)
