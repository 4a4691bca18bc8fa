"""Variations: as many as asked for, each kept with its file's name, and never the same seed twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio.config import parse
from studio.preferences import Picks
from studio.progress import Progress
from studio.run import run
from studio.session.forecast import forecast
from studio.trainers.variations import Variations
from tests.runs import BALL, QUICK

pytestmark = pytest.mark.usefixtures("small_pictures")
SMALL = {**QUICK, "prompt": "red stripes"}


def ran(**trainer: Any) -> list[Progress]:
    return list(run(parse({"trainer": {"name": "variations", **trainer}}, base=parse(SMALL)), BALL))


def test_every_variation_is_kept_and_shown_and_no_seed_comes_twice(tmp_path: Path) -> None:
    first, second = (ran(picks=str(tmp_path), count=2) for _ in range(2))
    kept = [p.kept for seen in (first, second) for p in seen if p.kept is not None]
    picks = Picks(tmp_path)
    assert [file.stem for file in kept] == list(picks.samples) and all(file.is_file() for file in kept)
    assert len({sample.seed for sample in picks.samples.values()}) == 4
    assert all(p.texture is not None for p in first if p.kept) and first[-1].result is not None
    assert first[-1].result.lora == {} and first[-1].result.report["diversity"] is None


def test_without_a_count_it_paints_until_it_is_stopped(tmp_path: Path) -> None:
    steps = run(parse({"trainer": {"name": "variations", "picks": str(tmp_path), "count": 0}}, base=parse(SMALL)), BALL)
    kept = (p for p in steps if p.kept is not None)
    for _ in range(3):
        next(kept)
    steps.close()  # type: ignore[attr-defined]
    assert len(Picks(tmp_path).samples) == 3


def test_they_lie_beside_an_asset_and_nobody_is_told_where(tmp_path: Path) -> None:
    beside = Variations().beside(tmp_path / "x.glb")
    assert isinstance(beside, Variations) and beside.picks == str((tmp_path / "x.picks").absolute())
    assert beside.beside(tmp_path / "y.glb") is beside and beside.public() == Variations()


def test_many_take_longer() -> None:
    config = parse({"trainer": {"name": "variations", "count": 1}}, base=parse(SMALL))
    more = replace(config, trainer=Variations(count=11))
    assert forecast(more).total_s > forecast(config).total_s == pytest.approx(forecast(parse(SMALL)).total_s)
