"""A background thread that iterates any generator; pause, stop and errors come home.

The iterated generator needs no locks, callbacks or stop flags: every `yield` is a place where the worker may pause it, hold it
for a moment or close it. What it yields arrives twice: each item in order in a lossless queue, made light by `lighten` so that a
slow reader does not pile up textures, and the newest one whole.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Literal, TypeVar

Item = TypeVar("Item")
BEAT_S = 0.1
State = Literal["new", "running", "paused", "done", "stopped", "failed"]
ENDED = ("done", "stopped", "failed")


def ended(worker: Worker[Any] | None, waiting: Item) -> Iterator[Item]:
    """Yields `waiting` several times a second until a worker has ended. When it is closed before, it waits all the same: whoever
    waits for the thread that waits for another one waits for both."""
    try:
        while worker is not None and not worker.join(BEAT_S):
            yield waiting
    finally:
        if worker is not None:
            worker.join()


class Worker(Generic[Item]):
    """Iterates `make()` on a thread of its own, once. Every method may be called from any thread."""

    def __init__(self, make: Callable[[], Iterable[Item]], *, lighten: Callable[[Item], Item] = lambda item: item) -> None:
        """`make` is called on the worker's thread, so that what it builds belongs to that thread; `lighten` too, per item."""
        self._make, self._lighten = make, lighten
        self._gate = threading.Condition()
        self._state: State = "new"
        self._paused = self._stopping = False
        self._held_until = 0.0
        self._queue: deque[Item] = deque()
        self._newest: Item | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="studio-worker", daemon=True)

    @property
    def state(self) -> State:
        """What the worker is doing; the last three values are final. It is "paused" once the generator really stands still."""
        return self._state

    @property
    def error(self) -> BaseException | None:
        """What ended a worker that "failed", with its traceback."""
        return self._error

    def start(self) -> None:
        """Begin. Raises RuntimeError when begun before."""
        self._thread.start()

    def pause(self) -> None:
        """Stand still at the next item, until `resume` or `stop`."""
        with self._gate:
            self._paused = True

    def resume(self) -> None:
        """Go on after `pause`."""
        with self._gate:
            self._paused = False
            self._gate.notify_all()

    def hold(self, seconds: float) -> None:
        """Stand still at items for this long from now: the machine is wanted for something else, such as a moving camera."""
        with self._gate:
            self._held_until = max(self._held_until, time.monotonic() + seconds)

    def stop(self) -> None:
        """Close the generator at its next item; what is queued can still be taken. Returns at once, see `join`."""
        with self._gate:
            self._stopping = True
            self._gate.notify_all()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; False when it has not come within `timeout_s`."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def take(self) -> list[Item]:
        """The items, made light, that came since the last call, oldest first."""
        with self._gate:
            items = list(self._queue)
            self._queue.clear()
            return items

    def waiting(self) -> bool:
        """There is something to take."""
        return bool(self._queue)

    def newest(self) -> Item | None:
        """The newest item whole, once: None until another one comes."""
        with self._gate:
            item, self._newest = self._newest, None
            return item

    def _run(self) -> None:
        try:
            self._state = "running"
            iterator = iter(self._make())
            del self._make  # a worker may be kept when it has ended, what it worked on need not be
            try:
                ended = self._iterate(iterator)
            finally:
                close = getattr(iterator, "close", None)
                if close:
                    close()  # here, not in the garbage collector: the generator's `finally` blocks belong to this thread
            self._state = "done" if ended else "stopped"
        except BaseException as error:  # noqa: B036 - nothing may be lost on a thread that nobody watches
            self._error = error
            self._state = "failed"

    def _iterate(self, iterator: Iterator[Item]) -> bool:
        """Take items until the iterator ends (True) or the worker is told to stop (False)."""
        while self._may_go_on():
            try:
                item = next(iterator)
            except StopIteration:
                return True
            light = self._lighten(item)
            with self._gate:
                self._queue.append(light)
                self._newest = item
        return False

    def _may_go_on(self) -> bool:
        """Wait while paused or held; False when it is time to stop."""
        with self._gate:
            while not self._stopping:
                left = self._held_until - time.monotonic()
                if not self._paused and left <= 0:
                    break
                self._state = "paused"
                self._gate.wait(None if self._paused else left)
            self._state = "running"
            return not self._stopping
