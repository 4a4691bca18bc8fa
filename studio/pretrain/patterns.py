"""Solid procedural patterns, batched: B surfaces of M points each, painted in one go by torch operations.

A pattern is a function of the points of a `Surface` and up to two colours; it returns sRGB in [0, 1]. Because it depends on the
position alone (and on the normal, where a flat motif is projected along the dominant axis), every view of an object agrees.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from studio.pretrain.solid import Surface

Paint = Callable[[Surface, Tensor, Tensor], Tensor]
"""(surface, colour A [B, 1, 3], colour B [B, 1, 3]) → sRGB [B, M, 3], not yet clamped."""


def mix(a: Tensor, b: Tensor, m: Tensor) -> Tensor:
    return a + (b - a) * m.unsqueeze(-1)


def rgb(s: Surface, *values: float) -> Tensor:
    return s.p.new_tensor(values)


def scattered(*values: Tensor) -> Tensor:
    """A hash in 0…1 of integer-valued coordinates: one tone per brick, plank or chip."""
    return (torch.sin(sum(v * k for v, k in zip(values, (12.9898, 78.233, 37.719), strict=False))) * 43758.5453) % 1


def band(s: Surface, x: Tensor, width: float = 0.5) -> Tensor:
    """1 on bands of this share of each unit period, around its middle."""
    return s.edge(width / 2 - (x % 1 - 0.5).abs())


def plain(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    return a * (1 + 0.03 * s.fbm(3, 2).unsqueeze(-1))


def stripes(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    return mix(a, b, band(s, s.q[..., 1]))


def vertical(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    return mix(a, b, band(s, s.uv[0]))


def diagonal(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    return mix(a, b, band(s, (s.uv[0] + s.uv[1]) * 0.7071))


def zigzag(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    u, v = s.uv
    return mix(a, b, band(s, v + (u % 1 - 0.5).abs()))


def checks(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    u, v = (2 * band(s, x * 0.5) - 1 for x in s.uv)
    return mix(a, b, 0.5 + 0.5 * u * v)


def dots(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    u, v = s.uv
    row = torch.floor(v / 0.866)
    du, dv = (u + 0.5 * (row % 2)) % 1 - 0.5, v / 0.866 % 1 - 0.5
    return mix(a, b, s.edge(0.29 - (du**2 + (0.866 * dv) ** 2).sqrt()))


def _tiles(s: Surface, *, long: float, shift: float, gap: float) -> tuple[Tensor, Tensor]:
    """Laid stones `long` × 1: 1 on the stone and 0 in the gap, and each stone's own number in 0…1."""
    u, v = s.uv
    row = torch.floor(v)
    along = u / long + shift * (row % 2)
    du, dv = (0.5 - (along % 1 - 0.5).abs()) * long, 0.5 - (v % 1 - 0.5).abs()
    return s.edge(torch.minimum(du, dv) - gap), scattered(torch.floor(along), row)


