"""Delight: split a base colour that has light baked into it into a material and a light. Approximate, by priors that are stated.

base colour = albedo · irradiance(normal) · openness, in linear light. What the split takes for granted is in PRIORS; where an
object breaks them (painted shading, cast shadows, a colour that follows the surface's direction) the result is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.errors import OutputError
from studio.progress import Progress
from studio.recover.openness import openness
from studio.recover.texels import laid_out
from studio.texture import Texture, linear_from_srgb, srgb_from_linear

if TYPE_CHECKING:
    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh

PRIORS = (
    "the surface is matt, and lit from far away",
    "the light is soft: its irradiance is a second-order function of the normal",
    "surface of one hue mostly has one albedo, so that its brightness tells of light",
    "the light is nearly white, and its mean irradiance is 1",
)
POINTS, PAIRS = 12_000, 24_000
STEPS = 200
HUE = 0.03
"""Chromaticities that differ by this much hardly count as one hue."""
TINT = 0.3
"""How strongly the light is kept without colour."""
DARKEST = 0.05
"""Irradiance is never taken for less: deep shadow holds no colour to bring back."""


@dataclass(frozen=True, eq=False)
class Split:
    """What a base colour was split into."""

    texture: Texture
    """The mesh's materials with the albedo as base colour."""
    light: Tensor
    """[3, 9] the irradiance's coefficients of `harmonics`; its mean over directions is 1."""

    def irradiance(self, normal: Tensor) -> Tensor:
        """[n, 3] for unit normals [n, 3]."""
        return _lit(self.light, normal)


def delight(mesh: Mesh, texture: Texture, atlas: Atlas) -> Generator[Progress, None, Split]:
    """Split the base colour of `texture`, which lies on the mesh's UVs; `atlas` is the mesh's, of the same size."""
    yield Progress("casting occlusion", 0, 1, message="Delighting is approximate: it assumes that " + "; ".join(PRIORS) + ".")
    open_ = openness(mesh).over(atlas)
    chosen = _texels(atlas)
    colour = linear_from_srgb(texture.channels["base_color"]).movedim(1, -1).reshape(-1, 3)
    normal = atlas.normal.reshape(-1, 3)
    light = yield from _solved(colour[chosen], normal[chosen], open_.flatten()[chosen][:, None])
    lit = torch.ones_like(colour)
    valid = atlas.valid.flatten()
    lit[valid] = (_lit(light, normal[valid]) * open_.flatten()[valid][:, None]).clamp(min=DARKEST)
    shape = (atlas.sets, atlas.size_px, atlas.size_px, 3)
    albedo = srgb_from_linear((colour / lit).clamp(0, 1)).reshape(shape).movedim(-1, 1)
    return Split(texture.with_channel("base_color", atlas.dilated(albedo).contiguous()), light)


def delighted(mesh: Path, out: Path, *, atlas_px: int) -> Generator[Progress, None, list[Path]]:
    """Split the base colour of a mesh file into a GLB, and the light's irradiance beside it; the files written.

    Raises StudioError for a mesh without UVs, an output that is no GLB, a place that cannot be written and an impossible atlas.
    """
    from studio import exporters, files
    from studio.exporters._source import spare
    from studio.recover.output import write_light
    from studio.surface.mesh import load

    if out.suffix.lower() != ".glb":
        raise OutputError(f"'{out.name}' is no GLB.", "Give --out a name that ends in .glb.")
    read = load(mesh)
    light = out.with_name(f"{out.stem}_irradiance.exr")
    spare(read, [out])
    for path in (out, light):  # before the work, not after it
        files.probe(path)
    atlas = laid_out(read, atlas_px)
    found = yield from delight(read, Texture.from_mesh(read, atlas_px), atlas)
    receipt = {"delighted": {"approximate": True, "assumes": list(PRIORS)}}
    asset = exporters.Asset(mesh=read, texture=found.texture, receipt=receipt)
    return [write_light(panorama(found.light), light), *exporters.SOCKET.make("glb").write(asset, out)]


