"""Blobs on disk: what a session can fetch again (textures, checkpoints) and what need not be computed again, bounded in bytes.

A blob's key is the sha256 of its bytes and its file's name, so equal contents are kept once and damage is noticed. What is kept
under a name instead has its checksum at its front. Files are written whole or not at all, so that several processes may share a
folder. When it grows beyond its limit, the blobs that were used longest ago go, except those that this process still refers to.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path

import numpy as np

from studio import files, resources
from studio.errors import OutputError, StudioError

LIMIT_BYTES = 2 << 30
FIELDS_LIMIT_BYTES = 1 << 30
"""Of what is kept of meshes: more than twenty of them, with 30,000 triangles and an atlas of 1024²."""
_CHECK = hashlib.sha256().digest_size


class Store:
    """Blobs in one folder. Every method may be called from any thread."""

    def __init__(self, folder: Path | None = None, *, limit_bytes: int = LIMIT_BYTES) -> None:
        """`folder` is made when the first blob is put; by default it lies in the user's cache."""
        self.folder = folder or resources.cache_dir() / "blobs"
        self.limit_bytes = limit_bytes
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._bytes: int | None = None

    def put(self, data: bytes) -> str:
        """Keep bytes and hold them (see `release`); returns the key. Raises OutputError when the disk refuses."""
        key = hashlib.sha256(data).hexdigest()
        with self._lock:
            self._held[key] += 1
            path = self._path(key)
            if path.is_file() and path.stat().st_size == len(data):
                self._touch(path)
                return key
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                files.write_bytes(path, data)
            except BaseException:
                self._let_go(key)
                raise
            self._bytes = None if self._bytes is None else self._bytes + len(data)
            self._trim()
            return key

    def get(self, key: str) -> bytes:
        """The bytes of a key. Raises StudioError when they are gone or damaged; a damaged blob is removed."""
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            raise StudioError("A moment of this run is no longer on disk.", "Choose another one.") from None
        if hashlib.sha256(data).hexdigest() != key:
            with contextlib.suppress(OSError):
                path.unlink()
            raise StudioError("A moment of this run was damaged on disk.", "Choose another one.")
        self._touch(path)
        return data

    def keep(self, name: str, data: bytes) -> None:
        """Keep bytes under a name, for `recall`; where the disk refuses nothing is kept."""
        path = self._path(hashlib.sha256(name.encode()).hexdigest())
        with self._lock, contextlib.suppress(OSError, OutputError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with files.replacing(path) as temporary:  # not forced to the disk: what is torn by a power cut is noticed
                temporary.write_bytes(hashlib.sha256(data).digest() + data)
            self._bytes = None if self._bytes is None else self._bytes + _CHECK + len(data)
            self._trim()

    def recall(self, name: str) -> bytes | None:
        """What was last kept under a name, by any process; None when it is gone or damaged."""
        path = self._path(hashlib.sha256(name.encode()).hexdigest())
        try:
            data = path.read_bytes()
        except OSError:
            return None
        check, data = data[:_CHECK], data[_CHECK:]
        if hashlib.sha256(data).digest() != check:
            return None
        self._touch(path)
        return data

    def hold(self, keys: Iterable[str]) -> None:
        """Keep these once more until `release`."""
        with self._lock:
            self._held.update(keys)

    def release(self, keys: Iterable[str]) -> None:
        """One reference to each of these less; without any, a blob may go when room is needed."""
        with self._lock:
            for key in keys:
                self._let_go(key)

    def trim(self) -> None:
        """Remove what was used longest ago and is not held, until the limit is kept."""
        with self._lock:
            self._bytes = None
            self._trim()

    def _let_go(self, key: str) -> None:
        self._held[key] -= 1
        if self._held[key] <= 0:
            del self._held[key]

    def _trim(self) -> None:
        if self._bytes is not None and self._bytes <= self.limit_bytes:
            return
        found = []
        for path in self.folder.glob("*/*"):
            with contextlib.suppress(OSError):  # another session may remove it at the same moment
                stat = path.stat()
                found.append((stat.st_mtime_ns, stat.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self.limit_bytes:
                break
            if path.name not in self._held:
                with contextlib.suppress(OSError):
                    path.unlink()
                    total -= size
        self._bytes = total

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key

    @staticmethod
    def _touch(path: Path) -> None:
        with contextlib.suppress(OSError):
            os.utime(path)


def recalled(kind: str, key: str, make: Callable[[], Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays by name as `make` computes them, or as an earlier call, of any process, left them on disk.

    `kind` is what they are, with the version of the code that makes them; `key` is all else that they depend on, "" for what must
    not be kept. A folder that cannot be read or written costs time and nothing else.
    """
    if not key:
        return dict(make())
    store, name = _fields(resources.cache_dir() / "fields"), f"{kind}\0{key}"
    if (data := store.recall(name)) is not None:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return dict(arrays)
    made = dict(make())
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **made)
    store.keep(name, packed.getvalue())
    return made


@cache
def _fields(folder: Path) -> Store:
    return Store(folder, limit_bytes=FIELDS_LIMIT_BYTES)
