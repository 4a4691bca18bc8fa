"""The film of a run: small pictures of the mesh to look back at, and to go on from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import dearpygui.dearpygui as dpg
import numpy as np

from studio.gui.panels import Panel
from studio.gui.panels._pictures import Shelf
from studio.gui.panels._room import measurable, sentences
from studio.gui.panels._words import counted, fitted, named, number
from studio.gui.theme import BONE, CHARCOAL, FIELD, FIELD_ACTIVE, GRID, VERDIGRIS, VERDIGRIS_DIM, Colour

if TYPE_CHECKING:
    from studio.film import Moment
    from studio.gui.app import App

LARGEST, SMALLEST, BORDER = 88, 40, 3
"""The side of a picture within its frame, and the frame (unscaled pixels)."""
HEAD, BUTTONS, TITLE = 48, 144, 44
"""Widths of the title and of the buttons beside it, and the title's height."""
BESIDE = 96
"""Of the panel's height, what heading, words, scrollbar and paddings take."""
NOTHING = (
    "Nothing yet. Every few iterations of a run leave a picture here. Rest the mouse on one to see it on the mesh, click to stay "
    "with it, double-click to keep it: the next start goes on from there."
)
KEEP = "Make the chosen moment current: the next start goes on from there."
TIP = "Click: stay with it. Double click: keep it and go on from there."


@dataclass(frozen=True)
class FilmStrip(Panel):
    """A row of moments, the newest on the right."""

    title: ClassVar[str] = "Film"
    place: ClassVar[Any] = "bottom"
    order: ClassVar[int] = 20

    def build(self, app: App, parent: int | str) -> Callable[[], None]:
        return _Strip(app, parent).update


def over(picture: np.ndarray, ground: Colour) -> np.ndarray:
    """`picture` [h, w, 4] with opacity laid on a plain ground: [h, w, 4], opaque."""
    alpha = picture[..., 3:]
    result = np.ones_like(picture, dtype=np.float32)
    result[..., :3] = picture[..., :3] * alpha + np.asarray(ground[:3], np.float32) / 255 * (1 - alpha)
    return result


