"""What a window shows and the commands it may give. No GUI, and no torch before a worker thread imports it.

Every method belongs to the main thread. The run, the loader, the exports and the film have threads of their own; what they leave
is taken in `poll`, once per frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from studio import document as edits
from studio import resources
from studio.config import Config, parse, preset
from studio.desk import Desk
from studio.document import Document, History
from studio.errors import StudioError
from studio.film import Film, Moment
from studio.problem import Problem, problem
from studio.progress import Live
from studio.running import Running, Seen
from studio.store import Store

if TYPE_CHECKING:
    from torch import Tensor

    from studio.generators import Words
    from studio.surface.mesh import Mesh
    from studio.texture import Texture

__all__ = ["Document", "Moment", "Pace", "Problem", "Session", "Task"]

State = Literal["idle", "preparing", "running", "paused", "stopping", "done", "failed"]

SAMPLE = "vase"
PRESET = "live"
"""What a window starts with."""


@dataclass(frozen=True)
class Pace:
    """How far the run is and how fast."""

    stage: str = ""
    step: int = 0
    total: int = 0
    iteration: int = 0
    iterations: int = 0
    it_per_s: float = 0.0
    eta_s: float | None = None
    memory_bytes: int = 0
    memory_total_bytes: int = 0


@dataclass(frozen=True)
class Task:
    """Something that is written in the background."""

    name: str
    done: int = 0
    total: int = 1
    state: Literal["waiting", "working", "done", "failed"] = "waiting"
    paths: tuple[Path, ...] = ()


class Session:
    """One window's document, run and files."""

    def __init__(self, mesh: Path | None = None, config: Config | None = None) -> None:
        """Begins to load `mesh` (a bundled sample by default); nothing here waits for it."""
        config = config or parse(preset(PRESET))
        self._history = History(Document(mesh or resources.sample(SAMPLE), config))
        self.revision = 0
        self.mesh: Mesh | None = None
        self.health: list[tuple[str, str, bool]] = []
        self.texture: Texture | None = None
        self.texture_id = 0
        self.before: Texture | None = None
        self.views: np.ndarray | None = None
        self.views_id = 0
        self.state: State = "idle"
        self.pace = Pace()
        self.curves: dict[str, list[tuple[int, float]]] = {}
        self.markers: list[tuple[int, str]] = []
        self.shares: dict[str, float] = {}
        self.problems: deque[Problem] = deque()
        self.messages: deque[str] = deque(maxlen=200)
        self.tasks: list[Task] = []
        self.path: Path | None = None
        self.dirty = False

        self._loader, self._writer, self._reader = Desk("loader"), Desk("writer"), Desk("reader")
        self._film = Film(Store())
        self._running: Running | None = None
        self._started: Config | None = None
        self._begin_when_loaded: bool | None = None
        self._heat_name: str | None = None
        self._newest: Texture | None = None
        self._preview: int | None = None
        self._shown: int | None = None
        self._resume: dict[str, Any] | None = None
        self._iteration_s: deque[float] = deque(maxlen=7)
        self._load(self.document.mesh, adopt=False)

    # -- settings -----------------------------------------------------------------------------------------------------------

    @property
    def document(self) -> Document:
        return self._history.document

    @property
    def config(self) -> Config:
        """The document's settings."""
        return self.document.config

    def edit(self, config: Config, *, key: str) -> None:
        """One undo step, labelled `key`; successive edits of one key are merged until `commit`."""
        if self._history.edit(replace(self.document, config=config), key=key):
            self._edited()

    def commit(self) -> None:
        """A drag ended."""
        self._history.commit()

    @property
    def can_undo(self) -> str | None:
        """The label of what would be undone."""
        return self._history.undo_label

    @property
    def can_redo(self) -> str | None:
        """The label of what would be done again."""
        return self._history.redo_label

    def undo(self) -> None:
        self._travel(self._history.undo)

    def redo(self) -> None:
        self._travel(self._history.redo)

    def set_weight(self, name: str, weight: float) -> None:
        self.edit(edits.with_knob(self.config, f"rewards.{name}", "weight", weight), key=f"weight of {name}")

    def add_reward(self, name: str) -> None:
        self.edit(edits.with_reward(self.config, name), key=f"add {name}")

    def remove_reward(self, name: str) -> None:
        self.edit(edits.without_reward(self.config, name), key=f"remove {name}")

    def set_knob(self, part: str, knob: str, value: Any) -> None:
        """`part` is "run", "generator", "trainer" or "rewards.<name>"."""
        about = knob.replace("_", " ") if part == "run" else f"{part.removeprefix('rewards.')} {knob.replace('_', ' ')}"
        self.edit(edits.with_knob(self.config, part, knob, value), key=about)

    def choose(self, part: str, name: str) -> None:
        """Another "generator" or "trainer"."""
        self.edit(edits.with_plug(self.config, part, name), key=part)

    def apply_preset(self, name: str) -> None:
        self.edit(edits.with_preset(self.config, name), key=f"preset {name}")

    def set_prompt(self, text: str) -> None:
        self.set_knob("run", "prompt", text)

    def pending(self) -> tuple[str, ...]:
        """The settings that differ from the run's and wait for the next start."""
        if self._started is None or not self.active:
            return ()
        return edits.difference(edits.as_run(self._started, self.config), self.config)

    def words(self, prompt: str) -> Words | None:
        """Which words of a prompt the chosen generator knows; None where only its weights can tell."""
        return self.config.generator.words(prompt)

    def _travel(self, move: Callable[[], bool]) -> None:
        mesh = self.document.mesh
        if move():
            self._edited()
            if self.document.mesh != mesh:
                self._load(self.document.mesh, adopt=False)

    def _edited(self) -> None:
        self.dirty = True
        if self._running is not None:
            self._running.live = self._live()
        self._changed()

    def _live(self) -> Live:
        config, trainer = self.config, self.config.trainer
        started = self._started or config
        own = (
            {name: getattr(trainer, name, None) for name in ("rate", "anchor", "k")}
            if type(trainer) is type(started.trainer)
            else {}
        )
        return Live(weights=config.weights(), prompt=config.prompt or None, heat=self._heat_name, watched=True, **own)

    def _changed(self) -> None:
        self.revision += 1

    # -- mesh ---------------------------------------------------------------------------------------------------------------

    @property
    def loading(self) -> str | None:
        """What is being loaded, in words."""
        return self._loader.label

    def open(self, path: Path) -> None:
        """Load a mesh; it replaces the present one, as one undo step, when it has been read."""
        self._load(Path(path), adopt=True)

    def open_sample(self, name: str) -> None:
        """Load a mesh that ships with the studio."""
        self.open(resources.sample(name))

    def _load(self, path: Path, *, adopt: bool) -> None:
        def read() -> tuple[Mesh, list[tuple[str, str, bool]]]:
            from studio.surface.health import health
            from studio.surface.mesh import load

            mesh = load(path)
            return mesh, health(mesh).rows()

        def here(found: tuple[Mesh, list[tuple[str, str, bool]]]) -> None:
            if adopt:
                self._history.edit(replace(self.document, mesh=path), key=f"open {path.name}")
                self._history.commit()
                self.dirty = True
            if path != self.document.mesh:
                return  # another one was opened meanwhile
            self._show_mesh(*found)

        self.stop()
        self._loader.submit(f"reading {path.name}", read, then=here, failed=lambda e: self._failed(f"Opening '{path.name}'", e))

    def _show_mesh(self, mesh: Mesh, health: list[tuple[str, str, bool]]) -> None:
        self.mesh, self.health = mesh, health
        self.texture = self.before = self._newest = self.views = self._resume = None
        self._film.clear()
        self._forget_run()
        size = self.config.atlas_px

        def painted() -> Texture:
            from studio.texture import Texture

            return Texture.from_mesh(mesh, size)

        def here(texture: Texture) -> None:
            if self.mesh is mesh and self._newest is None:
                self.before = self._newest = texture
                self._show(texture)

        self._loader.submit("loading the engine", painted, then=here, failed=lambda e: self._failed("Showing the mesh", e))
        self._loader.submit("loading the generator", self._warm, failed=lambda e: self._failed("Loading the libraries", e))
        if self._begin_when_loaded is not None:
            single, self._begin_when_loaded = self._begin_when_loaded, None
            self._begin(single=single)
        self._changed()

    def _warm(self) -> None:
        import studio.run  # noqa: F401 - so that the first run need not wait for it

        self.config.generator.warm()

    # -- the picture --------------------------------------------------------------------------------------------------------

    def heat(self, name: str) -> Tensor | None:
        """The newest length of a reward's texture gradient [S, 1, T, T]; None before there is one."""
        return self._running.heat.get(name) if self._running else None

    def watch_heat(self, name: str | None) -> None:
        """Ask the run to keep this reward's gradient."""
        self._heat_name = name
        if self._running is not None:
            self._running.live = self._live()

    def _show(self, texture: Texture) -> None:
        self.texture, self.texture_id = texture, self.texture_id + 1
        self._changed()

    # -- the run ------------------------------------------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """A run is going on, also while it pauses or stops."""
        return self._running is not None and self._running.worker.state not in ("done", "stopped", "failed")

    def start(self) -> None:
        """Begin a run, or go on after a pause."""
        self._go(single=False)

    def step(self) -> None:
        """One iteration, then pause."""
        self._go(single=True)

    def pause(self) -> None:
        if self._running is not None and self.active and self.state in ("preparing", "running"):
            self._running.worker.pause()
            self._enter("paused")

    def resume(self) -> None:
        if self._running is not None and self.state == "paused":
            self._running.worker.resume()
            self._enter("running")

    def stop(self) -> None:
        """End the run at its next step; what it made stays."""
        self._begin_when_loaded = None
        if self._running is not None and self.active:
            self._running.worker.stop()
            self._enter("stopping")
        elif self.state == "preparing":
            self._enter("idle")

    def hold(self, seconds: float) -> None:
        """The camera moves: let the run wait."""
        if self._running is not None:
            self._running.hold(seconds)

    def _go(self, *, single: bool) -> None:
        if self._running is not None and self.active:
            if self.state == "paused":
                self._running.single = single
                self.resume()
            return
        self.config.check()
        self.config.check_rewards()
        if self.mesh is not None:
            self._begin(single=single)
        elif self._loader.busy:
            self._begin_when_loaded = single
            self._enter("preparing")
        else:
            raise StudioError("There is no mesh to paint.", "Open one first.")

    def _begin(self, *, single: bool) -> None:
        assert self.mesh is not None
        self._shown = self._preview = None
        self._started = self.config
        if self._resume is None:
            self._film.clear()
            self._forget_run()
        self.before = self._newest
        self._running = Running(self.config, self.mesh, self._live(), self._film, resume=self._resume)
        self._running.single = single
        self._running.worker.start()
        self._enter("preparing")

    def _forget_run(self) -> None:
        self.curves, self.markers, self.shares, self.pace = {}, [], {}, Pace()
        self._iteration_s.clear()

    def _enter(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self._changed()

    def _watch(self, running: Running) -> None:
        """Take what the run left since the last frame."""
        ended = running.worker.state if not self.active else None  # before the items: none may come after it
        for seen in running.worker.take():
            self._take(seen)
        if running.mesh is not self.mesh:
            self.mesh = running.mesh
        if running.views is not None and running.views is not self.views:
            self.views, self.views_id = running.views, self.views_id + 1
        if running.texture is not None and running.texture is not self._newest:
            self._newest = running.texture
            if self._preview is None and self._shown is None:
                self._show(running.texture)
        if ended is not None:
            self._running = None
            if ended == "failed" and running.worker.error is not None:
                self._failed("The run", running.worker.error)
            self._enter({"done": "done", "failed": "failed"}.get(ended, "idle"))  # type: ignore[arg-type]

    def _take(self, seen: Seen) -> None:
        if seen.message:
            self.messages.append(seen.message)
        if self.state == "preparing" and (seen.learned or self._running and self._running.views is not None):
            self._enter("running")
        pace = replace(self.pace, stage=seen.stage, step=seen.step, total=seen.total)
        if seen.learned:
            pace = replace(pace, iteration=seen.step, iterations=seen.total)
            for name, value in seen.metrics.items():
                self.curves.setdefault(name, []).append((seen.step, value))
            self.shares = dict(seen.shares)
            if seen.change:
                self.markers.append((seen.step, seen.change))
        used, total = seen.memory
        self.pace = replace(pace, memory_bytes=used, memory_total_bytes=total)
        self._changed()

    # -- film ---------------------------------------------------------------------------------------------------------------

    @property
    def film(self) -> list[Moment]:
        """The run's moments, oldest first."""
        return list(self._film.moments)

    def preview(self, id: int | None) -> None:
        """Show a moment while the pointer rests on it; None shows again what was shown before."""
        self._preview = id
        self._fetch()

    def show_moment(self, id: int | None) -> None:
        """Show a moment until another is chosen; None shows the newest."""
        self._shown = id
        self._fetch()

    def keep(self, id: int) -> None:
        """Make a moment current: its texture is the newest, and the next start continues from it."""

    def _fetch(self) -> None:
        wanted = self._preview if self._preview is not None else self._shown
        if wanted is None:
            if self._newest is not None and self.texture is not self._newest:
                self._show(self._newest)
            return

        def here(texture: Texture) -> None:
            if wanted == (self._preview if self._preview is not None else self._shown):
                self._show(texture)

        self._reader.submit("", lambda: self._film.texture(wanted), then=here, failed=lambda e: self._failed("The preview", e))

    # -- each frame ---------------------------------------------------------------------------------------------------------

    @property
    def status(self) -> str:
        """The last message."""
        return self.messages[-1] if self.messages else ""

    def _failed(self, doing: str, error: BaseException) -> None:
        self.problems.append(problem(doing, error))
        self._changed()

    def poll(self) -> None:
        """Take what the other threads left; never blocks."""
        for desk in (self._loader, self._writer, self._reader):
            if desk.poll():
                self._changed()
        if self._running is not None:
            self._watch(self._running)

    def close(self) -> None:
        """Stop the run and write what there is; waits no longer than two seconds for the run."""
        if self._running is not None:
            self._running.worker.stop()
            self._running.worker.join(2.0)
            self.poll()
        for desk in (self._loader, self._writer, self._reader):
            desk.close(0.5)
