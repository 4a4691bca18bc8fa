"""New maps into the materials of a glTF document, and nothing else: what still refers to an old picture keeps it.

glTF 2.0 section 3.9: base colour is sRGB times a linear factor, the surface map holds roughness in green and metallic in blue.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from studio.exporters._gltf import Document, Tree
from studio.exporters._maps import Maps, png, resized, with_alpha
from studio.surface._files import decoded
from studio.surface.mesh import Material

_GLOSSY = "KHR_materials_pbrSpecularGlossiness"
_LINEAR, _MIPMAPS = 9729, 9987


@dataclass(frozen=True, eq=False)
class Job:
    """One material to paint: its tree in the document, the material as it was loaded, its new maps, and the UVs they lie on."""

    tree: Tree
    material: Material
    maps: Maps
    place: Tree
    """texCoord and KHR_texture_transform of a texture reference."""


def infos(value: Any) -> Iterator[Tree]:
    """Every texture reference ({"index": i, "texCoord": n, …}) inside a material, extensions included but not extras."""
    if isinstance(value, dict):
        if isinstance(value.get("index"), int):
            yield value
        for key, inner in value.items():
            if key != "extras":
                yield from infos(inner)


def placement(material: Tree) -> Tree:
    """The UVs on which a material's colours lie: the texCoord and KHR_texture_transform of its base colour, or surface map."""
    pbr = material.get("pbrMetallicRoughness", {})
    return _where(pbr.get("baseColorTexture") or pbr.get("metallicRoughnessTexture") or {})


def replaced(material: Tree, maps: Maps) -> list[Tree]:
    """The texture references of a material that these maps take the place of."""
    pbr, extensions = material.get("pbrMetallicRoughness", {}), material.get("extensions", {})
    base = [pbr.get("baseColorTexture"), extensions.get(_GLOSSY, {}).get("diffuseTexture")] if maps.base_color is not None else []
    surface = [pbr.get("metallicRoughnessTexture")] if maps.surface is not None else []
    surface += [material.get("occlusionTexture")] if maps.occluded else []
    normal = [material.get("normalTexture")] if maps.normal is not None else []
    return [info for info in base + surface + normal if info]


def kept_uv_sets(material: Tree, maps: Maps) -> set[int]:
    """The TEXCOORD numbers that a material still reads after these maps are in."""
    gone = [id(info) for info in replaced(material, maps)]
    numbers = set()
    for info in infos(material):
        if id(info) not in gone:
            transform = info.get("extensions", {}).get("KHR_texture_transform", {})
            numbers.add(transform.get("texCoord", info.get("texCoord", 0)))
    return numbers


def paint(document: Document, jobs: list[Job], *, unwrapped: bool) -> None:
    """Put the new maps into their materials. Pictures and textures that nobody else uses give their place to the new ones."""
    occlusion = [None if unwrapped else _occlusion(document, job) for job in jobs]
    samplers = [_sampler(document, job.tree, unwrapped=unwrapped) for job in jobs]
    gone = [info for job in jobs for info in replaced(job.tree, job.maps)]
    gone += [job.tree["occlusionTexture"] for job, packed in zip(jobs, occlusion, strict=True) if packed is not None]
    _release(document, gone)
    for job, packed, sampler in zip(jobs, occlusion, samplers, strict=True):
        if job.maps.base_color is not None:
            see_through = job.tree.get("alphaMode", "OPAQUE") != "OPAQUE" and not unwrapped
            pixels = with_alpha(job.maps.base_color, job.material) if see_through else job.maps.base_color
            _put_color(job, _texture(document, pixels, f"{job.material.name} base colour", sampler))
        if job.maps.surface is not None:
            pixels = job.maps.surface
            if packed is not None:
                pixels = np.concatenate([resized(packed, len(pixels))[..., None], pixels[..., 1:]], axis=-1)
            index = _texture(document, pixels, f"{job.material.name} roughness and metallic", sampler)
            _put_surface(job, index, with_occlusion=packed is not None)
        if job.maps.normal is not None:
            index = _texture(document, job.maps.normal, f"{job.material.name} normals", sampler)
            job.tree["normalTexture"] = {"index": index, **job.place}


def _put_color(job: Job, index: int) -> None:
    pbr = job.tree.setdefault("pbrMetallicRoughness", {})
    targets = [(pbr, "baseColorTexture", "baseColorFactor")]
    if glossy := job.tree.get("extensions", {}).get(_GLOSSY):
        targets.append((glossy, "diffuseTexture", "diffuseFactor"))
    for tree, slot, factor in targets:
        tree[slot] = {"index": index, **job.place}
        opacity = tree.pop(factor, (1, 1, 1, 1))[3]
        if opacity != 1:
            tree[factor] = [1.0, 1.0, 1.0, opacity]


