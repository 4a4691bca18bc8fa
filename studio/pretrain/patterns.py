"""Solid procedural patterns that are drawn, laid, woven or carved: everything with a regular motif.

A pattern is a function of the points of a `Surface` and up to three inks; it returns the ink of every point and its height in
0…1 (0.5 is the untouched surface). Because it depends on the position alone (and on the normal, where a flat motif is projected
along the dominant axis), every view of an object agrees. All operations are batched over objects.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from studio.generators._solid import ACROSS, ALONG, ROOT3
from studio.pretrain.solid import Surface, constant, mix, scattered, toned

Coat = tuple[Tensor, Tensor]
"""Ink [B, M, INK] and height [B, M], neither clamped."""
Paint = Callable[[Surface, Tensor, Tensor, Tensor], Coat]
"""(surface, inks a, b, c [B, 1, INK]) → coat."""


def band(s: Surface, x: Tensor, width: float = 0.5) -> Tensor:
    """1 on bands of this share of each unit period, around its middle."""
    return s.edge(width / 2 - (x % 1 - 0.5).abs())


def odd(x: Tensor) -> Tensor:
    """1 where the whole part of x is odd, 0 where it is even."""
    return torch.floor(x) % 2


def flat(s: Surface) -> Tensor:
    return torch.full_like(s.p[..., 0], 0.5)


def alternating(s: Surface, x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """a with bands of b and c in turn (which are one ink where only two are named); the bands lie a coat of paint higher."""
    on = band(s, x)
    return mix(a, mix(b, c, odd(x)), on), 0.5 + 0.04 * on


def plain(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    n = s.fbm(2)[..., 0]
    return toned(a, 1 + 0.02 * n), 0.5 + 0.01 * n


def stripes(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    return alternating(s, s.q[..., 1], a, b, c)


def vertical(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    return alternating(s, s.uv[0], a, b, c)


def diagonal(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    return alternating(s, (s.uv[0] + s.uv[1]) * 0.7071, a, b, c)


def zigzag(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    u, v = s.uv
    return alternating(s, v + (u % 1 - 0.5).abs(), a, b, c)


def checks(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    u, v = (2 * band(s, x * 0.5) - 1 for x in s.uv)
    return mix(a, b, 0.5 + 0.5 * u * v), flat(s)


def dots(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    u, v = s.uv
    row = torch.floor(v * 2 / ROOT3)
    du, dv = (u + 0.5 * (row % 2)) % 1 - 0.5, v * 2 / ROOT3 % 1 - 0.5
    on = s.edge(0.29 - (du**2 + 0.75 * dv**2).sqrt())
    return mix(a, mix(b, c, row % 2), on), 0.5 + 0.06 * on


def stars(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Five-pointed stars, upright, in two sizes on a staggered grid. A star's edge is the line from a tip to the next notch."""
    u, v = s.uv
    row = torch.floor(v)
    along = u + 0.5 * (row % 2)
    size = torch.where(scattered(torch.floor(along), row) < 0.5, 0.42, 0.25)
    du, dv = along % 1 - 0.5, v % 1 - 0.5
    turn, k = torch.atan2(du, dv), math.pi / 5
    t = ((turn + k) % (2 * k) - k).abs()
    r = (du**2 + dv**2).sqrt()
    x, y = r * t.cos(), r * t.sin()
    nx, ny = 0.42 * math.sin(k), 1 - 0.42 * math.cos(k)  # normal of that line, for a star of radius 1 with notches at 0.42
    on = s.edge(-((x - size) * nx + y * ny) / math.hypot(nx, ny))
    return mix(a, mix(b, c, row % 2), on), 0.5 + 0.05 * on


def _laid(s: Surface, *, long: float, shift: float, gap: float) -> tuple[Tensor, Tensor, Tensor]:
    """Stones `long` × 1: 1 on the stone and 0 in the gap; each stone's own number in 0…1; how domed it is, 0 at its rim."""
    u, v = s.uv
    row = torch.floor(v)
    along = u / long + shift * (row % 2)
    inside = torch.minimum((0.5 - (along % 1 - 0.5).abs()) * long, 0.5 - (v % 1 - 0.5).abs()) - gap
    return s.edge(inside), scattered(torch.floor(along), row), (inside * 8).clamp(0, 1)


