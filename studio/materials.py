"""Recovery as a job: a mesh and pictures in, files out; stopped and resumed; logged for TensorBoard."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from studio import captures, environment, files, renderers
from studio.captures import Capture, fit, shoot
from studio.device import device as find_device
from studio.errors import OutputError, StudioError
from studio.exporters._maps import png
from studio.job import read_checkpoint
from studio.progress import Progress
from studio.recover import Recovered, Settings, output, recover
from studio.recover.compare import errors
from studio.recover.examples import Example, example, lamps
from studio.recover.light import alignment
from studio.recover.openness import openness
from studio.recover.relight import held_out_psnr
from studio.surface.atlas import build_atlas
from studio.surface.mesh import Mesh, load
from studio.surface.unwrap import needs_unwrap, unwrap

if TYPE_CHECKING:
    from studio.environment import Environment
    from studio.renderers import Rasterizer
    from studio.texture import Texture

CHECKPOINT = "recover.checkpoint.pt"
EXAMPLE_VIEWS, EXAMPLE_PX = 24, 192
KEEP_S = 30.0
SMALLEST_UNWRAP_PX = 256
"""Charts are packed with the gaps that an atlas of at least this side needs."""
LEARN = "learn"
"""In place of a light's name: the light is learned even where the pictures say what it was."""


@dataclass(frozen=True)
class Task:
    """What to recover, and where everything goes. Either a mesh and its pictures, or an example."""

    out: Path
    settings: Settings
    mesh: Path | None = None
    images: Path | None = None
    example: str | None = None
    light: str | None = None
    """A light's name or file; LEARN; None: the pictures' own, or learned where they say nothing."""
    exposure_ev: float | None = None
    convention: str = "opengl"
    device: str = "auto"
    renderer: str = "auto"
    log: Path | None = None
    resume: bool = False


@dataclass(frozen=True, eq=False)
class _Given:
    mesh: Mesh
    capture: Capture
    light: Environment | None
    truth: Example | None = None


def work(
    task: Task, *, show: Callable[[Progress], None] = lambda progress: None, stop: Callable[[], bool] = lambda: False
) -> tuple[list[Path], dict[str, Any] | None]:
    """Do a task: the files written and the report, or, when `stop` said yes, the checkpoint alone and None.

    Raises StudioError for anything the user can mend.
    """
    began = time.monotonic()
    make_folder(task.out)
    state = read_checkpoint(task.out / CHECKPOINT) if task.resume else None
    device = find_device(task.device)
    rasterizer, notice = renderers.build(task.renderer, device)
    given = _Value(_given(task, rasterizer))
    for progress in given:
        show(progress)
    if notice:
        show(Progress("drawing views", 0, 1, message=notice))
    found: _Given = given.value
    overlays = _checked(task, found, rasterizer, show)
    truth = None if found.truth is None else found.truth.texture(build_atlas(found.mesh, task.settings.atlas_px))
    steps = _Value(
        recover(found.mesh, found.capture, task.settings, rasterizer, environment=found.light, truth=truth, resume=state)
    )
    keeper = _Keeper(task.out / CHECKPOINT)
    with _logged(task.log) as log, contextlib.closing(steps.steps):
        try:
            for progress in steps:
                keeper.note(progress)
                show(progress)
                log(progress)
                if stop():
                    return [*overlays, *keeper.write()], None
        except BaseException:
            keeper.write()
            raise
    recovered: Recovered = steps.value
    report = _report(task, found, recovered, truth, rasterizer, time.monotonic() - began)
    receipt = {"recovered": {"settings": asdict(task.settings), "views": len(found.capture), "psnr": recovered.psnr}}
    written = output.write(found.mesh, recovered, task.out, receipt=receipt, report=report)
    keeper.done()
    return [*overlays, *written], report


