"""glTF 2.0 (`.gltf`, `.glb`) → raw arrays, remembering the primitive and triangle behind every face.

Written from the Khronos specification: accessors (strided, sparse, quantised), node transforms, skins in their resting pose,
morph weights, triangle lists, strips and fans, and metallic-roughness materials.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

from studio.errors import MeshError
from studio.surface import _files
from studio.surface._gltf_material import Materials
from studio.surface._source import MAX_FACES, Damaged, Part, Raw

_DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_COMPRESSIONS = ("KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_meshopt_compression")


def read_gltf(data: bytes, folder: _files.Folder) -> Raw:
    """The raw mesh of a glTF file's scene. Raises MeshError, or one of `_source.DAMAGED` for a malformed structure."""
    document, chunk = _split(data)
    return _Reader(document, chunk, folder).raw()


def _split(data: bytes) -> tuple[dict[str, Any], bytes | None]:
    """The JSON document and the binary chunk of a GLB, or a plain glTF document."""
    again = "Export or download it again."
    if data[:4] != b"glTF":
        text = data.decode("utf-8-sig")
        if not text.lstrip().startswith("{"):
            raise Damaged("it is neither GLB nor glTF")
        return _json(text), None
    if len(data) < 20:
        raise MeshError("The GLB file breaks off within its header.", again)
    version, length, json_length, kind = struct.unpack_from("<4xIIII", data)
    if version != 2:
        raise MeshError(f"The file is glTF version {version}, the studio reads version 2.", "Export it as glTF 2.0.")
    if length > len(data):
        raise MeshError(f"The GLB file breaks off: it has {len(data):,} of {length:,} bytes.", again)
    if kind != 0x4E4F534A or 20 + json_length > length:
        raise Damaged("its first chunk is not JSON")
    document = _json(data[20 : 20 + json_length].decode("utf-8"))
    at = 20 + json_length
    while at + 8 <= length:
        size, kind = struct.unpack_from("<II", data, at)
        if at + 8 + size > length:
            raise MeshError("The GLB file breaks off within its binary data.", again)
        if kind == 0x004E4942:
            return document, data[at + 8 : at + 8 + size]
        at += 8 + size
    return document, None


def _json(text: str) -> dict[str, Any]:
    try:
        return json.loads(text)
    except ValueError:
        raise Damaged("its JSON cannot be read") from None


