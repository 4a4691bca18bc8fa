"""The part of a session that runs: start, pause, stop, what a run shows while it goes on, and its film."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from studio import document as edits
from studio.config import Config
from studio.desk import Desk
from studio.errors import StudioError
from studio.film import Film
from studio.session import forecast as forecasts
from studio.session.charting import Charting
from studio.session.forecast import Forecast, Forecaster
from studio.session.pacing import Pace, Pacer
from studio.session.recovering import Recovery
from studio.session.running import Running, Seen, continuation
from studio.store import Store
from studio.surface.unwrap import needs_unwrap
from studio.worker import ENDED, Worker

if TYPE_CHECKING:
    from studio.surface.mesh import Mesh
    from studio.texture import Texture

PATIENCE_S = 1.5
"""A stop is answered after so long even when the network's last pass, which cannot be broken off, takes longer."""

State = Literal["idle", "preparing", "running", "paused", "stopping", "done", "failed"]


class Painting(Charting, ABC):
    """The run and its pictures. Belongs to the main thread; `_watch` takes what the worker left."""

    mesh: Mesh | None
    messages: deque[str]
    _loader: Desk
    _reader: Desk
    _store: Store
    recovery: Recovery
    _film: Film
    _heat: str | None
    _resume: dict[str, Any] | None
    _kept: int | None

    def __init__(self) -> None:
        self.state: State = "idle"
        self.pace = Pace()
        Charting.__init__(self)
        self._forecaster = Forecaster()
        self._running: Running | None = None
        self._asked: Config | None = None
        """The document's settings when the run began; the run's own may say how it continues."""
        self._file_mesh: Mesh | None = None
        """The mesh as its file has it; `mesh` is another one once a run has laid out UVs."""
        self._plain: Texture | None = None
        """The texture that `_file_mesh` came with."""
        self._leaving: Worker[Seen] | None = None
        """A run that was left behind and may still be at its last step."""
        self._stopped_at = 0.0
        self._waiting: bool | None = None
        """Start when the mesh is there; the value says whether for a single iteration."""

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

    @abstractmethod
    def _look(self, running: Running) -> None:
        """Take the newest pictures of a run."""

    @abstractmethod
    def _show(self, texture: Texture) -> None:
        """Show this texture."""

    @abstractmethod
    def _settle(self, running: Running) -> None:
        """Show what a run that has ended leaves."""

    @abstractmethod
    def _failed(self, doing: str, error: BaseException) -> None:
        """Show a problem."""

    @abstractmethod
    def _go_back(self, id: int) -> None:
        """Make the moment that was kept current."""

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

    @property
    def pausing(self) -> bool:
        """Told to pause, but not yet done with its step."""
        return self._running is not None and self._running.pausing and self.state in ("preparing", "running")

    def pause(self) -> None:
        """Stand still within one step; the state is "paused" once it does."""
        if self._running is not None and self.state in ("preparing", "running"):
            self._running.pause()
            self._changed()

    def resume(self) -> None:
        """Go on after a pause."""
        if self._running is not None and (self.pausing or self.state == "paused"):
            self._running.resume()
            self._changed()
            self._enter("running" if self._running.began else "preparing")

    def stop(self) -> None:
        """End the run at its next step; what it made stays."""
        self._waiting = None
        if self._running is not None:
            self._running.worker.stop()
            self._stopped_at = time.monotonic()
            self._enter("stopping")
        elif self.state == "preparing":
            self._enter("idle")

    def hold(self, seconds: float) -> None:
        """The camera moves: let what computes wait."""
        self.recovery.hold(seconds)
        if self._running is not None:
            self._running.hold(seconds)

    def forecast(self) -> Forecast:
        """What a run with the present settings will take."""
        return self._forecaster.forecast(self.config)

    def pending(self) -> tuple[str, ...]:
        """The settings that differ from the run's and wait for the next start."""
        if self._running is None or self._asked is None:
            return ()
        return edits.difference(edits.as_run(self._asked, self.config), self.config)

    def _go(self, *, single: bool) -> None:
        if self._running is not None:
            if self.pausing or self.state == "paused":
                self._running.single = single
                self.resume()
            return
        if self.recovery.active:
            raise StudioError("Materials are being recovered.", "Wait until that is done, or stop it under Recover.")
        self.config.check()
        self.config.check_loras()
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
        if resume is None:
            config = self._on_the_right_uvs(config)
        begun = resume["trainer"]["iteration"] if resume else 0
        self._film.cut(begun) if resume else self._film.clear()
        self._chart_from(begun if resume else 0)
        self.pace = Pace(iteration=begun, iterations=config.iterations)
        self._film.keep(None)
        self._resume, self._heats, self.report = None, {}, {}
        self.before, self._asked = self._whole, self.config
        self._pacer = Pacer(self.forecast().total_s)
        live = edits.live(config, self.config, self._heat)
        self._running = Running(config, self.mesh, live, self._film, resume=resume, after=self._leaving)
        self._leaving = None
        self._running.single = single
        self._running.worker.start()
        self._enter("preparing")

    def _on_the_right_uvs(self, config: Config) -> Config:
        """New UVs are laid out once, and given up when the file's own are asked for again."""
        own = self._file_mesh
        if self.mesh is own:
            return config
        if config.unwrap or own is None or self._plain is None or needs_unwrap(own):
            return replace(config, unwrap=False)
        self.mesh, self._newest, self._whole = own, self._plain, self._plain
        self._show(self._plain)
        return config

    def _abandon(self) -> None:
        """Forget the run and all it showed; a worker that has not ended yet is told to, and not listened to."""
        self.recovery.abandon()
        if self._running is not None:
            self._running.worker.stop()
            self._leave(self._running)
        self._running = self._newest = self._whole = self._resume = self._checkpoint = None
        self.texture = self.before = self.views = self._previewed = self._shown = self._kept = None
        self._film.clear()
        self._film = Film(self._store)
        self._chart_from(-1)
        self.pace, self.report, self.cameras, self._heats, self.seeds = Pace(), {}, (), {}, None
        self._enter("preparing" if self._waiting is not None else "idle")

    def _leave(self, running: Running) -> None:
        """Listen no more to a run that was told to stop; the next one waits until it has ended."""
        running.film = Film(self._store)
        self._leaving = running.worker

    def watch_heat(self, name: str | None) -> None:
        """Ask the run for the gradient of this reward, also when its weight is 0."""
        self._heat = name
        self._tell()

    def keep(self, id: int) -> None:
        """Make a moment current: its texture is the newest, and the next start continues from it. A run that is going on ends."""
        self._film.keep(id)
        self._kept = id
        self.stop()
        if self._running is None:
            self._go_back(id)
        self._changed()

    def _tell(self) -> None:
        """Let the run know of new settings."""
        if self._running is not None and self.config.prompt.strip():
            self._running.live = edits.live(self._running.config, self.config, self._heat)

    def _enter(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self._changed()

    # -- what it left -------------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Take what the run left since the last frame."""
        running = self._running
        if running is None:
            return
        state = running.worker.state  # read before the items: none comes after a final state
        for seen in running.worker.take():
            self._take(running, seen)
        self._look(running)
        if self.state == "preparing" and running.began:
            self._enter("running")
        if self.pausing and state == "paused":
            self._enter("paused")
        if state in ENDED:
            self._end(running, state)
        elif self.state == "stopping" and time.monotonic() - self._stopped_at > PATIENCE_S:
            self._leave(running)
            self._end(running, "stopped")

    def _take(self, running: Running, seen: Seen) -> None:
        if seen.message:
            self.messages.append(seen.message)
        self.pace = self._pacer.pace(self.pace, seen)
        if seen.learned or seen.stage == "done":
            self._touched()
        if seen.learned:
            self._chart(seen)
        self._changed()

    def _end(self, running: Running, state: str) -> None:
        self._running = self.alarm = None
        self._settle(running)
        timing = self._pacer.timing(running.config)
        if timing is not None:
            self._reader.submit("", lambda: forecasts.remember(running.config, timing), failed=lambda e: None)
        if state == "failed" and running.worker.error is not None:
            self._failed("The run", running.worker.error)
        self._enter({"done": "done", "failed": "failed"}.get(state, "idle"))  # type: ignore[arg-type]
        if self._kept is not None:
            self._go_back(self._kept)
