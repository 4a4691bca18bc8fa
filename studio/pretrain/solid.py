"""What patterns are made of: smooth noise, rough noise and Voronoi cells in the solid fields that the generator sees too, and
the batched points that look them up; and inks, the numbers that a material lays on a point.

An **ink** is [..., INK], all in 0…1: sRGB base colour, roughness, metallic, and which shares of it are the material's second and
third ink (where a pattern lies, whatever its colours: the network is told so in training). Mixing inks mixes every channel at
once, so a gold stripe is metal and the plaster beside it is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import torch
from torch import Tensor

from studio.generators._solid import PIXEL, Volumes, flat

INK = 7


@cache
def _constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.tensor(values, device=device, dtype=dtype)


def constant(like: Tensor, *values: float) -> Tensor:
    """The values [n], kept on the device of `like`: copying them anew would make a GPU wait."""
    return _constant(values, like.device, like.dtype)


@dataclass(frozen=True, eq=False)
class Surface:
    """Points p [B, M, 3], normals n, and the same points q in pattern units, which is where a frame has them; `scale` [B, 1, 1]:
    work units per pattern unit; `pixel`: work units over which an edge is softened.

    Frequencies are best powers of two: those fields the generator sees as they are.
    """

    p: Tensor
    n: Tensor
    q: Tensor
    scale: Tensor
    volumes: Volumes
    pixel: float = PIXEL

    @cached_property
    def uv(self) -> tuple[Tensor, Tensor]:
        """Pattern coordinates projected along an axis, [B, M] each; v runs upward on all but nearly level surfaces."""
        return flat(self.q, self.n)

    @cached_property
    def size(self) -> Tensor:
        """`scale` as [B, 1]."""
        return self.scale[..., 0]

    def finer(self, unit: float) -> Surface:
        """The same surface with a unit of about so many work units: the frame's, halved or doubled."""
        ratio = (self.scale / unit).log2().round().exp2()
        return Surface(self.p, self.n, self.q * ratio, self.scale / ratio, self.volumes, self.pixel)

    def edge(self, distance: Tensor) -> Tensor:
        """0 where the distance (pattern units) is negative, 1 where positive, softened over about one pixel."""
        return torch.addcmul(constant(distance, 0.5), distance, self.size / (1.5 * self.pixel)).clamp_(0, 1)

    def noise(self, frequency: float = 1.0, *, stretch: tuple[float, float, float] = (1, 1, 1)) -> Tensor:
        """Three independent smooth noises of unit variance [B, M, 3], about `frequency` features per pattern unit."""
        return self.volumes.smooth(self._at(frequency, stretch))

    def fbm(self, frequency: float = 1.0, *, stretch: tuple[float, float, float] = (1, 1, 1)) -> Tensor:
        """The same of four octaves: rough, with features of 1/frequency down to an eighth of it."""
        q = self._at(frequency, stretch)
        return 0.868 * sum(0.5**k * self.volumes.smooth(q * 2**k) for k in range(4))

    def cells(self, frequency: float = 1.0, *, stretch: tuple[float, float, float] = (1, 1, 1)) -> tuple[Tensor, Tensor, Tensor]:
        """Voronoi cells of about 1/frequency: distance to the seed, distance to the border (both in cells), identity in 0…1."""
        return self.volumes.cells(self._at(frequency, stretch))

    def _at(self, frequency: float, stretch: tuple[float, float, float]) -> Tensor:
        return self.q * (frequency * constant(self.q, *stretch))

    def ink(self, red: float, green: float, blue: float, *, roughness: float = 0.6, metallic: float = 0.0) -> Tensor:
        """A fixed ink [INK], which is none of the material's."""
        return constant(self.p, red, green, blue, roughness, metallic, 0.0, 0.0)


def ramp(x: Tensor, lo: float, hi: float) -> Tensor:
    """Smooth step from 0 at lo to 1 at hi."""
    t = ((x - lo) / (hi - lo)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def mix(a: Tensor, b: Tensor, m: Tensor) -> Tensor:
    """Inks a to b [..., INK] by m [B, M] in 0…1."""
    return torch.lerp(a, b, m.unsqueeze(-1))


def toned(a: Tensor, tone: Tensor) -> Tensor:
    """Ink a [..., INK] with its base colour times `tone` [B, M]."""
    colour = a * constant(a, 1, 1, 1, *[0] * (INK - 3))
    return torch.addcmul(a, colour, tone.unsqueeze(-1) - 1)


def rougher(a: Tensor, by: Tensor) -> Tensor:
    """Ink a [B, M, INK] with `by` [B, M] added to its roughness."""
    return torch.addcmul(a, constant(a, 0, 0, 0, 1.0, *[0] * (INK - 4)), by.unsqueeze(-1))


def scattered(*values: Tensor) -> Tensor:
    """A hash in 0…1 of up to three integer-valued coordinates: one tone per brick, plank or chip."""
    return (torch.sin(sum(v * k for v, k in zip(values, (12.9898, 78.233, 37.719), strict=False))) * 43758.5453) % 1
