"""Recovery as a job: a mesh and pictures in, files out; stopped and resumed; logged for TensorBoard."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from studio import captures, environment, files, renderers
from studio.captures import Capture, fit, shoot
from studio.device import device as find_device
from studio.errors import StudioError
from studio.exporters._maps import png
from studio.job import read_checkpoint
from studio.progress import Progress
from studio.recover import Recovered, Settings, output, recover
from studio.recover.compare import errors
from studio.recover.examples import Example, example, lamps
from studio.recover.keeping import Keeper, logged
from studio.recover.light import alignment
from studio.recover.relight import held_out_psnr
from studio.recovery import LEARN
from studio.shelter import shelter
from studio.surface.atlas import build_atlas
from studio.surface.mesh import Mesh, load
from studio.surface.unwrap import needs_unwrap, unwrap

if TYPE_CHECKING:
    from studio.environment import Environment
    from studio.renderers import Rasterizer
    from studio.texture import Texture

CHECKPOINT = "recover.checkpoint.pt"
EXAMPLE_VIEWS, EXAMPLE_PX = 24, 192
SMALLEST_UNWRAP_PX = 256
"""Charts are packed with the gaps that an atlas of at least this side needs."""
MOST_OVERLAYS = 24
"""So many of the pictures that fit worst are drawn with both outlines."""


@dataclass(frozen=True)
class Task:
    """What to recover. Either a mesh and its pictures, or an example."""

    settings: Settings
    mesh: Path | Mesh | None = None
    images: Path | None = None
    example: str | None = None
    light: str | None = None
    """A light's name or file; LEARN; None: the pictures' own, or learned where they say nothing."""
    exposure_ev: float | None = None
    convention: str = "opengl"
    device: str = "auto"
    renderer: str = "auto"


@dataclass(frozen=True)
class Misfit:
    """A picture that does not fit the mesh."""

    name: str
    overlap: float
    """Of its mask and the mesh's silhouette: intersection over union."""
    shown: np.ndarray
    """[n, n, 3] uint8: the picture with both outlines."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a task came to."""

    mesh: Mesh
    """The one that the textures belong to: unwrapped, where that was needed."""
    found: Recovered
    report: Mapping[str, Any]
    receipt: Mapping[str, Any]

    def write(self, folder: Path) -> list[Path]:
        """Write maps, light, GLB and report into `folder`, which is made. Raises OutputError."""
        with files.folder(folder):
            return output.write(self.mesh, self.found, folder, receipt=self.receipt, report=self.report)


@dataclass(frozen=True, eq=False)
class _Given:
    mesh: Mesh
    capture: Capture
    light: Environment | None
    truth: Example | None = None


def recovering(task: Task, resume: Mapping[str, Any] | None = None) -> Generator[Progress | Misfit, None, Outcome]:
    """Do a task a step at a time; pictures that do not fit the mesh come one by one before the recovery itself.

    `resume` is a checkpoint to go on from. Raises StudioError for anything the user can mend.
    """
    began = time.monotonic()
    rasterizer, notice = renderers.build(task.renderer, find_device(task.device))
    given = yield from _given(task, rasterizer)
    if notice:
        yield Progress("drawing views", 0, 1, message=notice)
    yield from _checked(task, given, rasterizer)
    truth = None if given.truth is None else given.truth.texture(build_atlas(given.mesh, task.settings.atlas_px))
    options = {"environment": given.light, "truth": truth, "resume": resume}
    found = yield from recover(given.mesh, given.capture, task.settings, rasterizer, **options)
    report = _report(task, given, found, truth, rasterizer, time.monotonic() - began)
    receipt = {"recovered": {"settings": asdict(task.settings), "views": len(given.capture), "psnr": found.psnr}}
    return Outcome(given.mesh, found, report, receipt)


