"""The alarm: silent on noise of any size, certain of a fall, slow or sudden, and where it leads back to."""

from __future__ import annotations

import numpy as np
import pytest

from studio.alarm import BEYOND, FALL, LEAST, Alarm, Row, Watch, alarmed, jitter

EVALUATIONS = 40
chance = np.random.default_rng


def rows(total: np.ndarray, **gauges: np.ndarray) -> list[Row]:
    return [Row(2 * i + 1, float(t), {n: float(g[i]) for n, g in gauges.items()}) for i, t in enumerate(total)]


def ever(found: list[Row]) -> Alarm | None:
    """The first alarm of a run with these rows."""
    return next(filter(None, (alarmed(found[:n]) for n in range(1, len(found) + 1))), None)


@pytest.mark.parametrize("size", [0.05, 0.3, 1.0, 3.0])
def test_noise_gives_fewer_than_one_false_alarm_in_a_hundred(size: float) -> None:
    """Beside a score that rises all the time, whatever the size of the judge's noise."""
    source, line = chance(1), np.arange(EVALUATIONS)
    false = sum(ever(rows(0.01 * line, judge=size * source.normal(size=EVALUATIONS))) is not None for _ in range(500))
    assert false / 500 < 0.01


def test_without_a_judge_noise_gives_none_either() -> None:
    source, line = chance(2), np.arange(EVALUATIONS)
    pairs = ({n: source.normal(size=EVALUATIONS) for n in ("saturation", "energy")} for _ in range(200))
    assert not any(ever(rows(0.01 * line, **pair)) for pair in pairs)


def test_jitter_is_the_noise_alone() -> None:
    source, line = chance(5), np.arange(400)
    noise = source.normal(size=400)
    assert jitter(0.1 * noise) == pytest.approx(0.1 * jitter(noise)) and 2 < jitter(noise) < 4, "about the largest of many"
    assert jitter(np.abs(line - 200.0)) == 0, "a turn is none"
    assert jitter(3.0 * line + 0.1 * noise) == pytest.approx(jitter(0.1 * noise), abs=1e-9), "nor is a trend"
    assert jitter(np.where(line < 200, 0.0, 9.0)) == 0, "nor is a jump"


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_flat_falling_and_jointly_rising_curves_give_none(noise: float) -> None:
    source, line = chance(3), np.arange(EVALUATIONS) / 10

    def noisy(curve: np.ndarray) -> np.ndarray:
        return curve + noise * source.normal(size=EVALUATIONS)

    for _ in range(15):
        assert ever(rows(noisy(0 * line), judge=noisy(0 * line))) is None, "flat"
        assert ever(rows(noisy(line), judge=noisy(line))) is None, "both rise"
        assert ever(rows(noisy(-line), judge=noisy(-line))) is None, "both fall"
        assert ever(rows(noisy(0 * line), judge=noisy(-line))) is None, "nothing was won"
        assert ever(rows(noisy(line), saturation=noisy(0 * line), energy=noisy(-line))) is None, "no gauge is beyond"


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.2])
def test_a_judge_that_falls_steadily_while_the_score_rises_is_always_noticed(noise: float) -> None:
    """At FALL where there is no noise; noise delays it until it has fallen far enough to be no noise."""
    source, line = chance(4), np.arange(EVALUATIONS)
    slope = 0.15
    for _ in range(30):
        judge = -slope * line + noise * source.normal(size=EVALUATIONS)
        alarm = ever(rows(0.01 * line + 0.001 * source.normal(size=EVALUATIONS), judge=judge))
        assert alarm is not None and alarm.gauge == "judge" and alarm.change <= -FALL and alarm.rise > 0
        assert slope * (alarm.iteration - 1) / 2 <= max(FALL + 3 * slope, 24 * noise)
        if not noise:
            assert alarm.back_to == 1, "it fell from the first evaluation on"


@pytest.mark.parametrize("depth", [0.7, 2.0, 8.0])
def test_a_sudden_fall_is_noticed_at_once(depth: float) -> None:
    """The judge drops at one stroke and then wanders down there, as with far too high a rate."""
    source, line = chance(6), np.arange(EVALUATIONS)
    for _ in range(30):
        judge = np.where(line < 6, 0.0, -depth) + 0.05 * source.normal(size=EVALUATIONS)
        alarm = ever(rows(0.01 * line, judge=judge))
        assert alarm is not None and alarm.back_to <= 11 and (alarm.iteration - 1) / 2 <= (8 if depth > 1 else 39)


def test_it_leads_back_to_where_the_judge_was_best() -> None:
    line = np.arange(EVALUATIONS)
    judge = np.where(line < 10, 0.1 * line, 1.0 - 0.3 * (line - 10))
    alarm = ever(rows(0.01 * line, judge=judge))
    assert alarm is not None and alarm.back_to == 2 * 10 + 1 < alarm.iteration <= 2 * 15 + 1


@pytest.mark.parametrize("gauge", ["saturation", "energy"])
def test_without_a_judge_a_gauge_far_beyond_its_reference_counts(gauge: str) -> None:
    line = np.arange(EVALUATIONS)
    other = {"saturation": "energy", "energy": "saturation"}[gauge]
    beyond = rows(0.01 * line, **{gauge: 0.5 * line, other: 0 * line})
    alarm = ever(beyond)
    assert alarm is not None and alarm.gauge == gauge and alarm.change > 0
    assert beyond[(alarm.back_to - 1) // 2].gauges[gauge] < BEYOND / 2
    assert ever(rows(0.01 * line, **{gauge: np.minimum(0.5 * line, BEYOND - 0.1), other: 0 * line})) is None
    assert ever(rows(0.01 * line, judge=0.1 * line, **{gauge: 0.5 * line, other: 0 * line})) is None, "the judge likes it"


def hacked(watch: Watch, first: int, aim: str = "a") -> list[int]:
    """Iterations at which a steady hack of 30 more iterations from `first` alarms."""
    found = []
    for i in range(first, first + 30):
        if watch.due(i) and watch.note(i, 0.01 * i, {"judge": -0.2 * i}, aim=aim):
            found.append(i)
    return found


def test_it_repeats_itself_only_when_the_judge_falls_further() -> None:
    """After an alarm it looks at what comes later alone."""
    found = hacked(Watch(1), 1)
    assert found[0] <= LEAST + 1 and len(found) > 2 and all(b - a >= LEAST for a, b in zip(found, found[1:], strict=False))
    assert hacked(Watch(2), 1)[0] == 2 * LEAST - 1, "every second iteration"


def test_what_was_scored_under_other_weights_does_not_count() -> None:
    watch = Watch(1)
    for i in range(1, LEAST):
        assert watch.note(i, 0.01 * i, {"judge": -0.3 * i}, aim="a") is None
    assert hacked(watch, LEAST, aim="b")[0] >= 2 * LEAST - 1


def test_it_goes_on_from_its_state() -> None:
    whole, first, rest = Watch(3), Watch(3), Watch(3)
    for watch in (whole, first):
        for i in range(1, 12):
            if watch.due(i):
                watch.note(i, 0.01 * i, {"judge": -0.3 * i}, aim="a")
    rest.restore(first.state())
    assert hacked(rest, 12) == hacked(whole, 12) != []


def test_it_speaks_plainly_and_survives_as_json() -> None:
    alarm = Alarm(24, 9, "judge", -1.84, 0.031)
    assert "fell by 1.8" in alarm.words and "0.031" in alarm.words and "9" in str(alarm)
    assert Alarm(**alarm.plain()) == alarm
