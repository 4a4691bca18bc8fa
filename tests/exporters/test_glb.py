"""A GLB gives the user's file back with new maps, and nothing else changed."""

import copy
import json
import os

import numpy as np
import pytest
import torch

from studio.errors import MeshError, OutputError, StudioError
from studio.exporters import SOCKET, Asset
from studio.surface.mesh import Mesh, load
from studio.texture import Texture
from tests.exporters import models

T = 32
RECEIPT = {"prompt": "a käse", "seed": 3, "scores": [0.5, float("nan")]}


def painted(mesh, *channels, seed=0):
    """The mesh's texture with random 8-bit values in these channels."""
    texture = Texture.from_mesh(mesh, T)
    generator = torch.Generator().manual_seed(seed)
    for name in channels:
        shape = texture.channels[name].shape
        texture = texture.with_channel(name, torch.randint(0, 256, shape, generator=generator) / 255)
    return texture


def export(mesh, texture, path, *channels):
    """(tree, binary) of what the exporter wrote."""
    asset = Asset(mesh, texture, RECEIPT, frozenset(channels or ("base_color",)))
    assert SOCKET.make("glb").write(asset, path) == [path]
    return models.read_glb(path.read_bytes())


def bytes_of(texture, channel, s):
    """[T, T, C] uint8."""
    return (texture.channels[channel][s] * 255).round().byte().permute(1, 2, 0).numpy()


@pytest.fixture
def arm(tmp_path):
    path = tmp_path / "arm.glb"
    path.write_bytes(models.arm().glb())
    return load(path)


def without(tree, *keys):
    return {k: v for k, v in tree.items() if k not in keys}


def test_only_pictures_materials_and_extras_change(arm, tmp_path):
    """Every accessor's bytes and JSON, and all nodes, skins, animations, meshes and scenes are the source's."""
    texture = painted(arm, "base_color", "roughness")
    old, old_binary = models.read_glb(arm.source.path.read_bytes())
    new, binary = export(arm, texture, tmp_path / "out.glb", "base_color", "roughness")
    change = ("asset", "materials", "images", "textures", "samplers", "bufferViews", "buffers")
    assert without(new, *change) == without(old, *change)
    for i in range(len(old["accessors"])):
        assert models.accessor_bytes(new, binary, i) == models.accessor_bytes(old, old_binary, i)
    assert new["asset"]["generator"] == "tests" and new["asset"]["extras"]["author"] == "someone"
    assert new["asset"]["extras"]["patina"] == {"prompt": "a käse", "seed": 3, "scores": [0.5, None]}
    kept = ("name", "extras", "alphaMode", "doubleSided", "normalTexture")
    for before, after in zip(old["materials"], new["materials"], strict=True):
        assert {k: before.get(k) for k in kept} == {k: after.get(k) for k in kept}


def test_the_maps_hold_the_texture_to_the_byte(arm, tmp_path):
    """Colours as painted with opacity from the source where it counts; occlusion stays packed beside new roughness."""
    texture = painted(arm, "base_color", "roughness")
    new, binary = export(arm, texture, tmp_path / "out.glb", "base_color", "roughness")
    skin, sleeve = (m["pbrMetallicRoughness"] for m in new["materials"])
    color = models.image_pixels(new, binary, skin["baseColorTexture"]["index"])
    assert np.array_equal(color, bytes_of(texture, "base_color", 0)) and "baseColorFactor" not in skin
    cut_out = models.image_pixels(new, binary, sleeve["baseColorTexture"]["index"])
    assert np.array_equal(cut_out[..., :3], bytes_of(texture, "base_color", 1)) and cut_out[..., 3].std() > 20
    packed = models.image_pixels(new, binary, skin["metallicRoughnessTexture"]["index"])
    assert np.array_equal(packed[..., 1:2], bytes_of(texture, "roughness", 0)) and packed[..., 0].std() > 20
    assert new["materials"][0]["occlusionTexture"] == {"index": skin["metallicRoughnessTexture"]["index"], "strength": 0.5}
    assert "roughnessFactor" not in skin
    again = Texture.from_mesh(load(tmp_path / "out.glb"), T)
    for name in ("base_color", "roughness", "metallic"):
        assert torch.allclose(again.channels[name], texture.channels[name], atol=0.5 / 255 + 1e-6)


