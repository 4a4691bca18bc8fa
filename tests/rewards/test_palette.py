"""The palette reward: 0 on the palette, the perceptual distance off it, and only surface counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from studio.errors import StudioError
from studio.rewards import SOCKET, palette
from studio.rewards._color import oklab
from studio.rewards.palette import NEAR, from_hex
from studio.surface.atlas import build_atlas
from tests.meshes import joined, patch
from tests.rewards.sheet import SIZE, look, noise, scene

RED, BLUE = "#c02020", "#2040c0"


def score(texture: Tensor, *colors: str, **knobs: float) -> float:
    reward = SOCKET.make("palette", colors=colors, **knobs)
    return float(reward.build(*scene(), torch.device("cpu"))(look(texture)))


def flat(color: str) -> Tensor:
    return torch.tensor(from_hex(color), dtype=torch.float64)[:, None, None].expand(1, 3, SIZE, SIZE)


def test_known_colours_have_known_oklab_values() -> None:
    """White, black, and the primaries as given by Ottosson (rounded to three digits)."""
    rgb = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.float64).T
    lab = [[1, 0, 0], [0.628, 0.225, 0.126], [0.866, -0.234, 0.179], [0.452, -0.032, -0.312]]
    assert torch.allclose(oklab(rgb).T, torch.tensor(lab, dtype=torch.float64), atol=6e-4)


def test_the_slope_is_finite_and_the_curve_unbroken_at_black() -> None:
    x = torch.linspace(-0.02, 0.05, 1401, dtype=torch.float64, requires_grad=True)
    lightness = oklab(x.expand(3, -1))[0]
    (slope,) = torch.autograd.grad(lightness.sum(), x)
    assert torch.isfinite(slope).all() and (slope > 0).all() and slope.max() < 10
    assert lightness.diff().max() < 5e-4


def test_a_texture_of_palette_colours_is_perfect() -> None:
    texture = torch.where(torch.arange(SIZE) % 3 == 0, flat(RED), flat(BLUE))
    assert score(texture, RED, BLUE) == pytest.approx(0, abs=1e-6)
    assert score(noise(), RED, BLUE) < -0.1


def test_off_the_palette_the_loss_is_the_perceptual_distance() -> None:
    distance = float((oklab(flat(BLUE)[0, :, 0, :1]) - oklab(flat(RED)[0, :, 0, :1])).norm())
    assert score(flat(BLUE), RED) == pytest.approx(NEAR - (distance**2 + NEAR**2) ** 0.5, abs=1e-7)
    assert score(flat(BLUE), RED, RED) == score(flat(BLUE), RED)


def test_softness_lets_other_colours_pull() -> None:
    middle = (flat(RED) + flat(BLUE)) / 2
    one = max(score(middle, RED), score(middle, BLUE))
    assert score(middle, RED, BLUE, softness=0.02) == pytest.approx(one, rel=0.05)
    assert score(middle, RED, BLUE, softness=1.0) > 0.7 * one


def test_surface_counts_not_texels() -> None:
    """Two squares of one size in space, one with a quarter of the other's texels, weigh the same."""
    boxes = ((2, 2, 18, 18), (22, 2, 30, 10))
    squares = [
        patch(lambda s, t, k=k: np.stack([s + 2 * k, 1 - t, 0 * s], axis=-1), 1, 1, tuple(x / SIZE for x in box))
        for k, box in enumerate(boxes)
    ]
    mesh = joined(squares, "two squares")
    texture = flat(BLUE).clone()
    texture[..., 20:] = flat(RED)[..., 20:]
    reward = SOCKET.make("palette", colors=(RED,)).build(mesh, build_atlas(mesh, SIZE), torch.device("cpu"))
    assert float(reward(look(texture))) == pytest.approx(score(flat(BLUE), RED) / 2, rel=1e-4)


def test_an_iteration_looks_at_a_portion_and_all_of_them_at_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(palette, "MOST_TEXELS", 60)
    reward = SOCKET.make("palette", colors=(RED, BLUE)).build(*scene(), torch.device("cpu"))
    count = -(-int(scene()[1].valid.sum()) // 60)
    seen, values = torch.zeros(SIZE, SIZE), []
    for step in range(count):
        leaf = noise().requires_grad_()
        value = reward(replace(look(leaf), step=step))
        seen += torch.autograd.grad(value, leaf)[0].abs().sum((0, 1)) > 0
        values.append(float(value.detach()))
    assert torch.equal(seen, scene()[1].valid[0].float()), "every texel has its turn, once"
    assert float(np.mean(values)) == pytest.approx(score(noise(), RED, BLUE), rel=0.05)
    assert float(reward(replace(look(noise()), step=count))) == values[0]


def test_colours_are_read_in_the_usual_notations() -> None:
    assert from_hex("#fc4") == from_hex("FFCC44") == pytest.approx((1, 0.8, 0.26667), abs=1e-4)
    assert SOCKET.make("palette", colors="#c02020, #2040c0").colors == (RED, BLUE)
    assert score(flat(BLUE), "2040C0") == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("wrong", ["red", "#12345", "#gg0000", "", "##123456"])
def test_what_is_no_colour_is_refused(wrong: str) -> None:
    with pytest.raises(StudioError, match="no colour"):
        SOCKET.make("palette", colors=(RED, wrong))


def test_an_empty_palette_is_refused() -> None:
    with pytest.raises(StudioError, match="empty"):
        SOCKET.make("palette", colors=())
