"""The plan of how many views fit on a card at a time, and the number it stands on."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from studio.generators import SOCKET, _sd_plan, _sd_published
from studio.generators._frozen import lean
from studio.generators._lora import Adapters
from studio.replay import drain, replay, sample
from tests.generators import tiny_sd
from tests.test_replay import awake, error, surface

CPU = torch.device("cpu")
GIB = 2**30


PAPER = _sd_plan.Work(6, 64, 2)
"""Six views of 512² with guidance, in bfloat16."""


def learned(free: float, *, onward: bool = False, work: _sd_plan.Work = PAPER) -> tuple[int, bool]:
    plan = _sd_plan.learning(work, free=free / _sd_plan.ROOM, onward=onward)
    return plan.chunk, plan.recompute


def test_parts_are_as_equal_as_can_be_and_recomputed_where_not_one_fits() -> None:
    whole, less = PAPER.pass_bytes(_sd_plan.WHOLE.lora), PAPER.pass_bytes(_sd_plan.RECOMPUTED.lora)
    assert [learned(f * whole)[0] for f in (1.01, 2.01, 3.01, 4.01, 5.01, 6.01, 60)] == [1, 2, 3, 3, 3, 6, 6]
    assert learned(4.01 * whole, work=replace(PAPER, views=7)) == (4, False)
    assert learned(0.99 * whole) == (2 if 0.99 * whole / less < 3 else 3, True) and learned(0.5 * less) == (1, True)
    assert _sd_plan.Plan(4).passes(6) == [4, 2]


def test_views_of_the_papers_size_fit_in_what_the_weights_leave_of_8_gb() -> None:
    """860 + 361 + 84 million parameters in bfloat16 take 2.4 GiB."""
    each = [PAPER.pass_bytes(_sd_plan.WHOLE.bytes(onward=onward)) for onward in (False, True)]
    assert 0.8 * GIB < each[0] < 0.95 * GIB and 1.1 * GIB < each[1] < 1.3 * GIB
    assert _sd_plan.learning(PAPER, free=5.6e9, onward=True) == _sd_plan.Plan(3)
    assert _sd_plan.learning(PAPER, free=13.6e9, onward=True) == _sd_plan.Plan(6)
    assert replace(PAPER, sides=1, itemsize=4).pass_bytes(1.0) == PAPER.pass_bytes(1.0)
    assert _sd_plan.sampling(PAPER, free=5.6e9) == _sd_plan.Plan(6)
    decoders = [_sd_plan.decoding(PAPER, free=free) for free in (3e9, 2e9)]
    assert [d.recompute for d in decoders] == [False, True]
    assert _sd_plan.decoder_bytes(PAPER, decoders[1]) < 0.5 * _sd_plan.decoder_bytes(PAPER, decoders[0])


@pytest.mark.parametrize("gb", [8, 12, 16, 24])
def test_what_is_planned_fits_its_card(gb: int) -> None:
    for onward in (False, True):
        costs = _sd_plan.costs(PAPER, free=gb * 1e9, onward=onward)
        assert costs.held_bytes + costs.fleeting_bytes <= gb * 1e9 and costs.at_once >= (2 if onward and gb == 8 else 3)


def test_a_forecast_goes_with_what_there_is_to_do() -> None:
    from studio.config import parse
    from studio.rewards import _glances
    from studio.session import forecast as module

    def foreseen(views: int = 6, device: str = "cuda", k: int = 1, free_bytes: float = 140e9, **settings):
        table = {"views": views, "max_views": views, "device": device, "generator": {"name": "stable_diffusion", **settings}}
        return module.forecast(parse({**table, "trainer": {"name": "lora_reward", "k": k}, "iterations": 10}), free_bytes)

    whole, half = foreseen(), foreseen(guidance=1.0)
    assert not whole.learned and 10 < whole.total_s < 60 and 6 * GIB < whole.memory_bytes < 15 * GIB
    assert half.total_s < whole.total_s < foreseen(views=12).total_s < foreseen(views=12, device="cpu").total_s
    assert whole.total_s < foreseen(k=5).total_s < 5 * whole.total_s and whole.memory_bytes < foreseen(k=5).memory_bytes
    assert foreseen(memory_gb=8.0).memory_bytes < 8e9
    assert foreseen(free_bytes=8e9).memory_bytes == foreseen(memory_gb=8.0).memory_bytes
    assert module.GLANCES == _glances.GLANCES


def test_recomputed_blocks_give_the_same_gradient(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tiny_sd.save(tmp_path_factory.mktemp("sd"))
    painter = awake(SOCKET.make("stable_diffusion", model=str(folder), steps=2).build(device=CPU, dtype=torch.float64))
    _, _, baker, seen = surface(3, 32)
    scene = painter.scene("red", seen, baker=baker)
    assert painter.at_once(6, learning=True) == painter.at_once(6, learning=False) == 1
    rollout = drain(sample(painter, scene, seed=0, chunk=3))
    found = []
    for on in (False, True):
        painter.recompute(on)
        for p in painter.lora_parameters():
            p.grad = None
        drain(replay(painter, scene, rollout, torch.ones(3, 3, 32, 32, dtype=torch.float64), truncation=2, chunk=2))
        found.append([p.grad for p in painter.lora_parameters()])
    assert error(found[1], found[0]) < 1e-10


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_lean_networks_compute_the_same_and_keep_less(dtype: torch.dtype) -> None:
    def all_of(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, int]:
        kept: dict[int, int] = {}

        def keep(t: Tensor) -> Tensor:
            kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
            return t

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            y = network(x)
        return y, torch.autograd.grad(y.float().square().sum(), x)[0], sum(kept.values())

    from diffusers.models.attention import FeedForward

    layers = [nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.SiLU(), nn.Conv2d(8, 8, 3, padding=1, groups=2), nn.Flatten(2)]
    network = nn.Sequential(*layers, FeedForward(16)).to(dtype).requires_grad_(False)
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    before = all_of(network, x)
    lean(network)
    after = all_of(network, x)
    assert torch.equal(before[0], after[0]) and error([after[1]], [before[1]]) < (1e-12 if dtype is torch.float64 else 1e-2)
    assert after[2] < 0.6 * before[2]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_norms_of_a_few_large_pictures_are_as_exact_as_torchs(dtype: torch.dtype) -> None:
    plain = nn.Sequential(nn.GroupNorm(4, 8)).double().requires_grad_(False)
    plain[0].weight.normal_(generator=torch.Generator().manual_seed(1))
    x = 3 + torch.randn(2, 8, 128, 128, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(dtype).double()

    def all_of(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        y = network(x := x.clone(memory_format=torch.channels_last).requires_grad_())
        return y, torch.autograd.grad(y, x, torch.linspace(-1, 1, x.numel()).view_as(x).to(y))[0]

    exact, theirs = all_of(plain, x), all_of(copy.deepcopy(plain).to(dtype), x.to(dtype))
    lean(network := plain.to(dtype))
    ours = all_of(network, x.to(dtype))
    assert ours[0].is_contiguous(memory_format=torch.channels_last) and ours[0].dtype == dtype
    for own, other, right in zip(ours, theirs, exact, strict=True):
        assert error([own.double()], [right]) <= 1.2 * error([other.double()], [right]) + 1e-12


# -- the number -----------------------------------------------------------------------------------------------------------------


class Kernel(torch.autograd.Function):
    """Attention as fused kernels do it: inputs and output are kept, scores are not. Shapes alone."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = torch.empty_like(q)
        ctx.save_for_backward(q, k, v, out)
        return out


