"""Writing files whole or not at all: a temporary name in the same folder, then `os.replace`.

A reader never sees half a file, and a write that fails leaves what was there before. Every failure of the place itself (missing
folder, no permission, full disk) becomes an OutputError with a remedy.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from studio.errors import OutputError


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """A temporary path beside `path`, which takes its place when the block ends and is removed when the block raises.

    The temporary name keeps the suffix, so that libraries that choose a format by suffix work. Raises OutputError.
    """
    path = Path(path)
    _check(path)
    temporary = path.with_name(f".{path.stem[:80]}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise _said(error, path, temporary) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


class _Probed(Exception):
    """Ends a trial write before it takes effect."""


def probe(path: Path) -> None:
    """Make and remove a temporary file where `path` will be. Raises OutputError when that cannot be done."""
    with contextlib.suppress(_Probed), replacing(path) as temporary:
        temporary.touch()
        raise _Probed


def write_bytes(path: Path | str, data: bytes) -> Path:
    """Write one file atomically. Raises OutputError."""
    return write_together({Path(path): data})[0]


def write_text(path: Path | str, text: str) -> Path:
    """Write one UTF-8 file atomically, line ends as they are. Raises OutputError."""
    return write_bytes(path, text.encode())


def write_json(path: Path | str, value: Any) -> Path:
    """Write `value` as indented JSON, numbers that JSON cannot say as null. Raises OutputError."""
    return write_text(path, json.dumps(jsonable(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_together(contents: Mapping[Path, bytes]) -> list[Path]:
    """Write several files that belong together: all are on disk under temporary names before the first takes its place.

    Give the file that refers to the others last. Returns the paths in order. Raises OutputError.
    """
    with contextlib.ExitStack() as stack:
        for path, data in reversed(list(contents.items())):  # a stack closes backwards: the last given takes its place last
            temporary = stack.enter_context(replacing(path))
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
    return list(contents)


@contextlib.contextmanager
def folder(path: Path) -> Iterator[Path]:
    """The folder at `path`, made with all above it; what was made and is still empty when the block ends is removed again.

    Raises OutputError.
    """
    try:
        made = [each for each in (path, *path.parents) if not each.exists()]
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"The folder '{path}' cannot be made: {error.strerror or error}."
        raise OutputError(problem, "Choose another place for it.") from error
    try:
        yield path
    finally:
        for each in made:
            with contextlib.suppress(OSError):  # what holds something stays
                each.rmdir()


def held_bytes(folder: Path) -> int:
    """How much the files in a folder and below take; what cannot be read, or is just going, counts for nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(place, name)).st_size
    return total


def jsonable(value: Any) -> Any:
    """`value` in JSON's terms: sets as lists, paths as text, arrays as lists and numbers, NaN and ±inf as None."""
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, set | frozenset):
        return [jsonable(v) for v in sorted(value)]
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _check(path: Path) -> None:
    folder = path.parent
    try:
        known, taken = folder.is_dir(), path.is_dir()
    except OSError as error:  # a name that is too long, for one
        problem = f"'{path}' cannot be written: {error.strerror or error}."
        raise OutputError(problem, "Choose another file name or folder.") from error
    if not known:
        problem = f"The folder '{folder}' does not exist, so '{path.name}' cannot be written."
        raise OutputError(problem, "Create the folder or choose another one.")
    if taken:
        raise OutputError(f"'{path}' is a folder, not a file.", "Give a file name inside it.")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"The folder '{folder}' cannot be written to.", "Choose a folder you may write in.")


def _said(error: OSError, path: Path, temporary: Path) -> OSError | OutputError:
    """An error of the place being written as an OutputError; any other OSError of the caller's block stays what it is."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"The disk is full, so '{path}' was not written.", "Free some space or choose another disk.")
    if error.filename is None or os.fspath(error.filename) in (os.fspath(temporary), os.fspath(path)):
        return OutputError(f"'{path}' cannot be written: {error.strerror or error}.", "Choose another file name or folder.")
    return error


def toml(value: Any) -> str:
    """A text, number, truth or list of these as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
        return '"' + "".join(escapes.get(c, c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}") for c in value) + '"'
    if isinstance(value, tuple | list):
        return "[" + ", ".join(toml(v) for v in value) + "]"
    return repr(value)
