"""A multi-view network on disk: `size.json`, `vocabulary.txt` and fp16 safetensors shards small enough for a repository."""

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
from studio.generators._multiview import Denoiser, Size, Vocabulary

SHARD_BYTES = 14_000_000
REMEDY = "Reinstall patina-studio."


def save(state: dict[str, Tensor], size: Size, folder: Path) -> list[Path]:
    """Write a network's state as fp16 shards of at most SHARD_BYTES and its size; older shards in `folder` go."""
    folder.mkdir(parents=True, exist_ok=True)
    shards: list[dict[str, Tensor]] = [{}]
    room = SHARD_BYTES
    for name, tensor in state.items():
        half = tensor.detach().to("cpu", torch.float16).contiguous()
        if half.nbytes > room:
            shards.append({})
            room = SHARD_BYTES
        shards[-1][name] = half
        room -= half.nbytes
    for old in folder.glob("weights-*.safetensors"):
        old.unlink()
    paths = [folder / f"weights-{i + 1}-of-{len(shards)}.safetensors" for i in range(len(shards))]
    for path, shard in zip(paths, shards, strict=True):
        save_file(shard, path)
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
        state = {name: t.float() for path in paths for name, t in load_file(path).items()}
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
