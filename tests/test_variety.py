"""Diversity: nothing for copies, more for what differs more, and told of every run with held-out seeds."""

from __future__ import annotations

from collections import deque

import pytest
import torch

from studio.config import parse
from studio.run import run
from studio.trainers import nabla_db
from studio.variety import diversity
from tests.runs import BALL, QUICK


def test_it_is_the_mean_distance_of_all_pairs() -> None:
    a, b, c = (torch.tensor([[x, 0.0], [0.0, x]]) for x in (0.0, 1.0, 3.0))
    assert diversity([a, a, a]) == 0 == diversity([a]) == diversity([])
    assert diversity([a, b, c]) == pytest.approx((1 + 2 + 3) / 3)


@pytest.mark.parametrize("trainer", [{"name": "lora_reward", "anchor": 0.1}, {"name": "nabla_db", "beta": 0.0, "updates": 1}])
def test_every_trainer_that_learns_says_what_it_kept(trainer: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nabla_db, "UNTRAINED", 2)  # as many as are held out: none is painted for it alone
    changes = {"prompt": "red", "trainer": trainer, "rewards": {"palette": 1.0}, "held_out": 2, "judge_every": 0, "iterations": 1}
    config = parse(changes, base=parse(QUICK))
    (last,) = deque(run(config, BALL), maxlen=1)
    assert last.result is not None
    told = last.result.report["diversity"]
    assert told["seeds"] == 2 and told["before"] > 0 and told["kept"] == pytest.approx(told["after"] / told["before"])
    assert (told["kept"] == 1) is (trainer["name"] == "nabla_db")
    assert last.result.report["drift"] is not None
