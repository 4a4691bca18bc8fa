"""Dialogs: what they list and say, without a screen; and each of them in a window, where nothing may be cut off."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from studio.errors import StudioError
from tests.gui.screen import Screen, why_not

ROOT = Path(__file__).resolve().parent.parent.parent


def _places() -> Any:
    pytest.importorskip("dearpygui.dearpygui", exc_type=ImportError)
    from studio.gui.dialogs import places

    return places


def test_a_folder_is_listed_as_it_is_asked_for(tmp_path: Path) -> None:
    places = _places()
    for name in ("mug_10.glb", "mug_9.GLB", "notes.txt", ".hidden.glb"):
        (tmp_path / name).write_bytes(b"x" * len(name))
    (tmp_path / "zoo").mkdir()
    (tmp_path / "nowhere.glb").symlink_to(tmp_path / "gone")
    found = places.listing(tmp_path, suffixes=(".glb",))
    assert [e.name for e in places.ordered(found)] == ["zoo", "mug_9.GLB", "mug_10.glb"]
    assert [e.name for e in places.ordered(found, descending=True)] == ["zoo", "mug_10.glb", "mug_9.GLB"]
    assert [e.name for e in places.ordered(found, by="size")] == ["zoo", "mug_9.GLB", "mug_10.glb"]
    assert {e.name for e in places.listing(tmp_path, hidden=True)} == {*os.listdir(tmp_path)} - {"nowhere.glb"}
    with pytest.raises(StudioError, match="cannot be read"):
        places.listing(tmp_path / "nothing")


def test_typing_narrows_the_list(tmp_path: Path) -> None:
    places = _places()
    entries = [places.Entry(tmp_path / name, False) for name in ("Vase.glb", "mug.glb", "old_vase.obj")]
    assert [e.name for e in places.matching(entries, "va")] == ["Vase.glb"]
    assert [e.name for e in places.matching(entries, "_v")] == ["old_vase.obj"]
    assert places.matching(entries, "") == entries and places.matching(entries, "zz") == []


def test_a_typed_path_may_begin_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = _places()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert places.parted("mu", tmp_path) == (tmp_path, "mu")
    assert places.parted("a/mu", tmp_path) == (tmp_path / "a", "mu")
    assert places.parted("..", tmp_path) == (tmp_path.parent, "")
    assert places.parted("~/x", Path("/")) == (tmp_path, "x")
    assert places.parted("/etc/ho", tmp_path) == (Path("/etc"), "ho")


def test_long_names_keep_both_ends() -> None:
    places = _places()
    assert places.elided("vase.glb", 8, len) == "vase.glb"
    short = places.elided("a very long name of a vase_17.glb", 16, len)
    assert len(short) <= 16 and short.startswith("a very") and short.endswith("17.glb") and "…" in short


def test_sizes_and_times_in_words() -> None:
    places = _places()
    assert [places.size_words(n) for n in (0, 999, 1500, 385_123, 2_345_678)] == ["0 B", "999 B", "1.5 KB", "385 KB", "2.3 MB"]
    assert [places.ago(s) for s in (3, 65, 7300, 200_000)] == ["just now", "1 minute ago", "2 hours ago", "2 days ago"]
    now = time.mktime((2026, 3, 14, 12, 0, 0, 0, 0, -1))
    assert places.date_words(now, now) == "today 12:00"
    assert places.date_words(now - 400 * 86400, now).endswith("2025")


def test_a_log_holds_what_a_report_needs() -> None:
    _places()
    from studio import __version__
    from studio.gui.dialogs.notices import Failure, log_of

    log = log_of(Failure("The run failed", "No memory.", "Close programs.", "Traceback: …"), ["reading vase.glb"])
    assert all(part in log for part in (__version__, "No memory.", "Close programs.", "reading vase.glb", "Traceback"))


def test_every_exporter_has_words() -> None:
    _places()
    from studio import exporters
    from studio.gui.dialogs.export import about, said

    for name in exporters.SOCKET.names():
        assert said(name) and len(about(name)) > 20


def test_the_display_scale_is_kept_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    from studio.gui import system

    for said, scale in (("1.5", 1.5), ("9", 3.0), ("0.2", 1.0), ("nan", 1.0)):
        monkeypatch.setenv(system.SCALE_VARIABLE, said)
        assert system.content_scale() == scale


@pytest.mark.parametrize(
    ("size", "area", "scale"),
    [((1440, 900), (0, 0, 1280, 720), 1.0), ((1440, 900), (0, 28, 1920, 1052), 1.0), ((2880, 1800), (0, 0, 2560, 1440), 2.0),
     ((1440, 900), (0, 0, 1000, 600), 1.0), ((3000, 1800), (-1920, 0, 1920, 1080), 1.0)],
)  # fmt: skip
def test_a_window_opens_within_its_display(size: tuple[int, int], area: tuple[int, int, int, int], scale: float) -> None:
    """With its title bar; as large as it would like to be where there is room; it can be made no smaller than is useful."""
    from studio.gui import system

    at = system.fitted(size, area, scale)
    assert at["x_pos"] >= area[0] and at["y_pos"] >= area[1] + 30 * scale
    assert at["x_pos"] + at["width"] <= area[0] + area[2] and at["y_pos"] + at["height"] <= area[1] + area[3]
    assert at["width"] == size[0] or at["width"] >= area[2] - 20 * scale
    assert at["min_width"] <= at["width"] and at["min_height"] <= at["height"]


def test_a_display_that_says_nothing_gets_the_size_that_is_asked_for() -> None:
    from studio.gui import system

    assert system.fitted((1440, 900), None, 1.0) == {"width": 1440, "height": 900, "min_width": 1024, "min_height": 640}


# -- in a window -----------------------------------------------------------------------------------------------------------------

# Every dialog is opened; items that stick out of it or out of the window, and ids of those that did not open, are printed.
SCENE = """
import json, sys
import dearpygui.dearpygui as dpg
from pathlib import Path
from studio.alarm import Alarm
from studio.gui import dialogs, system
from studio.gui.app import App
from studio.gui.dialogs.alarm import Hacked
from studio.gui.dialogs.notices import Recovery
from studio.gui.settings import Settings
from studio.session import Session

