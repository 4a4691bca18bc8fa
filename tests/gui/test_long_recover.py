"""Materials from pictures, in the window: pictures are chosen, do not fit, fit, are paused and stopped, and become materials."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.gui.driver import State, Window
from tests.gui.screen import why_not
from tests.gui.steps import fill, shot

pytestmark = [pytest.mark.gui, pytest.mark.long, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]

Begin = Callable[..., Window]
QUICK = {"atlas_px": 256, "iterations": 80, "fine_iterations": 20, "batch_px": 1024}


def state(s: State) -> str:
    return s["recovery"]["state"]


def choose(window: Window, file: Path) -> None:
    """Through the file dialog, by its key."""
    window.key("ctrl+p")
    window.wait(lambda s: s["dialog"] == "browser")
    fill(window, "browser.name", str(file))
    window.keep(f"choose {file.parent.name}")
    window.key("Return")
    window.wait(
        lambda s: not s["dialog"] and s["recovery"]["pictures"] == str(file), seconds=40
    )  # a path is long, a busy machine slow


def knob(window: Window, name: str, value: int) -> None:
    window.reveal(f"recover.{name}", column(window))
    window.settle()  # what was chosen moves what stands below
    fill(window, f"recover.{name}", str(value))
    window.key("Return")
    window.wait(lambda s: s["recovery"]["settings"][name] == value, what=f"{name} = {value}")


def column(window: Window) -> tuple[int, int, int, int]:
    """The part of the right column that scrolls."""
    width, height = window.screen.size
    return window.rect("viewport")[2] + 12, 72, width - 12, height - 40


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ball of eighteen materials, bare, with its pictures, and others whose cameras are for another world."""
    from studio.__main__ import main
    from studio.exporters import SOCKET, Asset
    from studio.recover import PAINTED
    from studio.recover.examples import example
    from studio.surface.atlas import build_atlas

    folder, scene = tmp_path_factory.mktemp("ball"), example("sphere")
    texture = scene.texture(build_atlas(scene.mesh, 128))
    SOCKET.make("glb").write(Asset(scene.mesh, texture, {}, PAINTED), folder / "painted.glb")
    grey = texture.with_channel("base_color", texture.channels["base_color"] * 0 + 0.5)
    SOCKET.make("glb").write(Asset(scene.mesh, grey, {}, PAINTED), folder / "ball.glb")
    options = ["--views", "10", "--size", "64", "--atlas", "128"]
    assert main(["capture", str(folder / "painted.glb"), "--out", str(folder / "photos"), *options]) == 0
    for wrong in ("moved", "turned"):
        tree = json.loads((folder / "photos" / "capture.json").read_text(encoding="utf-8"))
        for i, frame in enumerate(tree["frames"]):
            frame["file_path"] = str(folder / "photos" / frame["file_path"])
            if wrong == "turned":
                frame["transform_matrix"] = np.linalg.inv(np.array(frame["transform_matrix"])).tolist()
            elif i in (2, 5):
                frame["transform_matrix"][0][3] += 0.5
        (folder / wrong).mkdir()
        (folder / wrong / "capture.json").write_text(json.dumps(tree), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def window(begin: Begin, pictures: Path) -> Window:
    window = begin(pictures / "ball.glb", name="recover")
    window.wait(lambda s: s["mesh"] and s["texture_id"] and s["canvas"]["drawn"], seconds=120)
    if window.state()["canvas"]["turning"]:
        window.key("t")
    choose(window, pictures / "photos" / "capture.json")
    for name, value in QUICK.items():
        knob(window, name, value)
    return window


def test_pictures_of_another_world_are_shown_with_both_outlines_and_named(window: Window, pictures: Path) -> None:
    choose(window, pictures / "turned" / "capture.json")
    window.reveal("recover.start", column(window))
    window.keep("pictures are chosen")
    window.click("recover.start")
    window.wait(lambda s: s["dialog"] == "error", seconds=60)
    window.keep("the convention is named")
    window.key("Escape")
    assert state(window.state()) == "failed"
    window.reveal("recover.picture", column(window))
    window.keep("outlines of all")


def test_some_that_do_not_fit_are_shown_while_it_goes_on_and_can_be_stopped(window: Window, pictures: Path) -> None:
    texture = window.state()["texture_id"]
    choose(window, pictures / "moved" / "capture.json")
    window.click("recover.start")
    window.wait(lambda s: s["recovery"]["stage"] == "learning materials", seconds=60)
    window.reveal("recover.next", column(window))
    window.does(
        "the next that does not fit", lambda: window.click("recover.next"), says=lambda s: s["frame"], where="recover.picture"
    )
    window.reveal("recover.stop", column(window))
    window.does("recovery pauses", lambda: window.click("recover.start"), says=state, where="recover.start")
    assert state(window.state()) == "paused"
    window.does("and goes on", lambda: window.click("recover.start"), says=state, where="recover.start")
    window.click("recover.stop")
    window.wait(lambda s: state(s) == "idle", seconds=20)
    window.keep("stopped")
    assert window.state()["texture_id"] >= texture


def test_materials_are_found_worn_relit_and_saved(window: Window, pictures: Path, tmp_path: Path) -> None:
    choose(window, pictures / "photos" / "capture.json")
    before = window.picture("viewport")
    window.click("recover.start")
    window.wait(lambda s: s["recovery"]["stage"] == "learning materials", seconds=60)
    window.keep("learning materials")
    window.key("F5")  # a run beside it would change the same surface
    window.wait(lambda s: s["dialog"] == "error")
    window.keep("no run meanwhile")
    window.key("Escape")
    window.wait(lambda s: state(s) == "done", seconds=300)
    window.repaints("viewport", before, pixels=5000)
    window.reveal("recover.export", column(window))
    window.settle()
    window.keep("materials")
    left, top, right, bottom = window.rect("recover.relight")
    there = (left + (right - left) * 2 // 3, top, left + (right - left) * 2 // 3 + 2, bottom)
    turn = shot("environment_turn_deg")
    after = window.does("relit", lambda: window.click(there), says=turn, where="viewport", pixels=2000)
    assert 200 < turn(after) < 280
    window.click("recover.export")
    window.wait(lambda s: s["dialog"] == "browser")
    fill(window, "browser.name", str(tmp_path / "found"))
    window.key("Return")
    window.wait(lambda s: not s["dialog"] and s["tasks"] and s["tasks"][-1][1] == "done", seconds=30)
    names = {"base_color", "roughness", "metallic", "normal", "occlusion", "orm"}
    assert {p.name for p in (tmp_path / "found").iterdir()} == {*(f"{n}.png" for n in names), "ball.glb", "report.json"}
    found = np.asarray(Image.open(tmp_path / "found" / "base_color.png"), float)
    assert found.std() > 20
    window.keep("saved")
    assert window.quit() == 0
