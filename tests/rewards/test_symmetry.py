"""The symmetry reward: 0 for halves alike, the robust loss for a known difference, and no prize for flat colour."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from studio.errors import StudioError
from studio.rewards import SOCKET, Look, notes
from studio.rewards._cells import cells
from studio.rewards._mirror import Mirror, robust
from studio.surface.atlas import build_atlas
from studio.surface.symmetry import find_plane
from tests.meshes import joined, patch, uv_sphere
from tests.rewards.sheet import COLUMNS, LEFT, RIGHT, ROWS, SIZE, look, noise, scene

CPU = torch.device("cpu")


def built(**knobs: float) -> Mirror:
    score = SOCKET.make("symmetry", **knobs).build(*scene(), CPU)
    assert isinstance(score, Mirror)
    return score


def alike(texture: Tensor, *, offset: float = 0.0) -> Tensor:
    """The texture with its right half the mirror image of the left one, plus `offset`."""
    (row, left), right = LEFT, RIGHT[1]
    result = texture.clone()
    half = texture[..., row : row + ROWS, left : left + COLUMNS]
    result[..., row : row + ROWS, right : right + COLUMNS] = half.flip(3) + offset
    return result


def test_a_mirrored_texture_is_perfect() -> None:
    difference, variance = built().compare(alike(noise()), slice(None))
    assert difference == 0 and variance > 0.01
    assert built()(look(alike(noise()))) == 0


@pytest.mark.parametrize("offset", [0.2, -0.05, 0.004])
def test_a_constant_difference_costs_exactly_its_robust_loss(offset: float) -> None:
    expected = float(robust(torch.tensor(offset, dtype=torch.float64)))
    assert float(built()(look(alike(noise(), offset=offset)))) == pytest.approx(-expected, abs=1e-7)


def test_the_robust_loss_is_quadratic_near_zero_and_linear_far_off() -> None:
    x = torch.tensor([0.0, 1e-4, 1.0], dtype=torch.float64)
    assert robust(x).tolist() == pytest.approx([0, 0.5e-8 / 0.01, 0.99], rel=1e-2)


def test_fine_differences_cost_less_than_broad_ones() -> None:
    """Stripes one texel wide average out over a cell; the same amplitude spread over a half does not."""
    sign = torch.ones(SIZE, dtype=torch.float64)
    sign[::2] = -1
    fine, broad = (alike(noise()) + 0.1 * s * (torch.arange(SIZE) >= RIGHT[1]) for s in (sign, torch.ones(SIZE)))
    assert 0.75 * built()(look(broad)) < built()(look(fine)) < 0


def test_a_flat_colour_does_not_win() -> None:
    """It pays twice what the untrained halves differ, whatever that is."""
    flat = torch.full_like(noise(), 0.5)
    for amplitude in (1.0, 0.2):
        score = built()
        untrained = score(look(0.5 + amplitude * (noise() - 0.5)))
        assert float(score(look(flat))) == pytest.approx(2 * float(untrained), rel=1e-6)
    assert built(contrast=0.0)(look(flat)) == 0


def test_half_the_untrained_contrast_is_free() -> None:
    score = built(contrast=1.0)
    lost = -float(score(look(noise())))
    centre = noise().mean()
    for scale, expected in ((0.71, 0.0), (0.5, 0.25), (0.1, 0.96)):
        texture = alike(centre + scale * (noise() - centre))
        share = score.compare(texture, slice(None))[1] / score.compare(noise(), slice(None))[1]
        paid = max(0.0, 1 - 2 * float(share)) ** 2
        assert float(score(look(texture))) == pytest.approx(-lost * paid, abs=1e-6)
        assert paid == pytest.approx(expected, abs=0.05)


def test_what_the_untrained_texture_had_is_its_only_state_and_can_be_put_back() -> None:
    score = built()
    assert score.kept.empty
    score(look(noise()))
    difference, variance = score.compare(noise(), slice(None))
    assert score.kept.reference.tolist() == pytest.approx([float(difference), float(variance) / 2])
    assert list(score.state_dict()) == ["kept.reference"]
    other = built()
    other.load_state_dict(score.state_dict())
    assert other(look(0.1 * noise())) == score(look(0.1 * noise())) != built()(look(0.1 * noise()))


def test_the_gradient_is_true_below_the_contrast_bound_as_well() -> None:
    score, h = built(), 1e-4
    score(look(noise()))
    texture = (0.5 + 0.3 * (noise(1) - 0.5)).requires_grad_()
    (slope,) = torch.autograd.grad(score(look(texture)), texture)
    direction = torch.randn(texture.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        measured = (score(look(texture + h * direction)) - score(look(texture - h * direction))) / (2 * h)
    assert measured == pytest.approx(float((slope * direction).sum()), rel=1e-4)


def test_ascent_makes_the_halves_alike_without_fading_the_texture() -> None:
    score, texture = built(), noise()
    before = score.compare(texture, slice(None))
    for _ in range(100):
        leaf = texture.requires_grad_()
        (slope,) = torch.autograd.grad(score(look(leaf)), leaf)
        texture = leaf.detach() + 0.006 * slope / slope.abs().max()
    after = score.compare(texture, slice(None))
    assert after[0] < 0.25 * before[0]
    assert after[1] > 0.45 * before[1]


def test_portions_are_whole_cells_of_bounded_size_and_cover_every_pair_once() -> None:
    mesh = uv_sphere(24, 12)
    atlas = build_atlas(mesh, 96)
    score = Mirror(find_plane(mesh), atlas, contrast=1.0, most=3000)
    assert len(score.portions) > 2
    covered = torch.cat([torch.arange(len(score.texel))[p] for p in score.portions])
    assert torch.equal(covered, torch.arange(len(score.texel)))
    for portion in score.portions:
        assert 1000 < len(score.texel[portion]) <= 3000
        if portion.start:
            assert score.large[portion.start] != score.large[portion.start - 1]


def test_looks_of_one_step_are_alike_and_steps_take_turns() -> None:
    mesh = uv_sphere(24, 12)
    atlas = build_atlas(mesh, 96)
    texture = torch.rand(1, 3, 96, 96, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def value(score: Mirror, step: int | None) -> float:
        return float(score(Look(texture, atlas, "", lambda: texture, step)))

    a, b = (Mirror(find_plane(mesh), atlas, contrast=0.0, most=3000) for _ in range(2))
    turns = [value(a, i) for i in range(len(a.portions))]
    assert turns == [value(b, i) for i in range(len(a.portions))]
    assert len(set(turns)) == len(turns) and value(a, len(turns)) == turns[0]
    assert np.mean(turns) == pytest.approx(value(a, None), rel=0.02)


def test_what_is_left_out_is_reported() -> None:
    plane, counts = notes(built())
    assert "x axis" in plane and "100%" in plane
    assert f"{2 * ROWS * COLUMNS} of {2 * ROWS * COLUMNS} texels" in counts and "0 are their own" in counts


def test_a_mesh_without_symmetry_is_refused() -> None:
    def helix(s: np.ndarray, t: np.ndarray) -> np.ndarray:
        r, angle = 0.3 + 0.7 * s, 4 * t
        return np.stack([r * np.cos(angle), 2 * t, r * np.sin(angle)], axis=-1)

    mesh = joined([patch(helix, 6, 40, (0.1, 0.1, 0.9, 0.9))], "stairs")
    with pytest.raises(StudioError, match="'stairs' is not symmetric"):
        SOCKET.make("symmetry").build(mesh, build_atlas(mesh, 32), CPU)


def test_cells_are_runs_inside_one_chart_on_one_side() -> None:
    rng = np.random.default_rng(0)
    place, chart = rng.uniform(-0.9, 0.9, (4000, 3)), rng.integers(0, 3, 4000)
    found = cells(place, normal=np.array([1.0, 0, 0]), offset=0.0, chart=chart, size=0.1)
    assert np.array_equal(np.sort(found.order), np.arange(4000))
    place, chart = place[found.order], chart[found.order]
    for cell, side in ((found.small, 0.1), (found.large, 0.4)):
        assert cell[0] == 0 and set(np.diff(cell)) <= {0, 1}
        for k in range(0, cell[-1], 7):
            inside = cell == k
            assert (np.ptp(place[inside], axis=0) <= side + 1e-9).all()
            assert len(set(chart[inside])) == 1 and len(set(place[inside, 0] > 0)) == 1
