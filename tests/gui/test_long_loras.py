"""LoRAs by hand: dropped on the window, from the dialog, a slider that answers during a run, and the one that was learned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gui.driver import State, Window
from tests.gui.drop import drop
from tests.gui.screen import why_not
from tests.gui.steps import column, fill, idle, ready, running, whole

pytestmark = [pytest.mark.gui, pytest.mark.long, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]

Begin = Callable[..., Window]
SCALE = "generator.lora.0.scale"


@pytest.fixture(scope="module")
def window(begin: Begin, project: Path) -> Window:
    window = begin(project, name="loras")
    ready(window)
    window.reveal("section.generator", column(window))
    window.click("section.generator")
    return window


@pytest.fixture(scope="module")
def learned(window: Window, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a short run has taught, exported by hand."""
    path = tmp_path_factory.mktemp("lora") / "rust.safetensors"
    running(window)
    idle(window)
    window.key("ctrl+e")
    window.wait(lambda s: s["dialog"] == "export")
    window.click("export.format.lora")
    fill(window, "export.folder", str(path.parent))
    fill(window, "export.name", path.name)
    window.click("export.write")
    window.wait(lambda s: not s["dialog"] and s["tasks"][-1][1] == "done", seconds=30)
    return path


def loras(state: State) -> dict[str, float]:
    return {name: one["scale"] for name, one in state["config"]["loras"].items()}


def test_a_file_that_is_dropped_gets_a_row_that_can_be_undone(window: Window, learned: Path) -> None:
    window.does(
        "dropped", lambda: drop(window.screen.name, int(window._id), [learned]), says=loras, where=column(window), seconds=20
    )
    assert loras(window.state()) == {"rust": 1.0}
    window.reveal(SCALE, column(window))
    window.move(SCALE)
    window.beat(40)
    window.keep("what it was made for")
    window.does("taken out", lambda: window.click("generator.lora.0.remove"), says=loras, where=column(window))
    window.click("menu.Edit")
    window.does("undone", lambda: window.click("menu.edit.undo"), says=loras, where=column(window))
    assert loras(window.state()) == {"rust": 1.0}


def test_the_slider_answers_during_a_run_and_a_right_click_resets_it(window: Window, learned: Path) -> None:
    running(window)
    window.reveal(SCALE, column(window))
    window.does("dragged", lambda: window.drag(SCALE, (-60, 0), (0.95, 0.5)), says=loras, where=SCALE)
    assert 0 < loras(window.state())["rust"] < 1
    marks = window.state()["markers"]
    window.wait(lambda s: s["markers"] > 0, seconds=30, what=f"more than {marks} notes of it")
    window.does("reset", lambda: window.click(SCALE, button=3), says=loras, where=SCALE)
    assert loras(window.state()) == {"rust": 1.0}
    idle(window)


def test_the_dialog_adds_one_and_says_what_is_wrong_with_another(window: Window, learned: Path) -> None:
    other = learned.with_name("copper.safetensors")
    other.write_bytes(learned.read_bytes())
    broken = learned.with_name("broken.safetensors")
    broken.write_bytes(learned.read_bytes()[:500])
    for file, says in ((other, lambda s: "copper" in s["config"]["loras"]), (broken, lambda s: s["dialog"] == "error")):
        window.reveal("generator.lora.add", column(window))
        window.click("generator.lora.add")
        window.wait(lambda s: s["dialog"] == "browser")
        fill(window, "browser.name", str(file))
        window.does(file.stem, lambda: window.key("Return"), says=says, where=whole(window), pixels=500)
    assert set(loras(window.state())) == {"rust", "copper"}


def test_what_was_learned_is_used_with_one_click(window: Window, learned: Path) -> None:
    window.key("Escape")
    idle(window)
    window.reveal("generator.lora.use", column(window))
    window.does("used", lambda: window.click("generator.lora.use"), says=loras, where=column(window), seconds=20)
    assert loras(window.state())["learned"] == 1.0 and not window.shows("generator.lora.use")
    running(window)
    idle(window)
    assert "Traceback" not in window.log()
