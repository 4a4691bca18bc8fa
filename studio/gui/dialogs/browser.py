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
        self._base = self._folder = wish.folder
        """Where typed names begin, and what is listed: another folder while a path is being typed."""
        self._typed = ""
        self._typing = False
        self._instead: str | None = None
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
        px, high = self.theme.px, self.tall(376, beside=272)
        with dpg.group(horizontal=True):
            self.theme.button("↑", "To the folder above.", self._up, tag="browser.up", width=px(32))
            with dpg.child_window(height=px(24), width=-1, border=False, no_scrollbar=True):
                dpg.add_group(horizontal=True, horizontal_spacing=px(2), tag="browser.trail")
        hint = "Type a name" if self._wish.saves else "Type the beginning of a name, or a path"
        item = dpg.add_input_text(tag="browser.name", width=-1, callback=self._type, hint=hint)
        self.theme.tip(item, "A name or a path. Tab completes it, Enter takes it, the arrow keys choose from the list.")
        dpg.add_spacer(height=px(2))
        with dpg.group(horizontal=True):
            with dpg.child_window(width=px(PLACES), height=high, border=False, tag="browser.places"):
                self._add_places()
            with dpg.child_window(width=-1, height=high, border=False, no_scrollbar=True):
                self._list.build(self._show)
        self.focus("browser.name")
        self._go(self._base)

    def aside(self) -> None:
        px = self.theme.px
        with dpg.group(horizontal=True, horizontal_spacing=px(16), pos=(0, px(2))):
            kinds = [*self._wish.kinds] if self._wish.saves else [*self._wish.kinds, ALL]
            wide = max(px(96), min(px(PLACES + 96), (dpg.get_item_width("browser.aside") or 0) - px(112)))
            options = {"width": wide, "no_arrow_button": True, "callback": self._pick_kind}
            with self.theme.dropdown():
                item = dpg.add_combo(kinds, default_value=self._kind, tag="browser.kind", **options)
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

    def _add_trail(self) -> None:
        """The folders on the way to the one that is listed, as buttons; the first ones go where there is no room."""
        dpg.delete_item("browser.trail", children_only=True)
        way = [self._folder, *self._folder.parents][::-1]
        room = self.inner() - self.theme.px(40)
        widths = [self.measure(folder.name or str(folder)) + self.theme.px(36) for folder in way]
        first = next((i for i in range(len(way)) if sum(widths[i:]) <= room), len(way) - 1)
        for i, folder in enumerate(way[first:]):
            if i:
                dpg.bind_item_theme(dpg.add_text("▸", parent="browser.trail"), self.theme.dim)
            words = places.elided(folder.name or str(folder), room - self.theme.px(36), self.measure)
            self.theme.button(
                words, str(folder), self.while_alive(lambda folder=folder: self._go(folder)), kind="quiet", parent="browser.trail"
            )  # fmt: skip

    # -- going about ----------------------------------------------------------------------------------------------------------

    def update(self) -> None:
        self._typing = dpg.is_item_active("browser.name")
        self._desk.poll()
        # While it is being edited, a field keeps its own text; so it must have been left for a frame.
        if self._instead is not None and not self._typing:
            self._typed, self._instead = self._instead, None
            dpg.set_value("browser.name", self._typed)
            self.focus("browser.name")
            self._show()

    def close(self) -> None:
        super().close()
        self._desk.close(0)

    def _write(self, words: str) -> None:
        """Put these words into the field, and the cursor."""
        self._instead = words
        if self._typing:
            dpg.focus_item("browser.up")

    def _go(self, folder: Path) -> None:
        """Show a folder."""
        self._base = Path(os.path.normpath(folder.absolute()))
        self._typed = ""
        if not self._wish.saves:
            self._write("")
        elif not self._beginning():
            self._write(self._wish.name)
        self._read(self._base)

    def _read(self, folder: Path) -> None:
        """List a folder, on a thread, as a network's may take a while."""
        self._folder, self._all, self._reading = folder, [], True
        self._add_trail()
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
        folder, _ = places.parted(typed, self._base)
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
        return places.parted(self._typed, self._base)[1]

    def _show(self) -> None:
        name = "" if self._wish.saves else self._beginning()
        found = places.matching(self._all, name)
        note = self._problem
        if not note and not found and not self._reading:
            note = "No name here is like that." if self._all else "No folders, and no files of this kind."
        room = self.inner() - self.theme.px(PLACES + SIZE + CHANGED + 128)
        self._list.show(found, room=room, note=note, warning=bool(self._problem), first=bool(name))

    # -- keys and the end -----------------------------------------------------------------------------------------------------

    def key(self, name: str) -> None:
        if name == "Tab" and self._typing:
            self._complete()
        elif name in ("Up", "Down"):
            self._list.move(-1 if name == "Up" else 1)

    def _complete(self) -> None:
        """Tab: the only name that begins like this, or the next of several."""
        found = places.matching(self._all, self._beginning())
        if len(found) == 1 and found[0].folder:
            self._go(found[0].path)
        elif len(found) == 1:
            self._write(found[0].name if self._folder == self._base else str(found[0].path))
        else:
            self._list.move(1)

    def accept(self) -> None:
        """Enter, or the button: go into the chosen folder, or take the chosen or named file."""
        folder, name = places.parted(self._typed, self._base)
        typed, chosen = folder / name, self._list.entry
        if chosen is not None and (chosen.folder or not self._wish.saves):
            self._enter(chosen)
        elif self._typed and typed.is_dir():
            self._go(typed)
        elif self._wish.saves:
            self._save(typed)
        elif self._typed and typed.is_file():
            self._take(typed)
        elif self._typed:
            raise StudioError(f"'{typed}' does not exist.", "Choose a file from the list.")

    def _chosen(self, entry: Entry) -> None:
        if self._wish.saves and not entry.folder:
            self._write(entry.name)

    def _enter(self, entry: Entry) -> None:
        if entry.folder:
            self._go(entry.path)
        elif self._wish.saves:
            self._save(entry.path)
        else:
            self._take(entry.path)

    def _save(self, path: Path) -> None:
        name = path.name.strip()
        if not self._typed.strip() or not name:
            raise StudioError("The file has no name yet.", "Type a name for it.")
        if not path.parent.is_dir():
            raise StudioError(f"The folder '{path.parent}' does not exist.", "Choose one from the list.")
        suffixes = self._wish.kinds[self._kind]
        if suffixes and path.suffix.lower() not in suffixes:
            path = path.with_name(name + suffixes[0])
        if self._wish.asks:
            self.dialogs.unless_it_exists(path, lambda: self._take(path))
        else:
            self._take(path)

    def _take(self, path: Path) -> None:
        self.close()
        self.dialogs.folders[self._wish.title] = path.parent
        self._wish.take(path)
