"""Drives the real window from outside: what it says and shows; mouse and keys are `tests.gui.hands`.

Nothing of the studio is imported: what the driver knows, it reads from the screen and from the JSON that the window writes into
the file named by PATINA_TRACE (`studio.gui.trace`), where each tagged item says where it lies.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from tests.gui.hands import Hands, Rect
from tests.gui.screen import Screen, changed

ROOT = Path(__file__).resolve().parent.parent.parent
TITLE = "Patina Studio"
State = dict[str, Any]


class Window(Hands):
    """The running studio. Every method that acts returns at once; `wait` and `does` look at what comes of it."""

    def __init__(
        self, screen: Screen, home: Path, arguments: tuple[str, ...] = (), *, pictures: Path | None = None, scale: float = 1.0
    ) -> None:
        """`home` takes settings, caches, autosaves and the trace; `pictures` the screenshots (none are kept without)."""
        self.screen, self.home, self._pictures = screen, home, pictures
        home.mkdir(parents=True, exist_ok=True)
        self.trace = home / "trace.json"
        self.trace.unlink(missing_ok=True)  # of an earlier window with this home
        self._count = 0
        one = dict.fromkeys(("OMP_NUM_THREADS", "LP_NUM_THREADS"), "1")
        own = {"DISPLAY": screen.name, "PATINA_HOME": str(home), "PATINA_TRACE": str(self.trace), "PATINA_SCALE": str(scale)}
        environment = {**os.environ, **one, "OMP_WAIT_POLICY": "PASSIVE", "LIBGL_ALWAYS_SOFTWARE": "1", **own}
        self._log = tempfile.TemporaryFile()
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "studio", *arguments], cwd=ROOT, env=environment, stdout=self._log, stderr=self._log
        )
        self.environment = environment
        self._id = ""

    # -- what can be seen -----------------------------------------------------------------------------------------------------

    def state(self) -> State:
        """What the window says of itself; empty before its first frame. Raises AssertionError when it has died."""
        assert self.process.poll() is None, f"the window is gone (exit code {self.process.returncode}):\n{self.log()}"
        try:
            return json.loads(self.trace.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}

    def log(self) -> str:
        """All the window has printed."""
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace")

    def wait(self, until: Callable[[State], Any], *, seconds: float = 10.0, what: str = "") -> State:
        """The first state for which `until` holds (a key that is not there counts as no)."""
        end = time.monotonic() + seconds
        while True:
            state = self.state()
            if _read(until, state):
                return state
            if time.monotonic() > end:
                told = {k: v for k, v in state.items() if k != "items"}
                vain = f"waited {seconds:g} s in vain{what and f' for {what}'}"
                raise AssertionError(f"{vain}; the window says {told}\n{self.log()}")
            time.sleep(0.01)

    def settle(self, seconds: float = 3.0) -> None:
        """Wait until two pictures in a row are the same, at most so long."""
        end, last = time.monotonic() + seconds, self.screen.picture()
        while time.monotonic() < end:
            time.sleep(0.2)
            now = self.screen.picture()
            if np.array_equal(now, last):
                return
            last = now

    def rect(self, item: str | Rect) -> Rect:
        """Where an item lies on the screen; waits for it to appear."""
        if not isinstance(item, str):
            return item
        left, top, right, bottom = self.wait(lambda s: item in s["items"], what=item)["items"][item]
        return left, top, right, bottom

    def lies(self) -> Rect:
        """Where the window itself lies on the screen."""
        told = self._xdotool("search", "--onlyvisible", "--name", TITLE, "getwindowgeometry", "--shell")
        left, top, width, height = (int(re.findall(rf"^{name}=(-?\d+)", told, re.M)[0]) for name in ("X", "Y", "WIDTH", "HEIGHT"))
        return left, top, left + width, top + height

    def reveal(self, item: str, column: Rect) -> None:
        """Turn the wheel over a column that scrolls until all of an item is seen in it."""
        middle = (column[0] + column[2]) // 2, (column[1] + column[3]) // 2
        for clicks in (*[0], *[-2] * 12, *[2] * 24, *[-1] * 24):
            if clicks:
                self.wheel((*middle, *middle), clicks)
            rect = self.state()["items"].get(item)
            if rect and column[1] <= rect[1] and rect[3] <= column[3]:
                return
        raise AssertionError(f"no scrolling shows {item}")

    def shows(self, item: str) -> bool:
        """Whether an item is visible now."""
        return item in self.state()["items"]

    def picture(self, item: str | Rect | None = None) -> np.ndarray:
        """The screen [h, w, 3] uint8, or what of it an item covers."""
        picture = self.screen.picture()
        if item is None:
            return picture
        left, top, right, bottom = self.rect(item)
        return picture[max(0, top) : bottom, max(0, left) : right]

    def keep(self, name: str) -> None:
        """Keep a screenshot under the next number and this name."""
        self._count += 1
        if self._pictures:
            self._pictures.mkdir(parents=True, exist_ok=True)
            file = f"{self._count:02d}-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}.png"
            Image.fromarray(self.screen.picture()).save(self._pictures / file)

    # -- the beginning --------------------------------------------------------------------------------------------------------

    def appear(self, *, seconds: float = 30.0) -> State:
        """Wait for the window and its first frame, and give it the keyboard."""
        self.wait(lambda s: s["items"], seconds=seconds, what="the first frame")
        end = time.monotonic() + seconds
        while not self._id and time.monotonic() < end:
            # A title is set anew with the mesh's name, so that any window of this process will do.
            found = self._xdotool("search", "--onlyvisible", "--name", TITLE, check=False).split()
            self._id = found[0] if found else ""
            time.sleep(0.02)
        assert self._id, "no window of that name"
        # Without a window manager nobody places the window: it fills the screen, so that both count pixels alike.
        self._xdotool("windowmove", self._id, 0, 0, "windowsize", self._id, *self.screen.size, "windowfocus", "--sync", self._id)
        self._xdotool("mousemove", 1, 1, "mousemove", 2, 2)  # a mouse that has never moved is nowhere
        self.settle()
        return self.state()

    # -- promises -------------------------------------------------------------------------------------------------------------

    def does(
        self,
        name: str,
        act: Callable[[], Any],
        *,
        says: Callable[[State], Any],
        where: str | Rect,
        seconds: float = 10.0,
        pixels: int = 24,
    ) -> State:
        """Act, then see both: what `says` reads from the state is another one, and in the region `where` the picture changed.

        At least so many `pixels` must have changed. Keeps a screenshot under `name`. Returns the new state.
        """
        self.beat()  # what the state says is on the screen a frame later
        before, place = self.state(), self.rect(where)
        old, seen = _read(says, before), self.picture(place)
        act()
        after = self.wait(lambda s: says(s) != old, seconds=seconds, what=f"{name}: something else than {old!r}")
        self.repaints(place, seen, pixels=pixels, seconds=seconds, what=name)
        self.keep(name)
        return after

    def repaints(self, where: str | Rect, since: np.ndarray, *, pixels: int = 24, seconds: float = 10.0, what: str = "") -> None:
        """Wait until at least so many pixels of a region differ from the picture `since`."""
        end = time.monotonic() + seconds
        while (count := changed(since, self.picture(where))) < pixels:
            assert time.monotonic() < end, f"{what}: {count} pixels of {where} changed"
            time.sleep(0.05)

    # -- the end --------------------------------------------------------------------------------------------------------------

    def quit(self, *, seconds: float = 10.0) -> int:
        """Close the window as its title bar's cross would; the exit code."""
        self.screen.ask_to_close(int(self._id))
        return self.process.wait(seconds)

    def kill(self) -> None:
        """End the process, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._log.close()

    def size(self) -> tuple[int, int]:
        """Memory of the process in bytes, and its threads."""
        process = psutil.Process(self.process.pid)
        return process.memory_info().rss, process.num_threads()


def _read(says: Callable[[State], Any], state: State) -> Any:
    """What `says` reads from the state; None where something of it is not there yet."""
    try:
        return says(state)
    except (KeyError, IndexError, TypeError):
        return None
