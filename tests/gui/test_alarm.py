"""The alarm in the real window: the run pauses by itself, a dialog says why, and its buttons do what they say.

When it comes is made up by a `sitecustomize` that the window's Python finds on its path; all that follows is the studio's own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gui.driver import ROOT, Window
from tests.gui.screen import why_not
from tests.gui.steps import column, idle, ready, whole

pytestmark = [pytest.mark.gui, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]

BEST, FIRST, SECOND = 3, 5, 9
FORCED = f"""
from studio import alarm

def alarmed(rows):
    at = rows[-1].iteration
    return alarm.Alarm(at, {BEST}, "judge", -1.8, 0.021) if at in ({FIRST}, {SECOND}) else None

alarm.alarmed = alarmed
"""


@pytest.fixture(scope="module")
def window(begin: Callable[..., Window], project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    folder = tmp_path_factory.mktemp("forced")
    (folder / "sitecustomize.py").write_text(FORCED, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")))))
        found = begin(project, name="alarm")
    ready(found)
    yield found


def test_the_dialog_of_an_alarm(window: Window) -> None:
    """Roll back, which ends the run at the best iteration; start from there; go on at the next alarm; stop at the one after."""
    window.click("run.start")
    state = window.wait(lambda s: s["dialog"] == "alarm", seconds=90, what="the alarm")
    assert state["state"] == "paused" and state["iteration"] == FIRST and state["curves"]["judge"] == 3
    assert {"alarm.words", "alarm.advice", "alarm.stop", "alarm.go_on", "alarm.back"} <= set(state["items"])
    window.settle()
    window.keep("alarm")
    texture = window.state()["texture_id"]
    window.does("rolled back", lambda: window.click("alarm.back"), says=lambda s: s["dialog"], where=whole(window), pixels=5000)
    window.wait(lambda s: s["state"] == "idle" and s["texture_id"] != texture, seconds=20)
    window.wait(lambda s: f"iteration {BEST}" in s["status"], what="what was done, in the status bar")
    assert window.state()["undo"] is None, "going back changes no setting"

    window.click("run.start")
    window.wait(lambda s: s["state"] == "running", seconds=30)
    state = window.wait(lambda s: s["dialog"] == "alarm", seconds=60, what="the alarm again")
    assert state["iteration"] == FIRST and state["curves"]["score"] == FIRST
    window.click("alarm.go_on")
    state = window.wait(lambda s: s["dialog"] == "alarm" and s["iteration"] == SECOND, seconds=60, what="the next alarm")
    assert state["state"] == "paused" and state["markers"] == 2
    window.click("alarm.stop")
    window.wait(lambda s: s["state"] in ("idle", "done") and not s["dialog"], seconds=10)
    assert len(window.state()["moments"]) == SECOND
    window.keep("stopped")


def test_gauges_are_drawn_when_they_are_asked_for(window: Window) -> None:
    idle(window)
    state = window.wait(lambda s: {"judge", "saturation", "energy", "drift"} <= set(s["curves"]))
    assert state["curves"]["judge"] == state["curves"]["energy"] < state["curves"]["score"]
    left, top, right, bottom = window.rect("curves.plot")
    window.reveal("curves.show.judge", (right + 8, top, window.rect("curves.full")[2], bottom))
    before = window.picture("curves.plot")
    window.click("curves.show.judge")
    window.repaints("curves.plot", before, pixels=20, what="the judge's line")
    window.keep("the judge's line")


def test_the_drift_is_a_gauge_among_the_settings_that_hold_it_back(window: Window) -> None:
    idle(window)
    window.reveal("section.training", column(window))
    window.click("section.training")
    window.reveal("trainer.drift.row", column(window))
    window.settle()
    assert window.picture("trainer.drift.row").std() > 5, "a bar with its number"
    window.keep("drift")
