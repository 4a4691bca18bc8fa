"""What a turn of a camera changes in the bake: exact on flat faces, right to a few per cent where curved surface comes into view.

Neglected is what enters or leaves a picture, so the push lies on texels that are seen well.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch

from studio.bake import Baker
from studio.camera import Camera, ring
from studio.renderers import SOCKET as RENDERERS
from studio.renderers import Rasterizer
from studio.surface.atlas import Atlas, build_atlas
from studio.surface.mesh import Mesh
from studio.texture import Fragments
from tests.meshes import cube, torus, uv_sphere

CLOSE = Camera(azimuth_deg=40.0, elevation_deg=28.0, distance=1.5, fov_deg=30.0)
"""So near that three sides of a cube fill the whole picture."""


@functools.cache
def renderer() -> Rasterizer:
    return RENDERERS.make("embree").build(torch.device("cpu"))


def waves(views: int, px: int, seed: int = 0) -> torch.Tensor:
    """Smooth pictures [V, 3, px, px] that have nothing to do with each other."""
    source = np.random.default_rng(seed)
    y, x = np.mgrid[:px, :px] / px
    across, down, start = source.uniform(-6, 6, (3, views, 3, 1, 1))
    return torch.from_numpy(0.5 + 0.4 * np.sin(across * x + down * y + start))


def rays(camera: Camera, px: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`Camera.rays` in float64."""
    centre = (np.arange(px) + 0.5) / px * 2 - 1
    x, y = np.meshgrid(centre, -centre)
    right, up, back = camera.frame()
    plane = ((x[..., None] * right + y[..., None] * up) * camera.half_height()).reshape(-1, 3)
    if camera.orthographic:
        return torch.from_numpy(camera.position() + plane), torch.from_numpy(-back).expand(px * px, 3)
    ahead = torch.from_numpy(plane - camera.distance * back)
    return torch.from_numpy(camera.position()).expand(px * px, 3), ahead / ahead.norm(dim=-1, keepdim=True)


def score(
    mesh: Mesh, atlas: Atlas, fragments: Fragments, baker: Baker, picture: torch.Tensor, push: torch.Tensor, camera: Camera
):
    """⟨push, bake⟩ in float64, written down anew: each pixel keeps its face, its ray is cut with that face's plane."""
    face, size = fragments.face[0].flatten(), atlas.size_px
    corner = torch.from_numpy(np.asarray(mesh.vertices, np.float64)[mesh.faces])[face]
    uv = torch.from_numpy(np.asarray(mesh.corner_uv, np.float64))[face]
    edges = corner[:, 1:] - corner[:, :1]
    normal = torch.linalg.cross(edges[:, 0], edges[:, 1])
    normal = normal / normal.norm(dim=-1, keepdim=True)
    origin, ahead = rays(camera, fragments.size_px)
    facing = (ahead * normal).sum(-1, keepdim=True)
    point = origin + ahead * ((corner[:, 0] - origin) * normal).sum(-1, keepdim=True) / facing
    weights = torch.linalg.lstsq(edges.mT, (point - corner[:, 0])[..., None]).solution
    place = (uv[:, 0] + ((uv[:, 1:] - uv[:, :1]) * weights).sum(1)) * size - 0.5
    x, y = place.floor().long().unbind(-1)
    fx, fy = (place - place.floor()).unbind(-1)
    index = torch.stack([y * size + x, y * size + x + 1, (y + 1) * size + x, (y + 1) * size + x + 1], -1)
    share = torch.stack([(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy], -1)
    share = share * (atlas.claim.flatten()[index] == atlas.face_chart[face][:, None])
    share = share / share.sum(-1, keepdim=True) * facing**4
    colour = torch.cat([picture[0].flatten(1).T, torch.ones(len(face), 1, dtype=torch.float64)], 1)
    deposit = torch.zeros(size**2, 4, dtype=torch.float64)
    deposit.index_add_(0, index.flatten(), (share[..., None] * colour[:, None]).reshape(-1, 4))
    painted = deposit[baker.painted.flatten()]
    return float((baker._fill(painted[:, :3] / painted[:, 3:]) * push[0].permute(1, 2, 0).reshape(-1, 3)).sum())


def turned(camera: Camera, angle: int, by: float) -> Camera:
    name = ("azimuth_deg", "elevation_deg")[angle]
    return replace(camera, **{name: getattr(camera, name) + by})


@pytest.mark.parametrize(
    "camera",
    [CLOSE, replace(CLOSE, orthographic=True), replace(CLOSE, target=(0.05, -0.1, 0.0), elevation_deg=-30.0)],
    ids=range(3),
)
def test_on_flat_faces_it_is_the_derivative_of_the_whole_bake(camera: Camera) -> None:
    """Analytic against central differences in float64, filled texels included: 1e-4 of its length (tables are float32)."""
    mesh, atlas = cube(), build_atlas(cube(), 24)
    fragments = renderer().rasterize(mesh, (camera,), 48)
    assert fragments.mask.all()
    baker = Baker(fragments, atlas, turning=True)
    picture, push = waves(1, 48), waves(1, 24, seed=1) - 0.5
    found = baker.camera_gradient(picture, push)[0]
    of = functools.partial(score, mesh, atlas, fragments, baker, picture, push)
    h = 1e-6
    exact = torch.tensor([(of(turned(camera, a, h)) - of(turned(camera, a, -h))) / (2 * h) for a in (0, 1)])
    assert exact.norm() > 0.1
    assert (found - exact).norm() < 1e-4 * exact.norm()


@pytest.mark.parametrize(("mesh", "tolerance"), [(uv_sphere(), 0.04), (torus(), 0.25)], ids=["sphere", "torus"])
def test_on_curved_surface_it_agrees_with_new_bakes(mesh: Mesh, tolerance: float) -> None:
    """Against rasterising and baking anew from cameras ±1° away. A sphere hides nothing of itself, a torus does."""
    atlas, cameras, px = build_atlas(mesh, 64), ring(2, elevation_deg=15), 64
    pictures = waves(2, px)

    def baker(cameras: tuple[Camera, ...], turning: bool = False) -> Baker:
        return Baker(renderer().rasterize(mesh, cameras, px, supersample=2), atlas, turning=turning)

    here = baker(cameras, turning=True)
    well = (here.weight > 0.1) & atlas.valid[:, None]
    push = torch.sin(3 * atlas.position + torch.tensor([0.0, 1.0, 2.0])).permute(0, 3, 1, 2).double() * well
    differences = []
    for angle in (0, 1):
        ends = [float((baker((turned(cameras[0], angle, h), cameras[1])).bake(pictures) * push).sum()) for h in (1.0, -1.0)]
        differences.append((ends[0] - ends[1]) / 2)
    expected = torch.tensor(differences, dtype=torch.float64)
    assert (here.camera_gradient(pictures, push)[0] - expected).norm() < tolerance * expected.norm()


def test_a_baker_that_was_not_asked_to_cannot_turn() -> None:
    fragments = renderer().rasterize(cube(), (CLOSE,), 16)
    with pytest.raises(AssertionError, match="turn"):
        Baker(fragments, build_atlas(cube(), 24)).camera_gradient(waves(1, 16), waves(1, 24))
