"""Solid random fields: what the noise of a seed looks like at every scale, known to the network at every pixel.

A texture made of a motif (bricks, spots, veins) has a phase, and all views must agree on it to within a pixel. Denoising alone
finds such an agreement slowly and blurs where it fails. As in textures that are decoded from multi-octave solid noise (Henzler et
al., *Learning a Neural 3D Texture Space from 2D Exemplars*, CVPR 2020), a seed here draws a **frame**: where in endless periodic
fields of waves, noise and cells the object lies, and how large they are on it. The fields' values are inputs of the network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

CELLS = 6
"""Voronoi cells per period and axis."""
WAVES = 16
"""Features of smooth noise per period and axis."""
CODE = 4
"""Channels of a code: a point in the frame's units (3), and the binary logarithm of the unit in work units."""
OCTAVES = (0.5, 1.0, 2.0, 4.0)
PLACES = 16
"""A frame lies at a multiple of two units: motifs of one and of two units do not notice, noise and cells do."""
UNITS = (0.02, 2.0)
"""Work units per unit of the frame, at least and at most."""
LOOSE = 0.2
"""A seed's unit is the prompt's up to a factor of two to the power of ± this."""
PIXEL = 0.008
"""Work units that a pixel of a 256 px view spans: motifs are taught with edges that are softened by so much."""


