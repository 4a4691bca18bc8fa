"""Wavefront OBJ with its MTL files → raw arrays, remembering the line behind every face.

A million lines are read as arrays of bytes, never one by one; only the few lines that name materials are looked at singly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from studio.errors import MeshError
from studio.surface import _files
from studio.surface._mtl import read_mtl
from studio.surface._polygons import triangulate
from studio.surface._source import Material, Raw


@dataclass(frozen=True, eq=False)
class _Lines:
    """The lines of one kind: `text` is their tokens, `counts` how many tokens each has, `number` their line numbers."""

    text: bytes
    counts: np.ndarray
    number: np.ndarray

    def __len__(self) -> int:
        return len(self.number)


def read_obj(data: bytes, folder: _files.Folder) -> Raw:
    """The raw mesh of an OBJ file. Raises MeshError, or one of `_source.DAMAGED` for text that is no OBJ."""
    notes: list[str] = []
    by_word, rest = _sorted_lines(data)
    v, vt, vn, f = (by_word[w] for w in (b"v", b"vt", b"vn", b"f"))
    if not len(f):
        raise MeshError("The OBJ file has no faces.", "Export it again with faces, not only points or curves.")
    vertices, uv, normals = _vectors(v, 3, "v"), _vectors(vt, 1, "vt"), _vectors(vn, 3, "vn")
    if uv.shape[1] < 2:
        uv = np.concatenate([uv, np.zeros((len(uv), 2 - uv.shape[1]))], axis=1)
    uv[:, 1] = 1 - uv[:, 1]

    numbers = _indices(f)
    starts = np.cumsum(f.counts) - f.counts
    line = np.repeat(f.number, f.counts)
    corners = np.stack(
        [_absolute(numbers[:, k], kind, line, name) for k, (kind, name) in enumerate(((v, "v"), (vt, "vt"), (vn, "vn")))], axis=1
    )
    if (missing := corners[:, 0] < 0).any():
        raise IndexError(f"the face in line {int(line[missing][0]) + 1} names no vertex")

    solid = f.counts >= 3
    if not solid.all():
        notes.append(f"{int((~solid).sum()):,} face line(s) with fewer than three corners: kept in the file, not shown.")
    if not solid.any():
        raise MeshError("The OBJ file has no faces with three corners or more.", "Export it again with faces.")
    polygon, corner = triangulate(vertices, corners[:, 0], starts[solid], f.counts[solid])
    where = starts[solid][polygon][:, None] + corner
    item = f.number[solid][polygon]

    sets, face_set = _materials(rest, item, folder, notes)
    return Raw(
        vertices,
        corners[where, 0],
        face_item=item,
        face_corner=corner,
        face_set=face_set,
        corner_uv=_looked_up(uv[:, :2], corners[where, 1]),
        corner_normals=_looked_up(normals[:, :3], corners[where, 2]),
        sets=sets,
        notes=notes,
    )


def _sorted_lines(data: bytes) -> tuple[dict[bytes, _Lines], list[tuple[int, bytes]]]:
    """Lines that begin with v, vt, vn or f, and the few that name materials with their 0-based line numbers.

    A line number counts the `\\n` before the line, so continued lines (a backslash at the end) have the number of their first.
    """
    newline = np.flatnonzero(np.frombuffer(data, np.uint8) == 10)
    # Replaced by as many blanks, so that places in the text stay what they are in the file.
    data = data.replace(b"\\\r\n", b"   ").replace(b"\\\n", b"  ").replace(b"\r", b" ").replace(b"\t", b" ")
    if data.startswith(b"\xef\xbb\xbf"):
        data = b"   " + data[3:]
    raw = np.frombuffer(data + b"\n    ", np.uint8)
    size = len(data) + 1
    ends = np.flatnonzero(raw[:size] == 10)
    starts = np.concatenate([[0], ends[:-1] + 1])
    blank = raw == 32
    # The first visible byte of each line: the next place that is not blank (a newline, for an empty line).
    visible = np.flatnonzero(~blank[:size])
    first = visible[np.searchsorted(visible, starts)]
    comment = np.flatnonzero(raw[:size] == 35)
    if len(comment):
        at = np.searchsorted(comment, first)
        cut = np.where(at < len(comment), comment[np.minimum(at, len(comment) - 1)], size)
        ends_shown = np.minimum(ends, cut)
    else:
        ends_shown = ends
    number = np.searchsorted(newline, first)
    a, b, c = raw[first], raw[np.minimum(first + 1, size)], raw[np.minimum(first + 2, size + 1)]

    def lines(mask: np.ndarray, width: int) -> _Lines:
        return _tokens(raw, blank, first[mask] + width, ends_shown[mask], number[mask])

    is_v = a == ord("v")
    found = {
        b"v": lines(is_v & (b == 32), 1),
        b"vt": lines(is_v & (b == ord("t")) & (c == 32), 2),
        b"vn": lines(is_v & (b == ord("n")) & (c == 32), 2),
        b"f": lines((a == ord("f")) & (b == 32), 1),
    }
    named = np.flatnonzero((a == ord("u")) | (a == ord("m")))
    rest = [(int(number[i]), data[first[i] : ends[i]].strip()) for i in named]
    return found, [(n, t) for n, t in rest if t.startswith((b"usemtl", b"mtllib"))]


def _tokens(raw: np.ndarray, blank: np.ndarray, starts: np.ndarray, ends: np.ndarray, number: np.ndarray) -> _Lines:
    """The tokens between starts and ends of each line, as one text, and how many each line has."""
    if not len(starts):
        return _Lines(b"", np.zeros(0, np.int64), number)
    ends = np.maximum(ends, starts)
    edge = np.zeros(len(raw) + 1, np.int8)
    np.add.at(edge, starts, 1)
    np.add.at(edge, ends, -1)
    inside = np.cumsum(edge[:-1], dtype=np.int8) > 0
    begins = inside & ~blank
    begins[1:] &= blank[:-1] | ~inside[:-1]
    before = np.concatenate([[0], np.cumsum(begins)])
    # Each line gives its text and one blank, so that neighbouring lines do not run together.
    keep = inside.copy()
    keep[ends] = True
    text = np.where(raw[keep] == 10, 32, raw[keep]).astype(np.uint8)
    text[np.cumsum(ends - starts + 1) - 1] = 32
    return _Lines(text.tobytes(), before[ends] - before[starts], number)


def _vectors(lines: _Lines, least: int, word: str) -> np.ndarray:
    """The first up to three numbers of each line [n, ≤ 3] float64; missing ones are 0."""
    if not len(lines):
        return np.zeros((0, 3))
    if lines.counts.min() < least:
        short = lines.number[int(np.argmin(lines.counts))]
        raise ValueError(f"line {int(short) + 1} has too few numbers after '{word}'")
    values = np.array(lines.text.split(), dtype=np.bytes_).astype(np.float64)
    starts = np.cumsum(lines.counts) - lines.counts
    k = np.arange(3)
    return np.where(k < lines.counts[:, None], values[np.minimum(starts[:, None] + k, len(values) - 1)], 0.0)


def _indices(f: _Lines) -> np.ndarray:
    """The written numbers (v, vt, vn) [corners, 3] of all face corners in order; 0 where one is left out."""
    text = f.text.replace(b"//", b"/0/").replace(b"/ ", b"/0 ")
    bytes_ = np.frombuffer(text, np.uint8)
    solid = bytes_ != 32
    begins = np.flatnonzero(solid & ~np.concatenate([[False], solid[:-1]]))
    slashes = np.concatenate([[0], np.cumsum(bytes_ == ord("/"))])
    fields = slashes[np.append(begins[1:], len(bytes_))] - slashes[begins] + 1
    values = np.array(text.replace(b"/", b" ").split(), dtype=np.bytes_).astype(np.int64)
    if fields.max() > 3 or fields.sum() != len(values):
        raise ValueError("a face corner is not of the form v/vt/vn")
    at = np.cumsum(fields) - fields
    k = np.arange(3)
    return np.where(k < fields[:, None], values[np.minimum(at[:, None] + k, len(values) - 1)], 0)


def _absolute(written: np.ndarray, kind: _Lines, line: np.ndarray, word: str) -> np.ndarray:
    """Numbers as written → 0-based, −1 where left out: positive ones count from 1, negative ones back from the face's line."""
    seen = np.searchsorted(kind.number, line)
    result = np.where(written > 0, written - 1, np.where(written < 0, seen + written, -1))
    wrong = (written != 0) & ((result < 0) | (result >= len(kind)))
    if wrong.any():
        i = int(np.argmax(wrong))
        raise IndexError(f"line {int(line[i]) + 1} refers to '{word}' number {int(written[i])} of {len(kind)}")
    return result


