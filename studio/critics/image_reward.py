"""ImageReward (2304.05977): a BLIP that reads the prompt while it looks, with a head that learned people's rankings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.critics import Critic, Eye
from studio.plug import knob

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ImageReward(Critic):
    """ImageReward-v1.0; scores as published, about −2 to 2."""

    description = "ImageReward, which learned people's rankings; from your folder with its files."
    opinions = ("score",)
    weights_bytes, glance_bytes = 1.8e9, 3.0e8

    path: str = knob("", "Folder with ImageReward.pt, med_config.json and the vocab.txt of bert-base-uncased.")

    def build(self, *, device: torch.device, dtype: torch.dtype | None = None) -> Eye:
        from studio.critics._blip import load

        return load(self.path).to(device, dtype)
