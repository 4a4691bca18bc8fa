"""A taste is read from picks: a known one is found, a tossed coin is doubted, and too few are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from studio.config import parse
from studio.critics import Eye
from studio.errors import StudioError
from studio.preferences import Picks
from studio.rewards import SOCKET, notes
from studio.rewards._taste import Taste, fitted
from studio.run import run
from tests.rewards.sheet import scene
from tests.runs import BALL, QUICK

CPU = torch.device("cpu")


class Colours(Eye):
    """Features are mean colours."""

    px = 64

    def words(self, prompt: str):
        raise NotImplementedError

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures.mean((2, 3))

    def score(self, pictures: torch.Tensor, prompt: str) -> torch.Tensor:
        raise NotImplementedError

    def quality(self, pictures: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


def picked(folder: Path, n: int, *, flips: float) -> Path:
    """n picks of more red over less, a share of them the wrong way round."""
    source, picks = torch.Generator().manual_seed(0), Picks(folder)
    for seed in range(n):
        colours = torch.randint(256, (2, 1, 3, 1, 1), generator=source, dtype=torch.uint8)
        keys = [
            picks.add(x0=torch.zeros(1, 1, 1, 1), pictures=c.expand(1, 3, 64, 64), prompt="", seed=seed, subject={}).key
            for c in colours
        ]
        first = bool(colours[0, 0, 0] > colours[1, 0, 0]) != bool(torch.rand((), generator=source) < flips)
        picks.prefer(*(keys if first else keys[::-1]))
    return folder


def test_a_taste_for_red_is_found(tmp_path: Path) -> None:
    taste = Taste(Colours(), [picked(tmp_path, 40, flips=0.1)], CPU)
    assert taste.accuracy > 0.75 and "agrees with" in taste.notes[0] and "coin" not in taste.notes[0]
    red, blue = torch.tensor([[0.9, 0.2, 0.2], [0.2, 0.2, 0.9]])
    odds = taste(torch.stack([red, blue]))
    assert float(odds[0]) > 0 > float(odds[1])
    leaf = torch.full((1, 3), 0.5, requires_grad=True)
    (slope,) = torch.autograd.grad(taste(leaf).sum(), leaf)
    assert float(slope[0, 0]) > 3 * float(slope[0, 1:].abs().max())


def test_a_tossed_coin_is_doubted(tmp_path: Path) -> None:
    taste = Taste(Colours(), [picked(tmp_path, 40, flips=0.5)], CPU)
    assert taste.accuracy < 0.65 and "better than tossing a coin" in taste.notes[0]


def test_weights_are_where_the_slope_vanishes() -> None:
    apart = torch.randn(20, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) / 7
    w = fitted(apart, 0.1).requires_grad_()
    value = torch.nn.functional.softplus(-(apart @ w)).mean() + 0.05 * w.square().sum()
    assert float(torch.autograd.grad(value, w)[0].norm()) < 1e-9


def test_too_few_picks_are_refused_before_a_run(tmp_path: Path) -> None:
    reward = SOCKET.make("personal", picks=str(picked(tmp_path, 5, flips=0.0)))
    mesh, atlas = scene()
    for refused in (lambda: reward.check(mesh), lambda: reward.build(mesh, atlas, CPU)):
        with pytest.raises(StudioError, match="You have made 5 picks"):
            refused()
    assert "read from 12 picks" in notes(SOCKET.make("personal").build(mesh, atlas, CPU))[0]


@pytest.mark.usefixtures("small_pictures")
def test_every_run_reads_the_picks_that_were_made_by_then(tmp_path: Path) -> None:
    """Though the next run on a mesh stands on what the last one prepared."""
    config = parse({"trainer": "sample", "rewards": {"personal": {"picks": str(tmp_path)}}}, base=parse(QUICK))
    for n in (8, 9):
        picked(tmp_path, n, flips=0.0)
        said = " ".join(p.message for p in run(config, BALL))
        assert f"read from {len(Picks(tmp_path).picks)} picks" in said
    assert str(tmp_path) not in config.public().to_toml()
