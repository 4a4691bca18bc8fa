"""UVs for a mesh that has none: xatlas in a process of its own, with progress, cancel and a time limit."""

from __future__ import annotations

import importlib.util
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from studio.errors import StudioError
from studio.surface.health import areas, uv_areas

if TYPE_CHECKING:
    from collections.abc import Generator

    from studio.surface.mesh import Mesh

_BEAT_S = 0.2
_BY_HAND = "Unwrap the mesh in a 3D program (in Blender: U, Smart UV Project) and open it again."


@dataclass(frozen=True)
class UnwrapProgress:
    """How far the unwrap is. It is exact between texture sets only: xatlas says nothing while it works."""

    message: str
    done: int
    """Triangles in finished texture sets."""
    total: int
    seconds: float
    """Time since the start."""


def needs_unwrap(mesh: Mesh) -> str | None:
    """Why the mesh's UVs cannot carry a texture, as a sentence, or None when they can.

    Overlapping or tiled UVs can; the health report tells of them.
    """
    useless = _useless(mesh)
    if not useless:
        return None
    if mesh.corner_uv is None:
        return "The mesh has no UVs."
    if len(useless) == len(mesh.sets):
        return "The mesh has no usable UVs."
    names = " and ".join(f"'{mesh.sets[i].name}'" for i in useless)
    return f"The mesh has no usable UVs for material{'s' if len(useless) > 1 else ''} {names}."


def _useless(mesh: Mesh) -> list[int]:
    """The texture sets without UVs that can carry a texture: some are no numbers, or most faces have no area in UV."""
    if mesh.corner_uv is None:
        return list(range(len(mesh.sets)))
    uv = mesh.corner_uv.astype(np.float64)
    nan = ~np.all(np.isfinite(uv), axis=(1, 2))
    solid = areas(mesh.vertices, mesh.faces) > 0
    flat = solid & (np.abs(uv_areas(np.where(nan[:, None, None], 0, uv))) <= 1e-12)
    nans, solids, flats = (np.bincount(mesh.face_set, mask, minlength=len(mesh.sets)) for mask in (nan, solid, flat))
    return np.flatnonzero((nans > 0) | (2 * flats > solids)).tolist()


def unwrap(
    mesh: Mesh, *, time_limit_s: float = 300, padding_px: int = 4, size_px: int = 1024
) -> Generator[UnwrapProgress, None, Mesh]:
    """Give the texture sets without usable UVs (every one, if all are usable) new ones, free of overlaps, in a unit square each.

    Yields progress several times a second and returns the new mesh (`mesh = yield from unwrap(mesh)`). Closing the generator
    ends the process at once. At an atlas of `size_px`, charts keep `padding_px` texels between them and half of that to the
    border. Raises StudioError when xatlas is not installed, fails, or needs longer than `time_limit_s`.
    """
    if importlib.util.find_spec("xatlas") is None:
        raise StudioError("The mesh needs UVs, and xatlas is not installed.", f"Run 'pip install xatlas'. Or: {_BY_HAND}")
    if not 16 * padding_px <= size_px:
        raise ValueError(f"an atlas of {size_px} texels has no room for a padding of {padding_px}")
    those = np.isin(mesh.face_set, _useless(mesh) or range(len(mesh.sets)))
    # Windows cannot delete what a killed process still holds for a moment.
    with tempfile.TemporaryDirectory(prefix="patina-unwrap-", ignore_cleanup_errors=True) as folder:
        source, target = Path(folder) / "mesh.npz", Path(folder) / "uv.npy"
        np.savez(
            source,
            vertices=mesh.vertices,
            faces=mesh.faces[those],
            face_set=mesh.face_set[those],
            padding_px=padding_px,
            size_px=size_px,
        )
        with open(Path(folder) / "errors.txt", "w+b") as errors:
            yield from _watched(int(those.sum()), [str(source), str(target), str(time_limit_s)], errors, time_limit_s)
        corner_uv = np.zeros((len(mesh.faces), 3, 2), np.float32) if mesh.corner_uv is None else mesh.corner_uv.copy()
        corner_uv[those] = np.load(target, allow_pickle=False)
    return mesh.with_uv(corner_uv, f"{needs_unwrap(mesh) or 'New UVs were asked for.'} It was unwrapped with xatlas.")


def _watched(total: int, arguments: list[str], errors: IO[bytes], time_limit_s: float) -> Iterator[UnwrapProgress]:
    """Run the worker to its end, yielding progress; kill it when the time is up or nobody waits for it any more."""
    start, done = time.monotonic(), 0
    # The worker must find this package, even where it is imported from a folder and not installed.
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [sys.executable, "-m", "studio.surface._unwrap_worker", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, "PYTHONPATH": path},
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    lines: queue.Queue[bytes | None] = queue.Queue()
    reader = threading.Thread(target=_drain, args=(process.stdout, lines), daemon=True)
    reader.start()
    try:
        while True:
            seconds = time.monotonic() - start
            if seconds > time_limit_s:
                problem = f"Unwrapping {total:,} triangles took longer than {time_limit_s:g} s."
                raise StudioError(problem, f"Allow more time, or reduce the mesh. Or: {_BY_HAND}")
            yield UnwrapProgress(f"unwrapping {total:,} triangles", done, total, seconds)
            try:
                line = lines.get(timeout=_BEAT_S)
            except queue.Empty:
                continue
            if line is None:
                break
            done = int(line)
        if process.wait() != 0:
            raise StudioError(f"Unwrapping the mesh failed ({_reason(process.returncode, errors)}).", _BY_HAND)
        yield UnwrapProgress("unwrapped", total, total, time.monotonic() - start)
    finally:
        process.kill()
        process.wait()
        reader.join()


def _drain(pipe: IO[bytes], lines: queue.Queue[bytes | None]) -> None:
    """Pass the worker's lines on, then None: a thread, because a pipe cannot be waited for with a time limit on Windows."""
    with pipe:
        for line in pipe:
            lines.put(line)
    lines.put(None)


def _reason(code: int, errors: IO[bytes]) -> str:
    """Why the worker failed: the last line it wrote, or how it ended."""
    errors.seek(0)
    written = errors.read()[-2000:].decode(errors="replace").strip().splitlines()
    if code > 0 and written:
        return written[-1][:200]
    return f"xatlas was ended by signal {-code}" if code < 0 else f"xatlas ended with code {code}"
