"""What recovery leaves behind: separate maps, the packed ORM map, the light, a GLB, a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from studio import exporters, files
from studio.errors import MeshError
from studio.exporters import Asset, _source
from studio.exporters._maps import pixels, png
from studio.recover import PAINTED, Recovered
from studio.surface.mesh import Mesh
from studio.texture import Texture

if TYPE_CHECKING:
    from studio.surface.mesh import Material

ORM = ("occlusion", "roughness", "metallic")
"""The channels of a packed map, red to blue, as glTF has them."""


def write(mesh: Mesh, found: Recovered, folder: Path, *, receipt: Mapping[str, Any], report: Mapping[str, Any]) -> list[Path]:
    """Write everything into `folder`, which exists; the report last. Raises OutputError, and MeshError for a changed source."""
    spare(mesh, folder)
    written = write_maps(found.texture, folder)
    if found.radiance is not None:
        written.append(write_light(found.radiance, folder / "light.exr"))
    asset = Asset(mesh=mesh, texture=found.texture, receipt=receipt, painted=PAINTED)
    written += exporters.SOCKET.make("glb").write(asset, folder / f"{mesh.name}.glb")
    return [*written, files.write_json(folder / "report.json", report)]


def spare(mesh: Mesh, folder: Path) -> None:
    """Raise OutputError where results in `folder` would replace a file that the mesh was loaded from."""
    _source.spare(mesh, [*_maps(mesh, folder), folder / "light.exr", folder / f"{mesh.name}.glb"])


def _maps(mesh: Mesh, folder: Path) -> list[Path]:
    starts = _starts(tuple(material.name for material in mesh.sets))
    return [folder / f"{start}{name}.png" for start in starts for name in (*sorted(PAINTED), "orm")]


def write_maps(texture: Texture, folder: Path) -> list[Path]:
    """One PNG for each set and channel, and the packed `orm`: base colour sRGB, the others linear, normals as OpenGL has them."""
    contents: dict[Path, bytes] = {}
    full = {"occlusion": torch.ones_like(texture.channels["roughness"]), **texture.channels}
    for s, start in enumerate(_starts(texture.names)):
        for name, channel in texture.channels.items():
            picture = pixels(channel[s])
            contents[folder / f"{start}{name}.png"] = png(picture[..., 0] if picture.shape[-1] == 1 else picture)
        contents[folder / f"{start}orm.png"] = png(np.concatenate([pixels(full[name][s]) for name in ORM], -1))
    return files.write_together(contents)


def write_light(radiance: Tensor, path: Path) -> Path:
    """A panorama [3, H, 2·H] of linear radiance as OpenEXR, which the studio reads again."""
    import OpenEXR

    planes = radiance.detach().cpu().float().numpy()
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with files.replacing(path) as temporary:
        channels = {"RGB": np.ascontiguousarray(planes.transpose(1, 2, 0))}
        with OpenEXR.File(header, channels) as file:
            file.write(str(temporary))
    return path


def unpack(mesh: Mesh, folder: Path) -> list[Path]:
    """The maps of every material of a mesh as separate PNGs, at the size they have in its file; factors are multiplied in.

    Raises OutputError, and MeshError for a mesh without UVs, which has no maps.
    """
    if mesh.corner_uv is None:
        raise MeshError(f"'{mesh.name}' has no texture coordinates, so it has no maps.", "Give a mesh with maps, such as a GLB.")
    _source.spare(mesh, _maps(mesh, folder))
    written = []
    for start, material in zip(_starts(tuple(m.name for m in mesh.sets)), mesh.sets, strict=True):
        texture = Texture.from_mesh(replace(mesh, sets=(material,)), _side(material))
        planes = {name: pixels(channel[0]) for name, channel in texture.channels.items()}
        contents = {folder / f"{start}{name}.png": png(p[..., 0] if p.shape[-1] == 1 else p) for name, p in planes.items()}
        if material.metallic_roughness is not None:
            contents[folder / f"{start}occlusion.png"] = png(material.metallic_roughness[..., 0])
        written += files.write_together(contents)
    return written


def _side(material: Material) -> int:
    maps = [m for m in (material.base_color, material.metallic_roughness) if m is not None]
    return max((max(m.shape[:2]) for m in maps), default=16)


def _starts(names: tuple[str, ...]) -> list[str]:
    """How the files of each set begin: with its name where there are several, and a number where names recur.

    Capitals make no other file on most desktops.
    """
    if len(names) == 1:
        return [""]
    plain = ["".join(c if c.isalnum() or c in "-_" else "_" for c in name) for name in names]
    if len({name.casefold() for name in plain}) == len(plain):
        return [f"{name}_" for name in plain]
    return [f"{name}_{i}_" for i, name in enumerate(plain, 1)]
