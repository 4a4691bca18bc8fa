"""Painting view after view: where a view keeps what is there, refines it, or paints anew (TEXTure, 2302.01721, sec. 3.2; InTeX,
2403.11878).

Which pixel is which depends on geometry alone: surface that no earlier view has painted is generated; surface that this view
sees clearly better than all earlier ones is refined; the rest is kept, and so are ties and the background.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.generators import Scene, Turns

if TYPE_CHECKING:
    from studio.bake import Baker
    from studio.texture import Fragments

BETTER = 0.1
"""By how much its cosine must exceed that of earlier views for a view to refine."""
SHARE = 0.01
"""A view paints a texel where it has at least this part of all views' weight."""
COVERED = 0.5
"""Part of a pixel that must show painted texels for the pixel to count as painted."""
LATE = 0.4
"""Part of the steps after which refined regions are let go."""
BACKGROUND = 1.0
UNKNOWN = 0.5


@dataclass(frozen=True)
class Regions:
    """A partition of each view's pixels, as 0 and 1, and the latents that go with it; `start` is the noise of each chain."""

    keep: Tensor
    """[V, 1, H, W], the background among it."""
    refine: Tensor
    generate: Tensor
    free: Tensor
    """[V, 1, h, w]: latents that are painted from the first step on,"""
    late: Tensor
    """and those that are from LATE on."""
    start: Tensor | None = None

    def of(self, view: int) -> Regions:
        """Of one view alone."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        return Regions(**{name: None if t is None else t[view : view + 1] for name, t in own.items()})


def regions(fragments: Fragments, baker: Baker, *, factor: int, like: Tensor) -> Regions:
    """From what the views see, in their order; `factor`: pixels per latent and axis."""
    views, surface = len(fragments.cameras), fragments.mask[:, None].to(like.device, like.dtype)
    own = torch.eye(views, device=like.device, dtype=like.dtype)[:, :, None, None]
    cosine = own * (fragments.cosine[:, None].to(like) * surface)
    share, cosine = (_baked(p, baker) for p in (own * torch.ones_like(surface), cosine))
    painted = share > SHARE
    cosine = torch.where(painted, cosine / share.clamp_min(SHARE), -1.0)
    kept, refined, made = [], [], []
    for view in range(views):
        there = painted[:, :view].any(1, keepdim=True).to(like)
        best = cosine[:, :view].amax(1, keepdim=True) if view else torch.zeros_like(there)
        covered, before = baker.taps.fetch(torch.cat([there, there * best], 1))[view : view + 1].split(1, 1)
        seen = surface[view : view + 1] > 0
        known = seen & (covered >= COVERED * baker.taps.alpha[view : view + 1])
        now = fragments.cosine[view : view + 1, None].to(like)
        better = known & (now > before / covered.clamp_min(1e-3) + BETTER)
        kept.append(~seen | (known & ~better))
        refined.append(better)
        made.append(seen & ~known)
    keep, refine, generate = (torch.cat(r).to(like) for r in (kept, refined, made))
    free = F.max_pool2d(generate, factor)
    return Regions(keep, refine, generate, free, F.max_pool2d(refine, factor) * (1 - free))


class InTurn(Turns):
    """The state is the pictures so far. A view is given how they look from it [1, 3, H, W], and that picture's latents."""

    def __init__(self, encoded: Callable[[Tensor], Tensor], *, exact: bool) -> None:
        """`encoded`: pictures in 0…1 → latents."""
        self._encoded, self.exact = encoded, exact

    def begun(self, scene: Scene, x: Tensor) -> Scene:
        return replace(scene, turn=replace(scene.turn, start=x))

    def given(self, scene: Scene, pictures: Tensor, view: int) -> tuple[Tensor, ...]:
        there, own = scene.turn.of(view), slice(view, view + 1)
        empty = torch.where(scene.mask[own] > 0, UNKNOWN, BACKGROUND).expand(-1, 3, -1, -1)
        seen = torch.where((scene.mask[own] > 0) & (there.generate == 0), _looked(pictures, scene, view), empty)
        return seen, self._encoded(seen)

    def part(self, scene: Scene, view: int, given: tuple[Tensor, ...]) -> Scene:
        own = slice(view, view + 1)
        parts = {"text": scene.text[:, own], "geometry": scene.geometry[own], "mask": scene.mask[own]}
        return replace(scene, views=1, turn=scene.turn.of(view), given=given, **parts)


def _looked(pictures: Tensor, scene: Scene, view: int) -> Tensor:
    """The texture that the views before this one have painted, as this one sees it [1, 3, H, W]."""
    assert scene.baker is not None
    before = (torch.arange(scene.views, device=pictures.device) < view).to(pictures)[:, None, None, None]
    colour, share = _baked(before * torch.cat([pictures, torch.ones_like(pictures[:, :1])], 1), scene.baker).split([3, 1], 1)
    there = (share > SHARE).to(pictures)
    texture = torch.cat([there * colour / share.clamp_min(SHARE), there], 1)
    seen, covered = scene.baker.taps.fetch(texture)[view : view + 1].split([3, 1], 1)
    return seen / covered.clamp_min(1e-3)


def _baked(pictures: Tensor, baker: Baker) -> Tensor:
    """The bake of texels that views paint; nothing where they would be filled."""
    return baker.bake(pictures) * baker.painted[:, None]
