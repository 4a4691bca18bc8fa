"""Places, what they are made of, and light → what a picture shows: the split sum of `studio.shade`, differentiable in all."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.environment import Environment
from studio.recover.field import Matter
from studio.recover.gbuffer import GBuffer, Places
from studio.shade import Lighting

STRAIGHT = 0.02
"""Normals are bent at most until they stand this far (as a cosine) off the eye's horizon."""


def bent(places: Places, bend: Tensor) -> Tensor:
    """Unit normals [n, 3]: the surface's own plus `bend`, [n, 3] in work space or [n, 2] along tangent and bitangent."""
    if bend.shape[1] == 2:
        aside = bend[:, :1] * places.tangent + bend[:, 1:] * places.bitangent
    else:
        aside = bend - (bend * places.normal).sum(-1, keepdim=True) * places.normal
    normal = F.normalize(places.normal + aside, dim=-1)
    below = (STRAIGHT - (normal * places.to_eye).sum(-1, keepdim=True)).clamp(min=0)
    return F.normalize(normal + below * places.to_eye, dim=-1)


def light_of(places: Places, matter: Matter, environment: Environment, open_: Tensor | None) -> Tensor:
    """Linear light [n, 3] from places to the eye; `open_` as `Lighting` takes what is visible."""
    lighting = Lighting(environment, bent(places, matter.bend), places.to_eye, visible=open_)
    return lighting(matter.base_color, matter.roughness, matter.metallic)


def pixels_of(buffer: GBuffer, chosen: Tensor, light: Tensor, background: float) -> Tensor:
    """Linear light [p, 3] of the chosen pixels: the mean of their samples' `light` [n, 3], `background` where there is none."""
    if buffer.whole:
        return light.unflatten(0, (len(chosen), -1)).mean(1)
    covered = buffer.covered(chosen)
    samples = torch.full((*covered.shape, 3), background, dtype=light.dtype, device=light.device)
    return samples.index_put((covered,), light).mean(1)
