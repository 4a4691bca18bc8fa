"""The file browser, for opening and for saving: places, a typed path that completes itself, and a list to choose from."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dearpygui.dearpygui as dpg

from studio import resources
from studio.desk import Desk
from studio.errors import StudioError
from studio.gui.dialogs import places
from studio.gui.dialogs.dialog import Button, Dialog
from studio.gui.dialogs.filelist import CHANGED, SIZE, FileList, icon
from studio.gui.dialogs.places import Entry

if TYPE_CHECKING:
    from studio.gui.dialogs import Dialogs

PLACES = 168
ALL = "All files"
RECENT = 6


@dataclass(frozen=True)
class Wish:
    """What a file is wanted for. `kinds` are words and suffixes to choose from, such as {"Meshes": (".glb", ".obj")}."""

    title: str
    action: str
    kinds: dict[str, tuple[str, ...]]
    take: Callable[[Path], Any]
    folder: Path
    saves: bool = False
    name: str = ""
    """Of the file to be saved; its suffix is put behind it if it is missing."""
    asks: bool = True
    """Before an existing file is chosen for saving."""


class Browser(Dialog):
    """Lets the user choose one file."""

    name = "browser"
    width = 896

    def __init__(self, dialogs: Dialogs, wish: Wish) -> None:
        super().__init__(dialogs)
        self._wish = wish
        self._folder = Path()
        self._typed = ""
        self._typing = False
        self._all: list[Entry] = []
        self._problem = ""
        self._reading = False
        self._hidden = False
        self._kind = next(iter(wish.kinds))
        self._desk = Desk("folder")
        self._list = FileList(self, chosen=self._chosen, entered=self._enter)

    def title(self) -> str:
        return self._wish.title

    # -- making -------------------------------------------------------------------------------------------------------------

    def fill(self) -> None:
        px, high = self.theme.px, self.tall(376, beside=268 if self._wish.saves else 228)
        with dpg.group(horizontal=True):
            self.theme.button("↑", "To the folder above.", self._up, tag="browser.up", width=px(32))
            item = dpg.add_input_text(
                tag="browser.path", width=-1, callback=self._type, no_undo_redo=True, hint="Type a path; Tab completes it"
            )
            self.theme.tip(item, "The folder. Type a path or the beginning of a name; Tab completes it, Enter goes there.")
        dpg.add_spacer(height=px(2))
        with dpg.group(horizontal=True):
            with dpg.child_window(width=px(PLACES), height=high, border=False, tag="browser.places"):
                self._add_places()
            with dpg.child_window(width=-1, height=high, border=False, no_scrollbar=True):
                self._list.build(self._show)
        if self._wish.saves:
            dpg.add_spacer(height=px(2))
            with self.theme.row("File name", "Under which name to save.", width=PLACES + 8):
                item = dpg.add_input_text(tag="browser.name", default_value=self._wish.name, width=-1)
            self.theme.tip(item, "Under which name to save. The suffix is added if you leave it out.")
            self.focus("browser.name")
        else:
            self.focus("browser.path")
        self._go(self._wish.folder)

    def aside(self) -> None:
        px = self.theme.px
        with dpg.group(horizontal=True, horizontal_spacing=px(16), pos=(0, px(2))):
            kinds = [*self._wish.kinds] if self._wish.saves else [*self._wish.kinds, ALL]
            item = dpg.add_combo(
                kinds, default_value=self._kind, width=px(PLACES + 96), tag="browser.kind", callback=self._pick_kind
            )
            self.theme.tip(item, "Which files to list.")
            item = dpg.add_checkbox(label="Hidden", tag="browser.hidden", callback=self._show_hidden)
            self.theme.tip(item, "Also list files and folders whose names begin with a dot.")

    def buttons(self) -> list[Button]:
        return [
            Button("cancel", "Cancel", "Choose nothing.", self.close),
            Button("accept", self._wish.action, f"{self._wish.action} what is chosen.", self.accept),
        ]

    def _add_places(self) -> None:
        known = places.standard()
        known.insert(1, ("Sample meshes", resources.sample_meshes_dir()))
        session = self.app.session
        beside = (session.path or session.document.mesh).parent
        if beside.is_dir() and beside not in [path for _, path in known]:
            known.insert(0, (beside.name or str(beside), beside))
        for label, path in known:
            self._place("❐", label, path, lambda path=path: self._go(path))
        if recents := session.recents()[:RECENT]:
            dpg.add_spacer(height=self.theme.px(4))
            self.theme.note("Recent")
        for path in recents:
            act = (lambda path=path: self._go(path.parent)) if self._wish.saves else (lambda path=path: self._take(path))
            self._place(icon(Entry(path, False)), path.name, path, act)

    def _place(self, sign: str, label: str, path: Path, act: Callable[[], Any]) -> None:
        words = places.elided(label, self.theme.px(PLACES - 40), self.measure)
        self.line(f"{sign}  {words}", str(path), act)

    # -- going about ----------------------------------------------------------------------------------------------------------

    def update(self) -> None:
        self._typing = dpg.is_item_active("browser.path")
        self._desk.poll()

    def close(self) -> None:
        super().close()
        self._desk.close(0)

    def _go(self, folder: Path) -> None:
        """Show a folder."""
        folder = Path(os.path.normpath(folder.absolute()))
        self._typed = str(folder) if str(folder).endswith(os.sep) else str(folder) + os.sep
        dpg.set_value("browser.path", self._typed)
        self._read(folder)

    def _read(self, folder: Path) -> None:
        """List a folder, on a thread, as a network's may take a while."""
        self._folder, self._all, self._reading = folder, [], True
        suffixes, hidden = self._wish.kinds.get(self._kind, ()), self._hidden

        def here(entries: list[Entry]) -> None:
            self._arrived(folder, entries, "")

        def failed(error: BaseException) -> None:
            self._arrived(folder, [], error.problem if isinstance(error, StudioError) else str(error))

        self._desk.submit(
            "listing", lambda: places.listing(folder, suffixes=suffixes, hidden=hidden), then=here, failed=failed
        )  # fmt: skip

    def _arrived(self, folder: Path, entries: list[Entry], problem: str) -> None:
        if folder == self._folder:
            self._all, self._problem, self._reading = entries, problem, False
            self._show()

    def _up(self) -> None:
        self._go(self._folder.parent)

    def _type(self, sender: int | str, typed: str) -> None:
        self._typed = typed
        folder, _ = places.parted(typed, self._folder)
        if folder != self._folder and folder.is_dir():
            self._read(folder)
        else:
            self._show()

    def _pick_kind(self, sender: int | str, kind: str) -> None:
        self._kind = kind
        self._read(self._folder)

    def _show_hidden(self, sender: int | str, on: bool) -> None:
        self._hidden = on
        self._read(self._folder)

    def _beginning(self) -> str:
        """What has been typed of a name."""
        return places.parted(self._typed, self._folder)[1]

    def _show(self) -> None:
        name = self._beginning()
        found = places.matching(self._all, name)
        note = self._problem
        if not note and not found and not self._reading:
            note = "No name here is like that." if self._all else "No folders, and no files of this kind."
        room = self.inner() - self.theme.px(PLACES + SIZE + CHANGED + 128)
        self._list.show(found, room=room, note=note, warning=bool(self._problem), first=bool(name))

    # -- keys and the end -----------------------------------------------------------------------------------------------------

    def key(self, name: str) -> None:
        if name == "Tab" and self._typing:
            self._typed = places.completed(self._typed, self._folder, self._all)
            dpg.set_value("browser.path", self._typed)
            self.focus("browser.path")
            self._type("browser.path", self._typed)
        elif name in ("Up", "Down"):
            self._list.move(-1 if name == "Up" else 1)

    def accept(self) -> None:
        """Enter, or the button: go into the chosen folder, or take the chosen or named file."""
        folder, name = places.parted(self._typed, self._folder)
        typed, chosen = folder / name, self._list.entry
        if name and typed.is_dir() and not (chosen and not chosen.folder):
            self._go(typed)
            self.focus("browser.path")
        elif chosen is not None and chosen.folder:
            self._enter(chosen)
        elif self._wish.saves:
            self._save()
        elif name and typed.is_file():
            self._take(typed)
        elif chosen is not None:
            self._enter(chosen)
        elif name:
            raise StudioError(f"'{typed}' does not exist.", "Choose a file from the list.")

    def _chosen(self, entry: Entry) -> None:
        if self._wish.saves and not entry.folder:
            dpg.set_value("browser.name", entry.name)

    def _enter(self, entry: Entry) -> None:
        if entry.folder:
            self._go(entry.path)
            self.focus("browser.path")
        elif self._wish.saves:
            self._save()
        else:
            self._take(entry.path)

    def _save(self) -> None:
        name = dpg.get_value("browser.name").strip()
        if not name or name in (".", "..") or os.sep in name:
            raise StudioError(f"'{name}' is no file name." if name else "The file has no name yet.", "Type a name for it.")
        suffixes = self._wish.kinds[self._kind]
        path = self._folder / name
        if suffixes and path.suffix.lower() not in suffixes:
            path = path.with_name(path.name + suffixes[0])
        if self._wish.asks:
            self.dialogs.unless_it_exists(path, lambda: self._take(path))
        else:
            self._take(path)

    def _take(self, path: Path) -> None:
        self.close()
        self.dialogs.folders[self._wish.title] = path.parent
        self._wish.take(path)
