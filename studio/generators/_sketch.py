"""What the words alone say of a texture's colours, painted where the network says that each ink lies: a sketch for early steps.

From pure noise the network knows where stripes run long before it knows which of two named colours lies where, and a mean of
both is what it guesses until noise has decided, in each channel by itself. So a small reader of the text tells the inks, and
early guesses are drawn towards them. Late steps are the network's own: colours stay something that it, and a LoRA, decides.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from studio.device import constant

INKS = 3
"""Inks of a material; those beyond the first lie on it with a share at every point."""
PLAIN = 5
"""Numbers of an ink: base colour, roughness, metallic."""
LATE, EARLY = 0.125, 0.25
"""Times up to which the sketch says nothing, and from which it may say all."""
STRANGE = 0.35
"""Distance of colours, in −1…1, at which the network means something that is no mixture of the inks."""
MIXED = tuple((i / 4, j / 4, (4 - i - j) / 4) for i in range(5) for j in range(5 - i))
"""Shares of the mixtures that a guess is compared with."""


class Sketch(nn.Module):
    """Reads text features [B, L, D] by cross-attention of a query for each ink; their mean tells the trust in the inks."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(INKS, channels) * 0.02)
        heads, wide = max(1, channels // 48), 2 * channels
        layer = nn.TransformerDecoderLayer(channels, heads, wide, 0.0, "gelu", batch_first=True, norm_first=True)
        self.reader = nn.TransformerDecoder(layer, 2, norm=nn.LayerNorm(channels))
        self.ink = nn.Linear(channels, PLAIN)
        self.trust = nn.Sequential(nn.Linear(channels, channels // 2), nn.SiLU(), nn.Linear(channels // 2, 4))

    def inks(self, text: Tensor) -> Tensor:
        """[B, INKS, PLAIN] in −1…1."""
        return torch.tanh(self.ink(self.reader(self.queries.expand(len(text), -1, -1), text)))

    def trusted(self, text: Tensor, t: Tensor) -> Tensor:
        """How far to trust the inks [B, PLAIN] in 0…1 at times t [B] or [1]: their colours alike, and the rest of them."""
        level, slope = self.trust(text.mean(1)).unflatten(1, (2, 2)).unbind(-1)
        ramp = ((t - LATE) / (EARLY - LATE)).clamp(0, 1)[:, None]
        colour, rest = (torch.sigmoid(level + 4 * (t[:, None] - 0.5) * slope) * ramp).split(1, 1)
        return torch.cat([colour.expand(-1, 3), rest.expand(-1, PLAIN - 3)], 1)

    def laid(self, x0: Tensor, shares: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """The sketch [N, PLAIN, h, w], and in 0…1 [N, 1, h, w] how much the guess x0 [N, C, h, w] is some mixture of its inks.

        Shares [N, INKS, h, w] in −1…1; N pictures of B objects in order, text [B, L, D].
        """
        inks = self.inks(text).repeat_interleave(len(x0) // len(text), 0)
        shares = ((shares[:, : INKS - 1] + 1) / 2).clamp(0, 1)
        shares = torch.cat([(1 - shares.sum(1, keepdim=True)).clamp(min=0), shares], 1)
        mixtures = constant(MIXED, inks) @ inks[..., :3]
        crossed = torch.einsum("nchw,nmc->nmhw", x0[:, :3], mixtures)
        apart = (mixtures.square().sum(-1)[..., None, None] - 2 * crossed).amin(1, keepdim=True)
        apart = (apart + x0[:, :3].square().sum(1, keepdim=True)).clamp(min=0)
        return torch.einsum("nkhw,nkc->nchw", shares, inks), torch.exp(-apart / (2 * STRANGE**2))

    def forward(self, x0: Tensor, shares: Tensor, text: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """The sketch [N, PLAIN, h, w] and its weight, as large, in 0…1 against the guess x0 at times t [B]; see `laid`."""
        drawn, near = self.laid(x0, shares, text)
        return drawn, self.trusted(text, t).repeat_interleave(len(x0) // len(text), 0)[..., None, None] * near
