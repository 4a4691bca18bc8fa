"""A multi-view network on disk: `size.json`, `vocabulary.txt` and safetensors shards small enough for a repository.

Weights are kept in fp16, or matrices in 8 bits with one fp16 scale for each output channel (`<name>/scale` beside `<name>`).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from studio.errors import StudioError
from studio.generators._network import Denoiser, Size
from studio.words import Vocabulary

SHARD_BYTES = 14_000_000
SCALE = "/scale"
REMEDY = "Reinstall patina-studio."


def halved(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Floating-point tensors in fp16, all on the CPU."""
    kept = {name: t.detach().cpu() for name, t in state.items()}
    return {name: (t.half() if t.is_floating_point() else t).contiguous() for name, t in kept.items()}


def quantised(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of two and more dimensions as int8 with a scale per output channel, max |w| / 127; the rest in fp16."""
    kept = {}
    for name, t in halved(state).items():
        if t.ndim < 2 or not t.is_floating_point():
            kept[name] = t
            continue
        rows = t.float().flatten(1)
        scale = (rows.abs().amax(1) / 127).clamp(min=1e-7).half()
        kept[name] = (rows / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8).view_as(t)
        kept[name + SCALE] = scale
    return kept


def restored(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """What `halved` or `quantised` made, in fp32."""
    out = {}
    for name, t in state.items():
        if name + SCALE in state:
            t = (t.float().flatten(1) * state[name + SCALE].float()[:, None]).view_as(t)
        if not name.endswith(SCALE):
            out[name] = t.float() if t.is_floating_point() else t
    return out


def shards(state: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """The state parted in order, so that no part exceeds SHARD_BYTES unless one tensor does."""
    parts: list[dict[str, Tensor]] = [{}]
    room = SHARD_BYTES
    for name, tensor in state.items():
        if tensor.nbytes > room and parts[-1]:
            parts.append({})
            room = SHARD_BYTES
        parts[-1][name] = tensor
        room -= tensor.nbytes
    return parts


def save(state: dict[str, Tensor], size: Size, folder: Path, *, bits: int = 16) -> list[Path]:
    """Write a network's state in 16 or 8 bits as shards of at most SHARD_BYTES, and its size; older shards in `folder` go."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = shards(quantised(state) if bits == 8 else halved(state))
    for old in folder.glob("weights-*.safetensors"):
        old.unlink()
    paths = [folder / f"weights-{i + 1}-of-{len(parts)}.safetensors" for i in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        save_file(part, path)
        path.chmod(0o644)  # safetensors leaves it readable by its owner alone
    (folder / "size.json").write_text(json.dumps(asdict(size), indent=1) + "\n")
    return paths


def load(folder: Path) -> tuple[Denoiser, Vocabulary]:
    """The network (fp32, CPU) and its vocabulary. Raises StudioError when files are missing, partial or corrupt."""
    vocabulary = Vocabulary.read(folder / "vocabulary.txt")
    paths = sorted(folder.glob("weights-*.safetensors"))
    try:
        numbers: dict[str, Any] = json.loads((folder / "size.json").read_text(encoding="utf-8"))
        sides: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in numbers.items()}
        size = Size(**sides)
        state = restored({name: t for path in paths for name, t in load_file(path).items()})
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise StudioError(f"The weights of the bundled generator in {folder.name} cannot be read: {error}.", REMEDY) from error
    with torch.device("meta"):
        network = Denoiser(size, len(vocabulary.words))
    mine = {name: t.shape for name, t in network.state_dict().items()}
    if {name: t.shape for name, t in state.items()} != mine:
        fitting = sum(name in state and state[name].shape == shape for name, shape in mine.items())
        raise StudioError(f"The weights of the bundled generator are incomplete: {fitting} of {len(mine)} tensors fit.", REMEDY)
    network.load_state_dict(state, assign=True)
    return network, vocabulary
