"""Small critics with random weights in place of those that ship, in double precision, so that slopes can be checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from studio import critics, preferences
from studio.critics import _weights
from studio.critics._encoders import CONVOLUTIONS, Network
from studio.rewards import _critics, _relief
from tests.rewards.sheet import PROMPT

SMALL = replace(CONVOLUTIONS, px=64, widths=(8, 8, 8, 16), depths=(1, 1, 1, 1), text=24, features=8)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files as they ship, of networks that know nothing."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    _weights.save(Network(SMALL, len(PROMPT.split())), tuple(PROMPT.split()), folder / "patina")
    estimator = _relief.Estimator((8, 8, 12))
    for p in estimator.leave.parameters():
        torch.nn.init.normal_(p, std=0.2)
    estimator.save(folder / "normal.safetensors")
    return folder


@pytest.fixture(autouse=True)
def some_picks(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of somebody who likes red, for the reward that follows picks, in a home without others."""
    monkeypatch.setenv("PATINA_HOME", str(tmp_path_factory.getbasetemp() / "reward-home"))
    folder = preferences.home({})
    if not folder.exists():
        source = torch.Generator().manual_seed(0)
        picks = preferences.Picks(folder)
        for seed in range(12):
            pair = torch.randint(256, (2, 2, 3, 64, 64), generator=source, dtype=torch.uint8)
            pair[0, :, 0] //= 2
            keys = [picks.add(x0=torch.zeros(1, 1, 1, 1), pictures=p, prompt="", seed=seed, subject={}).key for p in pair]
            picks.prefer(keys[1], keys[0])


@pytest.fixture(autouse=True)
def small_critics(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.critics._data.DATA", weights)
    monkeypatch.setattr(_relief, "DATA", weights / "normal.safetensors")
    monkeypatch.setattr(_critics, "shared", lambda critic, device: critics.shared(critic, device, torch.float64))
    load = _relief.Estimator.load
    monkeypatch.setattr(_relief.Estimator, "load", lambda path: load(path).double())
