"""Zips that may come from anybody: written in one go, read with every promise of their headers checked."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath

from studio.errors import StudioError

MOST_FILES = 4_000
MOST_BYTES = 4 << 30
"""Of all contents together, unpacked."""
MOST_RATIO = 200
"""Contents that unpack to more than so many times their size, beyond FREE_BYTES, are a trap."""
FREE_BYTES = 64 << 20
PACKED = {".png", ".glb", ".jpg", ".jpeg", ".safetensors"}
"""Compressed already, or not worth it."""


def write(path: Path, contents: Mapping[str, bytes]) -> None:
    """Write all contents by name."""
    with zipfile.ZipFile(path, "w") as zipped:
        for name, data in contents.items():
            kind = zipfile.ZIP_STORED if PurePosixPath(name).suffix.lower() in PACKED else zipfile.ZIP_DEFLATED
            zipped.writestr(zipfile.ZipInfo(name), data, compress_type=kind)


def read(path: Path) -> dict[str, bytes]:
    """All files by name. Raises StudioError for what is no zip, is damaged, or holds names or sizes that no studio writes."""
    if not path.is_file():
        raise StudioError(f"There is no file '{path}'.", "Check the path.")
    try:
        with zipfile.ZipFile(path) as zipped:
            entries = [entry for entry in zipped.infolist() if not entry.is_dir()]
            _check(path, entries)
            return {entry.filename: _contents(zipped, entry) for entry in entries}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError) as error:
        raise StudioError(f"'{path.name}' is no project, or is damaged ({error}).", "Open another copy.") from error


def _check(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    hostile = StudioError(
        f"'{path.name}' holds files that no studio writes; it was not opened.", "Do not trust where it came from."
    )
    names = [entry.filename for entry in entries]
    if len(entries) > MOST_FILES or len(set(map(str.casefold, names))) < len(names) or not all(map(_harmless, names)):
        raise hostile
    size = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    if size > MOST_BYTES or size > FREE_BYTES + MOST_RATIO * packed:
        raise hostile
    if any(stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG) for entry in entries):
        raise hostile  # a link may point anywhere


def _harmless(name: str) -> bool:
    """A relative name that stays inside, on every system."""
    parts = PurePosixPath(name).parts
    odd = "\\" in name or "\0" in name or name.startswith("/") or PureWindowsPath(name).drive
    return bool(parts) and not odd and ".." not in parts and not any(":" in p or p != p.rstrip(". ") for p in parts)


def _contents(zipped: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Never more than the header says."""
    with zipped.open(entry) as file:
        data = file.read(entry.file_size + 1)
    if len(data) != entry.file_size:
        raise ValueError(f"{entry.filename} is not as long as it says")
    return data
