"""What a window shows and the commands it may give. No GUI, and no torch before a worker thread imports it.

Every method belongs to the main thread. The run, the loader, the writer and the reader have threads of their own; what they
leave is taken in `poll`, once per frame, and never waited for.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from studio import device, lora, resources
from studio import project as project_files
from studio.config import Config, parse, preset
from studio.desk import Desk
from studio.document import Document, History
from studio.film import Moment
from studio.job import Outputs
from studio.progress import PAINTED
from studio.project import Project
from studio.session.editing import Editing
from studio.session.filing import Filing, Task
from studio.session.forecast import Forecast
from studio.session.loras import Loras
from studio.session.painting import Pace, Painting, State
from studio.session.picking import Picking
from studio.session.problem import Problem
from studio.session.reading import Health, examined, read, warm
from studio.session.running import HOLD_S, Running, thumbnail
from studio.session.showing import Showing

if TYPE_CHECKING:
    from studio.surface.mesh import Mesh
    from studio.texture import Texture

__all__ = ["Document", "Forecast", "Moment", "Pace", "Problem", "Session", "State", "Task"]

SAMPLE, PRESET = "vase", "live"
"""What a window starts with."""
STOP_S = 2.0
"""What computes is waited for no longer than this when the window closes."""
WRITE_S = 30.0
"""What is still being written when the window closes is waited for no longer than this; it takes a second or two."""

Errand = tuple[Path, Config, Outputs]
"""A mesh to paint with these settings, and where the results go."""


class Session(Editing, Showing, Painting, Filing, Loras, Picking):
    """One window's document, run and files."""

    def __init__(self, config: Config | None = None) -> None:
        """With a bundled sample mesh, which `begin` loads."""
        Editing.__init__(self, Document(resources.sample(SAMPLE), config or parse(preset(PRESET))))
        self._blank = self.document
        Showing.__init__(self)
        Painting.__init__(self)
        Filing.__init__(self)
        Picking.__init__(self)
        self.revision = 0
        """Grows with every visible change."""
        self.health: Health = []
        """(label, value in words, whether it deserves attention) of the mesh."""
        self._loader, self._engine = Desk("loader"), Desk("engine")
        self._mesh_path: Path | None = None
        """The file that `mesh` was read from, or is being read from."""
        self._outputs: Outputs | None = None
        """Where the results of an errand go."""

    # -- beginning and ending -------------------------------------------------------------------------------------------------

    def begin(self, path: Path | None = None) -> None:
        """Load the first mesh or project; without one, the sample."""
        self._autosave.begin()
        if path is None:
            self._load(self.document.mesh, adopt=False)
        elif path.suffix.lower() == ".patina":
            self.open_project(path)
        else:
            self.open(path)

    def run(self, errand: Errand) -> None:
        """Instead of `begin`: load the mesh, start at once, and write the results when the run has come to its end."""
        mesh, config, outputs = errand
        self._autosave.begin()
        self._history, self._outputs = History(Document(mesh, config)), outputs
        self._load(mesh, adopt=False)
        self.start()

    def poll(self) -> None:
        """Take what the other threads left; never blocks."""
        if any([desk.poll() for desk in self._desks()]):
            self._changed()
        self._watch()
        self._look_beside_the_run()
        self._watch_variations()
        self._autosave_when_due()

    def waiting(self) -> bool:
        """Something has come home that `poll` would take."""
        workers = (self._running.worker if self._running is not None else None, self._variations)
        left = (*self._desks(), self.recovery, *(w for w in workers if w is not None))
        return any(each.waiting() for each in left)

    def close(self) -> None:
        """Stop the run and write what there is; a run that does not end within STOP_S is left behind.

        What was not saved is offered at the next start, unless it was declined (`forget`).
        """
        self.stop()
        self.recovery.close(STOP_S)
        if self._leaving is not None:
            self._leaving.join(STOP_S)
        if self._running is not None:
            self._running.worker.join(STOP_S)
            self._watch()
        if self._unsaved:
            self.autosave()
        self._writer.close(WRITE_S)
        self._writer.poll()
        self._autosave.end(offer=self.unsaved and self.mesh is not None)

    @property
    def unsaved(self) -> bool:
        """There is work that no project file has: asked about before something else takes its place."""
        return self.dirty and bool(self.path or self._film.moments or self.recovery.outcome or self.document != self._blank)

    def forget(self) -> None:
        """The present work need not be saved."""
        self.dirty = self._unsaved = False

    def new(self) -> None:
        """Begin anew, as one undo step: the sample mesh, unpainted, and the usual settings. The next save asks for a file."""
        again = self.document.mesh == self._blank.mesh
        self._history.commit()
        self._replace(self._blank, "new project")
        self._history.commit()
        if again:
            self._load(self._blank.mesh, adopt=False)
        self.path = None
        self.forget()

    def _desks(self) -> tuple[Desk, ...]:
        return self._loader, self._engine, self._writer, self._reader, self._taster, self.survey.desk, self._forecaster.desk

    def _changed(self) -> None:
        self.revision += 1

    def _touched(self) -> None:
        self.dirty = self._unsaved = True

    def _edited(self, before: Document) -> None:
        self._touched()
        self._tell()
        self._compare_as_edited()
        self._changed()
        if self.document.mesh != self._mesh_path:
            self._load(self.document.mesh, adopt=False)

    def stop(self) -> None:
        """End the run, or comparing; what was made stays."""
        self.stop_comparing()
        super().stop()

    def hold(self, seconds: float) -> None:
        """The camera moves: let whatever is painted wait."""
        super().hold(seconds)
        if self._variations is not None:
            self._variations.hold(min(seconds, HOLD_S))

    def _begin(self, *, single: bool) -> None:
        self.stop_comparing()
        super()._begin(single=single)

    def _end(self, running: Running, state: str) -> None:
        super()._end(running, state)
        if state == "done" and running.result is not None and self._outputs is not None:
            self.deliver(running.result, running.config, self._outputs)
            self._outputs = None

    # -- mesh and project -----------------------------------------------------------------------------------------------------

    @property
    def loading(self) -> str | None:
        """What is being loaded, in words."""
        return self._loader.label or self._engine.label or self.survey.desk.label

    def open(self, path: Path) -> None:
        """Load a mesh; it replaces the present one, as one undo step, when it has been read; a run ends then."""
        self._load(Path(path).absolute(), adopt=True)

    def open_sample(self, name: str) -> None:
        """Load a mesh that ships with the studio."""
        self.open(resources.sample(name))

    def open_project(self, path: Path) -> None:
        """Load a project or an autosave; it replaces everything when it has been read; a run ends then."""
        path = Path(path).absolute()

        def read() -> tuple[Project, Mesh, Health, np.ndarray | None]:
            project = project_files.load(path)
            mesh, health = examined(project_files.opened(project))
            return project, mesh, health, thumbnail(mesh, project.texture) if project.texture is not None else None

        def here(found: tuple[Project, Mesh, Health, np.ndarray | None]) -> None:
            self._restore(path, *found)

        if not self.active:
            self.stop()
        self._loader.submit(f"reading {path.name}", read, then=here, failed=lambda e: self._failed(f"Opening '{path.name}'", e))

    def _load(self, path: Path, *, adopt: bool) -> None:
        def here(found: tuple[Mesh, Health]) -> None:
            if not adopt and path != self._mesh_path:
                return  # another one was asked for meanwhile
            self._mesh_path = path
            if adopt:
                self.messages.extend(self._adopt(path))
                if path.parent != resources.sample_meshes_dir():
                    self._remember(path)
            self._show_mesh(*found)

        if not adopt or not self.active:
            self.stop()
        if not adopt:
            self._mesh_path = path
        self._loader.submit(
            f"reading {path.name}", lambda: read(path), then=here, failed=lambda e: self._failed(f"Opening '{path.name}'", e)
        )

    def _show_mesh(self, mesh: Mesh, health: Health) -> None:
        """Another mesh, as it came; nothing is known of it but its own texture."""
        self.stop_comparing()
        self._abandon()
        self._folder = self.picked = None
        self.mesh, self.health, self._file_mesh, self._plain, self._painted = mesh, health, mesh, None, PAINTED
        size = self.config.atlas_px

        def plain() -> Texture:
            from studio.texture import Texture

            device.leave_a_core()
            return Texture.from_mesh(mesh, size)

        def here(texture: Texture) -> None:
            if self.mesh is mesh and self.before is None:
                self.before = self._plain = texture
                if self._newest is None:
                    self._newest = self._whole = texture
                    self._show(texture)

        self._engine.submit("loading the engine", plain, then=here, failed=lambda e: self._failed("Showing the mesh", e))
        config = self.config
        ready = lambda: warm(mesh, config, lambda: self.mesh is mesh and self._running is None)  # noqa: E731
        # What goes wrong here goes wrong again in the run, and is told there.
        self._engine.submit("making ready to paint", ready, failed=lambda e: None)
        self._engine.submit("", device.give_memory_back, failed=lambda e: None)
        if self._waiting is not None:
            self._begin(single=self._waiting)
        self._changed()

    def _restore(self, path: Path, project: Project, mesh: Mesh, health: Health, thumb: np.ndarray | None) -> None:
        autosaved = path.parent == self._autosave.folder
        self._history = History(project.document)
        self._mesh_path = project.document.mesh
        self._show_mesh(mesh, health)
        if project.corner_uv is not None:
            self._file_mesh = None
        self.path, self.dirty, self._unsaved = (None if autosaved else path), autosaved, autosaved
        self.curves, self.markers = {name: list(curve) for name, curve in project.curves.items()}, list(project.markers)
        self._checkpoint = dict(project.checkpoint) if project.checkpoint else None
        if project.texture is not None and thumb is not None:
            self._newest, self._whole, self._painted = project.texture, project.texture, project.painted
            iteration = max((i for curve in self.curves.values() for i, _ in curve), default=0)
            scores = {name: curve[-1][1] for name, curve in self.curves.items() if curve}
            self._film.add(iteration, project.texture, thumb, scores, self._checkpoint)
            self._show(project.texture)
        if autosaved:
            self._autosave.settle(path)
        else:
            self._remember(path)
        self._changed()

    def _project(self) -> Project:
        config = self.document.config
        state = self._checkpoint or {}
        return Project(
            Document(self.document.mesh, config),
            self.mesh,
            self.texture if self._shown is not None else self._whole,
            self.mesh.corner_uv if self.mesh is not None and self.mesh is not self._file_mesh else None,
            lora.taught(state)[0],
            self._checkpoint,
            {name: list(curve) for name, curve in self.curves.items()},
            list(self.markers),
            list(state.get("objective", {}).get("journal", [])),
            self._painted,
        )
