"""Textures, and which point of which texture set each pixel of a picture shows.

One convention everywhere: texture row 0 is the top, u runs right and v down, and the centre of texel i lies at (i + 0.5) / T.
A texture is a stack of S *texture sets*, one per source material. Base colour is sRGB in [0, 1], every other channel is linear.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.camera import Camera
from studio.errors import MeshError
from studio.sparse import SparseMap, rows_of, stack_of
from studio.surface.corners import Corners

if TYPE_CHECKING:
    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Material, Mesh

CHANNELS = {"base_color": 3, "roughness": 1, "metallic": 1, "height": 1, "normal": 3, "occlusion": 1}
"""How many components each channel of a texture has. "normal" is (n + 1)/2 in tangent space (MikkTSpace), y up."""


# -- Texture --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Texture:
    """S texture sets at T × T texels: `channels[name]` is [S, C, T, T] with C from CHANNELS; `names` are the S materials'."""

    names: tuple[str, ...]
    channels: dict[str, Tensor]

    def __post_init__(self) -> None:
        size = self.channels["base_color"].shape[-1]
        for name, tensor in self.channels.items():
            expected = (len(self.names), CHANNELS[name], size, size)
            assert tuple(tensor.shape) == expected, f"{name} is {tuple(tensor.shape)}, not {expected}"

    @property
    def size_px(self) -> int:
        """T, the side of the atlas in texels."""
        return self.channels["base_color"].shape[-1]

    @classmethod
    def flat(cls, mesh: Mesh, size_px: int) -> Texture:
        """One colour, roughness and metallic per set: the factors of the mesh's materials."""
        return cls._stacked(mesh, [_plain(m, size_px) for m in mesh.sets])

    @classmethod
    def from_mesh(cls, mesh: Mesh, size_px: int) -> Texture:
        """The mesh's own maps, resampled to size_px and multiplied by their factors; flat where it has none."""
        return cls._stacked(mesh, [_mapped(m, size_px) for m in mesh.sets])

    @classmethod
    def _stacked(cls, mesh: Mesh, sets: list[dict[str, Tensor]]) -> Texture:
        channels = {name: torch.stack([s[name] for s in sets]) for name in ("base_color", "roughness", "metallic")}
        return cls(tuple(m.name for m in mesh.sets), channels)

    def with_channel(self, name: str, tensor: Tensor) -> Texture:
        """The same texture with channel `name` [S, C, T, T] set to `tensor`."""
        return replace(self, channels={**self.channels, name: tensor})

    def detach(self) -> Texture:
        """Without autograd history; shares memory."""
        return replace(self, channels={k: t.detach() for k, t in self.channels.items()})

    def to(self, device: torch.device | str) -> Texture:
        """On `device`."""
        return replace(self, channels={k: t.to(device) for k, t in self.channels.items()})


def linear_from_srgb(rgb: Tensor) -> Tensor:
    """sRGB in [0, 1] → linear light (IEC 61966-2-1)."""
    return torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(rgb: Tensor) -> Tensor:
    """Linear light in [0, 1] → sRGB (IEC 61966-2-1)."""
    return torch.where(rgb <= 0.0031308, rgb * 12.92, 1.055 * rgb.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)


def _plain(material: Material, size_px: int) -> dict[str, Tensor]:
    rgb = srgb_from_linear(torch.tensor(material.base_factor[:3], dtype=torch.float32).clamp(0, 1))
    values = {"base_color": rgb, "roughness": torch.tensor([material.roughness]), "metallic": torch.tensor([material.metallic])}
    return {name: v.float()[:, None, None].repeat(1, size_px, size_px) for name, v in values.items()}


def _mapped(material: Material, size_px: int) -> dict[str, Tensor]:
    """Factors are linear (glTF 2.0 §3.9.2), so colour is multiplied in linear light; a factor of 1 leaves the map's own bytes."""
    channels = _plain(material, size_px)
    if material.base_color is not None:
        rgb = _resampled(material.base_color[..., :3], size_px)
        factor = torch.tensor(material.base_factor[:3], dtype=torch.float32)[:, None, None]
        tinted = srgb_from_linear((linear_from_srgb(rgb) * factor).clamp(0, 1))
        channels["base_color"] = rgb if bool((factor == 1).all()) else tinted
    if material.metallic_roughness is not None:
        packed = _resampled(material.metallic_roughness, size_px)
        channels["roughness"] = packed[1:2] * material.roughness
        channels["metallic"] = packed[2:3] * material.metallic
    return channels


