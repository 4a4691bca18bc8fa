"""Files that `stable_diffusion` is given: as diffusers saves them, in one file, and as nobody should give them."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from studio.__main__ import main
from studio.errors import StudioError
from studio.generators import SOCKET, _sd_published
from studio.generators._sd_parts import SingleFile
from studio.generators._sd_text import published_tokenizer
from studio.surface.mesh import load
from tests.generators import tiny_sd
from tests.generators.test_stable_diffusion import scene_of
from tests.meshes import cube

CPU = torch.device("cpu")
QUICK = 'atlas_px = 256\nviews = 2\nmax_views = 2\ndevice = "cpu"\nrenderer = "embree"\nheld_out = 0\njudge_every = 0\n'


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_sd.save(tmp_path_factory.mktemp("sd") / "whole")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy to be spoilt."""
    return Path(shutil.copytree(whole, tmp_path / "model"))


def built(folder: Path | str, **settings):
    return SOCKET.make("stable_diffusion", model=str(folder), steps=2, **settings).build(device=CPU)


def looked(painter) -> torch.Tensor:
    scene, _ = scene_of(painter)
    with torch.no_grad():
        return painter.predict(torch.ones(3, 4, 16, 16), 0, scene)


def weights(folder: Path, part: str = "unet") -> Path:
    return folder / part / "diffusion_pytorch_model.safetensors"


