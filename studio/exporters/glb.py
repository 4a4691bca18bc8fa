"""GLB: the user's file with new maps in it (glTF sources are patched), or a new file of the mesh (other sources)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from studio.errors import StudioError
from studio.exporters import SIZES, Asset, Exporter
from studio.plug import knob

if TYPE_CHECKING:
    from studio.exporters._gltf import Document, Tree
    from studio.exporters._maps import Maps
    from studio.surface.mesh import Material, Mesh


@dataclass(frozen=True)
class GLB(Exporter):
    """Binary glTF 2.0, everything in one file, with the receipt in `asset.extras.patina`."""

    suffix: ClassVar[str] = ".glb"

    size_px: int = knob(0, "Side of the textures, in texels; 0 leaves it as it was painted.", choices=SIZES, unit="px")

    def write(self, asset: Asset, path: Path) -> list[Path]:
        """Write one file.

        A glTF or GLB source comes back with every accessor, node, skin, animation, morph target and further UV set as it was;
        only where the mesh was unwrapped, the painted primitives get split vertices with the new UVs. Raises as the promise says.
        """
        from studio import files
        from studio.exporters._gltf import Document
        from studio.exporters._gltf_build import build
        from studio.exporters._maps import changed
        from studio.exporters._source import read, spare

        mesh = asset.mesh
        spare(mesh, [Path(path)])
        origin = read(mesh)
        maps = changed(asset, unwrapped=origin.unwrapped, size_px=self.size_px)
        if any(maps) and mesh.corner_uv is None:
            raise StudioError(f"'{mesh.name}' has no UVs, so a texture cannot be put on it.", "Unwrap the mesh first.")
        if mesh.source.kind == "gltf":
            document = Document.read(origin.data, origin.folder)
            numbers = _numbers(document, mesh, maps, unwrapped=origin.unwrapped)
        else:
            document = build(mesh, origin)
            numbers = list(range(len(mesh.sets)))
        jobs = [(n, material, m) for n, material, m in zip(numbers, mesh.sets, maps, strict=True) if m]
        _paint(document, mesh, jobs, unwrapped=origin.unwrapped)
        _sign(document.tree, files.jsonable(asset.receipt))
        return [files.write_bytes(path, document.to_glb())]


def _numbers(document: Document, mesh: Mesh, maps: list[Maps], *, unwrapped: bool) -> list[int]:
    """The document's material of each texture set.

    A set to be painted gets a material of its own where its faces have none, and where others that get no new UVs (lines, points,
    what is outside the scene) share it.
    """
    numbers = [material.index for material in mesh.sets]
    ours = {(part.mesh, part.primitive) for part in mesh.source.parts}
    placed = [(p, (m, k) in ours) for m, item in enumerate(document.tree["meshes"]) for k, p in enumerate(item["primitives"])]
    for s, number in enumerate(numbers):
        users = [(p, shown) for p, shown in placed if p.get("material", -1) == number]
        if maps[s] and (number < 0 or (unwrapped and not all(shown for _, shown in users))):
            own = {"name": mesh.sets[s].name} if number < 0 else copy.deepcopy(document.tree["materials"][number])
            numbers[s] = document.add("materials", **own)
            for primitive, shown in users:
                if shown:
                    primitive["material"] = numbers[s]
    return numbers


def _paint(document: Document, mesh: Mesh, jobs: list[tuple[int, Material, Maps]], *, unwrapped: bool) -> None:
    """Put maps into the materials with these numbers, on the mesh's UVs."""
    from studio.exporters._gltf_paint import Job, hide_vertex_colors, kept_uv_sets, paint, placement
    from studio.exporters._gltf_split import split

    trees = [document.tree["materials"][n] for n, _, _ in jobs]
    places: list[Tree] = [{} if unwrapped else placement(tree) for tree in trees]
    if unwrapped and mesh.source.kind == "gltf":
        uv_set = {n: _new_uv_set(document, n, kept_uv_sets(tree, m)) for tree, (n, _, m) in zip(trees, jobs, strict=True)}
        split(document, mesh, uv_set)
        places = [{"texCoord": k} if k else {} for k in uv_set.values()]
    painting = [Job(tree, material, m, place) for tree, (_, material, m), place in zip(trees, jobs, places, strict=True)]
    paint(document, painting, unwrapped=unwrapped)
    colored = {n for n, _, m in jobs if m.base_color is not None}
    hide_vertex_colors(document, [p for p in _primitives(document) if p.get("material", -1) in colored])


def _new_uv_set(document: Document, material: int, kept: set[int]) -> int:
    """TEXCOORD_0, where every program looks, unless a map that stays still reads it; then the first free number."""
    if 0 not in kept:
        return 0
    shown = [p["attributes"] for p in _primitives(document) if p.get("material", -1) == material]
    return max(sum(name.startswith("TEXCOORD_") for name in attributes) for attributes in shown)


def _primitives(document: Document) -> list[Tree]:
    return [primitive for mesh in document.tree["meshes"] for primitive in mesh["primitives"]]


def _sign(tree: Tree, receipt: object) -> None:
    """The receipt beside whatever the file already says of itself."""
    extras = tree["asset"].get("extras", {})
    tree["asset"]["extras"] = {**(extras if isinstance(extras, dict) else {"source": extras}), "patina": receipt}
