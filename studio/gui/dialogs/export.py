"""Export: a format, its settings, a place. The formats are the exporters that are there, the settings their knobs."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import dearpygui.dearpygui as dpg

from studio import exporters
from studio.errors import StudioError
from studio.gui.dialogs.browser import Wish
from studio.gui.dialogs.dialog import Button, Dialog
from studio.gui.form import Form
from studio.plug import checked, knobs

if TYPE_CHECKING:
    from studio.gui.app import App
    from studio.gui.dialogs import Dialogs

TITLES = {"glb": "GLB", "obj": "OBJ", "png": "PNG textures", "turntable": "Turntable video", "lora": "LoRA"}
"""Names people know; another exporter is called by its file's name."""
ABOUT = {
    "glb": "One file with mesh, materials and textures, for Blender, game engines and web pages. Of your own file, names, rig "
    "and animations stay as they are.",
    "obj": "The mesh as OBJ, its materials as MTL and its textures as PNG, side by side. Nearly every program reads it.",
    "png": "Only the textures, one picture for each material and channel, for programs where you assemble materials yourself.",
    "turntable": "A video of the mesh going round once. It loops without a jump.",
    "lora": "What the generator has learned in this run, to be used again on other meshes.",
}
FIRST = ("glb", "obj", "png", "turntable", "lora")
FORMATS = 176


class Export(Dialog):
    """Lets the user choose what to write and where."""

    name = "export"
    width = 720

    def __init__(self, dialogs: Dialogs) -> None:
        super().__init__(dialogs)
        found = exporters.SOCKET.working()
        self._names = [n for n in FIRST if n in found] + [n for n in found if n not in FIRST]
        self._kept = dialogs.exports
        """Settings by exporter, as they were left the last time."""
        self._kind = dialogs.export_kind if dialogs.export_kind in self._names else self._names[0]
        self._judged, self._revision = False, -1
        self._folder = dialogs.folders.get(self.name, _home(self.app))

    def title(self) -> str:
        return "Export"

    def fill(self) -> None:
        px, high = self.theme.px, self.tall(296)
        with dpg.group(horizontal=True, horizontal_spacing=px(24)):
            with dpg.child_window(width=px(FORMATS), height=high, border=False, no_scrollbar=True):
                for name in self._names:
                    self.line(said(name), f"Write as {said(name)}.", lambda name=name: self._choose(name), tag=f"format.{name}")
            dpg.add_child_window(width=-1, height=high, border=False, tag="export.side")
        self._choose(self._kind)

    def aside(self) -> None:
        self.hint()

    def buttons(self) -> list[Button]:
        return [
            Button("cancel", "Cancel", "Write nothing.", self.close),
            Button("write", "Export", "Write the files in the background.", self._write),
        ]

    def update(self) -> None:
        """Say why the chosen format cannot be written now, if so."""
        if not self._judged or self.app.session.revision != self._revision:
            self._judged, self._revision = True, self.app.session.revision
            reason = why_not(self.app, self._kind)
            dpg.set_value("export.note", reason or "")
            dpg.bind_item_theme("export.note", self.theme.warning if reason else self.theme.dim)
            self.enable("write", on=reason is None)

    # -- the chosen format ----------------------------------------------------------------------------------------------------

    def _choose(self, kind: str) -> None:
        self._kind = self.dialogs.export_kind = kind
        for name in self._names:
            self.mark(f"export.format.{name}", on=name == kind)
        dpg.delete_item("export.side", children_only=True)
        dpg.push_container_stack("export.side")
        self._side()
        dpg.pop_container_stack()
        self._judged = False

    def _side(self) -> None:
        px, plug = self.theme.px, self._plug()
        width = self.inner() - px(FORMATS + 24)
        item = dpg.add_text(about(self._kind), wrap=width)
        dpg.bind_item_theme(item, self.theme.dim)
        dpg.add_spacer(height=px(4))
        Form(self._as_app(), "export.side", f"export.{self._kind}", plug)
        for knob in knobs(plug):
            self._say(knob)
        with self.theme.row("Folder", "Where to write."), dpg.group(horizontal=True):
            browse = self.measure("Browse…") + px(24)
            item = dpg.add_input_text(
                tag="export.folder",
                default_value=str(self._folder),
                width=-browse - px(8),
                elide_left=True,
                callback=self._typed_folder,
            )
            self.theme.tip(item, "The folder to write into.")
            self.theme.button("Browse…", "Choose folder and name.", self._browse, tag="export.browse", width=browse)
        with self.theme.row("File name", "Under which name."):
            item = dpg.add_input_text(tag="export.name", default_value=f"{_stem(self.app)}{self._suffix()}", width=-1)
            self.theme.tip(item, "Under which name. Files that belong to it get names that begin alike.")

    def _suffix(self) -> str:
        return exporters.SOCKET.load(self._kind).suffix

    def _plug(self) -> Any:
        return self._kept.setdefault(self._kind, exporters.SOCKET.make(self._kind))

    def _as_app(self) -> App:
        """What a form needs of the app; its settings are this dialog's, not the session's."""
        return cast("App", _FormHost(self.theme, self))

    def set_knob(self, part: str, knob: str, value: Any) -> None:
        """A setting of the chosen format, checked; what the form calls instead of the session."""
        plug = self._plug()
        try:
            self._kept[self._kind] = replace(plug, **checked(type(plug), {knob: value}, what=said(self._kind)))
        finally:
            self._say(knob)

    def _say(self, knob: str) -> None:
        """Show a setting; choices with their unit, and in words what 0 means among sizes."""
        plug, tag = self._plug(), f"export.{self._kind}.{knob}"
        described, value = knobs(plug)[knob], getattr(plug, knob)
        if not described.choices:
            dpg.set_value(tag, value)
            return
        said_of = {_said(c, described.unit): c for c in described.choices}
        dpg.configure_item(tag, items=list(said_of), callback=lambda s, a: self.set_knob("", knob, said_of[a]))
        dpg.set_value(tag, _said(value, described.unit))

    def commit(self) -> None:
        """A form's drag ended: nothing to do here."""

    # -- the place ------------------------------------------------------------------------------------------------------------

    def _typed_folder(self, sender: int | str, typed: str) -> None:
        self._folder = Path(typed).expanduser()

    def _browse(self) -> None:
        wish = Wish(
            f"Export as {said(self._kind)}", "Choose", {f"{said(self._kind)} (*{self._suffix()})": (self._suffix(),)}, self._take,
            self._folder if self._folder.is_dir() else Path.home(), saves=True, name=dpg.get_value("export.name"), asks=False,
        )  # fmt: skip
        self.dialogs.browse(wish)

    def _take(self, path: Path) -> None:
        self._folder = path.parent
        dpg.set_value("export.folder", str(path.parent))
        dpg.set_value("export.name", path.name)

    def _write(self) -> None:
        name = dpg.get_value("export.name").strip()
        if not name:
            raise StudioError("The file has no name yet.", "Type a name for it.")
        if not self._folder.is_dir():
            raise StudioError(f"The folder '{self._folder}' does not exist.", "Press Browse… and choose another one.")
        path = self._folder / name
        if path.suffix.lower() != self._suffix():
            path = path.with_name(path.name + self._suffix())
        self.dialogs.unless_it_exists(path, lambda: self._go(path))

    def _go(self, path: Path) -> None:
        plug = self._plug()
        self.dialogs.folders[self.name] = path.parent
        self.app.session.export(self._kind, path, **{knob: getattr(plug, knob) for knob in knobs(plug)})
        self.app.say(f"Writing {path.name} in the background.")
        self.close()


