"""A run whose results land in files: checked before the work, checkpointed when it is stopped, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from studio import exporters, files, lora, project
from studio.config import Config
from studio.document import Document
from studio.errors import OutputError, StudioError
from studio.exporters import Asset, Exporter
from studio.exporters._source import spare
from studio.progress import Progress, Result

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

    from studio.surface.mesh import Mesh
    from studio.texture import Texture

KEEP_S = 30.0
"""How often an unfinished run's checkpoint is written even though nobody stops it."""


@dataclass(frozen=True)
class Outputs:
    """Where the results go."""

    asset: Path
    """The textured mesh; its suffix chooses the exporter."""
    report: Path | None = None
    """The numbers, as JSON."""
    sheet: Path | None = None
    """Pictures of the result, as PNG."""
    log: Path | None = None
    """A folder for TensorBoard."""
    project: Path | None = None
    """A project that the window opens."""

    @property
    def checkpoint(self) -> Path:
        """Beside the asset; it exists only while a run is unfinished."""
        return self.asset.with_name(f"{self.asset.stem}.checkpoint.pt")

    def exporter(self) -> Exporter:
        """The exporter for the asset's suffix. Raises StudioError when there is none."""
        kinds = {exporters.SOCKET.load(name).suffix: name for name in exporters.SOCKET.working()}
        suffix = self.asset.suffix.lower()
        if suffix not in kinds:
            problem = f"Nothing can be exported as '{self.asset.name}'."
            raise StudioError(problem, f"Give it one of the suffixes {', '.join(sorted(kinds))}.")
        return exporters.SOCKET.make(kinds[suffix])

    def check(self, mesh: Path) -> None:
        """Raise now what would otherwise fail after the work: OutputError for a place that cannot be written.

        The user's own mesh file counts as such a place.
        """
        self.exporter()
        if self.sheet and self.sheet.suffix.lower() != ".png":
            raise OutputError(f"The contact sheet cannot be written as '{self.sheet.name}'.", "Give it the suffix .png.")
        if self.project and self.project.suffix.lower() != project.SUFFIX:
            raise OutputError(f"A project cannot be written as '{self.project.name}'.", f"Give it the suffix {project.SUFFIX}.")
        places = [p for p in (self.asset, self.report, self.sheet, self.project, self.checkpoint) if p]
        if len({os.path.realpath(p) for p in places}) < len(places):
            raise OutputError("Two results would be written to the same file.", "Give each its own name.")
        for place in places:
            files.probe(place)
            with contextlib.suppress(OSError):  # one of them does not exist: then they are not the same
                if place.samefile(mesh):
                    raise OutputError(f"'{place}' is the mesh itself.", "Choose another name; your file is never overwritten.")
        if self.log:
            try:
                self.log.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                problem = f"The folder '{self.log}' cannot be made: {error.strerror}."
                raise OutputError(problem, "Choose another folder.") from error
            files.probe(self.log / "events")


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a job ended: with a `result`, or stopped, having written the best texture so far (if there was one)."""

    written: tuple[Path, ...]
    result: Result | None = None


def work(
    config: Config,
    mesh: Path | Mesh,
    outputs: Outputs,
    *,
    resume: bool = False,
    show: Callable[[Progress], None] = lambda progress: None,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Run `config` on a mesh (or its file) and write the outputs.

    `stop` is asked at every step. When it says yes, or when the run fails, a checkpoint and the best texture so far are written;
    `resume` continues from that checkpoint to the same numbers. Raises StudioError for anything the user can mend.
    """
    outputs.check(mesh if isinstance(mesh, Path) else mesh.source.path)
    if outputs.exporter().needs_lora and not config.trainer.learns:
        problem = f"This trainer learns no LoRA, so '{outputs.asset.name}' would be empty."
        raise StudioError(problem, "Use --trainer lora_reward, or write a mesh, such as a .glb.")
    config = replace(config, trainer=config.trainer.beside(outputs.asset))
    state = read_checkpoint(outputs.checkpoint) if resume else None
    from studio.run import run  # after the checks: it takes seconds to import

    unfinished = _Unfinished(config)
    running = cast("Generator[Progress]", run(config, mesh, resume=state))
    with _log(outputs.log) as log, contextlib.closing(running) as steps:
        try:
            for progress in steps:
                if progress.mesh is not None:
                    spare(progress.mesh, filter(None, (outputs.asset, outputs.report, outputs.sheet)))
                unfinished.note(progress)
                unfinished.keep(outputs)
                show(progress)
                log(progress)
                if progress.result is not None:
                    written = write(progress.result, outputs, config, story=unfinished)
                    outputs.checkpoint.unlink(missing_ok=True)
                    unfinished.checkpoint = None
                    return Outcome(written, progress.result)
                if stop():
                    break
        finally:
            saved = unfinished.write(outputs)
    return Outcome(saved)


