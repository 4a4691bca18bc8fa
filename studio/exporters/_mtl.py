"""Wavefront MTL: the source's material libraries with new maps in them, lines that are not concerned kept byte for byte."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import numpy as np

from studio.exporters._maps import Maps, png
from studio.surface._files import text
from studio.surface.mesh import Material

_COLOR, _SURFACE = (b"kd", b"map_kd"), (b"pr", b"pm", b"map_pr", b"map_pm", b"ns")
_PICTURES = (b"map_", b"bump", b"disp", b"decal", b"norm", b"refl")
_GREY = ((b"Pr", "roughness", 1), (b"Pm", "metallic", 2))
"""Keyword, name, and channel of a packed surface map."""


class Library:
    """One MTL file in the making, and the pictures beside it (file name → PNG bytes)."""

    def __init__(self, stem: str) -> None:
        """`stem` begins the name of every file; blanks in it, at which many readers stumble, become underscores."""
        self.stem = re.sub(r"\s", "_", stem)
        self.pictures: dict[str, bytes] = {}
        self.blocks: list[bytes] = []

    def new_lines(self, name: str, maps: Maps) -> list[bytes]:
        """The lines that a material gets for its new maps; their pictures are kept for writing."""
        lines = []
        if maps.base_color is not None:
            lines += [b"Kd 1 1 1", b"map_Kd " + self.picture(name, "base_color", maps.base_color)]
        if maps.surface is not None:
            for word, what, channel in _GREY:
                lines += [word + b" 1", b"map_" + word + b" " + self.picture(name, what, maps.surface[..., channel])]
        return lines

    def picture(self, name: str, what: str, pixels: np.ndarray) -> bytes:
        """A new picture of a material; its file name."""
        safe = re.sub(r"[^\w-]+", "_", name)
        file, count = f"{self.stem}_{safe}_{what}.png", 1
        while file in self.pictures:
            count += 1
            file = f"{self.stem}_{safe}_{count}_{what}.png"
        self.pictures[file] = png(pixels)
        return file.encode()

    def copy(self, source: bytes, maps: dict[str, Maps], *, carry: Callable[[bytes], bytes | None]) -> set[str]:
        """Take over a material library, with new maps for the materials named in `maps`; the names of all it describes.

        `carry` turns the value of a line that names a picture into what it must be beside the new file; None drops the line.
        """
        kept: list[bytes] = []
        seen: set[str] = set()
        gone: tuple[bytes, ...] = ()
        for line in source.replace(b"\r\n", b"\n").replace(b"\\\n", b" ").split(b"\n"):
            word, _, value = line.strip().replace(b"\t", b" ").partition(b" ")
            if word == b"newmtl":
                name = text(value).strip()
                new = maps.get(name, Maps(None, None))
                gone = _COLOR * (new.base_color is not None) + _SURFACE * (new.surface is not None)
                kept += [line, *(self.new_lines(name, new) if name not in seen else ())]
                seen.add(name)
            elif word.lower() in gone:
                continue
            elif word.lower().startswith(_PICTURES):
                carried = carry(value.strip())
                if carried is not None:
                    kept.append(line if carried == value.strip() else word + b" " + carried)
            else:
                kept.append(line)
        self.blocks.append(b"\n".join(kept).strip() + b"\n")
        return seen

    def describe(self, written: bytes, material: Material, maps: Maps, *, with_maps: bool) -> None:
        """A block for a material that no library describes; with its own maps (`with_maps`) where no new ones replace them."""
        r, g, b, opacity = material.base_factor
        lines = {b"Kd": _numbers(r, g, b), b"Pr": _numbers(material.roughness), b"Pm": _numbers(material.metallic)}
        if opacity < 1:
            lines[b"d"] = _numbers(opacity)
        if with_maps and material.base_color is not None and maps.base_color is None:
            lines[b"map_Kd"] = self.picture(material.name, "base_color", material.base_color[..., :3])
        if with_maps and material.metallic_roughness is not None and maps.surface is None:
            for word, what, channel in _GREY:
                lines[b"map_" + word] = self.picture(material.name, what, material.metallic_roughness[..., channel])
        lines |= {word: value for word, _, value in (line.partition(b" ") for line in self.new_lines(material.name, maps))}
        self.blocks.append(b"\n".join([b"newmtl " + written, *(w + b" " + v for w, v in lines.items())]) + b"\n")

    def written(self, remarks: Iterable[str]) -> bytes:
        """The whole file, `remarks` as comments at its top."""
        return "".join(f"# {r}\n" for r in remarks).encode() + b"\n" + b"\n".join(self.blocks)


def _numbers(*values: float) -> bytes:
    return " ".join(f"{v:.6g}" for v in values).encode()
