"""Filling an atlas: exact on constants, within charts, linear."""

from __future__ import annotations

import torch

from studio.surface.atlas import build_atlas
from studio.surface.fill import Fill
from tests.meshes import cube, quad, two_set_box


def filled(fill: Fill, painted: torch.Tensor, texture: torch.Tensor) -> torch.Tensor:
    return fill(texture.permute(0, 2, 3, 1)[painted]).reshape(*painted.shape, -1).permute(0, 3, 1, 2)


def test_painted_texels_come_through_untouched() -> None:
    atlas = build_atlas(two_set_box(), 32)
    painted = atlas.valid & (torch.rand(atlas.face.shape, generator=torch.Generator().manual_seed(0)) < 0.2)
    texture = torch.rand(2, 3, 32, 32)
    out = filled(Fill(atlas, painted), painted, texture)
    assert torch.equal(out.permute(0, 2, 3, 1)[painted], texture.permute(0, 2, 3, 1)[painted])


def test_each_chart_is_filled_from_itself() -> None:
    """One painted texel per chart, in the chart's own colour, colours all of it and its gutter."""
    atlas = build_atlas(cube(), 48)
    painted = torch.zeros(1, 48, 48, dtype=torch.bool)
    for chart in range(6):
        _, y, x = (atlas.chart == chart).nonzero()[chart * 7]
        painted[0, y, x] = True
    out = filled(Fill(atlas, painted), painted, atlas.claim[:, None].double())
    assert torch.equal(out[:, 0], atlas.claim.double())


def test_a_hole_is_filled_smoothly() -> None:
    """In a ramp with a disc cut out, the disc is a ramp again to within a few texels' worth."""
    atlas = build_atlas(quad(), 64)
    y, x = (i.double() for i in torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij"))
    hole = ((x - 30) ** 2 + (y - 33) ** 2 < 12**2)[None]
    out = filled(Fill(atlas, ~hole), ~hole, x[None, None] / 64)
    assert (out[0, 0] - x / 64)[hole[0]].abs().max() < 0.1
    assert (out[0, 0].diff(dim=1)).abs().max() < 0.1


def test_gradient_is_exact_and_keeps_the_total() -> None:
    atlas = build_atlas(cube(), 16)
    painted = atlas.valid & (torch.arange(16) % 3 == 0)
    fill = Fill(atlas, painted)
    x = torch.rand(int(painted.sum()), 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(fill, x)
    (grad,) = torch.autograd.grad(fill(x).sum(), x)
    torch.testing.assert_close(grad.sum(), torch.tensor(256.0, dtype=torch.float64), rtol=1e-6, atol=0)


def test_an_unseen_chart_takes_what_is_nearest_in_space() -> None:
    """Only the top of a cube is painted, left to right: its walls continue it downwards, the bottom lies beyond."""
    atlas = build_atlas(cube(), 48)
    painted = atlas.chart == 4
    out = filled(Fill(atlas, painted), painted, atlas.position.permute(0, 3, 1, 2).double())
    front = atlas.chart[0] == 0
    assert (out[0, 0] - atlas.position[0, ..., 0])[front].abs().max() < 0.085  # a texel
    assert (out[0, 2][front] > 0.45).all()


def test_sets_without_faces_stay_empty() -> None:
    atlas = build_atlas(two_set_box(), 32)
    painted = atlas.valid.clone()
    painted[1] = False  # nothing of the lid is painted: it takes the walls' colours
    assert filled(Fill(atlas, painted), painted, torch.ones(2, 1, 32, 32)).eq(1).all()
