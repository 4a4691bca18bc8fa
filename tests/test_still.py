"""Stills: the mesh stands on a floor that it shades, and hides light from itself only where it is hollow."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from studio import environment, resources
from studio.camera import Camera
from studio.renderers import SOCKET, Rasterizer, build
from studio.shadow import importance, reached, unhidden
from studio.still import LAMPS, Stage, still
from studio.surface.atlas import Atlas, build_atlas
from studio.surface.fill import Fill
from studio.surface.mesh import Mesh, load
from studio.surface.occlusion import Occlusion
from studio.texture import Texture
from tests.meshes import cube, uv_sphere


@cache
def rasterizer() -> Rasterizer:
    return build("auto", torch.device("cpu"))[0]


def photographed(mesh: Mesh, camera: Camera, light: str = "softbox") -> torch.Tensor:
    return still(mesh, build_atlas(mesh, 32), Texture.flat(mesh, 32), camera, environment.load(light), rasterizer(), 48)


def test_the_floor_is_darker_beside_the_mesh() -> None:
    """The pool of light is symmetric; below the cube's foot the floor lies in its shadow."""
    picture = photographed(cube(), Camera(45, 20))
    assert picture.shape == (3, 48, 48) and picture.min() >= 0 and picture.max() <= 1
    plain = photographed(cube(), Camera(45, -20))  # the floor is not seen from below
    grey = picture.mean(0) - plain.mean(0)
    assert grey[44, 18:30].mean() < -0.02, "in front of the cube"
    assert grey[2].abs().max() < 1e-5, "at the top there is no floor near enough"


def test_a_convex_mesh_hides_no_light_from_itself_and_a_box_all_from_its_inside() -> None:
    lamps, strength = importance(environment.load("softbox"), LAMPS)
    torch.testing.assert_close(lamps.norm(dim=-1), torch.ones(len(lamps)))
    ball = uv_sphere()
    n = torch.nn.functional.normalize(torch.randn(64, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    free = unhidden(n, lamps, strength, reached(Occlusion(ball), 0.9 * n, n, lamps))
    assert free.min() > 0.98
    inside = unhidden(n, lamps, strength, reached(Occlusion(cube()), 0.3 * n, n, lamps))
    assert inside.abs().max() == 0


def test_half_of_an_even_sky_is_hidden_behind_a_wall() -> None:
    wall = Mesh.from_arrays(np.array([[0, -1, -1], [0, 1, -1], [0, 1, 1], [0, -1, 1]]) * 1.0, np.array([[0, 1, 2], [0, 2, 3]]))
    lamps, strength = importance(environment.load("white"), LAMPS)
    foot = torch.tensor([[0.003, 0.0, 0.0]])
    up = torch.tensor([[0.0, 1.0, 0.0]])
    passing = unhidden(up, lamps, strength, reached(Occlusion(wall), foot, up, lamps))
    assert abs(float(passing) - 0.5) < 0.06  # the wall is high and wide as seen from its foot


def test_one_stage_serves_many_textures() -> None:
    mesh = cube()
    stage = Stage(mesh, build_atlas(mesh, 32), [Camera(30, 20), Camera(200, 20)], environment.load("softbox"), rasterizer(), 32)
    grey = Texture.flat(mesh, 32)
    red = grey.with_channel("base_color", torch.tensor([0.8, 0.1, 0.1])[None, :, None, None].expand(1, 3, 32, 32))
    first, second = stage(grey), stage(red)
    assert first.shape == second.shape == (2, 3, 32, 32)
    assert torch.equal(stage(grey), first)
    changed = (first - second).abs().amax(1) > 1e-6
    assert changed[:, 16, 16].all() and not changed[:, 0, 0].any()


def striped(mesh: Mesh, atlas: Atlas) -> Texture:
    """Level red and white bands, by the height of each texel; glossy towards +x, matt towards −x."""
    place = torch.einsum("nhwk,nhwkc->nhwc", atlas.bary, atlas.corners.position[atlas.face.long().clamp(min=0)])
    red, white = torch.tensor([0.75, 0.1, 0.08]), torch.tensor([0.92, 0.9, 0.86])
    colour = torch.where((5 * place[..., 1:2]).floor() % 2 == 0, red, white)
    rough = torch.where(place[..., :1] > 0, 0.15, 0.8)
    looks = Fill(atlas, atlas.valid)(torch.cat([colour, rough], -1)[atlas.valid])
    looks = looks.reshape(*atlas.valid.shape, 4).permute(0, 3, 1, 2)
    return Texture.flat(mesh, atlas.size_px).with_channel("base_color", looks[:, :3]).with_channel("roughness", looks[:, 3:])


def test_the_picture_of_a_mug_is_the_one_we_have_looked_at() -> None:
    """Golden picture. What must be seen in `golden/mug.png`: a mug whole in the frame, open towards us from above, its handle on
    the right with the backdrop seen through it; level red and white bands, ragged by a texel, that run on across the seams of
    the atlas without gap or jump; the inside of the mug dim, darkest at the left; right of the middle it is glossy, so that the
    rim catches the light there, and matt to the left; a soft shadow on the floor around its foot; a backdrop brightest behind
    the mug; no black or white speckles. After a change that is meant to be seen, look at the new picture, then replace it."""
    mesh = load(resources.sample("mug"))
    atlas = build_atlas(mesh, 256)
    rays = SOCKET.make("embree").build(torch.device("cpu"))
    picture = still(mesh, atlas, striped(mesh, atlas), Camera(25, 20), environment.load("softbox"), rays, 112)
    golden = Image.open(Path(__file__).with_name("golden") / "mug.png")
    expected = torch.from_numpy(np.array(golden)).movedim(-1, 0) / 255
    off = (picture - expected).abs()
    assert off.mean() < 1 / 255 and (off.amax(0) > 16 / 255).float().mean() < 0.005
