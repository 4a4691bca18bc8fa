"""The prompt: what the surface should look like, which of its words are understood, and words to begin with."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import dearpygui.dearpygui as dpg

from studio.gui.chips import Chip, chips, joined, replaced, rows, without, wrapped
from studio.gui.choice import Choice, Entry
from studio.gui.panels import Panel
from studio.gui.panels._pictures import Shelf
from studio.gui.panels._room import close, measurable, room
from studio.gui.panels._thumbnails import die, materials, picture
from studio.gui.theme import ASH, BONE, COPPER, FIELD, FIELD_ACTIVE, FIELD_HOVER, GRID, LINE, PANEL, TEXT_PX, VERDIGRIS, Colour

if TYPE_CHECKING:
    from studio.gui.app import App

EXAMPLES = (
    "blue and white stripes",
    "white marble with gold veins",
    "rusty iron",
    "a wooden figure with carved wood grain",
    "red brick wall with white mortar",
    "orange and black zebra stripes",
    "upper half navy and lower half cream",
    "teal with big white polka dots",
    "mossy stone",
    "gradient from purple to orange",
    "green camouflage",
    "turquoise and gold mosaic",
)
SEEDS, DIE = 10_000, 16
CHIP = 21
LINES = 2, 6
"""The field is at least and at most so many lines high."""
PER_ROW, SPHERE, RING = 6, 56, 2
"""Spheres side by side; unscaled pixels of a sphere's picture and of the frame around it."""
TIPS = {
    "known": "The generator knows this word.\nRight-click: take it out.",
    "unknown": "The generator does not know this word and passes over it.\nClick: put the nearest word it knows in its place.\n"
    "Right-click: take it out.",
    "unread": "The prompt is too long: the generator does not read this word.\nRight-click: take it out.",
    "plain": "Right-click: take it out.",
}


@dataclass(frozen=True)
class Prompt(Panel):
    """What the surface should look like."""

    title: ClassVar[str] = "Prompt"
    place: ClassVar[Any] = "left"
    order: ClassVar[int] = 20

    def build(self, app: App, parent: int | str) -> Callable[[], None]:
        return _Prompt(app, parent).update


