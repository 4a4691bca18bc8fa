"""Occlusion for recovery: how much of the sky the surface sees, cast once per mesh by Embree and kept on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from studio.surface.ambient import openness as at_vertices

if TYPE_CHECKING:
    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh

RAYS = 128
"""Rays per vertex."""


@dataclass(frozen=True, eq=False)
class Openness:
    """[F, 3] float32 at the faces' corners: 1 = open, 0 = hidden."""

    at_corners: Tensor

    def over(self, atlas: Atlas) -> Tensor:
        """[S, 1, T, T] on texels, gutters filled."""
        table = self.at_corners.to(atlas.device)
        rows = table.new_ones(atlas.face.shape)
        rows[atlas.valid] = (table[atlas.face[atlas.valid].long()] * atlas.bary[atlas.valid]).sum(-1)
        return atlas.dilated(rows[:, None])


def openness(mesh: Mesh) -> Openness:
    """Of `mesh`, interpolated between vertices. Raises DeviceError where Embree is missing."""
    import numpy as np

    return Openness(torch.from_numpy(at_vertices(mesh, RAYS)[np.asarray(mesh.faces)].astype(np.float32)))
