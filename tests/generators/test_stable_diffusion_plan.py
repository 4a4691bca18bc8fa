"""The plan of how many views fit on a card at a time, and the number it stands on."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from studio.generators import SOCKET, _sd_plan, _sd_published
from studio.generators._lora import Adapters
from studio.replay import drain, replay, sample
from tests.generators import tiny_sd
from tests.test_replay import awake, error, surface

CPU = torch.device("cpu")
GIB = 2**30


def test_parts_are_as_equal_as_can_be() -> None:
    assert [_sd_plan.at_once(6, each=1, free=f / _sd_plan.ROOM) for f in (0.5, 1, 2, 3, 4, 5, 6, 60)] == [0, 1, 2, 3, 3, 3, 6, 6]
    assert _sd_plan.at_once(7, each=1, free=4 / _sd_plan.ROOM) == 4


def test_a_view_of_the_papers_size_fits_in_what_the_weights_leave_of_8_gb() -> None:
    """860 + 361 + 84 million parameters in bfloat16 take 2.4 GiB. Views of 512², guidance on."""
    settings = {"side": 64, "sides": 2, "dtype": torch.bfloat16, "learning": True}
    each = [_sd_plan.pass_bytes(**settings, onward=onward) for onward in (False, True)]
    assert 1.4 * GIB < each[0] < 1.6 * GIB and 2.0 * GIB < each[1] < 2.2 * GIB
    assert _sd_plan.at_once(6, each=each[1], free=5.6e9) == 2 and _sd_plan.at_once(6, each=each[1], free=13.6e9) == 3
    assert _sd_plan.pass_bytes(side=64, sides=1, dtype=torch.float32, learning=True) == pytest.approx(each[0])
    assert _sd_plan.pass_bytes(side=64, sides=2, dtype=torch.bfloat16, learning=False) < 0.5 * GIB


def test_a_forecast_goes_with_what_there_is_to_do() -> None:
    from studio.config import parse
    from studio.session.forecast import forecast

    def foreseen(views: int = 6, device: str = "cuda", **settings):
        table = {"views": views, "max_views": views, "device": device, "generator": {"name": "stable_diffusion", **settings}}
        return forecast(parse({**table, "trainer": {"name": "lora_reward"}, "iterations": 10}))

    whole, half = foreseen(), foreseen(guidance=1.0)
    assert not whole.learned and 10 < whole.total_s < 60 and 15 * GIB < whole.memory_bytes < 25 * GIB
    assert half.total_s < whole.total_s < foreseen(views=12).total_s < foreseen(views=12, device="cpu").total_s
    assert foreseen(memory_gb=8.0).memory_bytes == 8e9


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
@pytest.mark.parametrize(("onward", "expected"), [(False, _sd_plan.KEPT), (True, _sd_plan.KEPT_ONWARD)])
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
    assert found / side**2 == pytest.approx(expected, rel=0.03 if side == 64 else 0.1)