class Fused:
    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **_: object) -> Tensor:
        seen = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        return attn.to_out[0](Kernel.apply(attn.to_q(hidden_states), attn.to_k(seen), attn.to_v(seen)))


@pytest.mark.long
@pytest.mark.parametrize(("onward", "expected"), [(False, _sd_plan.WHOLE.lora), (True, _sd_plan.WHOLE.onward)])
@pytest.mark.parametrize("side", [32, 64])
def test_what_a_pass_keeps(onward: bool, expected: int, side: int) -> None:
    """Counted with all tensors on the meta device, in the published shapes."""
    from diffusers import ControlNetModel, UNet2DConditionModel

    with torch.device("meta"):
        network = UNet2DConditionModel.from_config(_sd_published.ONE["unet"])
        control = ControlNetModel.from_config(_sd_published.ONE["controlnet"])
    for module in (network, control):
        nn.Module.to(module.requires_grad_(False), torch.bfloat16)
        module.set_attn_processor(Fused())
        lean(module)
    Adapters(network, tokens=(77, 768)).add("lora", rank=4)
    like = {"device": "meta", "dtype": torch.bfloat16}
    x, text = torch.empty(1, 4, side, side, **like).requires_grad_(onward), torch.empty(1, 77, 768, **like)
    t, seen = torch.empty((), device="meta"), torch.empty(1, 3, 8 * side, 8 * side, **like)
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        base = tensor if tensor._base is None else tensor._base
        if not isinstance(base, nn.Parameter):
            kept[id(base)] = base
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        down, middle = control(x, t, text, seen, return_dict=False)
        steered = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        network(x, t, text, **steered, return_dict=False)
    found = sum(t.numel() * t.element_size() for t in kept.values())
    assert sum(p.numel() for n, p in network.named_parameters() if "lora_" in n) == 797_184
    assert found / side**2 == pytest.approx(0.91 * expected, rel=0.03 if side == 64 else 0.1)
