"""What patterns are made of: smooth noise and Voronoi cells in periodic volumes, and the batched points that look them up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

PIXEL = 0.008  # work units that one pixel of a 256 px view spans on the surface
CELLS = 8  # Voronoi cells per period and axis
WAVES = 16  # noise features per period and axis


@dataclass(frozen=True, eq=False)
class Volumes:
    """Periodic volumes that patterns look values up in: smooth noise [1, 3, r, r, r] and Voronoi facts (F1, F2 − F1, id)."""

    noise: Tensor
    distance: Tensor
    cell: Tensor

    @classmethod
    def make(cls, device: torch.device, *, cell_res: int | None = None) -> Volumes:
        g = torch.Generator().manual_seed(7)
        white = torch.randn(3, 64, 64, 64, generator=g)
        f = torch.fft.fftfreq(64) * 64
        k = (f[:, None, None] ** 2 + f[None, :, None] ** 2 + f[None, None, :] ** 2).sqrt() / WAVES
        smooth = torch.fft.ifftn(torch.fft.fftn(white, dim=(1, 2, 3)) * torch.exp(-2 * k**2), dim=(1, 2, 3)).real
        noise = smooth / smooth.std((1, 2, 3), keepdim=True)
        r = cell_res or (192 if device.type == "cuda" else 64)
        grid = torch.stack(torch.meshgrid(*[torch.arange(CELLS)] * 3, indexing="ij"), -1).reshape(-1, 3)
        seeds = ((grid + 0.5 + (torch.rand(CELLS**3, 3, generator=g) - 0.5) * 0.8) / CELLS).to(device)
        ident = torch.rand(CELLS**3, generator=g).to(device)
        axis = (torch.arange(r, device=device) + 0.5) / r
        near, which = [], []
        for x in axis:
            p = torch.stack(torch.meshgrid(x[None], axis, axis, indexing="ij"), -1).reshape(-1, 1, 3)
            d = (p - seeds).abs()
            d2, i = torch.minimum(d, 1 - d).square().sum(-1).topk(2, largest=False)
            near.append(d2.sqrt() * CELLS)
            which.append(ident[i[:, 0]])
        f1, f2 = torch.stack(near).reshape(r, r, r, 2).unbind(-1)
        return cls(
            noise=_wrapped(noise.to(device)),
            distance=_wrapped(torch.stack([f1, f2 - f1])),
            cell=_wrapped(torch.stack(which).reshape(1, r, r, r)),
        )


def _wrapped(volume: Tensor) -> Tensor:
    """[C, r, r, r] indexed x, y, z → [1, C, r+1, r+1, r+1] indexed z, y, x as grid_sample wants it, first samples repeated."""
    v = volume.permute(0, 3, 2, 1)
    return F.pad(v[None], (0, 1) * 3, mode="circular").contiguous()


def _look_up(volume: Tensor, p: Tensor, *, period: float, mode: str = "bilinear") -> Tensor:
    """Volume [1, C, …] at p [B, M, 3] → [B, M, C]."""
    at = (p / period) % 1 * 2 - 1
    found = F.grid_sample(volume, at.reshape(1, 1, 1, -1, 3), mode=mode, padding_mode="border", align_corners=True)
    return found.reshape(volume.shape[1], -1).T.reshape(*p.shape[:-1], -1)


@dataclass(frozen=True, eq=False)
class Surface:
    """Points p [B, M, 3], normals n; `scale` [B, 1, 1]: work units per pattern unit; `offset`, `place` [B, 1, 3]: the seed."""

    p: Tensor
    n: Tensor
    scale: Tensor
    offset: Tensor
    place: Tensor
    volumes: Volumes

    @cached_property
    def q(self) -> Tensor:
        """Points in pattern units."""
        return self.p / self.scale + self.offset

    @cached_property
    def uv(self) -> tuple[Tensor, Tensor]:
        """Pattern coordinates projected along an axis, [B, M] each; v runs upward on all but nearly level surfaces.

        Where x and z have the same offset, motifs that are symmetric in u meet without a break at the corners of round bodies.
        """
        axis = (self.n.abs() * self.n.new_tensor([1, 0.6, 1])).argmax(-1)
        x, y, z = self.q.unbind(-1)
        return torch.where(axis == 0, z, x), torch.where(axis == 1, z, y)

    def edge(self, distance: Tensor) -> Tensor:
        """0 where the distance (pattern units) is negative, 1 where positive, softened over about one pixel."""
        return (distance * self.scale[..., 0] / (1.5 * PIXEL) + 0.5).clamp(0, 1)

    def noise(self, frequency: float = 1.0, *, stretch: tuple[float, float, float] = (1, 1, 1)) -> Tensor:
        """Three independent smooth noises of unit variance [B, M, 3], about `frequency` features per pattern unit."""
        q = self.p / self.scale * frequency * self.p.new_tensor(stretch) + self.place
        return _look_up(self.volumes.noise, q, period=WAVES)

    def fbm(self, frequency: float = 1.0, octaves: int = 4, *, stretch: tuple[float, float, float] = (1, 1, 1)) -> Tensor:
        """Sum of octaves [B, M], about unit variance."""
        total = sum(0.5**k * self.noise(frequency * 2**k, stretch=stretch)[..., k % 3] for k in range(octaves))
        return total / sum(0.25**k for k in range(octaves)) ** 0.5

    def cells(self, frequency: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
        """Voronoi cells of about 1/frequency: distance to the seed, distance to the border (both in cells), identity in 0…1."""
        q = self.p / self.scale * frequency + self.place
        d = _look_up(self.volumes.distance, q, period=CELLS)
        return d[..., 0], d[..., 1], _look_up(self.volumes.cell, q, period=CELLS, mode="nearest")[..., 0]
