"""The window: the only place that imports dearpygui. `open_window` is its door; without a display it says so in words."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from studio import device
from studio.errors import DeviceError

if TYPE_CHECKING:
    from studio.session import Errand

REMEDY = (
    'Here, use `studio bake MESH "PROMPT" --out X.glb`; with `--project X.patina` the result can be opened in the window of '
    "another machine, and a project saved there can be baked here."
)


def why_not() -> str | None:
    """Why no window can be opened here, in one sentence, or None. Opens nothing: without a display dearpygui would abort."""
    if importlib.util.find_spec("dearpygui") is None:
        return "dearpygui, the window's library, is not installed."
    if sys.platform != "linux":
        return None
    if not os.environ.get("DISPLAY"):
        return "There is no display: the variable DISPLAY is not set."
    try:
        x11 = ctypes.CDLL(ctypes.util.find_library("X11") or "libX11.so.6")
        ctypes.CDLL(ctypes.util.find_library("GL") or "libGL.so.1")
    except OSError as error:
        return f"The window's system libraries (libX11, libGL) are missing: {error}."
    x11.XOpenDisplay.restype, x11.XOpenDisplay.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    display = x11.XOpenDisplay(None)
    if not display:
        return f"The display {os.environ['DISPLAY']} does not answer."
    x11.XCloseDisplay(display)
    return None


def open_window(path: Path | None = None, *, errand: Errand | None = None) -> NoReturn:
    """Show the window, with this mesh or project in it, until it is closed; the process ends with it.

    An `errand` is started at once: a mesh, the settings, and where the results go. Raises DeviceError without a display.
    """
    if reason := why_not():
        raise DeviceError(f"The window cannot be opened. {reason}", REMEDY)
    device.share_heaps()  # a dozen threads come and go here
    try:
        from studio.gui import ending
        from studio.gui.app import App
    except ImportError as error:  # its extension links the system's X11 and OpenGL
        raise DeviceError(f"The window cannot be opened. dearpygui cannot be loaded: {error}.", REMEDY) from error
    app = App(path, errand=errand)
    ending.when_told(app.quit)
    ending.when_the_display_goes(app.session.close)
    try:
        code = app.run()
    except KeyboardInterrupt:
        code = 130
    ending.leave(code)
