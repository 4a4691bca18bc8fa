"""The multi-view painter behind `mini` and `tiny`: network, noise schedule, words, and the `Painter` they share.

The network denoises V pictures of one object together, straight in pixels: 8×8 patches enter a small UNet as tokens, tokens of
all views attend to each other, and a light head at half resolution removes the patch borders. It predicts the clean picture x0.

Sources: DDIM (2010.02502); zero terminal SNR and trailing steps (2305.08891); cosine schedule (2102.09672) shifted for large
pictures as in simple diffusion (2301.11093, eq. 4); classifier-free guidance (2207.12598).
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from studio.generators import Painter, Scene, Words, _fuse, _lora
from studio.generators._words import TOKENS, Vocabulary

if TYPE_CHECKING:
    from studio.bake import Baker
    from studio.texture import Fragments

PATCH = 8
GEOMETRY = 7  # position, normal, mask
FREQUENCIES = (1.0, 2.0, 4.0)  # cycles per work unit
SHIFT = 1 / 16  # of the signal-to-noise ratio: (64 px / 256 px)²
CLAMP = 0.05


@dataclass(frozen=True)
class Size:
    """How large a network is. `view_px` is what it was made for; any multiple of 32 works."""

    view_px: int
    channels: tuple[int, int, int]
    heads: tuple[int, int, int]
    head_channels: int
    text_channels: int
    text_layers: int
    groups: int = 16
    tokens: int = TOKENS


# -- network ----------------------------------------------------------------------------------------------------------------


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
    """Token features [N, 16c, h/8, w/8] + noisy picture + geometry → clean picture [N, 3, h, w], smooth across patch borders."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels + 12 + GEOMETRY, channels, 3, padding=1)
        self.leave = nn.Conv2d(channels, 12, 3, padding=1)

    def forward(self, features: Tensor, x: Tensor, geometry: Tensor) -> Tensor:
        half = torch.cat([F.pixel_shuffle(features, 4), F.pixel_unshuffle(x, 2), F.avg_pool2d(geometry, 2)], 1)
        return F.pixel_shuffle(self.leave(F.silu(self.enter(half))), 2)


