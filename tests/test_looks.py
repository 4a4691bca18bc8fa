"""Rewards that average over views give the same numbers whatever the chunk, and need the memory of one chunk."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from studio import reward_views
from studio.coverage import painting_cameras
from studio.looks import Looks, Measured, Term, measured
from studio.renderers import SOCKET as RENDERERS
from studio.reward_views import RewardViews
from studio.rewards import Look
from studio.surface.atlas import Atlas, build_atlas
from studio.texture import Texture
from tests.meshes import cube

VIEWS = 5
CPU = torch.device("cpu")
COLOURS = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def views(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], tuple[RewardViews, Atlas]]:
    """Reward views of a cube in chunks of some size."""
    monkeypatch.setattr(reward_views, "SIZE_PX", 48)
    mesh = cube()
    atlas = build_atlas(mesh, 32)
    cameras = painting_cameras(mesh, atlas, count=VIEWS, max_count=VIEWS)
    rasterizer = RENDERERS.make("embree").build(CPU)
    base = Texture.flat(mesh, 32)
    return lambda chunk: (RewardViews(mesh, atlas, base, rasterizer, cameras, chunk=chunk), atlas)


def uneven(look: Look) -> Tensor:
    """Every picture's score bends in its own way, and is drawn at random from its own number."""
    pictures = look.pictures()
    scores = []
    for n, picture in enumerate(pictures, start=look.first_view):
        weight = torch.rand(picture.shape, generator=torch.Generator().manual_seed(97 * (look.step or 0) + n))
        scores.append(torch.tanh(3 * (weight * picture).mean()) ** 2 + picture.var() * n)
    return torch.stack(scores).mean()


def spread(look: Look) -> Tensor:
    return look.pictures().mean((1, 2, 3)).var()


def said(found: tuple[RewardViews, Atlas], *terms: Term) -> dict[str, Measured]:
    views, atlas = found
    leaf = COLOURS.clone().requires_grad_()
    looks = Looks(leaf, atlas, "", views(leaf), step=3)
    return {name: (name, value, gradient) for name, value, gradient in measured(terms, looks, differentiate={"a", "b"})}


def test_the_chunk_changes_neither_value_nor_gradient(views: Callable[[int], tuple[RewardViews, Atlas]]) -> None:
    terms = Term("a", uneven, averages=True), Term("b", spread), Term("c", uneven, averages=True)
    whole = said(views(VIEWS), *terms)
    assert whole["a"][2] is not None and whole["a"][2].abs().max() > 1e-4 and whole["c"][2] is None
    for chunk in (1, 2, 3):
        parts = said(views(chunk), *terms)
        for name, (_, value, gradient) in whole.items():
            _, other, parted = parts[name]
            assert float(other) == pytest.approx(float(value), abs=1e-6) and not other.requires_grad
            assert (gradient is None) == (parted is None)
            if gradient is not None and parted is not None:
                assert (parted - gradient).abs().max() < 1e-6 * max(1.0, float(gradient.abs().max()))


def test_chunks_are_even(views: Callable[[int], tuple[RewardViews, Atlas]]) -> None:
    for chunk, sizes in ((16, [5]), (4, [3, 2]), (2, [2, 2, 1]), (1, [1] * 5)):
        found, _ = views(chunk)
        assert [len(draw()) for draw in found(COLOURS)] == sizes


def test_memory_is_that_of_one_chunk(views: Callable[[int], tuple[RewardViews, Atlas]]) -> None:
    """What autograd keeps for the way back, at its most."""
    now = most = 0

    class Kept:
        def __init__(self, tensor: Tensor) -> None:
            self.tensor = tensor

    def keep(tensor: Tensor) -> Kept:
        nonlocal now, most
        size = tensor.numel() * tensor.element_size()
        now += size
        most = max(most, now)

        def gone() -> None:
            nonlocal now
            now -= size

        kept = Kept(tensor.detach())  # an operation that keeps its own result would keep itself
        weakref.finalize(kept, gone)
        return kept

    def peak(chunk: int) -> int:
        nonlocal now, most
        found = views(chunk)
        found[0](COLOURS)[0]()  # what is prepared once is not the chunk's
        now = most = 0
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept.tensor):
            said(found, Term("a", uneven, averages=True), Term("b", uneven, averages=True))
        return most

    peaks = {chunk: peak(chunk) for chunk in (VIEWS, 1)}
    assert peaks[1] < 1.4 / VIEWS * peaks[VIEWS]