def _looked_up(values: np.ndarray, index: np.ndarray) -> np.ndarray | None:
    """values[index] with NaN where the index is −1; None when nothing is given at all."""
    if not len(values) or (index < 0).all():
        return None
    return np.where(index[..., None] >= 0, values[index], np.nan)


def _materials(
    rest: list[tuple[int, bytes]], line: np.ndarray, folder: _files.Folder, notes: list[str]
) -> tuple[tuple[Material, ...], np.ndarray]:
    """The materials in order of first `usemtl` (then the one of faces without), and each face's index among them [F]."""
    uses = [(n, _files.text(t[6:]).strip()) for n, t in rest if t.startswith(b"usemtl")]
    libraries = dict.fromkeys(_files.text(t[6:]).strip() for n, t in rest if t.startswith(b"mtllib"))
    names = list(dict.fromkeys(name for _, name in uses))
    known: dict[str, Material] = {}
    for library in libraries if names else ():
        known |= read_mtl(library, folder, names, notes)
    sets = []
    for i, name in enumerate(names):
        if name not in known:
            notes.append(f"Material '{name}' is not described in any material file: it starts white.")
        sets.append(replace(known.get(name, Material(name)), index=i))
    order = np.array([names.index(name) for _, name in uses] + [len(names)], dtype=np.int64)
    at = np.searchsorted(np.array([n for n, _ in uses], dtype=np.int64), line) - 1
    return (*sets, Material("default")), order[at]
