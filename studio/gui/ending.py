"""How the window's process ends: once it was closed, when it is told to, and when the display goes away under it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

LOST = "The display went away; what was not saved is kept and offered at the next start."

_kept: list[Any] = []  # callbacks that foreign code holds must not be collected


def leave(code: int) -> NoReturn:
    """End the process at once: a library that a thread is still loading would abort it while it is torn down."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or none at all
            stream.flush()
    os._exit(code)


def when_told(quit: Callable[[], None]) -> None:
    """Close the window when the system asks its process to end."""
    signal.signal(signal.SIGTERM, lambda number, frame: quit())


def when_the_display_goes(close: Callable[[], None]) -> None:
    """Call `close` before the process ends because its display has gone: X11 allows no going on. Elsewhere displays do not go."""
    if sys.platform != "linux":
        return

    def lost(display: int) -> int:
        # Called from inside libX11, and in the middle of a frame: nothing of dearpygui may be called here.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            print(LOST, file=sys.stderr)
        try:
            close()
        finally:
            leave(1)

    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lost)
    with contextlib.suppress(OSError, AttributeError):
        x11 = ctypes.CDLL("libX11.so.6")
        x11.XSetIOErrorHandler.restype = ctypes.c_void_p
        x11.XSetIOErrorHandler(callback)
        _kept.append(callback)
