"""The paired gain is Student's: checked against a case worked by hand and against its invariances."""

from __future__ import annotations

import math

import pytest

from studio.gain import of_report, paired


def test_a_case_worked_by_hand() -> None:
    # Differences 1, 2, 3: mean 2, standard deviation 1, t(2, 97.5 %) = 4.302653; untrained 0, 1, 2: standard deviation 1.
    gain = paired([0, 1, 2], [1, 3, 5])
    assert (gain.mean, gain.share, gain.seeds) == (2, 2, 3)
    assert gain.low == pytest.approx(2 - 4.302653 / math.sqrt(3), abs=1e-6)


def test_what_all_seeds_share_does_not_matter() -> None:
    before, after = [0.1, 0.4, 0.2, 0.9], [0.3, 0.5, 0.6, 1.0]
    shifted = paired([b + 7 for b in before], [a + 7 for a in after])
    assert shifted.low == pytest.approx(paired(before, after).low)
    swapped = paired(after, before)
    assert swapped.mean == pytest.approx(-paired(before, after).mean)


def test_alike_seeds_and_too_few() -> None:
    assert paired([1, 1], [2, 2]).share == math.inf and paired([1, 1], [1, 1]).share == 0
    with pytest.raises(ValueError, match="two seeds"):
        paired([1], [2])
    with pytest.raises(ValueError):
        paired([1, 2], [2])


def test_of_a_report_weighs_the_rewards() -> None:
    seeds = {str(s): {"before": {"a": s, "b": 5.0}, "after": {"a": s + 1, "b": 4.0}} for s in range(4)}
    gain = of_report({"per_seed": seeds}, {"a": 2.0, "b": 1.0})
    assert gain is not None and gain.mean == pytest.approx(1) and gain.low == pytest.approx(1)
    assert of_report({"per_seed": {}}, {}) is None
