"""Effects lie where the mesh says, and painting leaves the rest alone."""

from __future__ import annotations

import dataclasses
import random

import pytest
import torch

from studio.errors import StudioError
from studio.generators._solid import Volumes
from studio.pretrain import corpus, effects


def block(px: int = 32) -> torch.Tensor:
    """A rig [1, 2, 9, h, w]: a wall seen from +z with a convex edge at its top and a closed concave corner at its foot, and a
    level floor seen from above."""
    c = (torch.arange(px) + 0.5) / px * 2 - 1
    x, y = torch.meshgrid(c, -c, indexing="xy")
    one, nil = torch.ones_like(x), torch.zeros_like(x)
    curvature = (y > 0.8).float() - (y < -0.8).float()
    wall = torch.stack([x, y, nil, nil, nil, one, one, curvature, torch.where(y < -0.8, 0.3, 1.0)])
    floor = torch.stack([x, nil - 1, -y, nil, one, nil, one, nil, one])
    return torch.stack([wall, floor])[None] * 0.8


def rig() -> torch.Tensor:
    r = block()
    r[:, :, 3:9] /= 0.8  # only positions are in work units
    return r


def test_masks_lie_where_the_mesh_says() -> None:
    r, y = rig(), rig()[0, 0, 1]
    found = {name: effects.mask(name, r)[0, :, 0] for name in effects.EFFECTS}
    assert all(m.shape == (2, 32, 32) and m.min() >= 0 and m.max() <= 1 for m in found.values())
    for name in ("worn edges", "trim"):
        assert torch.equal(found[name][0] > 0.5, y > 0.64) and not found[name][1].any()
    assert torch.equal(found["dirt"][0] > 0.5, y < -0.64)
    for name in ("moss", "snow", "dust"):
        assert not found[name][0].any() and found[name][1].min() == 1
    height = (y - y.min()) / (y.max() - y.min())
    assert torch.equal(found["lower half"][0] > 0.5, height < 0.5)
    assert (height[found["rim"][0] > 0.5] > 0.85).all() and (height[found["band"][0] > 0.5] - 0.5).abs().max() < 0.1
    assert 0.05 < found["streaks"][0].mean() < 0.5 and not found["streaks"][1].any()


def test_more_is_more() -> None:
    for name in ("moss", "band", "rim"):
        few, usual, many = (effects.mask(name, _hill(), amount=a).sum() for a in (0.6, 1.0, 1.5))
        assert few < usual < many, name


def _hill(px: int = 64) -> torch.Tensor:
    """A half-cylinder, its normals turning from level to upright."""
    r = torch.zeros(1, 1, 9, px, px)
    angle = torch.linspace(-1.5, 1.5, px)[:, None].expand(px, px)
    r[0, 0, 1], r[0, 0, 4], r[0, 0, 5], r[0, 0, 6], r[0, 0, 8] = angle.sin(), angle.sin(), angle.cos(), 1, 1
    return r


@pytest.mark.parametrize("name", list(effects.EFFECTS))
def test_only_the_masked_part_changes(name: str) -> None:
    """With its ragged border a band's width away, the coat is the same with and without the effect."""
    volumes = Volumes.make(torch.device("cpu"), cell_res=16)
    r = random.Random(1)
    s = corpus.sample(r, "bricks")
    bare = dataclasses.replace(s, effect="", style="")
    with_it = dataclasses.replace(bare, effect=name, over=(0.1, 0.2, 0.9, 0.4, 0.0))
    a, b = (corpus.paint_told([x], rig(), volumes)[0] for x in (bare, with_it))
    core = effects.mask(name, rig())[0]
    moved = (a - b)[:, :6].abs().amax(1, keepdim=True)
    assert moved[core == 1].mean() > 0.1 and moved[core == 0].mean() < 0.03
    assert not a[:, 8:].any() and b[:, 8:][core == 1].mean() > 0.9 and b[:, 8:][core == 0].mean() < 0.1, "its share is told"


def test_an_unknown_effect_is_refused() -> None:
    with pytest.raises(StudioError, match="no effect"):
        effects.mask("worn edge", rig())


def test_the_ink_of_an_effect_is_that_which_is_laid() -> None:
    """What a reader is to learn of moss, snow and worn edges; dust lets some of the ground through, moss has tones."""
    r, seen = random.Random(0), set[str]()
    while len(seen) < len(effects.EFFECTS):
        s = corpus.sample(r, "plain")
        if s.effect and s.effect not in seen and not s.style:
            seen.add(s.effect)
            told = corpus.paint_told([s], rig(), Volumes.make(torch.device("cpu"), cell_res=8))[0]
            there = told[:, 8] > 0.99
            if there.any():
                mean = told.movedim(1, -1)[there][:, :3].mean(0)
                assert (mean - torch.tensor(s.over[:3])).abs().max() < 0.13, s.caption
