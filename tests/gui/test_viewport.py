"""The viewport alone in a window on a screen of its own, moved by a real mouse."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.gui.screen import Screen, changed, why_not

pytestmark = [pytest.mark.gui, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]

ROOT = Path(__file__).resolve().parents[2]
WIDTH, HEIGHT = 480, 360
ORBIT_DEG = 240
"""A drag over the viewport's height turns so far."""
PATIENCE_S = 40
JUMP = 4.0
"""Mean difference (of 255) from the picture before that a small turn of the mesh stays below."""
MIDDLE = WIDTH // 2, HEIGHT // 2


class Stage:
    """The window, its mouse and its answers."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        own = {"DISPLAY": screen.name, "OMP_NUM_THREADS": "1", "LP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        self._environment = {**os.environ, **own}
        command = [sys.executable, "-m", "tests.gui.canvas"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, **pipes)  # type: ignore[call-overload]

    def ask(self, expression: str) -> Any:
        self._process.stdin.write(expression + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def wait(self, met: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The viewport's state once it is as wanted."""
        end = time.monotonic() + PATIENCE_S
        while not met(state := self.ask("canvas.state()")):
            assert time.monotonic() < end, state
            time.sleep(0.03)
        return state

    def rest(self) -> dict[str, Any]:
        """The state once nothing is left to draw."""
        return self.wait(lambda s: not s["busy"] and s["shown"] is not None and s["shown"] == {**s["shot"], "samples": 4})

    def mouse(self, *words: object) -> None:
        subprocess.run(["xdotool", *map(str, words)], env=self._environment, check=True)

    def drag(self, button: int, by: tuple[int, int], *, key: str = "", start: tuple[int, int] = MIDDLE) -> dict[str, Any]:
        """Press at `start`, move, let go; the state afterwards."""
        up = [False] * 3
        down = [each == button for each in (1, 2, 3)]
        self.mouse("mousemove", *start)
        self._sees([*start], up)
        if key:
            self.mouse("keydown", key)
        self.mouse("mousedown", button)
        self._sees([*start], down)
        for step in (1, 2):
            at = [start[0] + by[0] * step // 2, start[1] + by[1] * step // 2]
            self.mouse("mousemove", *at)
            self._sees(at, down)
        self.mouse("mouseup", button)
        self._sees(at, up)
        if key:
            self.mouse("keyup", key)
        self._frames()
        return self.ask("canvas.state()")

    def _sees(self, at: list[int], buttons: list[bool]) -> None:
        """Wait until the window has the mouse there, so pressed, and has acted on it: a busy machine tells it late."""
        end = time.monotonic() + PATIENCE_S
        while (now := self.ask("hand()")) != [at, buttons]:
            assert time.monotonic() < end, f"the window has the mouse at {now}, not at {at} with {buttons}"
        self._frames()

    def _frames(self) -> None:
        for _ in range(3):
            self.ask("1")

    def picture(self) -> np.ndarray:
        time.sleep(0.15)
        return self.screen.picture()[:HEIGHT, :WIDTH]

    def close(self) -> None:
        self._process.stdin.write("quit\n")
        self._process.stdin.flush()
        self._process.wait(20)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    screen = Screen(WIDTH, HEIGHT)
    stage = Stage(screen)
    yield stage
    stage.close()
    screen.close()


@pytest.fixture(scope="module")
def live(stage: Stage) -> Stage:
    """With a mesh that has been touched, so that it does not turn by itself."""
    if stage.ask("session.mesh is None"):
        stage.ask("session.load('cube')")
    stage.ask("canvas.orbit(0, 0)")
    return stage


def camera(state: dict[str, Any]) -> dict[str, Any]:
    return state["shot"]["camera"]


def test_first_a_poster_then_a_mesh_that_turns(stage: Stage) -> None:
    stage.wait(lambda s: True)
    poster = stage.picture()
    assert poster[MIDDLE[1], MIDDLE[0]].min() > 120 and poster[:20, :20].max() < 90, "a bright vase in a dark room"
    stage.ask("session.load('cube')")
    first = stage.wait(lambda s: s["drawn"] > 1)
    assert first["turning"] and changed(poster, stage.picture()) > 6_000
    later = stage.wait(lambda s: s["drawn"] > first["drawn"] + 1)
    assert camera(later)["azimuth_deg"] != camera(first)["azimuth_deg"] and later["fps"] > 0


def test_dragging_orbits_and_the_picture_becomes_fine(live: Stage) -> None:
    before, picture, held = camera(live.rest()), live.picture(), live.ask("session.held")
    after = camera(live.drag(1, (60, 40)))
    assert after["azimuth_deg"] == pytest.approx((before["azimuth_deg"] - 60 * ORBIT_DEG / HEIGHT) % 360, abs=1)
    assert after["elevation_deg"] == pytest.approx(before["elevation_deg"] + 40 * ORBIT_DEG / HEIGHT, abs=1)
    assert live.ask("session.held") > held, "the run waits for the hand"
    state = live.rest()
    assert state["shown"]["width"], state["shown"]["height"] == (WIDTH, HEIGHT)
    assert not state["turning"] and changed(picture, live.picture()) > 3_000


def test_letting_go_brings_the_full_picture_at_once(live: Stage) -> None:
    """Without the wait that follows a turn of the wheel: here that would last for ever."""
    settle = "setattr(__import__('sys').modules['studio.gui.viewport'], 'SETTLE_S', {})"
    live.rest()
    live.ask(settle.format(1e9))
    live.drag(1, (-60, 0))
    live.rest()
    live.ask(settle.format(0.12))


def test_no_picture_jumps_when_a_drag_begins_or_ends(live: Stage) -> None:
    """Pictures of the moving mesh are smaller: no frame shows one of them, or the full one, laid out as the other."""
    live.ask("setattr(canvas._easel, '_pixel_s', 1e-5)")
    live.rest()
    plain, away = live.picture().astype(float), []
    for press in ("mousedown", "mouseup", "mousedown", "mouseup"):
        live.mouse("mousemove", *MIDDLE, press, 1, *(("mousemove_relative", 6, 0) if press == "mousedown" else ()))
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            away.append(float(np.abs(live.picture() - plain).mean()))
    assert max(away) < JUMP, sorted({round(step, 1) for step in away})


def test_nothing_is_drawn_when_nothing_changes(live: Stage) -> None:
    drawn = live.rest()["drawn"]
    time.sleep(0.5)
    assert live.ask("canvas.state()")["drawn"] == drawn
    live.ask("canvas.set_exposure(0.5)")
    assert live.wait(lambda s: s["drawn"] > drawn)["shown"]["exposure_ev"] == 0.5
    live.ask("canvas.set_exposure(0)")


@pytest.mark.parametrize(("button", "key", "moved"), [(2, "", "target"), (1, "shift", "target"), (3, "alt", "distance")])
def test_other_drags_pan_and_zoom(live: Stage, button: int, key: str, moved: str) -> None:
    before = camera(live.ask("canvas.state()"))
    after = camera(live.drag(button, (48, -36), key=key))
    assert {name for name in before if before[name] != after[name]} == {moved}
    if moved == "distance":
        assert after["distance"] < before["distance"]


def test_the_wheel_zooms_and_shift_with_the_right_button_turns_the_light(live: Stage) -> None:
    before = live.rest()
    live.mouse("mousemove", *MIDDLE, "click", 4)
    near = live.wait(lambda s: camera(s)["distance"] < camera(before)["distance"])
    after = live.drag(3, (60, 0), key="shift")
    assert camera(after) == camera(near) and after["shot"]["environment_turn_deg"] != before["shot"]["environment_turn_deg"]
    live.ask("canvas.frame()")
    framed = live.wait(lambda s: camera(s)["target"] == [0.0, 0.0, 0.0])
    assert camera(framed)["distance"] > 0.2


def test_blender_users_orbit_with_the_middle_button(live: Stage) -> None:
    live.ask("setattr(app.settings, 'navigation', 'blender')")
    before = camera(live.ask("canvas.state()"))
    after = camera(live.drag(2, (30, 0)))
    panned = camera(live.drag(2, (30, 0), key="shift"))
    live.ask("setattr(app.settings, 'navigation', 'default')")
    assert after["azimuth_deg"] != before["azimuth_deg"] and after["target"] == before["target"] != panned["target"]


def test_a_click_on_an_axis_looks_from_there(live: Stage) -> None:
    live.ask("canvas.look('front')")
    live.wait(lambda s: camera(s)["azimuth_deg"] == camera(s)["elevation_deg"] == 0)
    live.drag(1, (0, 0), start=(WIDTH - 50, 50 - 34))
    live.wait(lambda s: camera(s)["elevation_deg"] == 90)
    assert "'frnt'" in live.ask("canvas.look('frnt')")


def test_the_line_between_before_and_after_is_dragged(live: Stage) -> None:
    live.ask("canvas.look('front')")
    live.wait(lambda s: camera(s)["elevation_deg"] == 0)
    live.ask("canvas.toggle_split()")
    live.rest()
    picture = live.picture().astype(int)
    row = picture[HEIGHT // 2 + 40]
    red = row[:, 0] - row[:, 2] > 60
    assert red[MIDDLE[0] + 40] and not red[MIDDLE[0] - 40]
    state = live.drag(1, (-80, 0), start=(MIDDLE[0], 80))
    assert state["shot"]["split"] == pytest.approx(0.5 - 80 / WIDTH, abs=0.01) and camera(state)["azimuth_deg"] == 0
    live.rest()
    row = live.picture().astype(int)[HEIGHT // 2 + 40]
    assert row[MIDDLE[0] - 40, 0] - row[MIDDLE[0] - 40, 2] > 60
    live.ask("canvas.hold_before(True)")
    live.wait(lambda s: s["shown"]["split"] == 1.0)
    row = live.picture().astype(int)[HEIGHT // 2 + 40]
    assert row[MIDDLE[0] + 40, 0] - row[MIDDLE[0] + 40, 2] < 30
    live.ask("canvas.hold_before(False)")
    live.ask("canvas.toggle_split()")
    live.rest()


def test_channels_wires_and_turntable_are_switched(live: Stage) -> None:
    seen = live.picture()
    live.ask("canvas.cycle_channel(1)")
    assert live.rest()["shown"]["channel"] == "clay" and changed(seen, seen := live.picture()) > 3_000
    live.ask("canvas.toggle_wireframe()")
    live.rest()
    assert changed(seen, live.picture()) > 300
    live.ask("canvas.set_channel('material')")
    live.ask("canvas.toggle_wireframe()")
    assert "'cley'" in live.ask("canvas.set_channel('cley')")
    live.ask("canvas.toggle_turntable()")
    turning = live.ask("canvas.state()")
    assert turning["turning"]
    live.wait(lambda s: camera(s)["azimuth_deg"] != camera(turning)["azimuth_deg"])
    live.ask("canvas.toggle_turntable()")
    live.ask("canvas.set_environment('nowhere')")
    end = time.monotonic() + PATIENCE_S
    while "nowhere" not in live.ask("failed"):
        assert time.monotonic() < end
    live.ask("canvas.set_environment('softbox')")
    live.rest()


def test_a_field_and_lines_are_measured_and_shown(live: Stage) -> None:
    seen = live.picture()
    live.ask("[canvas.set_field('mean_curvature'), canvas.toggle_lines('seams')]")
    live.wait(lambda s: s["lines"] == ["seams"] and not s["waiting"])
    live.rest()
    assert changed(seen, live.picture()) > 3_000 and "'seems'" in live.ask("canvas.toggle_lines('seems')")
    live.ask("[canvas.set_channel('material'), canvas.toggle_lines('seams')]")


def test_a_heat_map_with_its_legend_is_the_one_we_have_looked_at(live: Stage) -> None:
    """Golden picture. What must be seen in `golden/view_window.png`: a cube seen from its front right corner and a little above,
    whole and in the middle, shaded, in even colours without steps: its front from clay grey at the left edge through violet to
    crimson, its right side from there to orange, its top from red to yellow; its shadow on the floor of a dark warm room. Above
    right a ball of axes, the red X and the blue Z towards us, the green Y up, each with its letter, their negative ends small and
    hollow. Below left on a dark ground the words "Where surface detail pushes", a bar from grey through violet to pale yellow
    without gaps, "not at all" on its left and "strong" on its right. After a change that is meant to be seen, look at the new
    picture, then replace it (PATINA_NEW_GOLDEN=1 writes it)."""
    live.ask("session.warm()")
    live.ask("canvas.set_heat('surface_detail')")
    assert live.ask("session.watched")[-1] == "surface_detail"
    live.ask("setattr(canvas, 'shot', __import__('dataclasses').replace(canvas.shot, environment_turn_deg=0.0))")
    live.ask("canvas.look('front')")
    live.wait(lambda s: camera(s)["azimuth_deg"] == camera(s)["elevation_deg"] == 0)
    live.ask("canvas.orbit(40, 22)")
    live.ask("canvas.frame()")
    time.sleep(0.4)
    live.mouse("mousemove", 5, 5)
    live.rest()
    picture = live.picture()
    golden = Path(__file__).parents[1] / "golden" / "view_window.png"
    if os.environ.get("PATINA_NEW_GOLDEN"):
        Image.fromarray(picture).save(golden)
    with Image.open(golden) as image:
        off = np.abs(picture.astype(int) - np.asarray(image.convert("RGB")))
    live.ask("canvas.set_heat(None)")
    assert off.mean() < 1.5 and (off.max(-1) > 32).mean() < 0.01


def test_the_picture_follows_the_window_and_outlives_a_new_scale(live: Stage) -> None:
    live.ask("resize(320, 280)")
    small = live.wait(lambda s: s["shown"]["width"] == 320 and s["shown"]["height"] == 280 and s["shown"]["samples"] == 4)
    assert np.ptp(live.picture()[300:, 340:]) == 0, "nothing is drawn outside"
    live.ask(f"resize({WIDTH}, {HEIGHT})")
    live.wait(lambda s: s["shot"]["width"] == WIDTH)
    assert camera(live.rest()) == camera(small)
    seen = live.picture()
    live.ask("rebuild()")
    assert changed(seen, live.picture()) < 500, "the picture stays while the next view thread begins"
    again = live.wait(lambda s: s["drawn"] > 0)
    assert camera(again) == camera(small) and not again["turning"]
