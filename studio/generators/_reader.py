"""What the words alone say of a texture: the inks of its material and of its effect. A network's head lays them.

From pure noise a network knows where stripes run long before it knows which of two named colours lies where, and a mean of both
is what it would guess until noise has decided, in each channel by itself. So colours are read, not guessed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

INKS = 3
"""Inks of a material; those beyond the first lie on it with a share at every point."""
PLAIN = 5
"""Numbers of an ink: base colour, roughness, metallic."""
WIDE = 96
"""Channels of the reader."""


class Reader(nn.Module):
    """Text features [B, L, D] → inks [B, INKS + 1, PLAIN] in −1…1, the last that of the caption's effect: moss, a band, dirt.

    A transformer with a query for every ink. An ink is partly copied from the words, by attention to what each word says by
    itself (See, Liu and Manning 2017, Get to the point), so that a colour means the same on any material; and partly its own,
    for materials whose colours no word says.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        kind: tuple[Any, ...] = (WIDE, 4, 2 * WIDE, 0.0, "gelu", 1e-5, True, True)
        self.enter = nn.Linear(channels, WIDE)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(*kind), 2, enable_nested_tensor=False)
        self.queries = nn.Parameter(torch.randn(INKS + 1, WIDE) * 0.02)
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(*kind), 1, norm=nn.LayerNorm(WIDE))
        self.key, self.own, self.copied = nn.Linear(WIDE, WIDE), nn.Linear(WIDE, PLAIN), nn.Linear(WIDE, 2)
        self.word = nn.Sequential(nn.Linear(WIDE, WIDE), nn.GELU(), nn.Linear(WIDE, PLAIN))

    def forward(self, text: Tensor) -> Tensor:
        words = self.enter(text)
        context = self.encoder(words)
        asked = self.decoder(self.queries.expand(len(text), -1, -1), context)
        at = torch.softmax(asked @ self.key(context).mT / WIDE**0.5, -1)
        copied, own = at @ torch.tanh(self.word(words)), torch.tanh(self.own(asked))
        return torch.lerp(own, copied, spread(torch.sigmoid(self.copied(asked)), -1))


def laid(shares: Tensor, inks: Tensor) -> Tensor:
    """The material's inks [N, INKS, PLAIN] by the shares [N, INKS − 1, h, w] in −1…1 of those beyond the first, as a picture
    [N, PLAIN, h, w]."""
    shares = (shares + 1) / 2
    shares = torch.cat([(1 - shares.sum(1, keepdim=True)).clamp(min=0), shares], 1)
    return (inks.mT @ shares.flatten(2)).unflatten(2, shares.shape[2:])


def spread(pair: Tensor, dim: int) -> Tensor:
    """Two numbers along `dim` as PLAIN: one for the colour's channels, one for the rest."""
    colour, rest = pair.split(1, dim)
    return torch.cat([colour] * 3 + [rest] * (PLAIN - 3), dim)