width, height, scale = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
Session.begin = lambda session, path: None
Settings.read = classmethod(lambda cls: Settings(width=width, height=height, scale=scale))
wrong = {}

def rect(tag):
    state = dpg.get_item_state(tag)
    return state.get("visible") and "rect_min" in state and (*state["rect_min"], *state["rect_max"])

def outside(name, W, H):
    (x0, y0), (w, h) = dpg.get_item_pos(name), dpg.get_item_rect_size(name)
    x1, y1 = x0 + w, y0 + h
    found = [] if 0 <= x0 and 0 <= y0 and x1 <= W and y1 <= H else [name]
    seen = {t: r for t in dpg.get_aliases() if t.startswith(f"{name}.") and (r := rect(t))}
    assert seen
    return found + [t for t, r in seen.items() if not (x0 <= r[0] and y0 <= r[1] and r[2] <= x1 and r[3] <= y1)]

class Scene(App):
    def _frame(self, trace):
        super()._frame(trace)
        self.script = getattr(self, "script", None) or self.play()
        if next(self.script, "end") == "end":
            self.quit()

    def show(self, name, open):
        open()
        for _ in range(6):
            self.wake()
            yield
        if self.dialogs.open_name != name:
            wrong[name] = "not open"
        elif found := outside(name, dpg.get_viewport_client_width(), dpg.get_viewport_client_height()):
            wrong[name] = found
        self.dialogs.key("Esc")
        yield

    def play(self):
        d = self.dialogs
        yield from self.show("browser", d.open_mesh)
        yield from self.show("browser", d.save_as)
        for kind in ("glb", "turntable"):
            d.export_kind = kind
            yield from self.show("export", d.export)
        yield from self.show("shortcuts", d.shortcuts)
        yield from self.show("preferences", d.preferences)
        yield from self.show("about", d.about)
        yield from self.show("doctor", d.doctor)
        yield from self.show("error", lambda: d.error("It failed. " * 20, "Do that. " * 20, log="Traceback\\n" * 40))
        yield from self.show("question", lambda: d.unless_it_exists(Path(__file__), print))
        yield from self.show("recovery", lambda: d._show(Recovery(d, Path(__file__))))
        self.session.alarm = Alarm(24, 9, "saturation", 4.2, 0.031)
        yield from self.show("alarm", lambda: d._show(Hacked(d, self.session.alarm)))
        d.error("One.", "Do."); d.error("Two.", "Do."); d.error("Two.", "Do.")
        yield
        shown = []
        while d.top:
            shown.append(dpg.get_value("error.cause"))
            d.key("Enter")
            yield
        assert shown == ["One.", "Two."], shown
        system._dropped.extend([Path("notes.txt"), Path("readme.md")])
        yield
        yield
        assert d.top.name == "error" and "notes.txt" in dpg.get_value("error.cause")
        d.key("Esc")

App = Scene
code = Scene().run()
print(json.dumps(wrong))
"""


@pytest.mark.gui
@pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
@pytest.mark.parametrize(("width", "height", "scale"), [(1280, 720, 1.0), pytest.param(2560, 1440, 2.0, marks=pytest.mark.long)])
def test_every_dialog_fits_its_window(tmp_path: Path, width: int, height: int, scale: float) -> None:
    script = tmp_path / "scene.py"
    script.write_text(SCENE, encoding="utf-8")
    screen = Screen(width + 200, height + 200)
    environment = {
        **os.environ,
        "DISPLAY": screen.name,
        "PYTHONPATH": str(ROOT),
        "LP_NUM_THREADS": "1",
        "PATINA_HOME": str(tmp_path),
    }
    command = [sys.executable, str(script), str(width), str(height), str(scale)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    finally:
        screen.close()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {}, done.stderr
