"""An X server without a monitor, and pictures of it."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ImageGrab, features

ROOT = Path(__file__).resolve().parents[2]
CHANGED = 12
"""A pixel has changed when one of its channels differs by more than this (of 255)."""


def why_not() -> str | None:
    """The reason why no window can be driven here."""
    if sys.platform != "linux":
        return "windows are driven on Linux only"
    missing = [tool for tool in ("Xvfb", "xdotool") if not shutil.which(tool)]
    if missing:
        return f"{' and '.join(missing)} not installed (apt-get install xvfb xdotool)"
    return None if features.check("xcb") else "this Pillow cannot take pictures of the screen"


class _ClientMessage(ctypes.Structure):
    """XClientMessageEvent, as long as an XEvent."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 20),
    )


class Screen:
    """An X server without a monitor."""

    def __init__(self, width: int, height: int) -> None:
        self.size = width, height
        read, write = os.pipe()
        command = ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp", "-noreset"]
        self._server = subprocess.Popen(command, pass_fds=[write], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as said:
            number = said.readline().strip()
        assert number, "the X server did not start"
        self.name = f":{number}"

    def picture(self) -> np.ndarray:
        """The screen now [h, w, 3] uint8."""
        return np.asarray(ImageGrab.grab(xdisplay=self.name).convert("RGB"))

    def ask_to_close(self, window: int) -> None:
        """Tell a window what the cross in its title bar would: WM_DELETE_WINDOW, by libX11, as xdotool has no word for it."""
        x11 = ctypes.CDLL("libX11.so.6")
        x11.XOpenDisplay.restype = ctypes.c_void_p
        x11.XInternAtom.restype = ctypes.c_ulong
        display = ctypes.c_void_p(x11.XOpenDisplay(self.name.encode()))
        protocols, delete = (x11.XInternAtom(display, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
        message = _ClientMessage(33, 0, 1, None, window, protocols, 32, (ctypes.c_long * 20)(delete))
        x11.XSendEvent(display, ctypes.c_ulong(window), 0, 0, ctypes.byref(message))
        x11.XCloseDisplay(display)

    def close(self) -> None:
        self._server.terminate()
        self._server.wait(10)


def changed(before: np.ndarray, after: np.ndarray) -> int:
    """How many pixels differ visibly between two pictures; all of them when their sizes differ."""
    if before.shape != after.shape:
        return max(before.shape[0] * before.shape[1], after.shape[0] * after.shape[1])
    return int((np.abs(before.astype(int) - after.astype(int)).max(-1) > CHANGED).sum())


def told_by(module: str, width: int, height: int, *, home: Path) -> Any:
    """What a module that opens a window prints as its last line of JSON, on a screen of its own."""
    screen = Screen(width, height)
    own = {"DISPLAY": screen.name, "PATINA_HOME": str(home), "OMP_WAIT_POLICY": "PASSIVE"}
    own |= dict.fromkeys(("OMP_NUM_THREADS", "LP_NUM_THREADS"), "1")
    try:
        command = [sys.executable, "-m", module]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **own}, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])
    finally:
        screen.close()
