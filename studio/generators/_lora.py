"""What is added to a frozen denoiser: the adapter that learns, over loaded ones at their scales.

Two kinds: "lora", low-rank matrices (2106.09685) through peft, on the denoiser's attention projections and on what a reader of
inks (`_reader`) has between words and colours; and "prompt", an offset on the text tokens that the network reads of the prompt
(prompt tuning, 2104.08691; textual inversion, 2208.01618, learns single tokens).
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as F
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from studio.errors import StudioError
from studio.interchange import OFFSET, PREFIXES, READER, UNET

TARGETS = {"unet": ("to_q", "to_k", "to_v", "to_out.0"), "reader": ("enter", "key", "own", "word.0", "word.2")}
"""Which layers of a part of the network learn, by the names of both."""
LEARNING = "default"
"""peft's name of the adapter that learns."""


class Adapters:
    """The adapters of one network. Names of tensors are diffusers': "unet.<layer>.lora_A.weight"."""

    def __init__(self, unet: nn.Module, *, tokens: tuple[int, int], reader: nn.Module | None = None) -> None:
        """`tokens`: how many text tokens of how many channels the network reads."""
        self._parts = {"unet": unet} if reader is None else {"unet": unet, "reader": reader}
        self._tokens = tokens
        self._layers: dict[str, LoraLayer] = {}
        """Where LoRAs are attached, by name, once there is one."""
        self._learning: str | None = None
        """The kind that learns."""
        self._silent = False
        self._made = 0
        """How often tensors were made or replaced."""
        self._scales: dict[str, float] = {}
        """Of every loaded adapter, by its name among the settings."""
        self._offsets: dict[str, Tensor] = {}
        """Of the prompt adapters among them."""
        self._offset: nn.Parameter | None = None

    # -- the one that learns --------------------------------------------------------------------------------------------------

    def add(self, kind: str, *, rank: int, seed: int = 0) -> None:
        """Begin a fresh adapter in place of the one that learned; the output is unchanged by it.

        A LoRA of this rank has alpha = rank, so scale 1, and B = 0; its A depends on `seed` alone. A prompt adapter is all 0.
        """
        self._learning, self._offset, self._made = kind, None, self._made + 1
        if kind == "prompt":
            self._offset = nn.Parameter(torch.zeros(self._tokens, device=self._like.device, dtype=self._like.dtype))
        else:
            self._make(LEARNING, rank)
            source = torch.Generator().manual_seed(seed)
            for name, p in self._matrices(LEARNING).items():
                if "lora_A" in name:
                    fresh = (torch.rand(p.shape, generator=source, dtype=torch.float64) * 2 - 1) / p.shape[1] ** 0.5
                    p.data = fresh.to(self._like)
                else:
                    p.data = torch.zeros(p.shape).to(self._like)
        self._switch()

    def parameters(self) -> list[nn.Parameter]:
        """The tensors that learn, in the network's own order."""
        if self._offset is not None:
            return [self._offset]
        return list(self._matrices(LEARNING).values()) if self._learning else []

    def state(self) -> dict[str, Tensor]:
        """CPU copies of the tensors that learn."""
        own = {OFFSET: self._offset} if self._offset is not None else self._matrices(LEARNING) if self._learning else {}
        return {name: t.detach().cpu().clone() for name, t in own.items()}

    def load(self, values: Mapping[str, Tensor]) -> None:
        """Put such tensors back, beginning an adapter of their kind and rank where there is none. Raises StudioError."""
        values = _bare(values)
        kind = _kind(values)
        if kind == "prompt":
            self._fitting(values, {OFFSET: torch.Size(self._tokens)})
            if self._learning != kind:
                self.add(kind, rank=1)
            own = {OFFSET: self.parameters()[0]}
        else:
            rank = _rank(values)
            if self._learning != kind or {p.shape[0] for n, p in self._matrices(LEARNING).items() if "lora_A" in n} != {rank}:
                self.add(kind, rank=rank)
            own = self._matrices(LEARNING)
            self._fitting(values, {name: p.shape for name, p in own.items()})
        with torch.no_grad():
            for name, p in own.items():
                p.copy_(values[name])

    @contextmanager
    def base(self) -> Iterator[None]:
        """Within: the adapter that learns is silent; loaded ones are not."""
        self._silent = True
        self._switch()
        try:
            yield
        finally:
            self._silent = False
            self._switch()

    # -- loaded ones ----------------------------------------------------------------------------------------------------------

    def stack(self, loaded: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Put these, frozen and at scale 1, under the one that learns. Once, for a fresh network. Raises StudioError."""
        self._made += 1
        for name, values in loaded.items():
            values = _bare(values)
            try:
                if _kind(values) == "prompt":
                    self._fitting(values, {OFFSET: torch.Size(self._tokens)})
                    self._offsets[name] = values[OFFSET].to(self._like)
                else:
                    self._stack_lora(name, values)
            except StudioError as error:
                raise StudioError(f"'{name}': {error.problem}", error.remedy) from error
            self._scales[name] = 1.0
        self._switch()

    def _stack_lora(self, name: str, values: Mapping[str, Tensor]) -> None:
        """One that leaves some layers alone is as good as zeros there."""
        self._make(self._peft(name), _rank(values))
        own = self._matrices(self._peft(name))
        touched = {n.rpartition(".lora_")[0] for n in values} & {n.rpartition(".lora_")[0] for n in own}
        self._fitting(values, {n: p.shape for n, p in own.items() if n.rpartition(".lora_")[0] in touched})
        for n, p in own.items():
            p.data = (values[n] if n in values else torch.zeros(p.shape)).to(self._like)

    def scale(self, scales: Mapping[str, float]) -> None:
        """How much each loaded adapter counts, 0…1; at 0 it takes no part at all, so that nothing is even rounded otherwise."""
        self._scales |= {name: scale for name, scale in scales.items() if name in self._scales}
        for layer in self._layers.values():
            for name, scale in self._scales.items():
                layer.set_scale(self._peft(name), scale)
        self._switch()

    def read(self, text: Tensor) -> Tensor:
        """The text features [sides, L, D] as the network is to read them: offsets are added to the prompt's, the first side's.

        The empty or refused prompt stays what it is: guidance goes away from where it went before.
        """
        offsets = [scale * self._offsets[n] for n, scale in self._scales.items() if scale and n in self._offsets]
        if self._offset is not None and not self._silent:
            offsets.append(self._offset)
        return torch.cat([text[:1] + sum(offsets), text[1:]]) if offsets else text

    @property
    def taking_part(self) -> Hashable:
        """What a pass depends on beside its inputs and the values of the tensors: where it is equal, a pass is the same work."""
        return self._made, self._silent, *self._scales.values()

    # -- peft -----------------------------------------------------------------------------------------------------------------

    @property
    def _like(self) -> Tensor:
        """Device and dtype for everything: what learns in small steps is never kept in less than fp32."""
        p = next(p for n, p in self._parts["unet"].named_parameters() if "lora_" not in n)
        return torch.empty(0, device=p.device, dtype=torch.promote_types(p.dtype, torch.float32))

    def _matrices(self, adapter: str) -> dict[str, nn.Parameter]:
        return {
            f"{name}.lora_{half}.weight": getattr(layer, f"lora_{half}")[adapter].weight
            for name, layer in self._layers.items()
            for half in "AB"
        }

    def _peft(self, name: str) -> str:
        """peft's name of a loaded adapter: ours may hold dots, which modules must not."""
        return f"loaded{[*self._scales, name].index(name)}"

    def _make(self, adapter: str, rank: int) -> None:
        made = bool(self._layers)
        for part, network in self._parts.items():
            config = LoraConfig(r=rank, lora_alpha=rank, target_modules=list(TARGETS[part]))
            if made:
                for layer in (m for m in network.modules() if isinstance(m, LoraLayer)):
                    layer.update_layer(adapter, r=rank, lora_alpha=rank, config=config)
                continue
            inject_adapter_in_model(config, network, adapter_name=adapter)
            for name, layer in network.named_modules():
                if isinstance(layer, LoraLayer):
                    self._layers[f"{part}.{name}"] = layer
                    layer.forward = partial(adapted, layer)  # type: ignore[method-assign]

    def _switch(self) -> None:
        """Activate what counts now; only what learns wants gradients."""
        learns = self._learning == "lora" and not self._silent
        active = [self._peft(name) for name, scale in self._scales.items() if scale] + [LEARNING] * learns
        for layer in self._layers.values():
            layer.set_adapter(active, inference_mode=True)
        if not self._silent:
            for p in self.parameters():
                p.requires_grad_()

    @staticmethod
    def _fitting(values: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]) -> None:
        wrong = sorted({*shapes} ^ {*values}) or sorted(n for n in shapes if shapes[n] != values[n].shape)
        if wrong:
            problem = f"This LoRA does not fit the generator (first difference: {wrong[0]})."
            raise StudioError(problem, "Load it with the generator it was trained on.")


