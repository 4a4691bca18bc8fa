"""Camera poses that are learned: painting cameras turn until together they see as much of the surface as can be seen.

The camera-pose-aware part of arXiv 2506.18331, by geometry alone: azimuth and elevation of every camera follow the gradient of a
soft coverage. Which texels are seen, and how straight, is known from 162 directions all around (`studio.coverage`); between them
it is interpolated by a kernel on the sphere, wide at first, so that a camera feels hollows that only open towards the other side,
and narrow in the end. A texel's coverage is the soft maximum over cameras: it pulls mostly at the one that sees it best already.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from studio.bake import MIN_COSINE
from studio.camera import Camera, sphere_directions
from studio.coverage import samples
from studio.errors import MeshError

if TYPE_CHECKING:
    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh

STEPS = 300
RATE_DEG = 2.0
"""Adam's step: about this many degrees per step and angle, falling to a tenth of it."""
BETAS = (0.8, 0.95)
JITTER_DEG = 2.0
"""Cameras in one and the same place would move alike for ever."""
STEEPEST_DEG = 85.0
THINNED = 4
"""One of so many samples of the surface is enough for a gradient."""
SHARPNESS = 30.0
"""Of the soft maximum over cameras, and of what counts as seen."""
WIDE, NARROW = 3.0, 80.0
"""Concentration of the kernel on the sphere (von Mises and Fisher), at the start and at the end."""


class SoftCoverage:
    """The soft coverage of cameras around a mesh, differentiable in their angles."""

    def __init__(self, mesh: Mesh, atlas: Atlas) -> None:
        """Raises MeshError when nothing of the surface can be seen from outside."""
        places = samples(mesh, atlas)
        if not places.reachable.any():
            remedy = "Flip its faces so that they point outwards."
            raise MeshError("None of this mesh's surface can be seen from outside.", remedy)
        self._facing = torch.from_numpy(places.facing[:, np.flatnonzero(places.reachable)[::THINNED]])
        self._known = torch.from_numpy(sphere_directions()).float()

    def __call__(self, angles: Tensor, concentration: float = NARROW) -> Tensor:
        """The mean over the reachable surface of how surely it is seen, 0 … 1, from cameras at `angles` [V, 2] in degrees."""
        near = torch.softmax(concentration * _directions(angles).float() @ self._known.T, dim=-1)
        best = torch.logsumexp(SHARPNESS * near @ self._facing, 0) / SHARPNESS
        return torch.sigmoid(SHARPNESS * (best - 2 * MIN_COSINE)).mean()

    def gradient(self, angles: Tensor, concentration: float = NARROW) -> tuple[float, Tensor]:
        """The soft coverage and its gradient [V, 2] per degree."""
        leaf = angles.detach().requires_grad_()
        with torch.enable_grad():
            score = self(leaf, concentration)
        return float(score.detach()), torch.autograd.grad(score, leaf)[0]


def spread(
    mesh: Mesh, atlas: Atlas, cameras: Sequence[Camera], *, steps: int = STEPS, seed: int = 0
) -> Iterator[tuple[tuple[Camera, ...], float]]:
    """Turn `cameras` around their targets; yields after each step the cameras and their soft coverage.

    Distances and fields of view stay; elevations keep within ±STEEPEST_DEG. Deterministic in `seed`, which jitters the start.
    Raises MeshError when nothing of the surface can be seen from outside.
    """
    soft_coverage = SoftCoverage(mesh, atlas)
    jitter = np.random.default_rng(seed).uniform(-JITTER_DEG, JITTER_DEG, (len(cameras), 2))
    angles = (angles_of(cameras) + torch.from_numpy(jitter)).float()
    adam = torch.optim.Adam([angles], lr=RATE_DEG, betas=BETAS)
    for step in range(steps):
        spent = step / max(steps - 1, 1)
        adam.param_groups[0]["lr"] = RATE_DEG * (0.1 + 0.9 * (0.5 + 0.5 * math.cos(math.pi * spent)))
        score, gradient = soft_coverage.gradient(angles, WIDE * (NARROW / WIDE) ** spent)
        angles.grad = -gradient
        adam.step()
        angles[:, 1].clamp_(-STEEPEST_DEG, STEEPEST_DEG)
        yield moved(cameras, angles), score


def angles_of(cameras: Sequence[Camera]) -> Tensor:
    """[V, 2] float64: azimuth and elevation in degrees."""
    return torch.tensor([[c.azimuth_deg, c.elevation_deg] for c in cameras], dtype=torch.float64)


def moved(cameras: Sequence[Camera], angles: Tensor) -> tuple[Camera, ...]:
    """The same cameras at other `angles` [V, 2] in degrees."""
    values = angles.tolist()
    return tuple(replace(c, azimuth_deg=a % 360, elevation_deg=e) for c, (a, e) in zip(cameras, values, strict=True))


def _directions(angles: Tensor) -> Tensor:
    """[V, 3] unit vectors from the target to cameras at `angles` [V, 2] (azimuth, elevation) in degrees."""
    azimuth, elevation = torch.deg2rad(angles).unbind(-1)
    flat = elevation.cos()
    return torch.stack([flat * azimuth.sin(), elevation.sin(), flat * azimuth.cos()], -1)
