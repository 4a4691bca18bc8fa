"""The light that is learned along with the materials, and how it compares with a known one."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.environment import Environment, prefiltered
from studio.shadow import spiral


class Light(nn.Module):
    """A panorama of `rows` × 2·`rows` that begins even and grey; prefiltered inside the graph at every call."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.zeros(3, rows, 2 * rows))

    @property
    def radiance(self) -> Tensor:
        """[3, H, 2·H] linear."""
        return self.log.clamp(-8, 8).exp()

    def forward(self) -> Environment:
        return prefiltered(self.radiance, name="recovered")

    def colour(self) -> Tensor:
        """How far the light is from grey: the mean over directions of |L − mean of its colours| (nvdiffrec's white balance)."""
        radiance = self.radiance
        return ((radiance - radiance.mean(0)).abs() * _area(radiance)).mean()


def _area(radiance: Tensor) -> Tensor:
    """[H, 1] what rows of a panorama cover of the sphere, 1 on average."""
    rows = radiance.shape[1]
    area = torch.sin((torch.arange(rows, device=radiance.device) + 0.5) / rows * math.pi)
    return (area / area.mean())[:, None]


def alignment(found: Environment, reference: Environment, *, count: int = 600) -> tuple[float, float]:
    """The angle in degrees of the rotation under which two lights correlate most, and that correlation (−1 … 1).

    Both are seen a little out of focus. Rotations are searched on a grid over all of them, then ever finer around the best.
    """
    ways = spiral(count)
    wanted = _seen(reference.to("cpu"), ways)
    source = found.to("cpu")

    def match(turns: Tensor) -> Tensor:
        turned = torch.einsum("rij,nj->rni", turns, ways)
        values = _seen(source, turned.reshape(-1, 3)).reshape(len(turns), count)
        values = F.normalize(values - values.mean(1, keepdim=True), dim=1)
        return values @ F.normalize(wanted - wanted.mean(), dim=0)

    generator = torch.Generator().manual_seed(0)
    best = torch.cat(
        [torch.eye(3)[None], _turns(torch.randn(600, 3, generator=generator), torch.rand(600, generator=generator) * 180)]
    )
    scores = match(best)
    top = best[scores.argmax()]
    for spread in (20.0, 8.0, 3.0, 1.0):
        axes, angles = torch.randn(80, 3, generator=generator), torch.randn(80, generator=generator) * spread
        near = torch.cat([top[None], _turns(axes, angles) @ top])
        scores = match(near)
        top = near[scores.argmax()]
    angle = math.degrees(math.acos(float(((top.trace() - 1) / 2).clamp(-1, 1))))
    return angle, float(scores.max())


def _seen(environment: Environment, ways: Tensor) -> Tensor:
    """[n] the logarithm of the grey light from around these directions."""
    return environment.reflected(ways, torch.full((len(ways),), 0.35)).mean(1).clamp(min=1e-4).log()


def _turns(axes: Tensor, degrees: Tensor) -> Tensor:
    """Rotations [n, 3, 3] about axes [n, 3] (Rodrigues)."""
    x, y, z = F.normalize(axes, dim=-1).unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(-1, 3, 3)
    angle = torch.deg2rad(degrees)[:, None, None]
    return torch.eye(3) + angle.sin() * cross + (1 - angle.cos()) * (cross @ cross)
