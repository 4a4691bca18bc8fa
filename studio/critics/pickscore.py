"""PickScore (2305.01569): a CLIP that learned which of two pictures people prefer for a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.critics import Critic, Eye
from studio.plug import knob

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PickScore(Critic):
    """PickScore_v1 with its processor's tokenizer in one folder; scores as published, about 20."""

    description = "PickScore, which learned from people's choices; from your folder with its files."
    opinions = ("score",)
    weights_bytes, glance_bytes = 3.9e9, 4.3e8

    path: str = knob("", "Folder with PickScore's config.json and weights, and the tokenizer's files.")

    def build(self, *, device: torch.device, dtype: torch.dtype | None = None) -> Eye:
        from studio.critics._clip import ClipEye, clip_in, folder_of, tokenizer_in

        folder = folder_of(self.path, "config.json")
        return ClipEye(clip_in(folder), tokenizer_in(folder), scaled=True).to(device, dtype)
