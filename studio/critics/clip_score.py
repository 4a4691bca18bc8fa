"""Plain CLIP (2103.00020): the cosine between the vectors of picture and text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.critics import Critic, Eye
from studio.plug import knob

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ClipScore(Critic):
    """A CLIP in the layout of transformers: `config.json`, weights and tokenizer in one folder."""

    description = "A CLIP model of your own, from a folder in the layout of transformers."
    opinions = ("score",)
    weights_bytes, glance_bytes = 1.7e9, 3.6e8

    path: str = knob("", "Folder with config.json, model.safetensors and the tokenizer's files.")

    def build(self, *, device: torch.device, dtype: torch.dtype | None = None) -> Eye:
        from studio.critics._clip import ClipEye, clip_in, folder_of, tokenizer_in

        folder = folder_of(self.path, "config.json")
        return ClipEye(clip_in(folder), tokenizer_in(folder)).to(device, dtype)
