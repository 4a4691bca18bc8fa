"""The viewport: shows the session's mesh, is moved by mouse, keys and menus, and draws when something has changed.

`tripod` moves the camera, `hand` reads the mouse, `easel` decides which picture is drawn when, `overlay` draws what lies over it.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import dearpygui.dearpygui as dpg

from studio.errors import unknown
from studio.gui.duel import Duel
from studio.gui.easel import Easel
from studio.gui.hand import BUTTONS, Hand
from studio.gui.overlay import OUTSIDE, Legend, Overlay, Scene
from studio.gui.painter import Request
from studio.gui.sights import CAMERAS, Sight, Sights
from studio.gui.tripod import HOME, Tripod
from studio.shot import CHANNELS, Shot

if TYPE_CHECKING:
    from studio.gui.app import App
    from studio.surface.mesh import Mesh

SETTLE_S = 0.12
"""So long after the last movement the full picture is drawn."""
HOLD_S = 0.2
MOVING_S, TURNING_S = 0.026, 0.045
"""How long pictures may take while the camera is moved, and while it turns by itself."""
MAX_EV = 6.0


class Canvas(Tripod):
    """A viewport that fills the window `parent`."""

    def __init__(self, app: App, parent: int | str) -> None:
        super().__init__()
        self._app, self._parent = app, parent
        self.size = (1, 1)
        """Of the viewport, in pixels."""
        self.shot = Shot(HOME, 1, 1)
        """What is looked at, in full size; change it by the methods."""
        self.heat: str | None = None
        """The reward whose heat map is shown."""
        self._sight = Sight()
        self._before, self._split = False, 0.5
        self._moved = 0.0
        self._mouse, self._free = OUTSIDE, False
        self._mesh: Mesh | None = None
        self._list = dpg.add_drawlist(1, 1, parent=parent, tag="viewport")
        dpg.bind_item_font(self._list, app.theme.text)
        last = app.canvas  # at another scale of the window
        self._easel = Easel(self._list, last._easel if last else None)
        self.overlay = Overlay(self._list, app.theme)
        self.sights = Sights(app, last.sights if last else None)
        """The fields and lines that are shown; change them by the methods."""
        self.duel = Duel(app, last.duel if last else None)
        """Two variations, while they are compared."""
        self._hand = Hand(self)
        if last is not None:
            self.shot, self.heat, self.turntable = last.shot, last.heat, last.turntable
            self._idle_turn, self._split, self._mesh = last._idle_turn, last._split, last._mesh

    def close(self) -> None:
        """End the view thread."""
        self._easel.close()
        self._hand.close()

    def let_go(self) -> None:
        """The hand is off the mouse: the full picture is drawn at once."""
        self._moved = -math.inf

    @property
    def aspect(self) -> float:
        """Width by height of what the mesh is framed in: each of two variations has half the viewport."""
        return self.size[0] / self.size[1] / (1 if self.duel.pair is None else 2)

    @property
    def turning(self) -> bool:
        """Whether the mesh turns by itself."""
        return self.turntable or (self._idle_turn and self._mesh is not None and self._app.session.state == "idle")

    @property
    def navigation(self) -> str:
        """The preset of the mouse: "default" or "blender"."""
        return self._app.settings.navigation

    # -- what is shown ------------------------------------------------------------------------------------------------------

    def set_channel(self, name: str) -> None:
        """Show one of `shot.CHANNELS`, without a heat map or a field. Raises StudioError for another name."""
        if name not in CHANNELS:
            raise unknown("channel", name, CHANNELS)
        self.set_heat(None)
        self.sights.choose(None)
        self.shot = replace(self.shot, channel=name)

    def cycle_channel(self, step: int) -> None:
        """The next channel, or the one before."""
        self.set_channel(CHANNELS[(CHANNELS.index(self.shot.channel) + step) % len(CHANNELS)])

    def toggle_wireframe(self) -> None:
        """Edges of the triangles."""
        self.shot = replace(self.shot, wireframe=not self.shot.wireframe)

    def set_environment(self, name: str) -> None:
        """Light the mesh by another environment."""
        self.shot = replace(self.shot, environment=name)

    def turn_environment(self, deg: float) -> None:
        """Turn the light around the mesh."""
        self.touched()
        self._change(environment_turn_deg=(self.shot.environment_turn_deg + deg) % 360)

    def set_exposure(self, ev: float) -> None:
        """In stops."""
        self._change(exposure_ev=min(MAX_EV, max(-MAX_EV, ev)))

    def set_heat(self, name: str | None) -> None:
        """Show where this reward pushes; None: the channel again."""
        if name is not None:
            self.sights.choose(None)
        if name != self.heat:
            self.heat = name
            self._app.session.watch_heat(name)

    def set_field(self, name: str | None) -> None:
        """Show one of `fields.FIELDS` of the mesh; None: the channel again. Raises StudioError for another name."""
        self.sights.choose(name)
        if name is not None:
            self.set_heat(None)

    def toggle_lines(self, name: str) -> None:
        """Draw one of `sights.LINES` over the picture, or no longer. Raises StudioError for another name."""
        if self.sights.toggle(name) and name == CAMERAS and self.sights.cameras is not None:
            self.frame(self.sights.cameras.reach)

    def toggle_split(self) -> None:
        """Before on the left, after on the right of a line."""
        self.shot = replace(self.shot, split=self._split if self.shot.split is None else None)

    def set_split(self, fraction: float) -> None:
        """Where the line stands, as a part of the width."""
        self._split = min(0.98, max(0.02, fraction))
        self._change(split=self._split)

    def hold_before(self, on: bool) -> None:
        """Show before alone for as long."""
        self._before = on

    def click(self, at: tuple[float, float]) -> bool:
        """A click that moved nothing: it picks between two variations. Whether it meant something."""
        return self.duel.click(at, self.size)

    @property
    def fps(self) -> float:
        """Pictures shown during the last second."""
        return self._easel.fps

    @property
    def drawn(self) -> int:
        """Pictures shown so far."""
        return self._easel.drawn

    def state(self) -> dict[str, Any]:
        """For tests from outside: the shot and what is shown of it."""
        shown = self._easel.shown
        return {
            "shot": asdict(self.shot),
            "shown": asdict(shown) if shown else None,
            "heat": self.heat,
            "field": self.sights.field,
            "lines": sorted(self.sights.lines),
            "notes": self._sight.notes,
            "waiting": self._sight.waiting,
            "turning": self.turning,
            "before": self._before,
            "pair": [one.key for one in self.duel.pair] if self.duel.pair else None,
            "drawn": self.drawn,
            "fps": round(self.fps),
            "busy": self._easel.busy,
        }

    # -- each frame ---------------------------------------------------------------------------------------------------------

    def update(self) -> None:
        """Take input, show a finished picture, ask for the next."""
        if not dpg.is_item_shown(self._parent):
            return
        now = time.monotonic()
        self._resize(now)
        self._follow_session()
        self._input()
        self._animate(now)
        self._draw(now)
        self._draw_over()

    def _resize(self, now: float) -> None:
        size = (max(1, dpg.get_item_width(self._parent) or 1), max(1, dpg.get_item_height(self._parent) or 1))
        if size != self.size:
            self.size = size
            self.shot = replace(self.shot, width=size[0], height=size[1])
        if self._easel.resize(size, now):
            self._moved = now

    def _follow_session(self) -> None:
        mesh = self._app.session.mesh
        if self.duel.follow():
            self._idle_turn = False
            self.frame()
        if mesh is not self._mesh:
            self._mesh = mesh
            if mesh is None:
                self._easel.clear()
            self._stand_anew()

    def _input(self) -> None:
        (left, top), (x, y) = dpg.get_item_pos(self._parent), dpg.get_mouse_pos(local=False)
        at = (x - left, y - top)
        inside = 0 <= at[0] < self.size[0] and 0 <= at[1] < self.size[1]
        self._mouse = at if inside else OUTSIDE
        if not any(map(dpg.is_mouse_button_down, BUTTONS)):  # with a button down Dear ImGui calls nothing hovered
            self._free = dpg.is_item_hovered(self._parent)
        self._hand.update(at, over=inside and self._free and not self._app.dragging_edge)

    def _draw(self, now: float) -> None:
        session, shot = self._app.session, self.shot
        if self._mesh is None or session.texture is None:
            return
        if (both := self.duel.request(replace(shot, split=None))) is not None:
            self._present(both, now)
            return
        if self._before:
            shot = replace(shot, split=1.0)
        before = session.before if shot.split is not None else None
        self._sight = self.sights.of(self._mesh)
        heat = session.heat(self.heat) if self.heat else self._sight.field
        self._present(Request(shot, self._mesh, session.texture, before, heat=heat, marks=self._sight.marks), now)

    def _present(self, request: Request, now: float) -> None:
        """Show a finished picture, and have this one drawn if it is another."""
        session = self._app.session
        self._easel.show(request, now)
        moving = now - self._moved < SETTLE_S
        seconds = MOVING_S if moving else TURNING_S if self.turning else None
        self._easel.ask(request, seconds, sparing=session.state == "running" or bool(session.painting))

    def _draw_over(self) -> None:
        if (versus := self.duel.versus(self._mouse, self.size, busy=self._hand.deed is not None)) is not None:
            self.overlay.draw(Scene(self.shot.camera, self.size, self._mouse, versus=versus))
            return
        session, shown = self._app.session, self._easel.shown is not None
        sight, legends = self._sight, self._sight.legends
        heated = self.heat is not None and session.heat(self.heat) is not None
        if self.heat is not None:
            cold = "not at all" if heated else "after the next iteration"
            legends = (Legend(f"Where {self.heat.replace('_', ' ')} pushes", cold, "strong"), *legends)
        compared = shown and not heated and sight.field is None and session.before is not None
        scene = Scene(
            self.shot.camera,
            self.size,
            self._mouse,
            split=(1.0 if self._before else self.shot.split) if compared else None,
            grabbed=self._hand.deed == "split" or (self._hand.deed is None and self.overlay.over_split(self._mouse)),
            before=self._before,
            legends=legends,
            notes=sight.notes,
            labels=tuple(label for marks in sight.marks for label in marks.labels),
            words=self._waiting(shown),
        )
        self.overlay.draw(scene)

    def _waiting(self, shown: bool) -> str:
        """What is being waited for, in words."""
        session = self._app.session
        if session.comparing:
            return f"Painting two variations: {session.painting} …"
        return self._sight.waiting if shown else session.loading or "preparing the viewport"

    def _change(self, **values: Any) -> None:
        """Something moves: draw fluently, and let the run wait a moment."""
        self.shot = replace(self.shot, **values)
        self._moved = time.monotonic()
        self._app.session.hold(HOLD_S)
