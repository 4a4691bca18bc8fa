"""Materials from pictures in a window: what is asked for, the work on its thread, and what has come of it so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from studio import device
from studio.errors import StudioError
from studio.plug import checked
from studio.recovery import PRESETS, Settings, settings
from studio.worker import ENDED, Worker, ended

if TYPE_CHECKING:
    from studio.materials import Misfit, Outcome
    from studio.surface.mesh import Mesh
    from studio.texture import Texture

HOLD_S = 0.25
"""A moving camera lets the work wait no longer than this after it was last heard of."""
PATIENCE_S = 1.5
"""A stop is answered after so long even when a step takes longer."""

State = Literal["idle", "running", "paused", "stopping", "done", "failed"]


@dataclass(frozen=True)
class Wish:
    """What is asked for, beside the mesh."""

    pictures: Path | None = None
    """A folder, or its file of cameras."""
    preset: str = "split"
    settings: Settings = Settings()
    light: str | None = None
    """See `materials.Task.light`."""
    convention: str = "opengl"


@dataclass(frozen=True)
class Moment:
    """Where the work is."""

    stage: str = ""
    step: int = 0
    total: int = 1
    psnr: float | None = None
    """How well the pictures are met, in dB."""
    eta_s: float | None = None
    """Of the present stage."""


class _Work:
    """One recovery on its thread. Attributes are replaced whole by the worker, so the window may read them at any time."""

    def __init__(self, wish: Wish, mesh: Mesh, where: str, renderer: str, after: Worker[Any] | None) -> None:
        self._wish, self._mesh, self._where, self._renderer, self._after = wish, mesh, where, renderer, after
        self.moment = Moment()
        self.preview: Texture | None = None
        """The newest texture of the mesh."""
        self.misfits: tuple[Misfit, ...] = ()
        self.outcome: Outcome | None = None
        self.worker: Worker[str] = Worker(self._steps)

    def _steps(self) -> Iterator[str]:
        """Yields what there is to say, mostly nothing."""
        yield from ended(self._after, "")
        self._after = None

        from studio.materials import Misfit, Task, recovering

        device.leave_a_core()
        task = Task(
            self._wish.settings, self._mesh, self._wish.pictures, light=self._wish.light, convention=self._wish.convention,
            device=self._where, renderer=self._renderer,
        )  # fmt: skip
        steps, began, stage = recovering(task), 0.0, ""
        try:
            while True:
                said = next(steps)
                if isinstance(said, Misfit):
                    self.misfits = (*self.misfits, said)
                    yield ""
                    continue
                if said.stage != stage:
                    began, stage = time.monotonic(), said.stage
                if said.texture is not None and said.mesh is self._mesh:
                    self.preview = said.texture.to("cpu")
                left = (time.monotonic() - began) * (said.total - said.step) / said.step if said.step > 2 else None
                psnr = said.metrics.get("psnr", self.moment.psnr)
                self.moment = Moment(stage, said.step, said.total, psnr, left)
                yield said.message
        except StopIteration as end:
            self.outcome = end.value
        finally:
            steps.close()
            del steps
            device.give_memory_back(device.device(self._where))


class Recovery:
    """A window's recovery. Belongs to the main thread; `poll` takes what the worker left."""

    def __init__(
        self, *, changed: Callable[[], None], say: Callable[[str], None], failed: Callable[[BaseException], None]
    ) -> None:
        self._changed, self._say, self._failed = changed, say, failed
        self.wish = Wish()
        self.state: State = "idle"
        self.moment = Moment()
        self.misfits: tuple[Misfit, ...] = ()
        """Pictures that do not fit the mesh, the worst first."""
        self.outcome: Outcome | None = None
        """Of the last one, while its mesh is shown."""
        self._work: _Work | None = None
        self._leaving: Worker[Any] | None = None
        self._preview: Texture | None = None
        self._stopped_at = 0.0

    # -- what is asked for --------------------------------------------------------------------------------------------------

    def use(self, pictures: Path) -> None:
        """Recover from these pictures: a folder, or its file of cameras."""
        self._wish(pictures=pictures)
        self.misfits = ()

    def set(self, knob: str, value: Any) -> None:
        """Another value of a setting. Raises StudioError for one that cannot be."""
        values = {name: getattr(self.wish.settings, name) for name in Settings.__dataclass_fields__} | {knob: value}
        self._wish(settings=Settings(**checked(Settings, values, what="recovery")))

    def choose(self, preset: str) -> None:
        """A preset's settings; those about sizes and steps stay."""
        told = {name for values in PRESETS.values() for name in values}
        values = {n: getattr(self.wish.settings, n) for n in Settings.__dataclass_fields__ if n not in told}
        self._wish(preset=preset, settings=settings(preset, values))

    def light(self, name: str | None) -> None:
        """The light of the pictures: a name or a file, "learn", or None: what the pictures say."""
        self._wish(light=name)

    def convention(self, name: str) -> None:
        """What the cameras' axes mean."""
        self._wish(convention=name)

    def _wish(self, **changes: Any) -> None:
        self.wish = Wish(**{**vars(self.wish), **changes})
        self._changed()

    # -- the work -----------------------------------------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Going on, also while it pauses or stops."""
        return self._work is not None

    def start(self, mesh: Mesh | None, where: str, renderer: str) -> None:
        """Recover the materials of `mesh`. Raises StudioError when something is missing."""
        if self.wish.pictures is None:
            raise StudioError("No pictures were chosen yet.", "Choose the file of cameras that lies with them.")
        if mesh is None:
            raise StudioError("There is no mesh whose materials could be recovered.", "Open the mesh that the pictures show.")
        if self._work is None:
            self.misfits, self.moment, self.outcome, self._preview = (), Moment("reading"), None, None
            self._work = _Work(self.wish, mesh, where, renderer, self._leaving)
            self._leaving = None
            self._work.worker.start()
            self._enter("running")

    def toggle(self) -> None:
        """Pause, or go on."""
        if self._work is not None and self.state in ("running", "paused"):
            going = self.state == "paused"
            (self._work.worker.resume if going else self._work.worker.pause)()
            self._enter("running" if going else "paused")

    def stop(self) -> None:
        """End it at its next step; nothing of it stays."""
        if self._work is not None:
            self._work.worker.stop()
            self._stopped_at = time.monotonic()
            self._enter("stopping")

    def hold(self, seconds: float) -> None:
        """The camera moves: let the work wait."""
        if self._work is not None:
            self._work.worker.hold(min(seconds, HOLD_S))

    def abandon(self) -> None:
        """Another mesh is shown: what was being made or is there belongs to the one before."""
        if self._work is not None:
            self._work.worker.stop()
            self._leaving, self._work = self._work.worker, None
        self.misfits, self.outcome, self.moment = (), None, Moment()
        self._enter("idle")

    def close(self, timeout_s: float) -> None:
        """Stop, and wait for the end no longer than this."""
        if self._work is not None:
            self._work.worker.stop()
            self._work.worker.join(timeout_s)

    def waiting(self) -> bool:
        """There is something that `poll` would take."""
        return self._work is not None and self._work.worker.waiting()

    def poll(self) -> tuple[Texture | None, Outcome | None]:
        """Take what the worker left: a new preview, and what a recovery that has ended came to."""
        work = self._work
        if work is None:
            return None, None
        state = work.worker.state  # read before the rest: nothing comes after a final state
        for sentence in filter(None, work.worker.take()):
            self._say(sentence)
        if work.moment is not self.moment or work.misfits is not self.misfits:
            self.moment, self.misfits = work.moment, work.misfits
            self._changed()
        fresh = work.preview if work.preview is not self._preview else None
        self._preview = work.preview
        if state in ENDED:
            self._work, self.outcome = None, work.outcome
            if state == "failed" and work.worker.error is not None:
                self._failed(work.worker.error)
            self._enter({"done": "done", "failed": "failed"}.get(state, "idle"))  # type: ignore[arg-type]
            return None, work.outcome
        if self.state == "stopping" and time.monotonic() - self._stopped_at > PATIENCE_S:
            self._leaving, self._work = work.worker, None
            self._enter("idle")
            return None, None
        return fresh, None

    def _enter(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self._changed()