class _Strip:
    def __init__(self, app: App, parent: int | str) -> None:
        self._app, self._parent, self._shelf = app, parent, Shelf("film")
        self._seen: tuple[Any, ...] = ()
        self._textures: dict[int, int] = {}
        self._moments: dict[int, Moment] = {}
        self._previewed: int | None = None
        self._chosen: int | None = None
        self._follow_frames = 0
        self._side = app.theme.px(LARGEST)
        theme, px = app.theme, app.theme.px
        with dpg.theme() as dense, dpg.theme_component(dpg.mvAll):
            dpg.add_theme_style(dpg.mvStyleVar_ItemSpacing, px(GRID), px(1))
        self._themes = {"plain": _frame_theme(FIELD, px), "chosen": _frame_theme(BONE, px), "kept": _frame_theme(VERDIGRIS, px)}
        with dpg.group(parent=parent, tag="film.empty"):
            theme.head("Film")
            theme.note("", tag="film.nothing")
        with dpg.group(parent=parent, tag="film.full", show=False):
            with dpg.group(horizontal=True):
                theme.head("Film")
                theme.note("", tag="film.count", wrap=-1)
                options: dict[str, Any] = {"kind": "quiet", "small": True, "show": False}
                theme.button("Keep", KEEP, self._keep_chosen, tag="film.keep", **options)
                theme.button("Newest", "Show the newest texture again.", self._newest, tag="film.newest", **options)
            dpg.add_child_window(tag="film.strip", horizontal_scrollbar=True, border=False, height=-1, no_scroll_with_mouse=True)
            dpg.add_group(horizontal=True, parent="film.strip", tag="film.row", horizontal_spacing=px(GRID))
            dpg.bind_item_theme("film.row", dense)
        if dpg.does_item_exist("film.mouse"):  # of an earlier build
            dpg.delete_item("film.mouse")
        with dpg.handler_registry(tag="film.mouse"):
            dpg.add_mouse_wheel_handler(callback=self._wheel)

    # -- callbacks ----------------------------------------------------------------------------------------------------------

    def _wheel(self, _: Any, steps: float) -> None:
        if dpg.is_item_shown("film.full") and dpg.is_item_hovered("film.strip"):
            place = dpg.get_x_scroll("film.strip") - steps * (self._side + self._app.theme.px(2 * BORDER + GRID))
            dpg.set_x_scroll("film.strip", min(max(0.0, place), dpg.get_x_scroll_max("film.strip")))
            self._follow_frames = 0

    def _clicked(self, _sender: Any, _data: Any, id: int) -> None:
        self._chosen = id
        self._app.session.show_moment(id)

    def _newest(self) -> None:
        self._chosen = None
        self._app.session.show_moment(None)

    def _keep_chosen(self) -> None:
        if self._chosen is not None:
            self._app.session.keep(self._chosen)

    # -- following ----------------------------------------------------------------------------------------------------------

    def update(self) -> None:
        """Take new moments; show on the mesh what the mouse rests on."""
        session = self._app.session
        px = self._app.theme.px
        side = max(px(SMALLEST), min(px(LARGEST), (dpg.get_item_height("zone.bottom") or 0) - px(BESIDE)))
        if side != self._side:
            self._side = side
            for id in self._moments:
                dpg.configure_item(f"film.frame.{id}", width=side, height=side)
        size = tuple(dpg.get_item_rect_size(self._parent))
        state = (session.revision, self._chosen, size)
        if state != self._seen and measurable(self._app):
            self._seen = state
            self._follow(session.film)
            dpg.set_value("film.nothing", sentences(self._app, NOTHING, size[0], size[1] - px(TITLE)))
        if self._moments:
            self._hover()
        if self._follow_frames:  # the row's width is known some frames later
            self._follow_frames -= 1
            dpg.set_x_scroll("film.strip", dpg.get_x_scroll_max("film.strip"))

    def _follow(self, film: Sequence[Moment]) -> None:
        now = {m.id: m for m in film}
        if self._chosen not in now:
            self._chosen = None
        dpg.configure_item("film.empty", show=not now)
        dpg.configure_item("film.full", show=bool(now))
        at_end = self._follow_frames > 0 or dpg.get_x_scroll("film.strip") >= dpg.get_x_scroll_max("film.strip") - 1
        for id in [i for i in self._moments if i not in now]:
            dpg.delete_item(f"film.moment.{id}")
            self._shelf.drop(self._textures.pop(id))
        for id, moment in now.items():
            if id not in self._moments:
                self._add(moment)
                self._follow_frames = 4 if at_end else 0
            kind = "kept" if moment.kept else "chosen" if id == self._chosen else "plain"
            dpg.bind_item_theme(f"film.frame.{id}", self._themes[kind])
        self._moments = now
        kept = sum(m.kept for m in film)
        said = counted(len(film), "moment") + (f", {kept} kept" if kept else "")
        room = dpg.get_item_rect_size("film.strip")[0] - self._app.theme.px(HEAD if self._chosen is None else HEAD + BUTTONS)
        dpg.set_value("film.count", fitted(said, room, lambda text: (dpg.get_text_size(text) or [0])[0]))
        dpg.configure_item("film.keep", show=self._chosen is not None)
        dpg.configure_item("film.newest", show=self._chosen is not None)

    def _add(self, moment: Moment) -> None:
        theme, id = self._app.theme, moment.id
        self._textures[id] = self._shelf.put(over(moment.thumbnail, CHARCOAL))
        score = moment.scores.get("score")
        with dpg.group(parent="film.row", tag=f"film.moment.{id}"):
            options: dict[str, Any] = {"tag": f"film.frame.{id}", "width": self._side, "height": self._side}
            dpg.add_image_button(self._textures[id], user_data=id, callback=self._clicked, **options)
            item = dpg.add_text(f"{moment.iteration}" + (f" · {number(score)}" if score is not None else ""))
        dpg.bind_item_font(item, theme.small)
        dpg.bind_item_theme(item, theme.dim)
        with dpg.item_handler_registry() as handlers:
            dpg.add_item_double_clicked_handler(dpg.mvMouseButton_Left, callback=lambda: self._app.session.keep(id))
        dpg.bind_item_handler_registry(f"film.frame.{id}", handlers)
        scores = [f"{named(name)} {number(value)}" for name, value in moment.scores.items()]
        theme.tip(f"film.frame.{id}", "\n".join([f"Iteration {moment.iteration}", *scores, "", TIP]))

    def _hover(self) -> None:
        """Preview the moment under the mouse, and end the preview when it leaves."""
        id = next((i for i in self._moments if dpg.is_item_hovered(f"film.frame.{i}")), None)
        if id != self._previewed:
            self._previewed = id
            self._app.session.preview(id)


def _frame_theme(colour: Colour, px: Callable[[float], int]) -> int | str:
    """An image button whose background is the picture's frame."""
    with dpg.theme() as theme, dpg.theme_component(dpg.mvAll):
        lit = FIELD_ACTIVE if colour == FIELD else colour
        for part, shade in (("Button", colour), ("ButtonHovered", lit), ("ButtonActive", VERDIGRIS_DIM)):
            dpg.add_theme_color(getattr(dpg, f"mvThemeCol_{part}"), shade)
        dpg.add_theme_style(dpg.mvStyleVar_FramePadding, px(BORDER), px(BORDER))
    return theme