def panorama(light: Tensor, rows: int = 32) -> Tensor:
    """[3, rows, 2·rows] the irradiance by direction, as panoramas lie (`studio.environment`)."""
    polar = ((torch.arange(rows) + 0.5) / rows * math.pi)[:, None]
    turn = ((torch.arange(2 * rows) + 0.5) / rows - 1) * math.pi
    way = torch.stack([polar.sin() * turn.sin(), polar.cos().expand(rows, 2 * rows), -polar.sin() * turn.cos()], -1)
    return _lit(light, way.reshape(-1, 3)).reshape(rows, 2 * rows, 3).movedim(-1, 0)


def _texels(atlas: Atlas) -> Tensor:
    """POINTS texels drawn evenly by surface area; always the same."""
    valid = atlas.valid.flatten().nonzero()[:, 0]
    jacobian = atlas.corners.jacobian
    area = torch.linalg.cross(jacobian[..., 0], jacobian[..., 1]).norm(dim=-1)[atlas.face.flatten()[valid].long()]
    return valid[torch.multinomial(area.clamp(min=1e-12), POINTS, replacement=True, generator=torch.Generator().manual_seed(0))]


def _solved(colour: Tensor, normal: Tensor, open_: Tensor) -> Generator[Progress, None, Tensor]:
    """The light's coefficients [3, 9] under which pairs of one hue have one albedo as often as can be."""
    random = torch.Generator().manual_seed(0)
    first, second = torch.randint(len(colour), (2, PAIRS), generator=random)
    safe = colour.clamp(min=2e-3)
    hue = safe / safe.sum(-1, keepdim=True)
    alike = (-((hue[first] - hue[second]).square().sum(-1) / HUE**2)).exp()
    # Dark texels are mostly rounding: their hue and their logarithm say little.
    alike = alike * torch.minimum(colour[first].amax(-1), colour[second].amax(-1)).clamp(max=0.1)
    step = safe[first].log() - safe[second].log()
    basis, log_open = harmonics(normal), open_.clamp(min=DARKEST).log()
    shape = torch.zeros(3, 8, requires_grad=True)
    adam = torch.optim.Adam([shape], lr=0.03)
    for number in range(STEPS):
        light = torch.cat([torch.ones(3, 1), shape], 1)
        log_lit = _soft(basis @ light.T).log() + log_open
        rest = step - (log_lit[first] - log_lit[second])
        # A pair is of one albedo, or not and then it does not matter how far apart: Geman and McClure's distance.
        apart = rest.square() / (rest.square() + 0.15**2)
        tint = (shape - shape.mean(0)).square().mean()
        loss = (apart.mean(-1) * alike).sum() / alike.sum() + TINT * tint + 1e-3 * shape.square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        if number % 25 == 0:
            yield Progress("finding the light", number, STEPS, metrics={"loss": float(loss.detach())})
    return torch.cat([torch.ones(3, 1), shape.detach()], 1)


def _soft(x: Tensor) -> Tensor:
    """x where it is well above zero, and never less than zero."""
    return F.softplus(x, beta=12) + 1e-3


def _lit(light: Tensor, normal: Tensor) -> Tensor:
    return _soft(harmonics(normal) @ light.T)


def harmonics(way: Tensor) -> Tensor:
    """The nine real spherical harmonics up to order 2 [n, 9], scaled so that the first is 1 (Ramamoorthi and Hanrahan 2001)."""
    x, y, z = way.unbind(-1)
    root3, root15 = math.sqrt(3), math.sqrt(15)
    second = (root15 * x * y, root15 * y * z, math.sqrt(5) / 2 * (3 * z * z - 1), root15 * x * z, root15 / 2 * (x * x - y * y))
    return torch.stack([torch.ones_like(x), root3 * y, root3 * z, root3 * x, *second], -1)
