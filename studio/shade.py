"""Textures lit: Fragments + Texture + Environment → pictures, differentiable in every channel of the texture.

Metallic–roughness surfaces under image-based light by the split sum (Karis 2013) with the light that bounces between microfacets
(Fdez-Agüera 2019, A multiple-scattering microfacet model for real-time image-based lighting), so that a white surface in a white
room is white at every roughness. Geometry and light are constant: `Shader` prepares them once and is then called per texture.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.environment import Environment, fg_table
from studio.errors import unknown
from studio.shadow import spiral
from studio.texture import Fragments, Taps, Texture, linear_from_srgb, srgb_from_linear

DIELECTRIC = 0.04
"""Reflectance of non-metals along the normal (index of refraction 1.5)."""
CHUNK = 1 << 14
"""Places whose ways to the light are weighed at a time, so that memory stays bounded."""
SHARPEST, SEEN_AS = 0.32, 0.35
"""The least roughness whose lobe directions that are so few can tell apart, and how softly the light is seen along them."""
GREY = 0.5
"""The plain background of pictures (sRGB)."""


def filmic(light: Tensor) -> Tensor:
    """Linear light → linear display, with a toe and a soft shoulder; a grey of 0.18 stays there.

    The rational fit of the ACES output curve by Narkowicz (2016, ACES filmic tone mapping curve), its input scaled to keep grey.
    """
    x = 0.7232 * light.clamp(min=0)
    return (x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)).clamp(max=1)


def neutral(light: Tensor) -> Tensor:
    """Linear light → linear display: below 0.8 only the 4 % that a dielectric mirrors goes, brighter colours run to white.

    The Khronos PBR neutral tone mapper (2024), for showing base colours as they are.
    """
    start, desaturation = 0.8 - DIELECTRIC, 0.15
    light = light.clamp(min=0)
    low = light.amin(-1, keepdim=True)
    light = light - torch.where(low < 2 * DIELECTRIC, low - low * low / (4 * DIELECTRIC), DIELECTRIC)
    peak = light.amax(-1, keepdim=True)
    over = (peak - start).clamp(min=0)
    squeezed = torch.where(over > 0, 1 - (1 - start) ** 2 / (over + 1 - start), peak)
    white = 1 - 1 / (desaturation * over + 1)
    return torch.lerp(light * squeezed / peak.clamp(min=1e-9), squeezed.expand_as(light), white)


TONES: dict[str, Callable[[Tensor], Tensor]] = {"filmic": filmic, "neutral": neutral}
"""Tone curves by name: linear light [..., 3] → linear display values in [0, 1]."""


@cache
def _fg_on(device: torch.device) -> Tensor:
    """`fg_table` [1, 2, roughness, n·v], brought to a device once."""
    return fg_table().to(device)[None]


@cache
def _ways_on(count: int, device: torch.device) -> Tensor:
    """`spiral`, brought to a device once."""
    return spiral(count).to(device)


class Lighting:
    """The light that n places of a surface send to the eye: `lighting(base_color, roughness, metallic)` → linear light [n, 3]."""

    def __init__(self, environment: Environment, normal: Tensor, to_eye: Tensor, *, visible: Tensor | None = None) -> None:
        """`normal` and `to_eye` [n, 3] are unit vectors on the environment's device. `visible` [n, 1] is the part of the light
        that nothing hides; [n, R] how clear the way is along each of `spiral(R)`, as `studio.shelter` casts it: then light
        is hidden where it comes from, and what hides it sends light of its own."""
        self._environment, self._open = environment, visible
        self._table = _fg_on(normal.device)
        self._normal = normal
        cosine = (normal * to_eye).sum(-1, keepdim=True)
        self._nv = cosine.clamp(min=1e-3)
        self._mirror = 2 * cosine * normal - to_eye
        self._irradiance = environment.irradiance(normal)

    def __call__(self, base_color: Tensor, roughness: Tensor, metallic: Tensor) -> Tensor:
        """Linear light [n, 3] from places with these channels: [n, 3] sRGB, [n, 1], [n, 1]. Differentiable in them."""
        dtype = base_color.dtype
        nv, irradiance = self._nv.to(dtype), self._irradiance.to(dtype)
        colour = linear_from_srgb(base_color.clamp(0, 1))
        at = torch.stack([nv, roughness.clamp(0, 1)], dim=-1)[None] * 2 - 1
        scale, bias = F.grid_sample(self._table.to(dtype), at, align_corners=True, padding_mode="border")[0, :, :, 0, None]
        lost = 1 - (scale + bias)

        def microfacets(f0: Tensor) -> tuple[Tensor, Tensor]:
            """What is reflected at the first and what at later bounces, of an even light of 1."""
            first, average = f0 * scale + bias, f0 + (1 - f0) / 21
            return first, first * average / (1 - average * lost) * lost

        coat, coat_later = microfacets(colour.new_full((), DIELECTRIC))  # a card would wait for `new_tensor`
        metal, metal_later = microfacets(colour)
        single = torch.lerp(coat.expand_as(metal), metal, metallic)
        matt = torch.lerp(coat_later + colour * (1 - coat - coat_later), metal_later, metallic)
        mirrored = self._environment.reflected(self._mirror.to(dtype), roughness[:, 0])
        if self._open is None:
            return single * mirrored + matt * irradiance
        open_ = self._open.to(dtype)
        if open_.shape[1] > 1:
            body = torch.lerp(DIELECTRIC + colour * (1 - DIELECTRIC), colour, metallic)
            parts = zip(*(t.split(CHUNK) for t in (open_, mirrored, irradiance, roughness, body)), strict=True)
            reached = [self._among(CHUNK * i, *part) for i, part in enumerate(parts)]
            mirrored, irradiance = (torch.cat(t) for t in zip(*reached, strict=True))
            return single * mirrored + matt * irradiance
        # Rough surfaces gather light as matt ones do, mirrors from a single direction (Lagarde and de Rousiers 2014, §4.10.2).
        gloss = ((nv + open_) ** torch.exp2(-16 * roughness.clamp(0, 1) - 1) - 1 + open_).clamp(0, 1)
        return single * mirrored * gloss + matt * irradiance * open_

    def _among(
        self, start: int, clear: Tensor, mirrored: Tensor, irradiance: Tensor, roughness: Tensor, body: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What is left of mirrored light and of irradiance [m, 3] at the places from `start` on, where ways are `clear` [m, R].

        Hidden are the parts of the GGX lobe about the mirror direction and of the lit hemisphere whose ways are not clear. What
        stands there is taken for surface of the same kind, which reflects the part `body` [m, 3] of light, and is as open: light
        goes to and fro as a geometric series (after Jimenez et al. 2016, Practical real-time strategies for accurate indirect
        occlusion, §4).
        """
        here, ways = slice(start, start + len(clear)), _ways_on(clear.shape[1], clear.device).to(clear.dtype)
        normal, mirror = self._normal[here].detach().to(clear), self._mirror[here].detach().to(clear)
        above = (normal @ ways.T).clamp(min=0)
        with torch.no_grad():
            strength = self._environment.reflected(ways, ways.new_full((len(ways),), SEEN_AS)).mean(-1)
            lit = (clear * above) @ strength / (above @ strength).clamp(min=1e-6)
        even = (clear * above).sum(-1, keepdim=True) / above.sum(-1, keepdim=True).clamp(min=1e-6)
        cosine = (mirror @ ways.T).clamp(min=0)
        sharp = roughness.clamp(min=SHARPEST).square().square() - 1
        lobe = cosine * (above > 0) / ((1 + cosine) / 2 * sharp + 1).square()
        gloss = (lobe * clear).sum(-1, keepdim=True) / lobe.sum(-1, keepdim=True).clamp(min=1e-6)
        around = body * irradiance * even / (1 - body * (1 - even)).clamp(min=1e-3)
        return mirrored * gloss + (1 - gloss) * around, irradiance * lit[:, None] + (1 - even) * around


