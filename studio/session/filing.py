"""The part of a session that writes and reads files: exports, projects, autosaves, recent files."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from studio import exporters, job
from studio.config import Config
from studio.desk import Desk
from studio.document import Document
from studio.errors import StudioError
from studio.job import Outputs
from studio.project import Project
from studio.session import recent
from studio.session.autosave import Autosave
from studio.session.recovering import Recovery

if TYPE_CHECKING:
    from studio.progress import Result
    from studio.surface.mesh import Mesh
    from studio.texture import Texture

AUTOSAVE_S = 60.0


@dataclass(frozen=True)
class Task:
    """Something that is written in the background."""

    name: str
    done: int = 0
    total: int = 1
    state: Literal["waiting", "working", "done", "failed", "cancelled"] = "waiting"
    paths: tuple[Path, ...] = ()
    id: int = 0


class Filing(ABC):
    """Files of a session. Belongs to the main thread; writing happens on a thread of its own, one file after another."""

    mesh: Mesh | None
    texture: Texture | None
    messages: Any
    recovery: Recovery

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.path: Path | None = None
        """The project file that this session was opened from or saved to."""
        self.dirty = False
        self._writer = Desk("writer")
        self._autosave = Autosave()
        self._autosaved_at = time.monotonic()
        self._unsaved = False
        """Something has changed since the last autosave."""
        self._cancelled: set[int] = set()

    @property
    @abstractmethod
    def document(self) -> Document:
        """What is being worked on."""

    @abstractmethod
    def _changed(self) -> None:
        """Something that is shown has changed."""

    @abstractmethod
    def _failed(self, doing: str, error: BaseException) -> None:
        """Show a problem."""

    @abstractmethod
    def _project(self) -> Project:
        """Everything that is saved, as it stands."""

    # -- exports ------------------------------------------------------------------------------------------------------------

    def export(self, kind: str, path: Path, **options: Any) -> None:
        """Write the texture that is shown: "glb", "obj", "png", "lora", "turntable" with that exporter's knobs as options.

        Raises StudioError for an unknown kind or option, and when there is nothing to write; later failures become problems.
        """
        exporter = exporters.SOCKET.make(kind, **options)
        project = self._project()
        if project.mesh is None or project.texture is None:
            raise StudioError("There is nothing to export yet.", "Wait until the mesh is loaded.")
        if exporter.needs_lora and not project.lora:
            raise StudioError("No LoRA was learned yet.", "Start a run with the trainer lora_reward, or export a mesh.")
        mesh, texture = project.mesh, project.texture
        told = {"receipt": project.receipt(), "painted": project.painted, "lora": project.lora}
        asset = exporters.Asset(mesh=mesh, texture=texture, **told)
        task = self._task(f"{kind.upper() if len(kind) <= 4 else kind.capitalize()} {path.name}")

        def write() -> tuple[Path, ...]:
            written: tuple[Path, ...] = ()
            self._update(task, state="working")
            steps = exporter.steps(asset, Path(path))
            for step in steps:
                written = step.written
                self._update(task, done=step.done, total=step.total)
                if task.id in self._cancelled and not written:
                    steps.close()  # type: ignore[attr-defined]
                    return ()
            return written

        self._submit(task, write)

    def deliver(self, result: Result, config: Config, outputs: Outputs) -> None:
        """Write everything a run of `config` was asked for, as `studio bake` does."""
        task = self._task(f"Results in {outputs.asset.parent.name or outputs.asset.parent}")

        def write() -> tuple[Path, ...]:
            self._update(task, state="working")
            return job.write(result, outputs, config)

        self._submit(task, write)

    def export_materials(self, folder: Path) -> None:
        """Write what a recovery came to: maps, light, GLB and report. Raises StudioError when there is nothing yet."""
        outcome = self.recovery.outcome
        if outcome is None:
            raise StudioError("No materials were recovered yet.", "Choose pictures and recover them first.")
        task = self._task(f"Materials in {folder.name}")

        def write() -> tuple[Path, ...]:
            self._update(task, state="working")
            return tuple(outcome.write(folder))

        self._submit(task, write)

    def cancel(self, task: Task) -> None:
        """Stop writing this; nothing of it is left behind."""
        self._cancelled.add(task.id)

    def _task(self, name: str) -> Task:
        task = Task(name, id=1 + max((t.id for t in self.tasks), default=0))
        self.tasks = [*self.tasks[-19:], task]
        self._changed()
        return task

    def _update(self, task: Task, **changes: Any) -> None:
        """Replace a task by its next state; called on any thread."""
        self.tasks = [replace(t, **changes) if t.id == task.id else t for t in self.tasks]

    def _submit(self, task: Task, write: Any) -> None:
        def here(written: tuple[Path, ...]) -> None:
            self._update(task, state="done" if written else "cancelled", paths=written)
            self.messages.append(f"Wrote {written[-1]}." if written else f"{task.name}: cancelled.")

        def failed(error: BaseException) -> None:
            self._update(task, state="failed")
            self._failed(f"Writing {task.name}", error)

        self._writer.submit(task.name, write, then=here, failed=failed)

    # -- projects -----------------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write the project in the background; it is saved when `dirty` is False and `path` is this."""
        path = Path(path)
        if path.suffix.lower() != ".patina":
            path = path.with_name(path.name + ".patina")
        project, task = self._project(), self._task(path.name)
        self.dirty = False

        def write() -> tuple[Path, ...]:
            from studio.project import save

            self._update(task, state="working")
            return (save(project, path),)

        def here(written: tuple[Path, ...]) -> None:
            self.path = path
            self._remember(path)
            self._update(task, state="done", done=1, paths=written)
            self.messages.append(f"Saved {path}.")

        def failed(error: BaseException) -> None:
            self.dirty = True
            self._update(task, state="failed")
            self._failed(f"Saving {path.name}", error)

        self._writer.submit(task.name, write, then=here, failed=failed)

    def recents(self) -> list[Path]:
        """Meshes and projects that were opened last, newest first."""
        return recent.recents()

    def _remember(self, path: Path) -> None:
        """Among the recent files, soon."""
        self._writer.submit("", lambda: recent.remember(path), failed=lambda e: None)

    # -- autosaves ----------------------------------------------------------------------------------------------------------

    def autosave(self) -> None:
        """Write the project to the user's folder for autosaves, in the background."""
        if self.mesh is None:
            return
        project, path = self._project(), self._autosave.path
        self._autosaved_at, self._unsaved = time.monotonic(), False

        def write() -> Path:
            from studio.project import save

            path.parent.mkdir(parents=True, exist_ok=True)
            return save(project, path)

        # A full disk is told once, in the status line; work goes on.
        self._writer.submit("", write, failed=lambda e: self.messages.append(f"The autosave failed: {e}"))

    def recoverable(self) -> Path | None:
        """The autosave of a window that was not closed but ended: open it with `open_project`."""
        return self._autosave.recoverable()

    def decline(self, path: Path) -> None:
        """Do not offer this autosave again."""
        self._autosave.settle(path)

    def _autosave_when_due(self) -> None:
        if self._unsaved and not self._writer.busy and time.monotonic() - self._autosaved_at >= AUTOSAVE_S:
            self.autosave()
