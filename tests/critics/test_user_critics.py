"""Critics that people bring themselves: small random models of the real classes, in folders laid out as published."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from studio.critics import SOCKET, Eye, _blip, _clip, _open_clip, shared
from studio.errors import StudioError

CPU = torch.device("cpu")
PROMPT = "red vase"
LETTERS = [chr(c) for c in range(ord("a"), ord("z") + 1)]
PICTURES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def clip_folder(folder: Path) -> Path:
    """A CLIP of two layers with a tokenizer that knows letters."""
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    words = [*LETTERS, *(c + "</w>" for c in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    CLIPTokenizer(vocab={w: i for i, w in enumerate(words)}, merges=[]).save_pretrained(folder)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "projection_dim": 16}
    text = {**sizes, "vocab_size": len(words), "max_position_embeddings": 12, "bos_token_id": len(words) - 2}
    text |= {"eos_token_id": len(words) - 1, "pad_token_id": len(words) - 1}
    torch.manual_seed(0)
    config = CLIPConfig(text_config=text, vision_config={**sizes, "image_size": 32, "patch_size": 8}, projection_dim=16)
    CLIPModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = clip_folder(tmp_path_factory.mktemp("clip"))
    head = _clip.Head(16)
    torch.save(head.state_dict(), folder / "sac+logos+ava1-l14-linearMSE.pth")
    torch.save({"state_dict": in_open_clip(_clip.clip_in(folder).state_dict())}, folder / "HPS_v2.1_compressed.pt")
    return folder


def in_open_clip(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A CLIP's tensors under OpenCLIP's names."""
    whole, norms = ({b: a for a, b in t.items()} for t in (_open_clip.WHOLE, _open_clip.NORMS))
    turned, parts = ({b: a for a, b in t.items()} for t in (_open_clip.TURNED, _open_clip.PARTS))
    out: dict[str, Tensor] = {}
    for name, tensor in state.items():
        base, _, kind = name.rpartition(".")
        if name in whole:
            out[whole[name]] = tensor
        elif name in turned:
            out[turned[name]] = tensor.T
        elif base in norms:
            out[f"{norms[base]}.{kind}"] = tensor
        elif found := re.fullmatch(r"(vision|text)_model\.encoder\.layers\.(\d+)\.(.+)", base):
            which, number, part = found.groups()
            layer = f"{'visual.' if which == 'vision' else ''}transformer.resblocks.{number}"
            if part == "self_attn.q_proj":
                joined = [state[f"{base[: -len('q_proj')]}{letter}_proj.{kind}"] for letter in "qkv"]
                out[f"{layer}.attn.in_proj_{kind}"] = torch.cat(joined)
            elif part in parts:
                out[f"{layer}.{parts[part]}.{kind}"] = tensor
    return out


def built(name: str, folder: Path) -> Eye:
    return SOCKET.make(name, path=str(folder)).build(device=CPU)


def published(folder: Path) -> tuple[Tensor, Tensor]:
    """Cosines and logits of the pictures and PROMPT by the model's own forward pass."""
    model, tokenizer = _clip.clip_in(folder).eval(), _clip.tokenizer_in(folder)
    told = tokenizer(PROMPT, return_tensors="pt")
    pixels = _clip.prepared(PICTURES, 32, torch.float32)
    with torch.no_grad():
        logits = model(**{k: told[k] for k in ("input_ids", "attention_mask")}, pixel_values=pixels).logits_per_image[:, 0]
    return logits / model.logit_scale.exp(), logits


@pytest.mark.parametrize("name", ["clip_score", "pickscore", "hps"])
def test_scores_are_those_of_the_published_model(name: str, clip: Path) -> None:
    cosine, logits = published(clip)
    eye = built(name, clip)
    assert torch.allclose(eye.score(PICTURES, PROMPT), logits if name == "pickscore" else cosine, atol=1e-5)
    assert eye.px == 32 and eye.words("red vase").known == ("red", "vase") and not eye.words(" ").known


