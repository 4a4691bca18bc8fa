"""Human Preference Score v2 (2306.09341): a CLIP that learned people's rankings; its checkpoint is in OpenCLIP's layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.critics import Critic, Eye
from studio.plug import knob

if TYPE_CHECKING:
    import torch

FILES = ("HPS_v2.1_compressed.pt", "HPS_v2_compressed.pt", "HPS_v2.1_compressed.safetensors")


@dataclass(frozen=True)
class Hps(Critic):
    """HPS v2.1: its checkpoint beside the configuration and tokenizer of CLIP ViT-H/14 in the layout of transformers."""

    description = "HPS v2.1, which learned people's rankings; from your folder with its files."
    opinions = ("score",)
    weights_bytes, glance_bytes = 3.9e9, 4.3e8

    path: str = knob("", "Folder with HPS_v2.1_compressed.pt, and config.json and tokenizer of CLIP ViT-H/14.")

    def build(self, *, device: torch.device, dtype: torch.dtype | None = None) -> Eye:
        from studio.critics._clip import ClipEye, clip_in, file_of, folder_of, state_in, tokenizer_in
        from studio.critics._open_clip import renamed

        folder = folder_of(self.path, "config.json")
        file = file_of(folder, FILES)
        return ClipEye(clip_in(folder, renamed(state_in(file)), file), tokenizer_in(folder)).to(device, dtype)
