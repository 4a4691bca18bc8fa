"""The panels around the viewport in a bare window with a made-up run: `python -m tests.gui.right` prints what became of them.

One JSON object: for each scene the visible items' places and zones, what the session and the canvas were told, and errors.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dearpygui.dearpygui as dpg
import numpy as np

from studio.camera import Camera
from studio.config import Config
from studio.film import Moment
from studio.gui.panels import SOCKET
from studio.gui.theme import Theme
from studio.session.filing import Task
from studio.session.pacing import Pace
from studio.session.recovering import Moment as Stand
from studio.session.recovering import Recovery
from studio.shot import Shot
from studio.surface.health import health
from tests.meshes import two_set_box

NAMES = ("tools", "atlas", "views", "recover", "health", "curves", "film", "status")
SIZES = {"small": (1280, 720, 1.0), "large": (1920, 1080, 1.0), "twice": (2560, 1440, 2.0)}


class Plain(np.ndarray):
    """An array that answers like a tensor, so that torch need not be loaded."""

    def detach(self) -> Plain:
        return self

    def numpy(self) -> np.ndarray:
        return np.asarray(self)


class Session(SimpleNamespace):
    """As much of a session as these panels look at; `told` keeps what they said."""

    def __getattr__(self, name: str) -> Any:
        return lambda *given: self.told.append([name, *given]) if name != "told" else None


class Canvas(SimpleNamespace):
    def __getattr__(self, name: str) -> Any:
        return lambda *given: None


def empty() -> Session:
    return Session(
        told=[], revision=0, mesh=None, health=[], loading=None, texture=None, texture_id=0, views=None, views_id=0, state="idle",
        pace=Pace(), curves={}, markers=[], film=[], tasks=[], status="Welcome.", report={},
        document=SimpleNamespace(config=Config()),
        recovery=Recovery(changed=lambda: None, say=print, failed=print),
    )  # fmt: skip


def run(session: Session) -> None:
    """Fill it with a run on a mesh with two texture sets."""
    session.mesh = two_set_box(4)
    session.health = health(session.mesh).rows()
    rows, columns = np.mgrid[0:64, 0:64].astype(np.float32) / 64
    sets = np.stack([np.stack([rows, columns, rows * 0 + i]) for i in range(2)])
    session.texture = SimpleNamespace(
        names=("body", "lid"), size_px=64, channels={"base_color": sets.view(Plain), "roughness": sets[:, :1].view(Plain)}
    )
    session.texture_id = session.views_id = session.revision = 1
    session.views = np.random.default_rng(0).random((6, 32, 32, 3), np.float32)
    session.state, session.status = "running", "A message of some length, as there may be one in the middle of a run."
    session.pace = Pace("preparing the surface", 23, 60, 23, 60, 2.43, 95.0, 3_200_000_000, 16_600_000_000)
    steps = range(40)
    session.curves = {
        n: [(i, k + 0.01 * i) for i in steps] for k, n in enumerate(("symmetry", "palette", "score", "drift", "gradient"))
    }
    session.markers = [(9, "symmetry weight 1 → 2")]
    picture = np.ones((64, 64, 4), np.float32)
    session.film = [Moment(i, 2 * i, picture, {"score": 0.5}, kept=i == 3) for i in range(20)]
    session.tasks = [Task("GLB vase.glb", 3, 8, "working")]
    recovery = session.recovery
    recovery.use(Path("a folder with a long name", "capture.json"))
    recovery.state, recovery.moment = "running", Stand("learning materials", 123, 800, 31.4, 95.0)
    recovery.misfits = (
        SimpleNamespace(name="0007 of many pictures.png", overlap=0.43, shown=np.zeros((48, 48, 3), np.uint8)),
    ) * 2
    recovery.outcome = SimpleNamespace(report={"views": 50, "psnr": 33.3, "seen": 0.97})
    recovery._work = SimpleNamespace()
    session.report = {"coverage": 0.9, "seam_error": 0.02, "consistency_psnr": 31.0}


class Window:
    def __init__(self, width: int, height: int, scale: float, session: Session) -> None:
        self.theme, self.session = Theme(scale), session
        self.theme.bind()
        px = self.theme.px
        shot = Shot(Camera(), 800, 600)
        sights = SimpleNamespace(field=None, lines=frozenset())
        self.canvas = Canvas(shot=shot, heat=None, sights=sights, turning=False, fps=58.6)
        self.settings, self.dialogs = SimpleNamespace(navigation="default"), Session(told=session.told)
        left, right, top, low, bottom = px(320), width - px(328), px(28), height - px(30), height - px(230)
        zones = {
            "tools": (left, top, right - left, px(40)),
            "right": (right, top, width - right, low - top),
            "bottom": (left, bottom, right - left, low - bottom),
            "status": (0, low, width, px(30)),
        }
        for zone, (x, y, w, h) in zones.items():
            dpg.add_window(
                tag=f"zone.{zone}", pos=(x, y), width=w, height=h, no_title_bar=True, no_scrollbar=True, no_resize=True
            )
        for zone in ("tools", "status"):
            dpg.bind_item_theme(f"zone.{zone}", self.theme.bar)
        dpg.add_tab_bar(parent="zone.right", tag="tabs")
        self.zones = zones
        with dpg.group(parent="zone.bottom", horizontal=True):
            for name in ("curves", "film"):
                dpg.add_child_window(tag=f"bottom.{name}", width=(right - left) // 2 - px(16), border=False, no_scrollbar=True)
        self.updates = []
        for name in NAMES:
            kind = SOCKET.load(name)
            tab = kind.place == "right" and dpg.add_tab(label=kind.title, parent="tabs", tag=f"tab.{name}")
            parent = tab or (f"bottom.{name}" if kind.place == "bottom" else f"zone.{kind.place}")
            self.updates.append(kind().build(self, parent))  # type: ignore[arg-type]

    def frames(self, count: int) -> None:
        for _ in range(count):
            for update in self.updates:
                update()
            for callback, *given in dpg.get_callback_queue() or ():
                if callback is not None:
                    callback(*given[: callback.__code__.co_argcount - (1 if hasattr(callback, "__self__") else 0)])
            dpg.render_dearpygui_frame()

    def seen(self) -> dict[str, Any]:
        """Per visible item of a panel: its zone's rectangle, its own, and its value."""
        items = {}
        for tag in dpg.get_aliases():
            name = tag.split(".")[0]
            state = dpg.get_item_state(tag) if name in NAMES else {}
            if not state.get("visible") or "rect_min" not in state:
                continue
            place = SOCKET.load(name).place
            x, y, w, h = self.zones[place]
            low, size = state["rect_min"], state["rect_size"]
            inside = x <= low[0] and y <= low[1] and low[0] + size[0] <= x + w + 1 and low[1] + size[1] <= y + h + 1
            across = x <= low[0] and low[0] + size[0] <= x + w + 1
            items[tag] = {"inside": inside, "across": across, "width": size[0], "height": size[1], "value": dpg.get_value(tag)}
        return items

    def close(self) -> None:
        for item in dpg.get_windows():
            if dpg.get_item_type(item) not in ("mvAppItemType::mvFontRegistry", "mvAppItemType::mvTheme"):
                dpg.delete_item(item)


