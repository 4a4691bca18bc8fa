"""The part of a session that runs: start, pause, stop, what a run shows while it goes on, and its film."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from studio import document as edits
from studio import forecast as forecasts
from studio.config import Config
from studio.desk import Desk
from studio.errors import StudioError
from studio.film import Film, Moment
from studio.forecast import Forecast
from studio.pacing import Pace, Pacer
from studio.problem import Problem, problem
from studio.progress import Live
from studio.running import Running, Seen, continuation
from studio.store import Store

if TYPE_CHECKING:
    from torch import Tensor

    from studio.surface.mesh import Mesh
    from studio.texture import Texture

State = Literal["idle", "preparing", "running", "paused", "stopping", "done", "failed"]


class Painting(ABC):
    """The run and its pictures. Belongs to the main thread; `_watch` takes what the worker left."""

    _loader: Desk

    def __init__(self) -> None:
        self.revision = 0
        self.mesh: Mesh | None = None
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

        self._reader = Desk("reader")
        self._store = Store()
        self._film = Film(self._store)
        self._running: Running | None = None
        self._finished: Running | None = None
        self._waiting: bool | None = None
        """Start when the mesh is there; the value says whether for a single iteration."""
        self._heat: str | None = None
        self._newest: Texture | None = None
        self._previewed: int | None = None
        self._shown: int | None = None
        self._kept: int | None = None
        self._resume: dict[str, Any] | None = None
        """What the next start continues from."""
        self._checkpoint: dict[str, Any] | None = None
        """What `_newest` could be continued from, its LoRA and journal among it."""

    @property
    @abstractmethod
    def config(self) -> Config:
        """The document's settings."""

    @abstractmethod
    def _changed(self) -> None:
        """Something that is shown has changed."""

    @abstractmethod
    def _touched(self) -> None:
        """There is something new that is worth saving."""

    # -- the run ------------------------------------------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """A run is going on, also while it pauses or stops."""
        return self._running is not None

    def start(self) -> None:
        """Begin a run, from the moment that was kept if there is one; or go on after a pause."""
        self._go(single=False)

    def step(self) -> None:
        """One iteration, then pause."""
        self._go(single=True)

    def pause(self) -> None:
        """Stand still within one step."""
        if self._running is not None and self.state in ("preparing", "running"):
            self._running.worker.pause()
            self._enter("paused")

    def resume(self) -> None:
        """Go on after a pause."""
        if self._running is not None and self.state == "paused":
            self._running.worker.resume()
            self._enter("running" if self._running.began else "preparing")

    def stop(self) -> None:
        """End the run at its next step; what it made stays."""
        self._waiting = None
        if self._running is not None:
            self._running.worker.stop()
            self._enter("stopping")
        elif self.state == "preparing":
            self._enter("idle")

    def hold(self, seconds: float) -> None:
        """The camera moves: let the run wait."""
        if self._running is not None:
            self._running.hold(seconds)

    def forecast(self) -> Forecast:
        """What a run with the present settings will take."""
        return forecasts.forecast(self.config)

    def pending(self) -> tuple[str, ...]:
        """The settings that differ from the run's and wait for the next start."""
        if self._running is None:
            return ()
        return edits.difference(edits.as_run(self._running.config, self.config), self.config)

    def _go(self, *, single: bool) -> None:
        if self._running is not None:
            if self.state == "paused":
                self._running.single = single
                self.resume()
            return
        self.config.check()
        self.config.check_rewards()
        if self.mesh is not None:
            self._begin(single=single)
        elif self._loader.busy:
            self._waiting = single
            self._enter("preparing")
        else:
            raise StudioError("There is no mesh to paint.", "Open one first.")

    def _begin(self, *, single: bool) -> None:
        assert self.mesh is not None
        self._waiting = self._shown = self._previewed = None
        config, resume = self.config, None
        if self._resume is not None:
            config, resume, said = continuation(config, self.mesh, self._resume)
            if said:
                self.messages.append(said)
        begun = resume["trainer"]["iteration"] if resume else 0
        self._film.cut(begun) if resume else self._film.clear()
        self.curves = {name: [p for p in curve if p[0] <= begun] for name, curve in self.curves.items()} if resume else {}
        self.markers = [m for m in self.markers if m[0] <= begun]
        self.shares, self.pace = {}, Pace(iteration=begun, iterations=config.iterations)
        self._film.keep(None)
        self._resume = self._finished = None
        self.before = self._newest
        self._pacer = Pacer(self.forecast().total_s)
        self._running = Running(config, self.mesh, self._live(config), self._film, resume=resume)
        self._running.single = single
        self._running.worker.start()
        self._enter("preparing")

    def _abandon(self) -> None:
        """Forget the run and all it showed; a worker that has not ended yet is told to, and not listened to."""
        if self._running is not None:
            self._running.worker.stop()
        self._running = self._finished = self._newest = self._resume = self._checkpoint = None
        self.texture = self.before = self.views = self._previewed = self._shown = self._kept = None
        self._film.clear()
        self._film = Film(self._store)
        self.curves, self.markers, self.shares, self.pace = {}, [], {}, Pace()
        self._enter("preparing" if self._waiting is not None else "idle")

    def _live(self, started: Config) -> Live:
        """What the run that was started with these settings is to be told now."""
        config, same = self.config, type(self.config.trainer) is type(started.trainer)
        own = {name: getattr(config.trainer, name, None) for name in edits.LIVE_TRAINER_KNOBS} if same else {}
        return Live(weights=config.weights(), prompt=config.prompt, heat=self._heat, watched=True, **own)

    def _tell(self) -> None:
        """Let the run know of new settings."""
        if self._running is not None and self.config.prompt.strip():
            self._running.live = self._live(self._running.config)

    def _enter(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self._changed()

    # -- what it shows ------------------------------------------------------------------------------------------------------

    def heat(self, name: str) -> Tensor | None:
        """The newest length of a reward's texture gradient [S, 1, T, T]; None before there is one."""
        source = self._running or self._finished
        return source.heat.get(name) if source else None

    def watch_heat(self, name: str | None) -> None:
        """Ask the run for the gradient of this reward, also when its weight is 0."""
        self._heat = name
        self._tell()

    def _show(self, texture: Texture) -> None:
        self.texture, self.texture_id = texture, self.texture_id + 1
        self._changed()

    def _watch(self) -> None:
        """Take what the run left since the last frame."""
        running = self._running
        if running is None:
            return
        state = running.worker.state  # read before the items: none comes after a final state
        for seen in running.worker.take():
            self._take(running, seen)
        if running.mesh is not self.mesh:
            self.mesh, self.before = running.mesh, running.before
        if running.views is not None and running.views is not self.views:
            self.views, self.views_id = running.views, self.views_id + 1
        if running.texture is not None and running.texture is not self._newest:
            self._newest, self._checkpoint = running.texture, running.checkpoint
            if self._previewed is None and self._shown is None:
                self._show(running.texture)
        if self.state == "preparing" and running.began:
            self._enter("running")
        if self.state == "running" and running.single_done:
            running.single_done = False
            self._enter("paused")
        if state in ("done", "stopped", "failed"):
            self._end(running, state)

    def _take(self, running: Running, seen: Seen) -> None:
        if seen.message:
            self.messages.append(seen.message)
        self.pace = self._pacer.pace(self.pace, seen)
        if seen.learned or seen.stage == "done":
            self._touched()
        if seen.learned:
            for name, value in seen.metrics.items():
                self.curves.setdefault(name, []).append((seen.step, value))
            self.shares = dict(seen.shares)
            if seen.change:
                self.markers.append((seen.step, seen.change))
        self._changed()

    def _end(self, running: Running, state: str) -> None:
        self._running, self._finished = None, running
        if (timing := self._pacer.timing(running.config)) is not None:
            forecasts.remember(running.config, timing)
        if state == "failed" and running.worker.error is not None:
            self._failed("The run", running.worker.error)
        self._enter({"done": "done", "failed": "failed"}.get(state, "idle"))  # type: ignore[arg-type]
        if self._kept is not None:
            self._go_back(self._kept)

    def _failed(self, doing: str, error: BaseException) -> None:
        self.problems.append(problem(doing, error))
        self._changed()

    # -- film ---------------------------------------------------------------------------------------------------------------

    @property
    def film(self) -> list[Moment]:
        """The run's moments, oldest first."""
        return list(self._film.moments)

    def preview(self, id: int | None) -> None:
        """Show a moment while the pointer rests on it; None shows again what was shown before."""
        if id != self._previewed:
            self._previewed = id
            self._fetch()

    def show_moment(self, id: int | None) -> None:
        """Show a moment until another is chosen; None shows the newest."""
        self._shown = id
        self._fetch()

    def keep(self, id: int) -> None:
        """Make a moment current: its texture is the newest, and the next start continues from it. A run that is going on ends."""
        self._film.keep(id)
        self._kept = id
        self.stop()
        if self._running is None:
            self._go_back(id)
        self._changed()

    def _fetch(self) -> None:
        """Show the moment that is wanted, as soon as it has been read."""
        wanted = self._shown if self._previewed is None else self._previewed
        if wanted is None:
            if self._newest is not None and self.texture is not self._newest:
                self._show(self._newest)
            return

        def here(texture: Texture) -> None:
            if wanted == (self._shown if self._previewed is None else self._previewed):
                self._show(texture)

        self._reader.submit("", lambda: self._film.texture(wanted), then=here, failed=lambda e: self._failed("The preview", e))

    def _go_back(self, id: int) -> None:
        def here(found: tuple[Texture, dict[str, Any] | None]) -> None:
            if self._running is None and self._kept == id:
                self._kept = self._shown = self._previewed = None
                self._newest, self._resume = found
                self._checkpoint = self._resume
                self._show(self._newest)
                self._touched()

        read = lambda: (self._film.texture(id), self._film.checkpoint(id))  # noqa: E731
        self._reader.submit("", read, then=here, failed=lambda e: self._failed("Going back", e))
