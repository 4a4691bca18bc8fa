"""What went wrong, for a dialog: a title, the likely cause, the next action, and a log to copy."""

from __future__ import annotations

import platform
import sys
import traceback
from dataclasses import dataclass
from importlib import metadata

from studio import __version__
from studio.errors import StudioError

PACKAGES = ("torch", "numpy", "diffusers", "peft", "trimesh", "embreex", "dearpygui")


@dataclass(frozen=True)
class Problem:
    """One dialog."""

    title: str
    cause: str
    remedy: str
    log: str
    """What a report of this problem should contain: versions and the traceback."""


def problem(doing: str, error: BaseException) -> Problem:
    """What to tell of an error that ended `doing` ("The run", "The export")."""
    log = report(error)
    if isinstance(error, StudioError):
        return Problem(f"{doing} failed", error.problem, error.remedy, log)
    if out_of_memory(error):
        cause = "The computer ran out of memory." if isinstance(error, MemoryError) else "The graphics card ran out of memory."
        remedy = "Choose a smaller atlas, fewer views or a smaller batch, close other programs, then start again."
        return Problem(f"{doing} needs more memory", cause, remedy, log)
    cause = f"The studio made a mistake ({type(error).__name__}: {str(error)[:300] or 'no further words'})."
    return Problem(
        f"{doing} failed", cause, "Your work is kept. Try again; if it happens again, copy the log and report it.", log
    )


def out_of_memory(error: BaseException) -> bool:
    """Python's, torch's on any device, and those that only say so in words."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in said or "can't allocate memory" in said)


def report(error: BaseException) -> str:
    """Versions and the traceback."""
    versions = [f"{name} {found}" for name in PACKAGES if (found := _version(name))]
    head = f"Patina Studio {__version__} | Python {platform.python_version()} | {platform.platform()}"
    return "\n".join([head, " | ".join(versions), "", "".join(traceback.format_exception(error)).rstrip()])


def _version(package: str) -> str | None:
    loaded = sys.modules.get(package)
    try:
        return getattr(loaded, "__version__", None) or metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