def _resampled(image: np.ndarray, size_px: int) -> Tensor:
    """uint8 [h, w, C] → float [C, size_px, size_px]; untouched when it already has that size."""
    x = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()[None] / 255
    if x.shape[-2:] != (size_px, size_px):
        x = F.interpolate(x, size=(size_px, size_px), mode="bilinear", antialias=True, align_corners=False)
    return x[0].contiguous()


# -- Fragments ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Fragments:
    """What each of V pictures shows, at H = W = size_px · supersample sub-pixels, row 0 at the top.

    `face` [V, H, W] int64, −1 background; `bary` [V, H, W, 3] weights of the face's three corners; `depth` [V, H, W] distance
    along the view axis in work units, 0 on background. The attributes below are interpolated on first use and kept; all are zero
    on background.
    """

    size_px: int
    supersample: int
    cameras: tuple[Camera, ...]
    face: Tensor
    bary: Tensor
    depth: Tensor
    corners: Corners

    @property
    def device(self) -> torch.device:
        return self.face.device

    def to(self, device: torch.device | str) -> Fragments:
        """On `device`."""
        if torch.device(device) == self.device:
            return self
        moved = {name: getattr(self, name).to(device) for name in ("face", "bary", "depth", "corners")}
        return replace(self, **moved)

    @cached_property
    def mask(self) -> Tensor:
        """[V, H, W] bool: the sub-pixel shows the surface."""
        return self.face >= 0

    @cached_property
    def alpha(self) -> Tensor:
        """[V, 1, h, w] float32: the part of each picture pixel that shows the surface."""
        return F.avg_pool2d(self.mask.float()[:, None], self.supersample)

    @cached_property
    def position(self) -> Tensor:
        """[V, H, W, 3] surface points in work space."""
        return self._dense(self.at_hits(self.corners.position))

    @cached_property
    def normal(self) -> Tensor:
        """[V, H, W, 3] unit shading normals."""
        return self._dense(F.normalize(self.at_hits(self.corners.normal), dim=-1))

    @cached_property
    def geometric_normal(self) -> Tensor:
        """[V, H, W, 3] unit normals of the flat faces."""
        return self._dense(self.corners.geometric_normal[self.face[self.mask]])

    @cached_property
    def uv(self) -> Tensor:
        """[V, H, W, 2] texture coordinates, not wrapped. Raises MeshError when the mesh has none."""
        return self._dense(self.uv_at_hits())

    @cached_property
    def set(self) -> Tensor:
        """[V, H, W] int64 texture set."""
        return self._dense(self.corners.face_set[self.face[self.mask]])

    @cached_property
    def view_direction(self) -> Tensor:
        """[V, H, W, 3] unit vectors from the surface to the eye, per pixel."""
        return self._dense(self._to_eye())

    @cached_property
    def cosine(self) -> Tensor:
        """[V, H, W] cosine between the ray to the eye and the geometric normal: positive on front faces."""
        return self._dense(self.cosine_at_hits())

    # The n surface sub-pixels alone, in the order of `mask`: what is built once per mesh has no need of the background.

    def each_view(self) -> Iterator[Fragments]:
        """One view at a time, its sub-pixels grouped by pixel: `face` and `depth` [1, h·w, supersample²]. What is derived from a
        view is gone with it."""
        k, n = self.supersample, self.size_px
        for i, camera in enumerate(self.cameras):
            tables = (self.face[i], self.bary[i], self.depth[i])
            face, bary, depth = (t.reshape(n, k, n, k, -1).transpose(1, 2).reshape(1, n * n, k * k, -1) for t in tables)
            yield replace(self, cameras=(camera,), face=face[..., 0], bary=bary, depth=depth[..., 0])

    def at_hits(self, table: Tensor) -> Tensor:
        """Σ bary · corner of `table` [F, 3, C] → [n, C]."""
        return torch.einsum("nk,nkc->nc", self.bary[self.mask].to(table.dtype), table[self.face[self.mask]])

    def uv_at_hits(self) -> Tensor:
        """[n, 2]. Raises MeshError when the mesh has no UVs."""
        if self.corners.uv is None:
            raise MeshError("This mesh has no texture coordinates.", "Unwrap it first.")
        return self.at_hits(self.corners.uv)

    def cosine_at_hits(self) -> Tensor:
        """[n], as `cosine`."""
        return (self._to_eye() * self.corners.geometric_normal[self.face[self.mask]]).sum(-1)

    def _to_eye(self) -> Tensor:
        like = self.corners.position
        eyes = like.new_tensor(np.array([c.direction() if c.orthographic else c.position() for c in self.cameras]))
        parallel = torch.tensor([[c.orthographic] for c in self.cameras], device=self.device)
        view = torch.repeat_interleave(torch.arange(len(self.cameras), device=self.device), self.mask.sum((1, 2)))
        return torch.where(parallel[view], eyes[view], F.normalize(eyes[view] - self.at_hits(like), dim=-1))

    def _dense(self, at_hits: Tensor) -> Tensor:
        out = at_hits.new_zeros((*self.face.shape, *at_hits.shape[1:]))
        out[self.mask] = at_hits
        return out


