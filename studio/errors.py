"""What a user can do wrong, said in one sentence each, with a remedy.

A user's mistake raises `StudioError(problem, remedy)`; a bug raises whatever Python raises. Commands print the first as two
plain sentences and exit with code 2; the window shows it in a dialog.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class StudioError(Exception):
    """A mistake the user can mend: `problem` says what failed, `remedy` says the next action."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}"


class MeshError(StudioError):
    """A mesh file that cannot be read or used."""


class OutputError(StudioError):
    """A place that cannot be written."""


class DeviceError(StudioError):
    """A device, driver or rasteriser that is not there."""


class Cancelled(StudioError):
    """The user stopped a long stage; nothing was lost."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None when nothing is close."""
    found = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)
    return found[0] if found else None


def unknown(kind: str, name: str, known: Iterable[str]) -> StudioError:
    """The error for a name that does not exist, with the nearest one that does."""
    names = sorted(known)
    close = nearest(name, names)
    hint = f"Did you mean '{close}'? " if close else ""
    return StudioError(f"There is no {kind} called '{name}'.", f"{hint}Known: {', '.join(names)}.")
