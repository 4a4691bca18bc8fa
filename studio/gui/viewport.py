"""The viewport: shows the session's mesh, is moved by mouse, keys and menus, and draws when something has changed.

`hand` reads the mouse, `easel` decides which picture is drawn when, `overlay` draws what lies over it.
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import dearpygui.dearpygui as dpg

from studio.camera import Camera, between, framed, orbit, pan, zoom
from studio.errors import unknown
from studio.gui.easel import Easel
from studio.gui.hand import BUTTONS, Hand
from studio.gui.overlay import OUTSIDE, Overlay, Scene
from studio.gui.painter import Request
from studio.shot import CHANNELS, Shot

if TYPE_CHECKING:
    from studio.gui.app import App
    from studio.surface.mesh import Mesh

SITES = {"front": (0, 0), "right": (90, 0), "back": (180, 0), "left": (270, 0), "top": (0, 90), "bottom": (0, -90)}
"""Azimuth and elevation of the six views."""
HOME = Camera(32.0, 14.0)
FLIGHT_S = 0.28
"""A jump of the camera is shown as a short flight."""
SETTLE_S = 0.12
"""So long after the last movement the full picture is drawn."""
TURN_DEG_PER_S = 14.0
HOLD_S = 0.2
MOVING_S, TURNING_S = 0.026, 0.045
"""How long pictures may take while the camera is moved, and while it turns by itself."""
MAX_EV = 6.0


class Canvas:
    """A viewport that fills the window `parent`."""

    def __init__(self, app: App, parent: int | str) -> None:
        self._app, self._parent = app, parent
        self.size = (1, 1)
        """Of the viewport, in pixels."""
        self.shot = Shot(HOME, 1, 1)
        """What is looked at, in full size; change it by the methods."""
        self.heat: str | None = None
        """The reward whose heat map is shown."""
        self.turntable, self._idle_turn = False, True
        self._before, self._split = False, 0.5
        self._flight: tuple[Camera, Camera, float] | None = None
        self._moved = self._ticked = 0.0
        self._mouse, self._free = OUTSIDE, False
        self._mesh: Mesh | None = None
        self._list = dpg.add_drawlist(1, 1, parent=parent, tag="viewport")
        dpg.bind_item_font(self._list, app.theme.text)
        last = app.canvas  # at another scale of the window
        self._easel = Easel(self._list, last._easel if last else None)
        self.overlay = Overlay(self._list, app.theme)
        self._hand = Hand(self)
        if last is not None:
            self.shot, self.heat, self.turntable = last.shot, last.heat, last.turntable
            self._idle_turn, self._split, self._mesh = last._idle_turn, last._split, last._mesh

    def close(self) -> None:
        """End the view thread."""
        self._easel.close()
        self._hand.close()

    # -- the camera ---------------------------------------------------------------------------------------------------------

    def touched(self) -> None:
        """The user's hand: nothing turns by itself any more."""
        self._idle_turn = self.turntable = False
        self._flight = None

    def orbit(self, right_deg: float, up_deg: float) -> None:
        """Turn around the target."""
        self.touched()
        self._move(orbit(self.shot.camera, right_deg=right_deg, up_deg=up_deg))

    def pan(self, right: float, up: float) -> None:
        """Move sideways; 1 is half the viewport's height."""
        self.touched()
        self._move(pan(self.shot.camera, right=right, up=up))

    def zoom(self, factor: float) -> None:
        """Go nearer by `factor`."""
        self.touched()
        self._move(zoom(self.shot.camera, factor=factor))

    def frame(self) -> None:
        """Bring the whole mesh into view."""
        self._fly(self._whole(self._goal))

    def look(self, site: str) -> None:
        """Look from the "front", "back", "left", "right", "top" or "bottom". Raises StudioError for another word."""
        if site not in SITES:
            raise unknown("view", site, SITES)
        azimuth, elevation = SITES[site]
        self._fly(replace(self._goal, azimuth_deg=float(azimuth), elevation_deg=float(elevation)))

    def toggle_perspective(self) -> None:
        """Switch between perspective and orthographic."""
        self.touched()
        self._move(replace(self.shot.camera, orthographic=not self.shot.camera.orthographic))

    def toggle_turntable(self) -> None:
        """Let the mesh turn, or stop it."""
        on = not self.turning
        self.touched()
        self.turntable = on

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
        """Show one of `shot.CHANNELS`, without a heat map. Raises StudioError for another name."""
        if name not in CHANNELS:
            raise unknown("channel", name, CHANNELS)
        self.set_heat(None)
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
        if name != self.heat:
            self.heat = name
            self._app.session.watch_heat(name)

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
            "turning": self.turning,
            "before": self._before,
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
        if mesh is not self._mesh:
            self._mesh, self._flight = mesh, None
            if mesh is None:
                self._easel.clear()
            self._move(self._whole(replace(HOME, orthographic=self.shot.camera.orthographic)))

    def _input(self) -> None:
        (left, top), (x, y) = dpg.get_item_pos(self._parent), dpg.get_mouse_pos(local=False)
        at = (x - left, y - top)
        inside = 0 <= at[0] < self.size[0] and 0 <= at[1] < self.size[1]
        self._mouse = at if inside else OUTSIDE
        if not any(map(dpg.is_mouse_button_down, BUTTONS)):  # with a button down Dear ImGui calls nothing hovered
            self._free = dpg.is_item_hovered(self._parent)
        self._hand.update(at, over=inside and self._free and not self._app.dragging_edge)

    def _animate(self, now: float) -> None:
        passed, self._ticked = min(0.1, now - self._ticked), now
        if self._flight is not None:
            start, end, began = self._flight
            t = min(1.0, (now - began) / FLIGHT_S)
            self._move(between(start, end, t * t * (3 - 2 * t)))
            self._flight = self._flight if t < 1 else None
        elif self.turning:
            self.shot = replace(self.shot, camera=orbit(self.shot.camera, right_deg=-TURN_DEG_PER_S * passed, up_deg=0))

    def _draw(self, now: float) -> None:
        session, shot = self._app.session, self.shot
        if self._mesh is None or session.texture is None:
            return
        if self._before:
            shot = replace(shot, split=1.0)
        before = session.before if shot.split is not None else None
        heat = session.heat(self.heat) if self.heat else None
        request = Request(shot, self._mesh, session.texture, before, heat)
        self._easel.show(request, now)
        moving = now - self._moved < SETTLE_S
        seconds = MOVING_S if moving else TURNING_S if self.turning else None
        self._easel.ask(request, seconds, sparing=session.state == "running")

    def _draw_over(self) -> None:
        session, shown = self._app.session, self._easel.shown is not None
        heated = self.heat is not None and session.heat(self.heat) is not None
        compared = shown and not heated and session.before is not None
        scene = Scene(
            self.shot.camera,
            self.size,
            self._mouse,
            split=(1.0 if self._before else self.shot.split) if compared else None,
            grabbed=self._hand.deed == "split" or (self._hand.deed is None and self.overlay.over_split(self._mouse)),
            before=self._before,
            heat=self.heat,
            heated=heated,
            words="" if shown else session.loading or "preparing the viewport",
        )
        self.overlay.draw(scene)

    # -- moving the camera --------------------------------------------------------------------------------------------------

    def _move(self, camera: Camera) -> None:
        self._change(camera=camera)

    def _change(self, **values: Any) -> None:
        """Something moves: draw fluently, and let the run wait a moment."""
        self.shot = replace(self.shot, **values)
        self._moved = time.monotonic()
        self._app.session.hold(HOLD_S)

    @property
    def _goal(self) -> Camera:
        return self._flight[1] if self._flight else self.shot.camera

    def _fly(self, camera: Camera) -> None:
        self.touched()
        self._flight = (self.shot.camera, camera, time.monotonic())

    def _whole(self, camera: Camera) -> Camera:
        """The camera so that the whole mesh is seen."""
        return framed(camera, self._mesh.vertices, aspect=self.size[0] / self.size[1]) if self._mesh else camera
