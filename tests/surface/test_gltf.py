"""Reading glTF: transforms, instances, encodings, skins, materials, and the origin of each face."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path

import numpy as np
import pytest

from studio.errors import MeshError
from studio.surface.mesh import load
from tests.surface.files import TRIANGLE, Gltf, in_source, png


def test_gltf_transforms_instances_and_origins(tmp_path: Path) -> None:
    """Two nodes place one mesh of two primitives; one mirrors, and its winding turns round so that normals stay outside."""
    made = Gltf()
    a = made.primitive(indices=np.array([0, 1, 2], np.uint16))
    b = made.primitive(TRIANGLE + np.float32([0, 0, 1]), indices=np.array([0, 1, 2, 0, 2, 1], np.uint32))
    made.mesh(a, b, translation=[10, 0, 0])
    quarter = [0, math.sqrt(0.5), 0, math.sqrt(0.5)]
    made.doc["nodes"] += [{"mesh": 0, "scale": [-1, 1, 1]}, {"children": [0, 1], "rotation": quarter}]
    mesh = made.load(tmp_path)
    assert [(p.node, p.primitive) for p in mesh.source.parts] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert mesh.source.face_part.tolist() == [0, 1, 1, 2, 3, 3]
    assert mesh.source.face_item.tolist() == [0, 0, 1, 0, 0, 1]
    assert mesh.source.face_corner[[0, 2, 3]].tolist() == [[0, 1, 2], [3, 4, 5], [0, 2, 1]]
    # A quarter turn about y takes (x, y, z) to (z, y, −x).
    np.testing.assert_allclose(in_source(mesh)[mesh.faces[0]], [[0, 0, -10], [0, 0, -11], [0, 1, -10]], atol=1e-5)
    np.testing.assert_allclose(in_source(mesh)[mesh.faces[3]], [[0, 0, 0], [0, 1, 0], [0, 0, 1]], atol=1e-5)
    np.testing.assert_allclose(mesh.corner_normals[[0, 3]][:, 0], [[1, 0, 0], [1, 0, 0]], atol=1e-6)


@pytest.mark.parametrize(("mode", "corners"), [(5, [[0, 1, 2], [1, 3, 2], [2, 3, 4]]), (6, [[1, 2, 0], [2, 3, 0], [3, 4, 0]])])
def test_gltf_strips_and_fans(tmp_path: Path, mode: int, corners: list[list[int]]) -> None:
    made = Gltf()
    made.mesh(made.primitive(np.random.default_rng(0).random((5, 3), np.float32)) | {"mode": mode})
    assert made.load(tmp_path).source.face_corner.tolist() == corners


def test_gltf_quantised_sparse_and_strided(tmp_path: Path) -> None:
    made = Gltf()
    positions = np.array([[0, 0, 0], [127, 0, 0], [0, 127, 0]], np.int8)
    strided = made.view(np.concatenate([positions, np.full((3, 1), 99, np.int8)], axis=1).tobytes(), byteStride=4)
    where, what = made.view(np.array([2], np.uint16).tobytes()), made.view(np.array([[0, -127, 0]], np.int8).tobytes())
    sparse = {"count": 1, "indices": {"bufferView": where, "componentType": 5123}, "values": {"bufferView": what}}
    described = {"bufferView": strided, "componentType": 5120, "count": 3, "type": "VEC3", "normalized": True, "sparse": sparse}
    made.doc["accessors"].append(described)
    uv = made.accessor(np.array([[0, 0], [65535, 0], [0, 65535]], np.uint16), "VEC2", normalized=True)
    made.mesh({"attributes": {"POSITION": 0, "TEXCOORD_0": uv}})
    mesh = made.load(tmp_path)
    np.testing.assert_allclose(in_source(mesh)[mesh.faces[0]], [[0, 0, 0], [1, 0, 0], [0, -1, 0]], atol=1e-6)
    np.testing.assert_allclose(mesh.corner_uv[0], [[0, 0], [1, 0], [0, 1]])


def test_gltf_skin_rests_where_its_joints_are(tmp_path: Path) -> None:
    """A skinned vertex goes where joint · inverse bind puts it; its own node's transform does not count."""
    made = Gltf()
    joints = made.accessor(np.zeros((3, 4), np.uint8), "VEC4")
    weights = made.accessor(np.tile(np.array([1, 0, 0, 0], np.float32), (3, 1)), "VEC4")
    bind = np.eye(4, dtype=np.float32)
    bind[3, 0] = -1  # column-major: a shift by −1 in x
    inverse = made.accessor(bind.reshape(1, 16), "MAT4")
    made.mesh(made.primitive(JOINTS_0=joints, WEIGHTS_0=weights), skin=0, translation=[50, 0, 0])
    made.doc["nodes"].append({"translation": [0, 5, 0]})
    made.doc["skins"] = [{"joints": [1], "inverseBindMatrices": inverse}]
    mesh = made.load(tmp_path)
    np.testing.assert_allclose(in_source(mesh)[mesh.faces[0]], TRIANGLE + [-1, 5, 0], atol=1e-5)


