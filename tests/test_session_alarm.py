"""The alarm in a window's session: the run pauses by itself, and every answer is kept. The alarm itself is made up here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from studio import alarm
from studio.alarm import Alarm, Row
from studio.session import Session
from tests.test_session import iterations, sessions, sphere, until  # noqa: F401 - fixtures

AT, BEST = 5, 3


@pytest.fixture
def alarming(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run alarms once at iteration AT and was best at BEST."""

    def alarmed(rows: list[Row]) -> Alarm | None:
        return Alarm(AT, BEST, "judge", -2.0, 0.1) if rows[-1].iteration == AT else None

    monkeypatch.setattr(alarm, "alarmed", alarmed)


def paused(session: Session) -> Session:
    session.start()
    until(session, lambda: session.alarm is not None and session.state == "paused")
    return session


def test_a_run_that_paused_is_rolled_back_and_continues_to_the_same_numbers(
    sphere: Path,  # noqa: F811
    sessions: Callable[..., Session],  # noqa: F811
    alarming: None,
) -> None:
    session = paused(sessions(sphere, iterations=6, trainer={"ema": 0.5}))
    assert iterations(session) == [1, 2, 3, 4, 5] and session.alarm is not None and "fell by 2.0" in session.status
    assert session.markers[-1][0] == AT and {"judge", "drift", "saturation", "energy"} <= set(session.curves)
    before = {name: list(curve) for name, curve in session.curves.items()}
    moment = session.way_back()
    assert moment is not None and moment.iteration == BEST
    session.roll_back()
    until(session, lambda: session._resume is not None)
    assert session.state == "idle" and session.alarm is None and session.way_back() is None
    assert session._resume is not None and session._resume["trainer"]["iteration"] == BEST
    at = session._film.texture(moment.id).channels["base_color"]
    assert session.texture is not None and torch.equal(session.texture.channels["base_color"], at)
    assert f"iteration {BEST}" in session.status and [m.iteration for m in session.film if m.kept] == [BEST]
    session.start()
    assert iterations(session) == [1, 2, 3]
    until(session, lambda: session.alarm is not None and session.state == "paused")
    assert {name: list(curve) for name, curve in session.curves.items()} == before
    session.go_on()
    until(session, lambda: session.state == "done")
    assert iterations(session)[-1] == 6 and session.alarm is None and session.report["alarms"][-1]["iteration"] == AT


def test_a_film_that_was_thinned_out_leads_to_the_moment_before() -> None:
    session, found = Session(), []
    session._film = SimpleNamespace(moments=[SimpleNamespace(iteration=i) for i in (4, 8, 12)])  # type: ignore[assignment]
    for best in (12, 11, 3):
        session.alarm = Alarm(14, best, "judge", -2.0, 0.1)
        moment = session.way_back()
        found.append(moment.iteration if moment else None)
    assert found == [12, 8, 4]
