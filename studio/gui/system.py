"""What the window asks of the operating system: how large the display is, and files dropped on it. Quietly absent elsewhere."""

from __future__ import annotations

import ctypes
import os
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from studio.gui.app import App

SCALE_VARIABLE = "PATINA_SCALE"
"""This environment variable, when set, is the UI scale to begin with."""
SMALLEST, LARGEST = 1.0, 3.0
USUAL, LEAST = (1440, 900), (1024, 640)
"""A window's size at the first start, and the smallest it can have unless the display is smaller, in unscaled pixels."""
FRAME = 8, 40
"""What a window's frame and title bar take at most beside and above it, in unscaled pixels."""
Area = tuple[int, int, int, int]

_dropped: deque[Path] = deque()
_kept: list[Any] = []  # callbacks that foreign code holds must not be collected
_reason: str | None = None


def content_scale() -> float:
    """How large the display wants things, 1 to 3; 1 where it does not say. PATINA_SCALE overrides it."""
    with suppress(ValueError):
        return _clamped(float(os.environ.get(SCALE_VARIABLE, "")))
    with suppress(OSError, AttributeError, ImportError):
        if sys.platform == "linux":
            return _clamped(_linux_scale())
        if sys.platform == "win32":
            return _clamped(_windows_scale())
    return 1.0  # macOS scales by itself


def place(width: int, height: int, scale: float) -> dict[str, int]:
    """Where and how large a window of this UI scale opens that would like this size (pixels, 0 for the usual one), as dearpygui
    says it. Asked before there is a window."""
    area, usual = None, (round(side * scale) for side in USUAL)
    with suppress(OSError, AttributeError, ImportError):
        if sys.platform == "linux":
            area = _linux_area()
        elif sys.platform == "win32":
            area = _windows_area()
    return fitted((width, height) if width and height else tuple(usual), area, scale)


def fitted(size: tuple[int, ...], area: Area | None, scale: float) -> dict[str, int]:
    """A window of that size, or of what the display has room for, in the middle of `area` (left, top, width, height; pixels)."""
    least = [round(side * scale) for side in LEAST]
    if area is None or min(area[2:]) <= 0:
        return {"width": size[0], "height": size[1], "min_width": least[0], "min_height": least[1]}
    beside, above = (round(side * scale) for side in FRAME)
    room = max(1, area[2] - 2 * beside), max(1, area[3] - above - beside)
    least = [min(side, whole) for side, whole in zip(least, room, strict=True)]
    width, height = (max(least[i], min(size[i], room[i])) for i in range(2))
    left, top = area[0] + (area[2] - width) // 2, area[1] + above + (room[1] - height) // 2
    return {"x_pos": left, "y_pos": top, "width": width, "height": height, "min_width": least[0], "min_height": least[1]}


def watch_drops(app: App) -> None:
    """From now on, files dropped on the window wait in `dropped`."""
    global _reason
    _reason = "not on this system; use Open mesh… instead"
    with suppress(OSError, AttributeError, ImportError):
        if sys.platform == "linux":
            _watch_linux()
            _reason = None
        elif sys.platform == "win32":
            _watch_windows()
            _reason = None


def no_drops() -> str | None:
    """Why nothing can be dropped on the window here, or None."""
    return _reason


def dropped() -> list[Path]:
    """The files dropped since the last call."""
    return [_dropped.popleft() for _ in range(len(_dropped))]


def _clamped(scale: float) -> float:
    return min(LARGEST, max(SMALLEST, scale)) if scale == scale else 1.0


# -- Linux: dearpygui's extension holds GLFW and exports it ---------------------------------------------------------------------


def _glfw() -> tuple[ctypes.CDLL, ctypes.c_void_p]:
    """GLFW and its window, which is current on the main thread. Raises OSError or AttributeError where that does not hold."""
    import dearpygui._dearpygui as extension

    library = ctypes.CDLL(extension.__file__)
    library.glfwGetCurrentContext.restype = ctypes.c_void_p
    window = library.glfwGetCurrentContext()
    if not window:
        raise OSError("no window")
    return library, ctypes.c_void_p(window)


def _linux_monitor() -> tuple[ctypes.CDLL, ctypes.c_void_p]:
    """GLFW and the first monitor; needs no window. Raises OSError or AttributeError where there is none."""
    import dearpygui._dearpygui as extension

    library = ctypes.CDLL(extension.__file__)
    library.glfwGetPrimaryMonitor.restype = ctypes.c_void_p
    monitor = library.glfwGetPrimaryMonitor() if library.glfwInit() else None  # dearpygui's own call then does nothing
    if not monitor:
        raise OSError("no monitor")
    return library, ctypes.c_void_p(monitor)


def _linux_scale() -> float:
    library, monitor = _linux_monitor()
    x, y = ctypes.c_float(1.0), ctypes.c_float(1.0)
    pointer = ctypes.POINTER(ctypes.c_float)
    library.glfwGetMonitorContentScale.argtypes = [ctypes.c_void_p, pointer, pointer]
    library.glfwGetMonitorContentScale(monitor, ctypes.byref(x), ctypes.byref(y))
    return max(x.value, y.value)


