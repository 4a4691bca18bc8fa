"""The mesh's arrays, whatever file they come from."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import pytest

from studio.errors import MeshError
from studio.surface.mesh import RADIUS, Mesh, load
from tests.meshes import cube, quad, two_set_box, uv_sphere
from tests.surface.files import in_source, written


@pytest.mark.parametrize("mesh", [quad(2), cube(2), two_set_box(), uv_sphere(12, 6)], ids=lambda m: m.name)
def test_invariants(mesh: Mesh) -> None:
    assert np.linalg.norm(mesh.vertices, axis=1).max() == pytest.approx(RADIUS, abs=1e-5)
    assert np.linalg.norm(mesh.vertices, axis=1).max() <= RADIUS
    np.testing.assert_allclose(mesh.vertices.min(axis=0), -mesh.vertices.max(axis=0), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(mesh.corner_normals, axis=-1), 1, atol=1e-6)
    assert mesh.vertices.dtype == mesh.corner_normals.dtype == mesh.corner_uv.dtype == np.float32
    assert mesh.faces.dtype == mesh.face_set.dtype == np.int32
    assert set(np.unique(mesh.faces)) == set(range(len(mesh.vertices)))
    for array in (mesh.vertices, mesh.faces, mesh.corner_normals, mesh.corner_uv, mesh.face_set, mesh.T_work_source):
        assert not array.flags.writeable


def test_hash_is_of_shape_uv_and_sets() -> None:
    assert cube().hash == cube().hash
    assert len({cube().hash, cube(2).hash, two_set_box().hash, cube(margin=1 / 16).hash}) == 4
    changed = cube().with_uv(np.zeros((12, 3, 2)), "It was flattened.")
    assert changed.hash != cube().hash and changed.repairs == ("It was flattened.",)


def test_normals_are_sharp_at_edges_and_smooth_elsewhere() -> None:
    box = cube(2)
    t = box.vertices[box.faces]
    flat = np.cross(t[:, 1] - t[:, 0], t[:, 2] - t[:, 0])
    flat /= np.linalg.norm(flat, axis=-1, keepdims=True)
    np.testing.assert_allclose(box.corner_normals, np.repeat(flat[:, None], 3, axis=1), atol=1e-6)
    ball = uv_sphere(64, 32)
    np.testing.assert_allclose(ball.corner_normals, ball.vertices[ball.faces] / RADIUS, atol=0.02)


def test_stl_corners_are_joined(tmp_path: Path) -> None:
    box = cube()
    records = np.zeros(12, np.dtype([("n", "<f4", 3), ("v", "<f4", (3, 3)), ("x", "<u2")]))
    records["v"] = box.vertices[box.faces]
    mesh = load(written(tmp_path, bytes(80) + struct.pack("<I", 12) + records.tobytes(), "box.stl"))
    assert mesh.vertices.shape == (8, 3) and mesh.corner_uv is None and any("joined" in r for r in mesh.repairs)
    np.testing.assert_allclose(np.sort(np.abs(mesh.vertices), axis=None), RADIUS / math.sqrt(3), atol=1e-5)


def test_ply_with_uv_and_colours(tmp_path: Path) -> None:
    names = ("x", "y", "z", "s", "t")
    head = "ply\nformat ascii 1.0\nelement vertex 4\n" + "".join(f"property float {n}\n" for n in names)
    head += "".join(f"property uchar {n}\n" for n in ("red", "green", "blue"))
    head += "element face 1\nproperty list uchar int vertex_indices\n"
    text = head + "end_header\n0 0 0 0 0 9 9 9\n1 0 0 1 0 9 9 9\n1 1 0 1 1 9 9 9\n0 1 0 0 1 9 9 9\n4 0 1 2 3\n"
    mesh = load(written(tmp_path, text, "square.ply"))
    assert len(mesh.faces) == 2 and any("colours" in r for r in mesh.repairs)
    corners = mesh.corner_uv.reshape(-1, 2) * [1, -1] + [0, 1]
    np.testing.assert_allclose(in_source(mesh)[mesh.faces].reshape(-1, 3)[:, :2], corners, atol=1e-5)


def test_source_is_checked_before_it_is_patched(tmp_path: Path) -> None:
    path = written(tmp_path, "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    source = load(path).source
    assert source.read() == path.read_bytes()
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(MeshError, match="has changed"):
        source.read()
    path.unlink()
    with pytest.raises(MeshError, match="no longer there") as gone:
        source.read()
    assert "PNG" in gone.value.remedy and "kept" in gone.value.remedy
