"""What a terminal shows of a run, and how it is told to stop. Plain ASCII, so that it survives every console."""

from __future__ import annotations

import io
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Protocol, TextIO

from studio import consent
from studio.errors import StudioError
from studio.progress import Progress

QUIET_S = 5.0
"""Where lines cannot be overwritten (a file, a pipe), one is printed per stage and this often."""
REFRESH_S = 0.1


def survive_any_encoding() -> None:
    """From now on printing never fails for a character that the console's code page lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(error: StudioError) -> None:
    """A user's mistake as two sentences on the standard error."""
    print(f"{error.problem} {error.remedy}", file=sys.stderr)


class ProgressLine:
    """One line that always shows stage, step, speed and time left; messages are printed above it and stay."""

    def __init__(self, stream: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._live = self._stream.isatty()
        self._began: dict[str, tuple[float, int]] = {}
        self._last: dict[str, int] = {}
        self._outer = ""
        self._stage = ""
        self._shown_at = -float("inf")
        self._said: set[str] = set()

    def show(self, progress: Progress) -> None:
        """Bring the line up to date. A step that can be checkpointed is an iteration; steps inside it are shown behind it."""
        inner = self._paced(progress, inside=progress.checkpoint is None and bool(self._outer))
        if progress.checkpoint is not None:
            score = progress.metrics.get("score")
            inner += f", score {score:.4f}" if score is not None else ""
            # What comes after the last iteration is a stage of its own again.
            self._outer, inner = ("", inner) if progress.step >= progress.total else (inner, "")
        if progress.message and progress.message not in self._said:
            self._said.add(progress.message)
            self.note(progress.message)
        self._draw(" | ".join(filter(None, [self._outer, inner])), progress)

    def note(self, text: str) -> None:
        """Print a sentence that stays, above the line."""
        self._clear()
        print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Leave a clean line behind."""
        self._clear()
        self._stream.flush()

    def _paced(self, progress: Progress, *, inside: bool) -> str:
        """Stage and step, and unless it is a step inside an iteration its speed and the time left."""
        stage, step, total, now = progress.stage, progress.step, progress.total, self._clock()
        if total <= 1:
            return stage
        text = f"{stage} {step}/{total}"
        if inside:
            return text
        key = f"{stage}/{progress.checkpoint is not None}"
        if key not in self._began or step < self._last[key]:
            self._began[key] = (now, step)
        self._last[key] = step
        began, first = self._began[key]
        if step <= first or now <= began:
            return text
        rate = (step - first) / (now - began)
        speed = f"{rate:.2f} it/s" if rate >= 0.1 else f"{1 / rate:.1f} s/it"
        return f"{text}, {speed}" + (f", ETA {_duration((total - step) / rate)}" if step < total else "")

    def _draw(self, text: str, progress: Progress) -> None:
        now = self._clock()
        changed = progress.stage != self._stage and not (self._outer and progress.checkpoint is None)
        wait = REFRESH_S if self._live else QUIET_S
        if not changed and now - self._shown_at < wait and progress.result is None:
            return
        self._stage, self._shown_at = progress.stage, now
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write("\r" + text[:width].ljust(width))
        else:
            self._stream.write(text + "\n")
        self._stream.flush()

    def _clear(self) -> None:
        if self._live:
            self._stream.write("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r")


def _duration(seconds: float) -> str:
    """1:05, or 2:03:04."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Interruption:
    """Within: the first Ctrl-C or SIGTERM is only noted, so that the work can be saved; the second one ends the program.

    Usable on the main thread only, as signals are.
    """

    def __init__(self, notice: Callable[[], None] = lambda: None) -> None:
        """`notice` is called at the first signal, to say that it was heard."""
        self._notice = notice
        self.signal: int | None = None
        """The signal that came, or None."""

    def __enter__(self) -> Interruption:
        numbers = [signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGBREAK", None)]
        self._before = {n: signal.signal(n, self._note) for n in numbers if n is not None}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
        self._notice()


def confirmed(file: Path, *, asked: bool) -> bool:
    """Show a file of code and let it run here, once the user has said yes where that is `asked`. Raises StudioError."""
    data = consent.read(file)
    print(f"{file.absolute()}\nsha256 {consent.digest(data)}\n\n{data.decode(errors='replace')}")
    if asked and input("This code will run with your rights. Type 'yes' to confirm it: ").strip().lower() != "yes":
        print("Not confirmed; nothing was changed.")
        return False
    consent.confirm(file, consent.digest(data))
    print("Confirmed. Any change to the file has to be confirmed again.")
    return True


class Row(Protocol):
    """A finding of the doctor."""

    @property
    def label(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def bad(self) -> bool: ...
    @property
    def cure(self) -> str: ...


def table(rows: Sequence[Row]) -> None:
    """Print the doctor's rows, with cures for the bad ones."""
    width = max(len(row.label) for row in rows)
    for row in rows:
        print(f"{'!' if row.bad else ' '} {row.label:<{width}}  {row.value}")
        if row.cure:
            print(f"  {'':<{width}}  -> {row.cure}")


def listed(title: str, entries: dict[str, str]) -> None:
    """Print named things under a title."""
    width = max(map(len, entries), default=0)
    print(title)
    for name, text in entries.items():
        print(f"  {name:<{width}}  {text}")
