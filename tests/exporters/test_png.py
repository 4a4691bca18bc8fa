"""The atlas as pictures, and sizes that an exporter can be asked for."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from studio.errors import OutputError, StudioError
from studio.exporters import SOCKET, Asset, Step
from studio.surface.mesh import load
from studio.texture import Texture
from tests import meshes
from tests.exporters import models

T = 32


def arm(folder):
    path = folder / "arm.glb"
    path.write_bytes(models.arm().glb())
    return load(path)


def painted(mesh, seed=0):
    texture = Texture.from_mesh(mesh, T)
    generator = torch.Generator().manual_seed(seed)
    for name in ("base_color", "roughness", "metallic"):
        shape = texture.channels[name].shape
        texture = texture.with_channel(name, torch.randint(0, 256, shape, generator=generator) / 255)
    return Asset(mesh, texture, {"prompt": "käse"}, frozenset({"base_color", "roughness"}))


def test_one_picture_for_each_set_and_channel(tmp_path):
    """Every texel comes back, the main file is the first set's colour, and it carries the receipt."""
    asset = painted(arm(tmp_path))
    height = torch.linspace(0, 1, 2 * T * T).reshape(2, 1, T, T)
    asset = Asset(asset.mesh, asset.texture.with_channel("height", height), asset.receipt)
    files = SOCKET.make("png").write(asset, tmp_path / "x.png")
    assert files[-1] == tmp_path / "x.png" and len(files) == 8
    for name, channel in asset.texture.channels.items():
        for s, owner in enumerate(("skin", "sleeve")):
            file = tmp_path / ("x.png" if (s, name) == (0, "base_color") else f"x_{owner}_{name}.png")
            pixels = np.asarray(Image.open(file)).reshape(T, T, -1) / (65535 if name == "height" else 255)
            assert np.allclose(pixels, channel[s].permute(1, 2, 0), atol=1e-5 if name == "height" else 1e-6)
    assert json.loads(Image.open(tmp_path / "x.png").text["patina"]) == {"prompt": "käse"}


def test_padding_is_transparent_beyond_its_width(tmp_path):
    """Opaque on the chart and two texels around it, where the chart's own colours go on; transparent further out."""
    mesh = meshes.quad(margin=0.25)
    asset = Asset(mesh, Texture.flat(mesh, T).with_channel("base_color", torch.rand(1, 3, T, T)), {})
    SOCKET.make("png", padding_px=2).write(asset, tmp_path / "x.png")
    picture = np.asarray(Image.open(tmp_path / "x.png"))
    opaque = picture[..., 3] == 255
    assert opaque[16, 6:26].all() and not opaque[16, :6].any() and not opaque[16, 26:].any() and opaque.sum() < 20 * 20
    assert (picture[16, 6:8, :3] == picture[16, 8, :3]).all() and set(np.unique(picture[..., 3])) == {0, 255}
    assert Image.open(tmp_path / "x_roughness.png").mode == "LA"
    with pytest.raises(StudioError, match="no charts"):
        bare = replace(mesh, corner_uv=None)
        SOCKET.make("png", padding_px=1).write(Asset(bare, asset.texture, {}), tmp_path / "y.png")


@pytest.mark.parametrize("name", ["glb", "obj", "png"])
def test_textures_of_another_size(name, tmp_path):
    """The new maps have the size that was asked for and show the same; a set that was not painted keeps its own maps."""
    asset = painted(arm(tmp_path))
    smooth = torch.linspace(0.1, 0.9, T).expand(1, 3, T, T)
    color = torch.cat([smooth, Texture.from_mesh(asset.mesh, T).channels["base_color"][1:]])
    asset = Asset(asset.mesh, asset.texture.with_channel("base_color", color), {})
    out = tmp_path / "out"
    out.mkdir()
    exporter = SOCKET.make(name, size_px=512)
    exporter.write(asset, out / f"x{exporter.suffix}")
    if name == "png":
        pixels = np.asarray(Image.open(out / "x.png"))[..., :3]
    else:
        first, second = (s.base_color for s in load(out / f"x{exporter.suffix}").sets)
        assert second.shape[0] == 16
        pixels = first[..., :3]
    assert pixels.shape == (512, 512, 3)
    wanted = np.interp((np.arange(512) + 0.5) / 512 * T - 0.5, np.arange(T), np.linspace(0.1, 0.9, T)) * 255
    assert np.abs(pixels.astype(float) - wanted[:, None]).max() < 3
    with pytest.raises(StudioError, match="size_px"):
        SOCKET.make(name, size_px=500)


def test_the_mesh_s_own_picture_is_spared(tmp_path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "wood.png")
    (tmp_path / "q.mtl").write_text("newmtl a\nmap_Kd wood.png\n")
    (tmp_path / "q.obj").write_text("mtllib q.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl a\nf 1/1 2/2 3/3\n")
    mesh = load(tmp_path / "q.obj")
    with pytest.raises(OutputError, match="belongs to the mesh"):
        SOCKET.make("png").write(Asset(mesh, Texture.from_mesh(mesh, T), {}), tmp_path / "wood.png")


def test_steps_end_with_what_was_written(tmp_path):
    asset = Asset(meshes.quad(), Texture.flat(meshes.quad(), T), {})
    first, last = SOCKET.make("glb").steps(asset, tmp_path / "x.glb")
    assert (first, last) == (Step(0, 1), Step(1, 1, (tmp_path / "x.glb",))) and (tmp_path / "x.glb").is_file()