# -- what works -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["synchronised", "sequential"])
def test_bake_paints_and_learns_with_a_saved_folder(
    mode: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mesh, out, preset = tmp_path / "cube.glb", tmp_path / "x.glb", tmp_path / "quick.toml"
    from studio.exporters import SOCKET as EXPORTERS
    from studio.exporters import Asset
    from studio.texture import Texture

    box = cube()
    EXPORTERS.make("glb").write(Asset(box, Texture.flat(box, 32), {}), mesh)
    preset.write_text(QUICK + f'[generator]\nname = "stable_diffusion"\nsteps = 2\nmode = "{mode}"\nthrough_views = true\n')
    more = ["--preset", str(preset), "--model", str(folder), "--trainer", "lora_reward", "--iterations", "1"]
    report = tmp_path / "r.json"
    command = ["bake", str(mesh), "red", "--out", str(out), "--reward", "detail=1", "--report", str(report), *more]
    assert main(command) == 0, capsys.readouterr().err
    assert load(out).faces.shape == box.faces.shape
    assert str(folder.parent) not in out.read_bytes().decode("latin-1")
    assert json.loads(report.read_text(encoding="utf-8"))["painted"] == ["base_color"]


def test_a_model_and_its_control_may_lie_apart_under_every_published_layout(folder: Path, tmp_path: Path) -> None:
    painter = built(folder)
    assert SOCKET.make("stable_diffusion", model=str(folder)).side_px() == painter.view_px == 32
    expected = looked(painter)
    control = Path(shutil.move(folder / "controlnet", tmp_path / "control"))
    assert torch.equal(looked(built(folder, control=str(control))), expected)
    # Half precision in files called so, in shards, and as torch saves tensors.
    whole = load_file(weights(folder, "vae"))
    save_file(whole, weights(folder, "vae").with_suffix(".fp16.safetensors"))
    weights(folder, "vae").unlink()
    state = load_file(weights(folder))
    names = sorted(state)
    parts = {"a.safetensors": names[:9], "b.safetensors": names[9:]}
    for file, part in parts.items():
        save_file({n: state[n] for n in part}, folder / "unet" / file)
    index = {"weight_map": {n: file for file, part in parts.items() for n in part}}
    weights(folder).unlink()
    (folder / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    text = load_file(folder / "text_encoder" / "model.safetensors")
    older = {f"text_model.{n}": t for n, t in text.items()} | {"text_model.embeddings.position_ids": torch.arange(16)[None]}
    torch.save(older, folder / "text_encoder" / "pytorch_model.bin")
    (folder / "text_encoder" / "model.safetensors").unlink()
    assert torch.equal(looked(built(folder, control=str(control))), expected)


def test_autoencoders_of_older_files_are_understood(folder: Path) -> None:
    state, names = load_file(weights(folder, "vae")), {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    expected = built(folder).vae.state_dict()
    older = {}
    for name, tensor in state.items():
        for new, old in names.items():
            name = name.replace(f".attentions.0.{new}.", f".attentions.0.{old}.")
        older[name] = tensor
    assert set(older) != set(state)
    save_file(older, weights(folder, "vae"))
    found = built(folder).vae.state_dict()
    assert all(torch.equal(found[n], t) for n, t in expected.items())


def test_fetched_models_are_found_by_name(folder: Path, own_home: Path) -> None:
    from studio import resources

    expected = looked(built(folder))
    resources.models_dir().mkdir(parents=True)
    try:
        shutil.move(folder, resources.models_dir() / "sd15")
        assert torch.equal(looked(SOCKET.make("stable_diffusion", steps=2).build(device=CPU)), expected)
    finally:
        shutil.rmtree(resources.models_dir())


def test_the_bundled_tokenizer_is_clips() -> None:
    """Tokens of well-known words, and of what is none, as published with CLIP."""
    tokenizer = published_tokenizer("<|endoftext|>")
    assert len(tokenizer) == 49408
    assert tokenizer("a photo of a cat")["input_ids"] == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert tokenizer("a cat", padding="max_length", max_length=6)["input_ids"] == [49406, 320, 2368, 49407, 49407, 49407]
    assert published_tokenizer("!")("cat", padding="max_length", max_length=4)["input_ids"] == [49406, 2368, 49407, 0]
    assert tokenizer.decode(tokenizer("Größe, 12!")["input_ids"], skip_special_tokens=True).strip() == "größe , 1 2 !"


# -- what is refused ------------------------------------------------------------------------------------------------------------


class Malice:
    """Unpickled, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.write_text, (self.path, "owned"))


def truncated(folder: Path) -> None:
    weights(folder).write_bytes(weights(folder).read_bytes()[:5000])


def emptied(folder: Path) -> None:
    weights(folder, "vae").write_bytes(b"")


def short_of_a_tensor(folder: Path) -> None:
    state = load_file(weights(folder))
    state.pop("conv_in.weight")
    save_file(state, weights(folder))


def with_one_of_another_shape(folder: Path) -> None:
    state = load_file(weights(folder, "controlnet"))
    state["conv_in.bias"] = torch.zeros(3)
    save_file(state, weights(folder, "controlnet"))


def malicious(folder: Path) -> None:
    weights(folder).unlink()
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Malice(folder / "owned")))


def of_another_kind(folder: Path) -> None:
    (folder / "unet" / "config.json").write_text(json.dumps({"down_block_types": ["Unheard"], "block_out_channels": [1, 2]}))


def no_table(folder: Path) -> None:
    (folder / "vae" / "config.json").write_text("[1]")


def no_json(folder: Path) -> None:
    (folder / "scheduler" / "scheduler_config.json").write_text("{")


def without(path: str):
    def spoil(folder: Path) -> None:
        shutil.rmtree(folder / path) if (folder / path).is_dir() else (folder / path).unlink()

    return spoil


def damaged_words(folder: Path) -> None:
    (folder / "tokenizer" / "tokenizer.json").write_text("{}")


def leading_out(folder: Path) -> None:
    """An index that points at files elsewhere."""
    weights(folder).unlink()
    index = folder / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../../../../etc/passwd"}}))


def with_setting(part: str, name: str, value: object):
    def spoil(folder: Path) -> None:
        config = folder / part / "config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), name: value}))

    return spoil


def for_inpainting(folder: Path) -> None:
    """A network that reads latents, what is known of them, and where."""
    with_setting("unet", "in_channels", 9)(folder)
    state = load_file(weights(folder))
    state["conv_in.weight"] = torch.zeros(8, 9, 3, 3)
    save_file(state, weights(folder))


SPOILT = [
    (truncated, "diffusion_pytorch_model.safetensors"),
    (emptied, "diffusion_pytorch_model.safetensors"),
    (short_of_a_tensor, "unet of 'model' is not whole.*'conv_in.weight'"),
    (with_one_of_another_shape, "controlnet of 'model' is not whole.*'conv_in.bias'"),
    (malicious, "wants to run code"),
    (of_another_kind, "settings of the unet"),
    (no_table, "vae/config.json.*no table"),
    (no_json, "scheduler/scheduler_config.json"),
    (without("unet/config.json"), "lacks unet/config.json"),
    (without("vae"), "lacks vae/config.json"),
    (without("text_encoder/model.safetensors"), "lacks text_encoder/"),
    (without("tokenizer"), "lacks tokenizer"),
    (without("controlnet"), "sd15-depth"),
    (damaged_words, "tokenizer"),
    (leading_out, "lacks unet/passwd"),
    (for_inpainting, "reads 9 channels"),
    (with_setting("unet", "layers_per_block", 10**9), "more layers than tensors"),
    (with_setting("vae", "layers_per_block", [[10**9]]), "more layers than tensors"),
    (with_setting("vae", "down_block_types", ["DownEncoderBlock2D"] * 10**4), "too large for settings"),
    (with_setting("text_encoder", "hidden_size", 32), "does not read what its text encoder"),
    (with_setting("text_encoder", "vocab_size", 9), "tokenizer of 'model' has more words"),
]


@pytest.mark.parametrize(("spoil", "said"), SPOILT, ids=[said.split("'")[0][:24] for _, said in SPOILT])
def test_what_is_wrong_with_a_folder_is_said_in_a_sentence(spoil, said: str, folder: Path) -> None:
    spoil(folder)
    with pytest.raises(StudioError, match=said) as caught:
        built(folder)
    assert caught.value.problem.endswith(".") and "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert not (folder / "owned").exists()


def test_what_is_no_model_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    tensors = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(2)}, tensors)
    with pytest.raises(StudioError, match="no folder, checkpoint file or fetched model"):
        built(tmp_path / "nowhere")
    with pytest.raises(StudioError, match="is no checkpoint"):
        built(tmp_path / "notes.txt")
    with pytest.raises(StudioError, match="no Stable Diffusion 1 or 2"):
        built(tensors)
    with pytest.raises(StudioError, match="multiple of 4"):
        built(folder, view_px=66)
    tiny_sd.save(tmp_path / "six", control_channels=6)
    config = folder / "controlnet" / "config.json"
    config.write_text(config.read_text().replace('"cross_attention_dim": 16', '"cross_attention_dim": 32'))
    with pytest.raises(StudioError, match="not whole|another Stable Diffusion"):
        built(folder)


@pytest.mark.parametrize("width", [768, 1024])
def test_a_single_file_is_told_by_what_its_network_reads(width: int, tmp_path: Path) -> None:
    name = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    save_file({name: torch.zeros(320, width)}, tmp_path / "x.safetensors")
    parts = SingleFile(tmp_path / "x.safetensors")
    assert parts.config("unet")["cross_attention_dim"] == width and not parts.has("controlnet")
    assert parts.config("scheduler")["prediction_type"] == ("epsilon" if width == 768 else "v_prediction")
    assert _sd_published.PADDING[width] == parts.tokenizer().pad_token
    with pytest.raises(StudioError, match="unet of 'x.safetensors'|no whole unet"):
        from diffusers import UNet2DConditionModel

        parts.made("unet", UNet2DConditionModel)
