"""Drops files on a window as a file manager does: the source's side of XDND (freedesktop.org, version 5), by libX11."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

CLIENT_MESSAGE, SELECTION_REQUEST, SELECTION_NOTIFY = 33, 30, 31
VERSION = 5
_long = ctypes.c_long


class _Message(ctypes.Structure):
    """XClientMessageEvent."""

    _fields_ = (
        ("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("send_event", ctypes.c_int), ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong), ("message_type", ctypes.c_ulong), ("format", ctypes.c_int), ("data", _long * 5),
    )  # fmt: skip


class _Request(ctypes.Structure):
    """XSelectionRequestEvent."""

    _fields_ = (
        ("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("send_event", ctypes.c_int), ("display", ctypes.c_void_p),
        ("owner", ctypes.c_ulong), ("requestor", ctypes.c_ulong), ("selection", ctypes.c_ulong), ("target", ctypes.c_ulong),
        ("property", ctypes.c_ulong), ("time", ctypes.c_ulong),
    )  # fmt: skip


class _Notify(ctypes.Structure):
    """XSelectionEvent."""

    _fields_ = (
        ("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("send_event", ctypes.c_int), ("display", ctypes.c_void_p),
        ("requestor", ctypes.c_ulong), ("selection", ctypes.c_ulong), ("target", ctypes.c_ulong), ("property", ctypes.c_ulong),
        ("time", ctypes.c_ulong),
    )  # fmt: skip


class _Event(ctypes.Union):
    """XEvent."""

    _fields_ = (("type", ctypes.c_int), ("message", _Message), ("request", _Request), ("notify", _Notify), ("pad", _long * 24))


def drop(screen: str, target: int, paths: list[Path], *, at: tuple[int, int] = (200, 200), seconds: float = 10.0) -> bool:
    """Drop files on the window `target` of the display `screen`; whether it took them."""
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.restype = x11.XCreateSimpleWindow.restype = x11.XDefaultRootWindow.restype = ctypes.c_ulong
    display = ctypes.c_void_p(x11.XOpenDisplay(screen.encode()))
    root = ctypes.c_ulong(x11.XDefaultRootWindow(display))
    window = x11.XCreateSimpleWindow(display, root, 0, 0, 1, 1, 0, _long(0), _long(0))

    def atom(name: str) -> int:
        return x11.XInternAtom(display, name.encode(), 0)

    def send(to: int, event: _Event) -> None:
        x11.XSendEvent(display, ctypes.c_ulong(to), 0, _long(0), ctypes.byref(event))
        x11.XFlush(display)

    def tell(kind: str, *rest: int) -> None:
        event = _Event()
        event.message = _Message(CLIENT_MESSAGE, 0, 1, None, target, atom(kind), 32, (_long * 5)(window, *rest))
        send(target, event)

    def answer(request: _Request, data: bytes) -> None:
        requestor, place, kind = map(ctypes.c_ulong, (request.requestor, request.property, request.target))
        x11.XChangeProperty(display, requestor, place, kind, 8, 0, data, len(data))
        event = _Event()
        told = (request.requestor, request.selection, request.target, request.property, request.time)
        event.notify = _Notify(SELECTION_NOTIFY, 0, 1, None, *told)
        send(request.requestor, event)

    data = "".join(f"{path.absolute().as_uri()}\r\n" for path in paths).encode()
    x11.XSetSelectionOwner(display, ctypes.c_ulong(atom("XdndSelection")), ctypes.c_ulong(window), ctypes.c_ulong(0))
    tell("XdndEnter", VERSION << 24, atom("text/uri-list"))
    tell("XdndPosition", 0, at[0] << 16 | at[1], 0, atom("XdndActionCopy"))
    ends, event = time.monotonic() + seconds, _Event()
    try:
        while time.monotonic() < ends:
            if not x11.XPending(display):
                time.sleep(0.01)
                continue
            x11.XNextEvent(display, ctypes.byref(event))
            if event.type == SELECTION_REQUEST:
                answer(event.request, data)
            elif event.type == CLIENT_MESSAGE and event.message.message_type == atom("XdndStatus"):
                if not event.message.data[1] & 1:
                    return False
                tell("XdndDrop", 0, 0)
            elif event.type == CLIENT_MESSAGE and event.message.message_type == atom("XdndFinished"):
                return True
        return False
    finally:
        x11.XCloseDisplay(display)
