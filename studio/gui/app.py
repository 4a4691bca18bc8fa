"""The window: zones, the frame loop, and the pump through which every callback comes. The only owner of dearpygui's context.

Nothing here blocks: work happens on the session's threads, the picture is drawn on the canvas's thread, and this loop takes what
they left. Callbacks are called here one by one, so that one that fails costs the user a dialog and nothing else.
"""

from __future__ import annotations

import inspect
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from studio.errors import StudioError
from studio.gui import dialogs, keys, menu, screen, system
from studio.gui.layout import NARROWEST, STATUS, Layout, Rect, zones
from studio.gui.panels import SOCKET, Panel
from studio.gui.settings import Settings
from studio.gui.theme import CHARCOAL, VERDIGRIS, Theme
from studio.gui.trace import Trace
from studio.gui.viewport import Canvas
from studio.session import Errand, Session

TITLE = "Patina Studio"
BUSY_HZ, IDLE_HZ = 60, 12
DOUBLE_S = 0.5
"""Two presses of a split within so long are a double click; dearpygui's 0.3 s are short for a hand, and for slow frames."""
AWAKE_S, MOVED_S = 0.6, 0.12
"""Frames are drawn at full pace for so long after a hand moved, and after the viewport drew another picture; else at IDLE_HZ."""


