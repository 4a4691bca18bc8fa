"""Cuts of the atlas: where they are, how long, and what a jump is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from studio.surface.atlas import Atlas, build_atlas
from studio.surface.seams import seams
from tests.meshes import cube, cylinder, quad, two_set_box


def away(atlas: Atlas) -> torch.Tensor:
    """[S·T·T, 2] from the nearest texel of the chart to each texel, in uv: zero inside the charts."""
    size = atlas.size_px
    here, there = torch.arange(atlas.face.numel()), atlas.nearest.flatten()
    return torch.stack([here % size - there % size, here // size % size - there // size % size], -1) / size


def continued(atlas: Atlas) -> torch.Tensor:
    """The surface point as a texture, continued over the gutter: the same on both sides of every cut."""
    near = atlas.nearest.flatten()
    position, jacobian = atlas.position.flatten(0, 2)[near], atlas.jacobian.flatten(0, 2)[near]
    value = position + (jacobian @ away(atlas)[..., None])[..., 0]
    return value.reshape(atlas.position.shape).permute(0, 3, 1, 2)


@pytest.mark.parametrize(("mesh", "length"), [(cube(), 12), (cube(4), 12), (two_set_box(2), 12), (quad(4), 0)])
def test_length_of_the_cuts(mesh, length) -> None:
    side = 2 * float(mesh.vertices.max())
    assert float(seams(mesh, build_atlas(mesh, 64)).length.sum()) == pytest.approx(length * side, rel=1e-5)


def test_a_cylinder_is_cut_once() -> None:
    mesh = cylinder()
    height = float(np.ptp(mesh.vertices[:, 1]))
    assert float(seams(mesh, build_atlas(mesh, 64)).length.sum()) == pytest.approx(height, rel=1e-5)


def test_nothing_jumps_where_the_texture_follows_the_surface() -> None:
    for mesh in (cube(2), two_set_box(2)):
        atlas = build_atlas(mesh, 64)
        assert seams(mesh, atlas).jump(continued(atlas)).abs().max() < 1e-5


def test_a_jump_is_the_difference_of_the_two_charts() -> None:
    mesh = cube()
    atlas = build_atlas(mesh, 48)
    front = (atlas.claim == 0).float()[:, None]
    cuts = seams(mesh, atlas)
    jump = cuts.jump(front).abs()[:, 0]
    side = 2 * float(mesh.vertices.max())
    assert set(jump.round(decimals=5).tolist()) == {0.0, 1.0}
    assert float((jump * cuts.length).sum()) == pytest.approx(4 * side, rel=1e-5)


def test_whole_tiles_apart_is_no_cut() -> None:
    mesh = quad(2)
    uv = np.array(mesh.corner_uv)
    uv[::2] += 1
    moved = mesh.with_uv(uv, "tiles")
    assert len(seams(moved, build_atlas(moved, 32)).length) == 0


def test_gradient_of_a_jump() -> None:
    mesh = cube()
    cuts = seams(mesh, build_atlas(mesh, 16))
    texture = torch.rand(1, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: cuts.jump(t).square().mean(), texture)
