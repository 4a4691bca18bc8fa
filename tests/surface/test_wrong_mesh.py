"""Wrong, damaged and hostile mesh files: one plain sentence with a remedy, nothing read outside the folder."""

from __future__ import annotations

import json
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio.errors import MeshError
from studio.surface import _files
from studio.surface.mesh import load
from tests.surface.files import TRIANGLE, Gltf, png, written


def said(error: pytest.ExceptionInfo[MeshError]) -> str:
    """The message, after checking that it is two plain sentences."""
    problem, remedy = error.value.problem, error.value.remedy
    assert problem.endswith(".") and remedy.endswith(".") and "\n" not in problem + remedy
    assert "Error" not in problem and "Traceback" not in problem
    return problem


def damaged_files() -> dict[str, tuple[str, bytes]]:
    """What it is → file name and bytes."""

    def glb(**change: Any) -> bytes:
        made = Gltf()
        made.mesh(made.primitive(indices=np.array([0, 1, change.pop("last", 2)], np.uint16)))
        made.doc |= change
        return made.glb()

    def accessors(**change: Any) -> bytes:
        made = Gltf()
        made.mesh(made.primitive())
        made.doc["accessors"][0] |= change
        return made.glb()

    def document(uri: str) -> bytes:
        made = Gltf()
        made.mesh(made.primitive())
        return json.dumps(made.doc | {"buffers": [{"byteLength": 36, "uri": uri}]}).encode()

    good, bad = glb(), Gltf()
    bad.mesh(bad.primitive(np.where(TRIANGLE == 1, np.nan, TRIANGLE).astype(np.float32)))
    obj = b"v 0 0 0\nv 1 0 0\nv 0 1 0\n"
    return {
        "0 bytes": ("a.glb", b""),
        "a PNG": ("a.glb", png((1, 2, 3))),
        "a PNG named OBJ": ("a.obj", png((1, 2, 3))),
        "truncated in its data": ("a.glb", good[:-8]),
        "truncated in its header": ("a.glb", good[:14]),
        "glTF 1": ("a.glb", good[:4] + struct.pack("<I", 1) + good[8:]),
        "not JSON": ("a.gltf", b"{"),
        "noise": ("a.glb", bytes(range(256))),
        "deep JSON": ("a.gltf", b"[" * 100_000),
        "JSON of another kind": ("a.gltf", b'{"asset": []}'),
        "index out of range": ("a.glb", glb(last=3)),
        "NaN": ("a.glb", bad.glb()),
        "no nodes": ("a.glb", glb(nodes=[])),
        "a loop of nodes": ("a.glb", glb(nodes=[{"mesh": 0, "children": [0]}], scenes=[{"nodes": [0]}])),
        "a negative mesh": ("a.glb", glb(nodes=[{"mesh": -1}])),
        "Draco": ("a.glb", glb(extensionsRequired=["KHR_draco_mesh_compression"])),
        "meshopt": ("a.glb", glb(extensionsRequired=["EXT_meshopt_compression"])),
        "huge accessor": ("a.glb", accessors(count=10**15)),
        "huge empty accessor": ("a.glb", accessors(count=10**15, bufferView=None)),
        "accessor beyond its view": ("a.glb", accessors(byteOffset=8)),
        "unknown component": ("a.glb", accessors(componentType=1)),
        "buffer outside": ("a.gltf", document("../x.bin")),
        "buffer missing": ("a.gltf", document("x.bin")),
        "OBJ without faces": ("a.obj", obj),
        "OBJ index out of range": ("a.obj", obj + b"f 1 2 4\n"),
        "OBJ negative beyond": ("a.obj", obj + b"f 1 2 -4\n"),
        "OBJ index 0": ("a.obj", obj + b"f 0 1 2\n"),
        "OBJ huge index": ("a.obj", obj + b"f 1 2 99999999999999999999\n"),
        "OBJ words for numbers": ("a.obj", b"v 0 0 zero\n" + obj + b"f 1 2 3\n"),
        "OBJ short vertex": ("a.obj", b"v 0 0\n" + obj + b"f 1 2 3\n"),
        "OBJ NaN": ("a.obj", b"v nan 0 0\n" + obj + b"f 1 2 3\n"),
        "OBJ infinite": ("a.obj", b"v 1e999 0 0\n" + obj + b"f 1 2 3\n"),
        "OBJ of one point": ("a.obj", b"v 1 1 1\nf 1 1 1\n"),
        "OBJ bad corner": ("a.obj", obj + b"f 1/1/1/1 2 3\n"),
        "OBJ word corner": ("a.obj", obj + b"f a b c\n"),
        "OBJ lines": ("a.obj", obj + b"f 1 2\n"),
        "PLY header": ("a.ply", b"ply\nformat ascii 1.0\n"),
        "PLY points": ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
                       b"end_header\n0 0 0\n"),
        "STL short": ("a.stl", bytes(80) + struct.pack("<I", 5) + bytes(60)),
        "STL words": ("a.stl", b"solid nothing\nendsolid\n"),
        "another format": ("a.fbx", b"Kaydara FBX Binary"),
    }  # fmt: skip


