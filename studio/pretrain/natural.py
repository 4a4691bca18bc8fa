"""Solid procedural patterns that grow, crack, melt, weather or are worked: stone, hide, plants, metal and paint.

The same contract as `patterns.py`: a function of a `Surface` and up to three inks returns a coat (ink and height).
"""

from __future__ import annotations

import torch
from torch import Tensor

from studio.generators._solid import ACROSS, ALONG, UPRIGHT, bent
from studio.pretrain.patterns import Coat, band, flat
from studio.pretrain.solid import Surface, constant, mix, ramp, rougher, scattered, toned

# -- stone ------------------------------------------------------------------------------------------------------------------


def marble(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Two families of veins: planes across the block, warped by rough noise; thin ones cross thick ones, both fade in and out."""
    u, v = s.uv
    n, m = s.fbm(1), s.noise(0.5)
    thick = ((u + v) * 0.7071 + 0.35 * n[..., 0]) % 1 - 0.5
    thin = ((u - v) * 1.4142 + 0.5 * n[..., 1]) % 1 - 0.5
    vein = torch.exp(-((thick / (0.045 + 0.04 * ramp(m[..., 0], -1, 1.5))) ** 2)) * ramp(m[..., 1], -1.3, 0.3)
    fine = 0.6 * torch.exp(-((thin / 0.035) ** 2)) * ramp(m[..., 2], -0.5, 0.9)
    halo = 0.12 * torch.exp(-((thick / 0.2) ** 2)) + 0.05 * n[..., 2].clamp(-1, 1)
    return mix(toned(a, 1 - halo), b, torch.maximum(vein, fine) * 0.92), flat(s)


def granite(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    number = s.cells(8)[2]
    tone = 0.78 + 0.55 * number + 0.3 * (number > 0.86)
    ink = mix(toned(a, tone), b, (number < 0.2).to(tone) * 0.9)
    return ink, 0.5 + 0.04 * number


def terrazzo(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    centre, border, number = s.cells(1)
    chip = s.edge(torch.minimum(border - 0.16, 0.4 + 0.25 * (number - 0.5) - centre))
    kind = number * 7 % 1
    stone = toned(mix(b, c, (kind > 0.55).to(kind)), 0.85 + 0.3 * (number * 23 % 1))
    return mix(a, stone, chip), flat(s)


def mosaic(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    _, border, number = s.cells(1)
    kind = number * 5 % 1
    stone = mix(mix(a, b, (kind > 0.5).to(kind)), c, (kind > 0.75).to(kind))
    piece = s.edge(border - 0.09)
    grout = s.ink(0.88, 0.87, 0.84, roughness=0.9)
    return mix(grout, toned(stone, 0.82 + 0.34 * (number * 13 % 1)), piece), 0.3 + 0.25 * piece + 0.1 * (border * 4).clamp(0, 1)


def cobbles(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    _, border, number = s.cells(1)
    n = s.fbm(2)[..., 0]
    dome = ramp(border, 0.05, 0.5)
    stone = toned(a, (0.74 + 0.34 * number + 0.09 * n) * (0.72 + 0.3 * dome))
    return mix(b, stone, s.edge(border - 0.09)), 0.1 + 0.65 * dome + 0.04 * n


def mud(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Dry plates with dark, thin cracks between and rims that curl up pale."""
    _, border, number = s.cells(1)
    n = s.fbm(2)
    border = border + 0.035 * n[..., 0]
    plate = s.edge(border - 0.055)
    tone = 0.92 + 0.16 * number + 0.07 * n[..., 1] + 0.14 * torch.exp(-(((border - 0.14) / 0.07) ** 2))
    return mix(b, toned(a, tone), plate), 0.1 + 0.5 * plate + 0.15 * torch.exp(-(((border - 0.12) / 0.1) ** 2))


def sand(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Wind ripples under grain."""
    ripple = 0.5 + 0.5 * torch.sin(bent(s.q[..., 1], s.noise(0.5)[..., 0]) * 6.2832)
    grain = s.fbm(4)[..., 0]
    return toned(a, 0.88 + 0.2 * ripple + 0.07 * grain), 0.4 + 0.2 * ripple + 0.05 * grain


def ice(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Clear blue depths, milky clouds, and long white fractures along the borders of large and small cells."""
    n = s.fbm(1)
    big, small = s.cells(1)[1] + 0.05 * n[..., 2], s.cells(2)[1]
    crack = torch.maximum(torch.exp(-(big / 0.035).square()), 0.45 * torch.exp(-(small / 0.03).square()))
    milky = (0.32 + 0.3 * n[..., 0]).clamp(0, 0.9)
    return rougher(mix(mix(a, b, milky), b, crack), 0.25 * crack), 0.5 - 0.12 * crack


def lava(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    border = s.cells(1)[1]
    n = s.fbm(2)
    heat = torch.exp(-(((border + 0.05 * n[..., 0]).clamp(min=0) / 0.15) ** 2))
    rock = toned(s.ink(0.10, 0.07, 0.07, roughness=0.9), 1 + 0.35 * n[..., 1])
    glow = mix(s.ink(0.86, 0.10, 0.02, roughness=0.5), s.ink(1.0, 0.82, 0.20, roughness=0.4), heat**2)
    return mix(rock, glow, (1.7 * heat).clamp(0, 1)), 0.65 - 0.45 * heat + 0.05 * n[..., 1]


# -- plants, water, sky -----------------------------------------------------------------------------------------------------


def moss(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Cushions of b on stone a, thicker where the surface looks up."""
    n, fine = s.fbm(1), s.fbm(4)
    green = toned(b, (0.95 + 0.34 * fine[..., 0] + 0.12 * n[..., 2]).clamp(min=0.35))
    grown = s.edge(0.3 * (n[..., 0] + 0.35 * fine[..., 1] + 0.9 * s.n[..., 1] + 0.35))
    stone = toned(a, 1 + 0.16 * n[..., 1])
    return mix(stone, green, grown), 0.4 + grown * (0.2 + 0.08 * fine[..., 0])


def grass(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Upright blades: noise drawn out along y in two layers, tips lit, roots dark."""
    n = s.noise(stretch=ALONG)
    far = n[..., 2]
    blade = torch.maximum(ramp(n[..., 0], -0.8, 0.9), 0.8 * ramp(far, -0.6, 1.0))
    tip = ramp(n[..., 1] + blade, 0.9, 2.0)
    return mix(toned(a, 0.55 + 0.65 * blade), b, 0.75 * tip * blade), 0.25 + 0.5 * blade


def bark(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Upright plates, cracked across, with deep dark furrows between."""
    n, fibre = s.fbm(1), s.noise(stretch=ALONG)[..., 1]
    border = s.cells(stretch=UPRIGHT)[1] + 0.06 * n[..., 0] + 0.05 * fibre
    plate = ramp(border, 0.02, 0.2)
    return mix(b, toned(a, 0.74 + 0.3 * plate + 0.17 * fibre + 0.06 * n[..., 1]), plate), 0.1 + 0.7 * plate + 0.06 * fibre


def coral(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Brain coral: meandering ridges between the level sets of a band-passed noise."""
    n = s.noise(1)
    wave = torch.sin(3.4 * n[..., 0] + 2.2 * n[..., 1])
    ridge = ramp(wave, -0.35, 0.45)
    return mix(b, toned(a, 0.82 + 0.22 * ridge), ridge), 0.2 + 0.6 * ridge


def clouds(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    n = s.fbm(1)
    cover = ramp(n[..., 0] + 0.25 * n[..., 1], -0.15, 1.0)
    return mix(a, toned(b, 1 - 0.10 * ramp(-n[..., 2], 0.0, 1.8)), cover), flat(s)


# -- hide -------------------------------------------------------------------------------------------------------------------


def zebra(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    return mix(a, b, band(s, bent(s.q[..., 1], s.noise(0.5)[..., 0]) + 0.06 * s.noise(2)[..., 1])), flat(s)


def tiger(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Tapering, broken bars on a coat that pales downward."""
    bar = bent(s.q[..., 1], s.noise(0.5)[..., 0])
    width = 0.14 + 0.15 * s.noise(1)[..., 1]
    coat = mix(a, s.ink(0.96, 0.88, 0.76, roughness=0.85), ramp(-s.n[..., 1], 0.1, 1.1) * 0.8)
    return mix(coat, b, s.edge(width - (bar % 1 - 0.5).abs())), flat(s)


def leopard(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Rosettes: dark rings, broken here and there, around a darker heart."""
    centre = s.cells(1)[0]
    n = s.noise(2)
    r = centre + 0.035 * n[..., 0]
    ring = 0.09 + 0.045 * n[..., 1] - (r - 0.33).abs()
    return mix(mix(a, toned(a, constant(a, 0.68)), s.edge(0.3 - r)), b, s.edge(ring)), flat(s)


def giraffe(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    _, border, number = s.cells(1)
    patch = toned(a, 0.86 + 0.2 * ramp(border, 0.1, 0.6) + 0.12 * (number - 0.5))
    return mix(b, patch, s.edge(border - 0.15)), flat(s)


def camouflage(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    n = s.noise(1) + 0.35 * s.noise(2)
    ink = mix(a, toned(a, constant(a, 0.52)), s.edge(0.5 * (n[..., 0] - 0.4)))
    ink = mix(ink, b, s.edge(0.5 * (n[..., 1] - 0.5)))
    return mix(ink, c, s.edge(0.5 * (n[..., 2] - 0.95))), flat(s)


def leather(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Pebbled grain: small cells with dark creases, rubbed paler on a larger scale."""
    border = s.cells(4)[1] + 0.5 * s.cells(2)[1].clamp(max=0.25)
    grain = ramp(border, 0.02, 0.32)
    rub = s.fbm(0.5)[..., 0]
    return rougher(toned(a, 0.72 + 0.36 * grain + 0.09 * rub), 0.15 * (0.5 - grain)), 0.35 + 0.3 * grain


def felt(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Matted fibres: fine noise drawn out in three directions."""
    fibres = s.noise(stretch=ALONG)[..., 0] + s.noise(stretch=ACROSS)[..., 1] + s.noise(8)[..., 2]
    return toned(a, 0.98 + 0.05 * fibres), 0.5 + 0.08 * fibres


# -- metal, paint, wood -----------------------------------------------------------------------------------------------------


def metal(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    n = s.fbm(1)
    return rougher(toned(a, 1 + 0.02 * n[..., 1]), 0.03 * n[..., 0]), flat(s)


def brushed(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Fine scratches around the vertical."""
    line = s.noise(stretch=ACROSS)
    return rougher(toned(a, 0.94 + 0.13 * line[..., 0]), 0.06 * line[..., 1]), 0.5 + 0.03 * line[..., 0]


def rust(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Sound metal or paint a, eaten away in rough, layered patches that are no metal any more."""
    n, fine = s.fbm(1), s.fbm(2)
    t = (0.5 + 0.32 * fine[..., 0] + 0.12 * n[..., 1]).clamp(0, 1)
    brown = mix(s.ink(0.27, 0.12, 0.07, roughness=0.95), s.ink(0.74, 0.36, 0.13, roughness=0.9), t)
    depth = 0.35 * (0.45 - n[..., 0] - 0.2 * fine[..., 1])
    rim = torch.exp(-((depth / 0.06) ** 2)) * 0.5
    return toned(mix(a, brown, s.edge(depth)), 1 - rim), 0.5 - 0.12 * s.edge(depth) + 0.05 * fine[..., 0]


def patina(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Copper a under verdigris b that gathers in blotches and runs down."""
    n, run = s.fbm(1), s.noise(stretch=ALONG)[..., 1]
    green = toned(b, 0.92 + 0.14 * run)
    grown = ramp(n[..., 0] + 0.5 * run + 0.6, -0.25, 0.35)
    return mix(toned(a, 0.92 + 0.08 * n[..., 1]), green, grown), 0.48 + 0.06 * grown


def wood(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Boards sawn along the trunk: each growth ring darkens outward and ends sharply; fine pores along the grain."""
    ring = bent(s.uv[0], s.noise(0.5)[..., 1])
    pores = s.noise(stretch=ALONG)[..., 0]
    return toned(a, 1.12 - 0.48 * (ring % 1) ** 3 + 0.07 * pores), 0.5 + 0.03 * pores


def splatter(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Round drops of many sizes: cells of three sizes, most of them empty; b and c in turn."""
    on, second = torch.zeros_like(s.p[..., 0]), torch.zeros_like(s.p[..., 0])
    for frequency, share in ((1, 0.7), (2, 0.55)):
        centre, _, number = s.cells(frequency)
        ragged = 0.03 * s.noise(2)[..., 0]
        drop = s.edge(torch.where(number < share, 0.16 + 0.26 * number / share - centre + ragged, -1.0) / frequency)
        second = torch.where(drop > on, (scattered(torch.floor(number * 4096)) < 0.5).to(drop), second)
        on = torch.maximum(on, drop)
    return mix(a, mix(b, c, second), on), 0.5 + 0.06 * on


def watercolour(s: Surface, a: Tensor, b: Tensor, c: Tensor) -> Coat:
    """Washes of a and b on paper: cloudy inside, darker where a wash dried at its edge, overlapping in glazes."""
    n, m = s.noise(1) + 0.22 * s.noise(2), s.fbm(1)
    first, second = n[..., 0] + 0.55, n[..., 1] - 0.05
    rims = torch.exp(-(((first - 0.08) / 0.09) ** 2)) + torch.exp(-(((second - 0.08) / 0.09) ** 2))
    thick = (0.76 + 0.16 * m).clamp(0, 1)
    paper = toned(s.ink(0.96, 0.95, 0.92, roughness=0.9), 1 + 0.02 * m[..., 2])
    wash = mix(paper, a, ramp(first, -0.02, 0.12) * thick[..., 0])
    return toned(mix(wash, b, ramp(second, -0.02, 0.12) * thick[..., 1]), 1 - 0.2 * rims), flat(s)
