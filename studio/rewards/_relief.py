"""The estimator behind `normal`: which relief does a lit picture of a known surface show?

A small U-Net (1505.04597) that is told the surface's own normals and answers with a correction, so that an evenly coloured
surface reads as itself and every departure is relief that somebody painted. Where the light comes from follows from the picture,
as far as brightness is linear in the normal; what is left of the brightness is paint or, to first order, a normal that leans to
the light (Pentland 1990, Linear shape from shading). The network says which, and corrects the rest.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from studio.device import constant
from studio.errors import StudioError

DATA = Path(__file__).parent / "data" / "normal" / "weights.safetensors"
"""The bundled estimator."""
WIDTHS = (24, 40, 56, 64)
LUMA = (0.299, 0.587, 0.114)
DARK, RIDGE = 0.05, 0.02
"""Added to brightness before its logarithm, and to the diagonal of the fit."""
FAINT, DOUBT = 0.1, 1.5
"""Slopes of brightness below the root of this say little of relief; the log-odds of paint to begin with."""
CHANNELS = 11
"""Of what the network sees: colour 3, normal 3, inside 1, light 3, brightness that is left 1."""
WHOLE = 0.999
"""A pixel counts when at least this part of it shows the surface."""


class Mix(nn.Module):
    """A residual pair of 3×3 layers; the second begins at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.silu(self.first(F.silu(levelled(x)))))


def light(pictures: Tensor, normals: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """The slope of log-brightness over the normal, spread over each picture [N, 3, h, w], and what it leaves of the brightness
    [N, 1, h, w]. Arguments as `Estimator.forward`."""
    brightness = (pictures * constant(LUMA, pictures).view(1, 3, 1, 1)).sum(1).clamp(min=0)
    value = torch.log(brightness + DARK).flatten(1)[..., None]
    at = (torch.cat([normals, torch.ones_like(inside)], 1) * inside).flatten(2)
    share = at / inside.sum((1, 2, 3)).clamp(min=1).view(-1, 1, 1)
    slope = torch.linalg.solve(share @ at.mT + RIDGE * torch.eye(4, dtype=at.dtype, device=at.device), share @ value)
    left = (value - at.mT @ slope).view_as(inside)
    return slope[:, :3, :, None].expand(-1, -1, *inside.shape[2:]), left


def levelled(x: Tensor) -> Tensor:
    """Each pixel's channels [N, C, h, w] divided by their root mean square."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-3)


class Estimator(nn.Module):
    """Pictures and the surface's own normals → the normals that the pictures show, in view space (right, up, to the eye)."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.multiple_px = 2 ** len(widths)
        """Sides of pictures are multiples of this; normals come out at half the size."""
        pairs = list(zip(widths, widths[1:], strict=False))
        self.enter = nn.Conv2d(4 * CHANNELS, widths[0], 3, padding=1)
        self.down = nn.ModuleList(nn.Sequential(Mix(a), nn.Conv2d(a, b, 3, 2, 1)) for a, b in pairs)
        self.deep = Mix(widths[-1])
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in reversed(pairs))
        self.join = nn.ModuleList(nn.Conv2d(a, a, 3, padding=1) for a, _ in reversed(pairs))
        self.leave = nn.Conv2d(widths[0], 4, 1)
        nn.init.normal_(self.leave.weight, std=0.01)
        nn.init.constant_(self.leave.bias, 0.0)

    def forward(self, pictures: Tensor, normals: Tensor, inside: Tensor) -> Tensor:
        """Pictures [N, 3, h, w] sRGB, unit normals [N, 3, h, w], `inside` [N, 1, h, w] 1 on the surface → unit [N, 3, h/2, w/2].

        What lies outside plays no part.
        """
        if any(side % self.multiple_px for side in pictures.shape[-2:]):
            raise TypeError(f"the estimator looks at sides of multiples of {self.multiple_px} px, not at {tuple(pictures.shape)}")
        slope, left = light(pictures, normals, inside)
        known = torch.cat([pictures * 4 - 2, normals, torch.ones_like(inside), slope, left], 1)
        x = self.enter(F.pixel_unshuffle(known * inside, 2))
        kept = []
        for down in self.down:
            mixed = down[0](x)
            kept.append(mixed)
            x = down[1](mixed)
        x = self.deep(x)
        for up, join in zip(self.up, self.join, strict=True):
            x = F.interpolate(up(x), scale_factor=2) + kept.pop()
            x = x + join(F.silu(levelled(x)))
        paint, correction = self.leave(F.silu(levelled(x))).split([1, 3], 1)
        own, slope, left = (F.avg_pool2d(v * inside, 2) for v in (normals, slope, left))
        across = slope - (slope * own).sum(1, keepdim=True) * own
        leaning = torch.tanh(left) * across / (across.square().sum(1, keepdim=True) + FAINT)
        return F.normalize(own + leaning * torch.sigmoid(-paint - DOUBT) + correction, dim=1)

    def save(self, path: Path) -> None:
        """Write the weights, in fp16."""
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({k: v.detach().to("cpu", torch.float16).contiguous() for k, v in self.state_dict().items()}, path)
        path.chmod(0o644)  # safetensors leaves it readable by its owner alone

    @classmethod
    def load(cls, path: Path | str) -> Estimator:
        """From a safetensors file with this layout (fp32, CPU, frozen), of any widths. Raises StudioError when it is missing or
        another's."""
        own = Path(path) == DATA
        if own and not DATA.is_file():
            problem = "This version of the studio ships no weights for the reward 'normal' yet."
            raise StudioError(problem, "Train them (python -m studio.pretrain.relief), or give your own estimator as 'path'.")
        remedy = "Reinstall patina-studio." if own else "Give a file that studio.pretrain.relief has written."
        try:
            state = {name: t.float() for name, t in load_file(Path(path).expanduser()).items()}
            joints = [state[name] for name in sorted(state) if name.startswith("join.") and name.endswith(".weight")]
            widths = (*(len(t) for t in reversed(joints)), len(state["deep.first.bias"]))
            with torch.device("meta"):
                net = cls(widths)
            net.load_state_dict(state, assign=True)
        except (OSError, RuntimeError, KeyError, SafetensorError) as error:
            problem = f"The relief estimator '{Path(path).name}' cannot be read: {str(error).splitlines()[0]}"
            raise StudioError(problem, remedy) from error
        return net.eval().requires_grad_(False)


def likeness(shown: Tensor, normals: Tensor, inside: Tensor) -> Tensor:
    """Mean over pictures, a scalar, of the mean cosine between estimated normals [N, 3, h/2, w/2] and the surface's [N, 3, h, w]
    where all four pixels are inside [N, 1, h, w]."""
    own = F.normalize(F.avg_pool2d(normals * inside, 2), dim=1)
    whole = (F.avg_pool2d(inside, 2) > WHOLE).to(shown.dtype)[:, 0]
    return (((shown * own).sum(1) * whole).sum((1, 2)) / whole.sum((1, 2)).clamp(min=1)).mean()
