"""The menu bar: the commands in order, with their keys, greyed and ticked as the state is.

dearpygui does not tell where menus and their entries lie, nor whether they are seen; of groups it does. So each lies in a group,
which carries the tag: "menu.File", "menu.file.new".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dearpygui.dearpygui as dpg

from studio import config
from studio.exporters.turntable import ENVIRONMENTS
from studio.fields import FIELDS
from studio.gui import system
from studio.gui.chords import Chord
from studio.gui.commands import LAYOUTS, LINES, SCALES, SITES, Command, canvas, command
from studio.gui.panels._words import named
from studio.shot import CHANNELS

if TYPE_CHECKING:
    from studio.gui.app import App

BAR = "menu"
RECENT = 10
GAP = 24
"""Between words and keys, in unscaled pixels."""
LINE = None

MENUS: dict[str, tuple[Any, ...]] = {
    "File": (
        "file.new", "file.open", "file.project", "+recent", LINE, "file.save", "file.save_as", LINE,
        "file.pictures", "file.export", LINE, "+drops", "file.quit",
    ),
    "Edit": ("edit.undo", "edit.redo", LINE, "edit.preferences"),
    "View": (
        *(f"view.{site[0]}" for site in SITES), LINE, "view.perspective", "view.frame", "view.turntable", LINE,
        "+channels", "+surface", "view.wireframe", "view.split", "+environments", LINE,
        *(f"view.layout.{name}" for name, _, _ in LAYOUTS), "view.panels", "+scales",
    ),
    "Run": ("run.toggle", "run.step", "run.stop"),
    "Picks": (
        "picks.compare", LINE, "picks.left", "picks.right", "picks.neither", "picks.undo", LINE, "picks.learn", LINE,
        "picks.export", "picks.import",
    ),
    "Rewards": ("+presets",),
    "Help": ("help.shortcuts", "help.doctor", LINE, "help.about"),
}  # fmt: skip

"""Names of commands; "+name" is a part that is made by `_Bar._add_<name>`."""

_firsts: list[int | str] = []  # the uppermost entry of each menu


def build(app: App) -> Callable[[], None]:
    """Make the bar; the function that is returned keeps it in step."""
    return _Bar(app).update


def is_open() -> bool:
    """Whether one of its menus hangs open."""
    return any(dpg.is_item_visible(first) for first in _firsts)


class _Bar:
    def __init__(self, app: App) -> None:
        self._app = app
        self._kept: dict[int | str, tuple[Any, ...]] = {}
        self._live: list[tuple[int | str, Command]] = []
        self._ticks: list[tuple[int | str, Callable[[], bool]]] = []
        self._state: tuple[Any, ...] = ()
        self._file_open = False
        self._title = ""
        _firsts.clear()
        with dpg.viewport_menu_bar(tag=BAR):
            for name, entries in MENUS.items():
                with dpg.group(tag=f"{BAR}.{name}"), dpg.menu(label=name) as menu:
                    for entry in entries:
                        self._add(entry)
                _firsts.append(dpg.get_item_children(menu, 1)[0])
        dpg.bind_item_theme(BAR, _look(app))

    # -- making -------------------------------------------------------------------------------------------------------------

    @contextmanager
    def _spot(self, tag: str) -> Iterator[None]:
        """A group that tells where the entry that is made inside lies.

        A gap is its last item, which moves keys away from words; and without it menus would grow frame by frame: a group takes
        the bounds of its last item for its own, and those of an entry reach a little beyond the menu.
        """
        with dpg.group(tag=f"{BAR}.{tag}", horizontal=True, horizontal_spacing=0):
            yield
            dpg.add_spacer(width=self._app.theme.px(GAP))

    def _add(self, entry: str | None) -> None:
        if entry is None:
            dpg.add_separator()
        elif entry.startswith("+"):
            getattr(self, f"_add_{entry[1:]}")()
        else:
            self._command(command(entry))

    def _command(self, entry: Command) -> None:
        check = entry.ticked is not None
        self._live.append((self._item(entry.name, entry.words, entry.tip, lambda: entry.act(self._app), check=check), entry))

    def _item(self, tag: str, words: str, tip: str, act: Callable[[], Any], **options: Any) -> int | str:
        def do() -> None:
            self._kept.pop(item, None)  # dearpygui has turned its tick over, whatever comes of it
            self._state = ()
            act()

        with self._spot(tag):
            item = dpg.add_menu_item(label=words, callback=do, **options)
        self._app.theme.tip(item, tip)
        return item

    def _radio(self, tag: str, words: str, tip: str, act: Callable[[], Any], ticked: Callable[[], bool]) -> None:
        self._ticks.append((self._item(tag, words, tip, act, check=True), ticked))

    def _add_recent(self) -> None:
        with self._spot("recent"):
            dpg.add_menu(label="Open recent", tag=f"{BAR}.recent.list")

    def _add_drops(self) -> None:
        dpg.add_menu_item(tag=f"{BAR}.drops", enabled=False, show=False)

    def _add_channels(self) -> None:
        with self._spot("channels"), dpg.menu(label="Channel"):
            self._command(command("view.material"))
            for name in CHANNELS[1:]:
                words = named(name)
                self._radio(
                    f"channel.{name}", words, f"Show only {words}.",
                    lambda name=name: canvas(self._app).set_channel(name),
                    lambda name=name: canvas(self._app).shot.channel == name,
                )  # fmt: skip
            dpg.add_separator()
            for name in ("view.next_channel", "view.last_channel"):
                self._command(command(name))

    def _add_surface(self) -> None:
        with self._spot("surface"), dpg.menu(label="Surface"):
            for name in FIELDS:
                words = named(name)
                self._radio(
                    f"field.{name}", words, f"Show the mesh's {words.lower()} in colours. Once more: the channel again.",
                    lambda name=name: canvas(self._app).set_field(None if canvas(self._app).sights.field == name else name),
                    lambda name=name: canvas(self._app).sights.field == name,
                )  # fmt: skip
            dpg.add_separator()
            for name, _, _ in LINES:
                self._command(command(f"view.{name}"))

    def _add_environments(self) -> None:
        with self._spot("environments"), dpg.menu(label="Environment"):
            for name in ENVIRONMENTS:
                self._radio(
                    f"environment.{name}", name.capitalize(), f"Light the mesh with '{name}'.",
                    lambda name=name: canvas(self._app).set_environment(name),
                    lambda name=name: canvas(self._app).shot.environment == name,
                )  # fmt: skip

    def _add_scales(self) -> None:
        with self._spot("scales"), dpg.menu(label="UI scale"):
            for scale in SCALES:
                self._command(command(f"view.scale.{scale:.0%}"))

    def _add_presets(self) -> None:
        with self._spot("presets"):
            dpg.add_menu_item(label="Presets", enabled=False)
        for name in config.preset_names():
            about = config.preset(name).get("description", f"The settings called '{name}'.")
            act = lambda name=name: self._app.session.apply_preset(name)  # noqa: E731
            self._item(f"preset.{name}", named(name), about, act)

    # -- keeping in step ----------------------------------------------------------------------------------------------------

    def update(self) -> None:
        """Bring ticks, words and greyness up to date, where something they show has changed."""
        app, session = self._app, self._app.session
        hangs = dpg.is_item_visible(_firsts[0])
        if hangs and not self._file_open:
            self._fill_recent()
        self._file_open = hangs
        view = canvas(app)
        shot = (view.shot.channel, view.shot.wireframe, view.shot.split, view.shot.environment, view.shot.camera.orthographic)
        sights = (view.sights.field, view.sights.lines)
        window = (app.layout, app.panels_shown, app.settings.navigation)
        state = (session.revision, session.state, session.comparing, session.dirty, shot, sights, view.turning, window)
        if state == self._state:
            return
        self._state = state
        for item, entry in self._live:
            words = entry.says(app) if entry.says else entry.words
            chords = entry.keys(app.settings.navigation)
            shown = {"label": words, "enabled": entry.enabled(app), "shortcut": Chord.parse(chords[0]).said() if chords else ""}
            self._set(item, shown, entry.ticked(app) if entry.ticked else None)
        for item, ticked in self._ticks:
            self._set(item, {}, ticked())
        self._name_window()
        if reason := system.no_drops():
            dpg.configure_item(f"{BAR}.drops", label=f"Dropping files: {reason}", show=True)

    def _set(self, item: int | str, shown: dict[str, Any], ticked: bool | None) -> None:
        if self._kept.get(item) != (shown, ticked):
            self._kept[item] = (shown, ticked)
            dpg.configure_item(item, **shown)
            if ticked is not None:
                dpg.set_value(item, ticked)

    def _fill_recent(self) -> None:
        menu = f"{BAR}.recent.list"
        dpg.delete_item(menu, children_only=True)
        recents = self._app.session.recents()[:RECENT]
        dpg.push_container_stack(menu)
        for i, path in enumerate(recents):
            self._item(f"recent.{i}", path.name, str(path), lambda path=path: self._app.dialogs.open_path(path))
        dpg.pop_container_stack()
        dpg.configure_item(menu, enabled=bool(recents))

    def _name_window(self) -> None:
        session = self._app.session
        path: Path = session.path or session.document.mesh
        title = f"{path.stem}{'*' if session.dirty and session.path else ''} – Patina Studio"
        if title != self._title:
            self._title = title
            dpg.set_viewport_title(title)


def _look(app: App) -> int | str:
    """The bar's theme: as high as the window leaves room for it."""
    px, tag = app.theme.px, f"{BAR}.look.{app.theme.scale}"
    if not dpg.does_item_exist(tag):
        with dpg.theme(tag=tag), dpg.theme_component(dpg.mvAll):
            dpg.add_theme_style(dpg.mvStyleVar_FramePadding, px(8), px(6))
            dpg.add_theme_style(dpg.mvStyleVar_ItemSpacing, px(16), px(8))
    return tag
