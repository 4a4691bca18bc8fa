"""Comparing in a session: which pairs come, what a pick leaves, how it is taken back, and that it is there the next day."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from studio import resources
from studio.errors import OutputError, StudioError
from studio.preferences import HAND, Picks
from studio.session import Session
from studio.session.pairing import ROOM, Pool, Variation
from studio.worker import Worker
from tests.test_session import finished, sessions, sphere, until  # noqa: F401 - fixtures

pytestmark = pytest.mark.usefixtures("small_pictures")
Make = Callable[..., Session]


def variation(name: str, prompt: str = "red") -> Variation:
    return Variation(Path("picks", f"{name}.safetensors"), None, None, prompt)  # type: ignore[arg-type]


def keys(pool: Pool) -> set[str]:
    pair = pool.next()
    return {one.key for one in pair} if pair else set()


def test_pairs_show_what_nobody_saw_and_never_meet_twice() -> None:
    pool = Pool()
    pool.add(variation("a"))
    assert pool.next() is None and pool.unseen == 1
    for name in "bcd":
        pool.add(variation(name))
    first, second = keys(pool), keys(pool)
    assert first | second == set("abcd") and pool.unseen == 0
    met = [frozenset(p) for p in (first, second, *(keys(pool) for _ in range(4)))]
    assert len(set(met)) == 6 and pool.next() is None


def test_there_is_room_for_so_many_and_for_one_prompt() -> None:
    pool = Pool()
    for n in range(ROOM):
        pool.add(variation(str(n)))
    seen = keys(pool)
    for n in range(ROOM, ROOM + 2):
        pool.add(variation(str(n)))
    assert pool.unseen == ROOM and not keys(pool) & seen, "what was seen made room"
    pool.add(variation("blue", prompt="blue"))
    assert pool.next() is None and pool.unseen == 1


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Picks of other tests are none of these."""
    monkeypatch.setenv(resources.HOME_VARIABLE, str(tmp_path / "home"))


@pytest.fixture
def comparing(sessions: Make, sphere: Path) -> Iterator[Session]:  # noqa: F811
    session = sessions(sphere, prompt="red stripes")
    session.compare()
    until(session, lambda: session.pair is not None)
    yield session
    session.stop_comparing()


def stored(session: Session) -> Picks:
    folder = session.where_picks_lie
    assert folder is not None
    until(session, lambda: not session._writer.busy)
    return Picks(folder)


