"""The published architectures as their authors configured them, so that a single-file checkpoint never needs a hub.

Stable Diffusion 1.5 (2112.10752), 2.x, ControlNet (2302.05543). What is not said is the default of diffusers' and transformers'
classes, which were made for Stable Diffusion 1.
"""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]

_AUTOENCODER: Config = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "latent_channels": 4,
    "layers_per_block": 2,
    "sample_size": 512,
    "scaling_factor": 0.18215,
}
_SCHEDULER: Config = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
}
_WIDE: Config = {"cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True}
_TEXT_1: Config = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_act": "quick_gelu",
    "max_position_embeddings": 77,
    "vocab_size": 49408,
    "projection_dim": 768,
}
_TEXT_2: Config = {
    **_TEXT_1,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,  # of OpenCLIP ViT-H's 24: the last is not read
    "num_attention_heads": 16,
    "hidden_act": "gelu",
    "projection_dim": 512,
}

ONE: dict[str, Config] = {
    "unet": {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8},
    "vae": _AUTOENCODER,
    "text_encoder": _TEXT_1,
    "scheduler": _SCHEDULER,
    "controlnet": {"cross_attention_dim": 768, "attention_head_dim": 8},
}
"""Stable Diffusion 1.x."""
TWO: dict[str, Config] = {
    "unet": {"sample_size": 64, **_WIDE},
    "vae": _AUTOENCODER,
    "text_encoder": _TEXT_2,
    "scheduler": _SCHEDULER,
    "controlnet": _WIDE,
}
"""Stable Diffusion 2 and 2.1, base: 512 px, predicting noise."""
TWO_V: dict[str, Config] = {
    **TWO,
    "unet": {"sample_size": 96, **_WIDE, "upcast_attention": True},
    "vae": {**_AUTOENCODER, "sample_size": 768},
    "scheduler": {**_SCHEDULER, "prediction_type": "v_prediction"},
}
"""Stable Diffusion 2 and 2.1: 768 px, predicting velocity."""
PADDING = {768: "<|endoftext|>", 1024: "!"}
"""What fills a prompt up, by the width of the text's features."""
