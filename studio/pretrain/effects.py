"""Effects that follow the mesh: worn edges, dirt in crevices, snow on top, a rim, streaks …

An effect is a mask computed from what a rig knows of the surface (height, normal, curvature, openness) and an ink laid there.
`mask` is a function of the rig alone, so an evaluation can ask of any picture whether the effect is where it belongs; painting
makes its border ragged with noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from studio.errors import StudioError, nearest
from studio.pretrain.patterns import Coat
from studio.pretrain.solid import Surface, constant, mix, ramp, scattered, toned

POSITION, NORMAL, MASK, CURVATURE, OPENNESS = slice(0, 3), slice(3, 6), 6, 7, 8
"""Channels of a rig."""
STREAK = 0.17  # work units between streaks


@dataclass(frozen=True, eq=False)
class Facts:
    """What an effect may depend on, [..., M] each: height 0…1 within the object, how far the normal looks up, curvature,
    openness, and the horizontal coordinate along the surface. `amount` broadcasts with them: 1 is usual, more is more."""

    height: Tensor
    up: Tensor
    curvature: Tensor
    openness: Tensor
    along: Tensor
    amount: Tensor


def facts(rig: Tensor, amount: Tensor) -> Facts:
    """Of rigs [B, M, 9] with amounts [B, 1]; heights reach over what the object's own points show."""
    y, inside = rig[..., 1], rig[..., MASK] > 0.5
    low = torch.where(inside, y, 9.0).amin(-1, keepdim=True)
    high = torch.where(inside, y, -9.0).amax(-1, keepdim=True)
    along = torch.where(rig[..., 3].abs() > rig[..., 5].abs(), rig[..., 2], rig[..., 0])
    height = (y - low) / (high - low).clamp(min=1e-3)
    return Facts(height, rig[..., 4], rig[..., CURVATURE], rig[..., OPENNESS], along, amount)


def _edges(f: Facts) -> Tensor:
    return ramp(f.curvature + 0.22 * (f.amount - 1), 0.30, 0.48)


def _crevices(f: Facts) -> Tensor:
    shut = torch.maximum((0.86 - f.openness) / 0.4, -f.curvature * 0.8)
    return ramp(shut + 0.25 * (f.amount - 1), 0.30, 0.62)


def _top(f: Facts) -> Tensor:
    return ramp(f.up + 0.35 * (f.amount - 1), 0.42, 0.58)


def _band(f: Facts) -> Tensor:
    return ramp(0.085 * f.amount - (f.height - 0.5).abs(), -0.008, 0.008)


def _rim(f: Facts) -> Tensor:
    return ramp(f.height - 1 + 0.13 * f.amount, -0.008, 0.008)


def _lower(f: Facts) -> Tensor:
    return ramp(0.5 - f.height, -0.008, 0.008)


def _streaks(f: Facts) -> Tensor:
    """Drips from the top: every other column by a hash, of hashed length, narrow with a round, thicker end."""
    t = f.along / STREAK
    column = torch.floor(t)
    chance, length = scattered(column), scattered(column, constant(column, 5.0))
    below = (1 - 0.2 - 0.65 * length) - f.height  # negative above the drip's end
    width = 0.15 + 0.13 * torch.exp(-((below + 0.02) / 0.05).square())
    x = (t - column - 0.5).abs()
    open_end = (width - torch.hypot(x, below.clamp(min=0) * 5)) * STREAK
    hangs = (chance < 0.5 + 0.2 * f.amount) & (f.up.abs() < 0.85)
    return ramp(open_end, -0.006, 0.006) * hangs


def bare(ink: Tensor) -> Tensor:
    """The ink [..., INK], rubbed pale and dull; on metal bright instead."""
    pale = torch.lerp(ink, constant(ink, 0.84, 0.81, 0.75, 0.75, 0.0, 0.0, 0.0)[: ink.shape[-1]], 0.8)
    bright = torch.cat([0.35 * ink[..., :3] + 0.63, 0.5 * ink[..., 3:4], ink[..., 4:]], -1)
    return torch.lerp(pale, bright, ink[..., 4:5])


def _bare(s: Surface, ink: Tensor, over: Tensor) -> Tensor:
    return bare(ink)


def _moss(s: Surface, ink: Tensor, over: Tensor) -> Tensor:
    return toned(over, (1 + 0.3 * s.fbm(4)[..., 0]).clamp(min=0.4))


def _snow(s: Surface, ink: Tensor, over: Tensor) -> Tensor:
    return toned(over, 1 + 0.012 * s.fbm(2)[..., 0])


def _dust(s: Surface, ink: Tensor, over: Tensor) -> Tensor:
    return torch.lerp(ink, over, 0.85)


def _laid(s: Surface, ink: Tensor, over: Tensor) -> Tensor:
    return over.expand_as(ink)


