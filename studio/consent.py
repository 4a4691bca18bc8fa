"""Which files with somebody's code may run here: those whose path and bytes the user has confirmed on this machine.

A preset or project may name a score in a Python file; whoever wrote it could be anybody. Nothing of it runs before the user says
yes to exactly these bytes in exactly this place, and what runs is what was read when that was checked.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from studio import files, resources
from studio.errors import StudioError

LARGEST_BYTES = 1 << 20
_STORE = "confirmed.json"


def digest(data: bytes) -> str:
    """The sha256 of a file's bytes, as the user is shown it."""
    return hashlib.sha256(data).hexdigest()


def read(path: Path) -> bytes:
    """A file's bytes, confirmed or not. Raises StudioError when it cannot be read or is too large for a script."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise StudioError(f"The score '{path}' cannot be read: {error.strerror or error}.", "Check the path.") from error
    if len(data) > LARGEST_BYTES:
        raise StudioError(f"'{path}' is too large for a score.", "Choose a Python file with one function.")
    return data


def confirm(path: Path, sha256: str) -> None:
    """Let the file with these bytes run here from now on. Raises StudioError when it holds others by now."""
    if digest(read(path)) != sha256:
        raise StudioError(f"'{path}' has changed since it was shown.", "Look at it again, then confirm.")
    known = _known()
    known[_place(path)] = sha256
    folder = resources.config_dir()
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / _STORE, known)


def withdraw(path: Path) -> None:
    """Let it run no more."""
    known = _known()
    if known.pop(_place(path), None):
        files.write_json(resources.config_dir() / _STORE, known)


def may_run(path: Path) -> bool:
    """Whether the file, as it is, was confirmed. Raises StudioError when it cannot be read."""
    return _known().get(_place(path)) == digest(read(path))


def confirmed(path: Path) -> bytes:
    """The bytes that may run. Raises StudioError when the user has not confirmed them in this place on this machine."""
    data = read(path)
    if _known().get(_place(path)) != digest(data):
        problem = f"The score '{path}' is code that was not confirmed on this machine (sha256 {digest(data)[:16]}…)."
        raise StudioError(problem, f'Read it; if you trust it, run: studio confirm "{path}"')
    return data


def _place(path: Path) -> str:
    return str(path.absolute())


def _known() -> dict[str, str]:
    try:
        known = json.loads((resources.config_dir() / _STORE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(k): v for k, v in known.items() if isinstance(v, str)} if isinstance(known, dict) else {}
