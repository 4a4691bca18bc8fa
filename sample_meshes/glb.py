"""The GLB writer."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from charts import Part


def write_glb(path: Path, parts: Sequence[Part]) -> None:
    """Write the parts as one glTF 2.0 mesh, a primitive and a material each, into a binary file."""
    blob, views, accessors, primitives, materials = bytearray(), [], [], [], []

    def add(array: np.ndarray, component: int, shape: str, target: int) -> int:
        views.append({"buffer": 0, "byteOffset": len(blob), "byteLength": array.nbytes, "target": target})
        accessors.append({"bufferView": len(views) - 1, "componentType": component, "count": len(array), "type": shape})
        blob.extend(array.tobytes() + b"\0" * (-array.nbytes % 4))
        return len(accessors) - 1

    for part in parts:
        vertices = part.vertices.astype("<f4")
        attributes = {"POSITION": add(vertices, 5126, "VEC3", 34962)}
        accessors[-1] |= {"min": vertices.min(axis=0).tolist(), "max": vertices.max(axis=0).tolist()}
        attributes["NORMAL"] = add(part.normals.astype("<f4"), 5126, "VEC3", 34962)
        if part.uv is not None:
            attributes["TEXCOORD_0"] = add(part.uv.astype("<f4"), 5126, "VEC2", 34962)
        small = len(vertices) < 65535
        indices = add(part.faces.astype("<u2" if small else "<u4").ravel(), 5123 if small else 5125, "SCALAR", 34963)
        primitives.append({"attributes": attributes, "indices": indices, "material": len(materials)})
        surface = {"baseColorFactor": [*part.colour, 1.0], "metallicFactor": part.metallic, "roughnessFactor": part.roughness}
        materials.append({"name": part.material, "pbrMetallicRoughness": surface})
    document = {
        "asset": {"version": "2.0", "generator": "Patina Studio sample meshes"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": path.stem}],
        "meshes": [{"name": path.stem, "primitives": primitives}],
        "materials": materials,
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(blob)}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    header = struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(blob))
    path.write_bytes(header + struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(blob), b"BIN\0") + blob)
