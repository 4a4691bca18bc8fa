"""Small glTF files for tests, written byte by byte without the code under test."""

import io
import json
import struct
from pathlib import Path

import numpy as np

ROWS, COLUMNS = 6, 3
"""Vertices of the arm: a strip bent by two joints."""
KINDS = {"u1": 5121, "u2": 5123, "u4": 5125, "f4": 5126}
TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}


class Builder:
    """A glTF tree and its binary data, one buffer view for each array or picture."""

    def __init__(self):
        self.tree = {"asset": {"version": "2.0", "generator": "tests", "extras": {"author": "someone"}}}
        self.binary = b""

    def add(self, kind, **item):
        self.tree.setdefault(kind, []).append(item)
        return len(self.tree[kind]) - 1

    def view(self, data, **more):
        self.binary += bytes(-len(self.binary) % 4)
        self.binary += data
        return self.add("bufferViews", buffer=0, byteOffset=len(self.binary) - len(data), byteLength=len(data), **more)

    def array(self, values, *, target=34962, bounds=False, **more):
        values = np.asarray(values)
        flat = values.reshape(len(values), -1)
        view = self.view(values.tobytes(), **({"target": target} if target else {}))
        if bounds:
            more |= {"min": flat.min(0).tolist(), "max": flat.max(0).tolist()}
        kind = KINDS[values.dtype.str[1:]]
        return self.add("accessors", bufferView=view, componentType=kind, count=len(values), type=TYPES[flat.shape[1]], **more)

    def picture(self, pixels, name):
        image = self.add("images", name=name, mimeType="image/png", bufferView=self.view(png(pixels)))
        return self.add("textures", source=image, name=name)

    def glb(self):
        tree = {**self.tree, "buffers": [{"byteLength": len(self.binary)}]}
        text = json.dumps(tree).encode()
        text += b" " * (-len(text) % 4)
        binary = self.binary + bytes(-len(self.binary) % 4)
        body = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(binary), 0x004E4942) + binary
        return struct.pack("<III", 0x46546C67, 2, 12 + len(body)) + body

    def gltf(self, folder: Path):
        """`arm.gltf` with its buffer in two files and its first picture in a third; the path of the first."""
        tree = json.loads(json.dumps(self.tree))
        half = tree["bufferViews"][3]["byteOffset"]
        for view in tree["bufferViews"][3:]:
            view |= {"buffer": 1, "byteOffset": view["byteOffset"] - half}
        parts = {"first half.bin": self.binary[:half], "second.bin": self.binary[half:]}
        tree["buffers"] = [{"uri": n.replace(" ", "%20"), "byteLength": len(d)} for n, d in parts.items()]
        if tree.get("images"):
            view = tree["bufferViews"][tree["images"][0].pop("bufferView")]
            del tree["images"][0]["mimeType"]
            tree["images"][0]["uri"] = "colour%20map.png"
            start = view["byteOffset"] + half * view["buffer"]
            parts["colour map.png"] = self.binary[start : start + view["byteLength"]]
        for name, data in parts.items():
            (folder / name).write_bytes(data)
        (folder / "arm.gltf").write_text(json.dumps(tree))
        return folder / "arm.gltf"


def read_glb(data):
    """(tree, binary) of a GLB."""
    size = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + size]), data[28 + size :]


def accessor_bytes(tree, binary, index):
    """What an accessor's elements are in memory, whatever its stride."""
    item = tree["accessors"][index]
    view = tree["bufferViews"][item["bufferView"]]
    kind = {v: k for k, v in KINDS.items()}[item["componentType"]]
    size = {v: k for k, v in TYPES.items()}[item["type"]] * int(kind[1])
    start, stride = view.get("byteOffset", 0) + item.get("byteOffset", 0), view.get("byteStride", size)
    return b"".join(binary[start + i * stride : start + i * stride + size] for i in range(item["count"]))


def image_pixels(tree, binary, texture):
    from PIL import Image

    view = tree["bufferViews"][tree["images"][tree["textures"][texture]["source"]]["bufferView"]]
    data = binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
    return np.asarray(Image.open(io.BytesIO(data)))


def png(pixels):
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(file, "PNG")
    return file.getvalue()


def noise(size, channels, seed):
    return np.random.default_rng(seed).integers(0, 256, (size, size, channels), dtype=np.uint8)


def grid_triangles(rows, columns):
    i = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = (x.ravel() for x in (i[:-1, :-1], i[:-1, 1:], i[1:, :-1], i[1:, 1:]))
    return np.concatenate([np.stack([a, b, d], 1), np.stack([a, d, c], 1)])


