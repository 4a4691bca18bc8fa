"""README's moving picture: `python docs/hero.py` films the real window while it is driven by mouse and keys; `docs/hero.webp`.

On a screen without a monitor (Xvfb, xdotool), as the tests drive it: a prompt is typed, a run paints and then moves the texels,
the mesh turns under the mouse, a hand drags the weight of *symmetry* up, the pattern folds and its curve climbs. Waiting is left
out: while nothing is touched, one picture in WAIT_S of real time is shown. The mouse pointer is drawn in, because the screen's
pictures have none.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from studio import resources  # noqa: E402
from studio.config import parse  # noqa: E402
from studio.document import Document  # noqa: E402
from studio.project import Project, save  # noqa: E402
from studio.surface.mesh import load  # noqa: E402
from tests.gui.driver import State, Window  # noqa: E402
from tests.gui.screen import Screen  # noqa: E402
from tests.gui.steps import column  # noqa: E402

OUT = Path(__file__).with_suffix(".webp")
SCREEN = 1440, 900
SHOWN = 960, 600
SHOT_S, WAIT_S, FRAME_MS = 0.12, 2.0, 90
PROMPT, BEFORE = "leopard", 8
"""What is painted, and the iterations before symmetry has a weight."""
SETTINGS = {
    "iterations": 70,
    "generator": {"name": "mini", "steps": 5},
    "trainer": {"name": "texture_direct", "rate": 0.015},
    "rewards": {"palette": {"weight": 0.5, "colors": ["#e0a94a", "#c98a34", "#2a1a12"]}, "symmetry": {"weight": 0.0}},
}
LARGEST = 4_000_000
"""Bytes; the quality is lowered until the film fits."""
POINTER = ((0, 0), (0, 17), (4, 13), (7, 19), (9, 18), (6, 12), (12, 12))


class Camera(threading.Thread):
    """Takes a picture of the screen every SHOT_S, with the pointer where the mouse is."""

    def __init__(self, window: Window) -> None:
        super().__init__(daemon=True)
        self.window, self.shots, self.busy, self._on = window, [], True, True
        self.start()

    def run(self) -> None:
        last = 0.0
        while self._on:
            began = time.monotonic()
            if self.busy or began - last >= WAIT_S:
                picture = Image.fromarray(self.window.screen.picture())
                x, y = pointer(self.window.screen)
                ImageDraw.Draw(picture).polygon([(x + a, y + b) for a, b in POINTER], fill="#E9E4D8", outline="#1E1D1B")
                self.shots.append(picture.resize(SHOWN, Image.Resampling.LANCZOS))
                last = began
            time.sleep(max(0.0, SHOT_S - (time.monotonic() - began)))

    def stop(self) -> None:
        self._on = False
        self.join()


def pointer(screen: Screen) -> tuple[int, int]:
    """Where the mouse is, in pixels of the screen."""
    command = ["xdotool", "getmouselocation", "--shell"]
    said = subprocess.run(command, env={**os.environ, "DISPLAY": screen.name}, capture_output=True, text=True, check=True).stdout
    found = dict(line.split("=") for line in said.split())
    return int(found["X"]), int(found["Y"])


def project(folder: Path) -> Path:
    """The rabbit with SETTINGS, saved."""
    mesh = resources.sample("rabbit")
    return save(Project(Document(mesh, parse(SETTINGS)), load(mesh)), folder / "film.patina")


def act(window: Window, camera: Camera) -> None:
    """What is shown."""

    def wait(until: Callable[[State], object], what: str) -> None:
        camera.busy = False
        window.wait(until, seconds=900, what=what)
        camera.busy = True

    def turn(*moves: tuple[float, float]) -> None:
        with window.dragging("viewport", (0.5, 0.6)) as by:
            for move in moves:
                by(*move, steps=10)
        time.sleep(0.6)

    window.click("prompt.text")
    window.key("ctrl+a")
    window.type(PROMPT)
    window.key("Return")
    window.click("run.start")
    texture = window.state()["texture_id"]
    wait(lambda s: s["texture_id"] > texture, "first colours")
    time.sleep(1.0)
    turn((150, 0), (-150, 10))
    window.key("1")
    wait(lambda s: s["iteration"] >= BEFORE, "the first iterations")
    time.sleep(1.0)
    window.reveal("rewards.symmetry.weight", column(window))
    left, _, right, _ = window.rect("rewards.symmetry.weight")
    with window.dragging("rewards.symmetry.weight", (0.5, 0.5)) as by:
        by((right - left) * 0.42, 0, steps=14)
        time.sleep(0.8)
    window.move("viewport", (0.85, 0.9))
    window.wait(lambda s: s["state"] not in ("preparing", "running"), seconds=300, what="the end of the run")
    time.sleep(1.0)
    turn((-130, -10), (260, 0), (-130, 10))
    time.sleep(1.2)


def film(shots: list[Image.Image], out: Path) -> None:
    """Pictures as an animated WebP no larger than LARGEST."""
    kept = [shots[0], *(b for a, b in zip(shots, shots[1:], strict=False) if a.tobytes() != b.tobytes())]
    for quality in (70, 50, 30):
        options: dict[str, Any] = {"duration": [FRAME_MS] * (len(kept) - 1) + [2500], "loop": 0, "method": 4}
        kept[0].save(out, save_all=True, append_images=kept[1:], quality=quality, **options)
        if out.stat().st_size <= LARGEST:
            print(f"{len(kept)} pictures, quality {quality}, {out.stat().st_size / 1e6:.1f} MB in {out}")
            return
    raise SystemExit(f"{len(kept)} pictures do not fit into {LARGEST / 1e6:.0f} MB")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, default=OUT)
    args = p.parse_args()
    screen = Screen(*SCREEN)
    with tempfile.TemporaryDirectory() as home:
        window = Window(screen, Path(home), (str(project(Path(home))),))
        try:
            window.appear()
            window.wait(lambda s: s["mesh"] == "rabbit" and not s["loading"] and s["canvas"]["drawn"], seconds=180)
            camera = Camera(window)
            act(window, camera)
            camera.stop()
            film(camera.shots, args.out)
        finally:
            window.kill()
            screen.close()


if __name__ == "__main__":
    main()
