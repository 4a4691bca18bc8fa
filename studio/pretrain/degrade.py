"""Pictures made worse on purpose, for critics that must tell workmanship: blurred, noisy, banded, over-saturated, broken at a
seam, washed out. Each takes pictures [N, 3, h, w] sRGB, their mask [N, 1, h, w] and strengths [N, 1, 1, 1] in 0…1."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

GREY = (0.299, 0.587, 0.114)  # luma of BT.601


def blurred(x: Tensor, mask: Tensor, strength: Tensor) -> Tensor:
    """Averaged over a Gaussian of 1 to 4 hundredths of the picture, inside the mask only."""
    sigma = float(0.01 + 0.03 * strength.mean()) * x.shape[-1]
    reach = max(1, round(2.5 * sigma))
    k = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=x.device) / sigma) ** 2)
    k = (k / k.sum()).view(1, 1, 1, -1).to(x.dtype)

    def smooth(y: Tensor) -> Tensor:
        y = F.conv2d(y.flatten(0, 1)[:, None], k, padding=(0, reach))
        return F.conv2d(y, k.transpose(-1, -2), padding=(reach, 0))

    total = smooth(mask).view_as(mask)
    return smooth(x * mask).view_as(x) / total.clamp(min=1e-3)


def noisy(x: Tensor, mask: Tensor, strength: Tensor) -> Tensor:
    """With white noise of a standard deviation of 6 to 20 %."""
    return x + (0.06 + 0.14 * strength) * torch.randn_like(x)


def banded(x: Tensor, mask: Tensor, strength: Tensor) -> Tensor:
    """With 6 down to 3 levels per channel."""
    steps = (5 - 3 * strength).round()
    return (x * steps).round() / steps


def over_saturated(x: Tensor, mask: Tensor, strength: Tensor) -> Tensor:
    """Driven away from grey and from the middle until colours clip."""
    grey = (x * x.new_tensor(GREY).view(1, 3, 1, 1)).sum(1, keepdim=True)
    return 0.5 + (grey + (x - grey) * (1.8 + 1.7 * strength) - 0.5) * 1.3


def broken(x: Tensor, mask: Tensor, strength: Tensor) -> Tensor:
    """Beyond a line through the picture everything is shifted along it and a little off in colour, as at a bad seam."""
    n, _, h, w = x.shape
    angle = torch.rand(n, 1, 1, device=x.device) * 2 * torch.pi
    at = torch.stack(torch.meshgrid(*(torch.linspace(-1, 1, s, device=x.device) for s in (h, w)), indexing="ij"))
    beyond = at[0] * angle.sin() + at[1] * angle.cos() > (torch.rand(n, 1, 1, device=x.device) - 0.5) * 0.6
    shift = max(2, round(float(0.04 + 0.08 * strength.mean()) * w))
    turned = x.roll(shift, -1) if torch.rand(()) < 0.5 else x.roll(shift, -2)
    valid = mask.roll(shift, -1) * mask.roll(shift, -2)
    tint = (0.05 + 0.1 * strength) * F.normalize(torch.randn(n, 3, 1, 1, device=x.device), dim=1)
    return torch.where(beyond[:, None], torch.where(valid > 0.5, turned, x) + tint, x)


def washed_out(x: Tensor, mask: Tensor, strength: Tensor) -> Tensor:
    """Faded towards a light grey by a half to four fifths."""
    return torch.lerp(x, torch.full_like(x, 0.72), 0.5 + 0.3 * strength)


KINDS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    f.__name__: f for f in (blurred, noisy, banded, over_saturated, broken, washed_out)
}


def degraded(x: Tensor, mask: Tensor, *, kind: str | None = None) -> Tensor:
    """Pictures [N, 3, h, w], each made worse at random strength: in this way, or an equal part in each of the ways."""
    out = x.clone()
    order = torch.randperm(len(x), device=x.device)
    names = [kind] if kind else list(KINDS)
    for name, rows in zip(names, order.chunk(len(names)), strict=False):
        strength = torch.rand(len(rows), 1, 1, 1, device=x.device)
        out[rows] = KINDS[name](x[rows], mask[rows], strength).clamp(0, 1)
    return torch.where(mask > 0.5, out, x)
