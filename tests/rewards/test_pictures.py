"""The rewards that see pictures: critics that glance, and an estimator of relief."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from studio import critics, reward_views
from studio.camera import ring
from studio.critics import SOCKET as CRITICS
from studio.errors import StudioError
from studio.plug import knobs
from studio.renderers import SOCKET as RENDERERS
from studio.reward_views import RewardViews
from studio.rewards import SOCKET, Look, _critics, _glances, _relief
from studio.surface.atlas import build_atlas
from studio.texture import Texture
from tests.meshes import uv_sphere
from tests.rewards.sheet import look, noise, scene

CPU = torch.device("cpu")
PICTURES = torch.rand(5, 3, 96, 96, generator=torch.Generator().manual_seed(0))


def built(name: str, **values: str) -> Callable[[Look], Tensor]:
    return SOCKET.make(name, **values).build(*scene(), CPU)


# -- glances --------------------------------------------------------------------------------------------------------------


def test_glances_depend_on_the_step_and_the_views_number_alone() -> None:
    seen = _glances.glances(PICTURES, px=64, step=3)
    assert seen.shape == (5 * _glances.GLANCES, 3, 64, 64)
    parts = [_glances.glances(PICTURES[i:j], px=64, step=3, first=i) for i, j in ((0, 2), (2, 5))]
    assert torch.allclose(torch.cat(parts), seen, atol=1e-6)
    fixed = _glances.glances(PICTURES, px=64, step=None)
    assert torch.equal(_glances.glances(PICTURES, px=64, step=None), fixed)
    for other in (fixed, _glances.glances(PICTURES, px=64, step=4)):
        assert (other - seen).abs().mean() > 0.05


def test_a_glance_shows_the_picture_and_leaves_it_recognisable() -> None:
    """An even grey stays even up to noise, within the bounds of brightness; a bright half stays half of the picture."""
    grey = _glances.glances(torch.full((40, 3, 96, 96), 0.5), px=64, step=0)
    low, high = ((1 - s * _glances.TINT) * 2 ** (-s * _glances.STOPS) / 2 for s in (1, -1))
    means = grey.mean((-1, -2))
    assert (means > low - 0.01).all() and (means < high + 0.01).all() and means.std() > 0.02
    assert (grey - means[..., None, None]).std((-1, -2)).max() <= 1.1 * _glances.NOISE
    half = torch.zeros(40, 3, 96, 96)
    half[..., :48] = 1
    share = (_glances.glances(half, px=64, step=0) > 0.4).float().mean((1, 2, 3))
    assert 0.4 < share.mean() < 0.6 and share.std() > 0.05


def test_a_critics_score_is_the_mean_over_pictures() -> None:
    for name in ("prompt", "quality", "normal"):
        assert SOCKET.load(name).averages
        score, whole = built(name), look(noise())
        parts = [float(score(one(whole, i))) for i in range(2)]
        assert sum(parts) / 2 == pytest.approx(float(score(whole)), abs=1e-6) and parts[0] != parts[1]


def one(whole: Look, i: int) -> Look:
    """Picture number `i` alone."""
    surface = whole.surface
    assert surface is not None
    here = slice(i, i + 1)
    return replace(whole, pictures=lambda: whole.pictures()[here], first_view=i, surface=lambda: surface()[here])


# -- critics --------------------------------------------------------------------------------------------------------------


def test_every_critic_that_rewards_may_follow_can_be_chosen() -> None:
    for name, opinion in (("prompt", "score"), ("quality", "quality")):
        fitting = [n for n in CRITICS.names() if opinion in CRITICS.load(n).opinions and not CRITICS.load(n).held_out]
        assert sorted(knobs(SOCKET.load(name))["critic"].choices) == sorted(fitting)


def test_both_rewards_share_one_critic() -> None:
    def kept() -> set[object]:
        gc.collect()
        return {key for key in critics._SHARED if key[0] == CRITICS.make("patina")}

    before = kept()  # by whoever else has one in this process
    one, other = (_critics.eye("patina", "", opinion, CPU) for opinion in ("score", "quality"))
    assert one is other and kept()
    del one, other
    assert kept() == before


def test_what_cannot_be_scored_is_refused_in_one_sentence(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StudioError, match="only judges"):
        _critics.eye("judge", "", "score", CPU)
    with pytest.raises(StudioError, match="cannot tell how good") as caught:
        _critics.eye("clip_score", "", "quality", CPU)
    assert "'aesthetic' or 'patina'" in caught.value.remedy and "judge" not in caught.value.remedy
    with pytest.raises(StudioError, match="does not come with the studio"):
        built("prompt", critic="pickscore")
    with pytest.raises(StudioError, match="reads no folder"):
        built("quality", path="somewhere")
    with pytest.raises(StudioError, match="knows no word"):
        built("prompt")(Look(noise(), scene()[1], "qqq", lambda: PICTURES))
    monkeypatch.setattr("studio.critics._data.DATA", weights / "none")
    with pytest.raises(StudioError, match="no weights"):
        built("quality")


# -- relief ---------------------------------------------------------------------------------------------------------------


def ball(px: int = 64) -> tuple[Tensor, Tensor]:
    """Unit normals [1, 3, px, px] of a ball that fills the picture, and where it is [1, 1, px, px]."""
    y, x = torch.meshgrid(*[(torch.arange(px) + 0.5) / (px / 2) - 1] * 2, indexing="ij")
    inside = (x * x + y * y < 0.95).float()
    return torch.stack([x, -y, (1 - x * x - y * y).clamp(min=0).sqrt()])[None] * inside, inside[None, None]


def test_the_bare_surface_is_given_in_view_space_whatever_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a ball, from everywhere: towards the eye in the middle, to the right on the right, up at the top."""
    monkeypatch.setattr(reward_views, "SIZE_PX", 32)
    mesh = uv_sphere(32, 16)
    atlas, rasterizer = build_atlas(mesh, 32), RENDERERS.make("embree").build(CPU)
    views = [RewardViews(mesh, atlas, Texture.flat(mesh, 32), rasterizer, ring(3), chunk=n) for n in (3, 1)]
    whole, parts = (torch.cat([chunk.surface() for chunk in v(noise().float())]) for v in views)
    assert whole.shape == (3, 4, 32, 32) and torch.equal(whole, parts)
    assert torch.allclose(whole[:, :3, 15:17, 15:17].mean((-1, -2)), torch.tensor([0.0, 0.0, 1.0]), atol=0.1)
    x, y, _, inside = whole.unbind(1)
    assert (x[:, 16, 22] > 0.3).all() and (x[:, 16, 9] < -0.3).all() and (y[:, 9, 16] > 0.3).all() and (y[:, 22, 16] < -0.3).all()
    assert set(inside[:, 16, 16].tolist()) == {1.0} and set(inside[:, 0, 0].tolist()) == {0.0}