def work(
    task: Task,
    out: Path,
    *,
    log: Path | None = None,
    resume: bool = False,
    show: Callable[[Progress], None] = lambda progress: None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[list[Path], Mapping[str, Any] | None]:
    """Do a task: the files written into `out` and the report, or, when `stop` said yes, the checkpoint alone and None.

    `log` takes what TensorBoard shows. Raises StudioError for anything the user can mend.
    """
    overlays, written = out / "overlays", []
    with files.folder(out), logged(log) as note:
        steps = _Value(recovering(task, read_checkpoint(out / CHECKPOINT) if resume else None))
        keeper = Keeper(out / CHECKPOINT)
        with contextlib.closing(steps.steps):
            try:
                for said in steps:
                    if isinstance(said, Misfit):
                        with files.folder(overlays):
                            written.append(files.write_bytes(overlays / f"{Path(said.name).stem}.png", png(said.shown)))
                        continue
                    if said.mesh is not None:
                        output.spare(said.mesh, out)  # before the work, not after it
                    keeper.note(said)
                    show(said)
                    note(said)
                    if stop():
                        return [*written, *keeper.write()], None
                outcome: Outcome = steps.value
                written += outcome.write(out)
            except fit.CameraError as error:
                raise StudioError(error.problem, f"{error.remedy} Both outlines are drawn in '{overlays}'.") from error
            except BaseException:
                keeper.write()
                raise
        keeper.done()
    return written, outcome.report


def _given(task: Task, rasterizer: Rasterizer) -> Generator[Progress, None, _Given]:
    if task.example is not None:
        return (yield from _example(task, rasterizer))
    assert task.mesh is not None and task.images is not None
    yield Progress("reading", 0, 2)
    mesh = load(task.mesh) if isinstance(task.mesh, Path) else task.mesh
    if reason := needs_unwrap(mesh):
        yield Progress("unwrapping", 0, 1, message=f"{reason} New ones are laid out.")
        steps = _Value(unwrap(mesh, size_px=max(task.settings.atlas_px, SMALLEST_UNWRAP_PX)))
        for p in steps:
            yield Progress("unwrapping", p.done, p.total)
        mesh = steps.value
    yield Progress("reading", 1, 2, mesh=mesh)
    capture = captures.load(task.images, size_px=task.settings.size_px, convention=task.convention)
    for note in capture.notes:
        yield Progress("reading", 2, 2, message=note)
    if task.exposure_ev is not None:
        capture = replace(capture, exposure_ev=task.exposure_ev)
    name = task.light or capture.environment or LEARN
    if name == LEARN:
        yield Progress("reading", 2, 2, message="The light is learned, up to its brightness: base colour takes up the rest.")
    return _Given(mesh, capture, None if name == LEARN else environment.load(name))


def _example(task: Task, rasterizer: Rasterizer) -> Generator[Progress, None, _Given]:
    """An example's pictures, taken with the studio's own shading."""
    assert task.example is not None
    scene = example(task.example)
    light = environment.from_panorama(lamps(), name="lamps")
    atlas = build_atlas(scene.mesh, task.settings.atlas_px)
    open_ = shelter(scene.mesh) if task.settings.occlusion == "baked" else None
    stand = shoot.Studio(scene.mesh, atlas, scene.texture(atlas), light, rasterizer, open_)
    cameras = shoot.around(EXAMPLE_VIEWS)
    shots = []
    for i, camera in enumerate(cameras):
        yield Progress("taking pictures", i, len(cameras))
        shots.append(stand.photograph(camera, min(EXAMPLE_PX, task.settings.size_px)))
    capture = shoot.capture_of(scene.mesh, cameras, torch.stack(shots), exposure_ev=stand.exposure_ev)
    return _Given(scene.mesh, capture, None if task.light == LEARN else light, scene)


def _checked(task: Task, given: _Given, rasterizer: Rasterizer) -> Generator[Progress | Misfit, None, None]:
    """Tell of views that do not fit, and draw them with both outlines. Raises StudioError when they do not fit at all."""
    yield Progress("checking cameras", 0, 1)
    fitted = fit.check(given.mesh, given.capture, rasterizer, convention=task.convention)
    for note in fitted.notes:
        yield Progress("checking cameras", 1, 1, message=note)
    for view in fitted.bad()[:MOST_OVERLAYS]:
        shown = fit.overlay(given.mesh, given.capture, view, rasterizer)
        yield Misfit(given.capture.names[view], fitted.overlap[view], shown)
    if fitted.refusal is not None:
        raise fitted.refusal


def _report(
    task: Task, given: _Given, found: Recovered, truth: Texture | None, rasterizer: Rasterizer, seconds: float
) -> dict[str, Any]:
    atlas = build_atlas(given.mesh, task.settings.atlas_px)
    report: dict[str, Any] = {
        "settings": asdict(task.settings),
        "views": len(given.capture),
        "light": "learned" if found.radiance is not None else given.light.name if given.light else None,
        "psnr": found.psnr,
        "seen": float((found.seen & atlas.valid).sum() / atlas.valid.sum().clamp(min=1)),
        "seconds": seconds,
        "device": str(rasterizer.device),
    }
    if truth is not None:
        report["error"] = errors(found.texture, truth, atlas.valid & found.seen)
        report["held_out_psnr"] = held_out_psnr(
            given.mesh, atlas.to(rasterizer.device), found.texture.to(rasterizer.device), truth.to(rasterizer.device), rasterizer
        )
        if found.radiance is not None:
            reference = environment.from_panorama(lamps(), name="lamps")
            report["light_angle_deg"], report["light_correlation"] = alignment(found.light, reference)
    return report


class _Value:
    """Iterates a generator and keeps what it returns."""

    def __init__(self, steps: Generator[Any, None, Any]) -> None:
        self.steps = steps
        self.value: Any = None

    def __iter__(self) -> Iterator[Any]:
        self.value = yield from self.steps
