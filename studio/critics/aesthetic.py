"""LAION's aesthetic predictor (improved, V2): a small head on CLIP ViT-L/14 that predicts how people rate a picture, 1 to 10."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.critics import Critic, Eye
from studio.plug import knob

if TYPE_CHECKING:
    import torch

HEADS = ("sac+logos+ava1-l14-linearMSE.pth", "sac+logos+ava1-l14-linearMSE.safetensors")


@dataclass(frozen=True)
class Aesthetic(Critic):
    """The head's file beside CLIP ViT-L/14 in the layout of transformers."""

    description = "LAION's aesthetic predictor, which learned people's ratings; from your folder with its files."
    opinions = ("quality",)
    weights_bytes, glance_bytes = 1.7e9, 3.6e8

    path: str = knob("", "Folder with CLIP ViT-L/14 (config.json, weights, tokenizer) and sac+logos+ava1-l14-linearMSE.pth.")

    def build(self, *, device: torch.device, dtype: torch.dtype | None = None) -> Eye:
        from studio.critics._clip import ClipEye, Head, clip_in, file_of, filled, folder_of, state_in, tokenizer_in

        folder = folder_of(self.path, "config.json")
        file = file_of(folder, HEADS)
        model = clip_in(folder)
        head = Head(model.config.projection_dim)
        filled(head, state_in(file), file)
        return ClipEye(model, tokenizer_in(folder), head=head).to(device, dtype)
