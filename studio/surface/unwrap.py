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
    uv = mesh.corner_uv
    if uv is None:
        return "The mesh has no UVs."
    if not np.isfinite(uv).all():
        return "The mesh has UVs that are not numbers."
    solid = areas(mesh.vertices, mesh.faces) > 0
    flat = np.abs(uv_areas(uv.astype(np.float64))) <= 1e-12
    if (flat & solid).sum() * 2 > solid.sum():
        return "Most faces of the mesh have no area in UV."
    return None


def unwrap(
    mesh: Mesh, *, time_limit_s: float = 300, padding_px: int = 4, size_px: int = 1024
) -> Generator[UnwrapProgress, None, Mesh]:
    """Give every texture set of the mesh new UVs in its own unit square, without overlaps.

    Yields progress several times a second and returns the new mesh (`mesh = yield from unwrap(mesh)`). Closing the generator
    ends the process at once. At an atlas of `size_px`, charts keep `padding_px` texels between them and half of that to the
    border. Raises StudioError when xatlas is not installed, fails, or needs longer than `time_limit_s`.
    """
    if importlib.util.find_spec("xatlas") is None:
        raise StudioError("The mesh needs UVs, and xatlas is not installed.", f"Run 'pip install xatlas'. Or: {_BY_HAND}")
    if not 16 * padding_px <= size_px:
        raise ValueError(f"an atlas of {size_px} texels has no room for a padding of {padding_px}")
    # Windows cannot delete what a killed process still holds for a moment.
    with tempfile.TemporaryDirectory(prefix="patina-unwrap-", ignore_cleanup_errors=True) as folder:
        source, target = Path(folder) / "mesh.npz", Path(folder) / "uv.npy"
        np.savez(
            source, vertices=mesh.vertices, faces=mesh.faces, face_set=mesh.face_set, padding_px=padding_px, size_px=size_px
        )
        with open(Path(folder) / "errors.txt", "w+b") as errors:
            yield from _watched(mesh, [str(source), str(target), str(time_limit_s)], errors, time_limit_s)
        corner_uv = np.load(target, allow_pickle=False)
    return mesh.with_uv(corner_uv, f"{needs_unwrap(mesh) or 'New UVs were asked for.'} It was unwrapped with xatlas.")


def _watched(mesh: Mesh, arguments: list[str], errors: IO[bytes], time_limit_s: float) -> Iterator[UnwrapProgress]:
    """Run the worker to its end, yielding progress; kill it when the time is up or nobody waits for it any more."""
    start, total, done = time.monotonic(), len(mesh.faces), 0
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
