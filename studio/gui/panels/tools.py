"""The bar above the viewport: what is looked at, under which light, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import dearpygui.dearpygui as dpg

from studio.exporters.turntable import ENVIRONMENTS
from studio.fields import FIELDS
from studio.gui.commands import command
from studio.gui.panels import Panel
from studio.gui.panels._icons import icon
from studio.gui.panels._pictures import Shelf
from studio.gui.panels._words import exposure, named
from studio.gui.theme import BONE, GRID
from studio.shot import CHANNELS

if TYPE_CHECKING:
    from studio.gui.app import App

NO_HEAT = "No heat map"
TIPS = {
    "channel": "What the surface shows: the paint, or what is known of the shape. Keys: C next, Shift+C before, M material.",
    "environment": "The surroundings that light the mesh. Shift + right drag in the viewport turns them.",
    "heat": "Where on the surface a reward pushes hardest. It fills while a run goes on.",
}
EXPOSURE_EV = 4.0
COMBO, ICON, BUTTON, READOUT = 116, 16, 32, 112
"""Widths in unscaled pixels."""
BUTTONS = {
    "wireframe": "Wireframe",
    "split": "Before | after",
    "turntable": "Turntable",
    "perspective": "Perspective",
    "frame": "Whole mesh",
}
"""Commands "view.<name>", and their words in the popup."""
FIRST_TO_GO = ("readout", "environment", "exposure", "turntable", "perspective", "heat", "wireframe", "frame", "split")
"""Where the bar is too narrow for all, these move into the "…" popup, in this order."""


@dataclass(frozen=True)
class Tools(Panel):
    """Combos and buttons that call the canvas, and follow it when keys change it."""

    title: ClassVar[str] = "Tools"
    place: ClassVar[Any] = "tools"
    order: ClassVar[int] = 10

    def build(self, app: App, parent: int | str) -> Callable[[], None]:
        return _Bar(app, parent).update


def hidden(widths: Mapping[str, int], room: int, gap: int, more: int, first_to_go: Sequence[str]) -> set[str]:
    """Which tools do not fit side by side into `room`, when the button that shows them takes `more` pixels."""

    def taken(left: Sequence[str]) -> int:
        return sum(widths[n] for n in left) + gap * max(0, len(left) - 1)

    stay = list(widths)
    if taken(stay) <= room:
        return set()
    for name in first_to_go:
        stay.remove(name)
        if taken(stay) + gap + more <= room:
            break
    return set(widths) - set(stay)


class _Bar:
    def __init__(self, app: App, parent: int | str) -> None:
        self._app, self._shelf = app, Shelf("tools")
        self._seen: tuple[Any, ...] = ()
        self._away: set[str] | None = None
        self._rewards: tuple[str, ...] = ()
        px = app.theme.px
        options = ("popup", "autosize", "no_title_bar", "no_move")
        with dpg.window(tag="tools.popup", show=False, min_size=(0, 0), **dict.fromkeys(options, True)):
            dpg.add_group(tag="tools.popup.list")
        dpg.add_group(horizontal=True, parent=parent, tag="tools.bar", pos=(px(12), px(GRID)))
        self._icons = {name: self._shelf.put(icon(name, px(ICON))) for name in (*BUTTONS, "orthographic", "more")}
        self._combo("channel", "Show", (*CHANNELS, *FIELDS), self._set_shown)
        self._combo("environment", "Light", ENVIRONMENTS, lambda name: self._canvas().set_environment(name))
        self._exposure()
        self._combo("heat", "Heat map", (), self._set_heat)
        for name, words in BUTTONS.items():
            what = command(f"view.{name}")
            keys = what.keys(app.settings.navigation)
            self._button(name, words, lambda what=what: what.act(app), what.tip + (f" Key: {keys[0]}" if keys else ""))
        self._button("more", "", self._open_more, "More tools, for which the bar is too narrow.")
        with self._slot("readout", "Picture"):
            dpg.add_text("", tag="tools.readout")
        dpg.bind_item_font("tools.readout", app.theme.small)
        dpg.bind_item_theme("tools.readout", app.theme.dim)
        app.theme.tip("tools.readout", "The viewport's picture in pixels, and how many of it were drawn in the last second.")
        self._ticked = {name: ticked for name in BUTTONS if (ticked := command(f"view.{name}").ticked)}
        self._widths = {name: px(COMBO) for name in ("channel", "environment", "exposure", "heat")}
        self._widths |= dict.fromkeys(BUTTONS, px(BUTTON)) | {"readout": px(READOUT)}

    def _canvas(self) -> Any:
        """The canvas of now: it is built before the panels, and anew at another scale."""
        return self._app.canvas

    # -- building -----------------------------------------------------------------------------------------------------------

    @contextmanager
    def _slot(self, name: str, label: str) -> Iterator[None]:
        """A group that can move between the bar and the popup; its label is shown in the popup alone."""
        with dpg.group(horizontal=True, parent="tools.bar", tag=f"tools.slot.{name}"):
            if label:
                dpg.add_text(label, tag=f"tools.label.{name}", show=False)
                dpg.bind_item_theme(f"tools.label.{name}", self._app.theme.dim)
            yield

    def _combo(self, name: str, label: str, items: Sequence[str], choose: Callable[[str], None]) -> None:
        """`choose` gets the item's name; what is shown is the name as people say it."""
        words = {named(item): item for item in items}
        with self._slot(name, label), self._app.theme.dropdown():
            dpg.add_combo(
                list(words), tag=f"tools.{name}", width=self._app.theme.px(COMBO), height_mode=dpg.mvComboHeight_Large,
                no_arrow_button=True, callback=lambda _, word: choose(words[word] if word in words else word),
            )  # fmt: skip
        self._app.theme.tip(f"tools.{name}", TIPS[name])

    def _exposure(self) -> None:
        limits: dict[str, Any] = {"min_value": -EXPOSURE_EV, "max_value": EXPOSURE_EV, "clamped": True, "format": "%+.1f EV"}
        with self._slot("exposure", "Exposure"):
            dpg.add_slider_float(
                tag="tools.exposure", width=self._app.theme.px(COMBO), **limits,
                callback=lambda _, value: self._canvas().set_exposure(round(value, 1)),
            )  # fmt: skip
        self._app.theme.tip("tools.exposure", f"How bright the picture is, in stops. Right-click: back to {exposure(0)}.")
        with dpg.item_handler_registry() as handlers:
            dpg.add_item_clicked_handler(dpg.mvMouseButton_Right, callback=lambda: self._canvas().set_exposure(0.0))
        dpg.bind_item_handler_registry("tools.exposure", handlers)

    def _button(self, name: str, label: str, callback: Callable[[], Any], tip: str) -> None:
        side = self._app.theme.px(ICON)
        options: dict[str, Any] = {"tag": f"tools.{name}", "width": side, "height": side, "tint_color": BONE}
        with self._slot(name, label):
            dpg.add_image_button(self._icons[name], callback=callback, **options)
        self._app.theme.tip(f"tools.{name}", tip)

    # -- callbacks ----------------------------------------------------------------------------------------------------------

    def _set_shown(self, name: str) -> None:
        show = self._canvas().set_field if name in FIELDS else self._canvas().set_channel
        show(name)

    def _set_heat(self, word: str) -> None:
        self._canvas().set_heat(next((r for r in self._rewards if named(r) == word), None))

    def _open_more(self) -> None:
        low, size = dpg.get_item_rect_min("tools.more"), dpg.get_item_rect_size("tools.more")
        dpg.configure_item("tools.popup", show=True, pos=(low[0], low[1] + size[1] + self._app.theme.px(GRID)))

    # -- following ----------------------------------------------------------------------------------------------------------

    def update(self) -> None:
        """Arrange the bar for its width and show what the canvas shows."""
        canvas, session = self._canvas(), self._app.session
        if not dpg.is_item_shown("zone.tools"):
            return
        self._arrange(dpg.get_item_width("zone.tools") or 0)
        shot, document = canvas.shot, session.document
        on = {name: bool(ticked(self._app)) for name, ticked in self._ticked.items()}
        state = (shot, canvas.heat, canvas.sights.field, tuple(on.values()), round(canvas.fps), document)
        if state == self._seen:
            return
        self._seen = state
        rewards = tuple(document.config.weights())
        if rewards != self._rewards:
            self._rewards = rewards
            dpg.configure_item("tools.heat", items=[NO_HEAT, *map(named, rewards)])
        dpg.set_value("tools.channel", named(canvas.sights.field or shot.channel))
        dpg.set_value("tools.environment", named(shot.environment))
        if not dpg.is_item_active("tools.exposure"):
            dpg.set_value("tools.exposure", shot.exposure_ev)
        dpg.set_value("tools.heat", named(canvas.heat) if canvas.heat else NO_HEAT)
        view = "perspective" if on.pop("perspective") else "orthographic"
        dpg.configure_item("tools.perspective", texture_tag=self._icons[view])
        for name, pressed in on.items():
            dpg.bind_item_theme(f"tools.{name}", self._app.theme.chosen if pressed else 0)
        pace = f"{canvas.fps:.0f} fps" if round(canvas.fps) else "still"
        dpg.set_value("tools.readout", f"{shot.width} × {shot.height}  {pace}")

    def _arrange(self, width: int) -> None:
        px = self._app.theme.px
        away = hidden(self._widths, width - 2 * px(12), px(GRID), px(BUTTON), FIRST_TO_GO)
        if away == self._away:
            return
        self._away = away
        dpg.configure_item("tools.slot.more", show=bool(away))
        for name in self._widths:
            there = name in away
            if name == "readout":  # it is the last of the bar, after "more"
                dpg.move_item("tools.slot.more", parent="tools.bar")
            dpg.move_item(f"tools.slot.{name}", parent="tools.popup.list" if there else "tools.bar")
            dpg.configure_item(f"tools.label.{name}", show=there)
