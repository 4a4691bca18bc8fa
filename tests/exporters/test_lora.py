"""The LoRA's file holds the tensors to the bit and the recipe."""

import json

import pytest
import torch
from safetensors import safe_open

from studio.errors import StudioError
from studio.exporters import SOCKET, Asset
from studio.texture import Texture
from tests import meshes


def test_tensors_and_recipe_come_back(tmp_path):
    mesh = meshes.quad()
    down, up = torch.randn(4, 8).half(), torch.randn(4, 8).T
    lora = {f"base_model.model.block.to_q.lora_{k}.weight": t for k, t in (("A", down), ("B", up))}
    asset = Asset(mesh, Texture.flat(mesh, 16), {"seed": 1, "prompt": "ä", "weights": [(0, {"palette": 1.0})]}, lora=lora)
    path = tmp_path / "x.safetensors"
    assert SOCKET.make("lora").write(asset, path) == [path]
    with safe_open(path, "pt") as file:
        assert set(file.keys()) == set(lora)
        assert all(torch.equal(file.get_tensor(k), v) and file.get_tensor(k).dtype == v.dtype for k, v in lora.items())
        assert json.loads(file.metadata()["recipe"]) == {"seed": 1, "prompt": "ä", "weights": [[0, {"palette": 1.0}]]}


def test_without_lora_there_is_nothing_to_write(tmp_path):
    mesh = meshes.quad()
    with pytest.raises(StudioError, match="No LoRA"):
        SOCKET.make("lora").write(Asset(mesh, Texture.flat(mesh, 16), {}), tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())