class _Unfinished:
    """What would be lost if the run ended now: its newest checkpoint and its best texture."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.checkpoint: dict[str, Any] | None = None
        self.best: Progress | None = None
        self.curves: dict[str, list[tuple[int, float]]] = {}
        self.markers: list[tuple[int, str]] = []
        self._kept_at = time.monotonic()

    def note(self, progress: Progress) -> None:
        if progress.checkpoint is not None:
            for name, value in progress.metrics.items():
                self.curves.setdefault(name, []).append((progress.step, value))
            if progress.change:
                self.markers.append((progress.step, progress.change))
            # Taken at once: at a later step the optimiser and the normalisers have moved on.
            self.checkpoint = progress.checkpoint()
            if progress.texture is not None and (self.best is None or _score(progress) >= _score(self.best)):
                self.best = replace(progress, finish=None)  # which holds an iteration's pictures

    def keep(self, outputs: Outputs) -> None:
        """Write the checkpoint now and then, for the day when there is no time to: a power cut, a killed process."""
        if self.checkpoint is not None and time.monotonic() - self._kept_at >= KEEP_S:
            with contextlib.suppress(OutputError):  # a disk that is full for a moment must not end the run
                self._save(outputs.checkpoint)
            self._kept_at = time.monotonic()

    def _save(self, path: Path) -> None:
        import torch

        with files.replacing(path) as temporary:
            torch.save(self.checkpoint, temporary)

    def write(self, outputs: Outputs) -> tuple[Path, ...]:
        """The files written: none when nothing was learned yet, or when the run was finished."""
        if self.checkpoint is None:
            return ()
        self._save(outputs.checkpoint)
        if self.best is None or self.best.texture is None or self.best.mesh is None:
            return (outputs.checkpoint,)
        config = self.config.public().table()
        receipt = {"config": config, "unfinished": True, "iteration": self.best.step, "score": _score(self.best)}
        tensors, learned = lora.taught(self.checkpoint)
        receipt |= {"learned": learned} if learned else {}
        texture, painted = self.best.texture.to("cpu"), self.best.painted
        asset = Asset(mesh=self.best.mesh, texture=texture, receipt=receipt, painted=painted, lora=tensors)
        written = [outputs.checkpoint, *outputs.exporter().write(asset, outputs.asset)]
        if outputs.project:
            written.append(self.save(outputs.project, asset.mesh, texture, painted))
        return tuple(written)

    def save(self, path: Path, mesh: Mesh, texture: Texture, painted: frozenset[str]) -> Path:
        """Everything as a project, for the window."""
        state = self.checkpoint or {}
        return project.save(
            project.Project(
                Document(mesh.source.path, self.config),
                mesh,
                texture,
                project.laid_out(mesh),
                lora.taught(state)[0],
                self.checkpoint,
                self.curves,
                self.markers,
                list(state.get("objective", {}).get("journal", [])),
                painted,
            ),
            path,
        )


def _score(progress: Progress) -> float:
    return progress.metrics.get("score", 0.0)


def write(result: Result, outputs: Outputs, config: Config, *, story: _Unfinished | None = None) -> tuple[Path, ...]:
    """The results of a run of `config` in files, the report last: where there is a report, everything is there.

    `story` is what a project tells of the run's course. Raises OutputError.
    """
    texture = result.texture.to("cpu")
    asset = Asset(mesh=result.mesh, texture=texture, receipt=result.receipt, painted=result.painted, lora=result.lora)
    written = outputs.exporter().write(asset, outputs.asset)
    if outputs.sheet:
        from studio.sheet import write_sheet

        written.append(write_sheet(result, config, outputs.sheet))
    if outputs.project:
        story = story or _Unfinished(config)
        if story.checkpoint is not None:
            story.checkpoint = lora.finished(story.checkpoint, result.lora, result.receipt)
        written.append(story.save(outputs.project, result.mesh, texture, result.painted))
    if outputs.report:
        written.append(files.write_json(outputs.report, result.report))
    return tuple(written)


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """What an unfinished run left behind. Raises StudioError when there is none or it is damaged."""
    import torch

    if not path.is_file():
        raise StudioError(f"There is no unfinished run to resume: '{path}' does not exist.", "Start without --resume.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the unpickler stumbles over
        raise StudioError(f"The checkpoint '{path}' cannot be read.", "Delete it and start without --resume.") from error
    if not isinstance(state, dict):
        raise StudioError(f"'{path}' is not a checkpoint of the studio.", "Delete it and start without --resume.")
    return state


@contextlib.contextmanager
def _log(folder: Path | None) -> Iterator[Callable[[Progress], None]]:
    """What writes the numbers of each iteration, and the views at the end of each, for TensorBoard."""
    if folder is None:
        yield lambda progress: None
        return
    from torch.utils.tensorboard.writer import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        yield lambda progress: _record(writer, progress)


def _record(writer: SummaryWriter, progress: Progress) -> None:
    if progress.checkpoint is not None:
        for name, value in progress.metrics.items():
            writer.add_scalar(name, value, progress.step)
        if progress.pictures is not None:
            writer.add_images("views", progress.pictures.clamp(0, 1).cpu(), progress.step)