def make_folder(folder: Path) -> None:
    """Make it, and what is above it, where there is none. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder '{folder}' cannot be made: {error.strerror}.", "Choose another one with --out.") from error


def _given(task: Task, rasterizer: Rasterizer) -> Generator[Progress, None, _Given]:
    if task.example is not None:
        return (yield from _example(task, rasterizer))
    assert task.mesh is not None and task.images is not None
    yield Progress("reading", 0, 2)
    mesh = load(task.mesh)
    if reason := needs_unwrap(mesh):
        yield Progress("unwrapping", 0, 1, message=f"{reason} New ones are laid out.")
        steps = _Value(unwrap(mesh, size_px=max(task.settings.atlas_px, SMALLEST_UNWRAP_PX)))
        for p in steps:
            yield Progress("unwrapping", p.done, p.total)
        mesh = steps.value
    yield Progress("reading", 1, 2)
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
    open_ = openness(scene.mesh).at_corners if task.settings.occlusion == "baked" else None
    stand = shoot.Studio(scene.mesh, atlas, scene.texture(atlas), light, rasterizer, open_)
    cameras = shoot.around(EXAMPLE_VIEWS)
    shots = []
    for i, camera in enumerate(cameras):
        yield Progress("taking pictures", i, len(cameras))
        shots.append(stand.photograph(camera, min(EXAMPLE_PX, task.settings.size_px)))
    capture = shoot.capture_of(scene.mesh, cameras, torch.stack(shots), exposure_ev=stand.exposure_ev)
    return _Given(scene.mesh, capture, None if task.light == LEARN else light, scene)


def _checked(task: Task, given: _Given, rasterizer: Rasterizer, show: Callable[[Progress], None]) -> list[Path]:
    """Tell of views that do not fit, and draw them with both outlines. Raises StudioError when none do."""
    fitted = fit.check(given.mesh, given.capture, rasterizer, convention=task.convention)
    for note in fitted.notes:
        show(Progress("checking cameras", 1, 1, message=note))
    written = []
    for view in fitted.bad():
        make_folder(task.out / "overlays")
        name = f"{Path(given.capture.names[view]).stem}.png"
        shown = fit.overlay(given.mesh, given.capture, view, rasterizer)
        written.append(files.write_bytes(task.out / "overlays" / name, png(shown)))
    return written


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
            angle_deg, correlation = alignment(found.light, reference)
            report["light_angle_deg"], report["light_correlation"] = angle_deg, correlation
    return report


class _Value:
    """Iterates a generator and keeps what it returns."""

    def __init__(self, steps: Generator[Any, None, Any]) -> None:
        self.steps = steps
        self.value: Any = None

    def __iter__(self) -> Iterator[Any]:
        self.value = yield from self.steps


class _Keeper:
    """The newest checkpoint, written now and then and when the work ends early."""

    def __init__(self, path: Path) -> None:
        self._path, self._state = path, None
        self._kept_at = time.monotonic()

    def note(self, progress: Progress) -> None:
        self._state = progress.checkpoint or self._state
        if progress.checkpoint is not None and time.monotonic() - self._kept_at >= KEEP_S:
            with contextlib.suppress(OutputError):  # a disk that is full for a moment must not end the run
                self.write()
            self._kept_at = time.monotonic()

    def write(self) -> list[Path]:
        """Of the state as it is now: called between two steps."""
        if self._state is None:
            return []
        with files.replacing(self._path) as temporary:
            torch.save(self._state(), temporary)
        return [self._path]

    def done(self) -> None:
        self._path.unlink(missing_ok=True)


@contextlib.contextmanager
def _logged(folder: Path | None) -> Iterator[Callable[[Progress], None]]:
    """What writes each step's numbers and each preview's maps for TensorBoard."""
    if folder is None:
        yield lambda progress: None
        return
    make_folder(folder)
    from torch.utils.tensorboard.writer import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        steps = 0

        def log(progress: Progress) -> None:
            nonlocal steps
            steps += progress.checkpoint is not None
            for name, value in progress.metrics.items():
                writer.add_scalar(f"{progress.stage}/{name}".replace(" ", "_"), value, steps)
            if progress.texture is not None:
                for name, channel in progress.texture.channels.items():
                    writer.add_images(f"maps/{name}", channel.cpu(), steps)

        yield log


def capture_files(
    mesh: Path, out: Path, *, views: int, size_px: int, atlas_px: int, light: str, exposure_ev: float, device: str, renderer: str
) -> Iterator[Progress]:
    """Photograph a textured mesh all around into a folder; the last progress's message names the file of cameras.

    Raises StudioError for a mesh without UVs, an unknown light and a place that cannot be written.
    """
    if not 1 <= views <= 10_000 or not 16 <= size_px <= 4096:
        raise StudioError(f"{views} pictures of {size_px} pixels cannot be taken.", "Ask for 1 to 10000 of 16 to 4096 pixels.")
    from studio.texture import Texture

    yield Progress("reading", 0, 1)
    read = load(mesh)
    light_of = environment.load(light)
    atlas = build_atlas(read, atlas_px)
    rasterizer, notice = renderers.build(renderer, find_device(device))
    texture = Texture.from_mesh(read, atlas_px).to(rasterizer.device)
    yield Progress("casting occlusion", 0, 1, message=notice or "")
    stand = shoot.Studio(read, atlas, texture, light_of, rasterizer, openness(read).at_corners, exposure_ev)
    for done, written in shoot.shoot(stand, out, views=views, size_px=size_px, environment=light):
        yield Progress("taking pictures", done, views, message=str(written or ""))