def test_picks_are_kept_at_once_taken_back_learned_from_and_there_the_next_day(
    comparing: Session,
    sessions: Make,  # noqa: F811
    sphere: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    session, expected = comparing, []
    for side in ("left", "right", None, "left", "left"):
        until(session, lambda: session.pair is not None)
        left, right = session.pair or ()
        assert left.prompt == "red stripes" and left.mesh is right.mesh
        session.pick(side)  # type: ignore[arg-type]
        if side:
            expected.append((left.key, right.key) if side == "left" else (right.key, left.key))
    picks = stored(session)
    assert [(p.better, p.worse) for p in picks.by(HAND)] == expected and session.picked == 4
    shown = session._answered[-1][0]
    session.undo_pick()
    assert session.pair is shown and session.picked == 3 and len(stored(session).picks) == 3
    session.pick("right")
    session.export_picks(tmp_path / "mine.picks")
    until(session, lambda: not session._writer.busy)
    assert [(p.better, p.worse) for p in Picks(tmp_path / "mine.picks").picks][-1] == (shown[1].key, shown[0].key)

    session.learn_from_picks()
    until(session, lambda: session.active)
    assert not session.comparing and session.can_undo == "learn from picks"
    assert session.config.table()["trainer"]["name"] == "preference" and session.config.held_out == 8
    until(session, lambda: finished(session), seconds=120)
    assert session.state == "done", session.problems
    assert session.report["preferences"]["pairs"] == 4 and session.report["diversity"]["seeds"] == 8
    assert session.has_learned

    next_day = sessions(sphere, prompt="red stripes")
    next_day.look_for_picks()
    until(next_day, lambda: bool(next_day.picked))
    next_day.compare()
    until(next_day, lambda: next_day.pair is not None)
    until(next_day, lambda: next_day.picked == 4)
    fresh = {one.key for one in next_day.pair or ()}
    assert not fresh & {key for pair in expected for key in pair}, "other seeds are painted"
    next_day.undo_pick()
    assert len(stored(next_day).picks) == 3

    elsewhere = sessions(sphere, prompt="red stripes")
    elsewhere.import_picks(tmp_path / "mine.picks" / "picks.jsonl")
    until(elsewhere, lambda: elsewhere.picked == 4)
    assert elsewhere.status == "1 pick was added."


def test_a_pick_that_cannot_be_kept_counts_for_nothing(comparing: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    session = comparing
    session.pick("left")
    first = stored(session).picks
    until(session, lambda: session.pair is not None)
    with monkeypatch.context() as patch:

        def full(picks: Picks, better: str, worse: str) -> None:
            raise OutputError("The disk is full.", "Free some space.")

        patch.setattr(Picks, "prefer", full)
        session.pick("right")
        assert session.picked == 2
        until(session, lambda: bool(session.problems) and session.picked == 1)
    session.undo_pick()
    assert stored(session).picks == first and session.picked == 1
    session.undo_pick()
    assert not stored(session).picks and session.picked == 0


def test_another_prompt_is_painted_at_once(comparing: Session) -> None:
    """Though there are enough of the one before that nobody has seen."""
    session = comparing
    until(session, lambda: session._variations is not None and session._variations.state == "paused")
    session.set_prompt("blue dots")
    until(session, lambda: session._pool.holds("blue dots"))
    assert not session._pool.holds("red stripes") and session.pair is not None


def test_picks_of_other_settings_are_not_counted(comparing: Session) -> None:
    session = comparing
    session.pick("left")
    assert stored(session).picks and session.picked == 1
    session.stop_comparing()
    session.set_knob("trainer", "rate", 0.002)
    assert session.where_picks_lie is not None
    session.set_knob("run", "views", 1)
    assert session.where_picks_lie is None and session.picked is None


def test_a_taste_that_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from studio.rewards import personal

    def refused() -> None:
        raise StudioError("A picked texture is damaged: x.", "Delete this file and pick again.")

    monkeypatch.setattr(personal, "agreement", refused)
    session = Session()
    session._counted(8)
    until(session, lambda: not session._taster.busy)
    assert session.no_taste == "No taste can be read. A picked texture is damaged: x. Delete this file and pick again."
    monkeypatch.setattr(personal, "agreement", lambda: (0.8, "It is read."))
    session._counted(12)
    until(session, lambda: not session._taster.busy)
    assert session.taste == (0.8, "It is read.") and not session.no_taste


def test_materials_are_recovered_instead(comparing: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(comparing.recovery), "active", True)
    comparing.poll()
    assert not comparing.comparing
    with pytest.raises(StudioError, match="being recovered"):
        comparing.compare()


def test_who_waits_for_a_run_that_is_stopped_waits_for_the_one_before(sessions: Make, sphere: Path) -> None:  # noqa: F811
    """Two never compute at once, however fast comparing is begun and ended while a run is at its last step."""
    gate, session = threading.Event(), sessions(sphere)

    def slow() -> Iterator[None]:
        gate.wait()
        yield

    session._leaving = Worker(slow)  # type: ignore[assignment]
    session._leaving.start()
    for _ in range(2):
        session.compare()
        session.stop_comparing()
    assert session._leaving is not None and not session._leaving.join(0.3)
    gate.set()
    assert session._leaving.join(10)


def test_what_cannot_be_compared_is_said_and_settings_begin_anew(comparing: Session, tmp_path: Path) -> None:
    session = comparing
    with pytest.raises(StudioError, match="Too few picks"):
        session.learn_from_picks()
    first = session._variations
    session.set_knob("run", "seed", 7)
    assert session.comparing and session._variations is not first and session.pair is None
    session.stop()
    assert not session.comparing and session.state == "idle"
    session.compare()
    session.start()
    assert not session.comparing
    with pytest.raises(StudioError, match="A run is going on"):
        session.compare()
    session.stop()
    until(session, lambda: finished(session))
    (tmp_path / "picks.jsonl").write_text("nothing\n", encoding="utf-8")
    session.import_picks(tmp_path / "picks.jsonl")
    until(session, lambda: bool(session.problems))
    assert "no picks" in session.problems[0].cause
