"""A worker gives what its generator gives, stands still when told, and brings errors home."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from studio.worker import Worker


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.002)


def endless(seen: list[int]) -> Iterator[int]:
    while True:
        seen.append(len(seen))
        yield seen[-1]
        time.sleep(0.0005)


def test_every_item_arrives_in_order_and_the_newest_whole() -> None:
    worker = Worker(lambda: iter(range(500)), lighten=lambda i: -i)
    worker.start()
    assert worker.join(5) and worker.state == "done" and worker.error is None
    assert worker.take() == [-i for i in range(500)] and worker.take() == []
    assert worker.newest() == 499 and worker.newest() is None


def test_everything_runs_on_the_worker_s_thread() -> None:
    threads = []

    def make() -> Iterator[int]:
        threads.append(threading.current_thread())
        try:
            while True:
                yield 0
        finally:
            threads.append(threading.current_thread())

    worker = Worker(make)
    worker.start()
    eventually(lambda: bool(worker.take()))
    worker.stop()
    assert worker.join(5) and worker.state == "stopped"
    assert len(threads) == 2 and threads[0] is threads[1] is not threading.current_thread()


def test_pause_stands_still_and_resume_goes_on() -> None:
    seen: list[int] = []
    worker = Worker(lambda: endless(seen))
    worker.start()
    eventually(lambda: len(seen) > 3)
    worker.pause()
    eventually(lambda: worker.state == "paused")
    still = len(seen)
    time.sleep(0.05)
    assert len(seen) == still
    worker.resume()
    eventually(lambda: len(seen) > still)
    worker.stop()
    assert worker.join(5)
    assert worker.take() == seen


def test_a_paused_worker_can_be_stopped() -> None:
    worker = Worker(lambda: endless([]))
    worker.pause()
    worker.start()
    eventually(lambda: worker.state == "paused")
    worker.stop()
    assert worker.join(5) and worker.state == "stopped" and worker.take() == []


def test_hold_waits_and_then_goes_on_by_itself() -> None:
    seen: list[int] = []
    worker = Worker(lambda: endless(seen))
    worker.hold(0.1)
    begun = time.monotonic()
    worker.start()
    eventually(lambda: bool(seen))
    assert time.monotonic() - begun >= 0.09
    worker.stop()
    assert worker.join(5)


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3)])
def test_errors_come_home_with_what_came_before(error: BaseException) -> None:
    def make() -> Iterator[int]:
        yield 1
        raise error

    worker = Worker(make)
    worker.start()
    assert worker.join(5) and worker.state == "failed"
    assert worker.error is error and error.__traceback__ is not None
    assert worker.take() == [1]


def test_an_error_while_closing_comes_home() -> None:
    def make() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            raise OSError("disk full")

    worker = Worker(make)
    worker.start()
    eventually(lambda: bool(worker.take()))
    worker.stop()
    assert worker.join(5) and worker.state == "failed" and isinstance(worker.error, OSError)


def test_a_worker_starts_once() -> None:
    worker = Worker(lambda: [1])
    worker.start()
    with pytest.raises(RuntimeError):
        worker.start()