def learn_from_picks(window: Window) -> dict[str, Any]:
    """Curves without a score, and a film that grows faster than it is laid out: what is switched on, and where it stands."""
    session, points = window.session, [(i, 0.5) for i in range(9)]
    session.curves = {name: points for name in ("accuracy", "drift", "loss", "gradient")}
    for i in range(40, 52):
        session.film = [*session.film, Moment(i, i, session.film[0].thumbnail, {})]
        session.revision += 1
        window.frames(1)
    window.frames(6)
    switches = {name: dpg.get_value(f"curves.show.{name}") for name in session.curves}
    return {"on": switches, "film": [dpg.get_x_scroll("film.strip"), dpg.get_x_scroll_max("film.strip")]}


def main() -> None:
    dpg.create_context()
    dpg.configure_app(manual_callback_management=True)
    dpg.create_viewport(title="right", width=2560, height=1440, x_pos=0, y_pos=0, vsync=False, decorated=False)
    dpg.setup_dearpygui()
    dpg.show_viewport()
    said: dict[str, Any] = {}
    session = empty()
    for scene, (width, height, scale) in SIZES.items():
        window = Window(width, height, scale, session)
        window.frames(3)
        if scene == "small":
            said["empty"] = window.seen()
            run(session)
        for name in ("atlas", "views", "recover", "health"):
            dpg.set_value("tabs", f"tab.{name}")
            window.frames(6 if name == "atlas" else 3)
            said[f"{scene} {name}"] = window.seen()
        if scene == "small":
            dpg.get_item_callback("film.frame.5")(0, None, 5)
            window.frames(2)
            said["chosen"] = window.seen()
            dpg.get_item_callback("film.keep")()
            dpg.get_item_callback("status.cancel")()
            before = len(dpg.get_all_items())
            session.film = session.film[10:]
            session.curves = {n: session.curves[n] for n in ("score", "symmetry")}
            session.revision += 1
            window.canvas.shot = replace(window.canvas.shot, channel="uv_checker", exposure_ev=1.5)
            window.frames(3)
            said["later"], said["fewer items"] = window.seen(), before - len(dpg.get_all_items())
            said["learning from picks"] = learn_from_picks(window)
            run(session)
            session.revision = 7
        bar = dpg.get_value("status.bar")  # dearpygui tells no place of it
        window.close()
    said["bar"] = bar
    said["told"] = [[what, *(getattr(given, "name", given) for given in rest)] for what, *rest in session.told]
    print(json.dumps(said, default=str))
    dpg.destroy_context()


if __name__ == "__main__":
    main()
