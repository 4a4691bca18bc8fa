"""The mesh: open one, or a sample; what it is made of, and what was noticed about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import dearpygui.dearpygui as dpg

from studio import resources
from studio.gui.choice import Choice, Entry
from studio.gui.panels import Panel
from studio.gui.panels._pictures import Shelf
from studio.gui.panels._room import close, measurable, room
from studio.gui.panels._thumbnails import picture, samples
from studio.gui.panels._words import counted, fitted, named
from studio.gui.theme import FIELD, FIELD_ACTIVE, GRID, VERDIGRIS

if TYPE_CHECKING:
    from studio.gui.app import App
    from studio.surface.mesh import Mesh as Model

PER_ROW, SIDE = 4, 80
"""Samples side by side, and the size of their pictures in unscaled pixels: enough for a wide column."""
RING = 2
"""Unscaled pixels of the frame around a sample's picture."""
NOTES = 2
"""So many repairs are told here, the others in the Health tab."""


@dataclass(frozen=True)
class Mesh(Panel):
    """What is painted."""

    title: ClassVar[str] = "Mesh"
    place: ClassVar[Any] = "left"
    order: ClassVar[int] = 10

    def build(self, app: App, parent: int | str) -> Callable[[], None]:
        return _Mesh(app, parent).update


def facts(mesh: Model) -> str:
    """A mesh in one line of numbers."""
    triangles, sets = len(mesh.faces), len(mesh.sets)
    return f"{counted(triangles, 'triangle')} · {counted(sets, 'material')}"


def notices(mesh: Model, health: list[tuple[str, str, bool]]) -> list[str]:
    """What the user should know of the mesh before painting it, shortest first things first."""
    found = ["It has no UVs: they are laid out at the start."] if mesh.corner_uv is None else []
    found += list(mesh.repairs[:NOTES])
    if len(mesh.repairs) > NOTES:
        found.append(f"{len(mesh.repairs) - NOTES} more repairs are listed under Health.")
    bad = [label for label, _, attention in health if attention and not (label == "UVs" and mesh.corner_uv is None)]
    if bad:
        found.append(f"Worth a look: {'; '.join(bad)}.")
    return found