class _FormHost:
    """The two things a form asks its app for."""

    def __init__(self, theme: Any, session: Any) -> None:
        self.theme, self.session = theme, session


def said(kind: str) -> str:
    """An exporter's name for people."""
    return TITLES.get(kind, kind.replace("_", " ").capitalize())


def _said(choice: Any, unit: str) -> str:
    return "As painted" if choice == 0 and unit == "px" else f"{choice} {unit}".strip()


def about(kind: str) -> str:
    """What an exporter writes, in plain words, or else the first paragraph of its description."""
    if kind in ABOUT:
        return ABOUT[kind]
    return " ".join((inspect.getdoc(exporters.SOCKET.load(kind)) or "").split("\n\n")[0].split()).replace("`", "")


def why_not(app: App, kind: str) -> str | None:
    """Why this format cannot be written now, or None."""
    if reason := exporters.SOCKET.why_not(kind):
        return reason
    if app.session.mesh is None:
        return "There is no mesh yet."
    if exporters.SOCKET.load(kind).needs_lora and not app.session.document.config.trainer.learns:
        return "Nothing is learned: choose a trainer that learns."
    return None


def _home(app: App) -> Path:
    """Beside the project, or beside the user's own mesh, or at home."""
    from studio import resources

    session = app.session
    mesh = session.document.mesh.parent
    return session.path.parent if session.path else Path.home() if mesh == resources.sample_meshes_dir() else mesh


def _stem(app: App) -> str:
    """Never the mesh's own name: its file is not to be overwritten."""
    session = app.session
    return session.path.stem if session.path else f"{session.document.mesh.stem}_painted"
