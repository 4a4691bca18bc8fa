"""The worker's side of a run in a window: what it makes is left where the window finds it, what it may be told is read from here.

Everything heavy (torch, the engine) is imported on the worker's thread.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from studio import device, lora
from studio.camera import Camera
from studio.config import Config, parse
from studio.film import Film
from studio.progress import PAINTED, Live, Progress
from studio.worker import BEAT_S, Worker, ended

if TYPE_CHECKING:
    from torch import Tensor

    from studio.alarm import Alarm
    from studio.progress import Result
    from studio.surface.mesh import Mesh
    from studio.texture import Texture
    from studio.view import Viewer

HOLD_S = 0.25
"""A moving camera lets the run wait no longer than this after it was last heard of."""
THUMBNAIL_PX = 64
THUMBNAIL_CAMERA = Camera(azimuth_deg=25.0, elevation_deg=12.0, distance=2.6)


@dataclass(frozen=True)
class Seen:
    """One yield of a run without its pictures."""

    stage: str
    step: int
    total: int
    busy_s: float
    """How long the run worked for it, pauses not counted."""
    message: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    change: str = ""
    alarm: Alarm | None = None
    """The run seems to fool its rewards, and has paused."""
    learned: bool = False
    """An iteration ended: `step` is its number, `total` how many there will be."""
    memory: tuple[int, int] = (0, 0)
    """Bytes in use and in all, of the device that computes."""


WAITING = Seen("waiting for the last run to end", 0, 1, BEAT_S)


class Running:
    """A run on its thread. Attributes are replaced whole by the worker, so the window may read them at any time."""

    def __init__(
        self,
        config: Config,
        mesh: Mesh,
        live: Live,
        film: Film,
        *,
        resume: Mapping[str, Any] | None = None,
        after: Worker[Seen] | None = None,
    ) -> None:
        """`resume`: the checkpoint to continue from; `after`: a run that must have ended before this one begins."""
        self.config, self.live, self.film = config, live, film
        self.mesh = mesh
        """The mesh that `texture` belongs to: unwrapped, where that was needed."""
        self.texture: Texture | None = None
        self.painted = PAINTED
        """The channels of `texture` that are the generator's."""
        self.whole: tuple[Texture, dict[str, Any] | None] | None = None
        """The newest texture that is not half denoised, and what can be continued from it."""
        self.report: Mapping[str, Any] = {}
        """What the run measured at its end."""
        self.result: Result | None = None
        """What a run that came to its own end leaves behind."""
        self.seeds: np.ndarray | None = None
        """[2, n, h, w, 3] uint8: the first held-out seeds before and after."""
        self.views: np.ndarray | None = None
        """[V, h, w, 3] float32."""
        self.cameras: tuple[Camera, ...] = ()
        """Where the painting cameras stand."""
        self.heat: Mapping[str, Tensor] = {}
        self.checkpoint: dict[str, Any] | None = None
        """What the newest iteration can be continued from."""
        self.before: Texture | None = None
        """What an unwrapped mesh looked like before it was painted."""
        self.began = False
        """There is something to see."""
        self.single = False
        """Pause after the iteration that is being worked on."""
        self.pausing = False
        """Told to stand still, which it does once the step that is being worked on is done."""
        self._resume, self._after = resume, after
        self._last: Progress | None = None
        self._viewer: Viewer | None = None
        self.worker: Worker[Seen] = Worker(self._steps)

    def pause(self) -> None:
        """Stand still as soon as the step that is being worked on is done."""
        self.pausing = True
        self.worker.pause()

    def resume(self) -> None:
        """Go on."""
        self.pausing = False
        self.worker.resume()

    def hold(self, seconds: float) -> None:
        """Let the run wait while the camera moves."""
        self.worker.hold(min(seconds, HOLD_S))

    def _steps(self) -> Iterator[Seen]:
        yield from ended(self._after, WAITING)
        self._after = None

        from studio.run import run

        device.leave_a_core()
        where = device.device(self.config.device)
        steps = cast("Generator[Progress]", run(self.config, self.mesh, lambda: self.live, resume=self._resume))
        try:
            while True:
                begun = time.perf_counter()
                progress = next(steps, None)
                if progress is None:
                    break
                learned = self._note(progress)
                yield Seen(
                    progress.stage,
                    progress.step,
                    progress.total,
                    time.perf_counter() - begun,
                    progress.message,
                    progress.metrics,
                    progress.shares,
                    progress.change,
                    progress.alarm,
                    learned,
                    device.memory_bytes(where),
                )
            self._remember(self._last)
        except GeneratorExit:  # told to stop
            self._remember(self._last)
            self._finish()
            raise
        finally:
            steps.close()
            # The last progress can still be asked for its checkpoint: it holds network, optimiser and rewards.
            steps = progress = self._last = self._viewer = None
            device.give_memory_back(where)  # other programs may need it while this one only shows

    def _note(self, progress: Progress) -> bool:
        """Leave what this moment brought where the window finds it; True when an iteration ended."""
        if progress.mesh is not None and progress.mesh is not self.mesh:
            from studio.texture import Texture

            self.before = Texture.from_mesh(progress.mesh, self.config.atlas_px)
            self.mesh = progress.mesh
        if progress.texture is not None:
            self.painted, self.texture, self.began = progress.painted, progress.texture.to("cpu"), True
        if progress.pictures is not None:
            self.views = progress.pictures.clamp(0, 1).permute(0, 2, 3, 1).cpu().float().contiguous().numpy()
        self.cameras = progress.cameras or self.cameras
        if progress.heat:
            self.heat = {name: t.cpu() for name, t in progress.heat.items()}
        if progress.result is not None:
            self.result, self.report = progress.result, progress.result.report
            if (seeds := progress.result.seeds) is not None:
                self.seeds = seeds.movedim(2, -1).contiguous().numpy()
            if self.checkpoint is not None:
                self.checkpoint = lora.finished(self.checkpoint, progress.result.lora, progress.result.receipt)
            step, metrics = (self._last.step, self._last.metrics) if self._last else (0, {})
            if self.texture is not None:
                self.whole = self.texture, self.checkpoint
            self._last = replace(progress, step=step, metrics={**metrics, **progress.metrics})
        if progress.checkpoint is None:
            return False
        assert self.texture is not None
        self.checkpoint = progress.checkpoint()  # at once: at a later step the optimiser has moved on
        self.whole, self._last = (self.texture, self.checkpoint), progress
        if self.film.wants(progress.step):
            self._remember(progress)
        if self.single or progress.alarm is not None:
            self.single = False
            self.pause()
        return True

    def _remember(self, progress: Progress | None, *, anew: bool = False) -> None:
        """Put this moment on film, unless it is there; `anew`: also then."""
        if progress is None or self.texture is None:
            return
        if not anew and progress.result is None and any(m.iteration == progress.step for m in self.film.moments):
            return
        texture = progress.texture.to("cpu") if progress.texture is not None else self.texture
        scores = {name: float(value) for name, value in progress.metrics.items()}
        self.film.add(progress.step, texture, thumbnail(self.mesh, texture, self._prepared_viewer()), scores, self.checkpoint)

    def _finish(self) -> None:
        """The last whole texture as fine as it would be at the run's own end."""
        if self._last is None or self._last.finish is None or self._last.texture is None:
            return
        texture = self._last.finish()
        if texture is not self._last.texture:
            self.texture = texture.to("cpu")
            self.whole = self.texture, self.checkpoint
            self._remember(replace(self._last, texture=self.texture), anew=True)

    def _prepared_viewer(self) -> Viewer:
        from studio.view import Viewer

        if self._viewer is None:
            self._viewer = Viewer()
            self._viewer.show(self.mesh)
        return self._viewer