class _Prompt:
    def __init__(self, app: App, parent: int | str) -> None:
        self._app = app
        self._seen: tuple[Any, ...] = ()
        self._chips: tuple[Chip, ...] = ()
        self._room, self._active = 0, False
        self._prompt = ""
        theme, px = app.theme, app.theme.px
        self._shelf, self._materials = Shelf("prompt"), materials()
        self._ball = _look(PANEL, BONE, padding=px(RING))
        self._looks = {
            "known": _look(FIELD, BONE), "plain": _look(FIELD, BONE), "unread": _look(FIELD, ASH),
            "unknown": _look(PANEL, ASH, LINE), "instead": _look(PANEL, VERDIGRIS),
        }  # fmt: skip
        self._tight = close(app, 1)
        with dpg.group(parent=parent):
            dpg.add_input_text(
                tag="prompt.text", multiline=True, width=-1, height=px(40), on_enter=True, ctrl_enter_for_new_line=True,
                callback=lambda _, text: self._say(text),
            )  # fmt: skip
            with dpg.tooltip("prompt.text", tag="prompt.tip", delay=0.4, hide_on_activity=True):
                keys = "Enter: use it, also during a run. Esc: back to what it was."
                dpg.add_text(f"What the surface should look like, in English.\n{keys}", wrap=px(320))
            with dpg.item_handler_registry() as left:
                dpg.add_item_deactivated_after_edit_handler(callback=self._left)
            dpg.bind_item_handler_registry("prompt.text", left)
            dpg.add_group(tag="prompt.chips")
            theme.note("", tag="prompt.note")
            with dpg.group(horizontal=True):
                tip = "Materials the generator was taught, as it paints them."
                theme.button("Materials ▸", tip, self._drawer, tag="prompt.materials")
                tip = "Prompts that show what the generator can do. One of them replaces yours."
                Choice(app, "prompt.examples", tip, lambda: [Entry(text, text) for text in EXAMPLES], self._say, label="Examples")
            dpg.add_group(tag="prompt.drawer", show=False)
            with theme.row("Seed", "Which of the generator's variations to paint."):
                with dpg.group(horizontal=True):
                    dpg.add_input_int(
                        tag="prompt.seed", width=-px(40), step=0, min_value=0, max_value=SEEDS - 1, min_clamped=True,
                        max_clamped=True, on_enter=True, callback=lambda _, seed: self._sow(seed),
                    )  # fmt: skip
                    face = self._shelf.put(die(px(DIE)))
                    dpg.add_image_button(
                        face, tag="prompt.dice", width=px(DIE), height=px(DIE), tint_color=BONE, callback=self._throw
                    )
            tip = "Which of the generator's variations to paint: the same number gives the same texture."
            theme.tip("prompt.seed", f"{tip}\nRight-click: back to 0.")
            theme.tip("prompt.dice", "Another variation, from the next start on.")
        with dpg.item_handler_registry() as self._clicks:
            dpg.add_item_clicked_handler(dpg.mvMouseButton_Right, callback=self._take_out)
        with dpg.item_handler_registry() as seed:
            dpg.add_item_clicked_handler(dpg.mvMouseButton_Right, callback=lambda: self._sow(0))
            dpg.add_item_deactivated_after_edit_handler(callback=lambda: self._sow(dpg.get_value("prompt.seed")))
        dpg.bind_item_handler_registry("prompt.seed", seed)

    def _fill(self) -> None:
        """Put the spheres into the drawer, when it is first opened."""
        px = self._app.theme.px
        for start in range(0, len(self._materials), PER_ROW):
            with dpg.group(horizontal=True, parent="prompt.drawer"):
                for material in self._materials[start : start + PER_ROW]:
                    tag = f"prompt.material.{material.name}"
                    texture = self._shelf.put(picture(material.file, px(SPHERE)))
                    dpg.add_image_button(texture, tag=tag, callback=self._insert, user_data=material.words)
                    dpg.bind_item_theme(tag, self._ball)
                    tip = f"{material.label}\n{material.words}"
                    self._app.theme.tip(tag, f"{tip}\nClick: add to the prompt. Shift+click: in its place.")
        self._fit()

    def _fit(self) -> None:
        """So many spheres side by side, whatever the column's width."""
        px = self._app.theme.px
        side = (self._room - (PER_ROW - 1) * px(GRID)) // PER_ROW - 2 * px(RING)
        for row in dpg.get_item_children("prompt.drawer", 1) or ():
            for ball in dpg.get_item_children(row, 1) or ():
                if dpg.get_item_type(ball) == "mvAppItemType::mvImageButton":
                    dpg.configure_item(ball, width=side, height=side)

    # -- callbacks ----------------------------------------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        """Make this the prompt."""
        session, text = self._app.session, " ".join(text.split())
        self._seen = ()  # whatever comes of it is shown
        replace(session.document.config, prompt=text).check()
        session.set_prompt(text)
        session.commit()

    def _left(self) -> None:
        """The field was left: what stands there counts, unless it is nothing."""
        self._seen = ()
        if text := dpg.get_value("prompt.text").strip():
            self._say(text)

    def _insert(self, sender: int | str, value: Any, words: str) -> None:
        shift = dpg.is_key_down(dpg.mvKey_ModShift)
        self._say(words if shift else joined(self._app.session.document.config.prompt, words))

    def _instead(self, sender: int | str, value: Any, chip: Chip) -> None:
        if chip.instead:
            self._say(replaced(self._prompt, chip, chip.instead))

    def _take_out(self, sender: int | str, clicked: Any) -> None:
        chip = dpg.get_item_user_data(clicked[1])
        if isinstance(chip, Chip) and (rest := without(self._prompt, chip)):
            self._say(rest)

    def _drawer(self) -> None:
        if not dpg.get_item_children("prompt.drawer", 1):
            self._fill()
        opened = not dpg.get_item_configuration("prompt.drawer")["show"]
        dpg.configure_item("prompt.drawer", show=opened)
        dpg.set_item_label("prompt.materials", "Materials ▾" if opened else "Materials ▸")

    def _sow(self, seed: int) -> None:
        self._app.session.set_knob("run", "seed", seed)
        self._app.session.commit()

    def _throw(self) -> None:
        seed = self._app.session.document.config.seed
        self._sow((seed + random.randrange(1, SEEDS)) % SEEDS)

    # -- following ----------------------------------------------------------------------------------------------------------

    def update(self) -> None:
        """Show the session's prompt, or, while one is typed, its words."""
        config, wide = self._app.session.document.config, room(self._app)
        typing = dpg.is_item_active("prompt.text")
        text = " ".join(dpg.get_value("prompt.text").split()) if typing else config.prompt
        begun, self._active = self._app.session.active and not self._active, self._app.session.active
        if begun and typing and text:  # started by a key, in the middle of a word: what stands there counts
            self._say(text)
        state = (typing, text, config.seed, config.generator, wide)
        if state == self._seen or not measurable(self._app):
            return
        self._seen = state
        px = self._app.theme.px
        dpg.configure_item("prompt.tip", show=not typing)  # it would hide the chips
        if not typing:
            shown = wrapped(text, wide - px(24), lambda t: dpg.get_text_size(t)[0])
            dpg.set_value("prompt.text", shown)
            dpg.configure_item("prompt.text", height=px(TEXT_PX * max(LINES[0], min(LINES[1], shown.count("\n") + 1)) + GRID))
        if not dpg.is_item_active("prompt.seed"):
            dpg.set_value("prompt.seed", config.seed)
        if wide != self._room:
            self._room = wide
            self._fit()
        self._prompt = text
        self._chips = chips(text, self._app.session.words(text))
        self._lay_out(wide)
        states = {chip.state for chip in self._chips}
        sentence = "Greyed words are passed over: the generator does not know them." if "unknown" in states else ""
        if "unread" in states:
            sentence = "The prompt is too long: words underlined in copper are not read."
        dpg.configure_item("prompt.note", show=bool(sentence))
        dpg.set_value("prompt.note", sentence)

    def _lay_out(self, wide: int) -> None:
        """The chips, flowing from left to right."""
        px, small = self._app.theme.px, self._app.theme.small
        dpg.delete_item("prompt.chips", children_only=True)
        hints = [f"→ {chip.instead}?" if chip.instead else "" for chip in self._chips]

        def width(text: str) -> int:
            return round(dpg.get_text_size(text, font=small)[0]) + px(12) if text else 0

        widths = [width(chip.text) + width(hint) for chip, hint in zip(self._chips, hints, strict=True)]
        for line in rows(widths, wide, gap=px(6)):
            with dpg.group(horizontal=True, horizontal_spacing=px(6), parent="prompt.chips"):
                for i in line:
                    self._chip(i, self._chips[i], hints[i], width)

    def _chip(self, i: int, chip: Chip, hint: str, width: Callable[[str], int]) -> None:
        px, theme = self._app.theme.px, self._app.theme
        line = {"known": VERDIGRIS, "unread": COPPER}.get(chip.state)
        with dpg.group() as stack:
            with dpg.group(horizontal=True, horizontal_spacing=px(1)):
                tag = f"prompt.chip.{i}"
                options = {"height": px(CHIP), "callback": self._instead, "user_data": chip}
                dpg.add_button(label=chip.text, tag=tag, width=width(chip.text), **options)
                dpg.bind_item_theme(tag, self._looks[chip.state])
                theme.tip(tag, TIPS[chip.state])
                dpg.bind_item_handler_registry(tag, self._clicks)
                if hint:
                    dpg.add_button(label=hint, tag=f"{tag}.instead", width=width(hint), **options)
                    dpg.bind_item_theme(f"{tag}.instead", self._looks["instead"])
                    theme.tip(f"{tag}.instead", f"Did you mean '{chip.instead}'? Click to say so.")
            with dpg.drawlist(width(chip.text), px(2)):
                if line:
                    dpg.draw_rectangle((px(5), 0), (width(chip.text) - px(5), max(1, px(1.5))), color=line, fill=line)
        dpg.bind_item_font(stack, theme.small)
        dpg.bind_item_theme(stack, self._tight)


def _look(fill: Colour, text: Colour, border: Colour | None = None, *, padding: int = 0) -> int | str:
    with dpg.theme() as theme, dpg.theme_component(dpg.mvAll):
        dpg.add_theme_color(dpg.mvThemeCol_Button, fill)
        dpg.add_theme_color(dpg.mvThemeCol_ButtonHovered, FIELD_HOVER)
        dpg.add_theme_color(dpg.mvThemeCol_ButtonActive, FIELD_ACTIVE)
        dpg.add_theme_color(dpg.mvThemeCol_Text, text)
        dpg.add_theme_style(dpg.mvStyleVar_FramePadding, padding, padding)
        if border:
            dpg.add_theme_color(dpg.mvThemeCol_Border, border)
            dpg.add_theme_style(dpg.mvStyleVar_FrameBorderSize, 1)
    return theme
