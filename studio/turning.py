"""What changes under a pixel while its camera turns around its target: the derivative by which cameras are learned.

A turn about the target is a rotation with some axis ω, and the rays of a picture are carried along: the point x on the ray
through a pixel and the unit vector e towards the eye move by v = ω × (x − target) and ω × e. The surface stays, so the point
that the pixel shows slides along the ray until it is back on the plane of its face (normal n): x' = v − e (n·v) / (n·e). From it
follow the barycentrics' and hence the uv's rates, and the cosine's, n·(ω × e) + n_s'·e, where n_s' is how the shading normal
changes along x': on curved surface it stands for the faces that come next, whose normals differ.

Neglected is what leaves or enters a picture: silhouettes, occlusion, and the depth edges that move with them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from studio.surface.atlas import Atlas
from studio.texture import Fragments

AXES = ("azimuth", "elevation")


def rates(view: Fragments, use: Tensor) -> tuple[Tensor, Tensor]:
    """How a turn moves what the n surface sub-pixels of one view show: (cosine [n, 2], uv [n, 2, 2]) per degree.

    `use` [hits] bool picks the n among them, none of them seen from behind or edge-on. The first index of two is the angle
    (`AXES`), the last of uv its component.
    """
    camera, corners = view.cameras[0], view.corners
    assert len(view.cameras) == 1 and corners.uv is not None
    face, bary = view.face[view.mask][use], view.bary[view.mask][use]
    like = corners.position
    x = torch.einsum("nk,nkc->nc", bary, like[face])
    target, eye, direction, right = (
        like.new_tensor(a) for a in (camera.target, camera.position(), camera.direction(), camera.frame()[0])
    )
    e = direction.expand_as(x) if camera.orthographic else torch.nn.functional.normalize(eye - x, dim=-1)
    n = corners.geometric_normal[face]
    dual = _duals(like)[face]
    normals, places = corners.normal[face], corners.uv[face]
    smooth = torch.einsum("nk,nkc->nc", bary, normals)
    length = smooth.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    along = smooth / length
    cosines, uvs = [], []
    for axis in (like.new_tensor([0.0, 1.0, 0.0]), -right):
        axis = (axis * math.radians(1)).expand_as(x)
        v = torch.linalg.cross(axis, x - target)
        moved = v - e * ((n * v).sum(-1) / (n * e).sum(-1))[:, None]
        weights = torch.einsum("nkc,nc->nk", dual, moved)
        bend = torch.einsum("nk,nkc->nc", weights, normals[:, 1:] - normals[:, :1]) / length
        bend = bend - along * (along * bend).sum(-1, keepdim=True)
        cosines.append((n * torch.linalg.cross(axis, e)).sum(-1) + (bend * e).sum(-1))
        uvs.append(torch.einsum("nk,nkc->nc", weights, places[:, 1:] - places[:, :1]))
    return torch.stack(cosines, 1), torch.stack(uvs, 1)


def tap_rates(atlas: Atlas, face: Tensor, uv: Tensor, index: Tensor, moves: Tensor) -> Tensor:
    """How fast the weights of `Atlas.taps` change where uv [n, 2] on `face` [n] moves by `moves` [n, 2, 2]: [n, 2, 4], for each
    of the two moves and four texels `index` [n, 4]."""
    place = (uv.double() if uv.device.type != "mps" else uv) * atlas.size_px - 0.5
    fx, fy = (place - place.floor()).float().unbind(-1)
    right, down = torch.stack([1 - fx, fx, 1 - fx, fx], -1), torch.stack([1 - fy, 1 - fy, fy, fy], -1)
    own = (atlas.claim.flatten()[index.long()] == atlas.face_chart[face][:, None]).float()
    weight = right * down * own
    total = weight.sum(-1, keepdim=True)
    lost = total <= 1e-6
    own, weight, total = torch.where(lost, 1.0, own), torch.where(lost, right * down, weight), torch.where(lost, 1.0, total)
    side = right.new_tensor([[-1.0, 1.0, -1.0, 1.0], [-1.0, -1.0, 1.0, 1.0]]) * atlas.size_px
    slope = torch.stack([side[0] * down, side[1] * right], 1) * own[:, None]
    rate = moves @ slope
    return (rate - (weight / total)[:, None] * rate.sum(-1, keepdim=True)) / total[:, None]


def _duals(position: Tensor) -> Tensor:
    """[F, 2, 3]: what a step along the face [F, 3, 3] adds to the weights of its second and third corner; zero without area."""
    a, b = position[:, 1] - position[:, 0], position[:, 2] - position[:, 0]
    normal = torch.linalg.cross(a, b)
    area = normal.square().sum(-1, keepdim=True)
    duals = torch.stack([torch.linalg.cross(b, normal), torch.linalg.cross(normal, a)], 1)
    return torch.where(area[:, None] > 0, duals / area.clamp_min(1e-30)[:, None], 0.0)
