"""How fast is the viewport? `python tests/bench/view.py --device cpu cuda`.

Two Markdown tables. *Renderer*: milliseconds of one picture of the vase by `studio.view` alone, under a new camera, with a new
texture under the same camera, and finely (4 samples a pixel); medians. On CUDA the picture lies in the card's memory and is
copied into the computer's, as the window needs it. One CPU thread, as on the window's view thread.

*Window* (with --window; needs Xvfb): the real canvas and the real session in a window of that size, drawn by software, in a
process of its own with a real run on the worker's thread (of the generator `mini`, unless --generator names another). Pictures
per second while the camera orbits, without and with the run; milliseconds from a movement of the hand (a call of `Canvas.orbit`)
to the end of the frame that shows it, medians; and how much longer an iteration takes beside a viewport than without one. Exit
code 1 when the CPU shows fewer than LEAST_FPS pictures a second while orbiting during a run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

SIZES = (512, 1024)
LEAST_FPS = 20
IDLE_HZ = 12
"""As in studio.gui.app, which this file cannot import without a display."""
SETTINGS = {"prompt": "blue and white stripes", "trainer": "lora_reward", "iterations": 500, "rewards": {"palette": 1.0}}


# -- the renderer alone ---------------------------------------------------------------------------------------------------


def renderer(device: str, size: int, repeats: int) -> dict[str, float]:
    """Milliseconds of one picture of `size`²."""
    import torch

    from studio import resources
    from studio.camera import Camera
    from studio.shot import Shot
    from studio.surface.mesh import load
    from studio.texture import Texture
    from studio.view import Viewer

    torch.set_num_threads(1)  # as on the view thread
    mesh = load(resources.sample("vase"))
    viewer = Viewer(device)
    viewer.show(mesh)
    textures = [Texture.from_mesh(mesh, 1024).to(device) for _ in range(repeats + 1)]
    out = torch.empty(size, size, 4, pin_memory=device == "cuda").numpy()
    shot = Shot(Camera(30, 15), size, size)

    def median(draw: Callable[[int], Any], count: int) -> float:
        draw(0)
        times = []
        for i in range(1, count + 1):
            began = time.perf_counter()
            draw(i)  # ends with a copy out of the card's memory, hence with the picture
            times.append(1e3 * (time.perf_counter() - began))
        return statistics.median(times)

    def turned(i: int, samples: int = 1) -> Shot:
        return replace(shot, camera=Camera(30 + 5 * i, 15), samples=samples)

    return {
        "camera": median(lambda i: viewer.draw(turned(i), textures[0], out=out), 3 * repeats),
        "texture": median(lambda i: viewer.draw(shot, textures[i], out=out), repeats),
        "fine": median(lambda i: viewer.draw(turned(i, 4), textures[0], out=out), repeats),
    }


# -- in a window ----------------------------------------------------------------------------------------------------------


class Bench:
    """A window of size² with the canvas and the session in it."""

    def __init__(self, device: str, size: int, generator: str) -> None:
        import dearpygui.dearpygui as dpg

        from studio.config import parse
        from studio.gui.theme import Theme
        from studio.gui.viewport import Canvas
        from studio.session import Session

        self.dpg = dpg
        dpg.create_context()
        dpg.configure_app(manual_callback_management=True)
        dpg.create_viewport(title="bench", width=size, height=size, vsync=False, decorated=False)
        dpg.setup_dearpygui()
        dpg.show_viewport()
        theme = Theme(1.0)
        theme.bind()
        with dpg.window(tag="zone", pos=(0, 0), width=size, height=size, no_title_bar=True, no_resize=True, no_scrollbar=True):
            dpg.bind_item_theme("zone", theme.stage)
        self.session = Session(parse({**SETTINGS, "device": device, "generator": {"name": generator}}))
        app: Any = SimpleNamespace(session=self.session, theme=theme, canvas=None, dragging_edge=False)
        app.settings = SimpleNamespace(navigation="default")
        self.canvas = Canvas(app, "zone")
        self.session.begin(None)

    def frames(
        self,
        seconds: float,
        act: Callable[[], Any] = lambda: None,
        *,
        until: Callable[[], bool] | None = None,
        hz: float = 60,
    ) -> dict[str, float]:
        """Let the window live: frames and pictures per second of its loop, which makes at most `hz` frames."""
        canvas, began, count, drawn = self.canvas, time.monotonic(), 0, self.canvas.drawn
        while time.monotonic() - began < seconds and not (until and until()):
            start = time.monotonic()
            for callback, *given in self.dpg.get_callback_queue() or ():
                if callback is not None:
                    callback(*given[:2])
            self.session.poll()
            act()
            canvas.update()
            self.dpg.render_dearpygui_frame()
            count += 1
            time.sleep(max(0.0, start + 1 / hz - time.monotonic()))
        passed = time.monotonic() - began
        return {"frames": count / passed, "pictures": (canvas.drawn - drawn) / passed}

    def settle(self) -> None:
        """Until the fine picture is there."""
        self.frames(60, until=lambda: self._shown("samples") == 4 and not self.canvas.state()["busy"])

    def orbiting(self, seconds: float) -> float:
        """Pictures per second while the hand moves."""
        self.frames(1, lambda: self.canvas.orbit(2, 0))
        return self.frames(seconds, lambda: self.canvas.orbit(2, 0))["pictures"]

    def latency_ms(self, count: int = 9) -> float:
        """From a movement to the end of the frame that shows it, median."""
        times = []
        for _ in range(count):
            self.frames(0.4)
            began = time.monotonic()
            self.canvas.orbit(5, 0)
            wanted = self.canvas.state()["shot"]["camera"]
            self.frames(20, until=lambda wanted=wanted: self._shown("camera") == wanted)
            times.append(1e3 * (time.monotonic() - began))
        return statistics.median(times)

    def iteration_s(self, seconds: float, *, shown: bool) -> float:
        """How long an iteration of the run takes, with the viewport and without it."""
        session, marks, last = self.session, [], self.session.pace.iteration
        began = time.monotonic()
        while time.monotonic() - began < seconds or len(marks) < 4:
            if shown:
                self.frames(0.25, hz=IDLE_HZ)  # as the window does when no hand moves
            else:
                session.poll()
                time.sleep(0.02)
            if session.pace.iteration != last:
                last = session.pace.iteration
                marks.append(time.monotonic())
        return (marks[-1] - marks[0]) / (len(marks) - 1)

    def _shown(self, name: str) -> Any:
        shown = self.canvas.state()["shown"]
        return shown[name] if shown else None


def inside(device: str, size: int, seconds: float, generator: str) -> dict[str, float]:
    """All numbers of one window, in this process."""
    bench = Bench(device, size, generator)
    canvas, session = bench.canvas, bench.session
    bench.frames(120, until=lambda: canvas.drawn > 0 and session.loading is None)
    canvas.touched()
    bench.settle()
    say = lambda: print(json.dumps(result), file=sys.stderr, flush=True)  # noqa: E731
    result = {"idle": bench.frames(seconds)["frames"], "orbit": bench.orbiting(seconds), "latency": bench.latency_ms()}
    say()
    session.start()
    bench.frames(300, until=lambda: session.pace.iteration >= 2 or session.state in ("failed", "idle"))
    assert session.state == "running", session.state
    result |= {"orbit_run": bench.orbiting(2 * seconds), "latency_run": bench.latency_ms()}
    say()
    alone = bench.iteration_s(4 * seconds, shown=False)
    result["slower"] = bench.iteration_s(4 * seconds, shown=True) / alone - 1
    return result


def window(device: str, size: int, seconds: float, generator: str) -> dict[str, float]:
    """`inside` in a process of its own, on a screen of its own."""
    from tests.gui.screen import Screen

    screen = Screen(size, size)
    try:
        command = [sys.executable, __file__, "--inside", json.dumps([device, size, seconds, generator])]
        environment = {**os.environ, "DISPLAY": screen.name, "LIBGL_ALWAYS_SOFTWARE": "1", "LP_NUM_THREADS": "1"}
        ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=1500)
        return json.loads(ended.stdout.strip().splitlines()[-1])
    finally:
        screen.close()


def main() -> int:
    """0, or 1 when the viewport is too slow on the CPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", nargs="+", default=["cpu"], choices=["cpu", "cuda"])
    parser.add_argument("--size", nargs="+", type=int, default=list(SIZES), help="sides of the pictures")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement in a window")
    parser.add_argument("--window", action="store_true", help="measure the window too")
    parser.add_argument("--generator", default="mini", help="of the run in the window")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(inside(*json.loads(options.inside))), flush=True)
        os._exit(0)  # the run and the window need not be taken down one by one
    print("| device | size | new camera ms (fps) | new texture ms (fps) | fine ms |\n| --- | ---: | ---: | ---: | ---: |")
    for device in options.device:
        for size in options.size:
            r = renderer(device, size, options.repeats)
            moving, shading = (f"{r[name]:.1f} ({1e3 / r[name]:.0f})" for name in ("camera", "texture"))
            print(f"| {device} | {size}² | {moving} | {shading} | {r['fine']:.0f} |", flush=True)
    if not options.window:
        return 0
    print("\n| device | window | idle frames/s | orbiting fps | during a run | latency ms | during a run | run slowed by |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    slow = False
    for device in options.device:
        for size in options.size:
            w = window(device, size, options.seconds, options.generator)
            fps, waits = f"{w['orbit']:.0f} | {w['orbit_run']:.0f}", f"{w['latency']:.0f} | {w['latency_run']:.0f}"
            print(f"| {device} | {size}² | {w['idle']:.0f} | {fps} | {waits} | {w['slower']:.0%} |", flush=True)
            slow |= device == "cpu" and w["orbit_run"] < LEAST_FPS
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