def test_a_surface_is_like_itself_and_unlike_a_turned_one() -> None:
    normals, inside = ball()
    half = torch.nn.functional.normalize(torch.nn.functional.avg_pool2d(normals, 2), dim=1)
    assert float(_relief.likeness(half, normals, inside)) == pytest.approx(1, abs=1e-5)
    leaning = torch.nn.functional.normalize(half + torch.tensor([0.0, 0.5, 0.0]).view(1, 3, 1, 1), dim=1)
    assert 0.5 < float(_relief.likeness(leaning, normals, inside)) < 0.97


def test_light_is_where_brightness_grows() -> None:
    """Of a ball that is lit exponentially from the upper left the direction is found, and nothing of the brightness is left."""
    normals, inside = ball()
    toward = torch.tensor([-0.6, 0.8, 0.3])
    picture = (torch.exp((normals * toward.view(1, 3, 1, 1)).sum(1, keepdim=True) - 1.5) - _relief.DARK).clamp(min=0)
    slope, left = _relief.light(picture.expand(-1, 3, -1, -1), normals, inside)
    found = slope[0, :2, 32, 32]  # how much of it comes from behind the eye hardly shows
    assert torch.nn.functional.cosine_similarity(found, toward[:2], dim=0) > 0.99 and found.norm() > 0.9
    assert (left * inside).abs().mean() < 0.1


def test_what_lies_outside_plays_no_part(weights: Path) -> None:
    net = _relief.Estimator.load(weights / "normal.safetensors")
    normals, inside = (t.double() for t in ball())
    picture = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    other = torch.where(inside > 0, picture, torch.rand_like(picture))
    assert torch.allclose(net(picture, normals, inside), net(other, normals, inside), atol=1e-12)
    with pytest.raises(TypeError, match="multiples of 8"):
        net(picture[..., :60], normals[..., :60], inside[..., :60])


def test_an_estimator_of_ones_own_comes_from_a_file(weights: Path, tmp_path: Path) -> None:
    bundled, own = built("normal"), built("normal", path=str(weights / "normal.safetensors"))
    assert torch.equal(bundled(look(noise())), own(look(noise())))
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes((weights / "normal.safetensors").read_bytes()[:200])
    for path in (damaged, weights / "patina" / "weights.safetensors", tmp_path / "none.safetensors"):
        with pytest.raises(StudioError, match="cannot be read"):
            built("normal", path=str(path))


def test_missing_weights_are_said_with_a_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_relief, "DATA", tmp_path / "weights.safetensors")
    with pytest.raises(StudioError, match="ships no weights") as caught:
        built("normal")
    assert "studio.pretrain.relief" in caught.value.remedy


def test_a_shipped_estimator_is_small() -> None:
    with torch.device("meta"):
        count = sum(int(np.prod(p.shape)) for p in _relief.Estimator().parameters())
    assert count <= 300_000
