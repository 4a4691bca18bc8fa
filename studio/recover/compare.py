"""How far apart two sets of materials are, measured on the surface, never in pictures alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.errors import MeshError
from studio.surface.atlas import Atlas, build_atlas
from studio.surface.mesh import Mesh
from studio.texture import Texture, linear_from_srgb

CHANNELS = ("base_color", "roughness", "metallic")
POINTS = 100_000
DARK = 0.03
"""Surface whose linear base colour is below this on average is dark: there gloss and metal are hard to tell."""
GLOSSY = 0.35
"""Roughness below this is gloss."""


def errors(found: Texture, truth: Texture, where: Tensor | None = None) -> dict[str, float]:
    """Mean |difference| of each channel that both have, over texels `where` [S, T, T] (all, if None); base colour in sRGB.

    The truth is resampled to the found texture's size.
    """
    result = {}
    for name, channel in found.channels.items():
        if name in truth.channels:
            wanted = truth.channels[name].to(channel)
            if wanted.shape != channel.shape:
                options = {"mode": "bilinear", "antialias": True, "align_corners": False}
                wanted = F.interpolate(wanted, size=channel.shape[-2:], **options)
            away = (channel - wanted).abs().mean(1)
            result[name] = float(away.mean() if where is None else away[where.to(away.device)].mean())
    return result


def compare(a: Mesh, b: Mesh, *, size_px: int = 1024) -> dict[str, Any]:
    """The materials of mesh `b` against those of `a`, the truth: per texel where UVs are the same, else at surface points.

    Points are drawn evenly by area on `a`, and looked up at the nearest place of `b`, both in work space. Gives mean and
    root-mean-square differences per channel, and what became of dark surface. Raises MeshError for meshes without UVs.
    """
    for mesh in (a, b):
        if mesh.corner_uv is None:
            raise MeshError(f"'{mesh.name}' has no texture coordinates, so it has no materials to compare.", "Unwrap it first.")
    same = a.hash == b.hash or _same_layout(a, b)
    atlas = build_atlas(a, size_px)
    if same:
        rows, place = _texels(atlas), "texels"
        ours, theirs = (_rows(Texture.from_mesh(m, size_px)).reshape(-1, 5)[rows] for m in (a, b))
    else:
        place = "surface points"
        points, faces, bary = _drawn(a)
        ours = _fetched(a, atlas, faces, bary)
        theirs = _fetched(b, build_atlas(b, size_px), *_nearest(b, points))
    return {"compared": place, "count": len(ours), **differences(ours, theirs)}


def differences(truth: Tensor, found: Tensor) -> dict[str, Any]:
    """Of rows [n, 5] (sRGB, roughness, metallic): per-channel errors and the confusion of dark surface."""
    result: dict[str, Any] = {}
    for name, part in zip(CHANNELS, (slice(0, 3), slice(3, 4), slice(4, 5)), strict=True):
        away = (truth[:, part] - found[:, part]).abs()
        result[name] = {"mean": float(away.mean()), "rms": float(away.square().mean().sqrt())}
    return {**result, "dark": dark_gloss(truth, found)}


def dark_gloss(truth: Tensor, found: Tensor) -> Mapping[str, Any]:
    """What became of dark surface, rows [n, 5]: shares of what it is (first) that was taken for something else (second).

    A black dielectric and a metal of albedo 0.04 look alike, so this is where recovery goes wrong first.
    """
    dark = linear_from_srgb(truth[:, :3]).mean(1) < DARK

    def share(of: Tensor, taken: Tensor) -> float | None:
        return float((of & taken).sum() / of.sum()) if bool(of.any()) else None

    metal, seems_metal = truth[:, 4] > 0.5, found[:, 4] > 0.5
    gloss, seems_gloss = truth[:, 3] < GLOSSY, found[:, 3] < GLOSSY
    return {
        "share": float(dark.float().mean()),
        "dielectric taken for metal": share(dark & ~metal, seems_metal),
        "metal taken for dielectric": share(dark & metal, ~seems_metal),
        "glossy taken for rough": share(dark & gloss, ~seems_gloss),
        "rough taken for glossy": share(dark & ~gloss, seems_gloss),
    }


def _rows(texture: Texture) -> Tensor:
    return torch.cat([texture.channels[name] for name in CHANNELS], 1).movedim(1, -1)


def _texels(atlas: Atlas) -> Tensor:
    return atlas.valid.flatten().nonzero()[:, 0]


def _same_layout(a: Mesh, b: Mesh) -> bool:
    """Same faces on the same UVs, whatever the materials are called."""
    if a.corner_uv is None or b.corner_uv is None or a.corner_uv.shape != b.corner_uv.shape:
        return False
    sets = len(a.sets) == len(b.sets) and np.array_equal(a.face_set, b.face_set)
    return (
        sets
        and np.allclose(a.corner_uv, b.corner_uv, atol=1e-6)
        and np.allclose(a.vertices[a.faces], b.vertices[b.faces], atol=1e-4)
    )


def _drawn(mesh: Mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """POINTS points [n, 3], evenly by area, their faces [n] and weights [n, 3]; always the same."""
    random = np.random.default_rng(0)
    corners = np.asarray(mesh.vertices, np.float64)[mesh.faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    faces = random.choice(len(area), POINTS, p=area / area.sum())
    r, s = np.sqrt(random.random(POINTS)), random.random(POINTS)
    bary = np.stack([1 - r, r * (1 - s), r * s], 1)
    return (corners[faces] * bary[..., None]).sum(1), faces, bary


def _nearest(mesh: Mesh, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The face [n] nearest to each point and the weights [n, 3] of its corners there."""
    import igl

    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    _, face, place = igl.point_mesh_squared_distance(points, vertices, faces)
    a, b, c = (np.ascontiguousarray(vertices[faces[face, k]]) for k in range(3))
    return face, igl.barycentric_coordinates(np.ascontiguousarray(place), a, b, c)


def _fetched(mesh: Mesh, atlas: Atlas, faces: np.ndarray, bary: np.ndarray) -> Tensor:
    """Rows [n, 5] of the mesh's own materials at places of its surface."""
    rows = _rows(Texture.from_mesh(mesh, atlas.size_px)).reshape(-1, 5)
    face, weight = torch.from_numpy(np.asarray(faces)).long(), torch.from_numpy(np.asarray(bary)).float()
    assert atlas.corners.uv is not None
    uv = (atlas.corners.uv[face] * weight[..., None]).sum(1)
    index, share = atlas.taps(atlas.corners.face_set[face], uv, atlas.face_chart[face])
    return (rows[index.long()] * share[..., None]).sum(1)
