"""How fast a run says it goes: what is measured before the first iteration is not part of it."""

from __future__ import annotations

import pytest

from studio.session.pacing import Pace, Pacer
from studio.session.running import Seen


def test_held_out_seeds_do_not_count_as_an_iteration() -> None:
    """Two seconds of preparing, thirty of measuring, then iterations of five seconds: that is five seconds, from the first on."""
    pacer, pace = Pacer(60.0), Pace()
    seen = [Seen("preparing the rewards", 1, 1, 2.0), *(Seen("measuring before", n, 6, 5.0) for n in range(6))]
    for _ in range(2):
        seen += [Seen("sampling", 1, 1, 3.0), Seen("learning", 0, 1, 1.0)]
        seen += [Seen("learning", len(seen), 12, 1.0, learned=True)]
    for one in seen:
        pace = pacer.pace(pace, one)
        if one.learned:
            assert pace.it_per_s == pytest.approx(1 / 5)