@dataclass(frozen=True, eq=False)
class Volumes:
    """Periodic volumes that fields look values up in, [1, C, r, r, r] each: three independent smooth noises of unit variance,
    Voronoi facts (F1, F2 − F1, in cells) and the cells' identities in 0…1."""

    noise: Tensor
    distance: Tensor
    cell: Tensor

    @classmethod
    def make(cls, device: torch.device, *, cell_res: int = 72) -> Volumes:
        """Deterministic, on the CPU's generator; `cell_res`: samples per axis of the cells."""
        g, r = torch.Generator().manual_seed(7), cell_res
        noise = _smooth(torch.randn(3, 64, 64, 64, generator=g), WAVES)
        grid = torch.stack(torch.meshgrid(*[torch.arange(CELLS)] * 3, indexing="ij"), -1).reshape(-1, 3)
        seeds = (grid + 0.5 + (torch.rand(CELLS**3, 3, generator=g) - 0.5) * 0.8) / CELLS
        ident = torch.rand(CELLS**3, generator=g)
        axis = (torch.arange(r) + 0.5) / r
        near, which = [], []
        for x in axis:
            p = torch.stack(torch.meshgrid(x[None], axis, axis, indexing="ij"), -1).reshape(-1, 3)
            d2, i = _nearest(p, seeds)
            near.append(d2.sqrt() * CELLS)
            which.append(ident[i])
        f1, f2 = torch.stack(near).reshape(r, r, r, 2).unbind(-1)
        return cls(
            noise=_wrapped(noise).to(device),
            distance=_wrapped(torch.stack([f1, f2 - f1])).to(device),
            cell=_wrapped(torch.stack(which).reshape(1, r, r, r)).to(device),
        )

    def smooth(self, q: Tensor) -> Tensor:
        """Three noises [..., 3] at points q [..., 3], about one feature per unit."""
        return _look_up(self.noise, q, period=WAVES)

    def cells(self, q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of cells of about one unit: distance to the seed, distance to the border, identity, [...] each."""
        d = _look_up(self.distance, q, period=CELLS)
        return d[..., 0], d[..., 1], _look_up(self.cell, q, period=CELLS, mode="nearest")[..., 0]


@lru_cache(maxsize=2)
def volumes(device: torch.device) -> Volumes:
    """The volumes, kept."""
    return Volumes.make(device)


def _smooth(white: Tensor, waves: int) -> Tensor:
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
    around = torch.stack(torch.meshgrid(*[torch.arange(-1, 2)] * 3, indexing="ij"), -1).reshape(-1, 3)
    i, j, k = ((home[:, None] + around) % CELLS).unbind(-1)
    number = (i * CELLS + j) * CELLS + k
    d = (p[:, None] - seeds[number]).abs()
    d2, which = torch.minimum(d, 1 - d).square().sum(-1).topk(2, largest=False)
    return d2, number.gather(1, which[:, :1])[:, 0]


def _wrapped(volume: Tensor) -> Tensor:
    """[C, r, r, r] indexed x, y, z → [1, C, r+1, r+1, r+1] indexed z, y, x as grid_sample wants it, first samples repeated."""
    return F.pad(volume.permute(0, 3, 2, 1)[None], (0, 1) * 3, mode="circular").contiguous()


def _look_up(volume: Tensor, q: Tensor, *, period: float, mode: str = "bilinear") -> Tensor:
    """Volume [1, C, …] at q [..., 3] → [..., C]."""
    at = (q / period) % 1 * 2 - 1
    found = F.grid_sample(volume, at.reshape(1, 1, 1, -1, 3), mode=mode, padding_mode="border", align_corners=True)
    return found.reshape(volume.shape[1], -1).T.reshape(*q.shape[:-1], -1)


# -- a flat motif's coordinates -----------------------------------------------------------------------------------------------


@cache
def _axes(device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.tensor((1.0, 0.6, 1.0), device=device, dtype=dtype)


def flat(q: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
    """q [..., 3] projected along an axis by the normal n: u and v [...]; v runs upward on all but nearly level surfaces.

    Where x and z have the same offset, motifs that are symmetric in u meet without a break at the corners of round bodies.
    """
    axis = (n.abs() * _axes(n.device, n.dtype)).argmax(-1)
    x, y, z = q.unbind(-1)
    return torch.where(axis == 0, z, x), torch.where(axis == 1, z, y)


# -- what the network sees ----------------------------------------------------------------------------------------------------

ROOT3 = math.sqrt(3)
ALONG, ACROSS, UPRIGHT = (4.0, 0.5, 4.0), (0.125, 8.0, 0.125), (2.0, 0.5, 2.0)
"""How noise and cells are drawn out into blades, scratches and bark."""


def fields(q: Tensor, n: Tensor, v: Volumes) -> Tensor:
    """All fields [..., FIELDS] at points q [..., 3] of a frame with normals n: waves in −1…1, noises, cells about −1…1."""
    across, up = flat(q, n)
    waves = [x * f for x in (across, up, q[..., 1]) for f in OCTAVES]
    waves += [across * 0.25, up / ROOT3, up * (2 / ROOT3)]
    slope = math.sqrt(0.5)
    waves += [x * f for x in (across + up, across - up) for f in (0.5, slope, 2 * slope)]  # 0.5: of squares, sin u · sin v
    noise = [v.smooth(q * f) for f in (*OCTAVES, 8.0)]
    waves += [bent(up, noise[0][..., 0]), bent(q[..., 1], noise[0][..., 0]), bent(across, noise[0][..., 1])]
    phase = torch.stack(waves, -1) * (2 * math.pi)
    drawn = [v.smooth(q * q.new_tensor(stretch)) for stretch in (ALONG, ACROSS)]
    cells = []
    for f in (q.new_tensor(x) for x in (1.0, 2.0, 4.0, 8.0, UPRIGHT)):
        centre, border, number = v.cells(q * f)
        cells += [2 * centre - 1, 3 * border - 1, 2 * number - 1]
    return torch.cat([phase.sin(), phase.cos(), *noise, *drawn, torch.stack(cells, -1)], -1)


def bent(x: Tensor, by: Tensor) -> Tensor:
    """A coordinate that a noise bends, as a zebra's stripes are."""
    return x + 0.35 * by


FIELDS = 2 * (3 * len(OCTAVES) + 3 + 6 + 3) + 3 * (len(OCTAVES) + 1 + 2) + 3 * 5


def code(position: Tensor, unit: Tensor, place: Tensor) -> Tensor:
    """A frame [N, CODE, h, w] at positions [N, 3, h, w] in work space, from its unit [N] and place [N, 3]."""
    q = position / unit.view(-1, 1, 1, 1) + place.view(-1, 3, 1, 1)
    size = unit.log2().view(-1, 1, 1, 1).expand(-1, 1, *position.shape[-2:])
    return torch.cat([q, size], 1)


def decoded(frame: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
    """Unit [] and place [3] of one object's frame [V, CODE, h, w] at positions [V, 3, h, w]."""
    unit = frame[0, 3, 0, 0].exp2()
    return unit, frame[0, :3, 0, 0] - position[0, :, 0, 0] / unit


def place(generator: torch.Generator) -> Tensor:
    """A seed's place [3]: level offsets alike, so that motifs close around round bodies."""
    at = torch.randint(PLACES, (3,), generator=generator) * 2.0
    level, upright = torch.randint(2, (2,), generator=generator) * 0.5
    return at + torch.stack([level, upright, level])


def seen(frame: Tensor, normal: Tensor, v: Volumes, *, patch: int, inside: Tensor | None = None) -> Tensor:
    """`fields` of a frame [N, CODE, h, w] with normals [N, 3, h, w] by patches of `patch`² pixels: [N, patches, pixels, FIELDS],
    both row by row; always in fp32.

    Outside of `inside` [N, 1, h, w], where it is given, all points of all views must be alike, and are looked up once.
    """
    at = F.pixel_unshuffle(torch.cat([frame[:, :3], normal], 1).float(), patch).unflatten(1, (6, patch**2))
    q, n = at.permute(0, 3, 4, 2, 1).flatten(1, 2).split(3, -1)
    if inside is None:
        return fields(q, n, v)
    on = F.pixel_unshuffle(inside.float(), patch).flatten(2).mT > 0
    out = q.new_empty(*q.shape[:-1], FIELDS)
    out[on] = fields(q[on], n[on], v)
    if not on.all():
        out[~on] = fields(q[~on][:1], n[~on][:1], v)
    return out
