"""From where a mesh is painted, and how well the painting holds together.

*Coverage* is the part of the reachable texels that a painting camera sees: a texel is seen by a camera when the ray between them
is clear and meets the surface at a cosine above MIN_COSINE, and it is reachable when one of 162 cameras all around sees it. Both
are estimated on SAMPLES texels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from studio.bake import MIN_COSINE, Baker
from studio.camera import Camera, looking_along, sphere_directions
from studio.errors import MeshError
from studio.surface.atlas import Atlas
from studio.surface.mesh import Mesh
from studio.surface.occlusion import Occlusion
from studio.surface.seams import Seams
from studio.texture import Texture

SAMPLES = 6000
TARGET = 0.97
"""Cameras are added until this part of the reachable texels is seen."""
SEEN, STRAIGHT = 0.3, 0.6
"""What it is worth to see a texel at all, of 1 for seeing it at this cosine: beyond it pixels are as fine as a texture needs."""


class Sight:
    """Surface points under texels, and which cameras see them."""

    def __init__(self, mesh: Mesh, atlas: Atlas, texels: np.ndarray) -> None:
        """`texels` [n] are flat indices of valid texels."""
        chosen = torch.from_numpy(texels).to(atlas.device)
        face = atlas.face.flatten()[chosen].long()
        weight = atlas.bary.reshape(-1, 3)[chosen]
        self._points = torch.einsum("nk,nkc->nc", weight, atlas.corners.position[face]).cpu().numpy().astype(np.float64)
        self._normals = atlas.corners.geometric_normal[face].cpu().numpy().astype(np.float64)
        self._occlusion = Occlusion(mesh)

    def see(self, cameras: Sequence[Camera]) -> np.ndarray:
        """[V, n] float32: the cosine at which each camera sees each point, 0 where it does not."""
        towards = np.array([self._directions(c) for c in cameras]).reshape(len(cameras), *self._points.shape)
        cosine = (towards * self._normals).sum(-1).astype(np.float32)
        cosine[cosine <= MIN_COSINE] = 0
        view, sample = np.nonzero(cosine)
        blocked = self._occlusion.blocked(self._points[sample], self._normals[sample], towards[view, sample])
        cosine[view[blocked], sample[blocked]] = 0
        return cosine

    def _directions(self, camera: Camera) -> np.ndarray:
        if camera.orthographic:
            return np.broadcast_to(camera.direction(), self._points.shape)
        towards = camera.position() - self._points
        return towards / np.linalg.norm(towards, axis=1, keepdims=True)


class Samples:
    """Texels of an atlas drawn evenly (the same ones each time), and which of them the 162 cameras see."""

    def __init__(self, mesh: Mesh, atlas: Atlas) -> None:
        texels = np.flatnonzero(atlas.valid.cpu().numpy())
        if len(texels) > SAMPLES:
            texels = np.sort(np.random.default_rng(0).choice(texels, SAMPLES, replace=False))
        self.see = Sight(mesh, atlas, texels).see
        self.cameras = tuple(looking_along(d) for d in sphere_directions())
        self.facing = self.see(self.cameras)
        self.reachable = (self.facing > 0).any(0)


_SAMPLES: WeakKeyDictionary[Atlas, Samples] = WeakKeyDictionary()


def samples(mesh: Mesh, atlas: Atlas) -> Samples:
    """The samples of a mesh and its atlas, made once."""
    if atlas not in _SAMPLES:
        _SAMPLES[atlas] = Samples(mesh, atlas)
    return _SAMPLES[atlas]


def painting_cameras(
    mesh: Mesh, atlas: Atlas, *, count: int = 6, max_count: int = 8, target: float = TARGET
) -> tuple[Camera, ...]:
    """`count` of 162 directions, together seeing as much of the mesh as straight as they can; more, up to `max_count`, until
    `target` is covered.

    What a texel is worth grows with the best cosine at which it is seen: facility location, by greedy choice (within 1 − 1/e of
    the best set; Nemhauser, Wolsey and Fisher 1978) and then by exchanging one camera at a time for as long as that helps.
    Cameras stand at the default distance and look at the origin. Raises MeshError when no texel can be seen from outside.
    """
    assert 1 <= count <= max_count <= len(sphere_directions()), (count, max_count)
    places = samples(mesh, atlas)
    facing = places.facing[:, places.reachable]
    if not facing.size:
        raise MeshError("None of this mesh's surface can be seen from outside.", "Flip its faces so that they point outwards.")
    worth = (facing > 0) * (SEEN + (1 - SEEN) * (facing / STRAIGHT).clip(max=1))
    chosen: list[int] = []
    while len(chosen) < count or (len(chosen) < max_count and (facing[chosen] > 0).any(0).mean() < target):
        chosen = _exchanged(worth, [*chosen, _best(worth, chosen)])
    return tuple(places.cameras[i] for i in chosen)


def _best(worth: np.ndarray, beside: list[int]) -> int:
    """The camera that is worth most beside these, of `worth` [cameras, texels]; each is taken once."""
    value = np.maximum(worth, worth[beside].max(0, initial=0)).sum(1, dtype=np.float64)
    value[beside] = -1
    return int(value.argmax())


def _exchanged(worth: np.ndarray, chosen: list[int]) -> list[int]:
    """The same number of cameras, none of which another one could replace with profit."""
    while True:
        before = list(chosen)
        for k in range(len(chosen)):
            chosen[k] = _best(worth, chosen[:k] + chosen[k + 1 :])
        if chosen == before:
            return chosen


def coverage(mesh: Mesh, atlas: Atlas, cameras: Sequence[Camera]) -> float:
    """The part of the reachable texels that `cameras` see, 0 … 1; 0 when none is reachable."""
    places = samples(mesh, atlas)
    seen = (places.see(cameras) > 0).any(0) & places.reachable
    return float(seen.sum() / max(int(places.reachable.sum()), 1))


def seam_error(texture: Texture, seams: Seams) -> float:
    """Mean colour jump across the cuts of the atlas: |ΔsRGB| averaged over channels and over the cuts' length; 0 without cuts."""
    if not len(seams.length):
        return 0.0
    jump = seams.jump(texture.channels["base_color"].detach().to(seams.length.device)).abs().mean(1)
    return float((jump * seams.length).sum() / seams.length.sum().clamp_min(1e-12))


def consistency_psnr(views: Tensor, baker: Baker, texture: Texture, *, locked: Tensor | None = None) -> float:
    """How far the painted `views` [V, 3, h, w] agree with the texture baked from them: PSNR in dB between each view and the
    texture seen from its camera, over all pixels that show nothing but surface, and none that is `locked` [S, 1, T, T]: there
    the texture is not the views'. Infinite when they are equal."""
    drawn = baker.taps.fetch(texture.channels["base_color"].detach())
    inside = baker.taps.alpha > 1 - 1e-4
    if locked is not None:
        inside = inside & (baker.taps.fetch(locked.float()) == 0)
    inside = inside.expand_as(drawn)
    error = float((views.detach().to(drawn)[inside] - drawn[inside]).double().square().mean())
    return -10 * math.log10(error) if error > 0 else math.inf
