"""The user's score in a process of its own, which is ended when it takes too long and begun anew when it is asked again."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

BEAT_S = 0.1
START_S = 30.0
"""What the score imports may take that long."""
_WORKER = Path(__file__).with_name("_worker.py")


class Process:
    """Source code with a function `score`, asked one texture at a time."""

    def __init__(self, source: bytes, name: str, folder: Path, *, seconds: float) -> None:
        """`folder` is empty and its own; `seconds`: how long one answer may take."""
        self._name, self._folder, self._seconds = name, folder, seconds
        (folder / "score.py").write_bytes(source)
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: queue.Queue[bytes | None] = queue.Queue()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def ask(self, *, pictures: np.ndarray, texture: np.ndarray) -> Generator[None, None, float | str]:
        """The score, or a sentence that says why there is none; yields while it is waited for."""
        np.savez(self._folder / "ask.npz", pictures=pictures, texture=texture)
        if self._process is None:
            self._begin()
            loaded = yield from self._answer(START_S)
            if isinstance(loaded, str):
                return loaded
        assert self._process is not None and self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended by itself, which the answer says
            self._process.stdin.write(b"ask\n")
            self._process.stdin.flush()
        answer = yield from self._answer(self._seconds)
        if isinstance(answer, str):
            return answer
        return float(answer["value"]) if "value" in answer else f"'{self._name}' {answer['problem']}"

    def _answer(self, seconds: float) -> Generator[None, None, dict[str, Any] | str]:
        """The next line, or why there is none; then the process has been ended."""
        begun = time.monotonic()
        assert self._process is not None
        while True:
            try:
                line = self._lines.get(timeout=BEAT_S)
                break
            except queue.Empty:
                if time.monotonic() - begun > seconds:
                    self._end()
                    return f"'{self._name}' took longer than {seconds:g} s and was stopped."
                yield
        if line is None:
            code = self._process.wait()
            self._end()
            return f"'{self._name}' ended by itself, with code {code}."
        return json.loads(line)

    def _begin(self) -> None:
        # Isolated: no folder of the user's on the path, no variables that change Python. What it prints is nobody's.
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(_WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._lines = queue.Queue()
        threading.Thread(target=_drain, args=(self._process.stdout, self._lines), daemon=True).start()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process = None


def _drain(pipe: IO[bytes], lines: queue.Queue[bytes | None]) -> None:
    """Pass lines on, then None: a thread, because a pipe cannot be waited for with a time limit on Windows."""
    with pipe:
        for line in pipe:
            lines.put(line)
    lines.put(None)
