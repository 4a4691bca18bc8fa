"""Mesh files made in memory for the tests of the readers."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from studio.surface.mesh import Mesh, load

TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)


def png(color: tuple[int, ...], size: tuple[int, int] = (2, 2)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB" if len(color) == 3 else "RGBA", size, color).save(out, "PNG")
    return out.getvalue()


class Gltf:
    """A glTF document under construction."""

    def __init__(self) -> None:
        self.data = b""
        self.doc: dict[str, Any] = {"asset": {"version": "2.0"}, "accessors": [], "bufferViews": [], "meshes": [], "nodes": []}

    def view(self, data: bytes, **extra: Any) -> int:
        self.data += bytes(-len(self.data) % 4)
        self.doc["bufferViews"].append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data), **extra})
        self.data += data
        return len(self.doc["bufferViews"]) - 1

    def accessor(self, array: Any, kind: str, **extra: Any) -> int:
        array = np.asarray(array)
        code = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}[array.dtype.str[1:]]
        view = self.view(array.tobytes())
        self.doc["accessors"].append({"bufferView": view, "componentType": code, "count": len(array), "type": kind, **extra})
        return len(self.doc["accessors"]) - 1

    def primitive(self, positions: Any = TRIANGLE, indices: Any = None, **attributes: Any) -> dict[str, Any]:
        made: dict[str, Any] = {"attributes": {"POSITION": self.accessor(positions, "VEC3")} | attributes}
        if indices is not None:
            made["indices"] = self.accessor(indices, "SCALAR")
        return made

    def mesh(self, *primitives: dict[str, Any], **node: Any) -> int:
        self.doc["meshes"].append({"primitives": list(primitives)})
        self.doc["nodes"].append({"mesh": len(self.doc["meshes"]) - 1, **node})
        return len(self.doc["nodes"]) - 1

    def glb(self) -> bytes:
        data = self.data + bytes(-len(self.data) % 4)
        text = json.dumps(self.doc | {"buffers": [{"byteLength": len(data)}]}).encode()
        text += b" " * (-len(text) % 4)
        size = 12 + 8 + len(text) + 8 + len(data)
        head = struct.pack("<4sIIII", b"glTF", 2, size, len(text), 0x4E4F534A)
        return head + text + struct.pack("<II", len(data), 0x4E4942) + data

    def load(self, folder: Path) -> Mesh:
        path = folder / "made.glb"
        path.write_bytes(self.glb())
        return load(path)


def written(folder: Path, text: str | bytes, name: str = "made.obj") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def in_source(mesh: Mesh) -> np.ndarray:
    """Work vertices back in the source's units."""
    return (mesh.vertices - mesh.T_work_source[:3, 3]) / mesh.T_work_source[0, 0]
