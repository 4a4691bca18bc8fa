"""LoRA on a denoiser's attention projections through peft (2106.09685): what every painter's `add_lora` and friends stand on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor, nn

from studio.errors import StudioError

TARGETS = ("to_q", "to_k", "to_v", "to_out.0")


def _layers(network: nn.Module) -> list[BaseTunerLayer]:
    return [m for m in network.modules() if isinstance(m, BaseTunerLayer)]


def add(network: nn.Module, *, rank: int, seed: int = 0) -> None:
    """Inject a fresh LoRA of this rank (alpha = rank, so scale 1); B starts at 0: the output is unchanged.

    The A matrices depend only on `seed`, not on the global random state. A LoRA that is there already is started afresh.
    """
    if not _layers(network):
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(TARGETS)), network)
    like = next(p for n, p in network.named_parameters() if "lora_" not in n)
    generator = torch.Generator().manual_seed(seed)
    for layer in _layers(network):
        layer.update_layer("default", r=rank, lora_alpha=rank, config=LoraConfig(r=rank, lora_alpha=rank))
    for name, p in network.named_parameters():
        p.requires_grad_("lora_" in name)
        if "lora_A" in name:
            bound = 1 / p.shape[1] ** 0.5
            fresh = torch.rand(p.shape, generator=generator, dtype=torch.float64) * 2 - 1
            p.data = (fresh * bound).to(like.device, like.dtype)
        elif "lora_B" in name:
            p.data = torch.zeros_like(p, device=like.device, dtype=like.dtype)


def parameters(network: nn.Module) -> list[nn.Parameter]:
    """The trainable tensors, in the network's own order."""
    return [p for n, p in network.named_parameters() if "lora_" in n]


@contextmanager
def off(network: nn.Module) -> Iterator[None]:
    """Within: the adapters are silent."""
    layers = _layers(network)
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


def state(network: nn.Module) -> dict[str, Tensor]:
    """CPU copies under peft's names."""
    return {n: t.detach().cpu().clone() for n, t in get_peft_model_state_dict(network).items()} if _layers(network) else {}


def load(network: nn.Module, values: dict[str, Tensor]) -> None:
    """Put such tensors back, adding the LoRA where there is none. Raises StudioError when names or shapes do not fit."""
    ranks = {t.shape[0] for n, t in values.items() if "lora_A" in n}
    if len(ranks) != 1:
        raise StudioError("This LoRA has no single rank.", "Load a LoRA that this studio has written for the same generator.")
    if {t.shape[0] for n, t in state(network).items() if "lora_A" in n} != ranks:
        add(network, rank=ranks.pop())
    mine = state(network)
    wrong = sorted({*mine} ^ {*values}) or sorted(n for n in mine if mine[n].shape != values[n].shape)
    if wrong:
        problem = f"This LoRA does not fit the generator (first difference: {wrong[0]})."
        raise StudioError(problem, "Load it with the generator it was trained on.")
    set_peft_model_state_dict(network, values)
