"""Shading: no light is made or lost, gradients are exact, light comes from where the panorama has it, channels are honest."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor

from studio import environment
from studio.camera import Camera
from studio.environment import Environment
from studio.errors import StudioError
from studio.renderers import build
from studio.shade import CHANNELS, GREY, TONES, Shader, channel, filmic, neutral, shade
from studio.surface.atlas import build_atlas
from studio.texture import Fragments, Taps, Texture
from tests.meshes import quad, two_set_box, uv_sphere

MESHES = {"quad": quad, "ball": uv_sphere, "box": two_set_box}
T = 16


@cache
def seen(mesh: str, camera: Camera = Camera(), size_px: int = 24, supersample: int = 2) -> tuple[Fragments, Taps, Texture]:
    made = MESHES[mesh]()
    rasterizer, _ = build("auto", torch.device("cpu"))
    fragments = rasterizer.rasterize(made, [camera], size_px, supersample=supersample)
    return fragments, Taps(fragments, build_atlas(made, T)), Texture.flat(made, T)


def painted(texture: Texture, colour: tuple[float, float, float], *, roughness: float, metallic: float) -> Texture:
    sets = len(texture.names)
    texture = texture.with_channel("base_color", torch.tensor(colour)[None, :, None, None].expand(sets, 3, T, T))
    texture = texture.with_channel("roughness", torch.full((sets, 1, T, T), roughness))
    return texture.with_channel("metallic", torch.full((sets, 1, T, T), metallic))


@cache
def lamp(azimuth: int) -> Environment:
    """A dim room with one lamp at the horizon: 0 at +z, 1 at +x, 2 at −z, 3 at −x."""
    sky = torch.full((64, 128, 3), 0.05)
    centre = (64 - 32 * azimuth) % 128
    columns = torch.arange(centre - 6, centre + 6) + 64
    sky[26:38, columns % 128] = 20
    return environment.from_panorama(sky, name=f"lamp {azimuth}")


@pytest.mark.parametrize("metallic", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("roughness", [0.0, 0.2, 0.6, 1.0])
def test_white_furnace(roughness: float, metallic: float) -> None:
    """A white ball in a white room is white: it cannot be seen."""
    fragments, taps, texture = seen("ball")
    texture = painted(texture, (1, 1, 1), roughness=roughness, metallic=metallic)
    shader = Shader(fragments, taps, environment.load("white"))
    picture = shader.surface(texture)[0][:, taps.alpha[0, 0] > 0]
    torch.testing.assert_close(picture, picture.max().expand_as(picture), atol=2e-5, rtol=0)
    n = int((taps.alpha > 0).sum())
    light = shader.light(torch.ones(n, 3), torch.full((n, 1), roughness), torch.full((n, 1), metallic))
    torch.testing.assert_close(light, torch.ones(n, 3), atol=1e-5, rtol=0)


def test_no_surface_sends_out_more_than_arrives() -> None:
    fragments, taps, _ = seen("ball")
    shader, n = Shader(fragments, taps, environment.load("white")), int((taps.alpha > 0).sum())
    g = torch.Generator().manual_seed(0)
    light = shader.light(*(torch.rand(n, c, generator=g) for c in (3, 1, 1)))
    assert light.min() >= 0 and light.max() <= 1 + 1e-5


def test_a_smooth_metal_has_the_colour_of_its_base() -> None:
    fragments, taps, texture = seen("quad", Camera(), 8, 1)
    shader = Shader(fragments, taps, environment.load("white"))
    n = int((taps.alpha > 0).sum())
    gold = torch.tensor([1.0, 0.5, 0.2]).expand(n, 3)
    light = shader.light(gold, torch.zeros(n, 1), torch.ones(n, 1))
    expected = torch.tensor([1.0, 0.2140, 0.0331])  # linear; seen along the normal Fresnel adds nothing
    centre = light[n // 2 + 2]
    torch.testing.assert_close(centre, expected, atol=0.01, rtol=0)


def test_gradients_are_those_of_central_differences() -> None:
    fragments, taps, texture = seen("box", Camera(35, 25), 12, 1)
    shader = Shader(fragments, taps, lamp(1))
    g = torch.Generator().manual_seed(3)
    shape = {"base_color": (2, 3, T, T), "roughness": (2, 1, T, T), "metallic": (2, 1, T, T)}
    start = {n: (0.2 + 0.6 * torch.rand(s, generator=g)).double() for n, s in shape.items()}
    weights = torch.randn(1, 3, 12, 12, generator=g).double()

    def score(values: dict[str, Tensor]) -> Tensor:
        return (shader(Texture(texture.names, values)) * weights).sum()

    leaves = {n: t.clone().requires_grad_() for n, t in start.items()}
    score(leaves).backward()
    h = 1e-5
    for name, leaf in leaves.items():
        assert leaf.grad is not None and leaf.grad.isfinite().all()
        along = torch.randn(leaf.shape, generator=g).double()
        there, back = ({**start, name: start[name] + s * h * along} for s in (1, -1))
        difference = float(score(there) - score(back)) / (2 * h)
        assert abs(difference - float((leaf.grad * along).sum())) < 2e-3 * max(1, abs(difference)), name


def test_camera_and_panorama_turn_together() -> None:
    pictures = []
    for turn in (0, 90, 180):
        fragments, taps, texture = seen("ball", Camera(20 + turn, 10))
        bronze = painted(texture, (0.8, 0.6, 0.4), roughness=0.3, metallic=1.0)
        pictures.append(shade(fragments, taps, bronze, lamp(0).turned(turn)))
    for picture in pictures[1:]:
        assert (picture - pictures[0]).abs().mean() < 5e-3


def test_a_mirror_shows_what_is_behind_the_camera() -> None:
    fragments, taps, texture = seen("quad", Camera(), 9, 1)
    mirror = painted(texture, (1, 1, 1), roughness=0.0, metallic=1.0)
    front, behind = (shade(fragments, taps, mirror, lamp(a))[0, :, 4, 4].mean() for a in (0, 2))
    assert front > 0.9 and behind < 0.5


def test_a_sheet_is_lit_on_the_side_that_is_seen() -> None:
    fragments, taps, texture = seen("quad", Camera(180), 9, 1)
    matt = painted(texture, (0.8, 0.8, 0.8), roughness=1.0, metallic=0.0)
    near, far = (shade(fragments, taps, matt, lamp(a))[0, :, 4, 4].mean() for a in (2, 0))
    assert near > far + 0.3


def test_light_that_is_hidden_is_missing() -> None:
    fragments, taps, texture = seen("ball")
    half = torch.full_like(taps.alpha, 0.5)
    n = int((taps.alpha > 0).sum())
    surface = (torch.full((n, 3), 0.7), torch.ones(n, 1), torch.zeros(n, 1))
    whole = Shader(fragments, taps, environment.load("softbox")).light(*surface)
    dimmed = Shader(fragments, taps, environment.load("softbox"), visible=half).light(*surface)
    none = Shader(fragments, taps, environment.load("softbox"), visible=0 * half).light(*surface)
    assert (dimmed < whole).all() and (none < 0.05 * whole.max()).all()


@pytest.mark.parametrize("tone", TONES)
def test_tone_curves_rise_from_black_to_at_most_one(tone: str) -> None:
    light = torch.linspace(0, 50, 5001)[:, None].expand(-1, 3)
    shown = TONES[tone](light)
    assert shown[0].abs().max() < 1e-6 and shown.max() <= 1 and (shown.diff(dim=0) >= -1e-6).all()
    assert (shown[:100].diff(dim=0) > 0).all()


def test_filmic_keeps_grey_and_neutral_keeps_colours() -> None:
    torch.testing.assert_close(filmic(torch.tensor([0.18])), torch.tensor([0.18]), atol=1e-3, rtol=0)
    pure = torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.5, 0.1]])
    torch.testing.assert_close(neutral(pure), pure)
    torch.testing.assert_close(neutral(torch.tensor([0.5, 0.4, 0.3])), torch.tensor([0.46, 0.36, 0.26]))


def test_exposure_counts_in_stops_and_background_fills_the_rest() -> None:
    fragments, taps, texture = seen("ball")
    dark, light = (shade(fragments, taps, texture, environment.load("white"), exposure_ev=e).mean() for e in (-2.0, 0.0))
    assert dark < light
    ramp = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    over = shade(fragments, taps, texture, environment.load("white"), background=ramp)
    outside = (taps.alpha == 0).expand_as(over)
    assert outside.any() and torch.equal(over[outside], ramp[outside])
    with pytest.raises(StudioError, match="filmic"):
        shade(fragments, taps, texture, environment.load("white"), tone="filmik")


# -- Channels -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHANNELS)
def test_every_channel_is_a_picture_over_grey(name: str) -> None:
    fragments, taps, texture = seen("box", Camera(35, 25))
    picture = channel(name, fragments, taps, texture)
    assert picture.shape == (1, 3, 24, 24) and picture.isfinite().all() and 0 <= picture.min() and picture.max() <= 1 + 1e-5
    torch.testing.assert_close(picture[0, :, 0, 0], torch.full((3,), GREY))


def test_channels_show_what_they_say() -> None:
    fragments, taps, texture = seen("quad", Camera(), 24, 2)
    middle = (0, slice(None), 12, 12)
    colour = painted(texture, (0.2, 0.4, 0.8), roughness=0.3, metallic=0.9)
    for name, expected in {
        "base_color": (0.2, 0.4, 0.8),
        "roughness": (0.3,) * 3,
        "metallic": (0.9,) * 3,
        "normal": (0.5, 0.5, 1.0),
        "coverage": (0.85, 0.25, 0.25),
    }.items():
        torch.testing.assert_close(channel(name, fragments, taps, colour)[middle], torch.tensor(expected), atol=1e-5, rtol=0)
    green = channel("coverage", fragments, taps, colour, covered=torch.full((1, 1, T, T), 0.1))[middle]
    torch.testing.assert_close(green, torch.tensor([0.2, 0.7, 0.25]), atol=1e-5, rtol=0)
    checks = channel("uv_checker", fragments, taps, colour)[0, 2]
    assert checks[taps.alpha[0, 0] == 1].std() > 0.05
    with pytest.raises(StudioError, match="roughness"):
        channel("rougness", fragments, taps, colour)


def test_depth_is_white_near_and_black_far() -> None:
    fragments, taps, texture = seen("ball", Camera(), 25, 1)
    picture = channel("depth", fragments, taps, texture)[0, 0]
    assert picture[12, 12] > 0.99 and picture[taps.alpha[0, 0] == 1].min() < 0.1
