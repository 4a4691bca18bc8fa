"""What the words alone say of a texture's colours, painted where the network says that each ink lies: a sketch for early steps.

From pure noise the network knows where stripes run long before it knows which of two named colours lies where, and a mean of
both is what it guesses until noise has decided, in each channel by itself. So a small reader of the text tells the inks, and
early guesses are drawn towards them. Late steps are the network's own: colours stay something that it, and a LoRA, decides.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.device import constant

COARSE = 2
"""Side in pixels of what is judged as one."""
INKS = 3
"""Inks of a material; those beyond the first lie on it with a share at every point."""
PLAIN = 5
"""Numbers of an ink: base colour, roughness, metallic."""
LATE, EARLY = 0.125, 0.25
"""Times up to which the sketch says nothing, and from which it may say all."""
STRANGE = 0.35
"""Distance of colours, in −1…1, at which a guess is no longer a mixture of the inks."""
MIXED = tuple((i / 4, j / 4, (4 - i - j) / 4) for i in range(5) for j in range(5 - i))
"""Shares of the mixtures that a guess is compared with."""
WIDE, CODE, HIDDEN = 96, 8, 24
"""Channels of the reader, of what it tells the judge of a caption, and within the judge."""


class Sketch(nn.Module):
    """Reads text features [B, L, D], and judges what to do with them pixel by pixel.

    The reader is a transformer. An ink is partly copied from the words, by attention to what each word says by itself (See, Liu
    and Manning 2017, Get to the point), so that a colour means the same on any material; and partly its own, for materials whose
    colours no word says. One more ink is that of the caption's effect: the moss, the band, the worn edge.

    The judge is a small perceptron: from the guess and the sketch at a pixel, the effect's ink, the time, and a few numbers that
    say what the caption is about, it tells how much of guess, sketch and effect to take.
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
        self.about, self.told = nn.Linear(WIDE, CODE), nn.Linear(PLAIN + 1 + CODE, HIDDEN)
        self.pixel, self.inner = nn.Conv2d(2 * PLAIN + 2, HIDDEN, 1), nn.Conv2d(HIDDEN, HIDDEN, 1)
        self.parts = nn.Conv2d(HIDDEN, 6, 1)

    def read(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """The inks [B, INKS + 1, PLAIN] in −1…1, the last that of the effect; and what a caption means to the judge [B, WIDE]."""
        words = self.enter(text)
        context = self.encoder(words)
        asked = self.decoder(self.queries.expand(len(text), -1, -1), context)
        at = torch.softmax(asked @ self.key(context).mT / WIDE**0.5, -1)
        copied, own = at @ torch.tanh(self.word(words)), torch.tanh(self.own(asked))
        return torch.lerp(own, copied, _spread(torch.sigmoid(self.copied(asked)), -1)), context.mean(1)

    def laid(self, shares: Tensor, inks: Tensor) -> Tensor:
        """Inks [B, INKS, PLAIN] by their shares [N, INKS, h, w] in −1…1: the sketch [N, PLAIN, h, w]; N pictures of B objects."""
        shares = ((shares[:, : INKS - 1] + 1) / 2).clamp(0, 1)
        shares = torch.cat([(1 - shares.sum(1, keepdim=True)).clamp(min=0), shares], 1)
        return torch.einsum("nkhw,nkc->nchw", shares, inks.repeat_interleave(len(shares) // len(inks), 0))

    def seen(self, x0: Tensor, sketch: Tensor, inks: Tensor) -> Tensor:
        """What the judge looks at [N, 2 · PLAIN + 2, h, w]: the guess x0, the sketch, and in 0…1 how much the guess is a mixture
        of the inks, and how much the effect."""
        mixtures = torch.cat([constant(MIXED, inks) @ inks[:, :INKS, :3], inks[:, INKS:, :3]], 1)
        mixtures, colour = mixtures.repeat_interleave(len(x0) // len(inks), 0), x0[:, :3]
        apart = mixtures.square().sum(-1)[..., None, None] - 2 * torch.einsum("nchw,nmc->nmhw", colour, mixtures)
        apart = (apart + colour.square().sum(1, keepdim=True)).clamp(min=0)
        near = torch.exp(-torch.cat([apart[:, :-1].amin(1, keepdim=True), apart[:, -1:]], 1) / (2 * STRANGE**2))
        return torch.cat([x0[:, :PLAIN], sketch, near], 1)

    def judged(self, seen: Tensor, effect: Tensor, t: Tensor, meaning: Tensor) -> Tensor:
        """Parts [N, 3, PLAIN, h, w] of guess, sketch and effect in what is painted, colours sharing theirs; from `seen`, the
        effect's ink [B, PLAIN], times t [B] and what captions mean [B, WIDE]."""
        told = self.told(torch.cat([effect, t[:, None], torch.tanh(self.about(meaning))], 1))
        told = told.repeat_interleave(len(seen) // len(told), 0)[..., None, None]
        parts = self.parts(F.silu(self.inner(F.silu(self.pixel(seen) + told))))
        return _spread(parts.unflatten(1, (3, 2)).softmax(1), 2)

    def forward(self, x0: Tensor, shares: Tensor, text: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """How guesses x0 [N, C, h, w] at times t [B] are drawn towards the sketch: how much of their PLAIN channels is kept, in
        0…1, and what is added to that, [N, PLAIN, h, w] each.

        Shares [N, INKS, h, w] in −1…1, text [B, L, D]; N pictures of B objects in order.
        """
        inks, meaning = self.read(text)
        sketch, effect = self.laid(shares, inks[:, :INKS]), inks[:, INKS]
        guess, laid = F.avg_pool2d(x0[:, :PLAIN], COARSE), F.avg_pool2d(sketch, COARSE)
        parts = self.judged(self.seen(guess, laid, inks), effect, t, meaning)
        parts = parts.repeat_interleave(COARSE, -2).repeat_interleave(COARSE, -1)
        times = len(x0) // len(inks)
        ramp = ((t - LATE) / (EARLY - LATE)).clamp(0, 1).repeat_interleave(times, 0)[:, None, None, None]
        effect = effect.repeat_interleave(times, 0)[..., None, None]
        return 1 - ramp * (1 - parts[:, 0]), ramp * (parts[:, 1] * sketch + parts[:, 2] * effect)


def _spread(pair: Tensor, dim: int) -> Tensor:
    """Two numbers along `dim` as PLAIN: one for the colour's channels, one for the rest."""
    colour, rest = pair.split(1, dim)
    return torch.cat([colour] * 3 + [rest] * (PLAIN - 3), dim)
