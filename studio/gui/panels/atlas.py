"""The texture laid flat, with the outlines of its charts: to look into corners that the viewport does not show."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import dearpygui.dearpygui as dpg
import numpy as np

from studio.gui.panels import Panel
from studio.gui.panels._flat import Look, outlines, overlaid, picture
from studio.gui.panels._masked import Masked, Masks
from studio.gui.panels._pictures import Shelf
from studio.gui.panels._words import named
from studio.gui.theme import CHARCOAL, GRID, LINE

if TYPE_CHECKING:
    from studio.gui.app import App
    from studio.surface.mesh import Mesh
    from studio.texture import Texture

NEW_TEXTURE_S, NEW_LOOK_S = 0.25, 0.04
"""Between two pictures at least: of a texture that changes, of a look that moves."""
CALM_FRAMES = 30
"""So many frames after the mouse has stopped and the session has nothing new, everything there was to do is done."""
PADDING, FOOT = 12, 24
CHANNEL, SET, LEAST = 108, 92, 96
"""Widths of the lists; where less than the last is left for one, a double click does what the button beside them did."""
WHEEL = 1.25
NOTHING = "The texture of the mesh, laid flat. It appears with the mesh."
NO_UV = "This mesh has no UVs: Start lays them out first, then its texture appears here."


@dataclass(frozen=True)
class Atlas(Panel):
    """The texture laid flat, with the outlines of its charts."""

    title: ClassVar[str] = "Atlas"
    place: ClassVar[Any] = "right"
    order: ClassVar[int] = 10

    def build(self, app: App, parent: int | str) -> Callable[[], None]:
        return _Sheet(app, parent).update


@cache
def _aside() -> ThreadPoolExecutor:
    """The thread on which pictures are put together, beside the frames: a large mesh has many edges."""
    return ThreadPoolExecutor(1, thread_name_prefix="studio-atlas")


@dataclass(frozen=True)
class _Wish:
    """Everything that decides a picture."""

    texture_id: int
    mesh: int
    set: int
    channel: str
    uv: bool
    look: Look
    masks: Masks


class _Sheet:
    def __init__(self, app: App, parent: int | str) -> None:
        self._app, self._parent, self._shelf = app, parent, Shelf("atlas")
        self._coming: Future[np.ndarray] | None = None
        self._shown: _Wish | None = None
        self._wished: _Wish | None = None
        self._asked_at = 0.0
        self._look = Look(1, 1)
        self._texture: int | None = None
        self._outlined: tuple[Mesh, list[np.ndarray]] | None = None
        self._sets: tuple[str, ...] = ()
        self._channels: tuple[str, ...] = ()
        self._grabbed: tuple[float, float] | None = None
        self._pointed: tuple[Any, ...] = ()
        self._still: tuple[Any, ...] = ()
        self._calm = 0
        self._arranged: tuple[Any, ...] | None = None
        self._build(parent)

    def _build(self, parent: int | str) -> None:
        theme, px = self._app.theme, self._app.theme.px
        with dpg.group(parent=parent, tag="atlas.empty"):
            dpg.add_spacer(height=px(GRID))
            theme.note(NOTHING, tag="atlas.why")
        with dpg.group(parent=parent, tag="atlas.full", show=False):
            with dpg.group(horizontal=True):
                with theme.dropdown():
                    dpg.add_combo([], tag="atlas.channel", width=px(CHANNEL), no_arrow_button=True)
                theme.tip("atlas.channel", "Which channel of the texture is shown.")
                with dpg.group(tag="atlas.sets", show=False), theme.dropdown():
                    dpg.add_combo([], tag="atlas.set", width=px(SET), no_arrow_button=True)
                theme.tip("atlas.set", "Which material's texture is shown: every material of the mesh has its own.")
                dpg.add_checkbox(label="UV", tag="atlas.uv", default_value=True)
                theme.tip("atlas.uv", "Draw the outlines of the charts: where the surface was cut to lie flat.")
                theme.button("Fit", "Show the whole texture again. A double click does the same.", self._fit, tag="atlas.fit")
            dpg.add_drawlist(1, 1, tag="atlas.sheet")
            with dpg.group(horizontal=True, horizontal_spacing=px(GRID)):
                dpg.add_text("■", tag="atlas.swatch", show=False)
                theme.note("", tag="atlas.texel")
                self._masked = Masked(self._app)
        for layer in ("ground", "picture", "edge"):
            dpg.add_draw_layer(parent="atlas.sheet", tag=f"atlas.{layer}")
        if dpg.does_item_exist("atlas.mouse"):  # of an earlier build
            dpg.delete_item("atlas.mouse")
        with dpg.handler_registry(tag="atlas.mouse"):
            dpg.add_mouse_wheel_handler(callback=self._wheel)
            dpg.add_mouse_double_click_handler(dpg.mvMouseButton_Left, callback=lambda: self._over() and self._fit())

    # -- the mouse ----------------------------------------------------------------------------------------------------------

    def _over(self) -> bool:
        return dpg.is_item_visible("atlas.sheet") and dpg.is_item_hovered("atlas.sheet")

    def _mouse(self) -> tuple[float, float]:
        """In pixels of the sheet."""
        (x, y), (left, top) = dpg.get_mouse_pos(local=False), dpg.get_item_rect_min("atlas.sheet")
        return x - left, y - top

    def _wheel(self, _: Any, steps: float) -> None:
        if self._over():
            self._look = self._look.zoomed(WHEEL**steps, *self._mouse())
            self._still = ()

    def _fit(self) -> None:
        self._still = ()
        self._look = Look(self._look.width, self._look.height)

    def _drag(self) -> None:
        now = self._mouse()
        if self._grabbed is None:
            if self._over() and any(map(dpg.is_mouse_button_clicked, range(3))):
                self._grabbed = now
        elif not any(map(dpg.is_mouse_button_down, range(3))):
            self._grabbed = None
        elif now != self._grabbed:
            self._look = self._look.moved(now[0] - self._grabbed[0], now[1] - self._grabbed[1])
            self._grabbed = now

    # -- following ----------------------------------------------------------------------------------------------------------

    def update(self) -> None:
        """Bring the sheet up to date, when its tab is open."""
        if self._coming is not None and self._coming.done():
            self._show(self._coming.result())
        if not dpg.is_item_visible(self._parent):
            return
        session = self._app.session
        texture, mesh = session.texture, session.mesh
        still = (session.revision, id(mesh), tuple(dpg.get_mouse_pos(local=False)), self._zone())
        self._calm = self._calm + 1 if still == self._still else 0
        self._still = still
        if self._calm > CALM_FRAMES:
            return
        flat = mesh is not None and mesh.corner_uv is not None
        ready = flat and texture is not None
        if dpg.is_item_shown("atlas.full") != ready:
            dpg.configure_item("atlas.full", show=ready)
            dpg.configure_item("atlas.empty", show=not ready)
        if mesh is None or texture is None or not flat:
            dpg.set_value("atlas.why", NOTHING if mesh is None or flat else NO_UV)
            return
        self._follow_lists(texture)
        self._fit_panel()
        self._drag()
        self._ask(texture, mesh)
        self._arrange()
        self._point(texture)

    def _follow_lists(self, texture: Texture) -> None:
        if texture.names != self._sets:
            self._sets = texture.names
            items = [f"{i + 1} {name}" for i, name in enumerate(texture.names)]
            dpg.configure_item("atlas.set", items=items)
            dpg.configure_item("atlas.sets", show=len(items) > 1)
            dpg.set_value("atlas.set", items[0])
        channels = tuple(texture.channels)
        if channels != self._channels:
            self._channels = channels
            dpg.configure_item("atlas.channel", items=[named(c) for c in channels])
            dpg.set_value("atlas.channel", named(self._channel))

    @property
    def _channel(self) -> str:
        said = dpg.get_value("atlas.channel")
        return next((c for c in self._channels if named(c) == said), self._channels[0])

    @property
    def _set(self) -> int:
        said = dpg.get_value("atlas.set")
        return int(said.split()[0]) - 1 if said else 0

    @staticmethod
    def _zone() -> tuple[int, int]:
        return dpg.get_item_width("zone.right") or 0, dpg.get_item_height("zone.right") or 0

    def _fit_panel(self) -> None:
        px = self._app.theme.px
        width, height = self._zone()
        width -= 2 * px(PADDING)
        lists = [("atlas.channel", CHANNEL), ("atlas.set", SET)][: 1 + (len(self._sets) > 1)]
        room = width - dpg.get_item_rect_size("atlas.uv")[0] - px(GRID) * len(lists)
        fit = (dpg.get_text_size("Fit") or [0])[0] + px(3 * GRID)
        beside = room - fit >= px(LEAST) * len(lists)
        dpg.configure_item("atlas.fit", show=beside)
        for item, wished in lists:
            dpg.configure_item(item, width=min(px(wished), int(room - fit * beside) // len(lists)))
        top = dpg.get_item_rect_min("atlas.sheet")[1] - dpg.get_item_pos("zone.right")[1]
        height -= int(top) + px(FOOT + 2 * GRID)
        size = max(px(64), width), max(px(64), height)
        if size != (self._look.width, self._look.height):
            dpg.configure_item("atlas.sheet", width=size[0], height=size[1])
            self._look = Look(*size, self._look.zoom, self._look.u, self._look.v)

    def _ask(self, texture: Texture, mesh: Mesh) -> None:
        """Have a new picture made, unless one is being made, or the last is too young."""
        session = self._app.session
        shown = (self._set, self._channel, dpg.get_value("atlas.uv"), self._look, self._masked.wish())
        wish = _Wish(session.texture_id, id(mesh), *shown)
        if self._coming is not None or wish in (self._shown, self._wished):
            return
        moved = self._wished is None or wish.look != self._wished.look or wish.channel != self._wished.channel
        if time.monotonic() < self._asked_at + (NEW_LOOK_S if moved else NEW_TEXTURE_S):
            return
        self._asked_at, self._wished, line = time.monotonic(), wish, max(1.0, 0.75 * self._app.theme.scale)

        def made() -> np.ndarray:
            flat = picture(texture.channels[wish.channel][wish.set], wish.look)
            flat = self._masked.over(flat, wish.masks, texture, wish.set, wish.look)
            if not wish.uv:
                return flat
            if self._outlined is None or self._outlined[0] is not mesh:
                self._outlined = mesh, outlines(mesh)
            return overlaid(flat, self._outlined[1][wish.set], wish.look, line)

        self._coming = _aside().submit(made)

    def _show(self, made: np.ndarray) -> None:
        self._coming, self._shown = None, self._wished
        dpg.delete_item("atlas.picture", children_only=True)
        self._shelf.drop(self._texture)
        self._texture = self._shelf.put(made)
        dpg.draw_image(self._texture, (0, 0), (1, 1), parent="atlas.picture", tag="atlas.image")
        self._arranged = None

    def _arrange(self) -> None:
        """Lay the newest picture where it belongs under the present look: it follows the mouse until the next one is made."""
        look, shown = self._look, self._shown
        if self._arranged == (look, self._texture):
            return
        self._arranged = look, self._texture
        for layer in ("ground", "edge"):
            dpg.delete_item(f"atlas.{layer}", children_only=True)
        dpg.draw_rectangle((0, 0), (look.width, look.height), color=CHARCOAL, fill=CHARCOAL, parent="atlas.ground")
        dpg.draw_rectangle(look.place(0, 0), look.place(1, 1), color=LINE, parent="atlas.edge")
        if shown is not None and dpg.does_item_exist("atlas.image"):
            corners = (shown.look.at(0, 0), shown.look.at(shown.look.width, shown.look.height))
            low, high = (look.place(*corner) for corner in corners)
            dpg.configure_item("atlas.image", pmin=low, pmax=high)

    def _point(self, texture: Texture) -> None:
        """Say what lies under the mouse: the texel and its value; else how large the texture is."""
        size = texture.size_px
        place = None
        if self._over():
            u, v = self._look.at(*self._mouse())
            place = (int(u * size), int(v * size)) if 0 <= u < 1 and 0 <= v < 1 else None
        state = (place, self._app.session.texture_id, self._set, self._channel, self._look.scale)
        if state == self._pointed:
            return
        self._pointed = state
        dpg.configure_item("atlas.swatch", show=place is not None)
        if place is None:
            dpg.set_value("atlas.texel", f"{size} × {size} px, shown at {self._look.scale / size:.0%}")
            return
        value = texture.channels[self._channel][self._set, :, place[1], place[0]].tolist()
        colour = [round(255 * min(1.0, max(0.0, x))) for x in (value * 3)[:3]]
        said = "#{:02X}{:02X}{:02X}".format(*colour) if len(value) == 3 else f"{value[0]:.3f}"
        dpg.configure_item("atlas.swatch", color=[*colour, 255])
        dpg.set_value("atlas.texel", f"Texel {place[0]}, {place[1]}   {said}")
