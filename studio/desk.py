"""A background thread that does jobs in order; what they return or raise comes home when the owner asks."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class _Job:
    label: str
    do: Callable[[], Any]
    then: Callable[[Any], None]
    failed: Callable[[BaseException], None]


class Desk:
    """`submit` and `poll` belong to one thread, the owner's; jobs run on the desk's own, which starts with the first of them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._home: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._waiting = 0
        self.label: str | None = None
        """What is being done now."""

    @property
    def busy(self) -> bool:
        """A job is waiting, being done, or not yet polled."""
        return self._waiting > 0

    def submit(
        self,
        label: str,
        do: Callable[[], Any],
        *,
        then: Callable[[Any], None] = lambda value: None,
        failed: Callable[[BaseException], None],
    ) -> None:
        """Do `do()` after everything submitted before; `poll` then calls `then` with its value, or `failed` with its error."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"studio-{self._name}", daemon=True)
            self._thread.start()
        self._waiting += 1
        self._jobs.put(_Job(label, do, then, failed))

    def waiting(self) -> bool:
        """Something has come home."""
        return not self._home.empty()

    def poll(self) -> bool:
        """Take what has come home; never blocks. True when something had."""
        some = False
        while True:
            try:
                home = self._home.get_nowait()
            except queue.Empty:
                return some
            self._waiting -= 1
            some = True
            home()

    def close(self, timeout_s: float) -> bool:
        """No more jobs after those submitted; waits for them. False when they took longer than `timeout_s`."""
        if self._thread is None:
            return True
        self._jobs.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            self.label = job.label
            try:
                value = job.do()
            except BaseException as error:  # noqa: B036 - nothing may be lost on a thread that nobody watches
                self._home.put(lambda job=job, error=error: job.failed(error))
            else:
                self._home.put(lambda job=job, value=value: job.then(value))
                del value
            finally:
                self.label = None
            del job  # while it waits for the next one, this thread must not keep what the last one worked on
