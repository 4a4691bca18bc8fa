"""What a texture is measured by: colours as a person names them, distributions, effects in their places, fine detail."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.pretrain.colours import COLOURS

CUTOFF = 0.125
"""Cycles per texel: a quarter of the Nyquist frequency."""
PALETTE = 64
"""Colours that stand for a set of points."""


def lab(rgb: Tensor) -> Tensor:
    """sRGB [..., 3] in 0…1 → CIELAB under D65 (CIE 15)."""
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clamp(min=0) + 0.055) / 1.055) ** 2.4)
    M = rgb.new_tensor([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ M.T / rgb.new_tensor([0.9505, 1.0, 1.089])
    f = torch.where(xyz > (6 / 29) ** 3, xyz.clamp(min=1e-9) ** (1 / 3), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = f.unbind(-1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def ciede2000(one: Tensor, other: Tensor) -> Tensor:
    """Colour difference of CIELAB colours [..., 3], broadcast (Sharma, Wu and Dalal 2005, eq. 2 to 22, all weights 1)."""
    (L1, a1, b1), (L2, a2, b2) = one.unbind(-1), other.unbind(-1)
    mean7 = ((torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2) ** 7
    G = 0.5 * (1 - (mean7 / (mean7 + 25.0**7)).sqrt())
    a1, a2 = (1 + G) * a1, (1 + G) * a2
    C1, C2 = torch.hypot(a1, b1), torch.hypot(a2, b2)
    h1, h2 = (torch.atan2(b, a) % (2 * math.pi) for a, b in ((a1, b1), (a2, b2)))
    grey = C1 * C2 == 0
    turn = h2 - h1
    turn = turn - 2 * math.pi * (turn > math.pi) + 2 * math.pi * (turn < -math.pi)
    turn = torch.where(grey, torch.zeros_like(turn), turn)
    dL, dC, dH = L2 - L1, C2 - C1, 2 * (C1 * C2).sqrt() * (turn / 2).sin()
    L, C, total = (L1 + L2) / 2, (C1 + C2) / 2, h1 + h2
    far = (h1 - h2).abs() > math.pi
    h = torch.where(far, total + 2 * math.pi * (2 * (total < 2 * math.pi).to(total) - 1), total) / 2
    h = torch.where(grey, total, h)
    degrees = h * 180 / math.pi
    T = 1 - 0.17 * (h - math.pi / 6).cos() + 0.24 * (2 * h).cos() + 0.32 * (3 * h + math.pi / 30).cos()
    T = T - 0.20 * (4 * h - 63 * math.pi / 180).cos()
    SL = 1 + 0.015 * (L - 50) ** 2 / (20 + (L - 50) ** 2).sqrt()
    SC, SH = 1 + 0.045 * C, 1 + 0.015 * C * T
    bend = 30 * math.pi / 180 * torch.exp(-(((degrees - 275) / 25) ** 2))
    RT = -(2 * bend).sin() * 2 * (C**7 / (C**7 + 25.0**7)).sqrt()
    x, y, z = dL / SL, dC / SC, dH / SH
    return (x**2 + y**2 + z**2 + RT * y * z).clamp(min=0).sqrt()


def shares(rgb: Tensor) -> dict[str, float]:
    """Share of the sRGB colours [n, 3] whose nearest named one (CIEDE2000) is each."""
    names = lab(torch.tensor(list(COLOURS.values()), device=rgb.device))
    nearest = ciede2000(lab(rgb.clamp(0, 1).float())[:, None], names).argmin(1)
    counts = torch.bincount(nearest, minlength=len(COLOURS)) / max(1, len(rgb))
    return dict(zip(COLOURS, counts.tolist(), strict=True))


def apart(one: Tensor, other: Tensor) -> float:
    """Mean absolute difference of two sets of n numbers each, matched in order (the Wasserstein-1 distance): where a pattern lies
    does not matter, how much of the surface has which value does."""
    return float((one.sort().values - other.sort().values).abs().mean())


def _palette(values: Tensor) -> Tensor:
    g = torch.Generator().manual_seed(0)
    return lab(values[torch.randint(len(values), (PALETTE,), generator=g).to(values.device), :3].clamp(0, 1).float())


def contrast(made: Tensor, bare: Tensor, worn: Tensor, mask: Tensor) -> float | None:
    """How much more of the masked part than of the rest looks like the effect: −1…1; None where either part is too small.

    `made` [n, C] are the points to judge; `bare` and `worn` [n, C] the truth without and with the effect, `mask` [n] where it
    belongs. A point looks like the effect when its nearest colour (CIEDE2000) among the masked points of `worn` is nearer than
    the nearest of `bare`.
    """
    inside, outside = mask > 0.95, mask < 0.05
    if inside.float().mean() < 0.01 or outside.float().mean() < 0.01:
        return None
    effect, ground = _palette(worn[inside]), _palette(bare)

    def alike(points: Tensor) -> float:
        g = torch.Generator().manual_seed(1)
        some = lab(points[torch.randint(len(points), (800,), generator=g).to(points.device), :3].clamp(0, 1).float())[:, None]
        return float((ciede2000(some, effect).amin(1) < ciede2000(some, ground).amin(1)).float().mean())

    return alike(made[inside]) - alike(made[outside])


def fine_energy(texture: Tensor, mask: Tensor) -> float:
    """Mean energy above CUTOFF of a texture [S, C, T, T] inside a mask [S, 1, T, T]: what a Gaussian whose response there is one
    half takes away, blurred within the mask alone, counted where the blur's whole window lies inside."""
    sigma = math.sqrt(math.log(2) / 2) / (math.pi * CUTOFF)
    reach = math.ceil(3 * sigma)
    k = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=texture.device) / sigma) ** 2)
    k = (k / k.sum()).view(1, 1, 1, -1).to(texture)
    m = mask.to(texture)

    def smooth(x: Tensor) -> Tensor:
        y = F.conv2d(x.flatten(0, 1)[:, None], k, padding=(0, reach))
        return F.conv2d(y, k.transpose(-1, -2), padding=(reach, 0)).view_as(x)

    total = smooth(m)
    fine = (texture - smooth(texture * m) / total.clamp(min=1e-6)) * (total > 0.999)
    return float(fine.square().sum() / ((total > 0.999).sum() * texture.shape[1]).clamp(min=1))


def spread(features: Tensor) -> float:
    """Mean distance between the rows [n, D], each pair once."""
    return float(F.pdist(features.float()).mean())


def share(found: Sequence[bool]) -> float:
    """Part of the answers that are yes; nan where there are none."""
    return sum(found) / len(found) if found else math.nan
