"""Solid fields: endless, the same from every view, and a seed's own; the frame passes through denoising untouched."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from studio.generators import _solid
from studio.generators._multiview import MultiView
from studio.generators._network import Denoiser, Size
from studio.generators._solid import CELLS, CODE, FIELDS, LOOSE, PLACES, WAVES, Volumes
from studio.replay import drain, replay, sample
from studio.words import Vocabulary

SIZE = Size(
    view_px=32, channels=(8, 16, 16), heads=(1, 2, 2), head_channels=4, head_layers=1, text_channels=16, text_layers=1, groups=4,
    painted=6, geometry=9, waves=4, cell=0.05, mixed=2,
)  # fmt: skip
WORDS = Vocabulary(["blue", "stripes"])


@pytest.fixture(scope="module")
def volumes() -> Volumes:
    return Volumes.make(torch.device("cpu"), cell_res=24)


@pytest.fixture
def painter(volumes: Volumes, monkeypatch: pytest.MonkeyPatch) -> MultiView:
    monkeypatch.setattr(_solid, "volumes", lambda device: volumes)
    torch.manual_seed(0)
    network = Denoiser(SIZE, len(WORDS.words)).double()
    return MultiView(network, WORDS, steps=3, guidance=2.0, eta=1.0)


def geometry(views: int = 2) -> torch.Tensor:
    g = torch.Generator().manual_seed(1)
    normal = torch.nn.functional.normalize(torch.randn(views, 3, 32, 32, generator=g), dim=1)
    rest = torch.ones(views, 3, 32, 32)
    return torch.cat([torch.rand(views, 3, 32, 32, generator=g) * 2 - 1, normal, rest], 1).double()


def test_there_are_as_many_fields_as_said_and_none_is_larger_than_the_others(volumes: Volumes) -> None:
    q, n = torch.rand(4096, 3) * 30, torch.nn.functional.normalize(torch.randn(4096, 3), dim=1)
    found = _solid.fields(q, n, volumes)
    assert found.shape == (4096, FIELDS) and found.isfinite().all()
    assert 0.2 < found.std(0).min() and found.std(0).max() < 1.5


def test_fields_are_endless(volumes: Volumes) -> None:
    """They repeat after whole periods, and a step across the border of a period is no larger than others."""
    q = torch.rand(500, 3) * 3
    assert torch.allclose(volumes.smooth(q), volumes.smooth(q + WAVES), atol=1e-4)
    assert torch.allclose(volumes.cells(q)[0], volumes.cells(q + CELLS)[0], atol=1e-4)
    line = torch.zeros(2001, 3)
    line[:, 0] = torch.linspace(WAVES - 1, WAVES + 1, 2001)
    steps = volumes.smooth(line).diff(dim=0).abs()
    assert steps[999:1001].max() <= steps.max()


def test_a_cells_seed_is_nearer_than_its_border_is_far(volumes: Volumes) -> None:
    q = torch.rand(2000, 3) * CELLS
    centre, border, number = volumes.cells(q)
    assert centre.min() >= 0 and border.min() >= -1e-6 and 0 <= number.min() and number.max() <= 1
    assert torch.corrcoef(torch.stack([centre, border]))[0, 1] < -0.3, "near the seed one is far from the border"


def test_motifs_of_one_and_two_units_do_not_notice_where_a_frame_lies() -> None:
    places = {tuple(_solid.place(torch.Generator().manual_seed(seed)).tolist()) for seed in range(64)}
    assert len(places) > 40 and all(x == z % 1 or (x % 1) == (z % 1) for x, _, z in places)
    assert all(0 <= c <= 2 * PLACES for at in places for c in at)
    assert {c % 0.5 for at in places for c in at} == {0.0}


def test_a_frame_passes_through_denoising_untouched(painter: MultiView) -> None:
    scene = painter.scene_of("blue stripes", geometry())
    x = painter.noise(scene, generator=torch.Generator().manual_seed(3))
    assert x.shape == (2, 6 + CODE, 32, 32)
    after = painter.advance(x, painter.predict(x, 0, scene), 0, scene, noise=painter.noise(scene, generator=torch.Generator()))
    assert torch.equal(after[:, 6:], x[:, 6:]) and not torch.equal(after[:, :6], x[:, :6])
    assert painter.decode(after, scene).shape == (2, 6, 32, 32)
    other = painter.noise(scene, generator=torch.Generator().manual_seed(4))
    assert not torch.equal(other[:, 6:], x[:, 6:]), "another seed, another frame"


def test_a_seeds_unit_is_about_what_the_words_make_likely(painter: MultiView) -> None:
    scene = painter.scene_of("blue stripes", geometry())
    usual = float(painter.network.usual_unit(scene.text[:1]))
    for seed in range(8):
        told = painter.noise(scene, generator=torch.Generator().manual_seed(seed))[:, 9]
        assert told.std() < 1e-12 and abs(float(told.mean()) - usual) <= LOOSE + 1e-9


def test_the_fields_reach_the_pictures(painter: MultiView) -> None:
    """The same noise in another frame is painted otherwise."""
    scene = painter.scene_of("blue stripes", geometry())
    x = painter.noise(scene, generator=torch.Generator().manual_seed(3))
    moved = torch.cat([x[:, :6], x[:, 6:9] + 0.25, x[:, 9:]], 1)
    assert (painter.predict(x, 0, scene) - painter.predict(moved, 0, scene)).abs().max() > 1e-3


def test_the_replayed_gradient_is_that_of_autograd(painter: MultiView) -> None:
    painter.add_lora(rank=2)
    for p in painter.lora_parameters():
        torch.nn.init.normal_(p, std=0.3)
    scene = painter.scene_of("blue stripes", geometry())
    rollout = drain(sample(painter, scene, seed=5))
    push = torch.randn(painter.decode(rollout.x0, scene).shape, generator=torch.Generator().manual_seed(6)).double()
    drain(replay(painter, scene, rollout, push, truncation=3))
    replayed = [p.grad.clone() for p in painter.lora_parameters()]
    x = rollout.entering[0]
    for i in range(3):
        x = painter.advance(x, painter.predict(x, i, scene), i, scene, noise=rollout.noise[i])
    whole = torch.autograd.grad((painter.decode(x, scene) * push).sum(), painter.lora_parameters())
    assert max(float((a - b).abs().max()) for a, b in zip(replayed, whole, strict=True)) < 1e-8


def test_where_nothing_is_to_be_seen_fields_are_looked_up_once(volumes: Volumes) -> None:
    g = torch.Generator().manual_seed(2)
    mask = (torch.rand(2, 1, 32, 32, generator=g) < 0.3).float()
    position, normal = (torch.randn(2, 3, 32, 32, generator=g) * mask for _ in range(2))
    frame = _solid.code(position, torch.full((2,), 0.3), _solid.place(g).expand(2, 3))
    whole = _solid.seen(frame, normal, volumes, patch=8)
    torch.testing.assert_close(_solid.seen(frame, normal, volumes, patch=8, inside=mask), whole, rtol=0, atol=1e-6)
    full = torch.ones_like(mask)
    torch.testing.assert_close(_solid.seen(frame, normal, volumes, patch=8, inside=full), whole, rtol=0, atol=1e-6)


def test_networks_without_a_frame_are_as_they_were() -> None:
    network = Denoiser(replace(SIZE, mixed=0), len(WORDS.words))
    assert not any("unit" in name for name, _ in network.named_parameters())
    painter = MultiView(network, WORDS, steps=2, guidance=1.0, eta=0.0)
    scene = painter.scene_of("blue", geometry().float())
    assert painter.noise(scene, generator=torch.Generator()).shape == (2, 6, 32, 32)
