"""From the settings of `stable_diffusion` to a painter with weights on a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from studio import resources
from studio.errors import StudioError
from studio.generators import _lora
from studio.generators._sd_painter import Diffusion
from studio.generators._sd_parts import SINGLE, Folder, Parts, SingleFile
from studio.generators._sd_schedule import schedule
from studio.generators._sd_text import Prompts, digest

if TYPE_CHECKING:
    from transformers import CLIPTextModel, PreTrainedTokenizerBase

MODEL, CONTROL = "sd15", "sd15-depth"
"""What is used where nothing is said: the models of `studio models` with these names."""


def build(spec: Any, *, device: torch.device, dtype: torch.dtype | None) -> Diffusion:
    """The painter of the settings that `stable_diffusion` has; `dtype` overrides theirs. Raises StudioError."""
    from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel

    parts = parts_of(spec.model or MODEL, "model")
    plan = schedule(
        parts.config("scheduler"),
        steps=spec.steps,
        spacing=spec.spacing,
        eta=spec.eta,
        anew=spec.scheduler == "lcm",
        prediction=spec.prediction,
    )
    own = not spec.control and parts.has("controlnet")
    steering = parts if own else parts_of(spec.control or CONTROL, "control", only="controlnet")
    if not steering.has("controlnet"):
        raise StudioError(f"'{steering.name}' holds no ControlNet.", "Give 'control' one that was trained for depth.")
    unet = parts.made("unet", UNet2DConditionModel)
    controlnet = steering.made("controlnet", ControlNetModel)
    vae = parts.made("vae", AutoencoderKL)
    tokenizer = _fitting(parts, unet, vae)
    if unet.config["cross_attention_dim"] != controlnet.config["cross_attention_dim"]:
        raise StudioError(
            f"The ControlNet of '{steering.name}' was made for another Stable Diffusion than '{parts.name}'.",
            "Give one that was made for the same version: 1 or 2.",
        )
    precision = dtype or _precision(spec.dtype, device)
    # What bfloat16 rounds away belongs to the weights' identity.
    mark = _lora.fingerprint(unet) if precision is torch.bfloat16 else ""
    for module in (unet, controlnet, vae):
        nn.Module.to(module, device, precision, memory_format=torch.channels_last)  # diffusers' own warns without cause
    factor = 2 ** (len(vae.config["block_out_channels"]) - 1)
    return Diffusion(
        unet=unet,
        controlnet=controlnet,
        vae=vae,
        prompts=_prompts(spec.model or MODEL, parts, tokenizer, device, torch.promote_types(precision, torch.float32)),
        schedule=plan,
        view_px=_side(spec.view_px or unet.config["sample_size"] * factor, unet, factor),
        guidance=spec.guidance,
        control_scale=spec.control_scale,
        negative=spec.negative,
        directions=spec.directions,
        fingerprint=mark,
        in_turn=spec.mode == "sequential",
        exact=spec.through_views,
        memory=spec.memory_gb * 1e9,
    )


def side_of(spec: Any) -> int:
    """Side of the views, from settings alone. Raises StudioError."""
    parts = parts_of(spec.model or MODEL, "model")
    blocks = parts.config("vae").get("block_out_channels", ())
    return spec.view_px or int(parts.config("unet").get("sample_size", 64)) * 2 ** max(0, len(blocks) - 1)


def parts_of(name: str, setting: str, *, only: str = "") -> Parts:
    """What a setting names: a folder, a file, or a model fetched earlier. Raises StudioError when there is none."""
    path = Path(name).expanduser()
    if path.is_file():
        if path.suffix.lower() not in SINGLE:
            raise StudioError(f"'{path.name}' is no checkpoint.", f"Its suffix must be one of {', '.join(SINGLE)}.")
        return SingleFile(path)
    if not path.is_dir() and not (path := resources.model_dir(name)).is_dir():
        problem = f"There is no folder, checkpoint file or fetched model '{name}'."
        raise StudioError(problem, f"Say with '{setting}' where it is, or fetch one: `studio models` lists them.")
    return Folder(path, only=only if (path / "config.json").is_file() else "")


def _precision(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    return getattr(torch, name)


def _side(px: int, unet: nn.Module, factor: int) -> int:
    """Raises StudioError where the network cannot halve its latents as often as it wants to."""
    grid = factor * 2 ** (len(unet.config["block_out_channels"]) - 1)  # type: ignore[index]
    if px % grid:
        raise StudioError(f"Views of {px} px do not suit this model.", f"Give 'view_px' a multiple of {grid}.")
    return px


def _fitting(parts: Parts, unet: nn.Module, vae: nn.Module) -> PreTrainedTokenizerBase:
    """The tokenizer, where the parts belong together. Raises StudioError."""
    tokenizer, text = parts.tokenizer(), parts.config("text_encoder")
    channels, latent = unet.config["in_channels"], vae.config["latent_channels"]  # type: ignore[index]
    if channels != latent:
        problem = f"The network of '{parts.name}' reads {channels} channels, its autoencoder makes {latent}: it is another kind."
        raise StudioError(
            problem, "Give a Stable Diffusion 1 or 2 that makes pictures from text, not one for inpainting or upscaling."
        )
    reads, told = unet.config["cross_attention_dim"], text.get("hidden_size")  # type: ignore[index]
    if reads != told or unet.config.get("addition_embed_type"):  # type: ignore[union-attr]
        problem = f"The network of '{parts.name}' does not read what its text encoder writes: it is no Stable Diffusion 1 or 2."
        raise StudioError(problem, "Give one of these: other kinds, such as XL, are not supported.")
    if len(tokenizer) > text.get("vocab_size", 0):
        problem = f"The tokenizer of '{parts.name}' has more words than its text encoder knows."
        raise StudioError(problem, "Get a whole copy of the model.")
    return tokenizer


def _prompts(name: str, parts: Parts, tokenizer: PreTrainedTokenizerBase, device: torch.device, dtype: torch.dtype) -> Prompts:
    """The text encoder is opened only for prompts that nobody has asked for before, and closed again."""
    from transformers import CLIPTextModel

    def encoder() -> CLIPTextModel:
        return parts_of(name, "model").made("text_encoder", CLIPTextModel).to(device, dtype)  # type: ignore[arg-type]

    config: dict[str, Any] = parts.config("text_encoder")
    length = config.get("max_position_embeddings", 77)
    return Prompts(tokenizer, encoder, digest(parts.state("text_encoder"), dtype), length)
