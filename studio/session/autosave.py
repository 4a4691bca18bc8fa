"""Autosaves: one project file per window, and a mark beside it for as long as the window is open.

A mark whose process is gone means that the window left work that was not saved: its autosave is offered again.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path

import psutil

from studio import files, resources

KEPT = 5
"""Autosaves of windows that were closed stay until there are so many newer ones."""


class Autosave:
    """This window's autosave. Nothing is on disk before `begin`."""

    def __init__(self) -> None:
        self.folder = resources.autosave_dir()
        self.path = self.folder / f"{secrets.token_hex(6)}.patina"

    def begin(self) -> None:
        """Mark that this window is open; old autosaves of closed windows go."""
        with contextlib.suppress(OSError, files.OutputError):
            self.folder.mkdir(parents=True, exist_ok=True)
            files.write_json(_mark(self.path), {"pid": os.getpid(), "since": psutil.Process().create_time()})
            closed = sorted((p for p in self.folder.glob("*.patina") if not _mark(p).exists()), key=_age)
            for path in closed[KEPT:]:
                path.unlink()

    def recoverable(self) -> Path | None:
        """The newest autosave that a window left behind without its work being saved."""
        left = [p for p in self.folder.glob("*.patina") if p != self.path and _mark(p).exists() and not _alive(_mark(p))]
        return min(left, key=_age, default=None)

    def settle(self, path: Path) -> None:
        """Another window's autosave was taken over or declined: it is not offered again."""
        with contextlib.suppress(OSError):
            _mark(path).unlink()

    def end(self, *, offer: bool = False) -> None:
        """The window is closed. `offer`: it leaves work that no other file has, which the next one is to ask about."""
        if not offer:
            self.settle(self.path)
        else:
            with contextlib.suppress(OSError, files.OutputError):
                files.write_json(_mark(self.path), {})  # of no process


def _mark(path: Path) -> Path:
    return path.with_suffix(".open")


def _age(path: Path) -> float:
    with contextlib.suppress(OSError):
        return -path.stat().st_mtime
    return 0.0


def _alive(mark: Path) -> bool:
    """Whether the process that wrote a mark still runs; its time of birth tells it from a later one of the same number."""
    try:
        said = json.loads(mark.read_text(encoding="utf-8"))
        return abs(psutil.Process(said["pid"]).create_time() - said["since"]) < 1.0
    except psutil.AccessDenied:
        return True
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return False