def thumbnail(mesh: Mesh, texture: Texture, viewer: Viewer | None = None) -> np.ndarray:
    """[64, 64, 4] float32: the texture on the mesh; `viewer` is one that shows this mesh already."""
    from studio.view import Shot, Viewer

    if viewer is None:
        viewer = Viewer()
        viewer.show(mesh)
    shot = Shot(THUMBNAIL_CAMERA, THUMBNAIL_PX, THUMBNAIL_PX, samples=4, backdrop=False)
    return viewer.draw(shot, texture).copy()


def continuation(config: Config, mesh: Mesh, state: Mapping[str, Any]) -> tuple[Config, dict[str, Any] | None, str]:
    """How to go on from a checkpoint with settings that may have changed since: (config, what to resume, what to say).

    Weights, rate, prompt and the like may differ; where the checkpoint fits no more, the run starts anew.
    """
    old = parse(tomllib.loads(state["config"]))
    reasons = {
        "the mesh": state["mesh"] != mesh.hash,
        "the generator": type(old.generator) is not type(config.generator),
        "the trainer": type(old.trainer) is not type(config.trainer),
        "the LoRA's rank": getattr(old.trainer, "rank", 0) != getattr(config.trainer, "rank", 0),
        "the adapter": getattr(old.trainer, "adapter", "") != getattr(config.trainer, "adapter", ""),
        "the atlas": "base_color" in state["trainer"] and old.atlas_px != config.atlas_px,
    }
    if changed := [name for name, differs in reasons.items() if differs]:
        return config, None, f"Starting anew: {' and '.join(changed)} changed since the moment that was kept."
    done = int(state["trainer"]["iteration"])
    iterations = config.iterations if config.iterations > done else done + config.iterations
    config = replace(config, iterations=iterations, unwrap=False)  # the mesh is as that run has left it
    kept = {name: value for name, value in state.items() if name not in ("masks", "loras")}  # others are welcome, too
    return config, {**kept, "config": replace(config, iterations=0).to_toml()}, ""