def test_unchanged_sets_and_channels_keep_their_maps(arm, tmp_path):
    """With one of two sets painted, the picture both shared stays for the other; untouched, the file's tree is the source's."""
    old, old_binary = models.read_glb(arm.source.path.read_bytes())
    same, _ = export(arm, painted(arm), tmp_path / "same.glb", "base_color", "roughness")
    assert without(same, "asset", "buffers") == without(old, "asset", "buffers")

    texture = painted(arm)
    texture.channels["base_color"][1] = 0.2
    new, binary = export(arm, texture, tmp_path / "half.glb")
    assert new["materials"][0] == old["materials"][0] and new["textures"][: len(old["textures"])] == old["textures"]
    shared = old["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]["index"]
    assert np.array_equal(models.image_pixels(new, binary, shared), models.image_pixels(old, old_binary, shared))
    flat = models.image_pixels(new, binary, new["materials"][1]["pbrMetallicRoughness"]["baseColorTexture"]["index"])
    assert (flat[..., :3] == 51).all()


def test_replaced_pictures_leave_the_file(arm, tmp_path):
    """Two exports in a row, each over the last one: the file does not grow."""
    first = tmp_path / "first.glb"
    export(arm, painted(arm, "base_color", "roughness"), first, "base_color", "roughness")
    again = load(first)
    new, _ = export(again, painted(again, "base_color", "roughness", seed=1), tmp_path / "second.glb", "base_color", "roughness")
    assert len(new["images"]) == len(models.read_glb(first.read_bytes())[0]["images"]) == 5
    assert os.path.getsize(tmp_path / "second.glb") == pytest.approx(os.path.getsize(first), rel=0.01)


def test_gltf_with_files_beside_it_becomes_one_glb(tmp_path):
    """Buffers and pictures are embedded, and a KHR_texture_transform still places the new picture."""
    transform = {"offset": [0.1, 0.2], "scale": [0.5, 0.5], "rotation": 0.3}
    source = models.arm(transform=transform)
    mesh = load(source.gltf(tmp_path))
    old, old_binary = models.read_glb(source.glb())
    new, binary = export(mesh, painted(mesh, "roughness"), tmp_path / "out.glb", "roughness")
    assert not [b for b in new["buffers"] + new["images"] if "uri" in b] and len(new["buffers"]) == 1
    for i in range(len(old["accessors"])):
        assert models.accessor_bytes(new, binary, i) == models.accessor_bytes(old, old_binary, i)
    skin = new["materials"][0]["pbrMetallicRoughness"]
    for slot in ("baseColorTexture", "metallicRoughnessTexture"):
        assert skin[slot]["extensions"]["KHR_texture_transform"] == transform
    kept = models.image_pixels(new, binary, skin["baseColorTexture"]["index"])
    assert np.array_equal(kept, models.noise(16, 4, 1))
    assert np.array_equal(load(tmp_path / "out.glb").corner_uv, mesh.corner_uv)


def cut(mesh):
    """The mesh with every triangle a chart of its own."""
    uv = np.random.default_rng(0).random((len(mesh.faces), 3, 2), dtype=np.float32)
    return mesh.with_uv(uv, "Unwrapped.")


@pytest.mark.parametrize("had_uv", [True, False])
def test_unwrapped_vertices_are_split_with_all_they_carry(tmp_path, had_uv):
    """Each new vertex repeats an old one's position, normal, joints, weights and morph offsets; triangles and names stay."""
    (tmp_path / "arm.glb").write_bytes(models.arm(uv=had_uv, textured=had_uv).glb())
    mesh = cut(load(tmp_path / "arm.glb"))
    old, old_binary = models.read_glb(mesh.source.path.read_bytes())
    new, binary = export(mesh, painted(mesh, "base_color"), tmp_path / "out.glb")
    keep = ("nodes", "skins", "animations", "scenes")
    assert {k: new[k] for k in keep} == {k: old[k] for k in keep} and new["meshes"][0]["name"] == "strip"
    assert len(new["accessors"]) == len({json.dumps(a) for a in new["accessors"]}), "no accessor is left over"

    def corners(tree, raw, p, group, name):
        """The values of an attribute at each triangle corner."""
        primitive = tree["meshes"][0]["primitives"][p]
        attributes = primitive["targets"][0] if group == "targets" else primitive["attributes"]
        data = models.accessor_bytes(tree, raw, attributes[name])
        count = tree["accessors"][attributes[name]]["count"]
        index = np.frombuffer(models.accessor_bytes(tree, raw, primitive["indices"]), np.uint16)
        return np.frombuffer(data, np.uint8).reshape(count, -1)[index]

    kinds = [("attributes", n) for n in ("POSITION", "NORMAL", "JOINTS_0", "WEIGHTS_0")] + [("targets", "POSITION")]
    for p in (0, 1):
        for group, name in kinds + [("attributes", "TEXCOORD_1")] * had_uv:
            assert np.array_equal(corners(new, binary, p, group, name), corners(old, old_binary, p, group, name))
    again = load(tmp_path / "out.glb")
    assert np.array_equal(again.corner_uv, mesh.corner_uv) and np.allclose(again.vertices[again.faces], mesh.vertices[mesh.faces])
    inverse = models.accessor_bytes(new, binary, new["skins"][0]["inverseBindMatrices"])
    assert inverse == models.accessor_bytes(old, old_binary, old["skins"][0]["inverseBindMatrices"])


def test_maps_that_stay_keep_the_uvs_they_lie_on(arm, tmp_path):
    """Painting colour after an unwrap: the surface map still reads TEXCOORD_0, so the new UVs become the next set."""
    mesh = cut(arm)
    old, _ = models.read_glb(arm.source.path.read_bytes())
    new, _ = export(mesh, painted(mesh, "base_color"), tmp_path / "out.glb")
    skin, sleeve = (m["pbrMetallicRoughness"] for m in new["materials"])
    assert skin["baseColorTexture"]["texCoord"] == 2 and "texCoord" not in sleeve["baseColorTexture"]
    assert "texCoord" not in skin["metallicRoughnessTexture"] and new["materials"][0]["normalTexture"]["texCoord"] == 1
    first, second = (p["attributes"] for p in new["meshes"][0]["primitives"])
    assert "TEXCOORD_2" in first and "TEXCOORD_2" not in second


def test_each_node_of_a_shared_mesh_gets_its_own_charts(tmp_path):
    """Two nodes show one mesh: unwrapped, each has its own UVs, and the second, which mirrors, keeps its winding."""
    source = models.arm()
    source.tree["nodes"].append({"name": "left arm", "mesh": 0, "scale": [-1, 1, 1], "translation": [5, 0, 0]})
    source.tree["scenes"][0]["nodes"].append(3)
    (tmp_path / "two.glb").write_bytes(source.glb())
    mesh = cut(load(tmp_path / "two.glb"))
    new, _ = export(mesh, painted(mesh, "base_color"), tmp_path / "out.glb")
    assert [n.get("mesh") for n in new["nodes"]] == [0, None, None, 1] and len(new["meshes"]) == 2
    again = load(tmp_path / "out.glb")
    assert np.array_equal(again.vertices[again.faces], mesh.vertices[mesh.faces])
    assert np.array_equal(again.corner_uv, mesh.corner_uv)


def test_what_is_not_shown_keeps_its_material(tmp_path):
    """Points in the scene share a material with an unwrapped mesh: they have no new UVs, so the mesh gets a copy of it."""
    source = models.arm()
    points = {"attributes": {"POSITION": 0, "TEXCOORD_0": 4}, "mode": 0, "material": 0}
    source.tree["nodes"].append({"mesh": source.add("meshes", primitives=[points])})
    source.tree["scenes"][0]["nodes"].append(3)
    (tmp_path / "points.glb").write_bytes(source.glb())
    mesh = cut(load(tmp_path / "points.glb"))
    new, _ = export(mesh, painted(mesh, "base_color"), tmp_path / "out.glb")
    assert new["meshes"][1]["primitives"] == [points] and new["materials"][0] == source.tree["materials"][0]
    assert [p["material"] for p in new["meshes"][0]["primitives"]] == [2, 1] and new["materials"][2]["name"] == "skin"
    kept, _ = export(load(tmp_path / "points.glb"), painted(load(tmp_path / "points.glb"), "base_color"), tmp_path / "kept.glb")
    assert len(kept["materials"]) == 2


@pytest.mark.parametrize("mode", [5, 6])
def test_strips_and_fans_are_split_as_triangles(tmp_path, mode):
    b = models.Builder()
    angle = np.linspace(0, 3, 6)
    rim = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1)
    zigzag = np.stack([np.arange(6), np.arange(6) % 2, 0 * angle], 1)
    place = np.concatenate([np.zeros((1, 3)), rim]) if mode == 6 else zigzag
    position = b.array(place.astype(np.float32), bounds=True)
    b.add("meshes", primitives=[{"attributes": {"POSITION": position}, "mode": mode}])
    b.add("nodes", mesh=0)
    b.add("scenes", nodes=[0])
    (tmp_path / "strip.glb").write_bytes(b.glb())
    mesh = cut(load(tmp_path / "strip.glb"))
    export(mesh, painted(mesh, "base_color"), tmp_path / "out.glb")
    again = load(tmp_path / "out.glb")

    for was, now in zip(rolled(mesh), rolled(again), strict=True):
        assert np.array_equal(was, now)


