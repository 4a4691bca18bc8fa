"""The run itself: what it reports, what it shows to those who watch, what it keeps for the next one."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
import torch

from studio import device, ground, stages
from studio.config import Config, parse
from studio.generators._multiview import CHANNELS
from studio.progress import Live, Progress
from studio.run import prepare, run
from tests.runs import BALL, QUICK

SMALL = {
    **QUICK,
    "iterations": 2,
    "generator": {"name": "tiny", "steps": 3},
    "trainer": "lora_reward",
    "rewards": {"palette": 1.0},
}


def small(**changes: Any) -> Config:
    return parse(changes, base=parse(SMALL))


def last(config: Config) -> Progress:
    return deque(run(config, BALL), maxlen=1)[0]


def test_before_is_the_untrained_texture_of_the_runs_own_seed() -> None:
    """Whatever is painted while learning, the report compares the same variation before and after."""
    (untrained,) = deque(run(small(iterations=0), BALL), maxlen=1)
    assert untrained.result is not None
    for seeds in (0, 1, 2):
        result = last(small(trainer={"seeds": seeds})).result
        assert result is not None
        assert result.report["before"] == untrained.metrics == untrained.result.report["after"]
        assert result.report["after"] != result.report["before"]


def test_one_variation_is_learned_from_the_seed_on_screen() -> None:
    """With seeds = 1 the untrained picture is not painted twice, and the first iteration's texture is it."""
    counted: dict[str, int] = {}
    textures = []
    for p in run(small(trainer={"seeds": 1}), BALL):
        counted[p.stage] = counted.get(p.stage, 0) + 1
        textures += [p.texture] if p.checkpoint is not None and p.texture is not None else []
    assert counted["sampling"] == 2 * 3 and counted["painting"] == 3
    (untrained,) = deque(run(small(iterations=0), BALL), maxlen=1)
    assert untrained.texture is not None
    assert torch.equal(textures[0].channels["base_color"], untrained.texture.channels["base_color"])


def test_a_full_card_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "spills", lambda where: True)
    assert sum(stages.SPILT in p.message for p in run(small(), BALL)) == 1


def test_several_variations_take_turns() -> None:
    from studio.trainers.lora_reward import LoraReward

    class Seeds:
        seed = 7

        def train_seed(self, iteration: int, sample: int = 0) -> int:
            return 1000 + iteration * 64 + sample

    def turn(seeds: int, batch: int = 1) -> list[int]:
        trainer = LoraReward(seeds=seeds, batch=batch)
        return [trainer._seed(Seeds(), i * batch + n) for i in range(4) for n in range(batch)]  # type: ignore[arg-type]

    assert turn(1) == [7] * 4 and turn(3) == [7, 1001, 1002, 7] and turn(0) == [1000, 1064, 1128, 1192]
    assert turn(2, batch=2) == [7, 1001] * 4


@pytest.mark.parametrize("watched", [True, False])
def test_the_guess_is_shown_to_those_who_watch_and_changes_no_number(watched: bool) -> None:
    live = Live(weights={"palette": 1.0}, watched=watched)
    sampling, scores = [], []
    for p in run(small(), BALL, lambda: live):
        sampling += [p] if p.stage == "sampling" else []
        scores += [p.metrics["score"]] if p.checkpoint is not None else []
    assert all((p.pictures is not None) is watched for p in sampling)
    assert any(p.texture is not None for p in sampling) is watched
    assert scores == [p.metrics["score"] for p in run(small(), BALL) if p.checkpoint is not None]


def test_what_a_run_stands_on_is_prepared_once() -> None:
    list(prepare(small(), BALL))
    kept = ground._kept
    stages = [p.stage for p in run(small(iterations=0), BALL)]
    assert ground._kept is kept and kept is not None
    assert stages.count("preparing the surface") == 2
    last(small(iterations=0, atlas_px=512))
    assert ground._kept is not None and ground._kept is not kept


def test_a_score_forgets_what_it_remembered_of_the_last_run() -> None:
    """Symmetry holds a texture's contrast against what the untrained one of the same run had."""
    config = small(rewards={"symmetry": 1.0})
    ground._kept = None
    first, again = last(config), last(small(rewards={"symmetry": 1.0}, generator={"weights_seed": 5}))
    ground._kept = None
    fresh = last(small(rewards={"symmetry": 1.0}, generator={"weights_seed": 5}))
    assert again.metrics == fresh.metrics != first.metrics


def test_every_channel_that_is_painted_is_shown_reported_and_kept(every_channel: None) -> None:
    live = Live(weights={"palette": 1.0}, watched=True, heat="palette")
    seen = list(run(small(held_out=1, trainer={"seeds": 0}), BALL, lambda: live))
    result = seen[-1].result
    assert result is not None and result.painted == set(CHANNELS) and result.report["painted"] == list(CHANNELS)
    for p in seen:
        assert p.pictures is None or p.pictures.shape[1] == 3
        assert p.texture is None or (p.painted == set(CHANNELS) and set(p.texture.channels) == set(CHANNELS))
    untouched = BALL.sets[0].roughness
    assert (result.texture.channels["roughness"] != untouched).float().mean() > 0.5
    assert result.report["consistency_psnr"] > 0


def test_a_new_prompt_of_a_generator_that_looks_at_the_mesh(every_channel: None) -> None:
    """Its scene is made anew in the middle of the run, mesh and all."""
    asked = ["red"]

    def live() -> Live:
        return Live(weights={"palette": 1.0}, prompt=asked[-1])

    result = None
    for p in run(small(), BALL, live):
        asked += ["blue"] if p.checkpoint is not None else []
        result = p.result
    assert result is not None
    assert [entry["prompt"] for entry in result.receipt["weights"]] == ["red", "blue"]
