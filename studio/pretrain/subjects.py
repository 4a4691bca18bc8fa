"""What the evaluation paints on: sample meshes with painting cameras, bake and atlas, as the studio prepares them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from studio.bake import Baker, supersample, texel
from studio.camera import Camera
from studio.coverage import painting_cameras
from studio.generators._solid import Volumes
from studio.pretrain import corpus
from studio.pretrain.corpus import Sample
from studio.pretrain.shapes import seen, vertex_fields
from studio.pretrain.solid import PIXEL
from studio.renderers import SOCKET as RENDERERS
from studio.surface.atlas import Atlas, build_atlas
from studio.surface.mesh import Mesh, load
from studio.surface.seams import Seams, seams
from studio.surface.unwrap import needs_unwrap, unwrap

POINTS = 8_000
"""Points of the surface, evenly by area, that are asked for their channels."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A mesh ready to be painted and measured; tensors on one device.

    `rig` [V, 9, px, px] what the painting cameras see; `points` [n] flat numbers of texels that the cameras cover, drawn evenly
    over the surface; `fine` [S, 9, T, T] the atlas seen as a rig.
    """

    mesh: Mesh
    atlas: Atlas
    cameras: tuple[Camera, ...]
    rig: Tensor
    baker: Baker
    cuts: Seams
    fine: Tensor
    points: Tensor

    @classmethod
    def load(cls, path: Path, *, view_px: int, atlas_px: int, views: int, device: torch.device) -> Subject:
        """A mesh without usable texture coordinates is unwrapped. Raises MeshError for an unreadable file."""
        mesh = _with_uv(load(path), atlas_px)
        atlas = build_atlas(mesh, atlas_px)
        cameras = painting_cameras(mesh, build_atlas(mesh, min(atlas_px, 256)), count=views, max_count=views)
        rasterizer = RENDERERS.make("embree").build(torch.device("cpu"))
        rig = torch.from_numpy(seen(mesh, cameras, view_px)).float()
        shown = rig[:, 6] > 0.5
        fragments = rasterizer.rasterize(mesh, cameras, view_px, supersample=supersample(atlas, view_px))
        valid = atlas.valid
        table = torch.from_numpy(vertex_fields(mesh)[mesh.faces])
        found = torch.einsum("nk,nkc->nc", atlas.bary[valid], table[atlas.face[valid].long()])
        fine = torch.zeros(*valid.shape, 9)
        fine[valid] = torch.cat([atlas.position[valid], atlas.normal[valid], torch.ones(len(found), 1), found], 1)
        baker = Baker(fragments.to(device), atlas.to(device), shown=shown.to(device))
        covered = (baker.painted.cpu() & valid).flatten()
        area = torch.linalg.cross(atlas.corners.jacobian[..., 0], atlas.corners.jacobian[..., 1]).norm(dim=-1)
        weight = (area[atlas.face.flatten().clamp(min=0).long()] * covered).double().cumsum(0)
        level = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS * weight[-1]
        points = torch.searchsorted(weight, level).clamp(max=len(weight) - 1)
        fine = fine.movedim(-1, 1).contiguous().to(device)
        return cls(mesh, atlas.to(device), cameras, rig.to(device), baker, seams(mesh, atlas), fine, points.to(device))

    @cached_property
    def texel(self) -> float:
        """Work units across a texel, in the median."""
        return texel(self.atlas)

    @cached_property
    def sparse(self) -> Tensor:
        """The points as a rig [1, 9, n, 1]."""
        return self.at_points(self.fine).T[None, :, :, None]

    def at_points(self, texture: Tensor) -> Tensor:
        """Texels [S, C, T, T] → [n, C] at the points."""
        return texture.movedim(1, -1).flatten(0, 2)[self.points]

    def truth_views(self, sample: Sample, volumes: Volumes) -> Tensor:
        """What the corpus paints on the views [V, 6, px, px]."""
        return corpus.paint([sample], self.rig[None], volumes)[0]

    def truth_points(self, sample: Sample, volumes: Volumes) -> Tensor:
        """The same on the points [n, 6]."""
        return corpus.paint([sample], self.sparse[None], volumes)[0, 0, :, :, 0].T

    def truth_atlas(self, sample: Sample, volumes: Volumes) -> Tensor:
        """The same straight into the atlas [S, 6, T, T], as sharp as its texels."""
        return corpus.paint([sample], self.fine[None], volumes, pixel=min(PIXEL, self.texel))[0]


def _with_uv(mesh: Mesh, size_px: int) -> Mesh:
    if needs_unwrap(mesh) is None:
        return mesh
    steps = unwrap(mesh, size_px=size_px)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value