def rolled(mesh):
    """Positions and UVs of the triangles, each turned to begin with its corner of smallest x, then y: winding is kept."""
    corners = mesh.vertices[mesh.faces]
    first = np.lexsort((corners[..., 1], corners[..., 0]), axis=1)[:, :1]
    order = ((first + np.arange(3)) % 3)[..., None]
    return np.take_along_axis(corners, order, 1), np.take_along_axis(mesh.corner_uv, order, 1)


def test_faces_without_material_get_one_and_vertex_colours_step_aside(tmp_path):
    colors = np.full((models.ROWS * models.COLUMNS, 4), 0.5)
    source = models.arm(textured=False, colors=colors)
    del source.tree["materials"], source.tree["meshes"][0]["primitives"][0]["material"]
    del source.tree["meshes"][0]["primitives"][1]["material"]
    (tmp_path / "bare.glb").write_bytes(source.glb())
    mesh = load(tmp_path / "bare.glb")
    before = copy.deepcopy(source.tree)
    new, _ = export(mesh, painted(mesh, "base_color"), tmp_path / "out.glb")
    assert [p["material"] for p in new["meshes"][0]["primitives"]] == [0, 0] and len(new["materials"]) == 1
    for primitive in new["meshes"][0]["primitives"]:
        assert "COLOR_0" not in primitive["attributes"] and "_COLOR_0" in primitive["attributes"]
    assert new["accessors"] == before["accessors"]
    untouched, _ = export(mesh, painted(mesh), tmp_path / "same.glb")
    assert "materials" not in untouched and untouched["meshes"] == before["meshes"]