@pytest.mark.parametrize("name", ["demo.jpg", "gallery.jpg"])
def test_pictures_are_prepared_as_published(name: str) -> None:
    """On real pictures, as CLIP's own processor has them, but for what lies beyond black and white at sharp edges, which it cuts
    off and a gradient needs."""
    from PIL import Image
    from transformers import CLIPImageProcessor

    picture = Image.open(Path(__file__).parents[2] / "docs" / name).convert("RGB")
    side = min(picture.size)
    picture = picture.crop((0, 0, side, side))
    theirs = torch.as_tensor(CLIPImageProcessor()(picture, return_tensors="pt")["pixel_values"])
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(1, side, side, 3).movedim(-1, 1) / 255
    apart = ((_clip.prepared(pixels, 224, torch.float32) - theirs) * torch.tensor(_clip.STD).view(1, 3, 1, 1)).abs()
    assert apart.mean() < 2e-3 and (apart < 1e-2).float().mean() > 0.999


def test_an_openclip_checkpoint_comes_back_name_by_name(clip: Path) -> None:
    state = _clip.clip_in(clip).state_dict()
    again = _open_clip.renamed(in_open_clip(state))
    assert set(again) == {n for n in state if not n.endswith("position_ids")}
    assert all(torch.equal(again[n], state[n]) for n in again)


def test_the_head_rates_the_features(clip: Path) -> None:
    eye = built("aesthetic", clip)
    x = eye.features(PICTURES)
    assert torch.allclose(x.norm(dim=1), torch.ones(2), atol=1e-5)
    state = torch.load(clip / "sac+logos+ava1-l14-linearMSE.pth", weights_only=True)
    for n in ("0", "2", "4", "6", "7"):
        x = x @ state[f"layers.{n}.weight"].T + state[f"layers.{n}.bias"]
    assert torch.allclose(eye.quality(PICTURES), x[:, 0], atol=1e-5)


BERT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "encoder_width": 64}


