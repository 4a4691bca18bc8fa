"""What the pictures show of the mesh, worked out once: geometry and cameras stand still, so that recovery is pure shading."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.errors import StudioError
from studio.surface.corners import Corners
from studio.texture import Fragments

if TYPE_CHECKING:
    from studio.camera import Camera
    from studio.captures import Capture
    from studio.renderers import Rasterizer
    from studio.surface.mesh import Mesh

GRAZING = 0.3
"""Surface seen at a smaller cosine is left out: a picture shows little of it, and split sums are least true there."""


@dataclass(frozen=True, eq=False)
class Places:
    """n points of the surface and how each is seen; unit vectors in work space."""

    face: Tensor
    """[n] int64."""
    bary: Tensor
    """[n, 3] the weights of its corners."""
    position: Tensor
    """[n, 3]."""
    normal: Tensor
    """[n, 3] shading normal, on the side that is seen."""
    tangent: Tensor
    """[n, 3] along +u (MikkTSpace)."""
    bitangent: Tensor
    """[n, 3] along −v."""
    uv: Tensor
    """[n, 2]."""
    to_eye: Tensor
    """[n, 3]."""


@dataclass(frozen=True, eq=False)
class GBuffer:
    """P pixels of all views that show the surface, each with K = ssaa² samples of it; on one device."""

    corners: Corners
    eye: Tensor
    """[V, 3]."""
    view: Tensor
    """[P] int16."""
    pixel: Tensor
    """[P] int32, row by row in its view."""
    face: Tensor
    """[P, K] int32; −1 where the sample shows the background."""
    bary: Tensor
    """[P, K, 2] float32, of the face's first two corners."""
    target: Tensor
    """[P, 3] uint8 sRGB, what the picture shows."""
    weight: Tensor
    """[P] float32: the square of the mean cosine to the eye; flat views count less."""

    def __len__(self) -> int:
        return len(self.view)

    @property
    def device(self) -> torch.device:
        return self.face.device

    @cached_property
    def whole(self) -> bool:
        """All samples show the surface."""
        return bool((self.face >= 0).all())

    def covered(self, pixels: Tensor) -> Tensor:
        """[n, K] bool: which samples of these pixels show the surface."""
        return self.face[pixels] >= 0

    def places(self, pixels: Tensor) -> Places:
        """The samples of these pixels that show the surface, pixel by pixel."""
        own, first, eye = self.face[pixels].long(), self.bary[pixels], self.eye[self.view[pixels].long()]
        eye = eye[:, None].expand(*own.shape, 3)
        if self.whole:  # a choice by mask would have the host wait for a card
            own, first, eye = own.flatten(), first.flatten(0, 1), eye.flatten(0, 1)
        else:
            hit = own >= 0
            own, first, eye = own[hit], first[hit], eye[hit]
        bary = torch.cat([first, 1 - first.sum(-1, keepdim=True)], -1)

        def at(table: Tensor) -> Tensor:
            return (table[own] * bary[..., None]).sum(1)

        position = at(self.corners.position)
        to_eye = F.normalize(eye - position, dim=-1)
        facing = torch.where((to_eye * self.corners.geometric_normal[own]).sum(-1, keepdim=True) < 0, -1.0, 1.0)
        normal = F.normalize(at(self.corners.normal), dim=-1)
        tangent = at(self.corners.tangent[..., :3])
        tangent = F.normalize(tangent - (tangent * normal).sum(-1, keepdim=True) * normal, dim=-1)
        bitangent = self.corners.tangent[own, 0, 3:] * torch.linalg.cross(normal, tangent)
        assert self.corners.uv is not None
        return Places(own, bary, position, normal * facing, tangent, bitangent, at(self.corners.uv), to_eye)


def gather(
    mesh: Mesh, capture: Capture, rasterizer: Rasterizer, *, ssaa: int = 1, background: str = "ignore"
) -> Generator[int, None, GBuffer]:
    """Draw every view once, yielding how many are done. `capture` is placed in the mesh's work space.

    With `background` "ignore" only pixels count that are wholly the object, in the picture and on the mesh; otherwise all that
    show some of the mesh do. Raises StudioError when no pixel is left.
    """
    corners = Corners.of(mesh).to(rasterizer.device)
    device = rasterizer.device
    parts: list[list[Tensor]] = [[] for _ in range(6)]
    for v, camera in enumerate(capture.cameras):
        yield v
        drawn = rasterizer.rasterize(mesh, cast("Sequence[Camera]", [camera]), capture.size_px, supersample=ssaa)
        view = next(drawn.each_view())
        cosine = _cosine(view)
        share = view.mask[0].float().mean(-1)
        known = capture.known[v].flatten().to(device)
        if background == "ignore":
            whole = share == 1
            if capture.alpha is not None:
                whole &= capture.alpha[v].flatten().to(device) == 255
            chosen = whole & known & (cosine > GRAZING)
        else:
            chosen = (share > 0) & known & ((cosine > GRAZING) | (share < 1))
        pixel = chosen.nonzero()[:, 0]
        target = capture.rgb[v].flatten(1).to(device).T[pixel]
        rows = (
            torch.full_like(pixel, v, dtype=torch.int16),
            pixel.int(),
            view.face[0][pixel].int(),
            view.bary[0][pixel][..., :2],
            target,
            cosine[pixel],
        )
        for part, row in zip(parts, rows, strict=True):
            part.append(row)
    eye = torch.tensor([camera.position().tolist() for camera in capture.cameras], device=device)
    view_of, pixel_of, face, bary, target, weight = (torch.cat(part) for part in parts)
    if not len(view_of):
        problem = "No picture shows the mesh: what the cameras see of it and the masks have nothing in common."
        raise StudioError(problem, "Check that the cameras belong to this mesh, and its scale.")
    return GBuffer(corners, eye, view_of, pixel_of, face, bary, target, weight.clamp(min=GRAZING).square())


def _cosine(view: Fragments) -> Tensor:
    """[h·w] the mean over a pixel's samples of the cosine between the ray and the shading normal; 0 where there is none."""
    toward = view.cosine.sign()[..., None] * view.normal
    each = (toward * view.view_direction).sum(-1)[0].clamp(min=0)
    return each.sum(-1) / view.mask[0].sum(-1).clamp(min=1)
