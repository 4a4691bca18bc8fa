"""What patterns are made of: smooth noise, rough noise and Voronoi cells in periodic volumes, and the batched points that look
them up; and inks, the five numbers that a material lays on a point.

An **ink** is [..., 5]: sRGB base colour, roughness, metallic, all in 0…1. Mixing inks mixes every channel at once, so a gold
stripe is metal and the plaster beside it is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

PIXEL = 0.008  # work units that one pixel of a 256 px view spans on the surface
CELLS = 8  # Voronoi cells per period and axis
WAVES = 16  # smooth noise features per period and axis
ROUGH_WAVES = 8  # the same of rough noise, in its lowest of four octaves


@dataclass(frozen=True, eq=False)
class Volumes:
    """Periodic volumes that patterns look values up in, [1, C, r, r, r] each: smooth and rough noise (three independent fields of
    unit variance), Voronoi facts (F1, F2 − F1) and the cells' identities."""

    noise: Tensor
    fbm: Tensor
    distance: Tensor
    cell: Tensor

    @classmethod
    def make(cls, device: torch.device, *, cell_res: int | None = None) -> Volumes:
        """Deterministic on the CPU's generator; `cell_res`: samples per axis (192 on a GPU, 96 elsewhere)."""
        g = torch.Generator().manual_seed(7)
        r = cell_res or (192 if device.type == "cuda" else 96)
        noise = _waves(torch.randn(3, 64, 64, 64, generator=g), WAVES)
        white = torch.randn(3, r, r, r, generator=g)
        rough = sum(0.5**k * _waves(white, ROUGH_WAVES * 2**k).roll(17 * k, 1) for k in range(4))
        rough = rough / torch.as_tensor(rough).std((1, 2, 3), keepdim=True)
        grid = torch.stack(torch.meshgrid(*[torch.arange(CELLS)] * 3, indexing="ij"), -1).reshape(-1, 3)
        seeds = ((grid + 0.5 + (torch.rand(CELLS**3, 3, generator=g) - 0.5) * 0.8) / CELLS).to(device)
        ident = torch.rand(CELLS**3, generator=g).to(device)
        axis = (torch.arange(r, device=device) + 0.5) / r
        near, which = [], []
        for x in axis:
            p = torch.stack(torch.meshgrid(x[None], axis, axis, indexing="ij"), -1).reshape(-1, 3)
            d2, i = _nearest(p, seeds)
            near.append(d2.sqrt() * CELLS)
            which.append(ident[i])
        f1, f2 = torch.stack(near).reshape(r, r, r, 2).unbind(-1)
        return cls(
            noise=_wrapped(noise.to(device)),
            fbm=_wrapped(rough.to(device)),
            distance=_wrapped(torch.stack([f1, f2 - f1])),
            cell=_wrapped(torch.stack(which).reshape(1, r, r, r)),
        )