@pytest.mark.parametrize("what", damaged_files())
def test_wrong_input_is_told_in_plain_words(tmp_path: Path, what: str) -> None:
    name, data = damaged_files()[what]
    with pytest.raises(MeshError) as error:
        load(written(tmp_path, data, name))
    assert said(error)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.glb", tmp_path):
        with pytest.raises(MeshError) as error:
            load(path)
        assert said(error)


@pytest.mark.parametrize("cut", range(0, 520, 13))
def test_a_glb_cut_or_corrupted_anywhere_is_never_a_traceback(tmp_path: Path, cut: int) -> None:
    made = Gltf()
    made.mesh(made.primitive(indices=np.array([0, 1, 2], np.uint16)))
    data = made.glb()
    with pytest.raises(MeshError) as error:
        load(written(tmp_path, data[:cut], "cut.glb"))
    assert said(error)
    changed = bytearray(data)
    changed[cut % len(data)] ^= 0x55
    try:
        load(written(tmp_path, bytes(changed), "bent.glb"))
    except MeshError:
        pass


OUTSIDE = ["../secret.png", "a/../../secret.png", "/etc/secret.png", "C:\\secret.png", "C:secret.png", "\\\\host\\share\\x.png",
           "//host/x.png", "http://host/x.png", "file:///x.png", "link/secret.png", "%2e%2e/secret.png", "", "a\0b"]  # fmt: skip


@pytest.mark.parametrize("reference", OUTSIDE)
def test_references_stay_inside_the_folder(tmp_path: Path, reference: str) -> None:
    (tmp_path / "secret.png").write_bytes(png((9, 9, 9)))
    own = tmp_path / "own"
    own.mkdir()
    if hasattr(os, "symlink") and os.name == "posix":
        (own / "link").symlink_to(tmp_path)
    elif reference.startswith("link"):
        pytest.skip("no links here")
    folder = _files.Folder(own / "mesh.glb")
    with pytest.raises(_files.Outside):
        folder.read_uri(reference)
    assert not folder.read_files


def test_an_outside_picture_is_left_out_and_told(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (tmp_path / "secret.png").write_bytes(png((9, 9, 9)))
    (own / "m.mtl").write_text("newmtl a\nmap_Kd ../secret.png\nmap_Pr textures\\rough.png\n")
    (own / "textures").mkdir()
    (own / "textures" / "rough.png").write_bytes(png((7, 7, 7)))
    mesh = load(written(own, "mtllib m.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl a\nf 1 2 3\n"))
    assert mesh.sets[0].base_color is None and any("outside" in r for r in mesh.repairs)
    assert mesh.sets[0].metallic_roughness[0, 0].tolist() == [255, 7, 255]
    assert {p.name for p, _ in mesh.source.files} == {"m.mtl", "rough.png"}


def test_pictures_are_measured_before_they_are_decoded(tmp_path: Path) -> None:
    """A PNG header that claims 20,000 × 20,000 pixels is refused although there is not a single pixel behind it."""
    data = bytearray(png((1, 2, 3)))
    for claimed in ((20_000, 20_000), (16_385, 1), (400_000, 400_000)):
        data[16:24] = struct.pack(">II", *claimed)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
        with pytest.raises(MeshError, match="16384"):
            _files.decoded(bytes(data), "huge.png")
    assert _files.decoded(b"no picture", "x.png") is None
    assert _files.decoded(png((1, 2, 3), (16_384, 1)), "long.png").shape == (1, 16_384, 3)
