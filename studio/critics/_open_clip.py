"""Names of the tensors of a CLIP in OpenCLIP's layout → those in the layout of transformers."""

from __future__ import annotations

import re

from torch import Tensor

WHOLE = {
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "logit_scale": "logit_scale",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
}
TURNED = {"text_projection": "text_projection.weight", "visual.proj": "visual_projection.weight"}
"""Kept as the transpose of a linear layer's weight."""
NORMS = {
    "ln_final": "text_model.final_layer_norm",
    "visual.ln_pre": "vision_model.pre_layrnorm",  # sic
    "visual.ln_post": "vision_model.post_layernorm",
}
PARTS = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
LAYER = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+)[._](weight|bias)")


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights, queries, keys and values apart; what is not known is left out."""
    out: dict[str, Tensor] = {}
    for name, tensor in state.items():
        name = name.removeprefix("module.")
        base, _, kind = name.rpartition(".")
        if name in WHOLE:
            out[WHOLE[name]] = tensor
        elif name in TURNED:
            out[TURNED[name]] = tensor.T.contiguous()
        elif base in NORMS:
            out[f"{NORMS[base]}.{kind}"] = tensor
        elif found := LAYER.fullmatch(name):
            visual, number, part, kind = found.groups()
            layer = f"{'vision' if visual else 'text'}_model.encoder.layers.{number}"
            if part == "attn.in_proj":
                for letter, piece in zip("qkv", tensor.chunk(3), strict=True):
                    out[f"{layer}.self_attn.{letter}_proj.{kind}"] = piece
            elif part in PARTS:
                out[f"{layer}.{PARTS[part]}.{kind}"] = tensor
    return out
