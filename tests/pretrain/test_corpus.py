"""Captions say what is painted, in words the generator can know; patterns agree between views; held-out pairs stay out."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest
import torch

from studio.errors import StudioError
from studio.generators._solid import Volumes
from studio.pretrain import colours, corpus, materials
from studio.pretrain.effects import EFFECTS
from studio.words import Vocabulary


@pytest.fixture(scope="module")
def volumes() -> Volumes:
    return Volumes.make(torch.device("cpu"), cell_res=24)


@pytest.fixture(scope="module")
def captions() -> list[corpus.Sample]:
    r = random.Random(0)
    return [corpus.sample(r, name) for name in corpus.MATERIALS for _ in range(60)]


def ball(px: int = 40) -> torch.Tensor:
    """A rig [1, 1, 9, h, w] of a ball of radius 0.8: all of it open and a little convex."""
    c = (torch.arange(px) + 0.5) / px * 2 - 1
    x, y = torch.meshgrid(c, -c, indexing="xy")
    z2 = 0.64 - x**2 - y**2
    p = torch.stack([x, y, z2.clamp(min=0).sqrt()])
    mask = (z2 > 0).float()[None]
    return (torch.cat([p, p / 0.8, mask, 0.2 * mask, mask]) * mask)[None, None]


def plainly(r: random.Random, material: str) -> corpus.Sample:
    """A sample without style and effect that names a colour just so."""
    while True:
        s = corpus.sample(r, material)
        if s.colours and s.exact and not s.style and not s.effect and "{m}" not in s.caption:
            return s


def test_every_caption_is_known_and_fits(captions) -> None:
    v = Vocabulary(corpus.vocabulary())
    assert len(v.words) <= 420
    for s in captions:
        assert not v.sorted_out(s.caption).unknown and len(v.split(s.caption)) <= corpus.LONGEST and "{" not in s.caption


def test_the_tables_are_as_large_as_promised() -> None:
    assert len(corpus.MATERIALS) >= 45 and len(colours.COLOURS) == 24 and len(EFFECTS) == 10
    for sentence in (x for m in materials.MATERIALS.values() for x in m.sentences):
        assert set(re.findall(r"\{(.)\}", sentence)) <= set("abcmsn")


def test_the_papers_prompts_are_inside_the_grammar() -> None:
    v = Vocabulary(corpus.vocabulary())
    for prompt in ("a checkerboard-patterned bunny", "red bricks with rough mortar and slightly worn edges", "a golden vase",
                   "rusty iron with snow on top", "wet stone"):  # fmt: skip
        assert not v.sorted_out(prompt).unknown
    sentences = {x for m in materials.MATERIALS.values() for x in m.sentences}
    assert "{a} bricks with rough mortar" in sentences and "a {s} checkerboard-patterned {n}" in sentences


@pytest.mark.parametrize("material", list(corpus.MATERIALS))
def test_a_material_is_finite_in_range_and_repeatable(material: str, volumes: Volumes) -> None:
    rig, s = ball(), corpus.sample(random.Random(3), material)
    a = corpus.paint([s], rig, volumes)
    assert a.shape == (1, 1, 6, 40, 40) and a.isfinite().all() and a.min() >= 0 and a.max() <= 1
    assert not (a * (1 - rig[:, :, 6:7])).any() and torch.equal(a, corpus.paint([s], rig, volumes))


def test_views_agree_and_batches_do_not_mix(volumes: Volumes) -> None:
    samples = corpus.draw(random.Random(1), 8, group=4)
    assert [s.material for s in samples[:4]] == [samples[0].material] * 4
    rig = ball()
    views = torch.cat([rig, rig.flip(-1)], 1).expand(8, -1, -1, -1, -1)
    together = corpus.paint(samples, views, volumes)
    for i, s in enumerate(samples):
        assert torch.allclose(corpus.paint([s], views[:1], volumes), together[i : i + 1], atol=1e-4)
    assert torch.allclose(together[:, 0], together[:, 1].flip(-1), atol=1e-4)


def test_the_first_named_colour_is_there(volumes: Volumes) -> None:
    """Materials of two colours show the one that the sentence names first on more than a quarter of the surface."""
    rig, r = ball(64), random.Random(5)
    for material in ("plain", "stripes", "checks", "dots", "tiles", "zigzag", "halves", "splatter", "stars", "felt"):
        s = plainly(r, material)
        near = (corpus.paint([s], rig, volumes)[0, :, :3] - torch.tensor(s.a[:3]).view(1, 3, 1, 1)).norm(dim=1) < 0.25
        assert near[rig[0, :, 6] > 0].float().mean() > 0.25, s.caption


@pytest.mark.parametrize("material", ["stripes", "checks", "dots", "zigzag", "tiles", "halves"])
def test_shares_say_where_the_second_ink_lies(material: str, volumes: Volumes) -> None:
    """With other colours the shares are the same; where they are 0 or 1 the picture has one ink or the other."""
    rig, r = ball(64), random.Random(7)
    s = plainly(r, material)
    while len(s.colours) != 2:
        s = plainly(r, material)
    other = replace(s, a=(0.1, 0.2, 0.9, 0.5, 0.0), b=(0.9, 0.8, 0.1, 0.5, 0.0), c=(0.9, 0.8, 0.1, 0.5, 0.0))
    one, two = (corpus.paint_told([x], rig, volumes)[0, 0] for x in (s, other))
    assert torch.equal(one[6:], two[6:]) and not one[7].any()
    inside = rig[0, 0, 6] > 0
    share = two[6][inside]
    red = two[0][inside]
    assert share.max() > 0.95 and 0.02 < share.mean() < 0.98
    assert red[share > 0.99].mean() > 0.6 > 0.3 > red[share < 0.01].mean()


def test_channels_follow_the_words(volumes: Volumes) -> None:
    """Gold is smooth metal, rust mostly is not; felt is rough, wet is smooth and darker; a gold stripe is metal."""
    rig, r = ball(), random.Random(2)
    inside = rig[0, 0, 6] > 0

    def means(material: str, want) -> torch.Tensor:
        s = corpus.sample(r, material)
        while not want(s) or s.effect:
            s = corpus.sample(r, material)
        return corpus.paint([s], rig, volumes)[0, 0][:, inside].mean(1)

    gold = means("metal", lambda s: s.colours == ("gold",) and not s.style)
    rust = means("rust", lambda s: not s.style)
    felt = means("felt", lambda s: not s.style)
    stone, wet = (means("cobbles", lambda s, style=style: s.style == style and not s.colours) for style in ("", "wet"))
    plain = set(colours.COLOURS)
    stripes = means("stripes", lambda s: s.colours[0] == "gold" and not s.style and plain.issuperset(s.colours[1:]))
    assert gold[4] > 0.95 and gold[3] < 0.35 and rust[4] < 0.5 and rust[3] > 0.6 and felt[3] > 0.9
    assert wet[3] < 0.15 < stone[3] and wet[:3].mean() < stone[:3].mean() and 0.3 < stripes[4] < 0.7


def test_held_out_pairs_are_drawn_only_when_asked() -> None:
    r, kept = random.Random(4), corpus.held_out()
    assert len(kept) > 150 and all(m in corpus.MATERIALS and (w in colours.COLOURS or w in EFFECTS) for m, w in kept)
    assert all(kept.isdisjoint(s.pairs) for s in corpus.draw(r, 400, group=1))
    assert all(not kept.isdisjoint(s.pairs) for s in corpus.draw(r, 60, group=1, held_out=True))


def test_an_unknown_material_is_refused() -> None:
    with pytest.raises(StudioError, match="no material"):
        corpus.sample(random.Random(0), "marbel")