def test_other_formats_keep_scale_names_normals_and_uvs(tmp_path):
    """An OBJ far from the origin: the GLB has its objects, its materials and its numbers, v turned over."""
    (tmp_path / "two.obj").write_text(
        "mtllib two.mtl\no first part\nv 1000.1 0 0\nv 1001 0 0\nv 1001 1.7 0\nv 1000.1 1.7 0\n"
        "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 0.75\nvn 0 0 1\n"
        "usemtl red\nf 1/1/1 2/2/1 3/3/1 4/4/1\no second\nv 1000 0 5\nusemtl blue\nf 5/1/1 1/2/1 2/3/1\n"
    )
    (tmp_path / "two.mtl").write_text("newmtl red\nKd 1 0 0\nPr 0.25\nnewmtl blue\nKd 0 0 1\nmap_Kd blue.png\n")
    (tmp_path / "blue.png").write_bytes(models.png(models.noise(8, 3, 5)))
    mesh = load(tmp_path / "two.obj")
    texture = painted(mesh)
    texture.channels["base_color"][0] = 0.4
    new, binary = export(mesh, texture, tmp_path / "out.glb")
    names = {kind: [item["name"] for item in new[kind]] for kind in ("nodes", "materials")}
    assert names == {"nodes": ["first part", "second"], "materials": ["red", "blue"]}
    attributes = new["meshes"][0]["primitives"][0]["attributes"]
    place = np.frombuffer(models.accessor_bytes(new, binary, attributes["POSITION"]), np.float32).reshape(-1, 3)
    assert np.array_equal(place, np.float32([[1000.1, 0, 0], [1001, 0, 0], [1001, 1.7, 0], [1000.1, 1.7, 0]]))
    uv = np.frombuffer(models.accessor_bytes(new, binary, attributes["TEXCOORD_0"]), np.float32).reshape(-1, 2)
    assert np.array_equal(uv, np.float32([[0, 1], [1, 1], [1, 0], [0, 0.25]]))
    red, blue = (m["pbrMetallicRoughness"] for m in new["materials"])
    assert (models.image_pixels(new, binary, red["baseColorTexture"]["index"]) == 102).all() and red["roughnessFactor"] == 0.25
    assert np.array_equal(models.image_pixels(new, binary, blue["baseColorTexture"]["index"]), models.noise(8, 3, 5))


def test_meshes_made_in_memory_are_written_too(tmp_path):
    square = np.array([[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]])
    mesh = Mesh.from_arrays(square, [[0, 1, 2], [0, 2, 3]], corner_uv=np.random.default_rng(0).random((2, 3, 2)))
    texture = painted(mesh, "base_color")
    export(mesh, texture, tmp_path / "out.glb")
    again = load(tmp_path / "out.glb")
    assert np.array_equal(again.corner_uv, mesh.corner_uv) and np.allclose(again.T_work_source, mesh.T_work_source)
    assert np.allclose(Texture.from_mesh(again, T).channels["base_color"], texture.channels["base_color"], atol=2e-3)


def test_mistakes_are_said_in_words(arm, tmp_path):
    texture = painted(arm, "base_color")
    with pytest.raises(OutputError):
        export(arm, texture, tmp_path / "nowhere" / "x.glb")
    bare = Mesh.from_arrays(np.eye(3), [[0, 1, 2]])
    with pytest.raises(StudioError, match="no UVs"):
        export(bare, painted(bare, "base_color"), tmp_path / "x.glb")
    arm.source.path.write_bytes(models.arm(uv=False).glb())
    with pytest.raises(MeshError, match="changed"):
        export(arm, texture, tmp_path / "x.glb")
    assert not (tmp_path / "x.glb").exists()
