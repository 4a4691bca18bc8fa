"""Captions say what is painted, in words the generator knows; patterns agree between views."""

from __future__ import annotations

import random

import pytest
import torch

from studio.generators._multiview import Vocabulary
from studio.pretrain import corpus
from studio.pretrain.evaluate import PROMPTS, shares
from studio.pretrain.solid import Volumes


@pytest.fixture(scope="module")
def volumes() -> Volumes:
    return Volumes.make(torch.device("cpu"), cell_res=24)


def ball(px: int = 40) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Position and normal [1, 1, 3, h, w] of a ball of radius 0.8, and its mask."""
    c = (torch.arange(px) + 0.5) / px * 2 - 1
    x, y = torch.meshgrid(c, -c, indexing="xy")
    z2 = 0.64 - x**2 - y**2
    p = torch.stack([x, y, z2.clamp(min=0).sqrt()])[None, None]
    return p, p / 0.8, (z2 > 0)[None, None]


def test_the_shipped_vocabulary_is_the_corpus() -> None:
    assert list(Vocabulary.read().words) == corpus.vocabulary()


def test_every_caption_is_known_and_fits() -> None:
    r, v = random.Random(0), Vocabulary.read()
    for name in corpus.MATERIALS:
        for _ in range(40):
            caption = corpus.sample(r, name).caption
            assert not v.sorted_out(caption).unknown and len(v.split(caption)) <= 16 and "{" not in caption


def test_evaluation_prompts_are_known() -> None:
    v = Vocabulary.read()
    assert len(PROMPTS) == 40 and all(not v.sorted_out(p).unknown for p, _, _ in PROMPTS)
    assert all(right in corpus.COLOURS and wrong in corpus.COLOURS and right != wrong for _, right, wrong in PROMPTS)


def test_named_colours_are_their_own_nearest() -> None:
    for name, value in corpus.COLOURS.items():
        picture = torch.tensor(value).view(1, 3, 1, 1).expand(1, 3, 4, 4)
        assert shares(picture, torch.ones(1, 1, 4, 4))[name] == 1


@pytest.mark.parametrize("material", list(corpus.MATERIALS))
def test_a_material_is_finite_in_range_and_repeatable(material: str, volumes: Volumes) -> None:
    p, n, _ = ball()
    s = corpus.sample(random.Random(3), material)
    a = corpus.paint([s], p, n, volumes)
    assert a.shape == p.shape and a.isfinite().all() and a.min() >= 0 and a.max() <= 1
    assert torch.equal(a, corpus.paint([s], p, n, volumes))


def test_views_agree_and_batches_do_not_mix(volumes: Volumes) -> None:
    p, n, _ = ball()
    samples = corpus.draw(random.Random(1), 6, group=2)
    assert [s.material for s in samples[::2]] == [s.material for s in samples[1::2]]
    views = torch.cat([p, p.flip(-1)], 1), torch.cat([n, n.flip(-1)], 1)
    together = corpus.paint(samples, *(v.expand(6, -1, -1, -1, -1) for v in views), volumes)
    for i, s in enumerate(samples):
        assert torch.allclose(corpus.paint([s], *views, volumes), together[i : i + 1], atol=1e-4)
    assert torch.allclose(together[:, 0], together[:, 1].flip(-1), atol=1e-4)


def test_the_first_named_colour_is_there(volumes: Volumes) -> None:
    """Two-colour materials show the colour that the sentence names first on more than a quarter of the surface."""
    p, n, mask = ball(64)
    r = random.Random(5)
    for material in ("plain", "stripes", "checks", "dots", "bricks", "marble", "zigzag", "halves", "splatter", "mosaic"):
        s = corpus.sample(r, material)
        while not s.colours or "dark" in s.caption or "light" in s.caption or "pale" in s.caption or "deep" in s.caption:
            s = corpus.sample(r, material)
        a = torch.tensor(s.a).view(1, 3, 1, 1)
        near = (corpus.paint([s], p, n, volumes)[0] - a).norm(dim=1, keepdim=True) < 0.25
        assert near[mask].float().mean() > 0.25, s.caption