def test_gltf_materials_and_maps(tmp_path: Path) -> None:
    made = Gltf()
    uv0 = made.accessor(np.zeros((3, 2), np.float32), "VEC2")
    uv1 = made.accessor(np.array([[0, 0], [1, 0], [0, 1]], np.float32), "VEC2")
    both = {"TEXCOORD_0": uv0, "TEXCOORD_1": uv1}
    made.mesh(made.primitive(), made.primitive(**both) | {"material": 1}, made.primitive(**both) | {"material": 0})
    turned = {"offset": [0, 1], "rotation": math.pi / 2, "scale": [0.5, 0.5]}  # the specification's own example
    color = {"index": 0, "texCoord": 1, "extensions": {"KHR_texture_transform": turned}}
    rough = color | {"index": 1}
    made.doc["images"] = [
        {"bufferView": made.view(png((10, 20, 30))), "mimeType": "image/png"},
        {"uri": "data:image/png;base64," + base64.b64encode(png((0, 128, 255))).decode()},
        {"uri": "gone.png"},
    ]
    made.doc["textures"] = [{"source": 0}, {"source": 1}, {"source": 2}]
    made.doc["materials"] = [
        {"name": "plain", "pbrMetallicRoughness": {"baseColorFactor": [0.5, 0.25, 1, 1], "baseColorTexture": {"index": 2}}},
        {"pbrMetallicRoughness": {"baseColorTexture": color, "metallicRoughnessTexture": rough, "roughnessFactor": 0.4}},
    ]
    mesh = made.load(tmp_path)
    plain, mapped, default = mesh.sets
    assert mesh.face_set.tolist() == [2, 1, 0] and [s.index for s in mesh.sets] == [0, 1, -1]
    assert plain.name == "plain" and plain.base_factor == (0.5, 0.25, 1, 1) and plain.base_color is None
    assert plain.roughness == plain.metallic == default.roughness == default.metallic == 1
    assert mapped.base_color.shape == (2, 2, 3) and mapped.base_color[0, 0].tolist() == [10, 20, 30]
    assert mapped.metallic_roughness[0, 0].tolist() == [0, 128, 255] and mapped.roughness == 0.4
    np.testing.assert_allclose(mesh.corner_uv[1], [[0, 1], [0, 0.5], [0.5, 1]], atol=1e-6)  # the lower left quadrant
    assert any("gone.png" in r for r in mesh.repairs)


@pytest.mark.parametrize("name", ["gone.bin", "x" * 300 + ".bin"])
def test_a_lost_buffer_is_named_with_the_way_out(name: str, tmp_path: Path) -> None:
    tree = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}],
        "buffers": [{"uri": name, "byteLength": 36}],
    }
    (tmp_path / "made.gltf").write_text(json.dumps(tree))
    with pytest.raises(MeshError, match=f"refers to '{name[:60]}.*one folder"):
        load(tmp_path / "made.gltf")
