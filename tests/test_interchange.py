"""LoRAs go both ways between the studio and diffusers, on diffusers' own UNet: what either loads paints as in the other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from studio import interchange, lora
from studio.errors import StudioError
from studio.generators._lora import Adapters
from tests.generators import tiny_sd

LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"


def network():
    return tiny_sd.models()[0].eval().requires_grad_(False)


def predicted(unet) -> Tensor:
    g = torch.Generator().manual_seed(0)
    x, text = torch.randn(2, 4, 16, 16, generator=g), torch.randn(2, tiny_sd.TOKENS, tiny_sd.WIDTH, generator=g)
    with torch.no_grad():
        return unet(x, torch.tensor(300), text, return_dict=False)[0]


def as_ours(file: Path) -> Tensor:
    """What the studio paints with a LoRA file, under its own adapters."""
    unet = network()
    Adapters(unet, tokens=(tiny_sd.TOKENS, tiny_sd.WIDTH)).stack({"a": lora.read(file)[0]})
    return predicted(unet)


def by_diffusers(folder: Path, *, alpha: float = 4, targets: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")):
    """(file, prediction) of a LoRA of rank 4 that diffusers made and saved."""
    from diffusers.loaders import StableDiffusionLoraLoaderMixin
    from peft import LoraConfig, get_peft_model_state_dict

    unet = network()
    unet.add_adapter(LoraConfig(r=4, lora_alpha=alpha, target_modules=list(targets)))
    g = torch.Generator().manual_seed(1)
    for name, p in unet.named_parameters():
        if "lora_" in name:
            p.data = 0.3 * torch.randn(p.shape, generator=g)
    StableDiffusionLoraLoaderMixin.save_lora_weights(
        folder,
        unet_lora_layers=get_peft_model_state_dict(unet),
        unet_lora_adapter_metadata=unet.peft_config["default"].to_dict(),
    )
    return folder / "pytorch_lora_weights.safetensors", predicted(unet)


@pytest.mark.parametrize(("alpha", "targets"), [(4, ("to_q", "to_k", "to_v", "to_out.0")), (9, ("to_q", "to_v"))])
def test_diffusers_files_paint_the_same_here(alpha: float, targets: tuple[str, ...], tmp_path: Path) -> None:
    file, expected = by_diffusers(tmp_path, alpha=alpha, targets=targets)
    assert lora.about(file).rank == 4 and not torch.allclose(predicted(network()), expected, atol=1e-2)
    assert torch.allclose(as_ours(file), expected, atol=1e-5)


def test_what_was_learned_here_paints_the_same_in_diffusers(tmp_path: Path) -> None:
    from diffusers import StableDiffusionPipeline

    unet = network()
    ours = Adapters(unet, tokens=(tiny_sd.TOKENS, tiny_sd.WIDTH))
    ours.add("lora", rank=3)
    for n, p in enumerate(ours.parameters()):
        p.data += 0.2 * torch.randn(p.shape, generator=torch.Generator().manual_seed(n))
    file = tmp_path / "learned.safetensors"
    file.write_bytes(lora.encoded(ours.state(), {"learned": {"base_model": "stable_diffusion@0"}}))
    theirs, _, vae, text = tiny_sd.models()
    parts = {"unet": theirs, "vae": vae, "text_encoder": text, "tokenizer": tiny_sd.tokenizer(), "scheduler": tiny_sd.scheduler()}
    pipeline = StableDiffusionPipeline(**parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    pipeline.load_lora_weights(str(tmp_path), weight_name=file.name)
    assert torch.allclose(predicted(theirs), predicted(unet), atol=1e-6)
    assert torch.allclose(as_ours(file), predicted(unet), atol=1e-6)


def rewritten(file: Path, naming: str) -> Path:
    """The same LoRA under other programs' names, with alpha where they keep one."""
    out: dict[str, Tensor] = {}
    for name, tensor in load_file(file).items():
        layer, _, half = name.removeprefix("unet.").removesuffix(".weight").rpartition(".")
        way = {"lora_A": "down", "lora_B": "up"}[half]
        if naming == "processor":
            attention, _, part = layer.replace("to_out.0", "to_out").rpartition(".")
            out[f"unet.{attention}.processor.{part}_lora.{way}.weight"] = tensor
        elif naming == "linear":
            out[f"unet.{layer}.lora.{way}.weight"] = tensor
        else:
            joined = "lora_unet_" + layer.replace(".", "_")
            out |= {f"{joined}.lora_{way}.weight": tensor, f"{joined}.alpha": torch.tensor(6.0)}
    other = file.with_name(f"{naming}.safetensors")
    save_file(out, other)
    return other


def test_names_of_older_and_other_programs_are_understood(tmp_path: Path) -> None:
    file, expected = by_diffusers(tmp_path)
    for naming in ("processor", "linear"):
        assert torch.allclose(as_ours(rewritten(file, naming)), expected, atol=1e-6), naming
    stronger, with_alpha = by_diffusers(tmp_path / "six", alpha=6)
    assert torch.allclose(as_ours(rewritten(stronger, "joined")), with_alpha, atol=1e-5)


def test_layers_of_smaller_rank_are_filled_up(tmp_path: Path) -> None:
    file, _ = by_diffusers(tmp_path)
    state, name = load_file(file), f"unet.{LAYER}.to_q.lora_"
    down, up = (state[f"{name}{half}.weight"] for half in "AB")
    state |= {f"{name}A.weight": down[:1], f"{name}B.weight": up[:, :1].contiguous()}
    other = tmp_path / "other.safetensors"
    save_file(state, other)
    found = lora.read(other)[0]
    assert lora.about(other).rank == 4 and found[f"{name}A.weight"].shape[0] == 4
    before, after = (s[f"{name}B.weight"] @ s[f"{name}A.weight"] for s in (state, found))
    assert torch.allclose(before, after, atol=1e-6)


def test_what_the_studio_has_no_place_for_is_named(tmp_path: Path) -> None:
    file, _ = by_diffusers(tmp_path)
    state = load_file(file)
    for strange in (
        "unet.conv_in.lora_A.weight",
        "text_encoder.encoder.layers.0.self_attn.q_proj.lora_A.weight",
        "lora_te_x.alpha",
    ):
        shape = (2, 4, 3, 3) if "conv" in strange else (2, 8)
        save_file({**state, strange: torch.zeros(shape)}, tmp_path / "x.safetensors")
        with pytest.raises(StudioError, match="more than the UNet's attention"):
            lora.read(tmp_path / "x.safetensors")


def test_scales_of_nonsense_count_as_none() -> None:
    pair = {f"{LAYER}.to_q.lora_A.weight": torch.ones(2, 3), f"{LAYER}.to_q.lora_B.weight": torch.ones(3, 2)}
    for told in ('{"unet.lora_alpha": "x"}', '{"unet.lora_alpha": 1e999}', "[1]", "{", '{"unet.alpha_pattern": 3}'):
        found = interchange.converted(pair, {interchange.TOLD: told})
        assert torch.equal(found[f"unet.{LAYER}.to_q.lora_B.weight"], torch.ones(3, 2))
    told = json.dumps({"unet.lora_alpha": 8, "unet.use_rslora": True, "unet.alpha_pattern": {"attn1.to_k": 2}})
    found = interchange.converted(pair, {interchange.TOLD: told})
    assert torch.allclose(found[f"unet.{LAYER}.to_q.lora_B.weight"], torch.full((3, 2), 8 / 2**0.5))
