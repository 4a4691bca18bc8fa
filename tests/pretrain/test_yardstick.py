"""The yardstick measures what it names, and is read the same from stored weights."""

from __future__ import annotations

import pytest
import torch

from studio.generators import _weights
from studio.pretrain import train, yardstick


def test_colours_are_compared_as_distributions() -> None:
    g = torch.Generator().manual_seed(0)
    a = torch.rand(3_000, 3, generator=g)
    assert yardstick.colours_apart(a, a[torch.randperm(len(a), generator=g)]) < 1e-3
    near, far = (yardstick.colours_apart(a, a + d) for d in (0.1, 0.3))
    assert 0 < near < far and far == pytest.approx(3 * near, rel=0.05)


def test_octaves_tell_where_detail_is() -> None:
    mask = torch.ones(1, 1, 64, 64)
    x = torch.arange(64)
    energies = [yardstick.octaves(((x // k) % 2).float().expand(1, 3, 64, 64).clone(), mask) for k in (1, 8)]
    assert energies[0].argmax() == 0 and energies[0][0] > 4 * energies[1][0]
    assert yardstick.octaves(torch.full((1, 3, 64, 64), 0.3), mask).sum() < 1e-8


def test_views_of_one_solid_agree(small) -> None:
    geometry = torch.rand(3, 9, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.05
    geometry[:, 6] = 1
    solid = geometry[:, :3] * 10
    assert yardstick.views_apart(solid, geometry) < 0.01
    tinted = solid + torch.arange(3).view(3, 1, 1, 1)
    assert yardstick.views_apart(tinted, geometry) > 1


def test_a_table_of_networks(small, tmp_path, capsys) -> None:
    train.main(small("--pictures", "4", "--previews", "1", "--steps", "1"))
    folder, stored = tmp_path / "out" / "mini", tmp_path / "eight"
    capsys.readouterr()
    more = ("--objects", "2", "--painting-steps", "2", "--write", str(stored), "--bits", "8")
    yardstick.main(small("--weights", str(folder), *more))
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[-1] for row in rows] == [str(folder), str(stored)]
    whole, eighth = (sum(p.stat().st_size for p in f.glob("*.safetensors")) for f in (folder, stored))
    assert eighth < 0.75 * whole and _weights.load(stored)[0].size == _weights.load(folder)[0].size
