"""Every exporter is round-tripped on every sample mesh (videos, which take longer, in `test_turntable`)."""

import numpy as np
import pytest
import torch

from studio import resources
from studio.exporters import SOCKET, Asset
from studio.surface.mesh import load
from studio.texture import Texture

T = 32
LORA = {"base_model.model.to_q.lora_A.weight": torch.ones(2, 3)}


@pytest.fixture(scope="module", params=resources.sample_names())
def painted(request):
    """A sample with random colours, and UVs where it has none: each face a small triangle of its own."""
    mesh = load(resources.sample(request.param))
    if mesh.corner_uv is None:
        side = int(np.ceil(np.sqrt(len(mesh.faces))))
        cell = np.stack(np.divmod(np.arange(len(mesh.faces)), side), axis=-1)[:, None]
        uv = (cell + np.float32([[0.1, 0.1], [0.9, 0.1], [0.1, 0.9]])) / side
        mesh = mesh.with_uv(uv.astype(np.float32), "Unwrapped.")
    texture = Texture.from_mesh(mesh, T)
    for name in ("base_color", "roughness"):
        shape = texture.channels[name].shape
        texture = texture.with_channel(name, torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1)) / 255)
    return Asset(mesh, texture, {"seed": 1}, frozenset({"base_color", "roughness"}), LORA)


@pytest.mark.parametrize("name", [name for name in SOCKET.names() if name != "turntable"])
def test_round_trip(painted, name, tmp_path):
    """The file says what it is, and a mesh comes back with its shape, its UVs and every texel."""
    exporter = SOCKET.make(name)
    path = tmp_path / f"x{exporter.suffix}"
    files = exporter.write(painted, path)
    assert files[-1] == path and all(file.stat().st_size for file in files)
    if exporter.suffix not in (".glb", ".obj"):
        return
    mesh, again = painted.mesh, load(path)
    assert np.allclose(again.T_work_source, mesh.T_work_source, rtol=1e-5, atol=1e-6)
    assert [s.name for s in again.sets] == [s.name for s in mesh.sets]
    was, now = (by_place(m) for m in (mesh, again))
    assert np.allclose(was, now, atol=2e-6)
    back = Texture.from_mesh(again, T)
    for channel in painted.painted:
        assert torch.allclose(back.channels[channel], painted.texture.channels[channel], atol=1e-6)


def by_place(mesh):
    """Positions, UVs and texture set of the corners of all faces [F, 16]."""
    columns = [mesh.vertices[mesh.faces].reshape(-1, 9), mesh.corner_uv.reshape(-1, 6), mesh.face_set[:, None]]
    return np.concatenate(columns, axis=1)
