"""New UVs into the primitives of a glTF document: vertices are split where the new charts are cut.

Every attribute, joints, weights and morph targets included, keeps the numbers of the vertex it was split from; nodes, skins and
animations do not notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from studio.exporters._gltf import ELEMENT_ARRAY_BUFFER, Document, Tree
from studio.exporters._gltf_paint import uses
from studio.surface.mesh import Mesh

_Stored = dict[str, tuple[Tree, np.ndarray]]
"""Attribute name → the accessor it was, and the numbers it now holds."""


@dataclass(frozen=True, eq=False)
class _Split:
    """A primitive's new vertices: attributes, morph targets, `uv` [n, 2], and `triangles` [f, 3] wound as in the file."""

    attributes: _Stored
    targets: list[_Stored]
    uv: np.ndarray
    triangles: np.ndarray


def split(document: Document, mesh: Mesh, uv_set: Mapping[int, int]) -> None:
    """Put `mesh.corner_uv` into the primitives it came from, as the TEXCOORD number that `uv_set` gives for their material.

    Primitives whose material is not in `uv_set` stay as they are. A mesh that several nodes show has a chart for each of them, so
    all but the first get their own copy.
    """
    own: dict[int, int] = {}
    rewritten: list[tuple[Tree, _Split]] = []
    for part, described in enumerate(mesh.source.parts):
        faces = np.flatnonzero(mesh.source.face_part == part)
        meshes = document.tree["meshes"]
        shared = meshes[described.mesh]["primitives"][described.primitive]
        if not len(faces) or shared.get("material", -1) not in uv_set:
            continue
        node = document.tree["nodes"][described.node]
        if own.setdefault(described.mesh, described.node) != described.node and node["mesh"] == described.mesh:
            copy = meshes[described.mesh]
            node["mesh"] = document.add("meshes", **{**copy, "primitives": [dict(p) for p in copy["primitives"]]})
        primitive = meshes[node["mesh"]]["primitives"][described.primitive]
        rewritten.append((primitive, _split(document, primitive, mesh, faces)))
    _release(document, [primitive for primitive, _ in rewritten])
    for primitive, new in rewritten:
        _write(document, primitive, new, uv_set[primitive.get("material", -1)])


def _split(document: Document, primitive: Tree, mesh: Mesh, faces: np.ndarray) -> _Split:
    assert mesh.corner_uv is not None
    order = np.argsort(mesh.source.face_corner[faces], axis=1)
    odd_in_strip = (primitive.get("mode", 4) == 5) & (mesh.source.face_item[faces] % 2 == 1)
    order[odd_in_strip] = order[odd_in_strip][:, [0, 2, 1]]
    places = np.take_along_axis(mesh.source.face_corner[faces], order, axis=1)
    uv = np.take_along_axis(mesh.corner_uv[faces], order[..., None], axis=1)
    listed = document.accessor(primitive["indices"])[:, 0].astype(np.int64) if "indices" in primitive else None
    vertex = (places if listed is None else listed[places]).reshape(-1)
    old, new_uv, corner = unique_rows(vertex, uv.reshape(-1, 2))

    def stored(attributes: dict[str, int]) -> _Stored:
        return {name: (document.tree["accessors"][i], document.accessor(i)[old]) for name, i in attributes.items()}

    targets = [stored(t) for t in primitive.get("targets", [])]
    return _Split(stored(primitive["attributes"]), targets, new_uv, corner.reshape(-1, 3))


def unique_rows(*columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """The distinct rows of arrays [n] or [n, c] side by side, compared bit by bit, and each row's place among them [n].

    Returns the columns of the distinct rows, in order of first appearance, then the places.
    """
    bits = [np.ascontiguousarray(c).reshape(len(c), -1).view(np.uint8) for c in columns]
    rows = np.ascontiguousarray(np.concatenate(bits, axis=1))
    keys = rows.view(np.dtype((np.void, rows.shape[1])))[:, 0]
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    first = np.sort(first)
    return *(c[first] for c in columns), rank[place.reshape(-1)]


def add_indices(document: Document, triangles: np.ndarray) -> int:
    """An accessor of vertex numbers, 16 bits wide where they fit (65,535 itself is reserved)."""
    kind = 5123 if triangles.max() < 65535 else 5125
    return document.add_accessor(triangles.reshape(-1), {"componentType": kind, "type": "SCALAR"}, target=ELEMENT_ARRAY_BUFFER)


def _release(document: Document, primitives: list[Tree]) -> None:
    """Free the accessors that only these primitives use, and the buffer views that only those accessors use.

    The new primitives have at least as many accessors, so every freed place is filled again.
    """
    ours = {id(p) for p in primitives}
    for primitive in primitives:
        primitive.get("extensions", {}).pop("KHR_draco_mesh_compression", None)
    tree = document.tree
    alive = {i for m in tree["meshes"] for p in m["primitives"] if id(p) not in ours for i in _accessors(p)}
    alive |= {skin["inverseBindMatrices"] for skin in tree.get("skins", []) if "inverseBindMatrices" in skin}
    alive |= {s[end] for a in tree.get("animations", []) for s in a["samplers"] for end in ("input", "output")}
    dead = {i for p in primitives for i in _accessors(p)} - alive
    views = set(uses([a for i, a in enumerate(tree["accessors"]) if i in dead], "bufferView"))
    others = {**tree, "accessors": [a for i, a in enumerate(tree["accessors"]) if i not in dead]}
    document.free["accessors"] = sorted(dead)
    document.free["bufferViews"] = sorted(views - set(uses(others, "bufferView")))


def _accessors(primitive: Tree) -> list[int]:
    listed = [primitive["indices"]] if "indices" in primitive else []
    return listed + [i for a in (primitive["attributes"], *primitive.get("targets", [])) for i in a.values()]


def _write(document: Document, primitive: Tree, new: _Split, uv_set: int) -> None:
    kept = {name: stored for name, stored in new.attributes.items() if name != f"TEXCOORD_{uv_set}"}
    attributes = {name: document.add_accessor(values, like) for name, (like, values) in kept.items()}
    index = document.add_accessor(new.uv, {"componentType": 5126, "type": "VEC2"})
    # The specification wants the numbers of UV sets without gaps; a primitive with fewer sets repeats the new one.
    first = next(n for n in range(uv_set + 1) if n == uv_set or f"TEXCOORD_{n}" not in attributes)
    attributes |= {f"TEXCOORD_{n}": index for n in range(first, uv_set + 1)}
    primitive["attributes"] = attributes
    if new.targets:
        primitive["targets"] = [{k: document.add_accessor(v, like) for k, (like, v) in t.items()} for t in new.targets]
    primitive["indices"] = add_indices(document, new.triangles)
    primitive.pop("mode", None)