class App:
    """One window on one session."""

    def __init__(self, path: Path | None = None, *, errand: Errand | None = None) -> None:
        """`path`: a mesh or a project to begin with."""
        self.settings = Settings.read()
        self.session = Session()
        self.layout: Layout = "3d+uv"
        self.panels_shown = True
        self._first, self._errand = path, errand
        self._updates: list[Callable[[], None]] = []
        self._awake_until = 0.0
        self._rebuild: float | None = None
        self._dragged: str | None = None
        self._grip, self._pressed = (0.0, 0.0), ("", 0.0)
        self._edges: dict[str, Rect] = {}
        self._hand: list[float] = []
        self._drawn = 0
        self._summoned: set[str] = set()
        self._themes: dict[float, Theme] = {}
        self.canvas: Canvas | None = None

    # -- life ---------------------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Show the window until it is closed; the exit code."""
        dpg.create_context()
        try:
            dpg.configure_app(manual_callback_management=True, keyboard_navigation=False)
            place = system.place(self.settings.width, self.settings.height, self.settings.scale or system.content_scale())
            dpg.create_viewport(title=TITLE, clear_color=CHARCOAL, vsync=False, **place)
            dpg.setup_dearpygui()
            dpg.show_viewport()
            self.build(self.settings.scale or system.content_scale())
            system.watch_drops(self)
            self.session.run(self._errand) if self._errand else self.session.begin(self._first)
            trace = Trace(self)
            while dpg.is_dearpygui_running():
                self._frame(trace)
        finally:
            self.settings = self.settings.changed(width=dpg.get_viewport_width(), height=dpg.get_viewport_height())
            self.settings.write()
            if self.canvas is not None:
                self.canvas.close()
            self.session.close()
            dpg.destroy_context()
        return 0

    def quit(self) -> None:
        """Close the window."""
        dpg.stop_dearpygui()

    def rebuild(self, scale: float) -> None:
        """Build everything anew at another UI scale, after this frame."""
        self._rebuild = min(3.0, max(0.75, scale))
        self.settings = self.settings.changed(scale=self._rebuild)

    def wake(self) -> None:
        """Something moves: draw at full pace for a moment."""
        self._awake_until = time.monotonic() + AWAKE_S

    def say(self, text: str) -> None:
        """A sentence in the status bar."""
        self.session.say(text)

    def _frame(self, trace: Trace) -> None:
        began = time.monotonic()
        self._pump()
        self.session.poll()
        self._arrange()
        for update in self._updates:
            self._guarded(update)
        self._guarded(self.dialogs.update)
        trace.update()
        dpg.render_dearpygui_frame()
        if self._rebuild is not None:
            scale, self._rebuild = self._rebuild, None
            self.build(scale)
        self._sense()
        pace = BUSY_HZ if began < self._awake_until else IDLE_HZ
        # Short naps, so that the first touch after a pause is answered at once.
        while (left := began + 1 / pace - time.monotonic()) > 0:
            time.sleep(min(left, 1 / BUSY_HZ))
            if pace == IDLE_HZ and self.session.waiting():
                break

    def _sense(self) -> None:
        """Notice whether anything moves: the mouse, a drag, the picture. What a run brings is shown at the resting pace."""
        hand, drawn = dpg.get_mouse_pos(local=False), self.canvas.drawn if self.canvas else 0
        if hand != self._hand or any(map(dpg.is_mouse_button_down, range(3))):
            self.wake()
        elif drawn != self._drawn:
            self._awake_until = max(self._awake_until, time.monotonic() + MOVED_S)
        self._hand, self._drawn = hand, drawn

    # -- callbacks ----------------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Call what dearpygui has queued since the last frame, each on its own."""
        for job in dpg.get_callback_queue() or ():
            callback, *given = job
            if callback is None:
                continue
            self.wake()
            self._guarded(callback, *given[: _arity(callback)])

    def _guarded(self, call: Callable[..., Any], *given: Any) -> None:
        try:
            call(*given)
        except StudioError as error:
            self.dialogs.error(error.problem, error.remedy)
        except Exception as error:  # noqa: BLE001 - the callback pump: a bug must not take the window away
            log = traceback.format_exc()
            print(log, file=sys.stderr)
            self.dialogs.error(f"Something went wrong inside the studio: {error}.", "Your work is untouched; go on.", log=log)

    # -- building -----------------------------------------------------------------------------------------------------------

    def build(self, scale: float) -> None:
        """Make every item, at this UI scale; what was there before is deleted."""
        kept = {tag: dpg.get_value(tag) for tag in dpg.get_aliases() if tag.startswith("section.")}
        if self.canvas is not None:
            kept["tabs"] = dpg.get_item_alias(dpg.get_value("tabs"))  # the one in front
            self.canvas.close()
            for item in dpg.get_windows():  # all roots: fonts and themes, which each scale keeps, and the textures among them
                kind = str(dpg.get_item_type(item))
                if not kind.endswith(("::mvFontRegistry", "::mvTheme")) and dpg.get_item_alias(item) != screen.REGISTRY:
                    dpg.delete_item(item)
            if dpg.does_item_exist("keys"):
                dpg.delete_item("keys")
        if scale not in self._themes:
            self._themes[scale] = Theme(scale)
        self.theme = self._themes[scale]
        self.theme.bind()
        self.dialogs = dialogs.Dialogs(self)
        self.keys = keys.Keys(self)
        self._updates = [menu.build(self)]
        for zone in ("left", "run", "tools", "right", "bottom", "status", "stage"):
            options = dict.fromkeys(("no_title_bar", "no_move", "no_resize", "no_bring_to_front_on_focus"), True)
            options |= dict.fromkeys(("no_scrollbar", "no_scroll_with_mouse"), zone != "left")
            dpg.add_window(tag=f"zone.{zone}", min_size=[1, 1], **options)  # bars are lower than dearpygui's least height
        for zone, look in (("status", self.theme.bar), ("tools", self.theme.bar), ("stage", self.theme.stage)):
            dpg.bind_item_theme(f"zone.{zone}", look)
        for edge in ("left", "right", "bottom"):
            dpg.add_viewport_drawlist(tag=f"edge.{edge}", front=True)
        self.canvas = Canvas(self, "zone.stage")
        self._updates += [self.keys.update, self.canvas.update, *self._panels()]
        for tag, value in kept.items():
            dpg.set_value(tag, value)
        self._placed: tuple[Any, ...] = ()

    def _panels(self) -> list[Callable[[], None]]:
        kinds = sorted((SOCKET.load(name) for name in SOCKET.working()), key=lambda kind: kind.order)
        updates: list[Callable[[], None]] = []
        dpg.add_tab_bar(parent="zone.right", tag="tabs")
        beside = [k for k in kinds if k.place == "bottom"]
        with dpg.group(parent="zone.bottom", horizontal=True, tag="bottom.row"):
            for kind in beside:
                dpg.add_child_window(tag=f"bottom.{SOCKET.name_of(kind)}", border=False, no_scrollbar=True)
        for kind in kinds:
            name, panel = SOCKET.name_of(kind), kind()
            updates.append(panel.build(self, self._place(panel, name)))
        self._beside = {f"bottom.{SOCKET.name_of(k)}": k.share for k in beside}
        return updates

    def _place(self, panel: Panel, name: str) -> int | str:
        if panel.place == "left":
            return dpg.add_collapsing_header(label=panel.title, parent="zone.left", default_open=True, tag=f"section.{name}")
        if panel.place == "right":
            show = not panel.summoned or name in self._summoned
            return dpg.add_tab(label=panel.title, parent="tabs", tag=f"tab.{name}", show=show)
        return f"bottom.{name}" if panel.place == "bottom" else f"zone.{panel.place}"

    # -- layout -------------------------------------------------------------------------------------------------------------

    def set_layout(self, layout: Layout) -> None:
        """ "3d+uv" (F1), "3d" (F2) or "uv" (F3)."""
        self.layout = layout
        if layout != "3d" and dpg.does_item_exist("tab.atlas"):
            dpg.set_value("tabs", "tab.atlas")
        self.wake()

    def summon_tab(self, name: str) -> None:
        """Have a panel among the tabs of the right column from now on."""
        self._summoned.add(name)
        dpg.show_item(f"tab.{name}")

    def show_tab(self, name: str) -> None:
        """Bring a panel of the right column to the front; the column comes with it."""
        if self.layout == "3d":
            self.set_layout("3d+uv")
        self.summon_tab(name)
        dpg.set_value("tabs", f"tab.{name}")
        self.wake()

    def toggle_panels(self) -> None:
        """Tab: only the viewport, or everything again."""
        self.panels_shown = not self.panels_shown
        self.wake()

    def _arrange(self) -> None:
        """Place the zones, when the window, a split or the layout has changed."""
        self._drag_edges()
        px, s = self.theme.px, self.settings
        W, H = dpg.get_viewport_client_width(), dpg.get_viewport_client_height()
        state = (W, H, s.left, s.right, s.bottom, self.layout, self.panels_shown, self.theme.scale)
        if state == self._placed or W <= 0 or H <= 0:
            return
        self._placed = state
        rects, self._edges = zones(W, H, s, layout=self.layout, panels=self.panels_shown, px=px)
        for zone, (x, y, w, h) in rects.items():
            visible = w > 0 and h > 0
            dpg.configure_item(f"zone.{zone}", show=visible)
            if visible:
                dpg.configure_item(f"zone.{zone}", pos=(x, y), width=w, height=h)
        room, total = rects["bottom"][2] - px(24), sum(self._beside.values())
        for tag, share in self._beside.items():
            dpg.configure_item(tag, width=max(1, round((room - px(8) * (len(self._beside) - 1)) * share / total)))
        self.wake()

    def _drag_edges(self) -> None:
        """Splits: a line lights up under the mouse and can be dragged; a double click gives it its default place."""
        x, y = dpg.get_mouse_pos(local=False)
        down, px = dpg.is_mouse_button_down(dpg.mvMouseButton_Left), self.theme.px
        reach = px(4)
        for edge in ("left", "right", "bottom"):
            dpg.delete_item(f"edge.{edge}", children_only=True)
        for edge, (x0, y0, x1, y1) in self._edges.items():
            grown = reach if edge == "bottom" else 0
            near = x0 - reach <= x <= x1 + reach and y0 - grown <= y <= y1 + grown
            over = near and not self.dialogs.open_name
            if over and dpg.is_mouse_button_clicked(dpg.mvMouseButton_Left):
                (last, before), self._pressed = self._pressed, (edge, time.monotonic())
                if last == edge and self._pressed[1] - before < DOUBLE_S:
                    self.settings = self.settings.changed(**{edge: getattr(Settings(), edge)})
                else:
                    self._dragged, self._grip = edge, (x - (x1 if edge == "left" else x0), y - y0)
            if over or self._dragged == edge:
                dpg.draw_rectangle((x0, y0), (x1, y1), color=VERDIGRIS, fill=VERDIGRIS, parent=f"edge.{edge}")
        if self._dragged and not down:
            self._dragged = None
        if self._dragged:
            W, low = dpg.get_viewport_client_width(), dpg.get_viewport_client_height() - px(STATUS)
            x, y = x - self._grip[0], y - self._grip[1]  # a click alone moves nothing
            size = {"left": x, "right": W - x, "bottom": low - y}[self._dragged] / self.theme.scale
            lowest = {"left": NARROWEST, "right": 240, "bottom": 120}[self._dragged]
            self.settings = self.settings.changed(**{self._dragged: round(max(lowest, min(900, size)))})

    @property
    def dragging_edge(self) -> bool:
        """True while a split is dragged, so that the viewport does not orbit with it."""
        return self._dragged is not None


def _arity(callback: Callable[..., Any]) -> int:
    """How many of (sender, app_data, user_data) a callback wants."""
    try:
        kinds = [p.kind for p in inspect.signature(callback).parameters.values() if p.default is p.empty]
    except ValueError:
        return 3
    several = inspect.Parameter.VAR_POSITIONAL in kinds
    return 3 if several else min(3, len(kinds))
