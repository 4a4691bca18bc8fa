"""Black boxes: scores of textures that have no gradient, built in or of the user's own, and the preferences that follow.

A score of one's own is a Python file with one function, higher is better:

    def score(pictures, texture):
        # pictures: uint8 [N, h, w, 3], the texture lit, from N sides; texture: uint8 [S, T, T, 3], the base colour of S sets
        return float(...)

It runs in a process of its own with a time limit, and only after the user has confirmed it (`studio.consent`).
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from studio import consent
from studio.black_box import _builtin
from studio.black_box._process import Process
from studio.errors import unknown

if TYPE_CHECKING:
    import numpy as np

SUFFIX = ".py"
BUILT_IN = tuple(_builtin.SCORES)


def check(score: str) -> None:
    """Raises StudioError for a score that is neither built in nor a file that may run here."""
    if score not in BUILT_IN:
        _source(score)


def named(score: str) -> str:
    """What its answers are kept under: other code, another name. Raises StudioError as `check` does."""
    return score if score in BUILT_IN else f"{Path(score).name}@{consent.digest(_source(score))[:16]}"


def _source(score: str) -> bytes:
    if not score.endswith(SUFFIX):
        raise unknown("score", score, [*BUILT_IN, "rewards", "FILE.py"])
    return consent.confirmed(Path(score))


class Judge:
    """A score at work; use it as a context."""

    def __init__(self, score: str, *, seconds: float) -> None:
        """`seconds`: how long one answer may take; an empty `score` is never asked. Raises StudioError as `check` does."""
        self._built_in = _builtin.SCORES.get(score)
        self._source = b"" if self._built_in or not score else _source(score)
        self._name, self._seconds = Path(score).name, seconds
        self._stack = contextlib.ExitStack()
        self._process: Process | None = None

    def __enter__(self) -> Judge:
        if self._source:
            folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="patina-score-", ignore_cleanup_errors=True))
            self._process = self._stack.enter_context(Process(self._source, self._name, Path(folder), seconds=self._seconds))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def ask(self, *, pictures: np.ndarray, texture: np.ndarray) -> Generator[None, None, float | str]:
        """The score of pictures uint8 [N, h, w, 3] and base colours uint8 [S, T, T, 3], or a sentence: why there is none.

        Yields several times a second while it is waited for.
        """
        if self._built_in is not None:
            return float(self._built_in(pictures, texture))
        assert self._process is not None, "a judge is a context"
        return (yield from self._process.ask(pictures=pictures, texture=texture))


def pairs(scores: Mapping[str, float], *, gap: float) -> list[tuple[str, str]]:
    """(better, worse): the best quarter against the worst, the best with the worst and so on; only pairs whose scores differ by
    more than `gap` standard deviations of all."""
    if len(scores) < 4:
        return []
    order = sorted(scores, key=lambda key: (scores[key], key))
    least = gap * statistics.stdev(scores.values())
    both = zip(reversed(order), order[: len(order) // 4], strict=False)
    return [(best, worst) for best, worst in both if scores[best] - scores[worst] > least]
