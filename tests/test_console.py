"""The progress line shows stage, step, speed and time left on any stream; signals are heard once and obeyed twice."""

from __future__ import annotations

import io
import signal

import pytest

from studio.console import QUIET_S, Interruption, ProgressLine
from studio.progress import Progress


class Screen(io.StringIO):
    """A terminal that a test can read."""

    def isatty(self) -> bool:
        return True

    def line(self) -> str:
        return self.getvalue().split("\r")[-1].strip()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def iteration(step: int, total: int = 10, **more: float) -> Progress:
    return Progress("learning", step, total, metrics=more, checkpoint=dict)


def test_speed_and_time_left_come_from_the_stage_s_own_steps() -> None:
    screen, clock = Screen(), Clock()
    line = ProgressLine(screen, clock=clock)
    for step in range(4):
        clock.now = 100 + 2.0 * step
        line.show(Progress("sampling", step, 10))
    assert screen.line() == "sampling 3/10, 0.50 it/s, ETA 0:14"


def test_steps_inside_an_iteration_stand_behind_it() -> None:
    screen, clock = Screen(), Clock()
    line = ProgressLine(screen, clock=clock)
    for step in range(1, 4):
        for inner in range(1, 5):
            clock.now += 5
            line.show(Progress("sampling", inner, 4))
        clock.now += 10
        line.show(iteration(step, score=0.25))
    clock.now += 5
    line.show(Progress("sampling", 2, 4))
    assert screen.line() == "learning 3/10, 30.0 s/it, ETA 3:30, score 0.2500 | sampling 2/4"


def test_after_the_last_iteration_a_stage_stands_alone_again() -> None:
    screen, clock = Screen(), Clock()
    line = ProgressLine(screen, clock=clock)
    line.show(iteration(9))
    clock.now += 5
    line.show(iteration(10))
    assert screen.line() == "learning 10/10, 0.20 it/s"
    clock.now += 5
    line.show(Progress("measuring after", 1, 8))
    assert screen.line() == "measuring after 1/8"


def test_a_stage_that_begins_again_is_timed_again() -> None:
    screen, clock = Screen(), Clock()
    line = ProgressLine(screen, clock=clock)
    for start in (0, 1000):
        for step in (1, 2):
            clock.now = start + step
            line.show(Progress("before learning", step, 5))
    assert screen.line() == "before learning 2/5, 1.00 it/s, ETA 0:03"


def test_a_file_gets_whole_lines_and_few_of_them() -> None:
    stream, clock = io.StringIO(), Clock()
    line = ProgressLine(stream, clock=clock)
    for step in range(1000):
        clock.now += 0.02
        line.show(iteration(step + 1, 1000))
    line.close()
    text = stream.getvalue()
    assert "\r" not in text and 1 <= len(text.splitlines()) <= 20 / QUIET_S + 2


def test_a_message_is_said_once_and_stays() -> None:
    screen, clock = Screen(), Clock()
    line = ProgressLine(screen, clock=clock)
    for _ in range(3):
        line.show(Progress("reading", 0, 1, message="The word 'zebro' is unknown."))
    assert screen.getvalue().count("zebro") == 1


def test_everything_shown_is_ascii() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    line = ProgressLine(stream)
    line.show(iteration(1, score=1.0))
    line.show(Progress("sampling", 1, 2))
    line.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_second_obeyed(number: int) -> None:
    before, said = signal.getsignal(number), []
    with Interruption(lambda: said.append("heard")) as heard:
        assert heard.signal is None
        signal.raise_signal(number)
        assert heard.signal == number and said == ["heard"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before
