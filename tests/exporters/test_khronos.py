"""Every GLB passes the Khronos validator (npm package gltf-validator, found in GLTF_VALIDATOR_DIR or the working directory)."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from studio import resources
from studio.exporters import SOCKET, Asset
from studio.surface.mesh import load
from studio.texture import Texture
from tests.exporters import models

EVERY = ("base_color", "roughness", "metallic")


def validator_folder():
    """The folder above node_modules, or None when node or the package is missing."""
    for folder in filter(None, (os.environ.get("GLTF_VALIDATOR_DIR"), os.getcwd())):
        if (Path(folder) / "node_modules" / "gltf-validator").is_dir() and shutil.which("node"):
            return folder
    return None


def sources(folder):
    """Meshes as loaded and unwrapped: all samples, the arm with and without UVs, as glTF, with a second node; an OBJ."""
    (folder / "arm.glb").write_bytes(models.arm().glb())
    (folder / "bare.glb").write_bytes(models.arm(uv=False, textured=False).glb())
    (folder / "tri.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nf 1/1 2/2 3/3\n")
    models.arm(transform={"scale": [0.5, 0.5]}).gltf(folder)
    paths = [folder / name for name in ("arm.glb", "bare.glb", "arm.gltf", "tri.obj")]
    for path in [*paths, *map(resources.sample, resources.sample_names())]:
        mesh = load(path)
        if mesh.corner_uv is not None:
            yield mesh
        yield mesh.with_uv(np.random.default_rng(0).random((len(mesh.faces), 3, 2)), "Unwrapped.")


@pytest.mark.long
@pytest.mark.skipif(validator_folder() is None, reason="needs node and the npm package gltf-validator")
def test_the_validator_finds_no_errors(tmp_path):
    for i, mesh in enumerate(sources(tmp_path)):
        texture = Texture.from_mesh(mesh, 32)
        for name in EVERY:
            texture = texture.with_channel(name, torch.rand(texture.channels[name].shape))
        SOCKET.make("glb").write(Asset(mesh, texture, {"seed": 0}, frozenset(EVERY)), tmp_path / f"checked {i} {mesh.name}.glb")
    written = sorted(map(str, tmp_path.glob("checked*.glb")))
    command = ["node", str(Path(__file__).with_name("validate.mjs")), *written]
    done = subprocess.run(command, cwd=validator_folder(), capture_output=True, text=True, check=True)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(reports) == len(written) > 20
    assert not [(r["file"], r["messages"]) for r in reports if r["errors"]]
