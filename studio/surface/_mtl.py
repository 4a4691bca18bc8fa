"""Wavefront MTL → materials, with their pictures."""

from __future__ import annotations

import math

import numpy as np

from studio.errors import MeshError
from studio.surface import _files
from studio.surface._source import Material

_OPTIONS = {
    "-blendu": 1, "-blendv": 1, "-bm": 1, "-boost": 1, "-cc": 1, "-clamp": 1, "-imfchan": 1, "-mm": 2, "-texres": 1, "-type": 1,
}  # fmt: skip
_OFFSETS = ("-o", "-s", "-t")


def read_mtl(library: str, folder: _files.Folder, wanted: list[str], notes: list[str]) -> dict[str, Material]:
    """The wanted materials of an `mtllib` line, which may name one file with blanks in it, or several.

    What cannot be read is noted and left out. Roughness is `Pr`, else √(2 / (Ns + 2)) (Walter et al. 2007 for a Phong exponent).
    Raises MeshError for a picture that is too large.
    """
    found: dict[str, Material] = {}
    for data in _library(library, folder, notes):
        for name, values in _described(data).items():
            if name in wanted:
                found[name] = _material(name, values, folder, notes)
    return found


def _library(library: str, folder: _files.Folder, notes: list[str]) -> list[bytes]:
    for names in ([library], library.split()):
        try:
            return [folder.read(name) for name in names]
        except _files.Outside:
            notes.append(f"Material file '{library}' lies outside the mesh's folder: not read.")
            return []
        except MeshError:
            continue
    notes.append(f"Material file '{library}' cannot be read: its materials start white.")
    return []


def _described(data: bytes) -> dict[str, dict[str, str]]:
    """Keyword (lower case) → the rest of its line, for each `newmtl`. Each line has its own encoding: files get patched."""
    materials: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in data.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ").splitlines():
        word, _, value = _files.text(line).strip().replace("\t", " ").partition(" ")
        if word == "newmtl":
            current = materials.setdefault(value.strip(), {})
        elif word and not word.startswith("#"):
            current[word.lower()] = value.strip()
    return materials


def _material(name: str, values: dict[str, str], folder: _files.Folder, notes: list[str]) -> Material:
    def numbers(word: str, fallback: tuple[float, ...]) -> tuple[float, ...]:
        try:
            read = tuple(float(v) for v in values[word].split())
        except (KeyError, ValueError):
            return fallback
        # One number stands for grey.
        read = read * len(fallback) if len(read) == 1 else read[: len(fallback)]
        return read if len(read) == len(fallback) and all(map(math.isfinite, read)) else fallback

    def picture(word: str) -> np.ndarray | None:
        return _map(values[word], name, folder, notes) if values.get(word) else None

    base_color = picture("map_kd")
    r, g, b = numbers("kd", (1.0, 1.0, 1.0))
    if base_color is not None and r == g == b == 0:
        notes.append(f"Material '{name}' multiplies its picture by black: the factor was ignored.")
        r = g = b = 1.0
    opacity = numbers("d", (1.0,))[0] if "d" in values else 1 - numbers("tr", (0.0,))[0]
    shininess = numbers("ns", (math.nan,))[0]
    roughness = 1.0 if math.isnan(shininess) else math.sqrt(2 / (max(shininess, 0) + 2))
    rough_map, metal_map = picture("map_pr"), picture("map_pm")
    roughness = numbers("pr", (1.0 if rough_map is not None else roughness,))[0]
    metallic = numbers("pm", (1.0 if metal_map is not None else 0.0,))[0]
    return Material(
        name,
        base_color=base_color,
        base_factor=(r, g, b, opacity),
        roughness=min(max(roughness, 0.0), 1.0),
        metallic=min(max(metallic, 0.0), 1.0),
        metallic_roughness=_packed(rough_map, metal_map, name, notes),
    )


def _packed(rough: np.ndarray | None, metal: np.ndarray | None, name: str, notes: list[str]) -> np.ndarray | None:
    """Roughness in green and metallic in blue [h, w, 3]; a map that is missing is 255 (the factor alone decides)."""
    if rough is not None and metal is not None and rough.shape[:2] != metal.shape[:2]:
        notes.append(f"Material '{name}': its metallic map has another size than its roughness map: not shown.")
        metal = None
    given = rough if rough is not None else metal
    if given is None:
        return None
    packed = np.full((*given.shape[:2], 3), 255, np.uint8)
    for channel, grey in ((1, rough), (2, metal)):
        if grey is not None:
            packed[..., channel] = grey[..., 0]
    return packed


def _map(value: str, material: str, folder: _files.Folder, notes: list[str]) -> np.ndarray | None:
    """The picture of a `map_` line, whose file name may hold blanks and follows any options."""
    tokens = value.split()
    at = 0
    while at < len(tokens) - 1 and tokens[at].startswith("-"):
        word = tokens[at].lower()
        at += 1
        if word in _OFFSETS:
            taken = 0
            while taken < 3 and at < len(tokens) - 1 and _is_number(tokens[at]):
                at, taken = at + 1, taken + 1
        elif word in _OPTIONS:
            at += _OPTIONS[word]
        else:
            at -= 1
            break
    # The name as written, with its own blanks.
    name = value.split(None, at)[-1].strip().strip('"') if at < len(tokens) else ""
    try:
        data = folder.read(name)
    except _files.Outside:
        notes.append(f"Material '{material}': picture '{name}' lies outside the mesh's folder: not read.")
        return None
    except MeshError:
        notes.append(f"Material '{material}': picture '{name}' cannot be read.")
        return None
    pixels = folder.picture(data, name)
    if pixels is None:
        notes.append(f"Material '{material}': picture '{name}' cannot be decoded.")
    return pixels


def _is_number(token: str) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return True
