"""The viewport's engine: lit like the real shader, of any shape, honest about what it shows, and quick with a new texture."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from studio import environment, resources, view
from studio.camera import Camera, between, framed
from studio.errors import StudioError
from studio.heat import heat_colours
from studio.renderers import build
from studio.shade import Shader
from studio.shot import CHANNELS, Shot
from studio.surface.atlas import build_atlas
from studio.surface.mesh import Mesh, load
from studio.texture import Taps, Texture
from studio.view import Superseded, Viewer
from tests.meshes import cube, quad, two_set_box, uv_sphere
from tests.test_still import striped

SHOT = Shot(Camera(30, 20), 72, 48)


@cache
def loaded(mesh: str) -> tuple[Mesh, Texture]:
    made = load(resources.sample(mesh)) if mesh == "mug" else {"box": two_set_box, "quad": quad, "cube": cube}[mesh]()
    return made, striped(made, build_atlas(made, 128)) if mesh == "mug" else Texture.flat(made, 32)


@cache
def viewer(mesh: str) -> Viewer:
    made = Viewer()
    made.show(loaded(mesh)[0])
    return made


def drawn(mesh: str, shot: Shot = SHOT, **options: object) -> np.ndarray:
    return viewer(mesh).draw(shot, loaded(mesh)[1], **options)  # type: ignore[arg-type]


def ramp(size: int = 64) -> torch.Tensor:
    """A heat map that grows from left to right."""
    return torch.linspace(0, 1, size).expand(1, 1, size, size).contiguous()


@pytest.mark.parametrize("camera", [Camera(25, 20), Camera(200, -15, orthographic=True)])
def test_the_light_is_that_of_the_shader(camera: Camera) -> None:
    """Less than 2/255 apart on average, with the same part of the light hidden."""
    mesh, texture = loaded("mug")
    picture = drawn("mug", Shot(camera, 96, 96, samples=4, backdrop=False))
    fragments = build("embree", torch.device("cpu"))[0].rasterize(mesh, [camera], 96, supersample=2)
    open_ = viewer("mug")._model.corner[:, 8].reshape(-1, 3, 1)
    visible = torch.zeros(1, 1, 192, 192)
    visible[:, 0][fragments.mask] = fragments.at_hits(open_)[:, 0]
    visible = torch.nn.functional.avg_pool2d(visible, 2) / fragments.alpha.clamp(min=1e-6)
    taps = Taps(fragments, build_atlas(mesh, 128))
    expected = Shader(fragments, taps, environment.load("softbox"), visible=visible).surface(texture)[0].movedim(0, -1).numpy()
    inside = picture[..., 3] > 0
    assert np.abs(picture[..., 3] - fragments.alpha[0, 0].numpy()).mean() < 0.002
    assert np.abs(picture[..., :3] - expected)[inside].mean() < 2 / 255


def test_the_viewport_is_the_one_we_have_looked_at() -> None:
    """Golden picture. What must be seen in `golden/view.png`: four times the same mug whole in its frame, open towards us from
    above, its handle on the right, in a dark warm room that is lighter behind the mug and on the floor around it, its soft shadow
    darkest where the mug stands. Above left red and white bands, glossy right and matt left. Above right the same with the edges
    of its triangles, thin and even. Below left the left half in plain white clay-like paint, the right half in bands, the border
    straight and upright. Below right violet through red to yellow from one side of each chart to the other, still shaded. No
    black or white speckles. After a change that is meant to be seen, look at the new picture, then replace it."""
    mesh, texture = loaded("mug")
    made, shot = viewer("mug"), Shot(Camera(25, 20), 168, 120, samples=4)
    plain = Texture.flat(mesh, 64)
    pictures = [
        made.draw(shot, texture),
        made.draw(replace(shot, wireframe=True), texture),
        made.draw(replace(shot, split=0.5), texture, before=plain),
        made.draw(shot, texture, heat=ramp()),
    ]
    picture = np.concatenate([np.concatenate(pictures[:2], 1), np.concatenate(pictures[2:], 1)])[..., :3]
    with Image.open(Path(__file__).with_name("golden") / "view.png") as golden:
        off = np.abs(picture - np.asarray(golden) / 255)
    assert off.mean() < 1 / 255 and (off.max(-1) > 16 / 255).mean() < 0.005


def test_a_new_texture_costs_no_geometry(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh, texture = loaded("cube")
    made = viewer("cube")
    first = made.draw(SHOT, texture)
    red = texture.with_channel("base_color", torch.tensor([0.8, 0.1, 0.1])[None, :, None, None].expand(1, 3, 32, 32).contiguous())
    monkeypatch.setattr(made._rasterizer, "surface", lambda *_: pytest.fail("the geometry is known"))
    second = made.draw(replace(SHOT, exposure_ev=0.5, channel="base_color"), red)
    assert second[24, 36, 0] == pytest.approx(0.8) and not np.array_equal(first, second)
    out = np.empty_like(first)
    assert made.draw(SHOT, texture, out=out) is out and np.array_equal(out, first), "equal shots give equal pictures"


def test_bands_and_sizes_leave_the_picture_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    shot = replace(SHOT, samples=4, wireframe=True)
    whole = drawn("box", shot)
    monkeypatch.setitem(view.BAND_PIXELS, "cpu", 72 * 5)
    viewer("box")._frame = None
    np.testing.assert_allclose(drawn("box", shot), whole, atol=1e-5)
    assert viewer("box")._frame is not None and len(viewer("box")._frame.bands) == 10  # type: ignore[union-attr]
    square = drawn("box", replace(SHOT, width=48, channel="normal", backdrop=False))
    np.testing.assert_allclose(square, drawn("box", replace(SHOT, channel="normal", backdrop=False))[:, 12:60], atol=1e-5)


def test_an_orthographic_eye_is_never_inside_the_mesh() -> None:
    picture = drawn("cube", replace(SHOT, camera=Camera(0, 0, distance=0.3, orthographic=True), channel="normal"))
    np.testing.assert_allclose(picture[..., :3], np.broadcast_to([0.5, 0.5, 1.0], picture[..., :3].shape), atol=1e-6)


def test_without_backdrop_the_picture_is_transparent_and_edges_keep_their_colour() -> None:
    picture = drawn("quad", Shot(Camera(0, 0, distance=3.1), 65, 49, samples=4, channel="base_color", backdrop=False))
    alpha = picture[..., 3]
    assert alpha[0, 0] == 0 and alpha[24, 32] == 1 and ((alpha > 0) & (alpha < 1)).any()
    white = float(loaded("quad")[1].channels["base_color"][0, 0, 0, 0])
    np.testing.assert_allclose(picture[alpha > 0][:, :3], white, atol=1e-5)
    assert (drawn("quad")[..., 3] == 1).all()


def test_texture_sets_do_not_mix_however_far_away() -> None:
    mesh = two_set_box()
    colours = torch.stack([torch.full((3, 64, 64), 0.2), torch.full((3, 64, 64), 0.8)])
    texture = Texture.flat(mesh, 64).with_channel("base_color", colours)
    for distance in (2.8, 15.0):
        shot = Shot(Camera(30, 25, distance=distance), 48, 48, channel="base_color", backdrop=False)
        picture = viewer("box").draw(shot, texture)
        seen = picture[picture[..., 3] > 0][:, 0]
        assert set(seen.round(4).tolist()) <= {np.float32(0.2).round(4), np.float32(0.8).round(4)} and len(seen)


def test_fine_patterns_become_grey_instead_of_shimmering() -> None:
    texture = loaded("quad")[1]
    board = (torch.arange(512)[:, None] + torch.arange(512)).remainder(2).float().expand(1, 3, 512, 512).contiguous()
    checks = Texture.flat(loaded("quad")[0], 512).with_channel("base_color", board)
    shot = Shot(Camera(0, 0), 48, 48, channel="base_color", backdrop=False)
    seen = viewer("quad").draw(shot, checks)[16:32, 16:32, 0]
    assert np.abs(seen - 0.5).max() < 0.01 and texture.size_px == 32


def test_the_split_shows_before_on_its_left() -> None:
    mesh, texture = loaded("cube")
    dark = texture.with_channel("base_color", torch.zeros(1, 3, 32, 32))
    shot = replace(SHOT, channel="base_color")
    halves = viewer("cube").draw(replace(shot, split=0.5), texture, before=dark)[24, 34:38, 0]
    assert (halves > 0.5).tolist() == [False, False, True, True]
    whole = viewer("cube").draw(replace(shot, split=1.0), texture, before=dark)
    assert whole[24, 36, 0] == 0


def test_heat_is_clay_where_it_is_cold_and_scaled_to_its_hottest_percent() -> None:
    clay = drawn("quad", replace(SHOT, channel="clay"))
    np.testing.assert_allclose(drawn("quad", heat=torch.zeros(1, 1, 64, 64)), clay, atol=1e-6)
    hot = drawn("quad", heat=ramp())
    np.testing.assert_allclose(drawn("quad", heat=1e-7 * ramp()), hot, atol=1e-3)
    spike = ramp().clone()
    spike[0, 0, 5, 5] = 1e6
    assert np.median(np.abs(drawn("quad", heat=spike) - hot)) < 0.01
    lightness = heat_colours() @ np.array([0.2, 0.7, 0.1])
    assert (np.diff(lightness) > 0).all()


def test_framing_shows_all_of_the_mesh_and_flights_take_the_shorter_way() -> None:
    points = loaded("mug")[0].vertices
    for start in (Camera(200, 35), Camera(10, -80, target=(1, 1, 1), distance=0.3), Camera(75, 10, orthographic=True)):
        for aspect in (0.5, 2.0):
            camera = framed(start, points, aspect=aspect)
            x, y, _, w = camera.T_clip_world() @ np.concatenate([points, np.ones((len(points), 1))], 1).T
            assert max(np.abs(x / w / aspect).max(), np.abs(y / w).max()) == pytest.approx(0.84, abs=1e-3)
    way = [between(Camera(350, 0, distance=1), Camera(20, 40, distance=4), t) for t in (0, 0.5, 1)]
    assert [c.azimuth_deg for c in way] == [350, 5, 20] and [c.distance for c in way] == [1, 2, 4]


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_channel_is_a_picture(channel: str) -> None:
    picture = drawn("box", replace(SHOT, channel=channel, wireframe=channel == "clay"))
    assert picture.shape == (48, 72, 4) and picture.dtype == np.float32 and np.isfinite(picture).all()
    assert picture[..., :3].min() > -1 / 255 and picture.max() <= 1 + 1 / 255
    assert np.ptp(picture[20:30, 30:42, :3]) > 0 or channel in ("roughness", "metallic", "base_color")


def test_turning_the_environment_turns_light_and_shadow() -> None:
    first = drawn("cube", replace(SHOT, environment_turn_deg=0))
    other = drawn("cube", replace(SHOT, environment_turn_deg=180))
    changed = np.abs(first - other)[..., :3].max(-1) > 2 / 255
    assert changed[24, 36] and changed[44:].any(), "the cube's front, and the floor before it"
    with_camera = drawn("cube", replace(SHOT, camera=Camera(120, 20), environment_turn_deg=90))
    np.testing.assert_allclose(with_camera, first, atol=0.06)


def test_what_is_under_a_pixel_is_picked() -> None:
    ball = Viewer()
    ball.show(uv_sphere(96, 48))
    camera = Camera(90, 0)
    assert ball.pick(camera, 200, 100, 100, 50) == pytest.approx((0.9, 0, 0), abs=0.02)
    assert ball.pick(camera, 200, 100, 10, 50) is None and ball.pick(camera, 200, 100, 500, 50) is None
    place = ball.pick(camera, 200, 100, 120.5, 30.5)
    assert place is not None and place[1] > 0.2 and place[2] < -0.2, "seen from +x, −z lies to the right"


def test_a_picture_nobody_wants_is_left_at_once() -> None:
    asked = []
    with pytest.raises(Superseded):
        drawn("box", replace(SHOT, samples=4, camera=Camera(77, 3)), wanted=lambda: asked.append(1) or len(asked) < 3)
    assert len(asked) == 3


def test_light_that_was_first_loaded_here_can_be_learned_under() -> None:
    environment._prefiltered.cache_clear()
    viewer("cube")._lit = viewer("cube")._frame = None
    drawn("cube", replace(SHOT, environment="white"))
    roughness = torch.full((1,), 0.4, requires_grad=True)
    environment.load("white").reflected(torch.tensor([[0.0, 1.0, 0.0]]), roughness).sum().backward()
    assert roughness.grad is not None


def test_a_mesh_without_uvs_is_shown_and_wrong_names_are_said() -> None:
    bare = Mesh.from_arrays(cube().vertices, cube().faces)
    made = Viewer()
    made.show(bare)
    assert bare.corner_uv is None
    assert np.ptp(made.draw(replace(SHOT, backdrop=False), Texture.flat(bare, 16))[..., 3]) == 1
    with pytest.raises(StudioError, match="clay"):
        drawn("box", replace(SHOT, channel="clya"))
    with pytest.raises(StudioError, match="softbox"):
        drawn("box", replace(SHOT, environment="softbx"))
