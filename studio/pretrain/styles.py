"""Style words: what "faded", "wet" or "polished" does to any coat, whatever the material.

A style is a function of the surface and a coat and returns another coat; several words may say the same.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from studio.generators._solid import ALONG
from studio.pretrain.patterns import Coat
from studio.pretrain.solid import Surface, constant, mix, ramp, toned

Style = Callable[[Surface, Tensor, Tensor], Coat]


def _with(ink: Tensor, *, roughness: float | None = None, metallic: float | None = None) -> Tensor:
    parts = [ink[..., :3], ink[..., 3:4], ink[..., 4:]]
    for k, value in ((1, roughness), (2, metallic)):
        if value is not None:
            parts[k] = torch.full_like(parts[k], value)
    return torch.cat(parts, -1)


def faded(s: Surface, ink: Tensor, height: Tensor) -> Coat:
    """Half of the saturation and contrast gone, bleached towards a warm grey."""
    rgb = ink[..., :3]
    grey = rgb.mean(-1, keepdim=True)
    bleached = 0.42 * rgb + 0.22 * grey + 0.36 * constant(rgb, 0.84, 0.81, 0.76)
    return torch.cat([bleached, torch.lerp(ink[..., 3:4], torch.full_like(grey, 0.85), 0.5), ink[..., 4:]], -1), height


def dirty(s: Surface, ink: Tensor, height: Tensor) -> Coat:
    """Brown grime in blotches with a fine grain."""
    n = s.fbm(0.5)
    return mix(ink, s.ink(0.24, 0.17, 0.11, roughness=0.95), 0.85 * ramp(n[..., 0] + 0.35 * n[..., 1], -0.4, 1.1)), height


def worn(s: Surface, ink: Tensor, height: Tensor) -> Coat:
    """Rubbed through in flecks and scratches to something pale and dull."""
    n, line = s.fbm(1)[..., 0], s.noise(stretch=ALONG)[..., 1]
    gone = torch.maximum(s.edge(0.12 * (n - 0.95)), 0.8 * ramp(line, 1.25, 1.6))
    pale = torch.lerp(ink, s.ink(0.80, 0.77, 0.71, roughness=0.8), 0.75)
    return mix(torch.lerp(ink, pale, 0.12), pale, gone), height - 0.08 * gone


def polished(s: Surface, ink: Tensor, height: Tensor) -> Coat:
    return torch.cat([ink[..., :3], 0.25 * ink[..., 3:4] + 0.03, ink[..., 4:]], -1), 0.5 + 0.4 * (height - 0.5)


def matte(s: Surface, ink: Tensor, height: Tensor) -> Coat:
    return _with(ink, roughness=0.92), height


def glossy(s: Surface, ink: Tensor, height: Tensor) -> Coat:
    return _with(ink, roughness=0.10), height


def wet(s: Surface, ink: Tensor, height: Tensor) -> Coat:
    """Water fills the pores: darker, more saturated (a power law deepens what is dark already), nearly mirror-smooth."""
    deep = ink[..., :3].clamp(0.001, 1).pow(1.45) * 0.9
    return torch.cat([deep, torch.full_like(ink[..., 3:4], 0.07), ink[..., 4:]], -1), height


def rough(s: Surface, ink: Tensor, height: Tensor) -> Coat:
    n = s.fbm(4)[..., 0]
    return _with(toned(ink, 1 + 0.07 * n), roughness=0.96), height + 0.09 * n


def smooth(s: Surface, ink: Tensor, height: Tensor) -> Coat:
    return _with(ink, roughness=0.22), 0.5 + 0.3 * (height - 0.5)


def metallic(s: Surface, ink: Tensor, height: Tensor) -> Coat:
    return _with(ink, roughness=0.28, metallic=1.0), height


STYLES: dict[str, tuple[Style, tuple[str, ...]]] = {
    "faded": (faded, ("faded", "bleached")),
    "dirty": (dirty, ("dirty", "grimy")),
    "worn": (worn, ("worn", "weathered", "old", "scratched")),
    "polished": (polished, ("polished",)),
    "matte": (matte, ("matte", "matt")),
    "glossy": (glossy, ("glossy", "shiny")),
    "wet": (wet, ("wet",)),
    "rough": (rough, ("rough",)),
    "smooth": (smooth, ("smooth",)),
    "metallic": (metallic, ("metallic",)),
}
UNFIT: dict[str, tuple[str, ...]] = {
    "metallic": ("metal", "brushed", "rust", "patina", "felt", "denim", "knit", "moss", "grass", "clouds", "lava", "ice", "sand",
        "mud", "bark", "wood", "planks", "leather", "watercolour"),
    "polished": ("felt", "denim", "knit", "moss", "grass", "clouds", "lava", "sand", "mud", "bark", "rust", "weave"),
    "glossy": ("felt", "denim", "knit", "moss", "grass", "clouds", "lava", "sand", "mud", "bark", "rust"),
    "smooth": ("felt", "knit", "moss", "grass", "clouds", "lava", "bark", "rust"),
    "wet": ("clouds", "lava", "felt"),
    "rough": ("clouds", "ice", "brushed"),
    "faded": ("lava", "ice", "clouds", "metal", "brushed"),
    "worn": ("lava", "ice", "clouds", "moss", "grass", "sand", "watercolour"),
    "dirty": ("mud", "rust", "watercolour"),
}  # fmt: skip
"""Materials that nobody would say the style of."""
