"""The stepwise replay gradient is plain back-propagation through the last K steps, without its memory."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest
import torch

from studio.bake import Baker
from studio.camera import ring
from studio.errors import StudioError
from studio.generators import SOCKET, Painter, Scene, _multiview
from studio.generators._multiview import MultiView
from studio.generators._network import Denoiser
from studio.objective import Live, Objective, Term
from studio.renderers import SOCKET as RENDERERS
from studio.replay import Flow, Rollout, check_flow, drain, replay, sample
from studio.stages import finished
from studio.surface.atlas import build_atlas
from studio.texture import CHANNELS, Texture
from studio.words import Vocabulary
from tests.meshes import cube

CPU = torch.device("cpu")
SEED = 7


@functools.cache
def surface(views: int = 3, size_px: int = 64):
    """A cube seen by a ring of overlapping cameras: mesh, atlas, baker, fragments."""
    mesh = cube()
    atlas = build_atlas(mesh, 32)
    seen = RENDERERS.make("embree").build(CPU).rasterize(mesh, ring(views, elevation_deg=30), size_px)
    return mesh, atlas, Baker(seen, atlas), seen


def awake(painter: Painter, adapter: str = "lora") -> Painter:
    """The painter with a LoRA away from B = 0, where half of the gradient vanishes, or with an offset on its prompt."""
    painter.add_lora(rank=2, adapter=adapter)
    source = torch.Generator().manual_seed(1)
    for p in painter.lora_parameters():
        p.data += 0.1 * torch.randn(p.shape, generator=source, dtype=torch.float64).to(p)
    return painter


@functools.cache
def painter_of(*, views: str, eta: float, dtype: torch.dtype = torch.float64) -> Painter:
    return awake(SOCKET.make("tiny", views=views, eta=eta, steps=3, guidance=2.0).build(device=CPU, dtype=dtype))


def rewards(texture: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """Two rewards of different kinds: one on the atlas, one on pictures shaded through the atlas; neither is linear."""
    return -(texture - 0.3).square().mean() + 0.5 * torch.tanh(3 * pictures.mean((2, 3))).sum()


def score(baker: Baker, texture: torch.Tensor) -> torch.Tensor:
    pictures = baker.taps.fetch(texture)
    return rewards(texture, (pictures + 0.1) ** 1.5 * torch.linspace(0.5, 1.0, pictures.shape[-1], dtype=texture.dtype))


def by_autograd(painter: Painter, scene: Scene, baker: Baker, *, truncation: int, anchor: float) -> list[torch.Tensor]:
    """Back-propagation through the whole graph of the last K steps, written as plainly as possible."""
    source = torch.Generator().manual_seed(SEED)
    x = painter.noise(scene, generator=source)
    pull = torch.zeros((), dtype=x.dtype)
    for i in range(painter.steps):
        noise = painter.noise(scene, generator=source) if painter.eta > 0 and i < painter.steps - 1 else None
        with torch.set_grad_enabled(i >= painter.steps - truncation):
            prediction = painter.predict(x, i, scene)
            if i >= painter.steps - truncation and anchor:
                fixed = painter.predict(x.detach(), i, scene)
                with torch.no_grad(), painter.base():
                    base = painter.predict(x.detach(), i, scene)
                pull = pull + anchor * (fixed - base).square().mean()
            x = painter.advance(x, prediction, i, scene, noise=noise)
    loss = pull - score(baker, baker.bake(painter.decode(x, scene)))
    return list(torch.autograd.grad(loss, painter.lora_parameters()))


def by_replay(
    painter: Painter,
    scene: Scene,
    baker: Baker,
    *,
    truncation: int,
    anchor: float,
    chunk: int | None,
    rollout: Rollout | None = None,
) -> list[torch.Tensor]:
    for p in painter.lora_parameters():
        p.grad = None
    rollout = rollout or drain(sample(painter, scene, seed=SEED, chunk=chunk))
    pictures = painter.decode(rollout.x0, scene).requires_grad_()
    texture = baker.bake(pictures)
    leaf = texture.detach().requires_grad_()
    (push,) = torch.autograd.grad(score(baker, leaf), leaf)
    (d_pictures,) = torch.autograd.grad(texture, pictures, -push)
    drain(replay(painter, scene, rollout, d_pictures, truncation=truncation, anchor=anchor, chunk=chunk))
    return [p.grad for p in painter.lora_parameters()]


def error(a: list[torch.Tensor], b: list[torch.Tensor]) -> float:
    return max(float((x - y).norm() / y.norm().clamp_min(1e-30)) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("views", ["attend", "fused"])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_replay_equals_autograd_for_every_k(views: str, eta: float) -> None:
    _, _, baker, seen = surface()
    painter = painter_of(views=views, eta=eta)
    scene = painter.scene("red stripes", seen, baker=baker)
    chunk = 1 if views == "fused" else None
    rollout = drain(sample(painter, scene, seed=SEED, chunk=chunk))
    for truncation in range(1, painter.steps + 1):
        plain = by_autograd(painter, scene, baker, truncation=truncation, anchor=0.7)
        ours = by_replay(painter, scene, baker, truncation=truncation, anchor=0.7, chunk=chunk, rollout=rollout)
        assert max(float(g.norm()) for g in plain) > 1e-6
        assert error(ours, plain) < 1e-8, (views, eta, truncation)


@pytest.mark.parametrize("views", ["attend", "fused"])
def test_replay_equals_autograd_for_a_prompt_adapter_over_a_loaded_lora(views: str) -> None:
    _, _, baker, seen = surface()
    painter = SOCKET.make("tiny", views=views, eta=1.0, steps=3, guidance=2.0).build(device=CPU, dtype=torch.float64)
    painter.stack_loras({"a": painter_of(views=views, eta=0.0).lora_state()})
    painter.scale_loras({"a": 0.4})
    awake(painter, "prompt")
    scene = painter.scene("red stripes", seen, baker=baker)
    for truncation in (1, 3):
        plain = by_autograd(painter, scene, baker, truncation=truncation, anchor=0.7)
        ours = by_replay(painter, scene, baker, truncation=truncation, anchor=0.7, chunk=1 if views == "fused" else None)
        assert float(plain[0].norm()) > 1e-6 and error(ours, plain) < 1e-8


@pytest.mark.parametrize("views", ["attend", "fused"])
def test_replay_equals_autograd_in_single_precision(views: str) -> None:
    _, _, baker, seen = surface()
    painter = painter_of(views=views, eta=1.0, dtype=torch.float32)
    scene = painter.scene("red stripes", seen, baker=baker)
    plain = by_autograd(painter, scene, baker, truncation=2, anchor=0.0)
    assert error(by_replay(painter, scene, baker, truncation=2, anchor=0.0, chunk=None), plain) < 1e-4


@pytest.mark.long
def test_replay_equals_autograd_on_the_shipped_weights() -> None:
    """Stepwise replay equals plain autograd for the shipped mini (six views, the last step) to 1e-3 in fp32."""
    painter = awake(SOCKET.make("mini").build(device=CPU))
    mesh, _, baker, seen = surface(6, painter.view_px)
    scene = painter.scene("a blue vase with yellow dots", seen, mesh=mesh, baker=baker)
    plain = by_autograd(painter, scene, baker, truncation=1, anchor=0.7)
    assert max(float(g.norm()) for g in plain) > 1e-6
    assert error(by_replay(painter, scene, baker, truncation=1, anchor=0.7, chunk=None), plain) < 1e-3


def test_chunks_of_views_change_nothing_where_views_meet_outside_the_network() -> None:
    _, _, baker, seen = surface()
    painter = painter_of(views="fused", eta=0.0)
    scene = painter.scene("", seen, baker=baker)
    whole = by_replay(painter, scene, baker, truncation=3, anchor=0.0, chunk=None)
    assert error(by_replay(painter, scene, baker, truncation=3, anchor=0.0, chunk=2), whole) < 1e-10


def test_the_share_of_the_last_steps_grows_to_one() -> None:
    _, _, baker, seen = surface()
    painter = painter_of(views="attend", eta=0.0)
    scene = painter.scene("", seen, baker=baker)
    rollout = drain(sample(painter, scene, seed=0))
    d = torch.ones(3, 3, 64, 64, dtype=torch.float64)
    shares = [drain(replay(painter, scene, rollout, d, truncation=k, probe=True)).share for k in (1, 2, 3)]
    assert shares == sorted(shares)
    assert shares[0] > 0.1
    assert shares[-1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("flow", "texture", "stage"),
    [
        (Flow(1, 1, 1, 1, 1), 0.0, "the rewards"),
        (Flow(0, 0, 0, 0, 1), 1.0, "the bake"),
        (Flow(1, 0, 0, 0, 1), 1.0, "the decoder"),
        (Flow(1, 1, 0, 0, 0), 1.0, "the scheduler"),
        (Flow(1, 1, 1, 0, 1), 1.0, "the network"),
        (Flow(1, 1, 1, 1, 0.005), 1.0, "The last steps"),
        (Flow(1, 1, 1, float("nan"), 1), 1.0, "the network"),
    ],
)
def test_the_probe_names_the_first_detached_stage(flow: Flow, texture: float, stage: str) -> None:
    with pytest.raises(StudioError, match=stage):
        check_flow(flow, texture=texture)


def test_a_whole_gradient_passes_the_probe() -> None:
    check_flow(Flow(1, 1, 1, 1, 0.5), texture=1.0)


def objective(terms: tuple[Term, ...], painter: Painter | None = None) -> Objective:
    mesh, atlas, baker, seen = surface()
    painter = painter or SOCKET.make("tiny", steps=2).build(device=CPU)
    return Objective(
        painter=painter,
        scene=lambda prompt: painter.scene(prompt, seen, mesh=mesh, baker=baker),
        baker=baker,
        atlas=atlas,
        base=Texture.flat(mesh, 32),
        terms=terms,
        prompt="red",
        seed=0,
        look=lambda colour: [lambda: baker.taps.fetch(colour)],
        live=lambda: Live(weights={"a": 1.0, "b": 1.0}),
    )


def test_equal_weights_push_equally() -> None:
    """A reward a thousand times larger than another does not drown it."""
    small = Term("a", lambda look: look.base_color[:, 0].mean())
    large = Term("b", lambda look: 1000 * look.base_color[:, 2].mean())
    work = objective((small, large))
    scores = work.score(torch.full((1, 3, 32, 32), 0.5), Live(weights={"a": 1.0, "b": 1.0}), step=0)
    assert float(scores.push[:, 0].norm()) == pytest.approx(1.0, rel=1e-5)
    assert float(scores.push[:, 2].norm()) == pytest.approx(1.0, rel=1e-5)
    assert float(scores.push[:, 1].norm()) == 0


def test_every_painted_channel_is_baked_and_rewards_move_the_base_colour_alone() -> None:
    words = Vocabulary(["red"])
    torch.manual_seed(0)
    network = Denoiser(replace(SOCKET.make("tiny").build(device=CPU).network.size, painted=6, geometry=9), len(words.words))
    work = objective((), MultiView(network, words, steps=2, guidance=1.0, eta=0.0))
    painted = drain(work.paint(3))
    assert painted.pictures.shape[1] == 6 and set(painted.texture.channels) == {*_multiview.CHANNELS}
    baked = work.baker.bake(painted.pictures).clamp(0, 1)
    for name, texels in zip(_multiview.CHANNELS, baked.split([CHANNELS[c] for c in _multiview.CHANNELS], 1), strict=True):
        assert torch.equal(painted.texture.channels[name], texels)
    push = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    d = work.pictures_gradient(painted.pictures, push)
    assert d.shape == painted.pictures.shape and d[:, 3:].abs().max() == 0 < d[:, :3].abs().max()
    rgb = painted.pictures[:, :3]
    assert torch.allclose((d[:, :3] * rgb).sum(), (push * work.baker.bake(rgb)).sum(), rtol=1e-4)


def test_what_lies_beyond_the_pictures_is_added_to_the_texture_that_was_painted_last_alone(monkeypatch) -> None:
    work = objective(())
    texture = drain(work.paint(3)).texture
    assert finished(work, texture, work.painted) is texture  # tiny knows no more than its pictures

    def beyond(x, pictures, scene, *, atlas, baker):
        assert torch.equal(x, work.painted.rollout.entering[-1]) and torch.equal(pictures, work.painted.pictures)
        return torch.full_like(baker.bake(pictures), 0.2)

    monkeypatch.setattr(work.painter, "detail", beyond)
    more = finished(work, texture, work.painted).channels["base_color"]
    assert torch.allclose(more, (work.baker.bake(work.painted.pictures) + 0.2).clamp(0, 1))
    pushed = texture.with_channel("base_color", texture.channels["base_color"] * 0.5)
    assert finished(work, pushed, work.painted) is pushed

    def too_much(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(work.painter, "detail", too_much)
    assert finished(work, texture, work.painted) is texture and "memory" in work.remarks["detail"]


def test_a_reward_that_is_not_a_number_names_itself() -> None:
    work = objective((Term("a", lambda look: look.base_color.mean() * float("nan")),))
    with pytest.raises(StudioError, match="'a'"):
        work.score(torch.full((1, 3, 32, 32), 0.5), Live(weights={"a": 1.0}), step=0)


def test_settings_are_journalled_when_they_change() -> None:
    work = objective(())
    settings = iter([Live(weights={"a": 1.0}), Live(weights={"a": 1.0}), Live(weights={"a": 2.0})])
    work._live = lambda: next(settings)
    for i in range(3):
        work.live(i)
    assert [(i, s["weights"]) for i, s in work.journal] == [(0, {"a": 1.0}), (2, {"a": 2.0})]
