"""Everything the window can be told by a menu or a key, in one table: menus, keys and the shortcut sheet are made from it.

Opens no window and imports none, so that the table can be checked anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studio.preferences import FEWEST

if TYPE_CHECKING:
    from studio.gui.app import App, Layout
    from studio.gui.versus import Answer
    from studio.gui.viewport import Canvas

SITES = (
    ("front", "Front", "1", "Z"),
    ("back", "Back", "Ctrl+1", "Shift+Z"),
    ("right", "Right", "3", "X"),
    ("left", "Left", "Ctrl+3", "Shift+X"),
    ("top", "Top", "7", "Y"),
    ("bottom", "Bottom", "Ctrl+7", "Shift+Y"),
)
"""The six views: name, words, number key, and the letter of the axis that is looked along."""
LAYOUTS: tuple[tuple[Layout, str, str], ...] = (
    ("3d+uv", "Viewport and atlas", "F1"),
    ("3d", "Viewport alone", "F2"),
    ("uv", "Large atlas", "F3"),
)
LINES = (
    ("line_field", "Line field", "Draw strokes along which the surface bends least: the longer and hotter, the clearer."),
    ("seams", "Seams", "Draw where the atlas is cut."),
    ("symmetry", "Symmetry plane", "Draw the plane about which the mesh is most symmetric, and say how much it is."),
    ("cameras", "Painting cameras", "Draw the cameras that the mesh is painted from."),
)
"""What can be drawn over the picture."""
SCALES = (1.0, 1.25, 1.5, 2.0)


def always(app: App) -> bool:
    return True


@dataclass(frozen=True)
class Command:
    """One thing to do. `tip` says it in plain words; `chords` are its keys, such as "Ctrl+Shift+S", the first one for menus."""

    name: str
    words: str
    tip: str
    act: Callable[[App], Any]
    chords: tuple[str, ...] = ()
    blender: tuple[str, ...] | None = None
    """The keys under the navigation preset "blender", where they differ."""
    enabled: Callable[[App], bool] = always
    ticked: Callable[[App], bool] | None = None
    says: Callable[[App], str] | None = None
    """The words of the moment, where they change."""
    repeats: bool = False
    """A held key does it again and again."""

    @property
    def group(self) -> str:
        """The part before the dot: the menu it is in."""
        return self.name.partition(".")[0]

    def keys(self, navigation: str) -> tuple[str, ...]:
        """The chords under a navigation preset."""
        return self.blender if navigation == "blender" and self.blender is not None else self.chords


def canvas(app: App) -> Canvas:
    """The viewport: it is there whenever a command can be given."""
    assert app.canvas is not None
    return app.canvas


def command(name: str) -> Command:
    """The command of that name."""
    return TABLE[name]


# -- what takes more than one call --------------------------------------------------------------------------------------------


def _toggle_run(app: App) -> None:
    session = app.session
    act = {"running": session.pause, "preparing": session.pause, "paused": session.resume}.get(session.state, session.start)
    act = session.resume if session.pausing else act
    app.dialogs.start(act) if act == session.start else act()


def _run_words(app: App) -> str:
    going = "Resume" if app.session.pausing else "Pause"
    return {"running": going, "preparing": going, "paused": "Resume"}.get(app.session.state, "Start")


def _undo_words(app: App) -> str:
    return f"Undo {app.session.can_undo}" if app.session.can_undo else "Undo"


def _redo_words(app: App) -> str:
    return f"Redo {app.session.can_redo}" if app.session.can_redo else "Redo"


def _hide_panels(app: App) -> None:
    app.toggle_panels()
    app.keys.leave_fields()  # Tab also moves the cursor to the next field


def _busy(app: App) -> bool:
    return app.session.comparing or app.session.state in ("preparing", "running", "paused")


def _has_mesh(app: App) -> bool:
    return app.session.mesh is not None


def _toggle_comparing(app: App) -> None:
    if app.session.comparing:
        app.session.stop_comparing()
    else:
        app.session.compare()
        app.show_tab("picks")


def _learn_from_picks(app: App) -> None:
    app.session.learn_from_picks()
    app.show_tab("picks")


def _views() -> list[Command]:
    return [
        Command(
            f"view.{site}", words, f"Look at the mesh from the {site}.", lambda app, site=site: canvas(app).look(site),
            (number, letter), blender=(number,),
        )
        for site, words, number, letter in SITES
    ]  # fmt: skip


def _layouts() -> list[Command]:
    return [
        Command(
            f"view.layout.{name}", words, f"Arrange the window: {words.lower()}.", lambda app, name=name: app.set_layout(name),
            (key,), ticked=lambda app, name=name: app.layout == name,
        )
        for name, words, key in LAYOUTS
    ]  # fmt: skip


def _scales() -> list[Command]:
    return [
        Command(
            f"view.scale.{scale:.0%}", f"{100 * scale:.0f} %", f"Show everything at {100 * scale:.0f} % of its plain size.",
            lambda app, scale=scale: app.rebuild(scale), ticked=lambda app, scale=scale: abs(app.theme.scale - scale) < 0.01,
        )
        for scale in SCALES
    ]  # fmt: skip


def _picks() -> list[Command]:
    answers: tuple[tuple[Answer, str, str, str], ...] = (
        ("left", "Left is better", "Say that the left one of two variations is better.", "Left"),
        ("right", "Right is better", "Say that the right one of two variations is better.", "Right"),
        ("neither", "Neither", "Say that neither is better, and see the next two.", "Down"),
    )
    return [
        Command(
            "picks.compare", "Compare variations", "Paint variations and show two at a time, to say which is better.",
            _toggle_comparing, ("K",), enabled=lambda app: _has_mesh(app) and not app.session.active,
            ticked=lambda app: app.session.comparing,
        ),
        *(
            Command(
                f"picks.{name}", words, tip, lambda app, name=name: canvas(app).duel.pick(name), (key,),
                enabled=lambda app: app.session.pair is not None,
            )
            for name, words, tip, key in answers
        ),
        Command(
            "picks.undo", "Undo pick", "Take the last answer back and see its pair again.", lambda app: app.session.undo_pick(),
            ("Up",), enabled=lambda app: app.session.can_undo_pick,
        ),
        Command(
            "picks.learn", "Learn from picks", "Train the generator on all picks of this mesh.", _learn_from_picks, ("Shift+K",),
            enabled=lambda app: not app.session.active and (app.session.picked or 0) >= FEWEST,
        ),
        Command(
            "picks.export", "Export picks…", "Write the picks of this mesh, with their textures, into a folder.",
            lambda app: app.dialogs.export_picks(), enabled=lambda app: app.session.where_picks_lie is not None,
        ),
        Command("picks.import", "Import picks…", "Add picks that were exported before.", lambda app: app.dialogs.import_picks()),
    ]  # fmt: skip


_ALL = [
    Command("file.new", "New", "Begin anew: a sample mesh and the usual settings.", lambda app: app.dialogs.new(), ("Ctrl+N",)),
    Command("file.open", "Open mesh…", "Choose a mesh file to paint.", lambda app: app.dialogs.open_mesh(), ("Ctrl+O",)),
    Command("file.project", "Open project…", "Go on with a saved project.", lambda app: app.dialogs.open_project()),
    Command("file.pictures", "Open pictures…", "Choose pictures of the mesh and their cameras, to recover its materials.",
            lambda app: app.dialogs.choose_pictures(), ("Ctrl+P",), enabled=_has_mesh),
    Command(
        "file.save", "Save project", "Write mesh, settings and paint into the project file.", lambda app: app.dialogs.save(),
        ("Ctrl+S",),
    ),
    Command(
        "file.save_as", "Save project as…", "Write the project into another file.", lambda app: app.dialogs.save_as(),
        ("Ctrl+Shift+S",),
    ),
    Command(
        "file.export", "Export…", "Write the painted mesh, its textures, a video or the LoRA.", lambda app: app.dialogs.export(),
        ("Ctrl+E",), enabled=_has_mesh,
    ),
    Command("file.quit", "Quit", "Close the window. A run is stopped and what it made is kept.", lambda app: app.dialogs.quit(),
            ("Ctrl+Q",)),
    Command(
        "edit.undo", "Undo", "Take back the last change of the settings.", lambda app: app.session.undo(), ("Ctrl+Z",),
        enabled=lambda app: bool(app.session.can_undo), says=_undo_words, repeats=True,
    ),
    Command(
        "edit.redo", "Redo", "Make the change again that was taken back.", lambda app: app.session.redo(),
        ("Ctrl+Shift+Z", "Ctrl+Y"), enabled=lambda app: bool(app.session.can_redo), says=_redo_words, repeats=True,
    ),
    Command(
        "edit.preferences", "Preferences…", "Size of the interface and how the mouse moves the view.",
        lambda app: app.dialogs.preferences(), ("Ctrl+,",),
    ),
    *_views(),
    Command(
        "view.perspective", "Perspective", "Switch between perspective and a view without vanishing points.",
        lambda app: canvas(app).toggle_perspective(), ("5", "P"), ticked=lambda app: not canvas(app).shot.camera.orthographic,
    ),
    Command(
        "view.frame", "Frame the mesh", "Bring the whole mesh into view.", lambda app: canvas(app).frame(), ("F",),
        blender=("Home", "."), enabled=_has_mesh,
    ),
    Command(
        "view.material", "Material", "Show the lit material.", lambda app: canvas(app).set_channel("material"), ("M",),
        ticked=lambda app: canvas(app).shot.channel == "material",
    ),
    Command(
        "view.next_channel", "Next channel", "Show the next channel of the texture.", lambda app: canvas(app).cycle_channel(1),
        ("C",),
    ),
    Command(
        "view.last_channel", "Previous channel", "Show the channel before.", lambda app: canvas(app).cycle_channel(-1),
        ("Shift+C",),
    ),
    Command(
        "view.wireframe", "Wireframe", "Draw the edges of the triangles over the surface.",
        lambda app: canvas(app).toggle_wireframe(), ("W",), blender=("Shift+Z", "W"),
        ticked=lambda app: canvas(app).shot.wireframe,
    ),
    *(
        Command(
            f"view.{name}", words, tip, lambda app, name=name: canvas(app).toggle_lines(name), enabled=_has_mesh,
            ticked=lambda app, name=name: name in canvas(app).sights.lines,
        )
        for name, words, tip in LINES
    ),
    Command(
        "view.split", "Compare before and after", "Split the viewport: left as it was, right as it is. Drag the line.",
        lambda app: canvas(app).toggle_split(), ("B",), ticked=lambda app: canvas(app).shot.split is not None,
    ),
    Command(
        "view.turntable", "Turntable", "Let the mesh turn slowly.", lambda app: canvas(app).toggle_turntable(), ("T",),
        ticked=lambda app: canvas(app).turning,
    ),
    *_layouts(),
    Command(
        "view.panels", "Panels", "Hide everything but the viewport, or show it again.", _hide_panels, ("Tab",),
        ticked=lambda app: app.panels_shown,
    ),
    *_scales(),
    Command(
        "run.toggle", "Start", "Start painting, pause, or go on.", _toggle_run, ("Ctrl+Enter", "F5"), says=_run_words,
        enabled=lambda app: app.session.state != "stopping",
    ),
    Command(
        "run.step", "One step", "Do one learning step, then pause.", lambda app: app.dialogs.start(app.session.step), ("N",),
        enabled=lambda app: app.session.state not in ("preparing", "running", "stopping"),
    ),
    Command("run.stop", "Stop", "End the run; what it made stays.", lambda app: app.session.stop(), ("Esc",), enabled=_busy),
    *_picks(),
    Command("help.shortcuts", "Keyboard shortcuts", "Every key on one sheet.", lambda app: app.dialogs.shortcuts(), ("?",)),
    Command(
        "help.doctor", "Doctor…", "What this machine offers the studio, and cures for what is missing.",
        lambda app: app.dialogs.doctor(),
    ),
    Command("help.about", "About…", "Version and licences.", lambda app: app.dialogs.about()),
]  # fmt: skip

TABLE = {entry.name: entry for entry in _ALL}
HOLD_BEFORE = "Space"
"""Held down, this key shows the mesh as it was before the run."""