def adapted(layer: LoraLayer, x: Tensor) -> Tensor:
    """W·x + Σ scale·B·A·x over the active adapters, as peft has it, in fewer operations and in the precision of x: the matrices
    are fp32, what they are given is never widened for them, and the sum is rounded once."""
    y = layer.base_layer(x)
    for name in filter(layer.lora_A.__contains__, layer.active_adapters):
        down, up = (getattr(layer, half)[name].weight.to(y.dtype) for half in ("lora_A", "lora_B"))
        low = F.linear(x, down).flatten(0, -2)
        y = torch.addmm(y.flatten(0, -2), low, up.t(), alpha=layer.scaling[name]).view_as(y)
    return y


def fingerprint(network: nn.Module) -> str:
    """16 hexadecimal digits of a network's own weights, adapters left out; the same in half, single and double precision."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        if "lora_" not in name:
            digest.update(f"{name.replace('.base_layer', '')} {tuple(tensor.shape)}".encode())
            digest.update((tensor.half() if tensor.is_floating_point() else tensor).cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _bare(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under our names, whatever stands before peft's."""
    found = {}
    for name, tensor in values.items():
        prefix = next((p for p in PREFIXES if name.startswith(p)), "")
        found[name if name == OFFSET or name.startswith(READER) else UNET + name.removeprefix(prefix)] = tensor
    return found


def _kind(values: Mapping[str, Tensor]) -> str:
    return "prompt" if OFFSET in values else "lora"


def _rank(values: Mapping[str, Tensor]) -> int:
    """Raises StudioError where it is not one for all layers."""
    ranks = {t.shape[0] for n, t in values.items() if "lora_A" in n and t.ndim}
    if len(ranks) != 1:
        raise StudioError("This LoRA has no single rank.", "Load a LoRA that this studio has written for the same generator.")
    return ranks.pop()
