"""What a window says of a run before it begins: at once, and better when the card's driver has answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from studio import cards
from studio.config import parse
from studio.session import Session

LARGE = {"device": "auto", "generator": {"name": "stable_diffusion"}, "trainer": {"name": "lora_reward", "k": 1}}


class Driver:
    """A card's driver that answers when it is let; says on which threads it was asked."""

    def __init__(self, free_bytes: int | None) -> None:
        self._free_bytes, self.may_answer, self.asked_on = free_bytes, threading.Event(), []

    def __call__(self) -> int | None:
        self.asked_on.append(threading.current_thread())
        assert self.may_answer.wait(30)
        return self._free_bytes


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session(parse(LARGE))
    yield session
    session.close()


@pytest.mark.parametrize("free_bytes", [8 * 10**9, None])
def test_a_driver_that_takes_its_time_holds_nothing_up(
    session: Session, monkeypatch: pytest.MonkeyPatch, free_bytes: int | None
) -> None:
    """Meanwhile a card counts as there, and free; it is asked once, and what it says is shown without anybody's doing."""
    driver = Driver(free_bytes)
    monkeypatch.setattr(cards, "nvidia_smi", lambda: "nvidia-smi")
    monkeypatch.setattr(cards, "free_bytes", driver)
    began = time.monotonic()
    first = session.forecast()
    assert time.monotonic() - began < 2 and 10 < first.total_s < 600
    session.poll()
    before = session.revision
    assert session.forecast() == first
    driver.may_answer.set()
    while session.revision == before:
        assert time.monotonic() - began < 30
        session.poll()
        time.sleep(0.005)
    then = session.forecast()
    if free_bytes is None:
        assert then.total_s > 50 * first.total_s, "a driver without a card"
    else:
        assert then.memory_bytes < 8e9 < first.memory_bytes
    assert len(driver.asked_on) == 1 and driver.asked_on[0] is not threading.current_thread()


def test_nobody_is_asked_where_there_is_no_driver(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(10**12)
    monkeypatch.setattr(cards, "nvidia_smi", lambda: None)
    monkeypatch.setattr(cards, "free_bytes", driver)
    assert session.forecast().total_s > 3600 and not driver.asked_on
