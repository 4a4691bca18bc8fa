"""Baking: pictures of a mesh → its texture, linear in the pictures and differentiable.

A texel is the weighted mean of what the views show of it, Σ put(w·rgb) / Σ put(w), with
w = front · cos(angle between the pixel's ray and the face's normal)^power · feather near depth edges. Surface that no view shows
well is filled (`surface.fill`). Geometry stands still while colours change, so all of it is worked out once, as one sparse matrix
from pixels to painted texels and one from those to the whole atlas.

Cameras turn only where they are learned. What a turn changes is then known as well: the same kind of matrix, with the rates of w
and of put in place of the two (`studio.turning`).

Where the atlas is finer than the pictures, the fragments must be supersampled; pictures are then read between their pixels, but
never across a depth edge: pixels that an edge runs through show a mix of two surfaces and are only used where nothing else is.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.camera import Camera
from studio.errors import StudioError
from studio.sparse import SparseMap, rows_of, stack_of
from studio.surface.atlas import Atlas
from studio.surface.fill import Fill
from studio.texture import Fragments, Taps
from studio.turning import AXES, rates, tap_rates

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MIN_COSINE = 0.1
"""Surface seen at a flatter angle than this is not painted."""
MIN_WEIGHT = 1e-4
"""Texels that gather less than this count as not painted: their colour would be rounding error."""
SLOPE = 2.0
"""Neighbours further apart in depth than the surface's own slope explains this many times belong to different surfaces."""


def texel(atlas: Atlas, quantile: float = 0.5) -> float:
    """Work units across a texel: this part of the texels is no larger."""
    area = torch.linalg.cross(atlas.corners.jacobian[..., 0], atlas.corners.jacobian[..., 1]).norm(dim=-1)
    sides = area[atlas.face[atlas.valid].long()].sqrt() / atlas.size_px
    return float(np.quantile(sides.cpu().numpy(), quantile))


def supersample(atlas: Atlas, size_px: int, camera: Camera = Camera(), *, most: int = 4) -> int:
    """How many sub-pixels per pixel and axis a picture of size_px² needs to see three texels in four: 2 … `most`.

    Two at least: one alone leaves silhouettes jagged, and where it falls on the texels' own grid it moves colours about.
    """
    pixel = 2 * camera.half_height() / size_px
    return int(np.clip(math.ceil(pixel / texel(atlas, 0.25)), 2, most))


