"""What is kept while a recovery goes on: the newest checkpoint, and the log for TensorBoard."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from studio import files
from studio.errors import OutputError
from studio.progress import Progress

KEEP_S = 30.0


class Keeper:
    """The newest checkpoint, written now and then and when the work ends early."""

    def __init__(self, path: Path) -> None:
        self._path, self._state = path, None
        self._kept_at = time.monotonic()

    def note(self, progress: Progress) -> None:
        self._state = progress.checkpoint or self._state
        if progress.checkpoint is not None and time.monotonic() - self._kept_at >= KEEP_S:
            with contextlib.suppress(OutputError):  # a disk that is full for a moment must not end the run
                self.write()
            self._kept_at = time.monotonic()

    def write(self) -> list[Path]:
        """Of the state as it is now: called between two steps."""
        if self._state is None:
            return []
        with files.replacing(self._path) as temporary:
            torch.save(self._state(), temporary)
        return [self._path]

    def done(self) -> None:
        self._path.unlink(missing_ok=True)


@contextlib.contextmanager
def logged(folder: Path | None) -> Iterator[Callable[[Progress], None]]:
    """What writes each step's numbers and each preview's maps for TensorBoard."""
    if folder is None:
        yield lambda progress: None
        return
    from torch.utils.tensorboard.writer import SummaryWriter

    with files.folder(folder), SummaryWriter(str(folder)) as writer:
        steps = 0

        def log(progress: Progress) -> None:
            nonlocal steps
            steps += progress.checkpoint is not None
            for name, value in progress.metrics.items():
                writer.add_scalar(f"{progress.stage}/{name}".replace(" ", "_"), value, steps)
            if progress.texture is not None:
                for name, channel in progress.texture.channels.items():
                    writer.add_images(f"maps/{name}", channel.cpu(), steps)

        yield log
