"""The mesh as tables with one row per face: what is interpolated under texels and pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from studio.surface.mesh import Mesh


@dataclass(frozen=True, eq=False)
class Corners:
    """Per face and corner: position [F, 3, 3], unit shading normal [F, 3, 3], uv [F, 3, 2] or None; per face: set [F] int64."""

    position: Tensor
    normal: Tensor
    uv: Tensor | None
    face_set: Tensor

    @classmethod
    def of(cls, mesh: Mesh) -> Corners:
        """Of `mesh`, float32 on the CPU."""
        return cls(
            position=torch.from_numpy(np.asarray(mesh.vertices, np.float32)[mesh.faces]),
            normal=torch.from_numpy(np.array(mesh.corner_normals, np.float32)),
            uv=None if mesh.corner_uv is None else torch.from_numpy(np.array(mesh.corner_uv, np.float32)),
            face_set=torch.from_numpy(np.array(mesh.face_set, np.int64)),
        )

    def to(self, device: torch.device | str) -> Corners:
        """On `device`."""
        tables = (self.position, self.normal, self.uv, self.face_set)
        return Corners(*(t if t is None else t.to(device) for t in tables))

    @cached_property
    def geometric_normal(self) -> Tensor:
        """[F, 3] unit normals of the flat faces, zero where a face has no area."""
        a, b, c = self.position.unbind(1)
        return _unit(torch.linalg.cross(b - a, c - a))

    @cached_property
    def jacobian(self) -> Tensor:
        """[F, 3, 2] columns ∂position/∂u and ∂position/∂v (v down), work units per unit of uv; zero where uv has no area."""
        assert self.uv is not None
        p, t = (x[:, 1:] - x[:, :1] for x in (self.position, self.uv))
        area = t[:, 0, 0] * t[:, 1, 1] - t[:, 0, 1] * t[:, 1, 0]
        inverse = torch.stack([t[:, 1, 1], -t[:, 0, 1], -t[:, 1, 0], t[:, 0, 0]], -1).reshape(-1, 2, 2)
        inverse = inverse / torch.where(area == 0, torch.ones_like(area), area)[:, None, None]
        return (p.transpose(1, 2) @ inverse.transpose(1, 2)) * (area != 0)[:, None, None]

    @cached_property
    def tangent(self) -> Tensor:
        """[F, 3, 4] unit tangents of the corners along +u and the sign s of the bitangent s · (normal × tangent) along −v.

        The rule of MikkTSpace (Mikkelsen 2008, Simulation of wrinkled surfaces revisited, §3.3): around a vertex of equal
        position, normal, uv and handedness the faces' tangents are laid into the normal's plane and averaged by corner angle.
        """
        assert self.uv is not None
        jacobian = self.jacobian
        along_u, up = jacobian[..., 0], -jacobian[..., 1]
        sign = torch.where((torch.linalg.cross(self.geometric_normal, along_u) * up).sum(-1) < 0, -1.0, 1.0)
        n = self.normal
        ahead, behind = (_unit(_flat(self.position.roll(k, 1) - self.position, n)) for k in (-1, 1))
        angle = torch.arccos((ahead * behind).sum(-1, keepdim=True).clamp(-1, 1))
        share = angle * _unit(_flat(along_u[:, None].expand_as(n), n))

        hand = sign[:, None, None].expand(-1, 3, 1)
        key = torch.cat([self.position, n, self.uv, hand], -1).reshape(-1, 9)
        _, group = np.unique(key.cpu().numpy() + 0.0, axis=0, return_inverse=True)
        index = torch.from_numpy(group.reshape(-1)).to(n.device)
        total = share.new_zeros(int(index.max()) + 1, 3).index_add(0, index, share.reshape(-1, 3))
        return torch.cat([_unit(total[index].reshape_as(n)), hand], -1)


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x, dim=-1, eps=1e-20)


def _flat(x: Tensor, normal: Tensor) -> Tensor:
    return x - (x * normal).sum(-1, keepdim=True) * normal
