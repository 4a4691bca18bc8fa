"""Regions: which texels of a mesh may change, and how hard the rewards pull at each.

Two masks, because there are two needs. A *region* is a weight in [0, 1] on the texel gradients of all rewards, or of one of them:
where it is 0 the rewards have no say, but the generator still repaints the texel. A *lock* keeps the mesh's own texel whatever is
painted, bit for bit and in every channel that the mesh has.

The push is Σ weight_i · mask_i · g_i / n_i, with n_i of the gradient *before* the mask: a mask scales the push and does nothing
else. Were n_i taken behind it, an even grey would cancel out, a region of a hundredth of the surface would be pushed ten times as
hard, and every other mask would need another n_i, which is frozen after some iterations.

A mask is a grey picture in texture space, white 1 and black 0: a file for all texture sets, or one for each in their order (""
for none). Files are never changed in place: what draws a mask writes another file, so that an older setting keeps its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.coverage import Sight
from studio.errors import StudioError

if TYPE_CHECKING:
    from studio.camera import Camera
    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh

LARGEST_BYTES = 1 << 30
ANOTHER = "Choose another picture, or clear the mask."
_LUMA = np.array([299, 587, 114], np.int32)  # ITU-R BT.601, in thousandths: grey stays what it is to the last bit


# -- Files ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Mask:
    """One picture."""

    name: str
    grey: np.ndarray
    """[h, w] float32 in [0, 1], row 0 at the top."""
    sha256: str
    note: str = ""
    """What is in the picture and does not count."""


def read(path: Path | str) -> Mask:
    """A mask from a picture: its brightness, of 16 bits rounded to 8; transparent is black.

    Raises StudioError when it is missing, no picture, or beyond 16384 px a side, which is known before it is decoded.
    """
    from studio.surface._files import decoded

    path = Path(path)
    try:
        if not path.is_file():
            raise StudioError(f"There is no mask '{path}'.", ANOTHER)
        if path.stat().st_size > LARGEST_BYTES:
            raise StudioError(f"The mask '{path.name}' is larger than 1 GB.", "Reduce it to the size of the texture.")
        data = path.read_bytes()
    except OSError as error:
        raise StudioError(f"The mask '{str(path)[:200]}' cannot be read: {error.strerror}.", ANOTHER) from None
    pixels = decoded(data, path.name)
    if pixels is None:
        raise StudioError(f"The mask '{path.name}' is no picture that can be read.", "Save it as a grey PNG of 8 bits.")
    grey = (pixels[..., :3] @ _LUMA).astype(np.float32) / 255_000
    said = "is coloured: its brightness counts" if (np.ptp(pixels[..., :3], axis=-1) > 0).any() else ""
    if pixels.shape[-1] == 4 and pixels[..., 3].min() < 255:
        grey *= pixels[..., 3].astype(np.float32) / 255
        said = " and ".join(filter(None, (said, "is transparent in places: they count as black")))
    return Mask(path.name, grey, hashlib.sha256(data).hexdigest(), f"The mask '{path.name}' {said}." if said else "")


@dataclass(frozen=True, eq=False)
class Layers:
    """The masks of all texture sets for one purpose."""

    value: Tensor
    """[S, 1, T, T] float32 in [0, 1]."""
    masks: tuple[Mask, ...]
    notes: tuple[str, ...]


def layers(paths: Sequence[str], names: Sequence[str], size_px: int, *, empty: float) -> Layers:
    """Masks for the texture sets `names` at T = size_px, resampled where they have another size; sets without one are `empty`.

    Raises StudioError as `read` does, and when there are neither one nor as many as sets.
    """
    if len(paths) not in (1, len(names)):
        problem = f"{len(paths)} masks do not fit a mesh with {len(names)} texture sets ({', '.join(names)})."
        raise StudioError(problem, 'Give one for all of them, or one each in this order ("" for none).')
    masks = {path: read(path) for path in dict.fromkeys(paths) if path}
    notes, grids = [m.note for m in masks.values() if m.note], {}
    for path, mask in masks.items():
        grid = torch.from_numpy(mask.grey)[None]
        if (size := grid.shape[1:]) != (size_px, size_px):
            grid = F.interpolate(grid[None], (size_px, size_px), mode="bilinear", antialias=True)[0].clamp(0, 1)
            told = f"The mask '{mask.name}' has {size[1]} × {size[0]} px; it is resampled to the texture's {size_px}."
            notes.append(told)
        grids[path] = grid
    each = paths if len(paths) == len(names) else [*paths] * len(names)
    value = torch.stack([grids[path] if path else torch.full((1, size_px, size_px), empty) for path in each])
    return Layers(value, tuple(masks.values()), tuple(notes))


# -- Regions --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Region:
    """What the masks say of the texels of one atlas, on its device. Without any it lets everything through."""

    locked: Tensor | None = None
    """[S, 1, T, T] bool: the texels that stay the mesh's own."""
    weight: Tensor | None = None
    """[S, 1, T, T] float32 on the gradients of all rewards; 0 where locked."""
    own: Mapping[str, Tensor] = field(default_factory=dict)
    """By reward, [S, 1, T, T] float32 beside `weight`."""
    notes: tuple[str, ...] = ()
    """What the user should know."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """For report and receipt: the files by setting, each with its sha256, and shares of the charts' texels."""

    @property
    def digest(self) -> str:
        """Differs where another mask would give a run other numbers; "" without masks."""
        files = sorted((setting, sha) for setting, found in self.facts.get("files", {}).items() for _, sha in found)
        return hashlib.sha256(repr(files).encode()).hexdigest() if files else ""

    def scaled(self, name: str, gradient: Tensor) -> Tensor:
        """The gradient [S, C, T, T] of the reward `name` times its masks."""
        for mask in (self.weight, self.own.get(name)):
            gradient = gradient if mask is None else gradient * mask.to(gradient.dtype)
        return gradient

    def kept(self, texels: Tensor, own: Tensor | None) -> Tensor:
        """Texels [S, C, T, T] with the mesh's `own` [S, C, T, T] where they are locked; differentiable. As they are without."""
        return texels if self.locked is None or own is None else torch.where(self.locked, own, texels)

    def check(self, atlas: Atlas, weights: Mapping[str, float] | None) -> Region:
        """Itself. Raises StudioError when nothing is left to paint or, where rewards with these `weights` are followed, to learn.

        A reward among them that no texel is left for is named in the notes.
        """
        valid = atlas.valid[:, None]
        if self.locked is not None and bool((self.locked | ~valid).all()):
            raise StudioError("Every texel is locked: nothing is left to paint.", "Clear the lock, or leave some of it black.")
        asked = [name for name, weight in (weights or {}).items() if weight]
        idle = [name for name in asked if not bool((self.scaled(name, valid.float()) > 0).any())]
        if asked and len(idle) == len(asked):
            problem = "The regions leave no texel to any reward: nothing is left to learn."
            raise StudioError(problem, "Make them white where the rewards shall work, or clear them.")
        told = [f"The regions leave no texel to the reward '{name}': it pushes nothing." for name in idle]
        return replace(self, notes=(*self.notes, *told))


