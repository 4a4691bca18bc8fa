"""The generator `stable_diffusion` on random weights of the real classes: its gradient, its precision, and its schedule."""

from __future__ import annotations

import functools
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from studio.camera import Camera
from studio.errors import StudioError
from studio.generators import SOCKET, Painter
from studio.generators._fuse import fused
from studio.generators._sd_painter import TO_PAINT, nearness
from studio.generators._sd_schedule import schedule
from studio.generators._sd_text import from_where
from studio.replay import drain, replay, sample
from tests.generators import tiny_sd
from tests.test_replay import SEED, awake, by_autograd, by_replay, error, surface

CPU = torch.device("cpu")
SIX = {"control_channels": 6}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_sd.save(tmp_path_factory.mktemp("sd") / "tiny Modell ü")


@pytest.fixture(scope="module")
def painter_of(folder: Path):
    @functools.cache
    def made(dtype: torch.dtype = torch.float64, **settings) -> Painter:
        return SOCKET.make("stable_diffusion", **{"model": str(folder), "steps": 3, **settings}).build(device=CPU, dtype=dtype)

    return made


def scene_of(painter: Painter, views: int = 3, prompt: str = "red vase"):
    _, _, baker, seen = surface(views, 32)
    return painter.scene(prompt, seen, baker=baker), baker


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_replay_equals_autograd_for_the_last_and_all_steps(painter_of, eta: float) -> None:
    painter = awake(painter_of(eta=eta, steps=2 if eta else 3))
    scene, baker = scene_of(painter)
    rollout = drain(sample(painter, scene, seed=SEED, chunk=2))
    for truncation in {1, painter.steps}:
        anchor = 0.7 * (1 - eta)
        plain = by_autograd(painter, scene, baker, truncation=truncation, anchor=anchor)
        ours = by_replay(painter, scene, baker, truncation=truncation, anchor=anchor, chunk=1, rollout=rollout)
        assert max(float(g.norm()) for g in plain) > 1e-6
        assert error(ours, plain) < 1e-8, (eta, truncation)


def test_memory_does_not_grow_with_the_number_of_views(painter_of, monkeypatch: pytest.MonkeyPatch) -> None:
    """The most bytes of the network that wait for a gradient at a time: one view's, whether there are 3 or 6."""
    painter = awake(painter_of(dtype=torch.float32))
    most = []
    for views in (3, 6):
        scene, _ = scene_of(painter, views)
        rollout = drain(sample(painter, scene, seed=1, chunk=1))
        with monkeypatch.context() as patched:
            waiting = Waiting(painter.predict)
            patched.setattr(painter, "predict", waiting)
            drain(replay(painter, scene, rollout, torch.ones(views, 3, 32, 32), truncation=1, chunk=1))
        most.append(waiting.peak)
    assert most[0] > 300_000 and most[1] == pytest.approx(most[0], rel=0.1)


@dataclass(eq=False)
class Kept:
    tensor: Tensor


