"""ImageReward's network from its own checkpoint: BLIP's picture encoder, its text encoder that attends to the picture, a head."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from studio.critics import Eye
from studio.critics._clip import REMEDY, Head, all_words, filled, folder_of, prepared, state_in
from studio.errors import StudioError
from studio.words import Words

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FILES = ("ImageReward.pt", "med_config.json", "vocab.txt")
TOKENS = 35
MEAN, STD = 0.16717362830052426, 1.0333394966054072
"""Of the head's answers over ImageReward's data; published scores have them taken out."""
SEEING = (  # BLIP's names of the picture encoder's tensors → those of transformers, one after the other
    (r"^blocks\.", "encoder.layers."),
    (r"\.attn\.proj\.", ".self_attn.projection."),
    (r"\.attn\.", ".self_attn."),
    (r"\.norm([12])\.", r".layer_norm\1."),
    (r"^norm\.", "post_layernorm."),
    (r"^patch_embed\.proj\.", "embeddings.patch_embedding."),
    (r"^pos_embed$", "embeddings.position_embedding"),
    (r"^cls_token$", "embeddings.class_embedding"),
)


class Network(nn.Module):
    """Pictures and tokens → one number per picture. Sizes follow from the checkpoint and from BERT's configuration."""

    def __init__(self, state: dict[str, Tensor], bert: dict[str, object]) -> None:
        super().__init__()
        from transformers import BlipTextConfig, BlipVisionConfig
        from transformers.models.blip.modeling_blip import BlipVisionModel
        from transformers.models.blip.modeling_blip_text import BlipTextModel

        width, _, patch, _ = state["vision.embeddings.patch_embedding.weight"].shape
        side = round((state["vision.embeddings.position_embedding"].shape[1] - 1) ** 0.5)
        layers = 1 + max(int(n.split(".")[3]) for n in state if n.startswith("vision.encoder.layers."))
        inner = state["vision.encoder.layers.0.mlp.fc1.weight"].shape[0]
        self.px = side * patch
        heads = max(1, width // 64)
        seeing = {"hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": heads}
        self.vision = BlipVisionModel(BlipVisionConfig(**seeing, image_size=self.px, patch_size=patch, layer_norm_eps=1e-6))
        reading = {k: bert[k] for k in (*seeing, "max_position_embeddings", "layer_norm_eps") if k in bert}
        words = state["text.embeddings.word_embeddings.weight"].shape[0]
        config = BlipTextConfig(**reading, vocab_size=words, encoder_hidden_size=width, is_decoder=True)
        self.text = BlipTextModel(config, add_pooling_layer=False)
        self.mlp = Head(config.hidden_size)

    def forward(self, pixels: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        seen = self.vision(pixel_values=pixels).last_hidden_state
        n = len(pixels)
        told = self.text(
            input_ids=tokens.expand(n, -1),
            attention_mask=mask.expand(n, -1),
            encoder_hidden_states=seen,
            encoder_attention_mask=torch.ones(seen.shape[:2], dtype=torch.long, device=seen.device),
        )
        return (self.mlp(told.last_hidden_state[:, 0]) - MEAN) / STD

    def features(self, pixels: Tensor) -> Tensor:
        return nn.functional.normalize(self.vision(pixel_values=pixels).last_hidden_state[:, 0], dim=-1)


class BlipEye(Eye):
    """ImageReward at work."""

    def __init__(self, network: Network, tokenizer: PreTrainedTokenizerBase) -> None:
        self.network, self.tokenizer = network.eval().requires_grad_(False), tokenizer
        self.px = network.px

    def to(self, device: torch.device, dtype: torch.dtype | None) -> BlipEye:
        """Moved to a device; fp32 unless said otherwise."""
        self.network.to(device, dtype or torch.float32)
        return self

    def words(self, prompt: str) -> Words:
        return all_words(prompt)

    def features(self, pictures: Tensor) -> Tensor:
        return self.network.features(self._pixels(pictures))

    def score(self, pictures: Tensor, prompt: str) -> Tensor:
        told = self.tokenizer(prompt, truncation=True, max_length=TOKENS, padding="max_length", return_tensors="pt")
        tokens, mask = (told[k].to(pictures.device) for k in ("input_ids", "attention_mask"))
        return self.network(self._pixels(pictures), tokens, mask)

    def quality(self, pictures: Tensor) -> Tensor:
        raise StudioError("ImageReward cannot tell how good pictures are.", "Choose another critic for the reward 'quality'.")

    def _pixels(self, pictures: Tensor) -> Tensor:
        return prepared(pictures, self.px, next(self.network.parameters()).dtype)


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """ImageReward's tensors under the names of `Network`; what BLIP keeps for other tasks is left out."""
    out: dict[str, Tensor] = {}
    for name, tensor in state.items():
        name = name.removeprefix("blip.")
        if name.startswith("visual_encoder."):
            name = name.removeprefix("visual_encoder.")
            for old, new in SEEING:
                name = re.sub(old, new, name)
            out[f"vision.{name}"] = tensor
        elif name.startswith("text_encoder."):
            out["text." + name.removeprefix("text_encoder.")] = tensor
        elif name.startswith("mlp."):
            out[name] = tensor
    return out


def load(path: str) -> BlipEye:
    """From the user's folder (fp32, CPU). Raises StudioError when files are missing or damaged."""
    from transformers import BertTokenizer

    folder: Path = folder_of(path, *FILES)
    file = folder / FILES[0]
    state = renamed(state_in(file))
    try:
        bert = json.loads((folder / FILES[1]).read_text(encoding="utf-8"))
        with torch.device("meta"):
            network = Network(state, bert)
        words = (folder / FILES[2]).read_text(encoding="utf-8").split("\n")
        tokenizer = BertTokenizer(vocab={word: i for i, word in enumerate(words)}, do_lower_case=True)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise StudioError(f"The model in the folder '{folder.name}' cannot be used: {error}.", REMEDY) from error
    filled(network, state, file)
    return BlipEye(network, tokenizer)
