"""Turntable: the textured mesh going round once, as a video that every player and every chat window shows."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar

from studio.errors import OutputError, StudioError
from studio.exporters import Asset, Exporter, Step
from studio.plug import knob

ENVIRONMENTS = ("city", "courtyard", "forest", "interior", "night", "softbox", "studio", "sunrise", "sunset", "white")
START_DEG = 30.0
"""Where the turn begins and ends: most meshes look their best from slightly beside their front."""
SAMPLES = 4


@dataclass(frozen=True)
class Turntable(Exporter):
    """MP4 (H.264, yuv420p, BT.709), one whole turn under a light that stands still, so that it loops without a jump."""

    suffix: ClassVar[str] = ".mp4"

    seconds: float = knob(5.0, "How long one turn takes.", low=1, high=60, unit="s")
    fps: int = knob(30, "Pictures per second.", choices=(24, 25, 30, 50, 60))
    size_px: int = knob(720, "Side of the picture.", choices=(256, 512, 720, 1080, 1440, 2160), unit="px")
    elevation_deg: float = knob(14.0, "How far the camera looks down.", low=-30, high=80, unit="°")
    environment: str = knob("softbox", "What lights the mesh.", choices=ENVIRONMENTS)

    @staticmethod
    def why_not() -> str | None:
        """The reason why no video can be written here."""
        import importlib.util

        return None if importlib.util.find_spec("imageio_ffmpeg") else "The video encoder (imageio-ffmpeg) is not installed."

    def write(self, asset: Asset, path: Path) -> list[Path]:
        """Write one file. Raises as the promise says, and StudioError when there is no video encoder."""
        written: tuple[Path, ...] = ()
        for step in self.steps(asset, path):
            written = step.written
        return list(written)

    def steps(self, asset: Asset, path: Path) -> Iterator[Step]:
        """A step for each picture."""
        from dataclasses import replace

        import numpy as np

        from studio import files
        from studio.camera import Camera
        from studio.exporters import _source
        from studio.view import Shot, Viewer

        path = Path(path)
        _source.spare(asset.mesh, [path])
        count = round(self.seconds * self.fps)
        shot = Shot(Camera(START_DEG, self.elevation_deg), self.size_px, self.size_px, SAMPLES, environment=self.environment)
        with files.replacing(path) as temporary, _encoder(temporary, self.size_px, self.fps) as encode:
            yield Step(0, count)
            viewer = Viewer()
            viewer.show(asset.mesh)
            for i in range(count):
                turn = 360 * i / count
                camera = replace(shot.camera, azimuth_deg=START_DEG + turn)
                picture = viewer.draw(replace(shot, camera=camera, environment_turn_deg=turn), asset.texture)
                encode((picture[..., :3].clip(0, 1) * 255 + 0.5).astype(np.uint8).tobytes())
                if i + 1 < count:
                    yield Step(i + 1, count)
        yield Step(count, count, (path,))


@contextlib.contextmanager
def _encoder(path: Path, size_px: int, fps: int) -> Iterator[Callable[[bytes], None]]:
    """What takes pictures [size_px, size_px, 3] of sRGB bytes; the video is whole when the block ends without an error.

    Raises StudioError without an encoder, OutputError when the encoder fails.
    """
    with tempfile.TemporaryFile() as log:
        hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # on Windows a console would flash up
        streams: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": log, "creationflags": hidden}
        process = subprocess.Popen(_command(path, size_px, fps), **streams)
        pictures = process.stdin
        assert pictures is not None

        def encode(picture: bytes) -> None:
            try:
                pictures.write(picture)
            except OSError as error:
                process.wait()
                raise _failed(path, log) from error

        try:
            yield encode
            with contextlib.suppress(BrokenPipeError):  # the return code says why
                pictures.close()
            if process.wait():
                raise _failed(path, log)
        finally:
            process.kill()
            with contextlib.suppress(OSError):
                pictures.close()
            process.wait()


def _command(path: Path, size_px: int, fps: int) -> list[str]:
    try:
        import imageio_ffmpeg

        ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        remedy = "Install one with `pip install imageio-ffmpeg`, or export another format."
        raise StudioError("There is no video encoder on this machine.", remedy) from error
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size_px}x{size_px}", "-r", str(fps), "-i", "-"]
    color = ["-vf", "scale=out_color_matrix=bt709:out_range=tv", "-pix_fmt", "yuv420p"]
    tags = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]
    codec = ["-c:v", "libx264", "-crf", "18", "-preset", "medium", *tags, "-movflags", "+faststart", "-f", "mp4"]
    return [ffmpeg, "-y", "-hide_banner", "-loglevel", "error", *source, *color, *codec, f"file:{path}"]


def _failed(path: Path, log: IO[bytes]) -> OutputError:
    log.seek(0)
    said = log.read().decode("utf-8", "replace").strip().splitlines()
    reason = f": {said[-1].strip()}" if said else ""
    return OutputError(f"The video '{path.name}' could not be encoded{reason}.", "Choose another folder, or a smaller size.")
