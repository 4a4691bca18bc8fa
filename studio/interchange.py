"""LoRAs of other programs: their names and scales for what the studio calls unet.<layer>.lora_A.weight and lora_B.weight.

peft and diffusers write nearly these names; diffusers before 0.22 wrote lora.down and lora.up, or kept them in attention
processors; kohya's trainers join the names of modules with underscores. A layer's update is alpha / rank · B·A: the factor goes
into B here. Layers of smaller rank are filled up with zeros, which changes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

UNET, READER = OWN = "unet.", "reader."
"""Before peft's names: as diffusers writes them, and of the part of `mini` that reads inks."""
OFFSET = "text.offset"
"""The name of a prompt adapter's only tensor [L, D]."""
PREFIXES = (UNET, "base_model.model.")
"""What may stand before peft's names in files from elsewhere."""
HALVES = ".lora_A.weight", ".lora_B.weight"
TOLD = "lora_adapter_metadata"
"""Where diffusers keeps the settings of an adapter, as JSON."""
_ENDS = {
    ".lora.down.weight": HALVES[0],
    ".lora.up.weight": HALVES[1],
    ".lora_down.weight": HALVES[0],
    ".lora_up.weight": HALVES[1],
}
_PROCESSOR = re.compile(r"(.*\.attn[12])\.processor\.to_(q|k|v|out)_lora\.(down|up)\.weight")
_JOINED = re.compile(
    r"lora_unet_(?:(down|up)_blocks_(\d+)|mid_block)_attentions_(\d+)_transformer_blocks_(\d+)_attn([12])_to_(q|k|v|out_0)"
)


def renamed(names: Iterable[str]) -> dict[str, str]:
    """The studio's name of each tensor; "<layer>.alpha" for a scale. What belongs to no layer of a UNet keeps its name."""
    return {name: _renamed(name) for name in names}


def _renamed(name: str) -> str:
    if name == OFFSET or name.startswith(READER):
        return name
    if found := _PROCESSOR.fullmatch(name):
        layer, part, way = found.groups()
        return f"{UNET}{layer.removeprefix(UNET)}.to_{'out.0' if part == 'out' else part}{HALVES[way == 'up']}"
    base, _, rest = name.partition(".")
    if found := _JOINED.fullmatch(base):
        way, block, attention, depth, which, part = found.groups()
        place = f"{way}_blocks.{block}" if way else "mid_block"
        layer = f"{UNET}{place}.attentions.{attention}.transformer_blocks.{depth}.attn{which}.to_{part.replace('_', '.')}"
        return f"{layer}.{rest}" if rest == "alpha" else layer + _ENDS.get(f".{rest}", f".{rest}")
    bare = name.removeprefix(next((p for p in PREFIXES if name.startswith(p)), ""))
    for end, own in _ENDS.items():
        bare = bare.removesuffix(end) + own if bare.endswith(end) else bare
    return UNET + bare if bare.endswith((*HALVES, ".alpha")) and not bare.startswith(("text_encoder", "lora_")) else name


def converted(tensors: Mapping[str, Tensor], told: Mapping[str, str]) -> dict[str, Tensor]:
    """Tensors under the studio's names, scales worked in, all of one rank; `told`: the file's metadata."""
    import torch.nn.functional as F

    found = {own: tensors[name] for name, own in renamed(tensors).items()}
    if OFFSET in found:
        return found
    layers = sorted(n.removesuffix(HALVES[0]) for n in found if n.endswith(HALVES[0]))
    settings = _settings(told)
    most = max((found[layer + HALVES[0]].shape[0] for layer in layers), default=0)
    out: dict[str, Tensor] = {}
    for layer in layers:
        down, up = (found[layer + half] for half in HALVES)
        rank = down.shape[0]
        scale = float(found[f"{layer}.alpha"]) / rank if f"{layer}.alpha" in found else _scale(layer, rank, settings)
        out[layer + HALVES[0]] = F.pad(down, (0, 0, 0, most - rank))
        out[layer + HALVES[1]] = F.pad(up if scale == 1 else up * scale, (0, most - rank))
    return out


def _settings(told: Mapping[str, str]) -> dict[str, object]:
    try:
        found = json.loads(told.get(TOLD) or "{}")
    except (ValueError, RecursionError):
        return {}
    return {k.removeprefix(UNET): v for k, v in found.items()} if isinstance(found, dict) else {}


def _scale(layer: str, rank: int, settings: Mapping[str, object]) -> float:
    """alpha / rank, or alpha / √rank where the adapter was made so (2312.03732); 1 where nothing is said."""
    own = settings.get("alpha_pattern")
    patterns = own if isinstance(own, Mapping) else {}
    bare = layer.removeprefix(UNET)
    alpha = next((v for k, v in patterns.items() if re.search(rf"(^|\.){re.escape(str(k))}$", bare)), settings.get("lora_alpha"))
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not abs(alpha) < 1e6:
        return 1.0
    return alpha / rank**0.5 if settings.get("use_rslora") else alpha / rank
