"""What CLIP's text encoder makes of prompts: encoded once, kept on disk, and the encoder is gone while pictures are painted."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from studio import files, resources
from studio.camera import Camera
from studio.errors import OutputError
from studio.words import Words

if TYPE_CHECKING:
    from transformers import CLIPTextModel, PreTrainedTokenizerBase

MERGES = Path(__file__).parent / "data" / "clip" / "merges.txt.gz"
"""The byte pairs of CLIP's vocabulary (OpenAI, MIT licence), from the most frequent on."""
STEEP_DEG = 60.0
"""Cameras that look down or up more steeply than this see the top or the bottom."""


class Prompts:
    """Prompts → features [n, L, D], in the precision that the encoder has."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, encoder: Callable[[], CLIPTextModel], key: str, length: int) -> None:
        """`encoder` loads the text encoder, where a prompt is not known yet; `key` names its weights; `length` is L."""
        self.tokenizer, self.length = tokenizer, length
        self._encoder, self._key = encoder, key
        self._known: dict[str, Tensor] = {}

    def words(self, prompt: str) -> Words:
        """It reads every word, up to the length it was trained for."""
        found = re.findall(r"\S+", prompt)
        while found and self._tokens(" ".join(found)) > self.length:
            found.pop()
        every = re.findall(r"\S+", prompt)
        return Words(tuple(dict.fromkeys(found)), (), tuple(every[len(found) :]))

    def read(self, prompts: Sequence[str]) -> Tensor:
        """[n, L, D] on the CPU. Raises StudioError where the encoder is needed and cannot be loaded."""
        for prompt in set(prompts) - set(self._known):
            if (found := self._kept(prompt)) is not None:
                self._known[prompt] = found
        if missing := sorted(set(prompts) - set(self._known)):
            encoder = self._encoder().eval()
            device = next(encoder.parameters()).device
            with torch.no_grad():
                for prompt in missing:
                    features = encoder(self._ids(prompt).to(device)).last_hidden_state[0].cpu()
                    self._known[prompt] = features
                    self._keep(prompt, features)
        return torch.stack([self._known[p] for p in prompts])

    def _ids(self, prompt: str) -> Tensor:
        told = self.tokenizer(prompt, truncation=True, max_length=self.length, padding="max_length", return_tensors="pt")
        return told["input_ids"]

    def _tokens(self, prompt: str) -> int:
        return len(self.tokenizer(prompt, verbose=False)["input_ids"])

    # -- on disk --------------------------------------------------------------------------------------------------------------

    def _path(self, prompt: str) -> Path:
        ids = ",".join(map(str, self._ids(prompt)[0].tolist()))
        name = hashlib.sha256(f"{self._key} {ids}".encode()).hexdigest()[:32]
        return resources.cache_dir() / "text" / f"{name}.safetensors"

    def _kept(self, prompt: str) -> Tensor | None:
        """A damaged file is as good as none."""
        with contextlib.suppress(OSError, SafetensorError, KeyError):
            return load(self._path(prompt).read_bytes())["features"]
        return None

    def _keep(self, prompt: str, features: Tensor) -> None:
        with contextlib.suppress(OSError, OutputError):  # a full disk costs the next run half a second
            self._path(prompt).parent.mkdir(parents=True, exist_ok=True)
            files.write_bytes(self._path(prompt), save({"features": features.contiguous()}))


def digest(state: dict[str, Tensor], dtype: torch.dtype) -> str:
    """Names a text encoder's weights and the precision in which it reads."""
    found = hashlib.sha256(str(dtype).encode())
    for name, tensor in sorted(state.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.contiguous().view(torch.uint8).numpy().tobytes() if tensor.ndim else str(tensor.item()).encode())
    return found.hexdigest()[:32]


def from_where(camera: Camera) -> str:
    """What a camera sees of the object, in the words of captions."""
    if abs(camera.elevation_deg) > STEEP_DEG:
        return "top view" if camera.elevation_deg > 0 else "bottom view"
    turned = abs((camera.azimuth_deg + 180) % 360 - 180)
    return "front view" if turned <= 45 else "back view" if turned >= 135 else "side view"


@lru_cache(maxsize=2)
def published_tokenizer(padding: str, length: int = 77) -> PreTrainedTokenizerBase:
    """CLIP's tokenizer, for checkpoints that come without one. SD 1.x pads with the end, SD 2.x with "!"."""
    from transformers import CLIPTokenizer

    pairs = gzip.decompress(MERGES.read_bytes()).decode("utf-8").splitlines()
    letters = _letters()
    words = [*letters, *(c + "</w>" for c in letters), *("".join(p.split()) for p in pairs), "<|startoftext|>", "<|endoftext|>"]
    merges = [tuple(p.split()) for p in pairs]
    vocabulary = {word: i for i, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, pad_token=padding, model_max_length=length)


def _letters() -> list[str]:
    """A printable character for each byte, in CLIP's order: printable bytes stand for themselves, others from U+0100 on."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [*map(chr, plain), *(chr(256 + n) for n in range(256 - len(plain)))]