class Shader:
    """Lights textures on one set of fragments: `shader(texture)` → pictures [V, 3, h, w] in sRGB."""

    def __init__(
        self,
        fragments: Fragments,
        taps: Taps,
        environment: Environment,
        *,
        exposure_ev: float = 0.0,
        tone: str = "filmic",
        background: float | Tensor = GREY,
        visible: Tensor | None = None,
    ) -> None:
        """Prepare normals, irradiance and mirror directions on the device of `fragments`.

        `exposure_ev` brightens in stops; `background` is a grey or a picture [V, 3, h, w] (sRGB); `visible` [V, 1, h, w] is the
        part of the light that nothing hides, or rows [n, R] of the seen pixels as `Lighting` takes them. Raises StudioError for
        an unknown tone.
        """
        if tone not in TONES:
            raise unknown("tone curve", tone, TONES)
        self._tone = TONES[tone]
        self._taps, self._gain, self._background = taps, 2.0**exposure_ev, background
        self.alpha = taps.alpha
        self._seen = self.alpha[:, 0] > 0
        facing = torch.where(fragments.cosine < 0, -1.0, 1.0)[..., None]  # surfaces are lit on the side that is seen
        normal = self._pixels(fragments.normal * facing, fragments.supersample)
        to_eye = self._pixels(fragments.view_direction, fragments.supersample)
        open_ = visible if visible is None or visible.ndim == 2 else visible[:, 0][self._seen][:, None]
        self.light = Lighting(environment.to(fragments.device), normal, to_eye, visible=open_)

    def __call__(self, texture: Texture) -> Tensor:
        """Pictures [V, 3, h, w] in sRGB of the surface before the background. Differentiable in the texture."""
        surface = self.surface(texture)
        alpha = self.alpha.to(surface.dtype)
        background = torch.as_tensor(self._background, dtype=surface.dtype, device=surface.device)
        return surface * alpha + background * (1 - alpha)

    def surface(self, texture: Texture) -> Tensor:
        """The surface's colours [V, 3, h, w] alone, sRGB, not multiplied by alpha; zero where there is none."""
        shown = srgb_from_linear(self._tone(self.linear(texture)))
        empty = shown.new_zeros(*self._seen.shape, 3)
        return empty.index_put((self._seen,), shown).movedim(-1, 1)

    def linear(self, texture: Texture) -> Tensor:
        """The linear light [n, 3] of the pixels that show the surface, before the tone curve."""
        names = ("base_color", "roughness", "metallic")
        fetched = self._taps.fetch(torch.cat([texture.channels[n] for n in names], dim=1)) / self.alpha.clamp(min=1e-6)
        values = fetched.movedim(1, -1)[self._seen]
        return self.light(values[:, :3], values[:, 3:4], values[:, 4:5]) * self._gain

    def _pixels(self, vectors: Tensor, supersample: int) -> Tensor:
        """Mean direction [n, 3] of the sub-pixels [V, H, W, 3] of each seen pixel."""
        return F.normalize(F.avg_pool2d(vectors.movedim(-1, 1), supersample).movedim(1, -1)[self._seen], dim=-1)