@pytest.fixture(scope="module")
def image_reward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BLIP in its own names: a picture encoder of two layers, a text encoder of two, the head; and a tensor of another task."""
    folder = tmp_path_factory.mktemp("image_reward")
    torch.manual_seed(0)
    w, made = 64, {}

    def linear(name: str, enter: int, leave: int) -> None:
        made[f"{name}.weight"], made[f"{name}.bias"] = 0.2 * torch.randn(leave, enter), 0.1 * torch.randn(leave)

    def norm(name: str, width: int) -> None:
        made[f"{name}.weight"], made[f"{name}.bias"] = 1 + 0.1 * torch.randn(width), 0.1 * torch.randn(width)

    see, read = "blip.visual_encoder", "blip.text_encoder"
    made[f"{see}.cls_token"], made[f"{see}.pos_embed"] = torch.randn(1, 1, w), torch.randn(1, 17, w)
    made[f"{see}.patch_embed.proj.weight"], made[f"{see}.patch_embed.proj.bias"] = 0.1 * torch.randn(w, 3, 8, 8), torch.zeros(w)
    norm(f"{see}.norm", w)
    for i in range(2):
        norm(f"{see}.blocks.{i}.norm1", w)
        norm(f"{see}.blocks.{i}.norm2", w)
        linear(f"{see}.blocks.{i}.attn.qkv", w, 3 * w)
        linear(f"{see}.blocks.{i}.attn.proj", w, w)
        linear(f"{see}.blocks.{i}.mlp.fc1", w, 2 * w)
        linear(f"{see}.blocks.{i}.mlp.fc2", 2 * w, w)
        layer = f"{read}.encoder.layer.{i}"
        for attention, enter in (("attention", 32), ("crossattention", w)):
            linear(f"{layer}.{attention}.self.query", 32, 32)
            linear(f"{layer}.{attention}.self.key", enter, 32)
            linear(f"{layer}.{attention}.self.value", enter, 32)
            linear(f"{layer}.{attention}.output.dense", 32, 32)
            norm(f"{layer}.{attention}.output.LayerNorm", 32)
        linear(f"{layer}.intermediate.dense", 32, 64)
        linear(f"{layer}.output.dense", 64, 32)
        norm(f"{layer}.output.LayerNorm", 32)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "vase", "blue"]
    made[f"{read}.embeddings.word_embeddings.weight"] = torch.randn(len(words) + 2, 32)
    made[f"{read}.embeddings.position_embeddings.weight"] = torch.randn(512, 32)
    norm(f"{read}.embeddings.LayerNorm", 32)
    made["blip.vision_proj.weight"] = torch.randn(8, w)
    for n, (enter, leave) in {"0": (32, 1024), "2": (1024, 128), "4": (128, 64), "6": (64, 16), "7": (16, 1)}.items():
        linear(f"mlp.layers.{n}", enter, leave)
    torch.save(made, folder / "ImageReward.pt")
    (folder / "med_config.json").write_text(json.dumps(BERT))
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    return folder


def test_image_reward_reads_while_it_looks(image_reward: Path) -> None:
    eye = built("image_reward", image_reward)
    assert eye.px == 32 and isinstance(eye, _blip.BlipEye)
    one, other = eye.score(PICTURES, "red vase"), eye.score(PICTURES, "blue vase")
    assert one.shape == (2,) and not torch.allclose(one, other) and not torch.allclose(one[0], one[1])
    assert torch.allclose(eye.score(PICTURES[1:], "red vase"), one[1:], atol=1e-4)
    tokens = eye.tokenizer("red vase")["input_ids"]
    assert tokens == [2, 5, 6, 3]
    short = eye.network(_clip.prepared(PICTURES, 32, torch.float32), torch.tensor([tokens]), torch.ones(1, 4, dtype=torch.long))
    assert torch.allclose(short, one, atol=1e-4)  # padding is not read


@pytest.mark.parametrize("name", ["clip_score", "pickscore", "hps", "aesthetic", "image_reward"])
def test_every_critic_is_differentiable_and_refuses_what_it_cannot_tell(name: str, clip: Path, image_reward: Path) -> None:
    plug = SOCKET.make(name, path=str(image_reward if name == "image_reward" else clip))
    eye = shared(plug, CPU)
    assert shared(plug, CPU) is eye
    pictures = PICTURES.clone().requires_grad_()
    value = eye.score(pictures, PROMPT) if "score" in plug.opinions else eye.quality(pictures)
    (g,) = torch.autograd.grad(value[1], pictures)
    assert g[1].abs().max() > 0 == g[0].abs().max() and torch.isfinite(g).all()
    assert torch.allclose(eye.features(PICTURES).norm(dim=1), torch.ones(2), atol=1e-5)
    if "quality" not in plug.opinions:
        with pytest.raises(StudioError, match="cannot tell how good"):
            eye.quality(PICTURES)
    with pytest.raises(TypeError, match="critic"):
        eye.features(PICTURES[..., :32, :32])


@pytest.mark.parametrize("name", ["clip_score", "pickscore", "hps", "aesthetic", "image_reward"])
def test_missing_and_damaged_files_are_one_sentence(name: str, clip: Path, image_reward: Path, tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="no folder"):
        built(name, tmp_path / "nowhere")
    with pytest.raises(StudioError, match="lacks"):
        built(name, tmp_path)
    for file in (image_reward if name == "image_reward" else clip).iterdir():
        damaged = file.suffix in (".safetensors", ".pt", ".pth")
        (tmp_path / file.name).write_bytes(file.read_bytes()[:100] if damaged else file.read_bytes())
    with pytest.raises(StudioError, match="cannot be (read|used)"):
        built(name, tmp_path)


def test_another_models_weights_are_refused(clip: Path, tmp_path: Path) -> None:
    for file in clip.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save({"layers.0.weight": torch.zeros(3, 3)}, tmp_path / "sac+logos+ava1-l14-linearMSE.pth")
    with pytest.raises(StudioError, match="another model: 10 of 10"):
        built("aesthetic", tmp_path)