def _put_surface(job: Job, index: int, *, with_occlusion: bool) -> None:
    pbr = job.tree.setdefault("pbrMetallicRoughness", {})
    pbr["metallicRoughnessTexture"] = {"index": index, **job.place}
    pbr.pop("roughnessFactor", None)
    pbr.pop("metallicFactor", None)
    if job.maps.occluded:
        job.tree["occlusionTexture"] = {"index": index, **job.place}
    elif with_occlusion:
        strength = {k: v for k, v in job.tree["occlusionTexture"].items() if k == "strength"}
        job.tree["occlusionTexture"] = {"index": index, **job.place, **strength}


def hide_vertex_colors(document: Document, primitives: list[Tree]) -> None:
    """Rename COLOR_0, by which glTF multiplies the base colour, so that the painted colours show as painted; white ones stay."""
    for primitive in primitives:
        index = primitive["attributes"].get("COLOR_0")
        if index is None:
            continue
        colors = document.accessor(index)
        one = 1 if colors.dtype.kind == "f" else np.iinfo(colors.dtype).max
        if (colors[:, :3] != one).any():
            for attributes in (primitive["attributes"], *primitive.get("targets", [])):
                if "COLOR_0" in attributes:
                    attributes["_COLOR_0"] = attributes.pop("COLOR_0")


def _where(info: Tree) -> Tree:
    """The part of a texture reference that says where its picture lies, the rest left out."""
    transform = info.get("extensions", {}).get("KHR_texture_transform")
    number = {"texCoord": info["texCoord"]} if info.get("texCoord", 0) else {}
    return number | ({"extensions": {"KHR_texture_transform": transform}} if transform else {})


def _occlusion(document: Document, job: Job) -> np.ndarray | None:
    """The occlusion [h, w] packed in the red of a surface map that is about to be replaced."""
    surface = job.tree.get("pbrMetallicRoughness", {}).get("metallicRoughnessTexture")
    occlusion = job.tree.get("occlusionTexture")
    if job.maps.surface is None or job.maps.occluded or not surface or not occlusion or occlusion["index"] != surface["index"]:
        return None
    if not _where(occlusion) == _where(surface) == job.place:
        return None
    texture = document.tree["textures"][surface["index"]]
    image = document.tree["images"][texture["source"]] if "source" in texture else {}
    pixels = decoded(document.views[image["bufferView"]], "occlusion") if "bufferView" in image else None
    return None if pixels is None else pixels[..., 0]


def _sampler(document: Document, tree: Tree, *, unwrapped: bool) -> int:
    """A smooth sampler that wraps as the material's own colours do (UVs may leave the unit square)."""
    pbr = tree.get("pbrMetallicRoughness", {})
    info = pbr.get("baseColorTexture") or pbr.get("metallicRoughnessTexture")
    wrap: Tree = {}
    if info and not unwrapped:
        number = document.tree["textures"][info["index"]].get("sampler")
        own = {} if number is None else document.tree["samplers"][number]
        wrap = {k: own[k] for k in ("wrapS", "wrapT") if k in own}
    wanted = {"magFilter": _LINEAR, "minFilter": _MIPMAPS, **wrap}
    samplers = document.tree.get("samplers", [])
    return samplers.index(wanted) if wanted in samplers else document.add("samplers", **wanted)


def _texture(document: Document, pixels: np.ndarray, name: str, sampler: int) -> int:
    """A new picture and a texture of it, in freed places where there are some."""
    data = png(pixels)
    free = document.free.get("images", [])
    old = document.tree["images"][free[0]] if free else {}
    view = old.get("bufferView")
    if view is None or sum(1 for _ in uses(document.tree, "bufferView", view)) > 1:
        view = document.add_view(data)
    else:
        document.views[view] = data
        document.tree["bufferViews"][view] = {"byteLength": len(data)}
    image = document.add("images", name=name, mimeType="image/png", bufferView=view)
    return document.add("textures", name=name, sampler=sampler, source=image)


def _release(document: Document, gone: list[Tree]) -> None:
    """Free the textures that only `gone` referred to, and the pictures that only those textures showed."""
    ids = {id(info) for info in gone}
    alive = {info["index"] for m in document.tree.get("materials", []) for info in infos(m) if id(info) not in ids}
    textures = document.tree.get("textures", [])
    dead = sorted({info["index"] for info in gone} - alive)
    shown = {i for k, texture in enumerate(textures) if k not in dead for i in uses(texture, "source")}
    document.free["textures"] = dead
    document.free["images"] = sorted({i for k in dead for i in uses(textures[k], "source")} - shown)


def uses(value: Any, key: str, number: int | None = None) -> Iterator[int]:
    """Every integer under `key` anywhere inside `value` outside extras; only those equal to `number` if given."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == key and isinstance(inner, int):
                if number is None or inner == number:
                    yield inner
            elif name != "extras":
                yield from uses(inner, key, number)
    elif isinstance(value, list):
        for inner in value:
            yield from uses(inner, key, number)
