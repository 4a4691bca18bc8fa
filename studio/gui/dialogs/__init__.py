"""Dialogs: a stack of them over the window, the errors that wait, and what the commands of the File menu ask before they act."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio import black_box, consent, resources
from studio.errors import StudioError
from studio.gui import system
from studio.gui.dialogs.about import About
from studio.gui.dialogs.alarm import Hacked
from studio.gui.dialogs.browser import Browser, Wish
from studio.gui.dialogs.dialog import Dialog
from studio.gui.dialogs.doctor import Doctor
from studio.gui.dialogs.export import Export
from studio.gui.dialogs.notices import Error, Failure, Question, Recovery
from studio.gui.dialogs.settings import Preferences
from studio.gui.dialogs.sheet import Shortcuts
from studio.lora import SUFFIX as LORA
from studio.surface.mesh import SUFFIXES

if TYPE_CHECKING:
    from studio.gui.app import App

PROJECT = ".patina"
Kinds = dict[str, tuple[str, ...]]
MESHES: Kinds = {f"Meshes ({' '.join(SUFFIXES)})": SUFFIXES}
LORAS: Kinds = {f"LoRAs (*{LORA})": (LORA,)}
PICTURES: Kinds = {"Pictures": (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")}
CAMERAS: Kinds = {"Cameras of pictures": (".json", ".npy", ".usd", ".usda", ".usdc", ".usdz")}
PICKS_SUFFIX = ".picks"
PICKS: Kinds = {"Picks (picks.jsonl)": (".jsonl",)}
PROJECTS: Kinds = {f"Projects (*{PROJECT})": (PROJECT,)}
MOST_FAILURES = 20


class Dialogs:
    """All dialogs of one window. `update` belongs into every frame."""

    def __init__(self, app: App) -> None:
        """When the window is built anew, what the old one's dialogs had to say is taken over."""
        old: Dialogs | None = getattr(app, "dialogs", None)
        self.app = app
        self.failures: deque[Failure] = old.failures if old else deque()
        self.folders: dict[str, Path] = old.folders if old else {}
        """The folder each kind of file was last chosen from."""
        self.exports: dict[str, Any] = old.exports if old else {}
        self.export_kind = old.export_kind if old else ""
        self._stack: list[Dialog] = []
        self._recovered = old._recovered if old else False
        self._reopen: Callable[[], None] | None = None
        top = old.top if old else None
        if isinstance(top, Error):
            self.failures.appendleft(top.failure)
        elif isinstance(top, Preferences):
            self._reopen = self.preferences

    @property
    def top(self) -> Dialog | None:
        """The uppermost dialog: keys are for it."""
        return self._stack[-1] if self._stack else None

    @property
    def open_name(self) -> str | None:
        """The name of the uppermost dialog that is on the screen, in its place."""
        return next((dialog.name for dialog in reversed(self._stack) if dialog.ready), None)

    def update(self) -> None:
        """Show what waits, keep the uppermost dialog in step, take dropped files."""
        if self._reopen is not None:
            reopen, self._reopen = self._reopen, None
            reopen()
        self._collect()
        if self.failures and not isinstance(self.top, Error):
            self._show(Error(self, self.failures.popleft()))
        if (alarm := self.app.session.alarm) is not None and self.app.session.state == "paused":
            self._show(Hacked(self, alarm))
        for dialog in self._stack:
            dialog.place()
        if self.top:
            self.top.update()
        elif not self._recovered:
            self._recovered = True
            if found := self.app.session.recoverable():
                self._show(Recovery(self, found))
        if paths := system.dropped():
            self.drop(paths)

    def error(self, problem: str, remedy: str, log: str = "") -> None:
        """Show what went wrong; several wait for each other, the same one is not said twice."""
        self._fail(Failure("That did not work" if not log else "Something went wrong", problem, remedy, log))

    def key(self, name: str) -> None:
        """A key for the uppermost dialog."""
        if (top := self.top) is None:
            return
        if name == "Esc":
            top.cancel()
        elif name == "Enter":
            top.accept()
        else:
            top.key(name)

    def closed(self, dialog: Dialog) -> None:
        """A dialog goes."""
        if dialog in self._stack:
            self._stack.remove(dialog)
        self.app.wake()

    def _collect(self) -> None:
        problems = self.app.session.problems
        while problems:
            p = problems.popleft()
            self._fail(Failure(p.title, p.cause, p.remedy, p.log))

    def _fail(self, failure: Failure) -> None:
        if failure not in self.failures and not (isinstance(self.top, Error) and self.top.failure == failure):
            if len(self.failures) < MOST_FAILURES:
                self.failures.append(failure)

    def _show(self, dialog: Dialog) -> None:
        if any(d.name == dialog.name for d in self._stack):
            return
        self._stack.append(dialog)
        dialog.open()
        self.app.wake()

    # -- dialogs that only show -----------------------------------------------------------------------------------------------

    def preferences(self) -> None:
        self._show(Preferences(self))

    def shortcuts(self) -> None:
        self._show(Shortcuts(self))

    def doctor(self) -> None:
        self._show(Doctor(self))

    def about(self) -> None:
        self._show(About(self))

    def export(self) -> None:
        self._show(Export(self))

    def browse(self, wish: Wish) -> None:
        """Choose a file."""
        self._show(Browser(self, wish))

    def unless_it_exists(self, path: Path, act: Callable[[], Any]) -> None:
        """Do it, or ask first when a file would be replaced."""
        if not path.exists():
            act()
            return
        words = f"'{path.name}' is already in '{path.parent.name or path.parent}'. What it holds now would be lost."
        self._show(Question(self, "Replace the file?", words, [("Replace", "Write over it.", act)], careful=True))

    def start(self, act: Callable[[], Any]) -> None:
        """Begin a run. Before the first time, somebody's code that its trainer would ask is shown by path and hash."""
        score = getattr(self.app.session.config.trainer, "score", "")
        path = Path(score)
        if not score.endswith(black_box.SUFFIX) or not path.is_file() or consent.may_run(path):
            act()
            return
        sha256 = consent.digest(consent.read(path))
        words = (
            f"The trainer asks a score of your own, which is a program and can do whatever you can:\n\n{path.absolute()}\n"
            f"sha256 {sha256[:32]}\n{' ' * 15}{sha256[32:]}\n\nRun it only if you have read it, or trust where it is from."
        )
        run = ("Run it", "Let this file run on this machine until it changes.", lambda: (consent.confirm(path, sha256), act()))
        self._show(Question(self, "Run this code?", words, [run], careful=True))

    # -- File ---------------------------------------------------------------------------------------------------------------

    def new(self) -> None:
        self._unless_unsaved(self.app.session.new)

    def quit(self) -> None:
        self._unless_unsaved(self.app.quit)

    def open_mesh(self) -> None:
        self._open("Open a mesh", MESHES | PROJECTS)

    def open_project(self) -> None:
        self._open("Open a project", PROJECTS)

    def choose_mask(self, take: Callable[[Path], Any]) -> None:
        """Choose a picture that says where rewards push, or what stays as it is."""
        title = "Choose a mask"
        self.browse(Wish(title, "Choose", PICTURES, take, self._folder(title)))

    def choose_pictures(self) -> None:
        """Choose pictures of the mesh by their file of cameras, to recover its materials from them."""
        self.app.show_tab("recover")
        title = "Choose the cameras of your pictures"
        self.browse(Wish(title, "Choose", CAMERAS, self.app.session.recovery.use, self._folder(title)))

    def export_materials(self) -> None:
        """Choose a folder for the recovered materials."""
        title, stem = "Save the materials", self.app.session.document.mesh.stem
        take, folder = self.app.session.export_materials, self._folder(title)
        self.browse(Wish(title, "Save", {"A folder": ()}, take, folder, saves=True, name=f"{stem}-materials"))

    def export_picks(self) -> None:
        """Into a new folder."""
        title, session = "Save the picks", self.app.session
        name = f"{session.document.mesh.stem}{PICKS_SUFFIX}"
        kinds = {f"Picks (*{PICKS_SUFFIX})": (PICKS_SUFFIX,)}
        self.browse(Wish(title, "Save", kinds, session.export_picks, self._folder(title), saves=True, name=name, asks=False))

    def import_picks(self) -> None:
        """Choose the list in such a folder."""
        title = "Add picks"
        self.browse(Wish(title, "Add", PICKS, self.app.session.import_picks, self._folder(title)))

    def add_lora(self) -> None:
        self._open("Add a LoRA", LORAS)

    def save(self, then: Callable[[], Any] = lambda: None) -> None:
        """Into the project's file, or as a new one."""
        if self.app.session.path is None:
            self.save_as(then)
        else:
            self._save(self.app.session.path, then)

    def save_as(self, then: Callable[[], Any] = lambda: None) -> None:
        title, session = "Save the project", self.app.session
        path = session.path or self._folder(title) / f"{session.document.mesh.stem}{PROJECT}"
        self.browse(Wish(title, "Save", PROJECTS, lambda p: self._save(p, then), path.parent, saves=True, name=path.name))

    def open_path(self, path: Path) -> None:
        """Open a mesh or a project, or use a LoRA, whichever it is."""
        if not path.exists():
            raise StudioError(f"'{path}' does not exist any more.", "Choose another file.")
        if path.suffix.lower() == PROJECT:
            self._unless_unsaved(lambda: self.app.session.open_project(path))
        elif path.suffix.lower() == LORA:
            self.app.session.add_lora(path)
        else:
            self.app.session.open(path)

    def drop(self, paths: list[Path]) -> None:
        """Files were dropped on the window: the first that can be opened is, with all LoRAs if it is one; others are named."""
        fits = [p for p in paths if p.suffix.lower() in (*SUFFIXES, PROJECT, LORA)]
        if not fits:
            names = ", ".join(f"'{p.name}'" for p in paths[:3])
            kinds = f"a mesh ({', '.join(SUFFIXES)}), a project ({PROJECT}) or LoRAs ({LORA})"
            raise StudioError(f"{names} cannot be opened.", f"Drop {kinds}.")
        chosen = [p for p in fits if p.suffix.lower() == LORA] if fits[0].suffix.lower() == LORA else fits[:1]
        others = [p.name for p in paths if p not in chosen]
        while self.top and not isinstance(self.top, Error):
            self.top.close()
        for path in chosen:
            try:
                self.open_path(path)
            except StudioError as error:  # the others may do
                self.error(error.problem, error.remedy)
        if others:
            self.app.say(f"Opening {fits[0].name}; not opened: {', '.join(others)}.")

    def _open(self, title: str, kinds: Kinds) -> None:
        self.browse(Wish(title, "Open", kinds, self.open_path, self._folder(title)))

    def _folder(self, title: str) -> Path:
        """Where this was last done; else beside the project or the mesh."""
        session = self.app.session
        beside = (session.path or session.document.mesh).parent
        if "Save" in title and beside == resources.sample_meshes_dir():
            beside = Path.home()
        folder = self.folders.get(title, beside)
        return folder if folder.is_dir() else Path.home()

    def _save(self, path: Path, then: Callable[[], Any]) -> None:
        self.app.session.save(path)
        then()

    def _unless_unsaved(self, act: Callable[[], Any]) -> None:
        """Do it; when work was not saved, ask first."""
        session = self.app.session
        if not session.unsaved:
            act()
            return
        name = f"'{session.path.name}' has changes that were" if session.path else "This work was"
        answers = [
            ("Don't save", "Go on; the changes since the last save are lost.", lambda: (session.forget(), act())),
            ("Save", "Save the project, then go on.", lambda: self.save(act)),
        ]
        self._show(Question(self, "Save the project first?", f"{name} not saved.", answers))
