"""Every item of the window and of its dialogs, looked over: `python -m tests.gui.audit` prints what it found as JSON.

{"controls": how many, "bare": those without a tooltip, "texts": [what, ratio of contrast, whether it can be used]}. Colours are
those that dearpygui would take: from the themes of an item and of all it lies in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from studio.gui.app import App
from studio.gui.dialogs import doctor
from studio.gui.dialogs.notices import Failure, Recovery
from studio.gui.trace import Trace
from studio.surface.health import health
from tests.gui.left import run
from tests.meshes import two_set_box

Rgb = tuple[float, float, float]
CONTROLS = set(
    "Button ImageButton Combo Checkbox SliderInt SliderFloat InputText InputInt InputFloat ColorEdit Selectable MenuItem".split()
)
"""Heads of sections and tabs are titles; dearpygui would show their tooltips over all that they hold."""
GROUNDS = {
    "Button": "Button ButtonHovered ButtonActive",
    "Combo": "FrameBg FrameBgHovered FrameBgActive PopupBg Header HeaderHovered HeaderActive",
    "SliderInt": "FrameBg FrameBgHovered FrameBgActive SliderGrab SliderGrabActive",
    "SliderFloat": "FrameBg FrameBgHovered FrameBgActive SliderGrab SliderGrabActive",
    "InputText": "FrameBg FrameBgHovered FrameBgActive TextSelectedBg",
    "InputInt": "FrameBg FrameBgHovered FrameBgActive TextSelectedBg",
    "InputFloat": "FrameBg FrameBgHovered FrameBgActive TextSelectedBg",
    "Selectable": "PopupBg Header HeaderHovered HeaderActive",
    "MenuItem": "PopupBg HeaderHovered HeaderActive",
    "Menu": "MenuBarBg PopupBg HeaderHovered HeaderActive",
    "Tab": "Tab TabHovered TabSelected",
    "CollapsingHeader": "Header HeaderHovered HeaderActive",
}
"""What may lie under the words of an item, beside the window itself."""
HOLDERS = {"ChildWindow": "ChildBg", "Tooltip": "PopupBg", "Menu": "PopupBg", "WindowAppItem": "WindowBg"}
OVER_ROWS = ("HeaderHovered", "HeaderActive")
PRESSED = ("prompt.materials", "prompt.examples", "rewards.presets", "rewards.add", "generator.choice", "trainer.choice",
           "run.device", "run.renderer", "run.atlas_px", "mesh.recent", "rewards.symmetry.more")  # fmt: skip
"""Buttons that open a list or a drawer."""
NO_TEXT = ("atlas.swatch", "status.dot")


def kind(item: int | str) -> str:
    return str(dpg.get_item_type(item)).removeprefix("mvAppItemType::mv")


def below(item: int | str) -> Iterator[int]:
    """All items in it."""
    for slot in (dpg.get_item_children(item) or {}).values():
        for child in slot:
            yield child
            yield from below(child)


def chain(item: int | str) -> list[int | str]:
    """The item and all it lies in, from the outermost."""
    found = [item]
    while parent := dpg.get_item_parent(found[-1]):
        found.append(parent)
    return found[::-1]


def explained(item: int) -> bool:
    """Whether it, or a group it lies in, has a tooltip. dearpygui keeps tooltips right behind what they are of."""
    for each in chain(item)[::-1]:
        parent = dpg.get_item_parent(each)
        if not parent:
            return False
        beside = dpg.get_item_children(parent, 1) or []
        place = beside.index(dpg.get_alias_id(each) if isinstance(each, str) else each) + 1 if each in beside else len(beside)
        if place < len(beside) and kind(beside[place]) == "Tooltip":
            return True
        if kind(each) not in (*CONTROLS, "Group"):
            return False
    return False


def name(item: int | str) -> str:
    """Its tag, or what it shows, after the tag of the nearest container that has one."""
    tags = [dpg.get_item_alias(each) for each in chain(item)]
    inside, shown = next((tag for tag in tags[::-1] if tag), ""), dpg.get_item_label(item) or dpg.get_value(item)
    return tags[-1] or f"{inside} > {kind(item)} {shown!r}"


def list_of(item: int) -> str:
    """The tag of the drop-down whose list it is a line of; "" for none."""
    roots = [dpg.get_item_alias(each) or "" for each in chain(item)]
    return next((tag.removesuffix(".list") for tag in roots if tag.endswith(".list") and dpg.does_item_exist(tag[:-5])), "")


class Colours:
    """What colours an item is drawn in."""

    def __init__(self, base: int | str) -> None:
        self._themes: dict[int | str | None, list[tuple[int, bool, dict[int, Rgb]]]] = {}
        self._base = base

    def of(self, item: int | str) -> dict[int, Rgb]:
        """Its colours by `mvThemeCol_*`; an item's own theme comes after what is said of its kind further out."""
        whole: dict[int, Rgb] = {}
        typed: dict[int, Rgb] = {}
        mine, enabled = getattr(dpg, f"mv{kind(item)}", -1), dpg.get_item_configuration(item).get("enabled", True)
        for theme in (self._base, *(dpg.get_item_theme(each) for each in chain(item))):
            for of, state, colours in self._components(theme):
                if of == dpg.mvAll:
                    whole |= colours
                elif (of, state) == (mine, enabled):
                    typed |= colours
        for _, _, colours in self._components(dpg.get_item_theme(item)):
            typed |= colours
        return whole | typed

    def _components(self, theme: int | str | None) -> list[tuple[int, bool, dict[int, Rgb]]]:
        """What a theme says: for which kind of item, for enabled ones or others, which colours."""
        if theme not in self._themes:
            parts = [(part, dpg.get_item_configuration(part)) for part in dpg.get_item_children(theme, 1) or []] if theme else []
            self._themes[theme] = [(said["item_type"], said["enabled_state"], self._read(part)) for part, said in parts]
        return self._themes[theme]

    @staticmethod
    def _read(component: int) -> dict[int, Rgb]:
        found = {}
        for entry in dpg.get_item_children(component, 1) or []:
            said = dpg.get_item_configuration(entry)
            if kind(entry) == "ThemeColor" and said["category"] == dpg.mvThemeCat_Core:
                found[said["target"]] = tuple(dpg.get_value(entry)[:3])
        return found


