"""A critic on disk (`size.json`, `vocabulary.txt`, fp16 `weights.safetensors`), and the eye that it becomes.

`spread.json`, where it has been measured, holds the standard deviation of each of its opinions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from studio.critics import SMALLEST_PX, Eye
from studio.critics._encoders import Network, Size
from studio.errors import StudioError
from studio.words import Vocabulary, Words

REMEDY = "Reinstall patina-studio."
SPREAD = "spread.json"


def save(network: Network, words: tuple[str, ...], folder: Path) -> None:
    """Write a critic; its weights in fp16."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: t.detach().to("cpu", torch.float16).contiguous() for name, t in network.state_dict().items()}
    save_file(state, folder / "weights.safetensors")
    (folder / "weights.safetensors").chmod(0o644)  # safetensors leaves it readable by its owner alone
    (folder / "vocabulary.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    (folder / "size.json").write_text(json.dumps(asdict(network.size), indent=1) + "\n")


def load(folder: Path) -> TwoTowers:
    """The eye (fp32, CPU). Raises StudioError when files are missing, partial or corrupt."""
    vocabulary = Vocabulary.read(folder / "vocabulary.txt")
    try:
        numbers: dict[str, Any] = json.loads((folder / "size.json").read_text(encoding="utf-8"))
        sides: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in numbers.items()}
        size = Size(**sides)
        state = {name: t.float() for name, t in load_file(folder / "weights.safetensors").items()}
        told = folder / SPREAD
        spread = {k: float(v) for k, v in json.loads(told.read_text(encoding="utf-8")).items()} if told.is_file() else {}
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise StudioError(f"The weights of the critic '{folder.name}' cannot be read: {error}.", REMEDY) from error
    with torch.device("meta"):
        network = Network(size, len(vocabulary.words))
    if {n: t.shape for n, t in state.items()} != {n: t.shape for n, t in network.state_dict().items()}:
        raise StudioError(f"The weights of the critic '{folder.name}' are incomplete.", REMEDY)
    network.load_state_dict(state, assign=True)
    return TwoTowers(network, vocabulary, spread)


class TwoTowers(Eye):
    """A `Network` and its words."""

    def __init__(self, network: Network, vocabulary: Vocabulary, spread: Mapping[str, float] | None = None) -> None:
        self.network, self.vocabulary = network.eval().requires_grad_(False), vocabulary
        self.spread = dict(spread or {})
        self.px = network.size.px

    def words(self, prompt: str) -> Words:
        return self.vocabulary.sorted_out(prompt, length=self.network.size.tokens)

    def features(self, pictures: Tensor) -> Tensor:
        return self._look(pictures)[0]

    def score(self, pictures: Tensor, prompt: str) -> Tensor:
        tokens = self.vocabulary.tokens(prompt, length=self.network.size.tokens)
        with torch.no_grad():
            said = self.network.read(torch.tensor([tokens], device=pictures.device))
        return (self._look(pictures)[0] * said).sum(-1)

    def quality(self, pictures: Tensor) -> Tensor:
        return self._look(pictures)[1]

    def _look(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        if pictures.ndim != 4 or pictures.shape[1] != 3 or min(pictures.shape[-2:]) < SMALLEST_PX:
            raise TypeError(f"a critic looks at [N, 3, h, w] of at least {SMALLEST_PX} px, not at {tuple(pictures.shape)}")
        return self.network.look(pictures.to(next(self.network.parameters()).dtype))