def _linux_area() -> Area:
    """Left, top, width and height of what panels leave of the first monitor."""
    library, monitor = _linux_monitor()
    sides = [ctypes.c_int() for _ in range(4)]
    library.glfwGetMonitorWorkarea.argtypes = [ctypes.c_void_p, *[ctypes.POINTER(ctypes.c_int)] * 4]
    library.glfwGetMonitorWorkarea(monitor, *map(ctypes.byref, sides))
    left, top, width, height = (side.value for side in sides)
    return left, top, width, height


def _watch_linux() -> None:
    library, window = _glfw()
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_char_p))
    before: list[Any] = []

    def drop(window: int, count: int, names: Any) -> None:
        # Called from inside GLFW: nothing but noting may happen here.
        _dropped.extend(Path(os.fsdecode(names[i])) for i in range(count))
        if before:
            before[0](window, count, names)

    callback = kind(drop)
    library.glfwSetDropCallback.argtypes = [ctypes.c_void_p, kind]
    library.glfwSetDropCallback.restype = ctypes.c_void_p
    if previous := library.glfwSetDropCallback(window, callback):
        before.append(kind(previous))
    _kept.append(callback)


# -- Windows: the shell sends WM_DROPFILES to windows that accept files ---------------------------------------------------------

WM_DROPFILES, GWLP_WNDPROC, SPI_GETWORKAREA = 0x0233, -4, 0x0030


def _windows_scale() -> float:
    user32 = ctypes.WinDLL("user32")  # type: ignore[attr-defined]
    return user32.GetDpiForWindow(_windows_window(user32)) / 96


def _windows_area() -> Area:
    """Left, top, width and height of what the taskbar leaves of the first monitor."""
    edges = (ctypes.c_long * 4)()
    if not ctypes.WinDLL("user32").SystemParametersInfoW(SPI_GETWORKAREA, 0, edges, 0):  # type: ignore[attr-defined]
        raise OSError("no monitor")
    left, top, right, bottom = edges
    return left, top, right - left, bottom - top


def _windows_window(user32: Any) -> Any:
    """This process's window: the active one of this thread, or else the one of that name. Raises OSError when there is none."""
    user32.GetActiveWindow.restype = user32.FindWindowW.restype = ctypes.c_void_p
    handle = user32.GetActiveWindow() or user32.FindWindowW(None, ctypes.c_wchar_p("Patina Studio"))
    if not handle:
        raise OSError("no window")
    return ctypes.c_void_p(handle)


def _watch_windows() -> None:
    user32, shell32 = ctypes.WinDLL("user32"), ctypes.WinDLL("shell32")  # type: ignore[attr-defined]
    window = _windows_window(user32)
    word, pointer = ctypes.c_size_t, ctypes.c_void_p
    procedure = ctypes.WINFUNCTYPE(ctypes.c_ssize_t, pointer, ctypes.c_uint, word, ctypes.c_ssize_t)  # type: ignore[attr-defined]
    shell32.DragQueryFileW.argtypes = [pointer, ctypes.c_uint, ctypes.c_wchar_p, ctypes.c_uint]
    shell32.DragFinish.argtypes = [pointer]
    shell32.DragAcceptFiles.argtypes = [pointer, ctypes.c_int]
    user32.CallWindowProcW.argtypes = [pointer, pointer, ctypes.c_uint, word, ctypes.c_ssize_t]
    user32.CallWindowProcW.restype = ctypes.c_ssize_t
    user32.SetWindowLongPtrW.argtypes = [pointer, ctypes.c_int, procedure]
    user32.SetWindowLongPtrW.restype = pointer
    before: list[Any] = []

    def receive(handle: int, message: int, wparam: int, lparam: int) -> int:
        if message != WM_DROPFILES:
            return user32.CallWindowProcW(before[0], handle, message, wparam, lparam)
        for i in range(shell32.DragQueryFileW(wparam, 0xFFFFFFFF, None, 0)):
            length = shell32.DragQueryFileW(wparam, i, None, 0) + 1
            name = ctypes.create_unicode_buffer(length)
            shell32.DragQueryFileW(wparam, i, name, length)
            _dropped.append(Path(name.value))
        shell32.DragFinish(wparam)
        return 0

    callback = procedure(receive)
    # Messages come as soon as the procedure is in place, so the old one must be known before.
    user32.GetWindowLongPtrW.argtypes, user32.GetWindowLongPtrW.restype = [pointer, ctypes.c_int], pointer
    before.append(user32.GetWindowLongPtrW(window, GWLP_WNDPROC))
    _kept.append(callback)
    user32.SetWindowLongPtrW(window, GWLP_WNDPROC, callback)
    shell32.DragAcceptFiles(window, 1)
