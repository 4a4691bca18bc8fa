"""Names and shapes of the tensors in published files, written down from how their authors' classes are built.

`python -m tests.published` writes `tests/data/published.json.gz`; the tests make synthetic files of it. Diffusers' and
transformers' own classes give the names of their layouts, on torch's meta device; other layouts are spelt out here.
"""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

FILE = Path(__file__).parent / "data" / "published.json.gz"
Shapes = dict[str, list[int]]


def manifest() -> dict[str, Shapes]:
    """By file: the shape of every tensor in it."""
    return json.loads(gzip.decompress(FILE.read_bytes()))


def write() -> None:
    from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
    from transformers import CLIPTextModel

    from studio.generators import _sd_published as published

    found: dict[str, Shapes] = {}
    for name, version in (("sd15", published.ONE), ("sd2", published.TWO)):
        found[f"{name}/unet"] = _shapes(UNet2DConditionModel, version["unet"])
        text = _shapes(CLIPTextModel, version["text_encoder"])
        text = {f"text_model.{n.removeprefix('text_model.')}": shape for n, shape in text.items()}
        found[f"{name}/text_encoder"] = {"text_model.embeddings.position_ids": [1, 77], **text}
        found[f"{name}/controlnet"] = _shapes(ControlNetModel, version["controlnet"])
    found["inpaint/controlnet"] = _shapes(ControlNetModel, {**published.ONE["controlnet"], "conditioning_channels": 6})
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    vae = _shapes(AutoencoderKL, published.ONE["vae"])
    for new, before in old.items():
        vae = {n.replace(f".attentions.0.{new}.", f".attentions.0.{before}."): shape for n, shape in vae.items()}
    found["sd15/vae"] = found["sd2/vae"] = vae
    found["sd15.safetensors"] = _single(found)
    found["clip_score"] = _transformers_clip(768, 12, 1024, 24, 4, 768)
    found["pickscore"] = _transformers_clip(1024, 24, 1280, 32, 4, 1024)
    found["hps"] = _open_clip(1024, 24, 1280, 32, 1024)
    found["aesthetic"] = _head("layers", 768)
    found["image_reward"] = _image_reward()
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_bytes(gzip.compress(json.dumps(found).encode(), 9, mtime=0))


def _shapes(kind: type, config: dict) -> Shapes:
    import torch
    from transformers import CLIPTextConfig, PreTrainedModel

    with torch.device("meta"):
        model = kind(CLIPTextConfig(**config)) if issubclass(kind, PreTrainedModel) else kind.from_config(config)
    return {name: list(t.shape) for name, t in model.state_dict().items()}


# -- CompVis' latent-diffusion, in one file -------------------------------------------------------------


def _single(found: dict[str, Shapes]) -> Shapes:
    out = {f"model.diffusion_model.{_ldm(n)}": shape for n, shape in found["sd15/unet"].items()}
    for n, shape in found["sd15/vae"].items():
        whole = "attentions" in n and n.endswith("weight") and "group_norm" not in n
        out[f"first_stage_model.{_ldm_vae(n)}"] = [*shape, 1, 1] if whole else shape
    out |= {f"cond_stage_model.transformer.{n}": shape for n, shape in found["sd15/text_encoder"].items()}
    schedule = ("betas", "alphas_cumprod", "sqrt_alphas_cumprod")
    return out | {name: [1000] for name in schedule} | {"model_ema.decay": []}


RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
ENDS = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0", "conv_out": "out.2",
}  # fmt: skip


def _ldm(name: str) -> str:
    """A layer of the UNet: three input blocks for each level (two with attention, and what halves), three output blocks."""
    base, kind = name.rsplit(".", 1)
    if base in ENDS:
        return f"{ENDS[base]}.{kind}"
    if m := re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d)\.(.+)", base):
        place, rest = (1 if m[1] == "attentions" else 2 * int(m[2])), m[3]
        return f"middle_block.{place}.{RESNET.get(rest, rest)}.{kind}"
    m = re.fullmatch(r"(down|up)_blocks\.(\d)\.(resnets|attentions|downsamplers|upsamplers)\.(\d)\.(.+)", base)
    assert m, name
    way, level, what, number, rest = m[1], int(m[2]), m[3], int(m[4]), m[5]
    if what == "downsamplers":
        return f"input_blocks.{3 * level + 3}.0.op.{kind}"
    if what == "upsamplers":
        return f"output_blocks.{3 * level + 2}.{1 if level == 0 else 2}.conv.{kind}"
    block = f"input_blocks.{3 * level + number + 1}" if way == "down" else f"output_blocks.{3 * level + number}"
    return f"{block}.{int(what == 'attentions')}.{RESNET.get(rest, rest)}.{kind}"


def _ldm_vae(name: str) -> str:
    """A layer of the autoencoder; its decoder's levels are counted from the output."""
    name = name.replace("mid_block.resnets.0", "mid.block_1").replace("mid_block.resnets.1", "mid.block_2")
    name = name.replace("mid_block.attentions.0", "mid.attn_1").replace("conv_norm_out", "norm_out")
    name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0\.conv", r"down.\1.downsample.conv", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{3 - int(m[1])}.block.{m[2]}", name)
    name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0\.conv", lambda m: f"up.{3 - int(m[1])}.upsample.conv", name)
    for ours, theirs in (("group_norm", "norm"), ("query", "q"), ("key", "k"), ("value", "v"), ("proj_attn", "proj_out")):
        name = name.replace(f"attn_1.{ours}.", f"attn_1.{theirs}.")
    return name.replace("conv_shortcut", "nin_shortcut")


