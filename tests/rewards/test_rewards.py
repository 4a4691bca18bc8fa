"""What every reward owes, checked on each plug that lies in the socket: true gradients, blindness to layout, a way up."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch import Tensor

from studio.errors import StudioError
from studio.plug import knobs
from studio.rewards import SOCKET, Score, notes
from studio.surface.symmetry import texel_size
from tests.rewards.sheet import COLUMNS, LAYOUTS, ROWS, SIZE, counted, laid_out, look, noise, scene

each_reward = pytest.mark.parametrize("name", SOCKET.names())


def built(name: str, layout: str = "plain") -> Score:
    return SOCKET.make(name).build(*scene(layout), torch.device("cpu"))


def gradient(score: Score, texture: Tensor) -> Tensor:
    leaf = texture.clone().requires_grad_()
    (g,) = torch.autograd.grad(score(look(leaf)), leaf)
    return g


def test_the_scene_is_what_it_claims() -> None:
    for layout in ("plain", *LAYOUTS):
        assert int(scene(layout)[1].valid.sum()) == 2 * ROWS * COLUMNS
    marked = torch.zeros(1, 3, SIZE, SIZE)
    marked[:, 0] = scene()[1].position[..., 0]
    for layout in LAYOUTS:
        atlas = scene(layout)[1]
        assert torch.equal(laid_out(marked, layout)[:, 0][atlas.valid] != 0, torch.ones(2 * ROWS * COLUMNS, dtype=torch.bool))
        assert torch.allclose(laid_out(marked, layout)[:, 0][atlas.valid], atlas.position[..., 0][atlas.valid], atol=1e-5)


@each_reward
def test_a_reward_describes_itself(name: str) -> None:
    reward = SOCKET.make(name)
    assert reward.description.endswith(".") and reward.default_weight > 0 and reward.sees in ("atlas", "pictures")
    assert all(k.help for k in knobs(reward).values())
    assert pickle.loads(pickle.dumps(reward)) == reward
    assert all(sentence.endswith(".") for sentence in notes(built(name)))


@each_reward
def test_the_score_is_one_finite_number_for_any_colours(name: str) -> None:
    for texture in (noise(), torch.zeros(1, 3, SIZE, SIZE), torch.ones(1, 3, SIZE, SIZE), torch.full((1, 3, SIZE, SIZE), 0.5)):
        score = built(name)
        value, slope = score(look(texture)), gradient(score, texture)
        assert value.shape == () and value.dtype == texture.dtype
        assert torch.isfinite(value) and torch.isfinite(slope).all()


@each_reward
def test_autograd_equals_central_differences(name: str) -> None:
    score, texture, h = built(name), noise(), 1e-4
    slope = gradient(score, texture)
    generator = torch.Generator().manual_seed(1)
    inside = scene()[1].valid.flatten().nonzero()[:, 0]
    places = inside[torch.randint(len(inside), (24,), generator=generator)] + SIZE**2 * torch.arange(24).remainder(3)
    directions = [torch.zeros(3 * SIZE**2, dtype=torch.float64).index_fill(0, i, 1.0) for i in places[:, None]]
    directions += [torch.nn.functional.normalize(torch.randn(3 * SIZE**2, dtype=torch.float64, generator=generator), dim=0) * 8]
    with torch.no_grad():
        for direction in directions:
            d = direction.view_as(texture)
            measured = (score(look(texture + h * d)) - score(look(texture - h * d))) / (2 * h)
            assert abs(measured - (slope * d).sum()) <= 1e-4 * max(slope.abs().max(), abs(measured))


@each_reward
def test_texels_outside_the_charts_count_for_nothing(name: str) -> None:
    score, texture = built(name), noise()
    valid = counted(SOCKET.load(name).sees).expand_as(texture)
    slope = gradient(score, texture)
    assert slope[valid].abs().sum() > 0
    assert (slope[~valid] == 0).all()
    other = torch.where(valid, texture, noise(7))
    assert score(look(texture)) == score(look(other))


@each_reward
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_score_does_not_depend_on_where_charts_lie(name: str, layout: str) -> None:
    plain, other = built(name), built(name, layout)
    rim = 0 if SOCKET.load(name).sees == "atlas" else 1
    for seed in range(2):  # the first look may set a reference
        texture = noise(seed) * (1 - 0.8 * seed)
        expected = float(plain(look(texture)))
        assert other(look(laid_out(texture, layout, rim=rim), layout)) == pytest.approx(expected, abs=1e-6)


@each_reward
def test_a_chart_turned_freely_and_painted_anew_scores_the_same(name: str) -> None:
    """Content of at least 16 texels per period, laid out straight and turned by 53°."""
    values = []
    for layout in ("plain", "askew"):
        position = scene(layout)[1].position.double() * 2 * np.pi / (16 * texel_size(scene()[1]))
        waves = torch.stack([position @ torch.tensor(d, dtype=torch.float64) for d in ((1, 0, 0), (0.6, 0.8, 0), (-0.8, 0.6, 0))])
        texture = 0.5 + 0.4 * torch.sin(waves + torch.tensor([0.5, 1.0, 2.0])[:, None, None, None]).transpose(0, 1)
        values.append(float(built(name, layout)(look(texture, layout))))
    assert values[1] == pytest.approx(values[0], abs=5e-3)


@each_reward
def test_following_the_gradient_raises_the_score_at_every_step(name: str) -> None:
    score, texture = built(name), noise()
    values = []
    for _ in range(50):
        leaf = texture.requires_grad_()
        value = score(look(leaf))
        (slope,) = torch.autograd.grad(value, leaf)
        values.append(float(value.detach()))
        texture = leaf.detach() + 0.004 * slope / slope.abs().max()
    assert (np.diff(values) > 0).all()


@each_reward
def test_the_heat_map_shows_where_texels_matter(name: str) -> None:
    reward, score = SOCKET.make(name), built(name)
    with torch.no_grad():
        heat = reward.heat_map(look(noise().requires_grad_()), score)
    valid = counted(reward.sees)
    assert heat.shape == (1, 1, SIZE, SIZE)
    assert (heat >= 0).all() and heat[valid].max() > 0 and (heat[~valid] == 0).all()
    assert torch.allclose(heat, gradient(score, noise()).norm(dim=1, keepdim=True))


def test_an_unknown_reward_names_the_nearest() -> None:
    with pytest.raises(StudioError, match="symmetry"):
        SOCKET.load("symetry")