def shade(
    fragments: Fragments,
    taps: Taps,
    texture: Texture,
    environment: Environment,
    *,
    exposure_ev: float = 0.0,
    tone: str = "filmic",
    background: float | Tensor = GREY,
) -> Tensor:
    """Pictures [V, 3, h, w] of one texture; see `Shader`, which is faster when textures follow each other."""
    return Shader(fragments, taps, environment, exposure_ev=exposure_ev, tone=tone, background=background)(texture)


# -- Channels -------------------------------------------------------------------------------------------------------------

CHANNELS = ("base_color", "roughness", "metallic", "normal", "uv_checker", "depth", "coverage")
"""What can be looked at beside the lit picture."""
CHECKS = 16


def channel(name: str, fragments: Fragments, taps: Taps, texture: Texture, *, covered: Tensor | None = None) -> Tensor:
    """One channel as pictures [V, 3, h, w] for the eye, over GREY.

    "normal" is in work space, (n + 1)/2; "depth" is white at the nearest and black at the farthest surface of all views;
    "coverage" is green where the texels' `covered` [S, 1, T, T] is above zero and red elsewhere, red all over without it.
    Raises StudioError for an unknown name.
    """
    if name not in CHANNELS:
        raise unknown("channel", name, CHANNELS)
    if name == "coverage":
        painted = torch.zeros_like(texture.channels["roughness"]) if covered is None else (covered > 0).float()
        red, green = (painted.new_tensor(c)[:, None, None] for c in ((0.85, 0.25, 0.25), (0.2, 0.7, 0.25)))
        shown = taps.fetch(torch.lerp(red, green, painted))
    elif name in texture.channels:
        shown = taps.fetch(texture.channels[name]).expand(-1, 3, -1, -1)
    else:
        shown = F.avg_pool2d(_drawn(name, fragments).movedim(-1, 1), fragments.supersample)
    return shown + GREY * (1 - taps.alpha)


def _drawn(name: str, fragments: Fragments) -> Tensor:
    """A channel of the geometry at sub-pixels [V, H, W, 3], zero on background."""
    mask = fragments.mask[..., None]
    if name == "normal":
        return (fragments.normal + 1) / 2 * mask
    if name == "depth":
        hit = fragments.depth[fragments.mask]
        near, far = (hit.min(), hit.max()) if len(hit) else (0.0, 1.0)
        nearness = ((far - fragments.depth) / max(float(far - near), 1e-6)).clamp(0, 1)
        return nearness[..., None] * mask.expand(-1, -1, -1, 3)
    return checker(fragments.uv) * mask


def checker(uv: Tensor) -> Tensor:
    """sRGB [..., 3] of a board of CHECKS × CHECKS fields over the atlas whose colours say where one is, at uv [..., 2]."""
    u, v = (uv % 1).unbind(-1)
    odd = ((u * CHECKS).floor() + (v * CHECKS).floor()) % 2
    tint = torch.stack([0.25 + 0.7 * u, 0.25 + 0.7 * v, 0.85 - 0.3 * (u + v)], dim=-1)
    return tint * (1 - 0.45 * odd[..., None])
