"""Materials of a glTF document: factors, pictures, and the UVs that carry them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from studio.errors import MeshError
from studio.surface import _files
from studio.surface._source import Material

if TYPE_CHECKING:
    from studio.surface._gltf import _Reader


class Materials:
    """The materials of one document being read; pictures are decoded once each, and only those in use."""

    def __init__(self, reader: _Reader) -> None:
        self.reader = reader
        self.pictures: dict[int, np.ndarray | None] = {}

    def material(self, i: int) -> Material:
        """Material i; −1 is the default one of primitives without material."""
        if i < 0:
            return Material("default", metallic=1.0)
        described = self.reader.item("materials", i)
        name = described.get("name") or f"material {i}"
        pbr = described.get("pbrMetallicRoughness", {})
        if "KHR_materials_pbrSpecularGlossiness" in described.get("extensions", {}):
            self.reader.notes.append(f"Material '{name}': specular-glossiness is not read, plain metallic-roughness is.")
        color, surface = pbr.get("baseColorTexture"), pbr.get("metallicRoughnessTexture")
        surface_map = self.map(surface, name)
        if color and surface_map is not None and _placement(color) != _placement(surface):
            self.reader.notes.append(f"Material '{name}': its metallic-roughness map uses other UVs than its colours: not shown.")
            surface_map = None
        factor = [float(v) for v in pbr.get("baseColorFactor", (1, 1, 1, 1))]
        r, g, b, a = factor
        return Material(
            name,
            base_color=self.map(color, name),
            base_factor=(r, g, b, a),
            roughness=float(pbr.get("roughnessFactor", 1)),
            metallic=float(pbr.get("metallicFactor", 1)),
            metallic_roughness=None if surface_map is None else np.ascontiguousarray(surface_map[..., :3]),
            index=i,
        )

    def uv(self, i: int, attributes: dict[str, int], count: int) -> np.ndarray:
        """The UVs [count, 2] on which material i's colours lie, with the texture's own transform applied; NaN without any."""
        pbr = self.reader.item("materials", i).get("pbrMetallicRoughness", {}) if i >= 0 else {}
        info = pbr.get("baseColorTexture") or pbr.get("metallicRoughnessTexture") or {}
        number, scale, rotation, offset = _placement(info)
        if f"TEXCOORD_{number}" not in attributes:
            return np.full((count, 2), np.nan)
        uv = self.reader.accessor(attributes[f"TEXCOORD_{number}"])[:, :2] * np.array(scale)
        c, s = np.cos(rotation), np.sin(rotation)
        return uv @ np.array([[c, -s], [s, c]]) + np.array(offset)

    def map(self, info: dict[str, Any] | None, material: str) -> np.ndarray | None:
        """The picture of a textureInfo [h, w, 3 or 4] uint8; None without one, or, with a note, when it cannot be had."""
        if not info:
            return None
        texture = self.reader.item("textures", info["index"])
        webp = texture.get("extensions", {}).get("EXT_texture_webp", {})
        number = webp.get("source", texture.get("source"))
        if number is None:
            self.reader.notes.append(f"Material '{material}': its picture is in a format the studio does not read.")
            return None
        if number not in self.pictures:
            self.pictures[number] = self._picture(number, material)
        return self.pictures[number]

    def _picture(self, number: int, material: str) -> np.ndarray | None:
        image = self.reader.item("images", number)
        uri = image.get("uri")
        name = image.get("name") or ("inside the file" if uri is None or uri[:5].lower() == "data:" else uri)
        if uri is None:
            data = bytes(self.reader.view(image["bufferView"])[0])
        else:
            try:
                data = self.reader.folder.read_uri(uri)
            except _files.Outside:
                self.reader.notes.append(f"Material '{material}': picture '{name}' lies outside the mesh's folder: not read.")
                return None
            except MeshError:
                self.reader.notes.append(f"Material '{material}': picture '{name}' cannot be read.")
                return None
        decoded = self.reader.folder.picture(data, name)
        if decoded is None:
            self.reader.notes.append(f"Material '{material}': picture '{name}' cannot be decoded.")
        return decoded


def _placement(info: dict[str, Any]) -> tuple[int, tuple[float, float], float, tuple[float, float]]:
    """Which UVs a textureInfo reads, and the scale, rotation and offset of its KHR_texture_transform."""
    transform = info.get("extensions", {}).get("KHR_texture_transform", {})
    su, sv = transform.get("scale", (1.0, 1.0))
    ou, ov = transform.get("offset", (0.0, 0.0))
    number = transform.get("texCoord", info.get("texCoord", 0))
    return number, (su, sv), float(transform.get("rotation", 0.0)), (ou, ov)
