"""The network of the multi-view painters: text encoder, a small UNet whose tokens attend across views, and what makes pictures.

Two kinds share it. In *pixels*, 8×8 patches of the noisy pictures are the UNet's tokens and a light head at half resolution
removes the patch borders. In *latents* it denoises what an autoencoder made of the pictures at an eighth of their size, and a
decoder that sees the geometry at full resolution draws them once, at the end. Both predict the clean x0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from studio.generators._motifs import Motifs
from studio.generators._reader import INKS, PLAIN, Reader, laid, spread
from studio.generators._schedule import SHIFT
from studio.generators._solid import FIELDS
from studio.words import TOKENS

PATCH = 8
"""Pixels per token and axis, of patches and latents alike."""
MASK = 6
"""Where geometry holds the mask: after position and normal; curvature and openness follow."""


@dataclass(frozen=True)
class Size:
    """How large a network is and what its weights were made for. The defaults describe files older than the field."""

    view_px: int
    """Side of the pictures it was trained on; any multiple of 32 works."""
    channels: tuple[int, int, int]
    heads: tuple[int, int, int]
    head_channels: int
    text_channels: int
    text_layers: int
    groups: int = 16
    tokens: int = TOKENS
    """Words it reads."""
    painted: int = 3
    """Channels of its pictures: base colour, then roughness, metallic and height."""
    geometry: int = 7
    """Channels it sees of the mesh: position, normal and mask, then mean curvature and openness."""
    waves: int = 3
    """Octaves in which it sees positions, from one cycle per work unit."""
    head_layers: int = 0
    """Residual layers of the head, or of the decoder at each of its sizes."""
    latent: int = 0
    """Channels of the latents; 0 where it paints in pixels."""
    shift: float = SHIFT
    """Of the schedule's signal-to-noise ratio."""
    cell: float = 0.0
    """Side of the cells that share their noise, in work units; 0 for noise that is independent in every pixel."""
    guidance: float = 1.0
    """Guidance scale that its weights hold already, by distillation."""
    mixed: int = 0
    """Mixtures of the solid fields of a seed's frame (`_solid`) that its head sees; 0 where there is no frame."""
    inked: bool = False
    """Its head lays the inks that a `Reader` finds in the text."""