class Baker:
    """The bake of V views of h × w pixels into S texture sets of T × T texels, precomputed."""

    def __init__(
        self,
        fragments: Fragments,
        atlas: Atlas,
        *,
        shown: Tensor | None = None,
        power: float = 4.0,
        feather_px: int = 2,
        turning: bool = False,
    ) -> None:
        """`power`: how much views from straight ahead outweigh flat ones; `feather_px`: how far from depth edges views fade in,
        in picture pixels. `shown` [V, h, w] bool: the pixels that will hold the surface's colour (all that it touches, if None);
        a picture that is painted where pixels' centres hit the surface misses some that fragments only graze. `turning`: also
        work out what `camera_gradient` needs, three matrices in place of one.
        On the device of `fragments`. Raises StudioError when the views see nothing of the surface.
        """
        for _ in self._made(fragments, atlas, shown, power, feather_px, turning):
            pass

    @classmethod
    def in_steps(
        cls,
        fragments: Fragments,
        atlas: Atlas,
        *,
        shown: Tensor | None = None,
        power: float = 4.0,
        feather_px: int = 2,
        turning: bool = False,
    ) -> Generator[None, None, Baker]:
        """The same, yielding now and then."""
        baker = cls.__new__(cls)
        yield from baker._made(fragments, atlas, shown, power, feather_px, turning)
        return baker

    def _made(
        self, fragments: Fragments, atlas: Atlas, shown: Tensor | None, power: float, feather_px: int, turning: bool
    ) -> Iterator[None]:
        from scipy.sparse import vstack

        device = fragments.device
        self.taps = Taps(fragments, atlas)
        """`fetch` and `put` of the same pictures."""
        counts = (self.taps.map.offset.diff() // 4).cpu().numpy().reshape(len(fragments.cameras), -1)
        index, share = (t.cpu().numpy().reshape(-1, 4) for t in (self.taps.map.index, self.taps.map.weight))
        ends = np.cumsum(counts.sum(1))
        per_view = []
        self._slopes: list[list[csr_matrix]] = []
        """Per view, what of it changes per degree of each angle [h·w, S·T·T]; empty without `turning`."""
        places = self.taps.alpha[:, 0] > 0 if shown is None else shown
        places = places.flatten(1).cpu().numpy()
        for view, held, first, last in zip(fragments.each_view(), places, ends - counts.sum(1), ends, strict=True):
            given = _weights(view, power, feather_px)
            yield
            near, puts = index[first:last], [share[first:last]]
            puts += _slopes(view, atlas.to(device), given["weight"] > 0, near, puts[0], power) if turning else []
            spread, *slopes = _spread(view, given, held, near, puts, self.taps.map.columns)
            per_view.append(spread)
            self._slopes += [slopes] if turning else []
        yield
        texel_from_pixel = vstack(per_view, format="csr").T.tocsr()
        total = texel_from_pixel @ np.ones(texel_from_pixel.shape[1])
        painted = total * fragments.supersample**2 > MIN_WEIGHT
        if not painted.any():
            raise StudioError("The views show nothing of the mesh's surface.", "Check that its faces point outwards.")
        yield
        rows = texel_from_pixel[painted]
        rows.data /= np.repeat(total[painted], np.diff(rows.indptr))
        self._blend = SparseMap.of(rows, device)
        shape = (self.taps.sets, self.taps.atlas_px, self.taps.atlas_px)
        self.painted = torch.from_numpy(painted.reshape(shape)).to(device)
        """[S, T, T] bool: the texels that take their colour from a view."""
        self.weight = torch.from_numpy(total.astype(np.float32).reshape(shape)).to(device)[:, None]
        """[S, 1, T, T] float32: Σ put(w)."""
        self._valid = atlas.valid.to(device)
        yield
        self._fill = Fill(atlas.to(device), self.painted)

    def bake(self, pictures: Tensor, *, keep: Tensor | None = None, onto: Tensor | None = None) -> Tensor:
        """Pictures [V, C, h, w] → texels [S, C, T, T], every one filled; linear and differentiable in `pictures`.

        Colours are straight, not premultiplied. Where `keep` [S, 1, T, T] bool is set, the texels of `onto` [S, C, T, T] come
        back bit for bit: what is kept is never deposited again.
        """
        assert (keep is None) == (onto is None), "keep and onto go together"
        baked = stack_of(self._fill(self._blend(rows_of(pictures))), self.taps.sets, self.taps.atlas_px)
        return baked if keep is None or onto is None else torch.where(keep, onto, baked)

    def adjoint(self, pictures: Tensor, push: Tensor) -> Tensor:
        """d⟨push, bake(pictures)⟩ / d pictures [V, P, h, w] for a push [S, C, T, T] on what their first C components make."""
        with torch.enable_grad():
            leaf = pictures.detach().requires_grad_()
            baked = self.bake(leaf[:, : push.shape[1]])
        return torch.autograd.grad(baked, leaf, push)[0]

    def camera_gradient(self, pictures: Tensor, push: Tensor) -> Tensor:
        """d⟨push, bake(pictures)⟩ / d(azimuth, elevation) per degree, float64 [V, 2] on the CPU, for pictures [V, C, h, w] that
        stay and a push [S, C, T, T]; needs a baker made with `turning`.

        With T = Σ w·a·rgb / Σ w·a per texel it is ⟨push, Σ (w·a)'·(rgb − T) / Σ w·a⟩, through the filling. Which texels are
        painted, filled or near a depth edge counts as given.
        """
        assert self._slopes, "this baker was not made for cameras that turn"
        blended = self._blend(rows_of(pictures.detach())).requires_grad_()
        with torch.enable_grad():
            filled = stack_of(self._fill(blended), self.taps.sets, self.taps.atlas_px)
        pull = torch.autograd.grad(filled, blended, push)[0] / self.weight.flatten()[self.painted.flatten()][:, None]
        both = torch.cat([pull, -(pull * blended.detach()).sum(1, keepdim=True)], 1).cpu().double().numpy()
        dense = np.zeros((self.painted.numel(), both.shape[1]))
        dense[self.painted.flatten().cpu().numpy()] = both
        colours = F.pad(pictures.detach().cpu().double().flatten(2).transpose(1, 2), (0, 1), value=1.0).numpy()
        sums = [[float(((m @ dense) * c).sum()) for m in slopes] for slopes, c in zip(self._slopes, colours, strict=True)]
        return torch.tensor(sums, dtype=torch.float64)

    def coverage(self) -> float:
        """The part of the charts' texels that takes its colour from a view, the rest being filled."""
        return float((self.painted & self._valid).sum() / self._valid.sum().clamp_min(1))


def _weights(view: Fragments, power: float, feather_px: int) -> dict[str, np.ndarray]:
    """What one view (grouped by pixel) gives each of its n sub-pixels on the surface.

    `weight` [n]; `clean` [h, w] bool: no depth edge runs through the pixel; `depth` [h, w] of clean pixels; `reach` [n]: how much
    the depth may differ one pixel on.
    """
    size, k = view.size_px, view.supersample
    mask, depth = view.mask, view.depth
    cosine = view.cosine_at_hits()
    camera = view.cameras[0]
    footprint = 2 * camera.half_height() / size * (1.0 if camera.orthographic else depth / camera.distance)
    tangent = (1 - cosine**2).clamp_min(0).sqrt() / cosine.abs().clamp_min(MIN_COSINE)
    reach = footprint * mask
    reach[mask] *= 1 + SLOPE * tangent

    def flat(x: Tensor) -> Tensor:
        return x.reshape(size, size, k, k).transpose(1, 2).reshape(size * k, size * k)

    edge = _edges(flat(mask), flat(depth), flat(reach) / k)
    edge = F.max_pool2d(edge.float()[None, None], k)
    clear = 1 - edge
    ramp = torch.ones_like(edge)
    for _ in range(feather_px):
        ramp = ramp + clear
        clear = -F.max_pool2d(-clear, 3, 1, 1)
    feather = (ramp / (feather_px + 1)).square().reshape(1, -1, 1).expand_as(mask)[mask]
    weight = torch.where(cosine > MIN_COSINE, cosine.clamp_min(0) ** power, 0.0) * feather
    results = {"weight": weight, "clean": edge[0, 0] == 0, "depth": depth[0].mean(1).reshape(size, size), "reach": reach[mask]}
    return {name: t.cpu().numpy() for name, t in results.items()}


def _edges(mask: Tensor, depth: Tensor, reach: Tensor) -> Tensor:
    """[H, W] bool: the sub-pixel is background, or a neighbour lies on another surface."""
    edge = ~mask
    for axis in (0, 1):
        a, b = (slice(None),) * axis + (slice(1, None),), (slice(None),) * axis + (slice(None, -1),)
        jump = (depth[a] - depth[b]).abs() > torch.maximum(reach[a], reach[b])
        jump |= mask[a] != mask[b]
        edge[a] |= jump
        edge[b] |= jump
    return edge


def _slopes(
    view: Fragments, atlas: Atlas, use: np.ndarray, index: np.ndarray, share: np.ndarray, power: float
) -> list[np.ndarray]:
    """(w·share)' / w [n, 4] of each of the view's n sub-pixels that are of `use`, per degree of azimuth and of elevation."""
    chosen = torch.from_numpy(use).to(view.device)
    cosine, uv = rates(view, chosen)
    steeper = power * cosine / view.cosine_at_hits()[chosen, None]
    there = torch.from_numpy(index[use]).to(view.device)
    change = tap_rates(atlas, view.face[view.mask][chosen], view.uv_at_hits()[chosen], there, uv) / view.supersample**2
    change = change.cpu().numpy() + steeper.cpu().numpy()[..., None] * share[use][:, None]
    slopes = [np.zeros_like(share) for _ in AXES]
    for axis, slope in enumerate(slopes):
        slope[use] = change[:, axis]
    return slopes


def _spread(
    view: Fragments, given: dict[str, np.ndarray], shown: np.ndarray, index: np.ndarray, puts: list[np.ndarray], texels: int
) -> list[csr_matrix]:
    """The csr_matrices [h·w, S·T·T] that deposit one view: reading of the pixels `shown` [h·w], times weight, times
    each of `puts` [n, 4] at the texels `index` [n, 4]."""
    from scipy.sparse import csr_matrix

    size, k = view.size_px, view.supersample
    mask = view.mask[0].cpu().numpy()
    pixel, sub = np.nonzero(mask)
    depth = view.depth[view.mask].cpu().numpy()
    use = given["weight"] > 0
    pixel, sub, depth, reach, weight = pixel[use], sub[use], depth[use], given["reach"][use], given["weight"][use]
    row, column = pixel // size, pixel % size
    off_y, off_x = ((s + 0.5) / k - 0.5 for s in (sub // k, sub % k))

    def near(down: np.ndarray | int, right: np.ndarray | int, of: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        """The pixel so far from each sub-pixel's own, and whether it is clean and shows the same surface."""
        y, x = row[of] + down, column[of] + right
        inside = (y >= 0) & (y < size) & (x >= 0) & (x < size)
        y, x = y.clip(0, size - 1), x.clip(0, size - 1)
        same = np.abs(given["depth"][y, x] - depth[of]) <= reach[of]
        return y * size + x, inside & same & given["clean"][y, x] & shown[y * size + x]

    side_y, side_x = np.sign(off_y).astype(int), np.sign(off_x).astype(int)
    taken, shares = [], []
    for there_y, there_x in ((0, 0), (0, 1), (1, 0), (1, 1)):
        place, good = near(there_y * side_y, there_x * side_x, slice(None))
        taken.append(place)
        shares.append(good * np.abs(there_y - 1 + np.abs(off_y)) * np.abs(there_x - 1 + np.abs(off_x)))
    tap, part = np.stack(taken, 1), np.stack(shares, 1)
    total = part.sum(1)
    lost = np.flatnonzero(total < 1e-6)  # no clean pixel among the four: the nearest one around, or else the pixel itself
    part[lost, 0] = total[lost] = 1.0
    for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)):
        place, good = near(down, right, lost)
        tap[lost[good], 0] = place[good]
        lost = lost[~good]
    weight[lost[~shown[pixel[lost]]]] = 0
    part *= (weight / total)[:, None]
    n = len(pixel)
    reading = csr_matrix((part.reshape(-1).astype(np.float32), tap.reshape(-1), np.arange(0, 4 * n + 1, 4)), (n, size * size))
    reading.eliminate_zeros()
    read = reading.T.tocsr()
    spread = []
    for share in puts:
        put = csr_matrix((share[use].reshape(-1), index[use].reshape(-1), np.arange(0, 4 * n + 1, 4)), (n, texels))
        put.eliminate_zeros()
        spread.append((read @ put).tocsr())
    return spread