def bricks(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    stone, number, dome = _laid(s, long=2.0, shift=0.5, gap=0.08)
    n = s.fbm(2)
    fired = toned(a, 1 + 0.34 * (number - 0.5) + 0.07 * n[..., 0])
    return mix(toned(b, 1 + 0.06 * n[..., 1]), fired, stone), 0.25 + 0.35 * stone + 0.1 * dome + 0.03 * n[..., 0]


def tiles(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    stone, number, dome = _laid(s, long=1.0, shift=0.0, gap=0.055)
    return mix(b, toned(a, 1 + 0.14 * (number - 0.5)), stone), 0.3 + 0.2 * stone + 0.1 * dome


def planks(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    board, number, dome = _laid(s, long=4.0, shift=0.5, gap=0.035)
    grain = s.noise(stretch=ACROSS)[..., 0]
    wood = toned(a, 1 + 0.42 * (number - 0.5) + 0.13 * grain)
    return mix(toned(a, constant(wood, 0.22)), wood, board), 0.25 + 0.3 * board + 0.05 * dome + 0.03 * grain


def plaid(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    u, v = s.uv
    wide = 0.5 * (band(s, u, 0.4) + band(s, v, 0.4))
    thin = torch.maximum(band(s, u + 0.5, 0.07), band(s, v + 0.5, 0.07))
    twill = 0.05 * torch.cos((u + v) * 2 * math.sqrt(2) * math.pi)
    return toned(mix(mix(a, b, wide), c, 0.85 * thin), 1 + twill), 0.5 + twill


def _threads(s: Surface, over: Tensor) -> tuple[Tensor, Tensor]:
    """Profile in 0…1 of the thread on top in each cell: across it round, along it dipping under at both ends; `over` chooses."""
    x, y = (2 * (c % 1 - 0.5) for c in s.uv)
    across, along = torch.where(over > 0, x, y), torch.where(over > 0, y, x)
    return (1 - across**4) * (1 - 0.55 * along**4), across.abs()


def weave(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Basket: strands of a lie across, strands of b upright."""
    u, v = s.uv
    over = (torch.floor(u) + torch.floor(v)) % 2
    profile, across = _threads(s, over)
    fibre = 0.07 * torch.cos(across * 9)
    ink = toned(mix(a, b, over), (0.32 + 0.72 * profile + fibre).clamp(max=1.1))
    return mix(toned(a, constant(profile, 0.15)), ink, s.edge(0.45 * (0.94 - across))), 0.15 + 0.6 * profile


def carbon(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Two-by-two twill of shiny dark tows: steps run diagonally, and the two directions reflect differently."""
    u, v = (2 * x for x in s.uv)
    over = ((torch.floor(u) + torch.floor(v)) % 4 < 2).to(u)
    across = torch.where(over > 0, u, v) % 1 - 0.5
    profile = 1 - 1.6 * across**2
    ink = toned(mix(a, b, over), profile)
    return toned(ink, 1 + 0.12 * torch.cos(across * 38)), 0.4 + 0.2 * profile


def denim(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Steep twill: dyed ridges with pale weft between, unevenly washed."""
    u, v = s.uv
    ridge = 0.5 + 0.5 * torch.cos((u + v) * 2 * math.sqrt(2) * math.pi)
    slub = s.noise(stretch=ALONG)[..., 0]
    washed = (0.5 * s.noise(0.125)[..., 1]).clamp(-0.5, 0.9)
    pale = (0.6 * (1 - ridge) + 0.06 * slub + 0.2 * washed).clamp(0, 0.9)
    return mix(a, b, pale), 0.4 + 0.2 * ridge + 0.05 * slub


def knit(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Stocking stitch: columns of plump V's."""
    u, v = s.uv
    side = (u % 1 - 0.5).abs() * 2
    loop = (v - 0.55 * side) % 1 - 0.5
    body = (1 - (2 * loop) ** 2) * (1 - (2 * side - 1) ** 4)
    thread = 0.08 * torch.cos((loop * 3 + side) * 14)
    return toned(a, 0.38 + 0.68 * body + thread * body), 0.15 + 0.65 * body


def honeycomb(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Hexagons: the nearer of two rectangular lattices gives the centre, the largest of three projections the wall."""
    u, v = s.uv
    across, up = 1.0, ROOT3
    x1, y1 = u % across - 0.5, v % up - up / 2
    x2, y2 = (u + 0.5) % across - 0.5, (v + up / 2) % up - up / 2
    first = x1**2 + y1**2 < x2**2 + y2**2
    x, y = torch.where(first, x1, x2).abs(), torch.where(first, y1, y2).abs()
    wall = 0.5 - torch.maximum(x, 0.5 * x + 0.866 * y)
    well = s.edge(wall - 0.075)
    return mix(b, toned(a, 0.72 + 0.95 * wall), well), 0.75 - 0.5 * (wall * 6).clamp(0, 1)


def circuit(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Traces of b between neighbouring grid points that a hash joins, solder pads of c where they end, on a board of a."""
    u, v = s.uv
    i, j = torch.floor(u), torch.floor(v)
    x, y = u - i - 0.5, v - j - 0.5
    right, left = (scattered(i + k, j, 3 + 0 * i) < 0.55 for k in (0, -1))
    above, below = (scattered(i, j + k, 8 + 0 * i) < 0.5 for k in (0, -1))
    far = torch.full_like(u, 9.0)
    beside = torch.where(torch.where(x > 0, right, left), y.abs(), far)
    upright = torch.where(torch.where(y > 0, above, below), x.abs(), far)
    ends = right.to(u) + left.to(u) + above.to(u) + below.to(u)
    r = (x**2 + y**2).sqrt()
    trace = s.edge(0.1 - torch.minimum(torch.minimum(beside, upright), torch.where(ends > 1, r, far)))
    pad = s.edge(torch.where(ends < 2, 0.26, 0.0) - r)
    hole = s.edge(torch.where(ends < 2, 0.11, -1.0) - r)
    ink = mix(mix(a, b, trace), c, pad)
    return mix(ink, toned(a, constant(u, 0.2)), hole), 0.45 + 0.1 * torch.maximum(trace, pad) - 0.3 * hole


def _shingled(s: Surface, rows: float) -> Tensor:
    """How far from its scale's centre each point is, 1 at the rim; every row covers the top of the row below it."""
    u, v = s.uv
    found = torch.full_like(u, 9.0)
    for k in (1, 0):
        row = torch.floor(v / rows) + k
        du = (u + 0.5 * (row % 2)) % 1 - 0.5
        r = (du**2 + (v - row * rows - 0.08) ** 2).sqrt() / 0.58
        found = torch.where(found <= 1, found, r)
    return found


def scales(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    found = _shingled(s, 0.5)
    body = 1 - 0.5 * found.clamp(max=1.2) ** 2
    return mix(toned(a, 0.62 + 0.6 * body), b, s.edge(0.58 * (found - 0.88))), 0.25 + 0.5 * body


def snake(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Small lozenge scales; large diamonds of b run in columns over a ground of a, each with a pale rim of c."""
    u, v = s.uv
    x, y = (k % 1 - 0.5 for k in (2.8284 * (u + v), 2.8284 * (u - v)))
    lozenge = 1 - 2 * torch.maximum(x.abs(), y.abs())
    big = (u % 1 - 0.5).abs() + 0.62 * ((v + 0.5 * odd(u)) % 1 - 0.5).abs()
    ink = mix(mix(a, c, s.edge(0.36 - big)), b, s.edge(0.27 - big))
    return toned(ink, 0.5 + 0.62 * lozenge.clamp(0, 0.8)), 0.3 + 0.4 * lozenge.clamp(0, 0.6)


def gradient(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """a at the bottom, b at the top."""
    t = (s.p[..., 1] / 1.2 + 0.5).clamp(0, 1)
    return mix(a, b, t * t * (3 - 2 * t)), flat(s)


def halves(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    return mix(b, a, s.edge(s.p[..., 1] / s.size)), flat(s)
