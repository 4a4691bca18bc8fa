"""The painter that mini and tiny share: its schedule, its words, and where views meet."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from studio import renderers
from studio.camera import Camera
from studio.generators import SOCKET
from studio.generators._multiview import MultiView
from studio.generators._network import Denoiser, Size
from studio.generators._schedule import alpha_bar, ddim, soft_clamp, trailing
from studio.generators._words import DATA
from studio.words import Vocabulary
from tests.meshes import uv_sphere

CPU = torch.device("cpu")
VIEWS, PX = 3, 64


def geometry(views: int = VIEWS) -> torch.Tensor:
    """Balls of different sizes seen from the front: [V, 7, 64, 64]."""
    c = (torch.arange(PX) + 0.5) / PX * 2 - 1
    x, y = torch.meshgrid(c, -c, indexing="xy")
    r = torch.linspace(0.5, 0.8, views).view(-1, 1, 1)
    z2 = r**2 - x**2 - y**2
    p = torch.stack([x.expand(views, -1, -1), y.expand(views, -1, -1), z2.clamp(min=0).sqrt()], 1)
    mask = (z2 > 0).float().unsqueeze(1)
    return torch.cat([p, p / r.unsqueeze(1), torch.ones_like(mask)], 1) * mask


def painter(dtype=torch.float32, **knobs):
    return SOCKET.make("tiny", **knobs).build(device=CPU, dtype=dtype)


def test_the_schedule_starts_in_pure_noise_and_ends_clean() -> None:
    a = alpha_bar(torch.tensor(trailing(8), dtype=torch.float64))
    assert a[0] == 0 and a[-1] == 1 and (a.diff() > 0).all()
    half = alpha_bar(torch.tensor(0.5, dtype=torch.float64))
    assert half / (1 - half) == pytest.approx(1 / 16)  # the cosine schedule has 1 there


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_ddim_with_the_true_picture_keeps_the_right_mix(eta: float) -> None:
    g = torch.Generator().manual_seed(0)
    clean = torch.full((40_000,), 0.3, dtype=torch.float64)
    x, times = torch.randn(len(clean), generator=g, dtype=torch.float64), trailing(6)
    for now, then in zip(times[:-1], times[1:], strict=True):
        x = ddim(x, clean, now=now, then=then, eta=eta, noise=torch.randn(len(clean), generator=g, dtype=torch.float64))
        a = alpha_bar(torch.tensor(then, dtype=torch.float64))
        assert x.mean().item() == pytest.approx((a.sqrt() * 0.3).item(), abs=0.02)
        assert x.std().item() == pytest.approx((1 - a).sqrt().item(), abs=0.02)
    assert torch.equal(x, clean)


def test_the_network_matters_in_the_last_step() -> None:
    """Trailing steps end at x0 itself, so dx/dx0 = 1: K = 1 is alive."""
    x0 = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    ddim(torch.ones(3, dtype=torch.float64), x0, now=1 / 8, then=0.0, eta=0.0, noise=None).sum().backward()
    assert torch.equal(x0.grad, torch.ones_like(x0))


def test_the_soft_clamp_is_exact_inside_and_alive_outside() -> None:
    x = torch.linspace(-1, 2, 301, dtype=torch.float64, requires_grad=True)
    y = soft_clamp(x)
    inside = (x >= 0) & (x <= 1)
    assert torch.equal(y[inside], x[inside])
    assert y.min() > -0.05 and y.max() < 1.05
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert (slope > 1e-3).all() and (y.diff() > 0).all()


def test_words_are_sorted_out_with_the_nearest_known() -> None:
    words = painter().words("A Checkerboard-patterned BUNNY, with a vaze and xylophonic qqq")
    assert words.known == ("a", "checkerboard", "patterned", "bunny", "with", "and")
    assert dict(words.unknown)["vaze"] == "vase" and dict(words.unknown)["qqq"] is None


def test_function_words_and_the_samples_are_known() -> None:
    asked = "a an the with of in on and bunny vase mug chair mushroom rocket robot knot red white stripes"
    assert not Vocabulary.read(DATA / "vocabulary.txt").sorted_out(asked).unknown


def test_tokens_are_padded_cut_and_skip_what_is_unknown() -> None:
    v = Vocabulary(["red", "vase"])
    assert v.tokens("Red qqq vase", length=4) == [1, 2, 0, 0]
    assert v.tokens("red " * 9, length=4) == [1] * 4


@pytest.mark.parametrize("views", ["attend"])
def test_views_attend_to_each_other_and_only_to_their_own_object(views: str) -> None:
    p = painter(views=views, guidance=1.0)
    g = geometry()
    x = torch.randn(VIEWS, 3, PX, PX, generator=torch.Generator().manual_seed(1))
    scene = p.scene_of("red", g)
    other = x.clone()
    other[2] += 1
    with torch.no_grad():
        assert (p.predict(x, 1, scene) - p.predict(other, 1, scene))[0].abs().max() > 1e-6
        t, text = torch.full((6,), 0.5), scene.text.expand(6, -1, -1)
        two, _ = p.network(torch.cat([x, other]), torch.cat([g, g]), t, text, views=VIEWS)
        one, _ = p.network(x, g, t[:3], text[:3], views=VIEWS)
    assert torch.allclose(two[:3], one, atol=1e-5)


def test_fused_views_are_strangers_inside_the_network() -> None:
    p = painter(views="fused", guidance=2.0)
    scene = p.scene_of("red", geometry(), baker=object())
    x = torch.randn(VIEWS, 3, PX, PX, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole = p.predict(x, 1, scene)
        parts = [p.predict(x[i : i + 1], 1, scene, views=slice(i, i + 1)) for i in range(VIEWS)]
    assert whole.shape == (VIEWS, 2, 3, PX, PX)
    assert torch.allclose(whole, torch.cat(parts), atol=1e-5)
    with pytest.raises(TypeError, match="baker"):
        p.scene_of("red", geometry())


class _Mean:
    """A baker whose texture is the mean of all views in each pixel."""

    def __init__(self, alpha: torch.Tensor) -> None:
        self.alpha, self.taps = alpha, self

    def bake(self, rgb: torch.Tensor) -> torch.Tensor:
        return (rgb * self.alpha).sum(0, keepdim=True) / self.alpha.sum(0, keepdim=True).clamp(min=1)

    def fetch(self, texture: torch.Tensor) -> torch.Tensor:
        return texture * self.alpha


def test_fusion_makes_the_views_agree_and_is_linear() -> None:
    p = painter(views="fused", guidance=1.0, dtype=torch.float64)
    g = geometry().double()
    scene = p.scene_of("red", g, baker=_Mean(g[:, 6:]))
    x = torch.randn(VIEWS, 3, PX, PX, dtype=torch.float64)
    x0 = p.advance(x, x.unsqueeze(1), p.steps - 1, scene, noise=None)
    everywhere = (g[:, 6:].amin(0, keepdim=True) > 0).expand_as(x)
    assert torch.allclose((x0 - x0.mean(0))[everywhere], torch.zeros((), dtype=x.dtype), atol=1e-12)
    twice = p.advance(x, 2 * x.unsqueeze(1), p.steps - 1, scene, noise=None)
    assert torch.allclose(twice, 2 * x0)


def test_guidance_extrapolates_from_the_empty_prompt() -> None:
    p = painter(guidance=3.0)
    scene = p.scene_of("red", geometry())
    assert scene.text.shape[0] == 2 and p.scene_of("", geometry()).text[1].equal(scene.text[1])
    x = torch.zeros(VIEWS, 3, PX, PX)
    both = torch.stack([torch.full_like(x, 0.5), torch.full_like(x, 0.2)], 1)
    assert torch.allclose(p.advance(x, both, p.steps - 1, scene, noise=None), torch.tensor(0.2 + 3 * 0.3))


def test_the_background_neither_enters_nor_leaves() -> None:
    p = painter(guidance=1.0)
    g = geometry()
    scene = p.scene_of("red", g)
    x = torch.randn(VIEWS, 3, PX, PX)
    with torch.no_grad():
        a, b = p.predict(x, 0, scene), p.predict(torch.where(g[:, 6:] > 0, x, torch.randn_like(x)), 0, scene)
    assert torch.equal(a, b)
    assert (a[:, 0] * (1 - g[:, 6:])).abs().max() == 0
    assert torch.equal(p.decode(a[:, 0], scene)[:, :, 0, 0], torch.full((VIEWS, 3), 0.5))


def test_seeds_repeat_and_both_precisions_agree() -> None:
    g = geometry()
    single, double = painter(), painter(dtype=torch.float64)
    a, b = (q.paint(q.scene_of("a red vase", g), seed=5) for q in (single, double))
    assert b.dtype == torch.float64 and torch.allclose(a.double(), b, atol=1e-3)
    assert torch.equal(a, single.paint(single.scene_of("a red vase", g), seed=5))
    assert not torch.equal(a, single.paint(single.scene_of("a red vase", g), seed=6))


def test_wrong_shapes_are_refused() -> None:
    p = painter()
    with pytest.raises(TypeError, match="64 px"):
        p.scene_of("red", torch.zeros(3, 7, 32, 32))
    with pytest.raises(TypeError, match="together"):
        p.predict(torch.zeros(2, 3, PX, PX), 0, p.scene_of("red", geometry()), views=slice(0, 2))


def test_known_words_beyond_what_the_generator_reads_are_named() -> None:
    words = Vocabulary(["red", "blue", "green"])
    assert words.sorted_out("red qq blue red green green", length=3).unread == ("green", "green")
    assert words.sorted_out("red qq blue red", length=3).unread == () and words.sorted_out("red " * 9).unread == ()


# -- networks of four channels ----------------------------------------------------------------------------------------------

FULL = Size(
    view_px=PX, channels=(8, 16, 16), heads=(1, 2, 2), head_channels=4, head_layers=1, text_channels=16, text_layers=1, groups=4,
    painted=6, geometry=9, waves=4,
)  # fmt: skip
WORDS = Vocabulary(["red", "rust", "gold"])


def full(*, guidance: float = 2.0, negative: str = "", **size) -> MultiView:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Denoiser(replace(FULL, **size), len(WORDS.words))
    return MultiView(network, WORDS, steps=2, guidance=guidance, eta=0.0, negative=negative)


def facts() -> torch.Tensor:
    """The balls with curvature and openness: [V, 9, 64, 64]."""
    g = geometry()
    return torch.cat([g, 0.3 * g[:, 6:], 0.8 * g[:, 6:]], 1)


@pytest.mark.parametrize("latent", [0, 8])
def test_four_channels_are_painted_inside_the_mask_alone(latent: int) -> None:
    p, g = full(latent=latent), facts()
    assert p.channels == ("base_color", "roughness", "metallic", "height")
    scene = p.scene_of("red", g)
    pictures = p.paint(scene, seed=1)
    outside = (g[:, 6:7] == 0).expand_as(pictures)
    assert pictures.shape == (VIEWS, 6, PX, PX) and torch.equal(pictures[outside], torch.full_like(pictures[outside], 0.5))
    x = p.noise(scene, generator=torch.Generator().manual_seed(0))
    one = p.decode(x[1:2], scene, views=slice(1, 2))
    assert torch.allclose(p.decode(x, scene)[1:2], one, atol=1e-5)  # views are decoded one by one in the replay


def test_latents_are_an_eighth_and_the_decoder_is_differentiable() -> None:
    p = full(latent=8)
    scene = p.scene_of("red", facts())
    z = p.noise(scene, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert z.shape == (VIEWS, 8, PX // 8, PX // 8)
    (g,) = torch.autograd.grad(p.decode(z, scene).sum(), z)
    assert g.abs().max() > 0


def test_curvature_and_openness_come_from_the_mesh() -> None:
    mesh = uv_sphere()
    seen = renderers.SOCKET.make("embree").build(CPU).rasterize(mesh, (Camera(), Camera(90, 20), Camera(200, 5)), PX)
    p = full()
    with pytest.raises(TypeError, match="needs the mesh"):
        p.scene("red", seen)
    g = p.scene("red", seen, mesh=mesh).geometry
    on = g[:, 6] > 0
    assert g.shape == (3, 9, PX, PX) and g[:, 8][on].min() > 0.9  # a ball lies open
    assert g[:, 7][on].std() < 0.1 and g[:, 7:].movedim(1, -1)[~on].abs().max() == 0


def test_guidance_that_the_weights_hold_costs_one_pass() -> None:
    g = facts()
    held = full(guidance=2.0)
    held.network.size = replace(held.network.size, guidance=2.0)
    assert len(held.scene_of("red", g).text) == 1 and len(full(guidance=2.0).scene_of("red", g).text) == 2
    held.guidance = 3.0
    assert len(held.scene_of("red", g).text) == 2 and held.scene_of("red", g).guidance == 1.5


def test_refused_words_are_what_is_led_away_from() -> None:
    g, p = facts(), full(guidance=2.0, negative="gold")
    scene = p.scene_of("red, no rust", g)
    tokens = torch.tensor([WORDS.tokens(t, length=FULL.tokens) for t in ("red", "rust gold")])
    with torch.no_grad():
        assert torch.equal(scene.text, p.network.text(tokens))
    assert p.words("red, no qqq").unknown[0][0] == "qqq"


@pytest.mark.parametrize(("held", "asked"), [(1.0, 2.0), (2.0, 2.0), (2.0, 3.0)])
def test_guidance_away_from_words_adds_to_what_the_weights_hold(held: float, asked: float) -> None:
    """With D = ∅ + w·(c − ∅) for prompts c and n: D₋ + k·(D − D₋) = n + g·(c − n) + (w − 1)·(c − ∅)."""
    p = full(guidance=asked, negative="rust")
    p.network.size = replace(p.network.size, guidance=held)
    empty, c, n = 0.1, 0.7, 0.4
    strong, weak = (empty + held * (v - empty) for v in (c, n))
    k = p.scene_of("red", facts()).guidance
    assert weak + k * (strong - weak) == pytest.approx(n + asked * (c - n) + (held - 1) * (c - empty))
