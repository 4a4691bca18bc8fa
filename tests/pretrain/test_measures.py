"""The evaluation's measures on numbers whose answers are known."""

from __future__ import annotations

import pytest
import torch

from studio.pretrain import measures
from studio.pretrain.colours import COLOURS


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
        ((40, 0, 0), (40, 0, 0), 0.0),
    ],
)
def test_colour_difference_is_that_of_the_published_pairs(one, other, expected) -> None:
    a, b = torch.tensor(one, dtype=torch.float64), torch.tensor(other, dtype=torch.float64)
    assert float(measures.ciede2000(a, b)) == pytest.approx(expected, abs=5e-5)
    assert float(measures.ciede2000(b, a)) == pytest.approx(expected, abs=5e-5)


def test_white_has_no_colour() -> None:
    assert torch.allclose(measures.lab(torch.ones(3)), torch.tensor([100.0, 0, 0]), atol=0.05)


def test_named_colours_are_their_own_nearest() -> None:
    for name, value in COLOURS.items():
        assert measures.shares(torch.tensor(value).expand(5, 3))[name] == 1


def test_distributions_do_not_care_where() -> None:
    x = torch.rand(100, generator=torch.Generator().manual_seed(0))
    assert measures.apart(x, x.flip(0)) == 0 and measures.apart(x, x + 0.25) == pytest.approx(0.25)
    assert measures.apart(torch.zeros(4), torch.tensor([0.0, 0, 1, 1])) == 0.5


def test_an_effect_stands_out_only_where_it_is() -> None:
    """Red with a white cap: 1 when painted so, 0 when all red or all white, −1 the other way round, None without a top."""
    mask = (torch.arange(1000) < 300).float()
    red, white = (torch.tensor(c).expand(1000, 3) for c in ([0.8, 0.1, 0.1], [0.95, 0.95, 0.95]))
    capped = torch.where(mask[:, None] > 0, white, red)
    reverse = torch.where(mask[:, None] > 0, red, white)
    for made, expected in ((capped, 1), (red, 0), (white, 0), (reverse, -1)):
        assert measures.contrast(made, red, capped, mask) == expected
    assert measures.contrast(red, red, capped, 0 * mask) is None


def test_fine_energy_sees_frequencies_above_a_quarter_of_nyquist() -> None:
    """A sine keeps (1 − exp(−2π²σ²f²))² of its energy: a quarter of it at the cut-off, all of it far above, nothing far below."""
    mask = torch.ones(1, 1, 64, 128)
    x = torch.arange(128.0)
    for f, share in ((measures.CUTOFF, 0.25), (0.5, 1.0), (1 / 64, 0.0)):
        wave = (2 * torch.pi * f * x + 0.3).cos().expand(1, 1, 64, 128)
        power = 0.5 if f < 0.5 else float((torch.pi * x + 0.3).cos().square().mean())
        assert measures.fine_energy(wave, mask) == pytest.approx(share * power, abs=0.01)
    noise = torch.rand(1, 1, 64, 128, generator=torch.Generator().manual_seed(0))
    half = mask * (x < 64)
    assert measures.fine_energy(noise * half + 9 * (1 - half), half) == pytest.approx(measures.fine_energy(noise * half, half))


def test_shares_of_nothing_are_unknown() -> None:
    assert measures.share([True, False]) == 0.5 and measures.share([]) != measures.share([])


def test_spread_is_the_mean_distance_of_pairs() -> None:
    assert measures.spread(torch.tensor([[0.0, 0], [3, 4], [0, 0]])) == pytest.approx(10 / 3)