class _Reader:
    """One document being read."""

    def __init__(self, document: dict[str, Any], chunk: bytes | None, folder: _files.Folder) -> None:
        asset = document.get("asset") if isinstance(document, dict) else None
        if not isinstance(asset, dict) or not str(asset.get("version")).startswith("2"):
            raise Damaged("it is not glTF version 2")
        for name in _COMPRESSIONS:
            if name in document.get("extensionsRequired", ()):
                remedy = "Export it without compression, or decompress it with 'gltf-transform copy'."
                raise MeshError(f"The mesh is compressed ({name}), which the studio does not read.", remedy)
        self.document, self.chunk, self.folder = document, chunk, folder
        self.notes: list[str] = []
        self.buffers: dict[int, bytes] = {}
        self.materials = Materials(self)

    def item(self, kind: str, i: Any) -> dict[str, Any]:
        """Element i of a top-level list. Raises Damaged when it does not exist."""
        items = self.document.get(kind, [])
        if not isinstance(i, int) or isinstance(i, bool) or not 0 <= i < len(items):
            raise Damaged(f"{kind} has no element {i}")
        return items[i]

    # -- binary data --------------------------------------------------------------------------------------------------------

    def view(self, i: int) -> tuple[memoryview, int | None]:
        """The bytes of a buffer view, and its stride."""
        view = self.item("bufferViews", i)
        start, length = view.get("byteOffset", 0), view["byteLength"]
        number = view["buffer"]
        if number not in self.buffers:
            buffer = self.item("buffers", number)
            if "uri" in buffer:
                self.buffers[number] = self.folder.read_uri(buffer["uri"])
            elif number == 0 and self.chunk is not None:
                self.buffers[number] = self.chunk
            else:
                raise Damaged(f"buffer {number} has no data")
        data = self.buffers[number]
        if start < 0 or length < 0 or start + length > len(data):
            raise Damaged(f"buffer view {i} reaches beyond its buffer")
        return memoryview(data)[start : start + length], view.get("byteStride")

    def accessor(self, i: int) -> np.ndarray:
        """An accessor's elements [count, width]: floats as float64 (normalised integers expanded), integers as int64."""
        a = self.item("accessors", i)
        if a["componentType"] not in _DTYPES or a["type"] not in _WIDTHS:
            raise Damaged(f"accessor {i} has an unknown type")
        dtype, width, count = np.dtype(_DTYPES[a["componentType"]]), _WIDTHS[a["type"]], a["count"]
        if not 0 <= count * width <= 9 * MAX_FACES:
            raise Damaged(f"accessor {i} claims {count} elements")
        if "bufferView" in a:
            values = self._strided(a, dtype, width, count)
        else:
            values = np.zeros((count, width), dtype)
        if "sparse" in a:
            s = a["sparse"]
            where = self._strided(s["indices"], np.dtype(_DTYPES[s["indices"]["componentType"]]), 1, s["count"])[:, 0]
            values = values.copy()
            values[where] = self._strided(s["values"], dtype, width, s["count"])
        if dtype.kind == "f":
            return values.astype(np.float64)
        if not a.get("normalized"):
            return values.astype(np.int64)
        return np.maximum(values / np.iinfo(dtype).max, -1.0)

    def _strided(self, where: dict[str, Any], dtype: np.dtype, width: int, count: int) -> np.ndarray:
        data, stride = self.view(where["bufferView"])
        offset, size = where.get("byteOffset", 0), dtype.itemsize * width
        stride = stride or size
        if offset < 0 or count < 0 or stride < size or (count and offset + (count - 1) * stride + size > len(data)):
            raise Damaged("an accessor reaches beyond its buffer view")
        if not count:
            return np.zeros((0, width), dtype)
        return np.ndarray((count, width), dtype, data, offset, (stride, dtype.itemsize))

    # -- the scene ----------------------------------------------------------------------------------------------------------

    def placed(self) -> list[tuple[int, np.ndarray]]:
        """The scene's nodes with a mesh, in file order, each with its transform to the scene [4, 4]."""
        nodes = self.document.get("nodes", [])
        children = [[int(c) for c in n.get("children", ())] for n in nodes]
        below = [c for cs in children for c in cs]
        if len(set(below)) != len(below):
            raise Damaged("a node has two parents")
        roots = sorted(set(range(len(nodes))) - set(below))
        self.T: dict[int, np.ndarray] = {}
        todo = [(i, np.eye(4)) for i in roots]
        while todo:
            i, T = todo.pop()
            self.T[i] = T @ _local(self.item("nodes", i))
            todo += [(c, self.T[i]) for c in children[i]]
        if self.document.get("scenes"):
            roots = self.item("scenes", self.document.get("scene", 0)).get("nodes", [])
        shown, todo = set(), list(roots)
        while todo:
            i = todo.pop()
            if i not in self.T or i in shown:
                raise Damaged("its nodes form a loop")
            shown.add(i)
            todo += children[i]
        return [(i, self.T[i]) for i in sorted(shown) if "mesh" in nodes[i]]

    def raw(self) -> Raw:
        """All triangles of the scene."""
        runs, parts, skipped, total, vertices = [], [], 0, 0, 0
        for node, T in self.placed():
            instance = self.item("nodes", node)
            if "EXT_mesh_gpu_instancing" in instance.get("extensions", {}):
                self.notes.append(f"Node {node} is repeated by instancing: only one copy is shown.")
            for p, primitive in enumerate(self.item("meshes", instance["mesh"])["primitives"]):
                if primitive.get("mode", 4) not in (4, 5, 6) or "POSITION" not in primitive["attributes"]:
                    skipped += 1
                    continue
                run = self.run(primitive, instance, T)
                total += len(run["faces"])
                if total > MAX_FACES:
                    raise MeshError(f"The scene has more than {MAX_FACES:,} triangles.", "Reduce it, or export a part of it.")
                run["faces"] = run["faces"] + vertices
                vertices += len(run["vertices"])
                run["face_part"] = np.full(len(run["faces"]), len(parts))
                parts.append(Part(instance["mesh"], p, node))
                runs.append(run)
        if any("COLOR_0" in p["attributes"] for m in self.document.get("meshes", ()) for p in m["primitives"]):
            self.notes.append("Vertex colours are kept in the file, but not shown.")
        if skipped:
            self.notes.append(f"{skipped} primitive(s) of points or lines: kept in the file, not shown.")
        if not runs:
            raise MeshError("The file's scene has no faces to paint.", "Open a file with at least one triangle in its scene.")
        material = np.concatenate([r.pop("material") for r in runs])
        # The material of faces without one comes last.
        order = sorted(np.unique(material).tolist(), key=lambda m: (m < 0, m))
        sets = tuple(self.materials.material(m) for m in order)
        face_set = np.array([order.index(m) for m in range(-1, max(order) + 1) if m in order])
        face_set = face_set[np.searchsorted(sorted(order), material)]
        arrays = {key: np.concatenate([r[key] for r in runs]) for key in runs[0]}
        return Raw(**arrays, face_set=face_set, sets=sets, parts=tuple(parts), notes=self.notes)

    def run(self, primitive: dict[str, Any], node: dict[str, Any], T: np.ndarray) -> dict[str, np.ndarray]:
        """One primitive as placed by one node: Raw's arrays with faces into its own vertices, and its material."""
        attributes = primitive["attributes"]
        positions = self.accessor(attributes["POSITION"]).astype(np.float64)
        count = len(positions)
        normals = np.full((count, 3), np.nan)
        if "NORMAL" in attributes:
            normals = self.accessor(attributes["NORMAL"]).astype(np.float64)
        weights = node.get("weights", self.item("meshes", node["mesh"]).get("weights", ()))
        for weight, target in zip(weights, primitive.get("targets", ()), strict=False):
            if weight and "POSITION" in target:
                positions = positions + weight * self.accessor(target["POSITION"])
            if weight and "NORMAL" in target:
                normals = normals + weight * self.accessor(target["NORMAL"])
        matrices = self.skinning(attributes, node["skin"]) if "skin" in node and "JOINTS_0" in attributes else T[None]
        positions, normals, mirrored = _transformed(matrices, positions, normals)
        uv = self.materials.uv(primitive.get("material", -1), attributes, count)

        listed = self.accessor(primitive["indices"])[:, 0] if "indices" in primitive else np.arange(count)
        corner = _triangles(len(listed), primitive.get("mode", 4))
        if mirrored:
            corner = corner[:, [0, 2, 1]]
        faces = listed[corner].reshape(-1, 3)
        if len(faces) and (faces.max() >= count or faces.min() < 0):
            raise Damaged(f"a face refers to vertex {int(faces.max())} of {count}")
        return {
            "vertices": positions,
            "faces": faces,
            "corner_normals": normals[faces],
            "corner_uv": uv[faces],
            "face_item": np.arange(len(faces)),
            "face_corner": corner,
            "material": np.full(len(faces), primitive.get("material", -1)),
        }

    def skinning(self, attributes: dict[str, int], skin: int) -> np.ndarray:
        """The matrices [N, 4, 4] that put a skinned primitive's vertices into its resting pose in the scene."""
        described = self.item("skins", skin)
        bones = np.stack([self.T[j] for j in described["joints"]])
        if "inverseBindMatrices" in described:
            inverse = self.accessor(described["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
            bones = bones @ inverse[: len(bones)]
        blended, total, k = 0.0, 0.0, 0
        while f"JOINTS_{k}" in attributes:
            joints, weights = self.accessor(attributes[f"JOINTS_{k}"]), self.accessor(attributes[f"WEIGHTS_{k}"])
            for c in range(4):
                blended = blended + weights[:, c, None, None] * bones[joints[:, c]]
                total = total + weights[:, c]
            k += 1
        total = np.asarray(total)[:, None, None]
        return np.where(total > 0, blended / np.where(total > 0, total, 1), np.eye(4))


def _local(node: dict[str, Any]) -> np.ndarray:
    """A node's own transform [4, 4]: its matrix, or translation · rotation · scale."""
    if "matrix" in node:
        T = np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
    else:
        x, y, z, w = np.array(node.get("rotation", (0, 0, 0, 1)), dtype=np.float64)
        R = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        T = np.eye(4)
        T[:3, :3] = np.array(R) * np.array(node.get("scale", (1, 1, 1)), dtype=np.float64)
        T[:3, 3] = node.get("translation", (0, 0, 0))
    if not np.isfinite(T).all():
        raise Damaged("a node's transform is not finite")
    return T


def _transformed(T: np.ndarray, positions: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Positions and normals [N, 3] under T [N or 1, 4, 4], and whether it mirrors.

    Normals use the cofactors, which are det · inverse transpose but exist for flat transforms too.
    """
    A = T[:, :3, :3]
    cofactors = np.stack([np.cross(A[:, 1], A[:, 2]), np.cross(A[:, 2], A[:, 0]), np.cross(A[:, 0], A[:, 1])], axis=1)
    sign = np.sign(np.linalg.det(A))
    moved = np.matmul(A, positions[..., None])[..., 0] + T[:, :3, 3]
    turned = np.matmul(cofactors * sign[:, None, None], normals[..., None])[..., 0]
    return moved, turned, bool(sign.sum() < 0)


def _triangles(count: int, mode: int) -> np.ndarray:
    """Positions [F, 3] in a list of `count` vertices that make triangles: 4 list, 5 strip, 6 fan."""
    if mode == 4:
        return np.arange(count // 3 * 3).reshape(-1, 3)
    i = np.arange(max(count - 2, 0))
    odd = i % 2
    return np.stack([i, i + 1 + odd, i + 2 - odd] if mode == 5 else [i + 1, i + 2, 0 * i], axis=1)
