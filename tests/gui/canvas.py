"""A window with nothing but a viewport, told what to do line by line: `python -m tests.gui.canvas`.

Every line of the standard input is an expression over `canvas`, `session` and `app`; its value is answered as a line of JSON.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import dearpygui.dearpygui as dpg

from studio.errors import StudioError
from studio.gui.theme import Theme
from studio.gui.trace import BUTTONS
from studio.gui.viewport import Canvas
from studio.session.survey import Survey
from tests.meshes import cube, two_set_box

SIZE = 480, 360
ZONE = "zone.stage"


class FakeSession:
    """As much of a session as a viewport looks at."""

    def __init__(self) -> None:
        self.mesh: Any = None
        self.texture: Any = None
        self.before: Any = None
        self.loading: str | None = "reading a mesh"
        self.state, self.texture_id, self.held, self.watched = "idle", 0, 0, [""]
        self._heat: Any = None
        self.survey, self.cameras, self.config = Survey(), (), SimpleNamespace(atlas_px=64)
        self.comparing, self.pair, self.painting, self.picked = False, None, "", None

    def hold(self, seconds: float) -> None:
        self.held += 1

    def watch_heat(self, name: str | None) -> None:
        self.watched.append(name or "")

    def heat(self, name: str) -> Any:
        return self._heat

    def load(self, name: str) -> None:
        """A mesh in red; before, it was white."""
        import torch

        from studio.texture import Texture

        mesh = {"cube": cube, "box": two_set_box}[name]()
        self.before = Texture.flat(mesh, 64)
        red = torch.tensor([0.75, 0.12, 0.08])[None, :, None, None].expand(len(mesh.sets), 3, 64, 64).contiguous()
        self.texture, self.loading = self.before.with_channel("base_color", red), None
        self.mesh = mesh
        self.texture_id += 1

    def warm(self) -> None:
        """Heat arrives: from left to right on every chart."""
        import torch

        self._heat = torch.linspace(0, 1, 64).expand(len(self.mesh.sets), 1, 64, 64).contiguous()


def main() -> None:
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda: [lines.put(line) for line in sys.stdin], daemon=True).start()
    dpg.create_context()
    dpg.configure_app(manual_callback_management=True)
    dpg.create_viewport(title="viewport", width=SIZE[0], height=SIZE[1], x_pos=0, y_pos=0, vsync=False, decorated=False)
    dpg.setup_dearpygui()
    dpg.show_viewport()
    theme = Theme(1.0)
    theme.bind()
    session = FakeSession()
    app = SimpleNamespace(session=session, theme=theme, canvas=None, settings=SimpleNamespace(navigation="default"))
    app.dragging_edge = False
    options = {"no_title_bar": True, "no_move": True, "no_resize": True, "no_scrollbar": True, "no_scroll_with_mouse": True}
    dpg.add_window(tag=ZONE, pos=(0, 0), width=SIZE[0], height=SIZE[1], **options)
    dpg.bind_item_theme(ZONE, theme.stage)

    def hand() -> list[Any]:
        """Where the window has the mouse, and which of its buttons are down."""
        return [dpg.get_mouse_pos(local=False), [dpg.is_mouse_button_down(button) for button in BUTTONS]]

    def resize(width: int, height: int) -> None:
        dpg.configure_item(ZONE, width=width, height=height)

    def rebuild() -> None:
        last: Canvas = app.canvas
        last.close()
        dpg.delete_item(ZONE, children_only=True)
        app.canvas = Canvas(app, ZONE)  # type: ignore[arg-type]

    app.canvas = Canvas(app, ZONE)  # type: ignore[arg-type]
    failed = ""
    while dpg.is_dearpygui_running():
        for callback, *given in dpg.get_callback_queue() or ():
            if callback is not None:
                callback(*given[:2])
        session.survey.desk.poll()
        try:
            app.canvas.update()
        except StudioError as error:
            failed = error.problem
        dpg.render_dearpygui_frame()
        while not lines.empty():
            names = {"canvas": app.canvas, "session": session, "app": app, "failed": failed}
            names |= {"resize": resize, "rebuild": rebuild, "hand": hand}
            line = lines.get().strip()
            if line == "quit":
                app.canvas.close()
                os._exit(0)  # a context that is destroyed while the screen goes away may hang
            try:
                answer = eval(line, names)
            except StudioError as error:
                answer = error.problem
            print(json.dumps(answer, default=str), flush=True)
        time.sleep(0.005)


if __name__ == "__main__":
    main()
