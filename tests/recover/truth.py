"""Pictures by a second path: a Monte-Carlo path tracer that shares nothing with the studio's shading.

Light is traced, not prefiltered: rays through pixels (Embree finds what they meet), GGX microsurfaces as random walks on the
microsurface itself (Heitz et al. 2016, Multiple-scattering microfacet BSDFs with the Smith model), visible normals by spherical
caps (Dupuy and Benyoub 2023), paths that meet the mesh again, the panorama at its own resolution. Then noise, and 8 bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.pinhole import Pinhole
from studio.surface.mesh import Mesh

Material = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
"""Surface points [n, 3] in work space → linear base colour [n, 3], roughness [n], metallic [n]."""
STEPS = torch.tensor([1.1127756842787055 ** -(k + 1.0) for k in range(6)], dtype=torch.float64)
"""Of the sequence: powers of the root of x⁷ = x + 1, whose multiples fill six dimensions evenly."""
CHUNK_RAYS = 1 << 20
"""Rays of a picture traced at a time, so that memory stays bounded."""
BOUNCES = 3
"""Times a path may meet the mesh."""


@dataclass
class Tracer:
    """One mesh, what it is made of, and a panorama [h, w, 3] of linear radiance (row 0 up, middle column along −z)."""

    mesh: Mesh
    material: Material
    panorama: Tensor
    seed: int = 0
    rotation_deg: float = 0.0

    def __post_init__(self) -> None:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        self.scene = EmbreeScene(robust=True)
        TriangleMesh(self.scene, np.array(self.mesh.vertices, np.float32), np.array(self.mesh.faces, np.int32))
        self.random = torch.Generator().manual_seed(self.seed)
        self.positions = torch.from_numpy(np.array(self.mesh.vertices, np.float32)[self.mesh.faces])
        self.normals = torch.from_numpy(np.array(self.mesh.corner_normals, np.float32))

    def picture(self, camera: Pinhole, size_px: int, samples: int) -> tuple[Tensor, Tensor]:
        """Linear light [n, n, 3] and coverage [n, n]; rays pass through pixels at random places within them."""
        total = torch.zeros(size_px * size_px, 3)
        cover = torch.zeros(size_px * size_px)
        fine = math.isqrt(samples)
        assert fine * fine == samples, "samples form a square within the pixel"
        origins, directions = (torch.from_numpy(a) for a in camera.rays(size_px * fine))
        # One shifted lattice per pixel spreads its samples' first scattering more evenly than chance (a Kronecker sequence).
        shift = torch.rand(size_px * size_px, len(STEPS), generator=self.random, dtype=torch.float64)
        for index in torch.arange((size_px * fine) ** 2).split(CHUNK_RAYS):
            face, bary = self._met(origins[index], directions[index])
            on = face >= 0
            index = index[on]
            row, column = index // (size_px * fine), index % (size_px * fine)
            pixel = row // fine * size_px + column // fine
            number = column % fine + row % fine * fine
            spread = ((shift[pixel] + number[:, None] * STEPS) % 1).float()
            total.index_add_(0, pixel, self._traced(face[on], bary[on], directions[index], spread))
            cover.index_add_(0, pixel, torch.ones(len(index)))
        shown = total / cover.clamp(min=1)[:, None]
        return shown.reshape(size_px, size_px, 3), (cover / samples).reshape(size_px, size_px)

    def photograph(self, camera: Pinhole, size_px: int, samples: int, *, exposure_ev: float, noise: float) -> Tensor:
        """[n, n, 4] uint8: sRGB with normal noise of this deviation, cut to 8 bits, and alpha."""
        light, cover = self.picture(camera, size_px, samples)
        light = (light * 2**exposure_ev).clamp(0, 1)
        srgb = torch.where(light <= 0.0031308, light * 12.92, 1.055 * light.clamp(min=1e-9) ** (1 / 2.4) - 0.055)
        srgb = srgb + noise * torch.randn(srgb.shape, generator=self.random)
        srgb = torch.where(cover[..., None] > 0, srgb, torch.zeros(()))
        return (torch.cat([srgb, cover[..., None]], -1).clamp(0, 1) * 255).round().byte()

    def _met(self, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Faces [n] (−1: none) and the corners' weights [n, 3]."""
        found = self.scene.run(origins.numpy(), directions.numpy(), query="INTERSECT", output=1)
        u, v = torch.from_numpy(found["u"]), torch.from_numpy(found["v"])
        return torch.from_numpy(found["primID"]).long(), torch.stack([1 - u - v, u, v], -1)

    def _traced(self, face: Tensor, bary: Tensor, ray: Tensor, spread: Tensor) -> Tensor:
        """Radiance [n, 3] that comes back along rays [n, 3] which meet these faces."""
        total, weight = torch.zeros(len(face), 3), torch.ones(len(face), 3)
        alive = torch.arange(len(face))
        for bounce in range(BOUNCES):
            point = (self.positions[face] * bary[..., None]).sum(1)
            normal = F.normalize((self.normals[face] * bary[..., None]).sum(1), dim=-1)
            flat = F.normalize(
                torch.linalg.cross(*(self.positions[face][:, k] - self.positions[face][:, 0] for k in (1, 2))), dim=-1
            )
            first = spread if bounce == 0 else torch.rand(len(face), len(STEPS), generator=self.random)
            out, share = self._scattered(-ray, normal, *self.material(point), first)
            kept = ((out * flat).sum(-1) > 0) & (share.sum(-1) > 0)
            alive, out, point, flat = alive[kept], out[kept], point[kept], flat[kept]
            weight = weight[kept] * share[kept]
            if not len(alive):
                break
            face, bary = self._met((point + 2e-4 * flat).contiguous(), out.contiguous())
            free = face < 0
            total[alive[free]] += weight[free] * self._sky(out[free])
            alive, weight, face, bary, ray = alive[~free], weight[~free], face[~free], bary[~free], out[~free]
        return total

    def _sky(self, way: Tensor) -> Tensor:
        """The panorama's nearest texels [n, 3]."""
        height, width = self.panorama.shape[:2]
        turn = torch.atan2(way[:, 0], -way[:, 2]) / (2 * math.pi) + 0.5 + self.rotation_deg / 360
        row = (torch.acos(way[:, 1].clamp(-1, 1)) / math.pi * height).long().clamp(0, height - 1)
        return self.panorama[row, (turn % 1 * width).long().clamp(0, width - 1)]

    def _scattered(
        self, eye: Tensor, normal: Tensor, colour: Tensor, roughness: Tensor, metallic: Tensor, first: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Where light goes on its way back from the eye: unit directions [n, 3] and what is left of it [n, 3]."""
        aside = torch.where(normal[:, :1].abs() < 0.9, torch.tensor([1.0, 0, 0]), torch.tensor([0, 1.0, 0]))
        x = F.normalize(torch.linalg.cross(aside, normal), dim=-1)
        frame = torch.stack([x, torch.linalg.cross(normal, x), normal], 1)  # rows
        local = (frame @ eye[..., None])[..., 0]
        local[:, 2] = local[:, 2].clamp(min=1e-3)
        local = F.normalize(local, dim=-1)
        out, share = self._walked(local, colour, roughness.square().clamp(min=1e-4), first[:, 0] < metallic, first)
        return (frame.transpose(1, 2) @ out[..., None])[..., 0], share

    def _walked(self, eye: Tensor, colour: Tensor, alpha: Tensor, metal: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        """A walk on the microsurface from the eye until light leaves it; local directions, z along the normal."""
        n = len(eye)
        way, share = -eye, torch.ones(n, 3)
        height = torch.full((n,), 1.0)  # the part of the surface that lies below: uniform heights
        result = torch.zeros(n, 3)
        active = torch.arange(n)
        for step in range(12):
            w, a = way[active], alpha[active]
            slope = _lambda(w, a)
            u = self._uniform(len(active))
            rising = w[:, 2] > 0
            leaves = rising & (u > 1 - height[active].clamp(min=1e-6) ** slope)
            leaves |= w[:, 2] > 0.9999
            result[active[leaves]] = w[leaves]
            active, w, a, slope, u = active[~leaves], w[~leaves], a[~leaves], slope[~leaves], u[~leaves]
            if not len(active):
                return result, share
            safe = torch.where(slope.abs() < 1e-6, torch.full_like(slope, 1e-6), slope)
            height[active] = (height[active] / (1 - u).clamp(min=1e-7) ** (1 / safe)).clamp(1e-6, 1.0)
            drawn = first[active] if step == 0 else torch.rand(len(active), len(STEPS), generator=self.random)
            facet = _visible_normal(-w, a, drawn[:, 1:3])
            cosine = (-w * facet).sum(-1).clamp(0, 1)
            f0 = torch.where(metal[active][:, None], colour[active], torch.full((3,), 0.04))
            fresnel = f0 + (1 - f0) * (1 - cosine[:, None]) ** 5
            mirrored = metal[active] | (drawn[:, 3] < fresnel[:, 0])
            share[active] *= torch.where(metal[active][:, None], fresnel, torch.where(mirrored[:, None], 1.0, colour[active]))
            way[active] = F.normalize(w + 2 * cosine[:, None] * facet, dim=-1)
            matt = active[~mirrored]  # through the coat, and out of the matt ground below in any direction
            result[matt] = _matt(drawn[~mirrored, 4:6])
            active = active[mirrored]
        share[active] = 0
        return result, share

    def _uniform(self, count: int) -> Tensor:
        return torch.rand(count, generator=self.random)


def _visible_normal(toward: Tensor, alpha: Tensor, drawn: Tensor) -> Tensor:
    stretched = F.normalize(torch.cat([toward[:, :2] * alpha[:, None], toward[:, 2:]], -1), dim=-1)
    turn, u = 2 * math.pi * drawn[:, 0], drawn[:, 1]
    z = (1 - u) * (1 + stretched[:, 2]) - stretched[:, 2]
    ring = (1 - z * z).clamp(min=0).sqrt()
    half = torch.stack([ring * turn.cos(), ring * turn.sin(), z], -1) + stretched
    return F.normalize(torch.cat([half[:, :2] * alpha[:, None], half[:, 2:]], -1), dim=-1)


def _matt(drawn: Tensor) -> Tensor:
    turn, u = 2 * math.pi * drawn[:, 0], drawn[:, 1]
    return torch.stack([u.sqrt() * turn.cos(), u.sqrt() * turn.sin(), (1 - u).sqrt()], -1)


def _lambda(way: Tensor, alpha: Tensor) -> Tensor:
    """Smith's Λ of GGX for directions [n, 3] on either side."""
    z = way[:, 2].clamp(-1 + 1e-7, 1 - 1e-7)
    steep = z / ((1 - z * z).sqrt() * alpha)
    root = (1 + 1 / steep.square().clamp(min=1e-12)).sqrt()
    return (steep.sign() * root - 1) / 2