def build(
    atlas: Atlas,
    names: Sequence[str],
    *,
    lock: Sequence[str] = (),
    region: Sequence[str] = (),
    of_reward: Mapping[str, Sequence[str]] | None = None,
    seen: Tensor | None = None,
) -> Region:
    """The region of masks in files, for the texture sets `names`; `seen` [S, T, T] bool: the texels that get a push at all.

    Lock masks hold from middle grey on. The gutter follows the chart it belongs to, as it is its colours that show at the charts'
    borders; a mask that locks gutter itself is obeyed there, too. Raises StudioError as `layers` does.
    """
    size, notes, files = atlas.size_px, [], {}

    def given(setting: str, paths: Sequence[str], empty: float) -> Tensor | None:
        if not any(paths):
            return None
        found = layers(paths, names, size, empty=empty)
        notes.extend(note for note in found.notes if note not in notes)
        files[setting] = [[m.name, m.sha256] for m in found.masks]
        return found.value.to(atlas.device)

    locked, weight = given("lock", lock, 0.0), given("region", region, 1.0)
    own = {name: given(f"rewards.{name}.region", paths, 1.0) for name, paths in (of_reward or {}).items()}
    own = {name: atlas.dilated(value) for name, value in own.items() if value is not None}
    valid, facts = atlas.valid[:, None], {}
    if weight is not None:
        weight = atlas.dilated(weight)
    if seen is not None:
        inside = atlas.dilated(seen[:, None].float())
        weight = inside if weight is None else weight * inside
        facts["unseen"] = 1 - _share(seen[:, None], valid)
    if locked is not None:
        mask = locked >= 0.5
        locked = mask | (atlas.dilated(mask.float()) > 0)
        weight = (~locked).float() if weight is None else weight * ~locked
        facts["locked"] = _share(locked, valid)
        notes.append(f"{facts['locked']:.1%} of the texels are locked.")
    if files:
        facts["files"] = files
    return Region(locked, weight, own, tuple(notes), facts)


def _share(mask: Tensor, valid: Tensor) -> float:
    return float((mask & valid).sum() / valid.sum().clamp(min=1))


def seen_within(mesh: Mesh, atlas: Atlas, cameras: Sequence[Camera], angle_deg: float) -> Tensor:
    """[S, T, T] bool on the atlas's device: the texels that a camera sees at most `angle_deg` off their face's normal.

    Nothing may stand in between, as for the coverage. Texels that several faces share are asked for the one that owns them.
    """
    texels = np.flatnonzero(atlas.valid.cpu().numpy())
    sight, low = Sight(mesh, atlas, texels), np.cos(np.radians(angle_deg))
    found = np.zeros(atlas.valid.numel(), bool)
    for camera in cameras:  # one by one: an atlas has up to 67 million texels
        found[texels] |= sight.see([camera])[0] >= max(low, 1e-6)
    return torch.from_numpy(found.reshape(atlas.valid.shape)).to(atlas.device)