def _waves(white: Tensor, waves: int) -> Tensor:
    """White noise [3, r, r, r] low-passed to about `waves` features per period, unit variance."""
    r = white.shape[-1]
    f = torch.fft.fftfreq(r) * r
    k2 = (f[:, None, None] ** 2 + f[None, :, None] ** 2 + f[None, None, : r // 2 + 1] ** 2) / waves**2
    axes = (1, 2, 3)
    smooth = torch.fft.irfftn(torch.fft.rfftn(white, dim=axes) * torch.exp(-2 * k2), s=(r, r, r), dim=axes)
    return smooth / smooth.std(axes, keepdim=True)


def _nearest(p: Tensor, seeds: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distances [n, 2] on the unit torus to the two nearest seeds of the jittered grid, and the nearest's number [n]."""
    home = (p * CELLS).long()
    around = torch.stack(torch.meshgrid(*[torch.arange(-1, 2, device=p.device)] * 3, indexing="ij"), -1).reshape(-1, 3)
    i, j, k = ((home[:, None] + around) % CELLS).unbind(-1)
    number = (i * CELLS + j) * CELLS + k
    d = (p[:, None] - seeds[number]).abs()
    d2, which = torch.minimum(d, 1 - d).square().sum(-1).topk(2, largest=False)
    return d2, number.gather(1, which[:, :1])[:, 0]


@cache
def _constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.tensor(values, device=device, dtype=dtype)


def constant(like: Tensor, *values: float) -> Tensor:
    """The values [n], kept on the device of `like`: copying them anew would make a GPU wait."""
    return _constant(values, like.device, like.dtype)


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
    """Points p [B, M, 3], normals n; `scale` [B, 1, 1]: work units per pattern unit; `offset`, `place` [B, 1, 3]: the seed of
    regular and of random patterns; `pixel`: work units over which an edge is softened."""

    p: Tensor
    n: Tensor
    scale: Tensor
    offset: Tensor
    place: Tensor
    volumes: Volumes
    pixel: float = PIXEL

    @cached_property
    def q(self) -> Tensor:
        """Points in pattern units."""
        return self.p / self.scale + self.offset

    @cached_property
    def uv(self) -> tuple[Tensor, Tensor]:
        """Pattern coordinates projected along an axis, [B, M] each; v runs upward on all but nearly level surfaces.

        Where x and z have the same offset, motifs that are symmetric in u meet without a break at the corners of round bodies.
        """
        axis = (self.n.abs() * constant(self.n, 1, 0.6, 1)).argmax(-1)
        x, y, z = self.q.unbind(-1)
        return torch.where(axis == 0, z, x), torch.where(axis == 1, z, y)

    @cached_property
    def size(self) -> Tensor:
        """`scale` as [B, 1]."""
        return self.scale[..., 0]

    def edge(self, distance: Tensor) -> Tensor:
        """0 where the distance (pattern units) is negative, 1 where positive, softened over about one pixel."""
        return torch.addcmul(constant(distance, 0.5), distance, self.size / (1.5 * self.pixel)).clamp_(0, 1)

    def noise(self, frequency: float = 1.0, *, stretch: tuple[float, float, float] = (1, 1, 1)) -> Tensor:
        """Three independent smooth noises of unit variance [B, M, 3], about `frequency` features per pattern unit."""
        return _look_up(self.volumes.noise, self._at(frequency, stretch), period=WAVES)

    def fbm(self, frequency: float = 1.0, *, stretch: tuple[float, float, float] = (1, 1, 1)) -> Tensor:
        """The same of four octaves: rough, with features of 1/frequency down to an eighth of it."""
        return _look_up(self.volumes.fbm, self._at(frequency, stretch), period=ROUGH_WAVES)

    def cells(self, frequency: float = 1.0, *, stretch: tuple[float, float, float] = (1, 1, 1)) -> tuple[Tensor, Tensor, Tensor]:
        """Voronoi cells of about 1/frequency: distance to the seed, distance to the border (both in cells), identity in 0…1."""
        q = self._at(frequency, stretch)
        d = _look_up(self.volumes.distance, q, period=CELLS)
        return d[..., 0], d[..., 1], _look_up(self.volumes.cell, q, period=CELLS, mode="nearest")[..., 0]

    def _at(self, frequency: float, stretch: tuple[float, float, float]) -> Tensor:
        return torch.addcmul(self.place, self.p, frequency / self.scale * constant(self.p, *stretch))

    def ink(self, red: float, green: float, blue: float, *, roughness: float = 0.6, metallic: float = 0.0) -> Tensor:
        """A fixed ink [5]."""
        return constant(self.p, red, green, blue, roughness, metallic)


def ramp(x: Tensor, lo: float, hi: float) -> Tensor:
    """Smooth step from 0 at lo to 1 at hi."""
    t = ((x - lo) / (hi - lo)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def mix(a: Tensor, b: Tensor, m: Tensor) -> Tensor:
    """Inks a to b [..., 5] by m [B, M] in 0…1."""
    return torch.lerp(a, b, m.unsqueeze(-1))


def toned(a: Tensor, tone: Tensor) -> Tensor:
    """Ink a [..., 5] with its base colour times `tone` [B, M]."""
    colour = a * constant(a, 1, 1, 1, 0, 0)
    return torch.addcmul(a, colour, tone.unsqueeze(-1) - 1)


def rougher(a: Tensor, by: Tensor) -> Tensor:
    """Ink a [B, M, 5] with `by` [B, M] added to its roughness."""
    return torch.addcmul(a, constant(a, 0, 0, 0, 1.0, 0), by.unsqueeze(-1))


def scattered(*values: Tensor) -> Tensor:
    """A hash in 0…1 of up to three integer-valued coordinates: one tone per brick, plank or chip."""
    return (torch.sin(sum(v * k for v, k in zip(values, (12.9898, 78.233, 37.719), strict=False))) * 43758.5453) % 1