def arm(*, textured=True, colors=None, uv=True, transform=None):
    """A skinned, animated strip with two UV sets, a morph target, two materials, extras; three nodes.

    The strip's lower half has material "skin" (colour map, packed occlusion / surface map, normal map on the second UV set), the
    upper half "sleeve" (the same colour map; alpha by mask). `colors` [n, 4] float32 become COLOR_0.
    """
    b = Builder()
    y, x = np.meshgrid(np.arange(ROWS), np.arange(COLUMNS), indexing="ij")
    place = np.stack([x.ravel() - 1.0, y.ravel() * 0.7, 0.1 * x.ravel() ** 2], 1).astype(np.float32)
    n = len(place)
    weights = np.zeros((n, 4), np.float32)
    weights[:, 1] = (y.ravel() + 1) / (ROWS + 1)
    weights[:, 0] = 1 - weights[:, 1]
    attributes = {
        "POSITION": b.array(place, bounds=True),
        "NORMAL": b.array(np.tile(np.float32([0, 0, 1]), (n, 1))),
        "JOINTS_0": b.array(np.tile(np.uint8([0, 1, 0, 0]), (n, 1))),
        "WEIGHTS_0": b.array(weights),
    }
    if uv:
        first = np.stack([0.05 + 0.3 * x.ravel(), 0.05 + 0.15 * y.ravel()], 1).astype(np.float32)
        attributes["TEXCOORD_0"] = b.array(first)
        attributes["TEXCOORD_1"] = b.array(first[:, ::-1].copy())
    if colors is not None:
        attributes["COLOR_0"] = b.array(np.asarray(colors, np.float32))
    bulge = {"POSITION": b.array(np.float32(0.2) * place[:, ::-1].copy(), bounds=True), "NORMAL": b.array(np.zeros((n, 3), "f4"))}
    triangles = grid_triangles(ROWS, COLUMNS).astype(np.uint16)
    low = (triangles // COLUMNS).max(1) <= ROWS // 2
    halves = [triangles[low].ravel(), triangles[~low].ravel()]
    skin: dict = {"name": "skin", "extras": {"layer": 3}}
    sleeve: dict = {"name": "sleeve", "alphaMode": "MASK", "doubleSided": True}
    if textured:
        color, packed = b.picture(noise(16, 4, 1), "colours"), b.picture(noise(16, 3, 2), "packed")
        bumps = b.picture(np.full((8, 8, 3), [128, 128, 255]), "bumps")
        place_info = {"extensions": {"KHR_texture_transform": transform}} if transform else {}
        skin["pbrMetallicRoughness"] = {
            "baseColorTexture": {"index": color, **place_info},
            "metallicRoughnessTexture": {"index": packed, **place_info},
            "baseColorFactor": [0.5, 1, 1, 1],
            "roughnessFactor": 0.5,
        }
        skin["occlusionTexture"] = {"index": packed, "strength": 0.5, **place_info}
        skin["normalTexture"] = {"index": bumps, "texCoord": 1}
        sleeve["pbrMetallicRoughness"] = {"baseColorTexture": {"index": color, **place_info}}
        if transform:
            b.tree["extensionsUsed"] = ["KHR_texture_transform"]
    primitives = [
        {"attributes": dict(attributes), "indices": b.array(h, target=34963), "material": m, "targets": [dict(bulge)]}
        for m, h in enumerate(halves)
    ]
    b.add("materials", **skin)
    b.add("materials", **sleeve)
    mesh = b.add("meshes", name="strip", primitives=primitives, weights=[0.0])
    inverse = np.tile(np.eye(4, dtype=np.float32).ravel(), (2, 1))
    inverse[1, 13] = -2
    b.add("skins", joints=[1, 2], inverseBindMatrices=b.array(inverse, target=None), name="bones")
    b.add("nodes", name="arm", mesh=mesh, skin=0, extras={"keep": [1, 2.5, "ä"]})
    b.add("nodes", name="shoulder", children=[2])
    b.add("nodes", name="elbow", translation=[0, 2, 0])
    time = b.array(np.float32([0, 1]), target=None, bounds=True)
    turn = b.array(np.float32([[0, 0, 0, 1], [0, 0, 0.6, 0.8]]), target=None)
    swell = b.array(np.float32([0, 1]), target=None)
    samplers = [{"input": time, "output": turn}, {"input": time, "output": swell}]
    moved = [(2, "rotation"), (0, "weights")]
    channels = [{"sampler": i, "target": {"node": n, "path": path}} for i, (n, path) in enumerate(moved)]
    b.add("animations", name="bend", samplers=samplers, channels=channels)
    b.add("scenes", nodes=[0, 1], name="stage")
    b.tree["scene"] = 0
    return b