@dataclass(frozen=True)
class Effect:
    """Where, what, and how it is said. `{c}`: a colour the effect then has, else it has `own`; `{q}`: one of the two words for
    less and more. `ragged`: how far noise moves the mask's border, in its own units; `rises`: height added."""

    where: Callable[[Facts], Tensor]
    lay: Callable[[Surface, Tensor, Tensor], Tensor]
    phrases: tuple[str, ...]
    words: tuple[str, str]
    ragged: float = 0.0
    rises: float = 0.0
    own: tuple[float, float, float, float, float] = (0.20, 0.13, 0.08, 0.8, 0)
    never: tuple[str, ...] = ()


EFFECTS: dict[str, Effect] = {
    "worn edges": Effect(_edges, _bare, ("with {q} worn edges", "with {q} worn edges", "{q} worn at the edges",
        "with edges {q} worn", "with {q} chipped edges"), ("slightly", "heavily"), 0.07, -0.1,
        never=("snow", "ice", "clouds", "chrome")),
    "dirt": Effect(_crevices, _laid, ("with {q} dirt in the crevices", "with {q} dirt in the corners",
        "with {q} grime in crevices",
        "with {q} dirt in the cracks"), ("little", "heavy"), 0.16, 0.05, (0.17, 0.12, 0.08, 0.95, 0), ("mud", "bark")),
    "moss": Effect(_top, _moss, ("with {q} moss on top", "with {q} moss growing on top", "covered in {q} moss from above",
        "overgrown with {q} moss on top"), ("little", "thick"), 0.22, 0.15, (0.27, 0.43, 0.10, 0.95, 0), ("moss", "grass")),
    "snow": Effect(_top, _snow, ("with {q} snow on top", "covered in {q} snow from above", "with a {q} layer of snow on top",
        "under {q} snow"), ("little", "deep"), 0.10, 0.25, (0.94, 0.96, 0.99, 0.8, 0), ("ice", "clouds", "marble")),
    "dust": Effect(_top, _dust, ("with {q} dust on top", "covered in {q} dust from above", "with a {q} layer of dust on top",
        "with {q} dust settled on top"), ("little", "thick"), 0.12, 0.02, (0.70, 0.66, 0.58, 0.95, 0), ("sand", "felt", "mud")),
    "band": Effect(_band, _laid, ("with a {q} {c} band", "with a {q} {c} band around the middle", "with a {q} {c} belt",
        "with a {q} {c} ring around the middle"), ("thin", "wide"), rises=0.04),
    "rim": Effect(_rim, _laid, ("with a {q} {c} rim", "with a {q} {c} top edge", "with a {q} {c} rim at the top",
        "with {c} paint on the {q} rim"), ("thin", "wide"), rises=0.04),
    "lower half": Effect(_lower, _laid, ("with a {c} lower half", "dipped in {c} paint", "with the lower half in {c}",
        "with a {c} bottom half"), ("", ""), rises=0.03, never=("halves", "gradient")),
    "trim": Effect(_edges, _laid, ("with {q} {c} trim along the edges", "with {q} {c} edges", "with {q} {c} trim",
        "edged in {q} {c}", "with {q} {c} trim on the edges"), ("thin", "thick"), rises=0.05),
    "streaks": Effect(_streaks, _laid, ("with {q} {c} paint dripping down", "with {q} {c} streaks running down",
        "with {q} dark streaks running down", "with {q} streaks running down", "with {q} {c} drips"), ("few", "many"),
        rises=0.03),
}  # fmt: skip


def mask(name: str, rig: Tensor, *, amount: float | Tensor = 1.0) -> Tensor:
    """Where the effect belongs on rigs [B, V, 9, h, w]: [B, V, 1, h, w] in 0…1, zero outside the object. `amount`: one number,
    or one per object [B]. Raises StudioError for an unknown effect."""
    if name not in EFFECTS:
        raise StudioError(f"There is no effect named {name!r}.", f"Did you mean {nearest(name, tuple(EFFECTS))!r}?")
    B, V, C, H, W = rig.shape
    points = rig.movedim(2, -1).reshape(B, V * H * W, C).float()
    much = torch.as_tensor(amount, device=rig.device, dtype=points.dtype).expand(B)
    found = EFFECTS[name].where(facts(points, much.unsqueeze(1))) * (points[..., MASK] > 0.5)
    return found.view(B, V, 1, H, W)


def lay(name: str, s: Surface, coat: Coat, rig: Tensor, over: Tensor, amount: Tensor) -> tuple[Coat, Tensor]:
    """The coat with the effect on it, and the effect's share [B, M]. rig [B, M, 9], `over` [B, 1, INK] the effect's ink, amount
    [B, 1]."""
    ink, height = coat
    e, f = EFFECTS[name], facts(rig, amount)
    if e.ragged:
        shift = e.ragged * s.fbm(2)[..., 2]
        f = Facts(f.height, f.up + shift, f.curvature + shift, f.openness - 0.4 * shift, f.along, f.amount)
    on = e.where(f)
    return (mix(ink, e.lay(s, ink, over), on), torch.addcmul(height, on, torch.full_like(on, e.rises))), on