class Waiting:
    """A function whose backward pass is watched: how many bytes autograd keeps for it, each storage once, at most."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self._function, self._alive, self.peak = function, Counter(), 0

    def __call__(self, *args, **kwargs) -> Tensor:
        with torch.autograd.graph.saved_tensors_hooks(self._keep, lambda kept: getattr(kept, "tensor", kept)):
            return self._function(*args, **kwargs)

    def _keep(self, tensor: Tensor):
        if isinstance(tensor, torch.nn.Parameter):
            return tensor
        kept = Kept(tensor.detach())
        storage = (tensor.untyped_storage().data_ptr(), tensor.untyped_storage().nbytes())
        self._alive[storage] += 1
        weakref.finalize(kept, self._alive.subtract, [storage])
        self.peak = max(self.peak, sum(size for (_, size), n in self._alive.items() if n))
        return kept


def test_the_fusion_makes_views_agree_and_is_its_own_adjoint_through_autograd(painter_of) -> None:
    painter = painter_of()
    scene, baker = scene_of(painter)
    noise = painter.noise(scene, generator=torch.Generator().manual_seed(0))

    def apart(z: Tensor) -> float:
        fine = torch.nn.functional.interpolate(z, scale_factor=2, mode="nearest")
        return float((scene.mask * (fine - baker.taps.fetch(baker.bake(fine)))).square().mean())

    assert apart(fused(noise, scene)) < 0.5 * apart(noise)
    constant = torch.ones_like(noise)
    assert torch.allclose(fused(constant, scene), constant, atol=1e-5)
    x, y = noise.clone().requires_grad_(), torch.randn_like(noise)
    (pulled,) = torch.autograd.grad(fused(x, scene), x, y)
    assert torch.allclose((pulled * noise).sum(), (fused(noise, scene) * y).sum())


def test_frozen_parts_stay_and_adapters_off_is_the_base(painter_of, folder: Path) -> None:
    painter = SOCKET.make("stable_diffusion", model=str(folder), steps=2).build(device=CPU)
    scene, _ = scene_of(painter)
    frozen = {
        f"{name}.{n}": t.clone()
        for name in ("network", "controlnet", "vae")
        for n, t in getattr(painter, name).state_dict().items()
    }
    bare = drain(sample(painter, scene, seed=1))
    painter.add_lora(rank=2)
    adam = torch.optim.AdamW(painter.lora_parameters(), lr=0.1)
    drain(replay(painter, scene, bare, torch.ones(3, 3, 32, 32), truncation=2, anchor=0.1, chunk=1))
    adam.step()
    learned = drain(sample(painter, scene, seed=1))
    assert not torch.allclose(learned.x0, bare.x0, atol=1e-3)
    with torch.no_grad(), painter.base():
        assert torch.equal(painter.predict(bare.entering[0], 0, scene), bare.predictions[0])
    for name, before in frozen.items():
        part, _, n = name.partition(".")
        now = dict(getattr(painter, part).state_dict())
        now = {k.replace(".base_layer", ""): t for k, t in now.items()}
        assert torch.equal(now[n], before), name


def test_half_precision_keeps_the_lora_and_all_that_couples_views_in_single(painter_of) -> None:
    half, single = painter_of(dtype=torch.bfloat16), painter_of(dtype=torch.float32)
    scene, _ = scene_of(half)
    assert half.fingerprint == single.fingerprint
    half.add_lora(rank=2)
    assert {p.dtype for p in half.lora_parameters()} == {torch.float32}
    rollout = drain(sample(half, scene, seed=1))
    assert rollout.x0.dtype == scene.mask.dtype == torch.float32
    flow = drain(replay(half, scene, rollout, torch.ones(3, 3, 32, 32), truncation=1))
    assert flow.lora > 0 and all(torch.isfinite(p.grad).all() for p in half.lora_parameters())
    exact = drain(sample(single, scene_of(single)[0], seed=1))
    assert (rollout.predictions[0] - exact.predictions[0]).abs().mean() < 0.02


def test_attention_weighs_in_single_precision_under_bfloat16() -> None:
    """torch's attention, which diffusers' and transformers' layers call, is as exact as bfloat16 inputs allow."""
    g = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 2, 300, 16, generator=g).mul(3).bfloat16() for _ in range(3))
    exact = torch.softmax(q.double() @ k.double().mT / 4, -1) @ v.double()
    rounded = (torch.softmax((q @ k.mT / 4), -1) @ v).double()
    ours = torch.nn.functional.scaled_dot_product_attention(q, k, v).double()
    assert (ours - exact).abs().mean() < 0.5 * (rounded - exact).abs().mean()


def test_the_prompt_adapter_and_stacked_loras_work_as_for_other_generators(painter_of, folder: Path) -> None:
    taught = awake(painter_of(eta=0.0)).lora_state()
    painter = SOCKET.make("stable_diffusion", model=str(folder), steps=2).build(device=CPU, dtype=torch.float64)
    scene, baker = scene_of(painter)
    bare = drain(sample(painter, scene, seed=1)).x0
    painter.stack_loras({"a": taught})
    assert not torch.allclose(drain(sample(painter, scene, seed=1)).x0, bare)
    painter.scale_loras({"a": 0.0})
    assert torch.equal(drain(sample(painter, scene, seed=1)).x0, bare)
    painter.scale_loras({"a": 0.5})
    awake(painter, "prompt")
    assert [tuple(p.shape) for p in painter.lora_parameters()] == [(tiny_sd.TOKENS, tiny_sd.WIDTH)]
    plain = by_autograd(painter, scene, baker, truncation=2, anchor=0.0)
    assert error(by_replay(painter, scene, baker, truncation=2, anchor=0.0, chunk=1), plain) < 1e-8


# -- what it is told ------------------------------------------------------------------------------------------------------------


def test_views_are_told_from_where_they_look(painter_of) -> None:
    said = [from_where(Camera(a, e)) for a, e in ((0, 0), (350, 20), (90, 0), (180, -30), (20, 80), (200, -75))]
    assert said == ["front view", "front view", "side view", "back view", "top view", "bottom view"]
    painter, plain = painter_of(), painter_of(directions=False)
    text = scene_of(painter)[0].text
    assert text.shape == (2, 3, tiny_sd.TOKENS, tiny_sd.WIDTH) and text.dtype == torch.float64
    assert not torch.equal(text[0, 0], text[0, 1]) and torch.equal(text[1, 0], text[1, 1])
    assert torch.equal(scene_of(plain)[0].text[0, 0], scene_of(plain)[0].text[0, 1])
    refusing = painter_of(negative="blue")
    assert torch.equal(scene_of(refusing)[0].text, scene_of(painter, prompt="red vase, no blue")[0].text)
    assert len(scene_of(painter_of(guidance=1.0))[0].text) == 1