# -- critics --------------------------------------------------------------------------------------------


def _linear(name: str, enter: int, leave: int) -> Shapes:
    return {f"{name}.weight": [leave, enter], f"{name}.bias": [leave]}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": [width], f"{name}.bias": [width]}


def _transformers_clip(text: int, text_layers: int, see: int, see_layers: int, wider: int, shared: int) -> Shapes:
    patch = 14
    out: Shapes = {
        "logit_scale": [],
        "text_projection.weight": [shared, text],
        "visual_projection.weight": [shared, see],
        "text_model.embeddings.position_ids": [1, 77],
        "text_model.embeddings.token_embedding.weight": [49408, text],
        "text_model.embeddings.position_embedding.weight": [77, text],
        "vision_model.embeddings.position_ids": [1, 257],
        "vision_model.embeddings.class_embedding": [see],
        "vision_model.embeddings.patch_embedding.weight": [see, 3, patch, patch],
        "vision_model.embeddings.position_embedding.weight": [257, see],
        **_norm("text_model.final_layer_norm", text),
        **_norm("vision_model.pre_layrnorm", see),
        **_norm("vision_model.post_layernorm", see),
    }
    for tower, width, layers in (("text_model", text, text_layers), ("vision_model", see, see_layers)):
        for i in range(layers):
            at = f"{tower}.encoder.layers.{i}"
            for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                out |= _linear(f"{at}.self_attn.{part}", width, width)
            out |= _norm(f"{at}.layer_norm1", width) | _norm(f"{at}.layer_norm2", width)
            out |= _linear(f"{at}.mlp.fc1", width, wider * width) | _linear(f"{at}.mlp.fc2", wider * width, width)
    return out


def _open_clip(text: int, text_layers: int, see: int, see_layers: int, shared: int) -> Shapes:
    out: Shapes = {
        "positional_embedding": [77, text],
        "text_projection": [text, shared],
        "logit_scale": [],
        "token_embedding.weight": [49408, text],
        "visual.class_embedding": [see],
        "visual.positional_embedding": [257, see],
        "visual.proj": [see, shared],
        "visual.conv1.weight": [see, 3, 14, 14],
        **_norm("visual.ln_pre", see),
        **_norm("visual.ln_post", see),
        **_norm("ln_final", text),
    }
    for tower, width, layers in (("", text, text_layers), ("visual.", see, see_layers)):
        for i in range(layers):
            at = f"{tower}transformer.resblocks.{i}"
            out |= {f"{at}.attn.in_proj_weight": [3 * width, width], f"{at}.attn.in_proj_bias": [3 * width]}
            out |= _linear(f"{at}.attn.out_proj", width, width) | _norm(f"{at}.ln_1", width) | _norm(f"{at}.ln_2", width)
            out |= _linear(f"{at}.mlp.c_fc", width, 4 * width) | _linear(f"{at}.mlp.c_proj", 4 * width, width)
    return out


def _head(name: str, width: int) -> Shapes:
    """Dropout takes the numbers in between."""
    sizes = {0: (width, 1024), 2: (1024, 128), 4: (128, 64), 6: (64, 16), 7: (16, 1)}
    return {n: shape for i, size in sizes.items() for n, shape in _linear(f"{name}.{i}", *size).items()}


def _image_reward() -> Shapes:
    """BLIP with ViT-L/16 and BERT-base, each layer of which also attends to the picture; its vocabulary has two words more."""
    see, text, words = 1024, 768, 30524
    eye, reader = "blip.visual_encoder", "blip.text_encoder"
    out: Shapes = {
        f"{eye}.cls_token": [1, 1, see],
        f"{eye}.pos_embed": [1, 197, see],
        f"{eye}.patch_embed.proj.weight": [see, 3, 16, 16],
        f"{eye}.patch_embed.proj.bias": [see],
        **_norm(f"{eye}.norm", see),
        f"{reader}.embeddings.position_ids": [1, 512],
        f"{reader}.embeddings.word_embeddings.weight": [words, text],
        f"{reader}.embeddings.position_embeddings.weight": [512, text],
        **_norm(f"{reader}.embeddings.LayerNorm", text),
        **_linear("blip.vision_proj", see, 256),
        **_linear("blip.text_proj", text, 256),
        **_head("mlp.layers", text),
    }
    for i in range(24):
        at = f"{eye}.blocks.{i}"
        out |= _norm(f"{at}.norm1", see) | _norm(f"{at}.norm2", see)
        out |= _linear(f"{at}.attn.qkv", see, 3 * see) | _linear(f"{at}.attn.proj", see, see)
        out |= _linear(f"{at}.mlp.fc1", see, 4 * see) | _linear(f"{at}.mlp.fc2", 4 * see, see)
    for i in range(12):
        at = f"{reader}.encoder.layer.{i}"
        for attention, enter in (("attention", text), ("crossattention", see)):
            out |= _linear(f"{at}.{attention}.self.query", text, text)
            out |= _linear(f"{at}.{attention}.self.key", enter, text) | _linear(f"{at}.{attention}.self.value", enter, text)
            out |= _linear(f"{at}.{attention}.output.dense", text, text) | _norm(f"{at}.{attention}.output.LayerNorm", text)
        out |= _linear(f"{at}.intermediate.dense", text, 4 * text) | _linear(f"{at}.output.dense", 4 * text, text)
        out |= _norm(f"{at}.output.LayerNorm", text)
    return out


if __name__ == "__main__":
    write()
