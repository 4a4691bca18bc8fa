"""Wavefront OBJ with its MTL files → raw arrays, remembering the line behind every face.

A million lines are read as arrays of bytes, never one by one; only the few lines that name materials are looked at singly.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, replace

import numpy as np

from studio.errors import MeshError
from studio.surface import _files
from studio.surface._mtl import read_mtl
from studio.surface._polygons import triangulate
from studio.surface._source import Damaged, Material, Raw


@dataclass(frozen=True, eq=False)
class _Lines:
    """The lines of one kind: `text` without their first words, how many tokens each has, and their 0-based line numbers."""

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
        raise Damaged(f"the face in line {int(line[missing][0]) + 1} names no vertex")

    if (v.counts >= 6).any():
        notes.append("Vertex colours are kept in the file, but not shown.")
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
    # Everything is replaced by as many blanks, so that places in the text stay what they are in the file.
    if data.startswith(b"\xef\xbb\xbf"):
        data = b"   " + data[3:]
    whole = data.replace(b"\\\r\n", b"   ").replace(b"\\\n", b"  ").replace(b"\r", b" ").replace(b"\t", b" ")
    text = re.sub(rb"#[^\n]*", lambda found: b" " * len(found[0]), whole) + b"\n"
    raw = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(raw == 10)
    starts = np.concatenate([[0], ends[:-1] + 1])
    # The first visible byte of each line; most lines have no blanks before it.
    first = starts.copy()
    for i in np.flatnonzero(raw[first] == 32):
        line = text[starts[i] : ends[i]]
        first[i] += len(line) - len(line.lstrip(b" "))
    number = np.searchsorted(newline, first)
    a, b, c = raw[first], raw[np.minimum(first + 1, ends)], raw[np.minimum(first + 2, ends)]
    is_v = a == ord("v")

    def lines(mask: np.ndarray, word: bytes) -> _Lines:
        those = np.flatnonzero(mask)
        # Neighbouring lines are taken together.
        runs = np.split(those, np.flatnonzero(np.diff(those) > 1) + 1) if len(those) else []
        joined = b"".join([text[starts[run[0]] : ends[run[-1]] + 1] for run in runs]).replace(word, b" " * len(word))
        return _Lines(joined, _token_counts(joined), number[those])

    found = {
        b"v": lines(is_v & (b == 32), b"v"),
        b"vt": lines(is_v & (b == ord("t")) & (c == 32), b"vt"),
        b"vn": lines(is_v & (b == ord("n")) & (c == 32), b"vn"),
        b"f": lines((a == ord("f")) & (b == 32), b"f"),
    }
    named = np.flatnonzero((a == ord("u")) | (a == ord("m")))
    rest = [(int(number[i]), whole[first[i] : ends[i]].strip()) for i in named]
    return found, [(n, t) for n, t in rest if t.startswith((b"usemtl ", b"mtllib "))]


def _token_counts(text: bytes) -> np.ndarray:
    """How many tokens each line has."""
    raw = np.frombuffer(text, np.uint8)
    visible = raw > 32
    visible[1:] &= raw[:-1] <= 32  # the first byte of each token
    return np.diff(np.searchsorted(np.flatnonzero(visible), np.flatnonzero(raw == 10)), prepend=0)


def _numbers(text: bytes, dtype: type, count: int) -> np.ndarray:
    """The `count` numbers of a text. Raises Damaged when it holds anything else."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        try:
            values = np.fromstring(text, dtype, sep=" ")
        except (ValueError, DeprecationWarning):
            values = None
    if values is None or len(values) != count:
        raise Damaged("a line holds something that is not a number")
    return values


def _vectors(lines: _Lines, least: int, word: str) -> np.ndarray:
    """The first up to three numbers of each line [n, ≤ 3] float64; missing ones are 0."""
    if not len(lines):
        return np.zeros((0, 3))
    if lines.counts.min() < least:
        short = lines.number[int(np.argmin(lines.counts))]
        raise Damaged(f"line {int(short) + 1} has too few numbers after '{word}'")
    values = _numbers(lines.text, np.float64, int(lines.counts.sum()))
    starts = np.cumsum(lines.counts) - lines.counts
    k = np.arange(3)
    return np.where(k < lines.counts[:, None], values[np.minimum(starts[:, None] + k, len(values) - 1)], 0.0)


def _indices(f: _Lines) -> np.ndarray:
    """The written numbers (v, vt, vn) [corners, 3] of all face corners in order; 0 where one is left out."""
    text = f.text.replace(b"\n", b" ").replace(b"//", b"/0/").replace(b"/ ", b"/0 ")
    raw = np.frombuffer(text, np.uint8)
    begins = np.flatnonzero((raw[1:] != 32) & (raw[:-1] == 32)) + 1  # the text begins with the blank of its first `f`
    slashes = np.flatnonzero(raw == ord("/"))
    fields = np.diff(np.searchsorted(slashes, np.append(begins, len(raw)))) + 1
    values = _numbers(text.replace(b"/", b" "), np.int64, int(fields.sum()))
    if fields.max(initial=0) > 3:
        raise Damaged("a face corner is not of the form v/vt/vn")
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
        raise Damaged(f"line {int(line[i]) + 1} refers to '{word}' number {int(written[i])} of {len(kind)}")
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
