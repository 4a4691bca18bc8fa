"""Stable Diffusion painting view after view: which pixels it keeps, and that it learns through what views give each other."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from studio.bake import Baker
from studio.camera import Camera
from studio.generators import SOCKET, Painter
from studio.generators._sd_turns import LATE
from studio.renderers import SOCKET as RENDERERS
from studio.replay import drain
from studio.turns import replay, sample
from tests.generators import tiny_sd
from tests.test_replay import SEED, awake, error, score, surface

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """A model whose ControlNet sees 3 channels, depth, or 6, the picture so far as well."""
    return functools.cache(lambda channels: tiny_sd.save(tmp_path_factory.mktemp("sd"), control_channels=channels))


@pytest.fixture
def folder(folder_of: Callable[[int], Path]) -> Path:
    return folder_of(6)


def painter_of(folder: Path, **settings) -> Painter:
    options = {"model": str(folder), "steps": 2, "mode": "sequential", **settings}
    return SOCKET.make("stable_diffusion", **options).build(device=CPU, dtype=torch.float64)


def scene_of(painter: Painter):
    _, _, baker, seen = surface(3, 32)
    return painter.scene("red vase", seen, baker=baker), baker


def by_autograd(painter: Painter, scene, baker, *, through: bool, truncation: int, anchor: float) -> list[Tensor]:
    """The whole painting, view after view, in one graph; what one view gives to the next with or without it."""
    source = torch.Generator().manual_seed(SEED)
    start = painter.noise(scene, generator=source)
    adds = [painter.eta > 0 and i < painter.steps - 1 for i in range(painter.steps)]
    fresh = [painter.noise(scene, generator=source) if each else None for each in adds]
    turns = painter.turns
    scene = turns.begun(scene, start)
    pictures, pull = torch.zeros_like(scene.mask).expand(-1, 3, -1, -1), 0.0
    for view in range(scene.views):
        v = slice(view, view + 1)
        given = turns.given(scene, pictures, view)
        part = turns.part(scene, view, given if through else tuple(g.detach() for g in given))
        x = start[v]
        for i in range(painter.steps):
            with torch.set_grad_enabled(i >= painter.steps - truncation):
                prediction = painter.predict(x, i, part)
                if i >= painter.steps - truncation and anchor:
                    held = replace(part, given=tuple(g.detach() for g in part.given))
                    fixed = painter.predict(x.detach(), i, held)
                    with torch.no_grad(), painter.base():
                        base = painter.predict(x.detach(), i, part)
                    pull = pull + anchor * (fixed - base).square().mean() / scene.views
                x = painter.advance(x, prediction, i, part, noise=None if fresh[i] is None else fresh[i][v])
        picture = painter.decode(x, part)
        pictures = torch.cat([pictures[:view], picture, pictures[view + 1 :]])
    loss = pull - score(baker, baker.bake(pictures))
    return list(torch.autograd.grad(loss, painter.lora_parameters()))


def by_replay(painter: Painter, scene, baker, *, truncation: int, anchor: float) -> list[Tensor]:
    for p in painter.lora_parameters():
        p.grad = None
    rollout = drain(sample(painter, scene, seed=SEED))
    with torch.no_grad():
        pictures = painter.decode(rollout.x0, rollout.scene)
    pictures.requires_grad_()
    texture = baker.bake(pictures)
    (d_pictures,) = torch.autograd.grad(-score(baker, texture), pictures)
    drain(replay(painter, rollout.scene, rollout, d_pictures, truncation=truncation, anchor=anchor, chunk=2))
    return [p.grad for p in painter.lora_parameters()]


CHAINS = [(6, False, 1.0, 2, 0.7), (3, True, 0.0, 2, 0.7), pytest.param(6, True, 1.0, 1, 0.0, marks=pytest.mark.long)]


@pytest.mark.parametrize(("channels", "through", "eta", "truncation", "anchor"), CHAINS)
def test_replay_and_the_full_chain_equal_autograd(
    folder_of: Callable[[int], Path], channels: int, through: bool, eta: float, truncation: int, anchor: float
) -> None:
    painter = awake(painter_of(folder_of(channels), eta=eta, through_views=through))
    scene, baker = scene_of(painter)
    plain = by_autograd(painter, scene, baker, through=through, truncation=truncation, anchor=anchor)
    assert max(float(g.norm()) for g in plain) > 1e-6
    assert error(by_replay(painter, scene, baker, truncation=truncation, anchor=anchor), plain) < 1e-8
    if truncation == 1:
        other = by_autograd(painter, scene, baker, through=not through, truncation=truncation, anchor=anchor)
        assert error(other, plain) > 1e-4


def seen_by(painter: Painter, *cameras: Camera):
    """The scene of a cube, and what of it each camera sees."""
    mesh, atlas, _, _ = surface(3, 32)
    fragments = RENDERERS.make("embree").build(CPU).rasterize(mesh, cameras, 32)
    return painter.scene("red", fragments, baker=Baker(fragments, atlas)), fragments


def test_regions_part_each_view_and_ties_and_the_background_are_kept(folder: Path) -> None:
    """The second camera sees the front face of the cube much better than the first, its top as well, and nothing else new; the
    third sees the left face for the first time; the fourth repeats the second."""
    painter = painter_of(folder)
    scene, seen = seen_by(painter, Camera(45, 30), Camera(0, 30), Camera(-50, 30), Camera(0, 30))
    there, on = scene.turn, scene.mask > 0
    assert torch.equal(there.keep + there.refine + there.generate, torch.ones_like(scene.mask))
    assert (there.keep[~on] == 1).all()
    assert torch.equal(there.generate[:1] > 0, on[:1])
    front, top, left = ((seen.normal[..., axis] * sign > 0.9)[:, None] for axis, sign in ((2, 1), (1, 1), (0, -1)))

    def share(region: Tensor, view: int, face: Tensor) -> float:
        return float(region[view][face[view]].mean())

    assert share(there.refine, 1, front) > 0.7 and share(there.keep, 1, top) > 0.7
    assert share(there.generate, 2, left) > 0.7 and share(there.keep, 2, front) > 0.7
    assert float(there.refine[3].sum()) == 0 and float((there.keep[3] * on[3]).sum() / on[3].sum()) > 0.7


def test_refined_regions_are_held_for_the_first_steps_and_kept_ones_to_the_end(folder: Path) -> None:
    painter = painter_of(folder, steps=5)
    scene, _ = seen_by(painter, Camera(45, 30), Camera(0, 30))
    g = torch.Generator().manual_seed(0)
    x, start, latents = (torch.randn(2, 4, 16, 16, generator=g, dtype=torch.float64) for _ in range(3))
    prediction = torch.randn(2, 2, 4, 16, 16, generator=g, dtype=torch.float64)
    scene = replace(painter.turns.begun(scene, start), given=(torch.zeros(2, 3, 32, 32).double(), latents))
    free, late = (t.expand_as(x) > 0 for t in (scene.turn.free, scene.turn.late))
    assert late.any() and not (free & late).any()
    for i in range(5):
        after, held = painter.advance(x, prediction, i, scene, noise=None), painter.schedule.noised(latents, start, i + 1)
        assert torch.equal(after[~free & ~late], held[~free & ~late])
        assert torch.equal(after[late], held[late]) == (i + 1 < LATE * 5)
        assert not torch.isclose(after[free], held[free]).any()


def test_what_is_kept_shows_what_was_painted_before(folder: Path) -> None:
    painter = painter_of(folder)
    scene, _ = scene_of(painter)
    rollout = drain(sample(painter, scene, seed=SEED))
    pictures, (seen, latents) = painter.decode(rollout.x0, rollout.scene), rollout.scene.given
    kept = ((scene.turn.keep > 0) & (scene.mask > 0)).expand_as(seen)
    assert torch.equal(pictures[kept], seen[kept])
    again = torch.cat([painter.turns.given(rollout.scene, pictures, v)[0] for v in range(3)])
    assert torch.allclose(again, seen)
    bound = (scene.turn.free + scene.turn.late == 0).expand_as(latents)
    assert torch.equal(rollout.x0[bound], latents[bound])


def test_each_view_is_a_stage_of_its_own(folder: Path) -> None:
    painter = painter_of(folder)
    scene, _ = scene_of(painter)
    shapes = []
    steps = list(sample(painter, scene, seed=1, show=lambda x: shapes.append(tuple(x.shape)) or {}))
    assert [p.step for p in steps] == [1, 2, 3, 4, 5, 6] and {p.total for p in steps} == {6}
    assert set(shapes) == {(3, 4, 16, 16)}


def test_views_of_other_painters_are_painted_together(folder: Path) -> None:
    from studio import replay as together

    painter = painter_of(folder, mode="synchronised")
    scene, _ = scene_of(painter)
    assert torch.equal(drain(sample(painter, scene, seed=1)).x0, drain(together.sample(painter, scene, seed=1)).x0)
