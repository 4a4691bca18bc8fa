"""What a file browser shows: folders and files, places to go, completed paths. Knows no window."""

from __future__ import annotations

import os
import string
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from studio.errors import StudioError


@dataclass(frozen=True)
class Entry:
    """A folder or file. `changed` is in seconds since 1970."""

    path: Path
    folder: bool
    size: int = 0
    changed: float = 0.0

    @property
    def name(self) -> str:
        return self.path.name


def listing(folder: Path, *, suffixes: Iterable[str] = (), hidden: bool = False) -> list[Entry]:
    """Folders and the files with one of these suffixes (all files when none is given), unsorted.

    Raises StudioError when the folder cannot be read.
    """
    wanted = {s.lower() for s in suffixes}
    found: list[Entry] = []
    try:
        with os.scandir(folder) as items:
            for item in items:
                if not hidden and item.name.startswith("."):
                    continue
                with suppress(OSError):  # a link to nowhere, a file that has just gone
                    is_folder = item.is_dir()
                    if is_folder or not wanted or Path(item.name).suffix.lower() in wanted:
                        state = item.stat()
                        found.append(Entry(Path(item.path), is_folder, state.st_size, state.st_mtime))
    except OSError as error:
        problem = f"The folder '{folder}' cannot be read: {error.strerror or error}."
        raise StudioError(problem, "Choose another folder.") from error
    return found


def ordered(entries: Iterable[Entry], *, by: str = "name", descending: bool = False) -> list[Entry]:
    """Folders first, then files, by "name", "size" or "changed"; names as people sort them."""
    keys: dict[str, Callable[[Entry], tuple]] = {
        "name": lambda e: (_natural(e.name),),
        "size": lambda e: (e.size, _natural(e.name)),
        "changed": lambda e: (e.changed, _natural(e.name)),
    }
    found = sorted(entries, key=keys[by], reverse=descending)
    return [e for e in found if e.folder] + [e for e in found if not e.folder]


def matching(entries: Iterable[Entry], typed: str) -> list[Entry]:
    """Those whose names begin with what was typed, or, when none does, hold it."""
    entries, typed = list(entries), typed.casefold()
    first = [e for e in entries if e.name.casefold().startswith(typed)]
    return first or [e for e in entries if typed in e.name.casefold()]


def parted(typed: str, folder: Path) -> tuple[Path, str]:
    """The folder that a typed path (also relative to `folder`, or from ~) speaks of, and the beginning of a name in it."""
    if typed in ("~", ".."):
        typed += os.sep
    head, name = os.path.split(os.path.expanduser(typed))
    return Path(os.path.normpath(folder / head)), name


def elided(words: str, width: float, measure: Callable[[str], float]) -> str:
    """`words` with an ellipsis in the middle, as long as fits into `width`: the ends of file names tell them apart."""
    if measure(words) <= width:
        return words
    low, high = 1, len(words) - 1
    while low < high:  # the most letters that fit
        kept = (low + high + 1) // 2
        if measure(_cut(words, kept)) <= width:
            low = kept
        else:
            high = kept - 1
    return _cut(words, low)


def size_words(size: int) -> str:
    """Bytes as people read them."""
    value, unit = float(size), "B"
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def ago(seconds: float) -> str:
    """How long it is ago, in words."""
    for limit, unit in ((60, "second"), (60, "minute"), (24, "hour"), (float("inf"), "day")):
        if seconds < limit:
            count = max(1, int(seconds))
            return f"{count} {unit}{'s' if count > 1 else ''} ago" if unit != "second" else "just now"
        seconds /= limit
    raise AssertionError


def date_words(changed: float, now: float) -> str:
    """A file's date: the time for today's, the year for old ones."""
    then, today = time.localtime(changed), time.localtime(now)
    if then[:3] == today[:3]:
        return time.strftime("today %H:%M", then)
    return time.strftime("%d %b %H:%M" if then[0] == today[0] else "%d %b %Y", then)


def standard() -> list[tuple[str, Path]]:
    """The places every user has: home, the usual folders in it, drives."""
    home = Path.home()
    found = [("Home", home)]
    found += [(name, home / name) for name in ("Desktop", "Documents", "Downloads", "Pictures") if (home / name).is_dir()]
    if sys.platform == "win32":
        drives = [(f"Drive {letter}:", Path(f"{letter}:\\")) for letter in string.ascii_uppercase]
        found += [(label, path) for label, path in drives if path.is_dir()]
    else:
        found.append(("Computer", Path("/")))
    return found


def _cut(words: str, kept: int) -> str:
    ahead = (kept + 1) // 2
    return f"{words[:ahead].rstrip()}…{words[len(words) - (kept - ahead) :].lstrip()}"


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Puts mug_10 after mug_9."""
    parts: list[tuple[int, int, str]] = []
    number = ""
    for letter in name.casefold() + "\0":
        if letter.isascii() and letter.isdigit():
            number += letter
            continue
        if number:
            parts.append((0, int(number), ""))
            number = ""
        parts.append((1, 0, letter))
    return parts