def bricks(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    stone, number = _tiles(s, long=2.1, shift=0.5, gap=0.09)
    tone = 1 + 0.3 * (number - 0.5) + 0.06 * s.fbm(3, 2)
    return mix(b, a * tone.unsqueeze(-1), stone)


def tiles(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    stone, number = _tiles(s, long=1.0, shift=0.0, gap=0.06)
    return mix(b, a * (1 + 0.16 * (number - 0.5)).unsqueeze(-1), stone)


def planks(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    board, number = _tiles(s, long=4.0, shift=0.37, gap=0.035)
    grain = s.fbm(2.0, 3, stretch=(0.25, 3.0, 0.25))
    tone = 1 + 0.4 * (number - 0.5) + 0.11 * grain
    return mix(0.3 * a, a * tone.unsqueeze(-1), board)


def wood(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    x, y, z = (s.p / s.scale).unbind(-1)
    bent = (x**2 + z**2).sqrt() * 1.6 + 0.3 * y + 0.45 * s.noise(0.5)[..., 0]
    ring = bent % 1
    tone = 1.12 - 0.5 * ring**3 + 0.07 * s.fbm(2, 3, stretch=(4, 0.5, 4))
    return a * tone.unsqueeze(-1)


def marble(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    vein = torch.exp(-((s.fbm(0.8, 4) / 0.13) ** 2))
    fine = torch.exp(-((s.fbm(1.7, 3) / 0.08) ** 2)) * 0.5
    cloud = 1 + 0.04 * s.fbm(0.7, 2)
    return mix(a * cloud.unsqueeze(-1), b, torch.maximum(vein, fine) * 0.85)


def granite(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    number = s.cells(4.0)[2]
    tone = 0.75 + 0.6 * number - 0.55 * (number < 0.14) + 0.25 * (number > 0.9)
    return a * tone.unsqueeze(-1) + 0.04 * s.fbm(6, 2).unsqueeze(-1)


def rust(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    t = (0.5 + 0.35 * s.fbm(2.2, 4)).clamp(0, 1)
    brown = mix(rgb(s, 0.30, 0.13, 0.06), rgb(s, 0.74, 0.36, 0.12), t)
    return mix(brown, a * (1 + 0.05 * s.fbm(4, 2)).unsqueeze(-1), s.edge(0.35 * (s.fbm(0.9, 4) - 0.25)))


def zebra(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    bent = s.q[..., 1] + 0.35 * s.noise(0.55)[..., 0] + 0.08 * s.noise(1.7)[..., 1]
    return mix(a, b, band(s, bent))


def tiger(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    bent = s.q[..., 1] + 0.4 * s.noise(0.6)[..., 0]
    width = 0.15 + 0.13 * s.noise(0.9)[..., 1]
    return mix(a, b, s.edge(width - (bent % 1 - 0.5).abs()))


def leopard(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    centre, _, number = s.cells(1.0)
    ring = 0.13 - (centre + 0.06 * s.noise(3)[..., 0] - 0.26).abs() + 0.07 * s.noise(2.2)[..., 1]
    inside = mix(a, 0.72 * a, s.edge(0.27 - centre))
    return mix(inside, b, s.edge(torch.minimum(ring, number + 0.2)))


def giraffe(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    return mix(b, a * (1 + 0.08 * s.fbm(2, 2)).unsqueeze(-1), s.edge(s.cells(1.0)[1] - 0.16))


def camouflage(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    n, m = s.noise(0.8), s.noise(1.9)
    n = n + 0.35 * m
    out = mix(a, 0.55 * a + 0.05, s.edge(0.5 * (n[..., 0] - 0.45)))
    out = mix(out, b, s.edge(0.5 * (n[..., 1] - 0.55)))
    return mix(out, 0.25 * a + 0.02, s.edge(0.5 * (n[..., 2] - 0.95)))


def plaid(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    u, v = s.uv
    wide = band(s, u, 0.38) + band(s, v, 0.38)
    thin = torch.maximum(band(s, u + 0.5, 0.06), band(s, v + 0.5, 0.06))
    return mix(mix(a, b, 0.5 * wide), 0.85 + 0 * a, 0.7 * thin)


def lava(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    border = s.cells(1.0)[1] + 0.06 * s.fbm(2, 3)
    heat = torch.exp(-((border.clamp(min=0) / 0.14) ** 2))
    rock = rgb(s, 0.10, 0.07, 0.07) * (1 + 0.35 * s.fbm(3, 3)).unsqueeze(-1)
    glow = mix(rgb(s, 0.85, 0.12, 0.02), rgb(s, 1.0, 0.80, 0.18), heat**2)
    return mix(rock, glow, (1.6 * heat).clamp(0, 1))


def moss(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    stone = rgb(s, 0.46, 0.45, 0.43) * (1 + 0.2 * s.fbm(2.5, 4)).unsqueeze(-1)
    green = rgb(s, 0.26, 0.42, 0.10) * (1 + 0.35 * s.fbm(6, 3)).unsqueeze(-1)
    return mix(stone, green, s.edge(0.3 * (s.fbm(0.9, 4) + 1.1 * s.n[..., 1] + 0.15)))


def terrazzo(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    centre, border, number = s.cells(1.5)
    chip = s.edge(torch.minimum(border - 0.18, 0.36 + 0.2 * (number - 0.5) - centre))
    tint = torch.stack([0.5 + 0.42 * torch.sin(number * 40 + k) for k in (0.0, 0.9, 2.1)], -1)
    return mix(a, mix(tint, b, (number * 7 % 1 < 0.5).to(tint)), chip)


def gradient(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    t = (s.p[..., 1] / 1.1 + 0.5).clamp(0, 1)
    return mix(a, b, t * t * (3 - 2 * t))


def halves(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    return mix(b, a, s.edge(s.p[..., 1] / s.scale[..., 0]))


def scales(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    u, v = s.uv
    rows = 0.5
    found = torch.full_like(u, 9.0)
    for k in (1, 0):  # the scale of the upper row lies above the one below it
        row = torch.floor(v / rows) + k
        du = (u + 0.5 * (row % 2)) % 1 - 0.5
        r = (du**2 + (v - row * rows - 0.08) ** 2).sqrt() / 0.58
        found = torch.where((found <= 1), found, r)
    shade = 1.15 - 0.45 * found.clamp(max=1.2) ** 2
    return mix(a * shade.unsqueeze(-1), b, s.edge(0.58 * (found - 0.88)))


def cobbles(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    _, border, number = s.cells(1.0)
    tone = 0.8 + 0.4 * number + 0.08 * s.fbm(4, 3)
    return mix(0.28 * a, a * tone.unsqueeze(-1), s.edge(border - 0.12))


def mosaic(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    _, border, number = s.cells(1.6)
    tone = (0.85 + 0.3 * (number * 13 % 1)).unsqueeze(-1)
    stone = mix(a, b, (number > 0.6).to(a)) * tone
    return mix(rgb(s, 0.88, 0.87, 0.84) + 0 * stone, stone, s.edge(border - 0.1))


def splatter(s: Surface, a: Tensor, b: Tensor) -> Tensor:
    return mix(a, b, s.edge(0.35 * (s.noise(1.1)[..., 0] + 0.4 * s.noise(2.6)[..., 1] - 0.75)))
