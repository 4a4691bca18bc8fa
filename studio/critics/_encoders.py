"""The networks of the bundled critics: a picture encoder and a text encoder that meet on the unit sphere (CLIP, 2103.00020).

Two kinds that share nothing but this meeting place, so that what fools one need not fool the other: *convolutions* (depthwise 7×7
blocks as in ConvNeXt, 2201.03545, beside a text transformer) and *patches* (a vision transformer, 2010.11929, beside convolutions
over the words). Activations are smooth, since the critics are made to be differentiated.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Size:
    """How large a critic is. `widths`, `depths`: of the stages for convolutions, of the one transformer for patches."""

    kind: str
    px: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    text: int
    features: int = 128
    tokens: int = 24


CONVOLUTIONS = Size("convolutions", 128, (48, 96, 144, 192), (2, 2, 4, 2), 96)
PATCHES = Size("patches", 112, (144,), (6,), 128)
PATCH = 8


def layer(width: int, heads: int) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(width, heads, 3 * width, 0.0, "gelu", batch_first=True, norm_first=True)


class Block(nn.Module):
    """Depthwise 7×7, then two pointwise layers, around a residual connection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.across = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.GroupNorm(1, width)
        self.enter, self.leave = nn.Conv2d(width, 3 * width, 1), nn.Conv2d(3 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.leave(F.gelu(self.enter(self.norm(self.across(x)))))


class Convolutions(nn.Module):
    """Pictures [N, 3, px, px] → [N, W], the mean of the last stage's features."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        before = 3
        for i, (width, depth) in enumerate(zip(size.widths, size.depths, strict=True)):
            step = 4 if i == 0 else 2
            parts += [nn.Conv2d(before, width, step, step), nn.GroupNorm(1, width), *(Block(width) for _ in range(depth))]
            before = width
        self.stages = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.stages(x).mean((-1, -2))


class Patches(nn.Module):
    """Pictures [N, 3, px, px] → [N, W], the mean of the transformer's tokens."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        (width,), (depth,), side = size.widths, size.depths, size.px // PATCH
        self.enter = nn.Conv2d(3, width // 2, 5, 2, 2)
        self.patch = nn.Conv2d(width // 2, width, PATCH // 2, PATCH // 2)
        self.place = nn.Parameter(torch.randn(side * side, width) * 0.02)
        self.layers = nn.ModuleList(layer(width, width // 24) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        y = self.patch(F.gelu(self.enter(x))).flatten(2).transpose(1, 2) + self.place
        for one in self.layers:
            y = one(y)
        return y.mean(1)


class Sentences(nn.Module):
    """Tokens [B, L] → [B, W] by a transformer over the words; padding is masked."""

    def __init__(self, size: Size, vocabulary: int) -> None:
        super().__init__()
        self.token = nn.Embedding(vocabulary + 1, size.text)
        self.place = nn.Parameter(torch.randn(size.tokens, size.text) * 0.02)
        self.layers = nn.ModuleList(layer(size.text, size.text // 24) for _ in range(2))

    def forward(self, tokens: Tensor) -> Tensor:
        y = self.token(tokens) + self.place
        for one in self.layers:
            y = one(y)
        said = (tokens > 0).unsqueeze(-1).to(y.dtype)
        return (y * said).sum(1) / said.sum(1).clamp(min=1)


class Phrases(nn.Module):
    """Tokens [B, L] → [B, W]: the strongest answer of convolutions over neighbouring words."""

    def __init__(self, size: Size, vocabulary: int) -> None:
        super().__init__()
        self.token = nn.Embedding(vocabulary + 1, size.text, padding_idx=0)
        self.near, self.far = (nn.Conv1d(size.text, size.text, k, padding=k // 2) for k in (3, 5))

    def forward(self, tokens: Tensor) -> Tensor:
        y = self.token(tokens).transpose(1, 2)
        y = y + self.near(F.gelu(y))
        y = y + self.far(F.gelu(y))
        return y.masked_fill((tokens == 0).unsqueeze(1), -30.0).amax(-1) * (tokens > 0).any(1, keepdim=True)


class Network(nn.Module):
    """A picture encoder, a text encoder, and the head that tells clean pictures from damaged ones."""

    def __init__(self, size: Size, vocabulary: int) -> None:
        super().__init__()
        self.size = size
        conv = size.kind == "convolutions"
        self.picture = Convolutions(size) if conv else Patches(size)
        self.text = Sentences(size, vocabulary) if conv else Phrases(size, vocabulary)
        wide = size.widths[-1]
        self.seen = nn.Sequential(nn.LayerNorm(wide), nn.Linear(wide, size.features))
        self.said = nn.Sequential(nn.LayerNorm(size.text), nn.Linear(size.text, size.features))
        self.grade = nn.Sequential(nn.LayerNorm(wide), nn.Linear(wide, 64), nn.GELU(), nn.Linear(64, 1))

    def look(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures [N, 3, h, w] sRGB → unit vectors [N, D], and logits [N] that they are clean."""
        px = self.size.px
        if pictures.shape[-2:] != (px, px):
            pictures = F.interpolate(pictures, (px, px), mode="bilinear", antialias=True, align_corners=False)
        found = self.picture(pictures * 4 - 2)
        return F.normalize(self.seen(found), dim=-1), self.grade(found)[:, 0]

    def read(self, tokens: Tensor) -> Tensor:
        """Tokens [B, L] → unit vectors [B, D]."""
        return F.normalize(self.said(self.text(tokens)), dim=-1)