def fragments(
    mesh: Mesh,
    cameras: Sequence[Camera],
    size_px: int,
    supersample: int,
    face: Tensor | np.ndarray,
    bary: Tensor | np.ndarray,
    depth: Tensor | np.ndarray,
) -> Fragments:
    """Fragments from what a renderer hit: the one place where attributes of the mesh are interpolated.

    `face` [V, H, W] int (−1 background), `bary` [V, H, W, 3] and `depth` [V, H, W] at H = W = size_px · supersample, on the
    device where the fragments shall live.
    """
    faces, weights, depths = torch.as_tensor(face), torch.as_tensor(bary), torch.as_tensor(depth)
    side = size_px * supersample
    assert faces.shape == depths.shape == (len(cameras), side, side), f"face {tuple(faces.shape)}, depth {tuple(depths.shape)}"
    assert weights.shape == (*faces.shape, 3), f"bary {tuple(weights.shape)}"
    hit = faces >= 0
    return Fragments(
        size_px=size_px,
        supersample=supersample,
        cameras=tuple(cameras),
        face=faces.long(),
        bary=(weights * hit[..., None]).float(),
        depth=(depths * hit).float(),
        corners=Corners.of(mesh).to(faces.device),
    )


# -- Taps -----------------------------------------------------------------------------------------------------------------


class Taps:
    """The pictures of a texture as one constant linear map: `fetch`, and `put`, its exact transpose.

    A sub-pixel shows the bilinear mix of the four texels around its place, of its own chart only (`Atlas.taps`); a pixel is the
    mean of its sub-pixels, background counting as zero (premultiplied by `alpha`).
    """

    def __init__(self, fragments: Fragments, atlas: Atlas) -> None:
        """On the device of `fragments`."""
        atlas = atlas.to(fragments.device)
        self.views, self.size_px = len(fragments.cameras), fragments.size_px
        self.sets, self.atlas_px = atlas.sets, atlas.size_px
        self.alpha = fragments.alpha
        """[V, 1, h, w] float32: how much of each pixel shows the surface."""
        counts, indices, weights = [], [], []
        for view in fragments.each_view():
            face = view.face[view.mask]
            index, weight = atlas.taps(view.corners.face_set[face], view.uv_at_hits(), atlas.face_chart[face])
            counts.append(4 * view.mask[0].sum(1))
            indices.append(index.flatten())
            weights.append(weight.flatten() / fragments.supersample**2)
        offset = F.pad(torch.cat(counts).cumsum(0), (1, 0))
        self.map = SparseMap(offset, torch.cat(indices), torch.cat(weights), columns=self.sets * self.atlas_px**2)

    def fetch(self, texture: Tensor) -> Tensor:
        """Texels [S, C, T, T] → pictures [V, C, h, w], premultiplied; differentiable."""
        return stack_of(self.map(rows_of(texture)), self.views, self.size_px)

    def put(self, pictures: Tensor) -> Tensor:
        """The transpose of `fetch`: [V, C, h, w] → [S, C, T, T], ⟨put x, y⟩ = ⟨x, fetch y⟩; differentiable."""
        return stack_of(self.map.transposed(rows_of(pictures)), self.sets, self.atlas_px)
