"""Materials as texels: the field baked onto the mesh's UVs, then refined texel by texel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.errors import MeshError
from studio.recover.field import Field, Matter
from studio.recover.gbuffer import Places
from studio.surface.atlas import Atlas, build_atlas
from studio.texture import Texture

if TYPE_CHECKING:
    from studio.surface.mesh import Mesh

CHUNK, CPU_CHUNK = 1 << 16, 1 << 12
"""Texels baked at a time; on a CPU so few that what is made of them stays in its caches, which is more than twice as fast."""


def laid_out(mesh: Mesh, size_px: int) -> Atlas:
    """The mesh's atlas. Raises MeshError without UVs, or where they cover no texel, and StudioError for an impossible size."""
    atlas = build_atlas(mesh, size_px)
    if not atlas.valid.any():
        problem = f"The texture coordinates of '{mesh.name}' cover no texel of {size_px}²."
        raise MeshError(problem, "Choose a larger atlas, or unwrap the mesh anew.")
    return atlas


class Texels(nn.Module):
    """One row per texel of the atlas: base colour 3, bend 2, roughness, metallic, and the openness where it is learned."""

    def __init__(self, atlas: Atlas, columns: int) -> None:
        super().__init__()
        self.atlas = atlas
        self.rows = nn.Parameter(torch.zeros(atlas.face.numel(), columns, device=atlas.device))
        self.register_buffer("start", torch.zeros_like(self.rows))

    def take(self, field: Field) -> Iterator[int]:
        """Copy the field's materials, yielding how many of the texels are done."""
        atlas = self.atlas
        valid = atlas.valid.flatten().nonzero()[:, 0]
        normal, tangent, bitangent = (t.reshape(-1, 3) for t in (atlas.normal, atlas.tangent, atlas.bitangent))
        position = atlas.position.reshape(-1, 3)
        for part in valid.split(CPU_CHUNK if atlas.device.type == "cpu" else CHUNK):
            with torch.no_grad():
                matter = field(position[part])
                along = [(matter.bend * frame[part]).sum(-1, keepdim=True) for frame in (tangent, bitangent)]
                found = Matter(matter.base_color, torch.cat(along, -1), matter.roughness, matter.metallic, matter.open)
                self.rows[part] = found.flat()
            yield int(part[-1]) + 1
        with torch.no_grad():
            self.rows.copy_(self.rows[atlas.nearest.flatten()])
            self.start.copy_(self.rows)

    def forward(self, places: Places) -> tuple[Matter, Tensor]:
        """What is fetched at places, and how far its texels have moved from the field's [n, 4, C]."""
        atlas = self.atlas
        index, weight = atlas.taps(atlas.corners.face_set[places.face], places.uv, atlas.face_chart[places.face])
        near = self.rows[index.long()]
        rows = (near * weight[..., None]).sum(1)
        return matter_of(rows), near - self.start[index.long()]

    def keep_in_range(self) -> None:
        """Colours, roughness, metallic and openness back into [0, 1] after a step."""
        with torch.no_grad():
            self.rows[:, :3].clamp_(0, 1)
            self.rows[:, 3:5].clamp_(-1, 1)
            self.rows[:, 5:].clamp_(0, 1)


def matter_of(rows: Tensor) -> Matter:
    """Rows [n, 7 or 8] of texels as materials."""
    return Matter(rows[:, :3], rows[:, 3:5], rows[:, 5:6], rows[:, 6:7], rows[:, 7:8] if rows.shape[1] > 7 else None)


def texture_of(rows: Tensor, atlas: Atlas, names: tuple[str, ...], occlusion: Tensor | None) -> Texture:
    """Rows of texels as a texture with all channels; `occlusion` [S, 1, T, T] is baked, unless it was learned."""
    shape = (atlas.sets, atlas.size_px, atlas.size_px, -1)
    stack = atlas.dilated(rows.detach().reshape(shape).movedim(-1, 1))
    bend = torch.cat([stack[:, 3:5], torch.ones_like(stack[:, :1])], 1)
    channels = {
        "base_color": stack[:, :3],
        "roughness": stack[:, 5:6],
        "metallic": stack[:, 6:7],
        "normal": (F.normalize(bend, dim=1) + 1) / 2,
    }
    learned = stack[:, 7:8] if stack.shape[1] > 7 else None
    open_ = learned if learned is not None else occlusion
    if open_ is not None:
        channels["occlusion"] = open_.expand_as(channels["roughness"])
    return Texture(names, {name: channel.clamp(0, 1).contiguous() for name, channel in channels.items()})


def rows_from(texture: Texture) -> Tensor:
    """Rows [S·T·T, 7] of a texture; no bend where it has no normals."""
    base = texture.channels["base_color"]
    bend = torch.zeros_like(base[:, :2])
    if "normal" in texture.channels:
        n = texture.channels["normal"] * 2 - 1
        bend = n[:, :2] / n[:, 2:].clamp(min=0.1)
    stack = torch.cat([base, bend, texture.channels["roughness"], texture.channels["metallic"]], 1)
    return stack.movedim(1, -1).reshape(-1, stack.shape[1])