def texts(items: list[int], colours: Colours) -> Iterator[tuple[str, float, bool]]:
    """Contrast of every item's words with all that may lie under them."""
    for item in items:
        what = kind(item)
        if what not in ("Text", *GROUNDS) or dpg.get_item_alias(item) in NO_TEXT:
            continue
        mine, holder = colours.of(item), next((e for e in chain(item)[::-1] if kind(e) in HOLDERS), None)
        enabled = bool(dpg.get_item_configuration(item).get("enabled", True))
        inks = [mine[dpg.mvThemeCol_Text]]
        if what == "Text" and (own := dpg.get_item_configuration(item)["color"])[0] >= 0:
            inks = [tuple(255 * c for c in own[:3])]
        grounds = [mine[getattr(dpg, f"mvThemeCol_{ground}")] for ground in GROUNDS.get(what, "").split()]
        if what == "InputText":  # a hint is shown where nothing is selected
            yield name(item), round(contrast(mine[dpg.mvThemeCol_TextDisabled], mine[dpg.mvThemeCol_FrameBg]), 2), enabled
        if what == "MenuItem":  # the keys beside an entry
            faint = mine[dpg.mvThemeCol_TextDisabled]
            inks = [*inks, faint] if enabled else [faint]
        if what in ("Text", "Checkbox") and holder is not None:
            around = colours.of(holder)
            popup = kind(holder) == "WindowAppItem" and dpg.get_item_configuration(holder).get("popup")
            grounds.append(around[getattr(dpg, f"mvThemeCol_{'PopupBg' if popup else HOLDERS[kind(holder)]}")])
            if popup:
                grounds += [around[getattr(dpg, f"mvThemeCol_{row}")] for row in OVER_ROWS]
        for ink in inks:
            for ground in grounds:
                yield name(item), round(contrast(ink, ground), 2), enabled


def contrast(a: Rgb, b: Rgb) -> float:
    """Of two colours in 0 to 255, by WCAG 2.1: 1 to 21."""

    def luminance(colour: Rgb) -> float:
        linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def sick() -> list[doctor.Row]:
    """What the doctor might find, at once."""
    return [doctor.Row("Processor", "2 cores", False, ""), doctor.Row("Graphics", "none", True, "Get one.")]


def dialogs(app: App) -> dict[str, Callable[[], Any]]:
    """What opens each."""
    found = app.dialogs
    return {
        "preferences": found.preferences, "shortcuts": found.shortcuts, "doctor": found.doctor, "about": found.about,
        "export": found.export, "browser": found.open_mesh,
        "saving": found.save_as, "error": lambda: found._fail(Failure("Failed", "A cause.", "A remedy.", "A log.")),
        "question": lambda: found.unless_it_exists(Path(__file__), lambda: None),
        "recovery": lambda: found._show(Recovery(found, Path("a.patina"))),
    }  # fmt: skip


def main() -> None:
    app, doctor.examine = App(), sick
    dpg.create_context()
    dpg.configure_app(manual_callback_management=True)
    dpg.create_viewport(title="audit", width=1280, height=800, x_pos=0, y_pos=0, vsync=False, decorated=False)
    dpg.setup_dearpygui()
    dpg.show_viewport()
    app.build(1.0)
    trace, session = Trace(app), app.session

    def frames(count: int) -> None:
        for _ in range(count):
            app.wake()
            app._frame(trace)

    session.mesh = two_set_box(4)
    session.health = health(session.mesh).rows()
    frames(2)
    run(session)
    for tag in [tag for tag in dpg.get_aliases() if tag.startswith("section.")]:
        dpg.set_value(tag, True)
    frames(3)
    for press in PRESSED:
        dpg.get_item_callback(press)()
        frames(1)
    found: dict[str, Any] = {"controls": 0, "bare": [], "texts": [], "dialogs": []}
    colours = Colours(app.theme._everywhere)

    def look(items: list[int]) -> None:
        for item in items:
            said = dpg.get_item_configuration(item)
            if kind(item) not in CONTROLS or (said.get("callback") is None and kind(item) in ("Button", "MenuItem")):
                continue  # a button that does nothing is a picture of a key, an entry that does nothing a heading
            found["controls"] += 1
            if not explained(item) and not list_of(item):
                found["bare"].append(name(item))
        found["texts"] += texts(items, colours)

    seen = [item for root in dpg.get_windows() for item in below(root)]
    look(seen)
    for title, show in dialogs(app).items():
        show()
        frames(5)
        found["dialogs"].append([title, app.dialogs.open_name])
        if top := app.dialogs.top:
            look(list(below(f"{top.name}.veil")))
            top.close()
        frames(1)
    print(json.dumps(found))
    if app.canvas:
        app.canvas.close()
    dpg.destroy_context()


if __name__ == "__main__":
    main()
