"""The LoRA's file holds the tensors to the bit, the recipe, and what it was made for."""

import pytest
import torch
from safetensors import safe_open

from studio.errors import StudioError
from studio.exporters import SOCKET, Asset
from studio.lora import about
from studio.texture import Texture
from tests import meshes


def test_tensors_and_recipe_come_back(tmp_path):
    mesh = meshes.quad()
    down, up = torch.randn(4, 8).half(), torch.randn(4, 8).T
    lora = {f"base_model.model.block.to_q.lora_{k}.weight": t for k, t in (("A", down), ("B", up))}
    learned = {"base_model": "mini@1", "before": {"palette": 0.1}, "after": {"palette": 0.2}, "held_out_seeds": [0]}
    recipe = {"seed": 1, "prompt": "ä", "weights": [[0, {"palette": 1.0}]]}
    asset = Asset(mesh, Texture.flat(mesh, 16), {**recipe, "learned": learned}, lora=lora)
    path = tmp_path / "x.safetensors"
    assert SOCKET.make("lora").write(asset, path) == [path]
    with safe_open(path, "pt") as file:
        assert set(file.keys()) == set(lora)
        assert all(torch.equal(file.get_tensor(k), v) and file.get_tensor(k).dtype == v.dtype for k, v in lora.items())
    found = about(path)
    assert found.recipe == recipe and (found.base_model, found.rank) == ("mini@1", 4)
    assert (found.before, found.after, found.held_out) == ({"palette": 0.1}, {"palette": 0.2}, 1)


def test_without_lora_there_is_nothing_to_write(tmp_path):
    mesh = meshes.quad()
    with pytest.raises(StudioError, match="No LoRA"):
        SOCKET.make("lora").write(Asset(mesh, Texture.flat(mesh, 16), {}), tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())