class Denoiser(nn.Module):
    """Text encoder, UNet and head: everything with weights."""

    def __init__(self, size: Size, vocabulary: int) -> None:
        super().__init__()
        self.size = size
        self.text = TextEncoder(size, vocabulary)
        patch = 3 * PATCH**2 + PATCH**2 + 2 * 3 * 4 + 2 * 3 * len(FREQUENCIES)
        self.unet = UNet2DConditionModel(
            sample_size=size.view_px // PATCH,
            in_channels=patch,
            out_channels=16 * size.head_channels,
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
        self.head = Head(size.head_channels)

    def forward(self, x: Tensor, geometry: Tensor, t: Tensor, text: Tensor, *, views: int) -> Tensor:
        """Noisy pictures x [N, 3, h, w] in −1…1, geometry [N, 7, h, w], times t [N] in 0…1, text features [N, L, D] → x0 like x.

        Groups of `views` successive pictures show one object. What lies outside the mask neither enters nor leaves.
        """
        mask = geometry[:, 6:]
        x = x * mask
        patches = [F.pixel_unshuffle(p, PATCH) for p in (x, mask)]
        quarter = F.avg_pool2d(geometry, PATCH // 2)
        quarter = quarter[:, :6] / quarter[:, 6:].clamp(min=1e-3)
        mean = F.avg_pool2d(geometry, PATCH)
        phase = 2 * math.pi * mean[:, :3] / mean[:, 6:].clamp(min=1e-3)
        waves = [f(phase * k) for k in FREQUENCIES for f in (torch.sin, torch.cos)]
        tokens = torch.cat([*patches, F.pixel_unshuffle(quarter, 2), *waves], 1)
        features = self.unet(tokens, t * 1000, text, cross_attention_kwargs={"views": views}, return_dict=False)[0]
        return self.head(features, x, geometry) * mask


# -- schedule ---------------------------------------------------------------------------------------------------------------


def alpha_bar(t: Tensor) -> Tensor:
    """Share of signal ᾱ at time t in 0…1: the cosine schedule with its SNR times SHIFT; exactly 1 at t = 0 and 0 at t = 1."""
    signal, noise = SHIFT * torch.cos(t * math.pi / 2).square(), torch.sin(t * math.pi / 2).square()
    return torch.where(t >= 1, torch.zeros_like(t), signal / (signal + noise))


def trailing(steps: int) -> list[float]:
    """Times that enter and leave each step, steps + 1 numbers from 1 down to 0."""
    return [1 - i / steps for i in range(steps + 1)]


def ddim(x: Tensor, x0: Tensor, *, now: float, then: float, eta: float, noise: Tensor | None) -> Tensor:
    """x at time `then` from x at time `now` and the predicted clean x0 (DDIM, eq. 12 and 16)."""
    if then <= 0:
        return x0
    a, b = (float(alpha_bar(torch.tensor(s, dtype=torch.float64))) for s in (now, then))
    sigma = eta * math.sqrt((1 - b) / (1 - a) * (1 - a / b))
    direction = (x - math.sqrt(a) * x0) / math.sqrt(1 - a)
    y = math.sqrt(b) * x0 + math.sqrt(max(0.0, 1 - b - sigma**2)) * direction
    return y if noise is None or sigma == 0 else y + sigma * noise


def soft_clamp(rgb: Tensor) -> Tensor:
    """The identity on [0, 1]; outside it bends smoothly towards −0.05 and 1.05 and its slope never reaches 0."""
    over = rgb - rgb.clamp(0, 1)
    return rgb.clamp(0, 1) + over / (1 + over.abs() / CLAMP)


# -- painter ----------------------------------------------------------------------------------------------------------------


class MultiView(Painter):
    """A `Denoiser` with its schedule. Latents are the pictures themselves, [V, 3, view_px, view_px] in −1…1."""

    def __init__(
        self, network: Denoiser, vocabulary: Vocabulary, *, steps: int, guidance: float, eta: float, fused: bool = False
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.vocabulary = vocabulary
        self.view_px, self.steps, self.guidance, self.fused = network.size.view_px, steps, guidance, fused
        self.views_meet_inside = not fused
        self._eta, self._times = eta, trailing(steps)

    @property
    def eta(self) -> float:
        return self._eta

    def words(self, prompt: str) -> Words:
        return self.vocabulary.sorted_out(prompt, length=self.network.size.tokens)

    def scene(self, prompt: str, fragments: Fragments, *, baker: Baker | None = None) -> Scene:
        mask = fragments.mask.unsqueeze(1)
        geometry = torch.cat([fragments.position.movedim(-1, 1), fragments.normal.movedim(-1, 1), mask.float()], 1) * mask
        return self.scene_of(prompt, geometry, baker=baker)

    def scene_of(self, prompt: str, geometry: Tensor, *, baker: Baker | None = None) -> Scene:
        """The same from position, normal and mask [V, 7, view_px, view_px], zero outside the mask."""
        if self.fused and baker is None:
            raise TypeError("views fused in texture space need a baker")
        if geometry.shape[1:] != (GEOMETRY, self.view_px, self.view_px):
            raise TypeError(f"this generator paints views of {self.view_px} px, not of shape {tuple(geometry.shape)}")
        like = next(self.network.parameters())
        prompts = [prompt] if self.guidance == 1 else [prompt, ""]
        tokens = [self.vocabulary.tokens(p, length=self.network.size.tokens) for p in prompts]
        with torch.no_grad():
            text = self.network.text(torch.tensor(tokens, device=like.device))
        geometry = geometry.to(like.device, like.dtype)
        return Scene(len(geometry), text, geometry, geometry[:, 6:], baker if self.fused else None)

    def paint(self, scene: Scene, *, seed: int) -> Tensor:
        """All steps without a graph: pictures [V, 3, view_px, view_px] of this seed."""
        generator = torch.Generator().manual_seed(seed)
        x = self.noise(scene, generator=generator)
        with torch.no_grad():
            for i in range(self.steps):
                fresh = self.noise(scene, generator=generator) if self.eta > 0 and i + 1 < self.steps else None
                x = self.advance(x, self.predict(x, i, scene), i, scene, noise=fresh)
            return self.decode(x)

    def noise(self, scene: Scene, *, generator: torch.Generator) -> Tensor:
        drawn = torch.randn(scene.views, 3, self.view_px, self.view_px, generator=generator)
        return drawn.to(scene.geometry)

    def predict(self, x: Tensor, i: int, scene: Scene, *, views: slice = slice(None)) -> Tensor:
        geometry, count, sides = scene.geometry[views], len(x), len(scene.text)
        if not self.fused and count != scene.views:
            raise TypeError("views that attend to each other are predicted together")
        t = torch.full((sides * count,), self._times[i], device=x.device, dtype=x.dtype)
        text = scene.text.to(x).repeat_interleave(count, 0)
        x0 = self.network(x.repeat(sides, 1, 1, 1), geometry.repeat(sides, 1, 1, 1), t, text, views=1 if self.fused else count)
        return x0.unflatten(0, (sides, count)).transpose(0, 1)

    def guess(self, x: Tensor, prediction: Tensor, i: int, scene: Scene) -> Tensor:
        x0 = prediction[:, 0] if prediction.shape[1] == 1 else torch.lerp(prediction[:, 1], prediction[:, 0], self.guidance)
        return x0 if scene.baker is None else _fuse.fused(x0, scene)

    def advance(self, x: Tensor, prediction: Tensor, i: int, scene: Scene, *, noise: Tensor | None) -> Tensor:
        x0 = self.guess(x, prediction, i, scene)
        return ddim(x, x0, now=self._times[i], then=self._times[i + 1], eta=self._eta, noise=noise)

    def decode(self, x0: Tensor) -> Tensor:
        return soft_clamp(x0 * 0.5 + 0.5)

    def add_lora(self, *, rank: int, seed: int = 0) -> None:
        _lora.add(self.network.unet, rank=rank, seed=seed)

    def lora_parameters(self) -> list[nn.Parameter]:
        return _lora.parameters(self.network.unet)

    def base(self) -> AbstractContextManager[None]:
        return _lora.off(self.network.unet)

    def lora_state(self) -> dict[str, Tensor]:
        return _lora.state(self.network.unet)

    def load_lora(self, state: dict[str, Tensor]) -> None:
        _lora.load(self.network.unet, state)
