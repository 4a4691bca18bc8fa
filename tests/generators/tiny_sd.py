"""A Stable Diffusion of some thousand parameters: diffusers' own classes with random weights, saved as pipelines are."""

from __future__ import annotations

from pathlib import Path

import torch

LETTERS = [chr(c) for c in range(ord("a"), ord("z") + 1)]
WIDTH, TOKENS = 16, 16


def models(*, control_channels: int = 3, seed: int = 0):
    """(unet, controlnet, vae, text encoder) in fp32: four latent channels at half the pictures' size of 32 px."""
    from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    shared = {
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "cross_attention_dim": WIDTH,
        "attention_head_dim": 2,
        "norm_num_groups": 4,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(sample_size=16, up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), **shared)
        controlnet = ControlNetModel(conditioning_channels=control_channels, conditioning_embedding_out_channels=(4, 8), **shared)
        for p in controlnet.parameters():  # fresh ones end in zeros, which steer nothing
            p.data += 0.05 * torch.randn_like(p)
        vae = AutoencoderKL(
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=4,
            layers_per_block=1,
            sample_size=32,
        )
        sizes = {"hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        ends = {"bos_token_id": 2 * len(LETTERS), "eos_token_id": 2 * len(LETTERS) + 1, "pad_token_id": 2 * len(LETTERS) + 1}
        text = CLIPTextModel(
            CLIPTextConfig(**sizes, vocab_size=2 * len(LETTERS) + 2, max_position_embeddings=TOKENS, projection_dim=8, **ends)
        )
    return unet, controlnet, vae, text


def tokenizer():
    """It knows letters."""
    from transformers import CLIPTokenizer

    words = [*LETTERS, *(c + "</w>" for c in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={w: i for i, w in enumerate(words)}, merges=[], model_max_length=TOKENS)


def scheduler():
    from diffusers import DDIMScheduler

    settings = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    return DDIMScheduler(**settings, set_alpha_to_one=False, steps_offset=1, clip_sample=False)


def save(folder: Path, **options: int) -> Path:
    """The folder that a pipeline's `save_pretrained` writes, part by part."""
    unet, controlnet, vae, text = models(**options)
    named = {"unet": unet, "controlnet": controlnet, "vae": vae, "text_encoder": text}
    for name, part in {**named, "tokenizer": tokenizer(), "scheduler": scheduler()}.items():
        part.save_pretrained(folder / name)
    return folder
