"""The part of a session that is looked at: textures, views, heat maps, the film of the run, messages and problems."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.config import Config
from studio.desk import Desk
from studio.errors import StudioError
from studio.film import Film, Moment
from studio.progress import PAINTED
from studio.session.problem import Problem, problem
from studio.session.recovering import Recovery
from studio.session.running import Running
from studio.session.survey import Survey
from studio.store import Store
from studio.worker import ENDED

if TYPE_CHECKING:
    from torch import Tensor

    from studio.camera import Camera
    from studio.surface.mesh import Mesh
    from studio.texture import Texture


class Showing(ABC):
    """What there is to see. Belongs to the main thread; moments of the film are read on a thread of its own."""

    _running: Running | None

    def __init__(self) -> None:
        self.mesh: Mesh | None = None
        self.texture: Texture | None = None
        """What is shown: the newest, also while it is denoised, or a moment of the film."""
        self.texture_id = 0
        self.before: Texture | None = None
        """The texture the mesh came with, or the one at the last start."""
        self.views: np.ndarray | None = None
        """[V, h, w, 3] float32, the newest guess of the generator's views."""
        self.views_id = 0
        self.cameras: tuple[Camera, ...] = ()
        """Where the painting cameras of the last run stand, empty before there was one; replaced when they turn."""
        self.report: Mapping[str, Any] = {}
        """What the last run measured of its result at its end; empty until then."""
        self.seeds: np.ndarray | None = None
        """[2, n, h, w, 3] uint8: the last run's first held-out seeds before and after it, lit; None where there were none."""
        self.problems: deque[Problem] = deque()
        self.messages: deque[str] = deque(maxlen=200)

        self.survey = Survey()
        """What is known of the mesh's own shape."""
        self.recovery = Recovery(
            changed=lambda: self._changed(), say=lambda text: self.say(text), failed=lambda e: self._failed("The recovery", e)
        )
        """Materials from pictures."""
        self._reader = Desk("reader")
        self._store = Store()
        self._film = Film(self._store)
        self._late: tuple[Running, Texture | None] | None = None
        """A run that may still be finishing the texture it has left."""
        self._newest: Texture | None = None
        self._whole: Texture | None = None
        """The newest texture that was not stopped half denoised: what is saved and exported."""
        self._painted = PAINTED
        """The channels of it that a generator has painted."""
        self._heats: Mapping[str, Tensor] = {}
        self._heat: str | None = None
        self._previewed: int | None = None
        self._shown: int | None = None
        self._kept: int | None = None
        self._resume: dict[str, Any] | None = None
        """What the next start continues from."""
        self._checkpoint: dict[str, Any] | None = None
        """What `_whole` could be continued from, its LoRA and journal among it."""

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

    def say(self, text: str) -> None:
        """A sentence for the status line."""
        self.messages.append(text)
        self._changed()

    @property
    def status(self) -> str:
        """The last message."""
        return self.messages[-1] if self.messages else ""

    def _failed(self, doing: str, error: BaseException) -> None:
        self.problems.append(problem(doing, error))
        self._changed()

    def _show(self, texture: Texture) -> None:
        self.texture, self.texture_id = texture, self.texture_id + 1
        self._changed()

    def _look(self, running: Running) -> None:
        """Take the newest pictures of a run."""
        if running.mesh is not self.mesh:
            self.mesh, self.before = running.mesh, running.before
        if running.views is not None and running.views is not self.views:
            self.views, self.views_id = running.views, self.views_id + 1
        self.cameras = running.cameras or self.cameras
        self._heats = running.heat or self._heats
        if running.whole is not None:
            self._whole, self._checkpoint = running.whole
        if running.texture is not None and running.texture is not self._newest:
            self._newest, self._painted = running.texture, running.painted
            if self._previewed is None and self._shown is None:
                self._show(running.texture)

    def _settle(self, running: Running) -> None:
        """The run has ended: what it left half denoised gives way to its last whole texture, if it made one."""
        self._take_whole(running)
        self._late = None if running.worker.state in ENDED else (running, self._whole)

    def _look_at_late(self) -> None:
        """A stopped run may finish its last texture after the stop was answered: it counts while nothing else has come."""
        if self._late is not None and self._late[0].worker.state in ENDED:
            (running, whole), self._late = self._late, None
            if self._running is None and whole is not None and self._whole is whole:
                self._take_whole(running)
                self._touched()

    def _take_whole(self, running: Running) -> None:
        self._look(running)
        self.report, self.seeds = running.report, running.seeds
        if running.whole is None:
            self._whole = running.texture or self._whole
        elif self._whole is not self._newest:
            self._newest = self._whole
            self._fetch()

    def recover(self) -> None:
        """Recover the mesh's materials from the pictures chosen. Raises StudioError when they or the mesh are missing."""
        if self._running is not None:
            raise StudioError("A run is going on, and both would change the surface.", "Stop it first.")
        self.recovery.start(self.mesh, self.config.device, self.config.renderer)

    def _look_beside_the_run(self) -> None:
        """What else has come: the last touches of a run that was stopped, and what a recovery has found."""
        self._look_at_late()
        self._look_at_recovery()

    def _look_at_recovery(self) -> None:
        """Show what a recovery has found so far; what it came to is the mesh's from then on."""
        active = self.recovery.active
        preview, outcome = self.recovery.poll()
        if outcome is not None:
            self.before = self._whole if outcome.mesh is self.mesh else None
            self._film.clear()  # a run's moments go on from paint that is gone
            self._resume = self._checkpoint = self._kept = self._previewed = self._shown = None
            self._heats = {}  # they may lie on other UVs
            self._newest = self._whole = outcome.found.texture
            self.mesh, self._painted = outcome.mesh, frozenset(outcome.found.texture.channels)
            self._show(self._newest)
            self._touched()
        elif preview is not None and self._shown is None and self._previewed is None:
            self._show(preview)
        elif active and not self.recovery.active:
            self._fetch()  # what there was before

    def read_mask(self, path: Path, then: Callable[[], None]) -> None:
        """Do `then` once it is known that this file can be a mask; what is wrong with it becomes a problem."""

        def read() -> None:
            from studio import region

            region.read(path)

        self._reader.submit("", read, then=lambda _: then(), failed=lambda e: self._failed(f"Using '{path.name}'", e))

    def heat(self, name: str) -> Tensor | None:
        """The newest length of a reward's texture gradient [S, 1, T, T]; None before there is one."""
        return self._heats.get(name)

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

        # A moment that was thinned out under the pointer is no reason for a dialog.
        self._reader.submit("", lambda: self._film.texture(wanted), then=here, failed=lambda e: self.say(str(e)))

    def _go_back(self, id: int) -> None:
        def here(found: tuple[Texture, dict[str, Any] | None]) -> None:
            if self._running is None and self._kept == id:
                self._kept = self._shown = self._previewed = None
                self._newest, self._resume = found
                self._whole, self._checkpoint = found
                self._show(self._newest)
                self._touched()

        def failed(error: BaseException) -> None:
            self._kept = None
            self._failed("Going back", error)

        read = lambda: (self._film.texture(id), self._film.checkpoint(id))  # noqa: E731
        self._reader.submit("", read, then=here, failed=failed)