def test_prompts_are_encoded_once_and_found_again_without_the_text_encoder(folder: Path, tmp_path: Path) -> None:
    first = SOCKET.make("stable_diffusion", model=str(folder)).build(device=CPU)
    told = first.prompts.read(["red", "blue"])
    again = SOCKET.make("stable_diffusion", model=str(folder)).build(device=CPU)
    again.prompts._encoder = lambda: pytest.fail("the text encoder was opened")
    assert torch.equal(again.prompts.read(["red", "blue"]), told)
    other = SOCKET.make("stable_diffusion", model=str(tiny_sd.save(tmp_path, seed=1))).build(device=CPU)
    assert not torch.equal(other.prompts.read(["red", "blue"]), told)


def test_the_controlnet_sees_what_is_near_and_an_inpainting_one_what_is_to_be_painted(tmp_path: Path) -> None:
    _, _, baker, seen = surface(3, 32)
    shown = nearness(seen.depth, seen.mask)
    assert (shown[~seen.mask] == 0).all() and shown[seen.mask].min() > 0.05
    for view, mask, depth in zip(shown, seen.mask, seen.depth, strict=True):
        assert float(view.max()) == pytest.approx(1)
        order = depth[mask].argsort()
        assert (view[mask][order].diff() <= 1e-6).all()
    painter = SOCKET.make("stable_diffusion", model=str(tiny_sd.save(tmp_path, **SIX)), steps=1).build(device=CPU)
    scene = painter.scene("red", seen, baker=baker)
    seen_by_it = painter._control(scene, slice(None))
    assert seen_by_it.shape == (3, 6, 32, 32) and (seen_by_it[:, :3] == TO_PAINT).all()
    assert torch.allclose(seen_by_it[:, 3], shown)
    assert drain(sample(painter, scene, seed=0)).x0.shape == (3, 4, 16, 16)


# -- the schedule -------------------------------------------------------------------------------------------------------------

SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def planned(**settings):
    return schedule({**SD, **settings.pop("config", {})}, **{"steps": 10, "spacing": "trailing", "eta": 0.0, **settings})


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_steps_are_those_of_diffusers(prediction: str, eta: float) -> None:
    from diffusers import DDIMScheduler

    theirs = DDIMScheduler(**SD, timestep_spacing="trailing", clip_sample=False, prediction_type=prediction)
    theirs.set_timesteps(10)
    ours = planned(config={"prediction_type": prediction}, eta=eta)
    assert list(ours.times) == theirs.timesteps.tolist()
    g = torch.Generator().manual_seed(0)
    x, out, noise = (torch.randn(2, 4, 8, 8, generator=g, dtype=torch.float64) for _ in range(3))
    for i, t in enumerate(ours.times[:-1]):
        expected = theirs.step(out, t, x, eta=eta, variance_noise=noise).prev_sample
        found = ours.step(x, ours.clean(x, out, i), i, noise=noise)
        assert torch.allclose(found, expected, atol=1e-5), i


def test_only_trailing_steps_let_the_last_prediction_steer() -> None:
    """|dz/dε| of the last of 10 steps: .342 with trailing spacing, nearly nothing with leading."""

    def reach(spacing: str) -> float:
        plan = planned(spacing=spacing)
        out = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        x0 = plan.step(torch.ones_like(out), plan.clean(torch.ones_like(out), out, 9), 9, noise=None)
        return abs(float(torch.autograd.grad(x0, out)[0]))

    assert reach("trailing") == pytest.approx(0.342, abs=0.002)
    assert reach("leading") < 0.05 and reach("linspace") < 0.05


def test_distilled_models_draw_all_remaining_noise_anew() -> None:
    plan = planned(anew=True, steps=4)
    x0, noise = torch.full((1,), 2.0, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    assert torch.allclose(plan.step(torch.zeros_like(x0), x0, 1, noise=noise), plan.noised(x0, noise, 2))
    assert torch.equal(plan.noised(x0, noise, 4), x0) and torch.equal(plan.step(noise, x0, 3, noise=None), x0)


def test_schedules_that_cannot_be_used_are_refused_in_words() -> None:
    with pytest.raises(StudioError, match="noise schedule"):
        planned(config={"beta_schedule": "unheard of"})
    with pytest.raises(StudioError, match="more than"):
        planned(steps=1001)
    with pytest.raises(StudioError, match="nothing but noise"):
        planned(config={"rescale_betas_zero_snr": True, "trained_betas": None}, prediction="epsilon")
    with pytest.raises(StudioError, match="not known"):
        planned(config={"prediction_type": "flow"})
