"""A glTF document of a mesh whose source is another format: its scale, names, normals and UVs, one primitive per material."""

from __future__ import annotations

import numpy as np

from studio.exporters._gltf import Document, Tree
from studio.exporters._gltf_split import add_indices, unique_rows
from studio.exporters._maps import png
from studio.exporters._source import Origin
from studio.surface.mesh import Material, Mesh

_FLOAT3, _FLOAT2 = {"componentType": 5126, "type": "VEC3"}, {"componentType": 5126, "type": "VEC2"}


def build(mesh: Mesh, origin: Origin) -> Document:
    """The mesh in its source's own units, one node per object, with the materials and maps it was loaded with.

    After an unwrap the old maps lie on other UVs and are left out. Material i of the document is texture set i of the mesh.
    """
    document = Document()
    for material in mesh.sets:
        document.add("materials", **_material(document, material, with_maps=not origin.unwrapped))
    corners = origin.corners.astype(np.float32)
    nodes = []
    for name, faces in _objects(mesh, origin.data):
        owner = mesh.face_set[faces]
        primitives = [_primitive(document, mesh, corners, faces[owner == s], s) for s in np.unique(owner).tolist()]
        index = document.add("meshes", name=name, primitives=primitives)
        nodes.append(document.add("nodes", name=name, mesh=index))
    document.tree["scene"] = document.add("scenes", nodes=nodes)
    return document


def _objects(mesh: Mesh, data: bytes) -> list[tuple[str, np.ndarray]]:
    """Names and faces of an OBJ's objects (`o`, without these the whole) in order of first use; the whole for other formats."""
    everything = np.arange(len(mesh.faces))
    if mesh.source.kind != "obj":
        return [(mesh.name, everything)]
    lines = [(n, line.split(None, 1)) for n, line in enumerate(data.split(b"\n")) if line.lstrip()[:2] == b"o "]
    named = [(n, words[1].decode("utf-8", "replace").strip()) for n, words in lines if len(words) == 2]
    if not named:
        return [(mesh.name, everything)]
    at = np.searchsorted([n for n, _ in named], mesh.source.face_item) - 1
    owner = np.array([mesh.name, *(name for _, name in named)])[at + 1]
    return [(name, everything[owner == name]) for name in dict.fromkeys(owner.tolist())]


def _primitive(document: Document, mesh: Mesh, corners: np.ndarray, faces: np.ndarray, material: int) -> Tree:
    columns = [corners[faces].reshape(-1, 3), mesh.corner_normals[faces].reshape(-1, 3)]
    if mesh.corner_uv is not None:
        columns.append(mesh.corner_uv[faces].reshape(-1, 2))
    position, normal, *uv, place = unique_rows(*columns)
    attributes = {
        "POSITION": document.add_accessor(position, {**_FLOAT3, "min": [], "max": []}),
        "NORMAL": document.add_accessor(normal, _FLOAT3),
    }
    if uv:
        attributes["TEXCOORD_0"] = document.add_accessor(uv[0], _FLOAT2)
    return {"attributes": attributes, "indices": add_indices(document, place.reshape(-1, 3)), "material": material}


def _material(document: Document, material: Material, *, with_maps: bool) -> Tree:
    pbr: Tree = {"roughnessFactor": material.roughness, "metallicFactor": material.metallic}
    if material.base_factor != (1.0, 1.0, 1.0, 1.0):
        pbr["baseColorFactor"] = list(material.base_factor)
    maps = {"baseColorTexture": material.base_color, "metallicRoughnessTexture": material.metallic_roughness}
    for slot, pixels in maps.items():
        if with_maps and pixels is not None:
            view = document.add_view(png(pixels))
            image = document.add("images", mimeType="image/png", bufferView=view)
            pbr[slot] = {"index": document.add("textures", source=image)}
    see_through = {"alphaMode": "BLEND"} if material.base_factor[3] < 1 else {}
    return {"name": material.name, "pbrMetallicRoughness": pbr, **see_through}
