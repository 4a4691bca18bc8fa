"""Wavefront OBJ with its MTL and pictures: the user's lines kept (OBJ sources), or a new file of the mesh (other sources)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from studio.errors import StudioError
from studio.exporters import SIZES, Asset, Exporter
from studio.plug import knob

if TYPE_CHECKING:
    from studio.exporters._maps import Maps
    from studio.exporters._mtl import Library
    from studio.exporters._source import Origin


@dataclass(frozen=True)
class OBJ(Exporter):
    """OBJ, MTL and PNGs side by side; the receipt is a comment in the MTL. Holds colour, roughness and metallic, nothing else."""

    suffix: ClassVar[str] = ".obj"

    size_px: int = knob(0, "Side of the textures, in texels; 0 leaves it as it was painted.", choices=SIZES, unit="px")

    def write(self, asset: Asset, path: Path) -> list[Path]:
        """Write the pictures, the material file and the mesh.

        Of an OBJ source every line but `mtllib` is kept (after an unwrap also not `vt` and `f`); maps that were not painted are
        copied along when the folder is another one. Raises as the promise says.
        """
        from studio import files
        from studio.exporters import _source
        from studio.exporters._maps import changed
        from studio.exporters._mtl import Library
        from studio.exporters._obj_build import built
        from studio.exporters._obj_patch import patched

        mesh, path = asset.mesh, Path(path)
        origin = _source.read(mesh)
        maps = changed(asset, unwrapped=origin.unwrapped, size_px=self.size_px)
        if any(maps) and mesh.corner_uv is None:
            raise StudioError(f"'{mesh.name}' has no UVs, so a texture cannot be put on it.", "Unwrap the mesh first.")
        library = Library(path.stem)
        mtl = path.with_name(f"{library.stem}.mtl")
        carried: dict[str, bytes] = {}
        if mesh.source.kind == "obj":
            default = _patched_materials(library, asset, origin, maps, carried, path.parent)
            text = patched(origin.data, mesh, library=mtl.name, default=default, unwrapped=origin.unwrapped)
        else:
            names = _unique([" ".join(s.name.split()) or "material" for s in mesh.sets])
            for name, material, new in zip(names, mesh.sets, maps, strict=True):
                library.describe(name.encode(), material, new, with_maps=not origin.unwrapped)
            text = built(mesh, origin, library=mtl.name, names=names)
        receipt = json.dumps(files.jsonable(asset.receipt), ensure_ascii=False)
        pictures = {path.with_name(name): data for name, data in {**library.pictures, **carried}.items()}
        contents = pictures | {mtl: library.written([f"Patina Studio: {receipt}"]), path: text}
        _source.spare(mesh, contents)
        return files.write_together(contents)


def _patched_materials(
    library: Library, asset: Asset, origin: Origin, maps: list[Maps], carried: dict[str, bytes], folder: Path
) -> bytes | None:
    """The source's own material files with the new maps; the name for faces without a material, if these were painted.

    `carried` receives the pictures that must be copied into `folder`.
    """
    from studio.exporters._obj_patch import used_names
    from studio.surface._files import Outside, text

    mesh = asset.mesh

    def carry(value: bytes) -> bytes | None:
        """A picture's line for the new place: as it is in the same folder, else with the name of its copy; None if it is lost."""
        if origin.unwrapped:
            return None
        if folder.resolve() == origin.folder.root:
            return value
        # The name may hold blanks and comes after any options: the longest end of the line that is a file.
        words = value.split(b" ")
        for start in range(len(words)):
            try:
                place = origin.folder.resolve(text(b" ".join(words[start:])).strip('" '))
            except Outside:
                continue
            if place.is_file():
                name = f"{library.stem}_{place.relative_to(origin.folder.root).as_posix()}".replace("/", "_").replace(" ", "_")
                carried[name] = place.read_bytes()
                return b" ".join([*words[:start], name.encode()])
        return None

    by_name = {s.name: m for s, m in zip(mesh.sets, maps, strict=True) if s.index >= 0}
    described: set[str] = set()
    for path, _ in mesh.source.files:
        data = path.read_bytes()
        if b"newmtl" in data:
            described |= library.copy(data, by_name, carry=carry)
    written = {text(name): name for name in used_names(origin.data)}
    default = None
    for material, new in zip(mesh.sets, maps, strict=True):
        if material.index < 0 and new:
            default = _unique([*written, "default"])[-1].encode()
            library.describe(default, material, new, with_maps=False)
        elif material.index >= 0 and material.name not in described:
            library.describe(written.get(material.name, material.name.encode()), material, new, with_maps=False)
    return default


def _unique(names: list[str]) -> list[str]:
    """The names, later ones that occurred before with a number behind."""
    result: list[str] = []
    for name in names:
        count, free = 1, name
        while free in result:
            count += 1
            free = f"{name}_{count}"
        result.append(free)
    return result
