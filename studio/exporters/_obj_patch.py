"""An OBJ file with other materials, and other texture coordinates after an unwrap; every other line as it is."""

from __future__ import annotations

import re

import numpy as np

from studio.exporters._gltf_split import unique_rows
from studio.surface.mesh import Mesh

_CONTINUED = re.compile(rb"\\\r?\n")


def used_names(data: bytes) -> list[bytes]:
    """The material names as written after `usemtl`, in order of first use."""
    return list(dict.fromkeys(line.split(None, 1)[1].strip() for line in data.split(b"\n") if re.match(rb"\s*usemtl\s+\S", line)))


def patched(data: bytes, mesh: Mesh, *, library: str, default: bytes | None, unwrapped: bool) -> bytes:
    """The source with `mtllib library` in place of its own; `default` names the material of faces that have none (None: leave).

    After an unwrap the `vt` lines are new, and polygons whose corners were parted become the studio's triangles; `v` and `vn`
    lines, and the numbers by which faces refer to them, stay.
    """
    end = b"\r\n" if b"\r\n" in data else b"\n"
    if unwrapped:
        data = _with_uv(data, mesh, end)
    named = b"mtllib " + library.encode() + end
    result: list[bytes] = []
    said = False
    for line in data.removeprefix(b"\xef\xbb\xbf").splitlines(keepends=True):
        word = line.split(None, 1)[0] if line.strip() else b""
        if word == b"mtllib":
            result += [] if said else [named]
            said = True
            continue
        if word == b"usemtl":
            default = None
        elif word == b"f" and default is not None:
            result.append(b"usemtl " + default + end)
            default = None
        result.append(line)
    return b"".join(result if said else [named, *result])


def _with_uv(data: bytes, mesh: Mesh, end: bytes) -> bytes:
    """The source with new `vt` lines before its first face, and `f` lines that refer to them."""
    assert mesh.corner_uv is not None
    uv, place = unique_rows(mesh.corner_uv.reshape(-1, 2))
    order = np.argsort(mesh.source.face_item, kind="stable")
    items, starts = np.unique(mesh.source.face_item[order], return_index=True)
    faces_of = dict(zip(items.tolist(), np.split(order, starts[1:]), strict=True))
    corner, number = mesh.source.face_corner.tolist(), (place.reshape(-1, 3) + 1).tolist()

    result, first, at = [], None, 0
    for line in _logical(data):
        word = line.split(None, 1)[0] if line.strip() else b""
        if word in (b"f", b"l"):
            first = len(result) if first is None else first
            words = _CONTINUED.sub(b" ", line).partition(b"#")[0].split()
            tokens = [token.split(b"/") for token in words[1:]]
            if at in faces_of:
                result.append(end.join(_triangles(tokens, faces_of[at].tolist(), corner, number)) + end)
            else:
                result.append(b" ".join([word, *(_corner(t, b"") for t in tokens)]) + end)
        elif word != b"vt":
            result.append(line)
        at += line.count(b"\n")
    u, v = uv[:, 0].astype(np.float64), 1 - uv[:, 1].astype(np.float64)
    lines = "".join(f"vt {a:.10g} {b:.10g}{end.decode()}" for a, b in zip(u.tolist(), v.tolist(), strict=True))
    result.insert(first or 0, lines.encode())
    return b"".join(result)


def _logical(data: bytes) -> list[bytes]:
    """Lines with their ends; those that a backslash continues are one."""
    lines: list[bytes] = []
    continued = False
    for line in data.split(b"\n"):
        if continued:
            lines[-1] += line + b"\n"
        else:
            lines.append(line + b"\n")
        continued = line.rstrip(b"\r").endswith(b"\\")
    lines[-1] = lines[-1][:-1]
    return lines


def _triangles(tokens: list[list[bytes]], faces: list[int], corner: list[list[int]], number: list[list[int]]) -> list[bytes]:
    """The `f` lines of one polygon: one line again if all its triangles agree on each corner's new number, else the triangles."""
    wanted: dict[int, set[int]] = {}
    for f in faces:
        for k, n in zip(corner[f], number[f], strict=True):
            wanted.setdefault(k, set()).add(n)
    if len(wanted) == len(tokens) and all(len(numbers) == 1 for numbers in wanted.values()):
        return [b"f " + b" ".join(_corner(t, b"%d" % wanted[k].copy().pop()) for k, t in enumerate(tokens))]
    return [b"f " + b" ".join(_corner(tokens[k], b"%d" % n) for k, n in zip(corner[f], number[f], strict=True)) for f in faces]


def _corner(token: list[bytes], uv: bytes) -> bytes:
    """A face corner v/vt/vn with another vt; without any when `uv` is empty."""
    normal = token[2] if len(token) > 2 else b""
    return b"/".join([token[0], uv, normal]) if normal else token[0] + (b"/" + uv if uv else b"")