class TextEncoder(nn.Module):
    """Tokens [B, L] → features [B, L, D]: a small transformer, trained together with the network."""

    def __init__(self, size: Size, vocabulary: int) -> None:
        super().__init__()
        D = size.text_channels
        self.token = nn.Embedding(vocabulary + 1, D)
        self.place = nn.Parameter(torch.randn(size.tokens, D) * 0.02)
        layer = nn.TransformerEncoderLayer(D, max(1, D // 48), 2 * D, 0.0, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, size.text_layers, norm=nn.LayerNorm(D), enable_nested_tensor=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.layers(self.token(tokens) + self.place)


class JointAttention:
    """Attention of diffusers' blocks in which the views of one object share their keys: [B·V, N, C] seen as [B, V·N, C].

    Cross-attention to the text is left alone. `views` arrives through `cross_attention_kwargs`, so the step stays pure.
    """

    def __call__(
        self, attn: Attention, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, *, views: int = 1, **_: object
    ) -> Tensor:
        n, length, _c = hidden_states.shape
        within = encoder_hidden_states is None
        x = hidden_states.reshape(n // views, views * length, -1) if within else hidden_states
        seen = x if within else encoder_hidden_states
        projected = attn.to_q(x), attn.to_k(seen), attn.to_v(seen)
        q, k, v = (y.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for y in projected)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return attn.to_out[0](y).reshape(n, length, -1)


class Head(nn.Module):
    """Token features [N, sum of `read`, h/8, w/8] + noisy picture + geometry → clean picture [N, C, h, w] without patch borders.

    Where there is a frame, every token also writes a small perceptron for its pixels: how to mix the solid fields into motifs,
    these into the shares of INKS inks, and the inks. A prompt so chooses among patterns that are sharp already, and colours them;
    convolutions alone would have to learn to multiply the one with the other.

    Inks that were read (`_reader`) are laid by the same shares, the effect's over them where a pixel says so; how far they take
    the place of those that a token wrote, a pixel says too.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        c, self.painted, self.parts = size.head_channels, size.painted, self.read(size)
        read = 4 * PLAIN if size.inked else 0
        self.enter = nn.Conv2d(c + 4 * size.painted + size.geometry + 4 * size.mixed + read, c, 3, padding=1)
        self.inner = nn.ModuleList(nn.Conv2d(c, c, 3, padding=1) for _ in range(size.head_layers))
        self.leave = nn.Conv2d(c, 4 * (size.painted + (3 if size.inked else 0)), 3, padding=1)
        if size.inked:  # at first, nothing that was read is used
            nn.init.zeros_(self.enter.weight[:, -read:])
            nn.init.zeros_(self.leave.weight[4 * size.painted :])
            nn.init.constant_(self.leave.bias[4 * size.painted :], -2.0)

    @staticmethod
    def read(size: Size) -> list[int]:
        """Channels that it reads of every token: features, then what mixes motifs, their bias, shares, their bias, and inks."""
        return [16 * size.head_channels, *(Motifs.numbers(size.mixed, size.painted) if size.mixed else [])]

    def forward(
        self, features: Tensor, x: Tensor, geometry: Tensor, fields: Tensor | None, inks: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The picture, and where there are `fields` the shares [N, INKS − 1, h, w] in −1…1 of the second and the third ink; where
        there are `inks` [N, INKS + 1, PLAIN] too, one more of the effect's."""
        features, *written = features.split(self.parts, 1)
        seen = [F.pixel_shuffle(features, 4), F.pixel_unshuffle(x, 2), F.avg_pool2d(geometry, 2)]
        if fields is None:
            return self._convolved(seen), None
        motifs, shares, drawn = self._drawn(written, fields)
        seen.append(F.pixel_unshuffle(motifs, 2))
        if inks is None:
            return self._convolved(seen) + drawn, shares
        given = inks.to(drawn.dtype)
        told = laid(shares, given[:, :INKS])
        y, over, trust = self._convolved([*seen, F.pixel_unshuffle(told, 2)]).split([self.painted, 1, 2], 1)
        over = torch.sigmoid(over)
        told = torch.lerp(told, given[:, INKS, :, None, None], over)
        plain = torch.lerp(drawn[:, :PLAIN], told, spread(torch.sigmoid(trust), 1))
        return y + torch.cat([plain, drawn[:, PLAIN:]], 1), torch.cat([shares, 2 * over - 1], 1)

    def _convolved(self, seen: list[Tensor]) -> Tensor:
        y = self.enter(torch.cat(seen, 1))
        for layer in self.inner:
            y = y + layer(F.silu(y))
        return F.pixel_shuffle(self.leave(F.silu(y)), 2)

    def _drawn(self, written: list[Tensor], fields: Tensor) -> list[Tensor]:
        """Motifs [N, mixed, h, w], shares of the second and the third ink, and the picture of the token's own inks, of fields
        [N, patches, pixels, FIELDS]."""
        across, tokens = written[0].shape[2:], Motifs.of(written, fields)
        motifs, levels = tokens.at(fields)
        shares = torch.tanh(levels)
        pixels = (motifs, shares[:, :, : INKS - 1], tokens.inks @ shares)
        return [F.pixel_shuffle(v.permute(0, 2, 3, 1).flatten(1, 2).unflatten(2, across), PATCH) for v in pixels]


class Decoder(nn.Module):
    """Latents [N, L, h/8, w/8] + geometry [N, G, h, w] → pictures [N, C, h, w] in −1…1; the geometry makes its edges sharp.

    From size to size the features double their side; at each the geometry enters anew, averaged to that size.
    """

    WIDTHS = (96, 64, 48)  # at 1/8, 1/4 and 1/2 of the pictures' size

    def __init__(self, size: Size) -> None:
        super().__init__()
        wide, g = self.WIDTHS, size.geometry
        self.enter = nn.ModuleList(
            nn.Conv2d(c + g, w, 3, padding=1) for c, w in zip((size.latent, *(w // 2 for w in wide)), wide, strict=False)
        )
        self.inner = nn.ModuleList(nn.ModuleList(Residual(w) for _ in range(1 + size.head_layers)) for w in wide)
        self.grow = nn.ModuleList(nn.Conv2d(w, 2 * w, 1) for w in wide)  # then pixel_shuffle: half the channels, twice the side
        self.leave = nn.Conv2d(wide[-1] // 2 + g, size.painted, 3, padding=1)

    def forward(self, z: Tensor, geometry: Tensor) -> Tensor:
        y = z
        for k, (enter, inner, grow) in enumerate(zip(self.enter, self.inner, self.grow, strict=True)):
            y = enter(torch.cat([y, F.avg_pool2d(geometry, PATCH >> k)], 1))
            for layer in inner:
                y = layer(y)
            y = F.pixel_shuffle(grow(F.silu(y)), 2)
        return self.leave(torch.cat([F.silu(y), geometry], 1)) * geometry[:, MASK : MASK + 1]


class Residual(nn.Module):
    """A residual pair of 3×3 convolutions on [N, C, h, w]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a, self.b = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.norm = nn.GroupNorm(8, channels)
        nn.init.zeros_(self.b.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.b(F.silu(self.a(F.silu(self.norm(x)))))


class Denoiser(nn.Module):
    """Text encoder, UNet and head or decoder: everything with weights."""

    def __init__(self, size: Size, vocabulary: int) -> None:
        super().__init__()
        self.size = size
        self.text = TextEncoder(size, vocabulary)
        entering = size.latent or size.painted * PATCH**2
        self.unet = UNet2DConditionModel(
            sample_size=size.view_px // PATCH,
            in_channels=entering + PATCH**2 + 4 * (size.geometry - 1) + 6 * size.waves + (FIELDS if size.mixed else 0),
            out_channels=size.latent or sum(Head.read(size)),
            block_out_channels=size.channels,
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            mid_block_type=None,
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=size.text_channels,
            attention_head_dim=size.heads,
            norm_num_groups=size.groups,
            use_linear_projection=True,
        )
        self.unet.set_attn_processor(JointAttention())
        if size.latent:
            self.decoder = Decoder(size)
        else:
            self.head = Head(size)
        if size.mixed:
            self.unit = nn.Linear(size.text_channels, 1)
        if size.inked:
            self.reader = Reader(size.text_channels)

    def forward(
        self,
        x: Tensor,
        geometry: Tensor,
        t: Tensor,
        text: Tensor,
        *,
        views: int,
        fields: Tensor | None = None,
        inks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Noisy x, geometry [N, G, h, w], times t [N] in 0…1, text features [N, L, D] → x0 like x, and the inks' shares as `Head`
        gives them.

        x is pictures [N, C, h, w] in −1…1 or latents [N, C, h/8, w/8]; groups of `views` successive ones show one object. What
        lies outside the mask neither enters nor leaves. `fields`: what `_solid.seen` gives of a frame, where the network has one;
        `inks` [B, INKS + 1, PLAIN]: what its reader tells of B objects, each in as many successive x as the others.
        """
        shown = self._shown(geometry)
        features = self.features(x, geometry, t, text, views=views, fields=fields)
        if self.size.latent:
            return features * shown, None
        inks = None if inks is None else inks.repeat_interleave(len(x) // len(inks), 0)
        x0, shares = self.head(features, x * shown, geometry, fields, inks)
        return x0 * shown, shares

    def _shown(self, geometry: Tensor) -> Tensor:
        """The mask at the resolution of x."""
        mask = geometry[:, MASK : MASK + 1]
        return F.max_pool2d(mask, PATCH) if self.size.latent else mask

    def features(self, x: Tensor, geometry: Tensor, t: Tensor, text: Tensor, *, views: int, fields: Tensor | None) -> Tensor:
        """What the UNet says of every token, [N, …, h/8, w/8]; arguments as above."""
        mask, x = geometry[:, MASK : MASK + 1], x * self._shown(geometry)
        patches = [x if self.size.latent else F.pixel_unshuffle(x, PATCH), F.pixel_unshuffle(mask, PATCH)]
        quarter = F.avg_pool2d(geometry, PATCH // 2)
        facts = torch.cat([quarter[:, :MASK], quarter[:, MASK + 1 :]], 1) / quarter[:, MASK : MASK + 1].clamp(min=1e-3)
        mean = F.avg_pool2d(geometry, PATCH)
        phase = 2 * math.pi * mean[:, :3] / mean[:, MASK : MASK + 1].clamp(min=1e-3)
        waves = [f(phase * 2.0**k) for k in range(self.size.waves) for f in (torch.sin, torch.cos)]
        around = [] if fields is None else [fields.mean(2).mT.unflatten(2, mean.shape[2:])]
        tokens = torch.cat([*patches, F.pixel_unshuffle(facts, 2), *waves, *around], 1)
        return self.unet(tokens, t * 1000, text, cross_attention_kwargs={"views": views}, return_dict=False)[0]

    def usual_unit(self, text: Tensor) -> Tensor:
        """Binary logarithm [B] of the frame's unit, in work units, that text features [B, L, D] make likely."""
        return self.unit(text.mean(1))[:, 0] - 2

    def places(self, geometry: Tensor) -> Tensor:
        """The surface's positions [N, 3, …] at the resolution of x, from geometry [N, G, h, w]."""
        if not self.size.latent:
            return geometry[:, :3]
        mean = F.avg_pool2d(geometry, PATCH)
        return mean[:, :3] / mean[:, MASK : MASK + 1].clamp(min=1e-3)

    def noisy_shape(self, views: int) -> tuple[int, int, int, int]:
        """The shape of what is denoised for so many views of view_px."""
        px = self.size.view_px
        return (views, self.size.latent, px // PATCH, px // PATCH) if self.size.latent else (views, self.size.painted, px, px)
