"""Synthetic files with all the names and shapes of published ones load as they are: nothing missing, nothing left over."""

from __future__ import annotations

import functools
import json
import math
import struct
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from studio.critics import _blip, _clip, _open_clip
from studio.errors import StudioError
from studio.generators import _sd_published
from studio.generators._sd_parts import Folder, Parts, SingleFile
from tests.published import Shapes, manifest

published = functools.cache(manifest)
VERSIONS = {"sd15": _sd_published.ONE, "sd2": _sd_published.TWO}
CLIPS = {
    "clip_score": {"text": (768, 12, 12), "vision": (1024, 24, 16), "shared": 768},
    "pickscore": {"text": (1024, 24, 16), "vision": (1280, 32, 16), "shared": 1024},
}


def hollow(path: Path, shapes: Shapes) -> Path:
    """A safetensors file in half precision, all zeros, which takes no room on disk."""
    head, end = {}, 0
    for name, shape in shapes.items():
        size = 2 * math.prod(shape)
        head[name] = {"dtype": "F16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(head).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return path


def zeros(shapes: Shapes) -> dict[str, Tensor]:
    """The same in memory, one number for each tensor."""
    return {name: torch.zeros((), dtype=torch.float16).expand(shape) for name, shape in shapes.items()}


def complete(model: nn.Module) -> bool:
    return not any(t.is_meta for t in [*model.parameters(), *model.buffers()])


def kinds() -> dict[str, type]:
    from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
    from transformers import CLIPTextModel

    return {"unet": UNet2DConditionModel, "vae": AutoencoderKL, "text_encoder": CLIPTextModel, "controlnet": ControlNetModel}


@pytest.mark.parametrize(("version", "part"), [("sd15", p) for p in ("unet", "vae", "text_encoder", "controlnet")])
def test_every_part_of_stable_diffusion_loads(version: str, part: str, tmp_path: Path) -> None:
    name = "model" if part == "text_encoder" else "diffusion_pytorch_model"
    hollow(tmp_path / part / f"{name}.fp16.safetensors", published()[f"{version}/{part}"])
    (tmp_path / part / "config.json").write_text(json.dumps(VERSIONS[version][part]))
    model = Folder(tmp_path).made(part, kinds()[part])
    assert complete(model)
    if part == "unet":
        assert sum(p.numel() for p in model.parameters()) == {"sd15": 859_520_964, "sd2": 865_910_724}[version]


@pytest.mark.long
@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "controlnet"])
def test_every_part_of_stable_diffusion_2_loads(part: str, tmp_path: Path) -> None:
    test_every_part_of_stable_diffusion_loads("sd2", part, tmp_path)


@pytest.mark.long
def test_the_depth_aware_inpainting_controlnet_loads(tmp_path: Path) -> None:
    hollow(tmp_path / "diffusion_pytorch_model.safetensors", published()["inpaint/controlnet"])
    (tmp_path / "config.json").write_text(json.dumps({**_sd_published.ONE["controlnet"], "conditioning_channels": 6}))
    assert complete(Folder(tmp_path, only="controlnet").made("controlnet", kinds()["controlnet"]))


@pytest.mark.long
def test_a_single_file_loads_whole(tmp_path: Path) -> None:
    """Stable Diffusion 1.5 in CompVis' layout; the noise schedule that such files also hold is left out."""
    parts: Parts = SingleFile(hollow(tmp_path / "v1-5-pruned-emaonly.safetensors", published()["sd15.safetensors"]))
    for part in ("unet", "vae", "text_encoder"):
        assert complete(parts.made(part, kinds()[part])), part
    assert not parts.has("controlnet") and len(parts.tokenizer()) == 49408


def clip_config(folder: Path, name: str) -> Path:
    from transformers import CLIPConfig

    told = CLIPS[name]
    towers = {}
    for tower, more in (("text", {"max_position_embeddings": 77}), ("vision", {"patch_size": 14, "image_size": 224})):
        width, layers, heads = told[tower]
        sizes = {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers}
        towers[f"{tower}_config"] = {**sizes, "num_attention_heads": heads, "projection_dim": told["shared"], **more}
    CLIPConfig(**towers, projection_dim=told["shared"]).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", ["clip_score", pytest.param("pickscore", marks=pytest.mark.long)])
def test_published_clips_load(name: str, tmp_path: Path) -> None:
    hollow(tmp_path / "model.safetensors", published()[name])
    assert complete(_clip.clip_in(clip_config(tmp_path, name)))


@pytest.mark.long
def test_the_human_preference_score_loads(tmp_path: Path) -> None:
    file = tmp_path / "HPS_v2.1_compressed.pt"
    torch.save({"epoch": 1, "name": "x", "state_dict": zeros(published()["hps"])}, file)
    assert file.stat().st_size < 2_000_000
    model = _clip.clip_in(clip_config(tmp_path, "pickscore"), _open_clip.renamed(_clip.state_in(file)), file)
    assert complete(model)


def test_the_aesthetic_head_loads(tmp_path: Path) -> None:
    file = tmp_path / "sac+logos+ava1-l14-linearMSE.pth"
    torch.save(zeros(published()["aesthetic"]), file)
    head = _clip.Head(768)
    _clip.filled(head, _clip.state_in(file), file)
    assert head.layers["7"].weight.shape == (1, 16)


@pytest.mark.long
def test_image_reward_loads(tmp_path: Path) -> None:
    torch.save(zeros(published()["image_reward"]), tmp_path / "ImageReward.pt")
    bert = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    (tmp_path / "med_config.json").write_text(json.dumps({**bert, "max_position_embeddings": 512, "layer_norm_eps": 1e-12}))
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red"]) + "\n")
    eye = _blip.load(str(tmp_path))
    assert complete(eye.network) and eye.px == 224


def test_one_name_more_or_less_is_noticed(tmp_path: Path) -> None:
    file, state = tmp_path / "x.pth", zeros(published()["aesthetic"])
    for wrong in ({**state, "layers.9.bias": torch.zeros(1)}, dict(list(state.items())[1:])):
        torch.save(wrong, file)
        with pytest.raises(StudioError, match="another model: 1 of 10"):
            _clip.filled(_clip.Head(768), _clip.state_in(file), file)
