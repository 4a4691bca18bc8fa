"""A glTF file as a tree of JSON and the bytes of its buffer views, so that it can be changed in one place and kept in all others.

Accessors name buffer views by index, and a view's bytes are carried whole: whatever is not asked to change comes out identical,
known or unknown to the studio. Specification: Khronos glTF 2.0, sections 3.6 (binary data) and 4 (GLB).
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from studio.errors import MeshError
from studio.surface._files import Folder, Outside

ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
_COMPONENT = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_WIDTH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_GLB, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
_REEXPORT = "Export it again from the program it comes from."

Tree = dict[str, Any]


@dataclass
class Document:
    """`tree` is the JSON; `views[i]` the bytes of bufferViews[i]; `chunks` what a GLB holds beside JSON and BIN.

    `free[kind]` are places in a list of the tree whose old value nothing refers to any more: `add` fills these first.
    """

    tree: Tree = field(default_factory=lambda: {"asset": {"version": "2.0"}})
    views: list[bytes] = field(default_factory=list)
    chunks: list[tuple[int, bytes]] = field(default_factory=list)
    free: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def read(cls, raw: bytes, folder: Folder) -> Document:
        """A .glb or .gltf file's bytes; the buffers and pictures beside it become part of the document. Raises MeshError."""
        try:
            chunks = _chunks(raw) if raw[:4] == b"glTF" else [(_JSON, raw)]
            tree = json.loads(chunks.pop(0)[1])
            binary = chunks.pop(0)[1] if chunks and chunks[0][0] == _BIN else b""
            buffers = [folder.read_uri(b["uri"]) if "uri" in b else binary for b in tree.get("buffers", [])]
            views = []
            for view in tree.get("bufferViews", []):
                if "EXT_meshopt_compression" in view.get("extensions", {}):
                    raise MeshError("The glTF file's buffers are compressed (meshopt).", "Save it without compression.")
                start = view.get("byteOffset", 0)
                data = buffers[view["buffer"]][start : start + view["byteLength"]]
                if len(data) != view["byteLength"]:
                    raise MeshError("The glTF file is cut short: a buffer ends too early.", _REEXPORT)
                views.append(data)
        except (ValueError, KeyError, IndexError, TypeError, struct.error) as error:
            raise MeshError(f"The glTF file is damaged: {error}.", _REEXPORT) from error
        except Outside as error:
            raise MeshError(f"The glTF file refers to '{error}', which lies outside its own folder.", _REEXPORT) from None
        document = cls(tree, views, chunks)
        for image in tree.get("images", []):
            document._embed(image, folder)
        return document

    def add(self, kind: str, **value: Any) -> int:
        """Put an item into one of the tree's lists (`kind`: "images", "nodes", …); its index. None values are left out."""
        items = self.tree.setdefault(kind, [])
        item = {k: v for k, v in value.items() if v is not None}
        if free := self.free.get(kind):
            items[free[0]] = item
            return free.pop(0)
        items.append(item)
        return len(items) - 1

    def add_view(self, data: bytes, *, target: int | None = None, stride: int | None = None) -> int:
        """Put in a buffer view with these bytes and return its index."""
        index = self.add("bufferViews", byteLength=len(data), byteStride=stride, target=target)
        self.views[index : index + 1] = [data]
        return index

    def add_accessor(self, values: np.ndarray, like: Tree, *, target: int | None = ARRAY_BUFFER) -> int:
        """Put in an accessor of `values` [n, c], typed as `like` (componentType, type and what else an accessor may say)."""
        values = np.ascontiguousarray(values, dtype=_COMPONENT[like["componentType"]]).reshape(len(values), -1)
        pad = -values.shape[1] * values.itemsize % 4 if target == ARRAY_BUFFER else 0
        stride = values.shape[1] * values.itemsize + pad
        data = np.pad(values.view(np.uint8), ((0, 0), (0, pad))).tobytes()
        view = self.add_view(data, target=target, stride=stride if pad else None)
        kept = {k: v for k, v in like.items() if k not in ("bufferView", "byteOffset", "sparse", "count", "min", "max")}
        bounds = {}
        if "min" in like or "max" in like:
            bounds = {"min": values.min(0).tolist(), "max": values.max(0).tolist()}
        return self.add("accessors", **kept, bufferView=view, count=len(values), **bounds)

    def accessor(self, index: int) -> np.ndarray:
        """The stored numbers [n, c] of an accessor, not normalised; sparse ones are made dense."""
        item = self.tree["accessors"][index]
        width, dtype, count = _WIDTH[item["type"]], np.dtype(_COMPONENT[item["componentType"]]), item["count"]
        values = self._strided(item, count, width, dtype) if "bufferView" in item else np.zeros((count, width), dtype)
        if "sparse" in item:
            sparse = item["sparse"]
            kind = np.dtype(_COMPONENT[sparse["indices"]["componentType"]])
            places = self._strided(sparse["indices"], sparse["count"], 1, kind)[:, 0]
            values = values.copy()
            values[places] = self._strided(sparse["values"], sparse["count"], width, dtype)
        return values

    def to_glb(self) -> bytes:
        """The whole as one GLB with a single buffer."""
        binary = bytearray()
        for view, data in zip(self.tree.get("bufferViews", []), self.views, strict=True):
            binary += bytes(-len(binary) % 4)
            view.update(buffer=0, byteOffset=len(binary), byteLength=len(data))
            binary += data
        self.tree.pop("buffers", None)
        if binary:
            self.tree["buffers"] = [{"byteLength": len(binary)}]
        text = json.dumps(self.tree, separators=(",", ":")).encode()
        chunks = [(_JSON, text + b" " * (-len(text) % 4))]
        if binary:
            chunks.append((_BIN, bytes(binary) + bytes(-len(binary) % 4)))
        body = b"".join(struct.pack("<II", len(data), kind) + data for kind, data in chunks + self.chunks)
        return struct.pack("<III", _GLB, 2, 12 + len(body)) + body

    def _embed(self, image: Tree, folder: Folder) -> None:
        """A picture behind a uri into a buffer view; one that cannot be had stays as it is, as when the mesh was loaded."""
        if "uri" not in image:
            return
        try:
            data = folder.read_uri(image["uri"])
        except (MeshError, Outside):
            return
        kinds = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp", b"\xabKTX": "image/ktx2"}
        kind = next((k for magic, k in kinds.items() if data.startswith(magic)), None)
        if kind:
            uri = image.pop("uri")
            image.update(bufferView=self.add_view(data), mimeType=kind)
            if not uri.startswith("data:"):
                image.setdefault("name", uri.rsplit("/", 1)[-1])

    def _strided(self, at: Tree, count: int, width: int, dtype: np.dtype) -> np.ndarray:
        stride = self.tree["bufferViews"][at["bufferView"]].get("byteStride", width * dtype.itemsize)
        data = self.views[at["bufferView"]]
        return np.ndarray((count, width), dtype, data, at.get("byteOffset", 0), (stride, dtype.itemsize))


def _chunks(raw: bytes) -> list[tuple[int, bytes]]:
    at, found = 12, []
    while at + 8 <= len(raw):
        size, kind = struct.unpack_from("<II", raw, at)
        found.append((kind, raw[at + 8 : at + 8 + size]))
        at += 8 + size
    if not found or found[0][0] != _JSON:
        raise ValueError("a GLB must begin with its JSON")
    return found
