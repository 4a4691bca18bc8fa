"""Mouse and keys on the real window, by xdotool. A deed has been done when the window's trace says so."""

from __future__ import annotations

import json
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

Rect = tuple[int, int, int, int]
Point = tuple[float, float]
MIDDLE = 0.5, 0.5


class Hands(ABC):
    """What a user's hands can do; a window says where its items lie."""

    process: subprocess.Popen[bytes]
    trace: Path
    environment: dict[str, str]

    @abstractmethod
    def rect(self, item: str | Rect) -> Rect:
        """Where an item lies on the screen; waits for it to appear."""

    @abstractmethod
    def log(self) -> str:
        """All the window has printed."""

    def beat(self, frames: int = 2) -> None:
        """Let the window draw so many frames: what a hand does faster than that, nobody sees."""
        end, last = time.monotonic() + 10, 0
        while self.process.poll() is None:
            now = json.loads(self.trace.read_text(encoding="utf-8"))["frame"]
            if now >= (last := last or now + frames):
                return
            assert time.monotonic() < end, f"no frame in 10 s\n{self.log()}"
            time.sleep(0.01)

    def move(self, item: str | Rect, at: Point = MIDDLE) -> tuple[int, int]:
        """Put the mouse over an item, at a fraction of its width and height."""
        left, top, right, bottom = self.rect(item)
        x, y = round(left + at[0] * (right - left)), round(top + at[1] * (bottom - top))
        self._xdotool("mousemove", x, y)
        self._sees(at=(x, y))
        return x, y

    def click(self, item: str | Rect, at: Point = MIDDLE, *, button: int = 1, double: bool = False) -> None:
        """A real click; button 3 is the right one."""
        self.move(item, at)
        for _ in range(2 if double else 1):
            self._press("mousedown", button)
            self._press("mouseup", button)

    def _press(self, deed: str, button: int) -> None:
        self._xdotool(deed, button)
        self._sees(button=button, down=deed == "mousedown")

    def _sees(self, *, at: tuple[int, int] | None = None, button: int = 0, down: bool = False) -> None:
        """Wait until the window has the mouse there, or the button so, and has acted on it: a busy machine tells it late."""
        end = time.monotonic() + 5
        while self.process.poll() is None and time.monotonic() < end:  # what was done may have closed the window
            state = json.loads(self.trace.read_text(encoding="utf-8"))
            if at is None or np.abs(np.subtract(state["mouse"], at)).max() <= 1:
                if not button or state["buttons"][button - 1] == down:
                    break
            time.sleep(0.01)
        self.beat()

    def wheel(self, item: str | Rect, clicks: int) -> None:
        """Turn the wheel over an item: up when positive."""
        self.move(item)
        self._xdotool("click", "--repeat", abs(clicks), "--delay", 60, 4 if clicks > 0 else 5)
        self.beat()

    @contextmanager
    def dragging(self, item: str | Rect, at: Point = MIDDLE, *, button: int = 1) -> Iterator[Callable[..., None]]:
        """Hold a mouse button down; what is yielded moves the mouse by (x, y) pixels in small steps."""
        here = list(self.move(item, at))
        self._press("mousedown", button)

        def by(x: float, y: float, *, steps: int = 8) -> None:
            chain: list[Any] = []
            for i in range(1, steps + 1):
                to = (here[0] + x * i / steps, here[1] + y * i / steps)
                chain += ["mousemove", *(max(0, round(at)) for at in to), "sleep", 0.03]
            here[0], here[1] = round(here[0] + x), round(here[1] + y)
            self._xdotool(*chain)
            self._sees(at=(max(0, here[0]), max(0, here[1])))

        try:
            yield by
        finally:
            self._press("mouseup", button)

    def drag(self, item: str | Rect, by: tuple[float, float], at: Point = MIDDLE, *, button: int = 1, held: str = "") -> None:
        """Press on an item, move by (x, y) pixels, let go; `held` is a key kept down meanwhile."""
        with self.holding(held), self.dragging(item, at, button=button) as move:
            move(*by)

    @contextmanager
    def holding(self, key: str) -> Iterator[None]:
        """Keep a key down ("" for none)."""
        if key:
            self._xdotool("keydown", key)
            self.beat()
        try:
            yield
        finally:
            if key:
                self._xdotool("keyup", key)
                self.beat()

    def key(self, *chords: str) -> None:
        """Press keys by xdotool's names: "ctrl+z", "F2", "space", "KP_1"."""
        for chord in chords:
            keys = chord.split("+")
            for press, each in [*(("keydown", k) for k in keys), *(("keyup", k) for k in reversed(keys))]:
                self._xdotool(press, each)
                self.beat()  # a chord within one frame is no chord: the modifier must be seen first

    def type(self, text: str) -> None:
        """Type into what has the cursor."""
        self._xdotool("type", "--delay", 40, text)
        self.beat(4)

    def _xdotool(self, *words: object, check: bool = True) -> str:
        done = subprocess.run(["xdotool", *map(str, words)], env=self.environment, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0 or not check, f"xdotool {words}: {done.stderr}"
        return done.stdout
