"""The alarm: silent on whatever wanders, certain of what falls steadily, and where it leads back to."""

from __future__ import annotations

import numpy as np
import pytest

from studio.alarm import BEYOND, FALL, WINDOW, Alarm, Row, Watch, alarmed

EVALUATIONS = 40
chance = np.random.default_rng


def rows(total: np.ndarray, **gauges: np.ndarray) -> list[Row]:
    return [Row(2 * i + 1, float(t), {n: float(g[i]) for n, g in gauges.items()}) for i, t in enumerate(total)]


def ever(found: list[Row]) -> Alarm | None:
    """The first alarm of a run with these rows."""
    return next(filter(None, (alarmed(found[:n]) for n in range(1, len(found) + 1))), None)


def walk(source: np.random.Generator, step: float) -> np.ndarray:
    return np.cumsum(source.normal(size=EVALUATIONS)) * step


def test_random_walks_give_fewer_than_one_false_alarm_in_a_hundred() -> None:
    """Whether they go by small or by large steps."""
    source = chance(1)
    false = sum(ever(rows(walk(source, 0.01), judge=walk(source, 10.0 ** -(i % 3 / 2)))) is not None for i in range(500))
    assert false / 500 < 0.01


def test_without_a_judge_random_walks_give_none_either() -> None:
    source = chance(2)
    pairs = ({"saturation": walk(source, 0.5), "energy": walk(source, 0.5)} for _ in range(150))
    assert sum(ever(rows(walk(source, 0.01), **pair)) is not None for pair in pairs) <= 1


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


@pytest.mark.parametrize(("noise", "by"), [(0.0, 0), (0.05, 8), (0.2, 24)])
def test_a_judge_that_falls_steadily_while_the_score_rises_is_always_noticed(noise: float, by: int) -> None:
    """FALL within the window at once where there is no noise, and noise delays it."""
    source, line = chance(4), np.arange(EVALUATIONS)
    slope = 1.05 * FALL / (WINDOW - 1)
    for _ in range(30):
        judge = -slope * line + noise * source.normal(size=EVALUATIONS)
        alarm = ever(rows(0.01 * line + 0.002 * source.normal(size=EVALUATIONS), judge=judge))
        assert alarm is not None and alarm.gauge == "judge" and alarm.change <= -FALL and alarm.rise > 0
        assert alarm.iteration <= 2 * (WINDOW + by) + 1
        if not noise:
            assert alarm.back_to == 1, "it fell from the first evaluation on"


def test_it_leads_back_to_where_the_judge_was_best() -> None:
    line = np.arange(EVALUATIONS)
    judge = np.where(line < 10, 0.1 * line, 1.0 - 0.3 * (line - 10))
    alarm = ever(rows(0.01 * line, judge=judge))
    assert alarm is not None and alarm.back_to == 2 * 10 + 1 < alarm.iteration


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
        watch.passed(0.01 * i, aim)
        if watch.due(i) and watch.note(i, {"judge": -0.2 * i}):
            found.append(i)
    return found


def test_it_repeats_itself_no_sooner_than_a_window_later() -> None:
    assert hacked(Watch(1), 1) == [WINDOW, 2 * WINDOW, 3 * WINDOW]
    assert hacked(Watch(2), 1) == [2 * WINDOW - 1]


def test_what_was_scored_under_other_weights_does_not_count() -> None:
    watch = Watch(1)
    for i in range(1, WINDOW):
        watch.passed(0.01 * i, "a")
        assert watch.note(i, {"judge": -0.3 * i}) is None
    assert hacked(watch, WINDOW, aim="b")[0] == 2 * WINDOW - 1


def test_it_goes_on_from_its_state() -> None:
    whole, first, rest = Watch(3), Watch(3), Watch(3)
    for watch in (whole, first):
        for i in range(1, 12):
            watch.passed(0.01 * i, "a")
            if watch.due(i):
                watch.note(i, {"judge": -0.3 * i})
    rest.restore(first.state())
    assert hacked(rest, 12) == hacked(whole, 12) != []


def test_it_speaks_plainly_and_survives_as_json() -> None:
    alarm = Alarm(24, 9, "judge", -1.84, 0.031)
    assert "fell by 1.8" in alarm.words and "0.031" in alarm.words and "9" in str(alarm)
    assert Alarm(**alarm.plain()) == alarm