class _Mesh:
    def __init__(self, app: App, parent: int | str) -> None:
        self._app = app
        self._seen: tuple[Any, ...] = ()
        self._room = 0
        px, theme = app.theme.px, app.theme
        shelf = Shelf("mesh")
        with dpg.group(parent=parent):
            with dpg.group(horizontal=True):
                tip = "Open a mesh: GLB, glTF, OBJ, PLY or STL. Key: Ctrl+O"
                theme.button("Open …", tip, app.dialogs.open_mesh, tag="mesh.open", width=px(88))
                tip = "Meshes and projects that were opened before."
                Choice(app, "mesh.recent", tip, self._recents, self._open_recent, label="Recent")
            with dpg.group() as about:
                with dpg.group(horizontal=True):
                    dpg.add_text("", tag="mesh.name")
                    dpg.bind_item_font("mesh.name", theme.large)
                    with dpg.group(tag="mesh.busy", show=False):
                        dpg.add_spacer(height=1)
                        with dpg.group(horizontal=True):
                            dpg.add_loading_indicator(style=1, radius=1.0, thickness=1.5, color=VERDIGRIS)
                            theme.note("", tag="mesh.loading")
                with dpg.group(horizontal=True, tag="mesh.row"):
                    theme.note("", tag="mesh.facts")
                    tip = "All that was found about this mesh, in the Health tab."
                    theme.button("Health ▸", tip, self._health, kind="quiet", tag="mesh.health", small=True)
                    dpg.bind_item_font("mesh.health", theme.small)
                dpg.add_group(tag="mesh.notices")
            dpg.bind_item_theme(about, close(app, 6))
            self._ring = {True: _ring(VERDIGRIS, px(RING)), False: _ring(FIELD, px(RING))}
            pictures, names = samples(), resources.sample_names()
            for start in range(0, len(names), PER_ROW):
                with dpg.group(horizontal=True):
                    for name in names[start : start + PER_ROW]:
                        self._sample(name, shelf.put(picture(pictures[name], px(SIDE))) if name in pictures else None)
        self._samples = {name: resources.sample(name) for name in names}

    def _sample(self, name: str, picture: int | None) -> None:
        tag, options = f"mesh.sample.{name}", {"callback": self._open_sample, "user_data": name}
        if picture is None:
            dpg.add_button(label=named(name), tag=tag, **options)
        else:
            dpg.add_image_button(picture, tag=tag, background_color=FIELD, **options)
        self._app.theme.tip(tag, f"Open the sample '{named(name)}'.")

    # -- callbacks ----------------------------------------------------------------------------------------------------------

    def _open_sample(self, sender: int | str, value: Any, name: str) -> None:
        self._app.session.open_sample(name)

    def _recents(self) -> list[Entry]:
        paths = self._app.session.recents()
        none = Entry("", "Nothing yet", why_not="What you open is listed here.")
        return [Entry(str(p), p.name, str(p.parent)) for p in paths] or [none]

    def _open_recent(self, name: str) -> None:
        self._app.dialogs.open_path(Path(name))

    def _health(self) -> None:
        self._app.show_tab("health")

    # -- following ----------------------------------------------------------------------------------------------------------

    def update(self) -> None:
        session, wide = self._app.session, room(self._app)
        state = (session.mesh, session.document.mesh, session.health, session.loading, wide)
        if state == self._seen or not measurable(self._app):
            return
        if wide != self._room:
            self._room = wide
            self._fit()
        self._seen = state
        mesh, path = session.mesh, session.document.mesh
        name = mesh.name if mesh is not None else path.stem
        large = self._app.theme.large
        loading = f"{session.loading} …" if session.loading else ""
        busy = round(dpg.get_text_size(loading, font=self._app.theme.small)[0]) + self._app.theme.px(40) if loading else 0
        dpg.set_value("mesh.name", fitted(name, wide - busy, lambda text: dpg.get_text_size(text, font=large)[0]))
        said = facts(mesh) if mesh is not None else "not loaded"
        dpg.set_value("mesh.facts", said)
        widths = [dpg.get_text_size(text, font=self._app.theme.small)[0] for text in (said, "Health ▸")]
        dpg.configure_item("mesh.row", horizontal=sum(widths) + self._app.theme.px(3 * GRID) <= wide)
        dpg.configure_item("mesh.busy", show=bool(loading))
        dpg.set_value("mesh.loading", loading)
        found = notices(mesh, session.health) if mesh is not None else []
        if found != dpg.get_item_user_data("mesh.notices"):
            dpg.set_item_user_data("mesh.notices", found)
            dpg.delete_item("mesh.notices", children_only=True)
            dpg.push_container_stack("mesh.notices")
            for sentence in found:
                self._app.theme.note(sentence, warning=sentence.startswith("Worth"))
            dpg.pop_container_stack()
        for sample, file in self._samples.items():
            dpg.bind_item_theme(f"mesh.sample.{sample}", self._ring[path == file])

    def _fit(self) -> None:
        """Four samples side by side, whatever the column's width."""
        px = self._app.theme.px
        side = (self._room - (PER_ROW - 1) * px(GRID)) // PER_ROW - 2 * px(RING)
        for name in self._samples:
            dpg.configure_item(f"mesh.sample.{name}", width=side, height=side)


def _ring(colour: tuple[int, int, int, int], width: int) -> int | str:
    with dpg.theme() as theme, dpg.theme_component(dpg.mvAll):
        dpg.add_theme_color(dpg.mvThemeCol_Button, colour)
        dpg.add_theme_color(dpg.mvThemeCol_ButtonHovered, VERDIGRIS if colour == VERDIGRIS else FIELD_ACTIVE)
        dpg.add_theme_style(dpg.mvStyleVar_FramePadding, width, width)
    return theme
