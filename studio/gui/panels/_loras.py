"""The LoRAs in use: a row each with its scale, one more from a file, and the one that the last run has learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dearpygui.dearpygui as dpg

from studio.errors import StudioError
from studio.gui.form import LIVE, editable
from studio.gui.panels._part import waiting
from studio.gui.panels._room import measurable, room
from studio.gui.panels._words import fitted

if TYPE_CHECKING:
    from studio.config import Loaded
    from studio.gui.app import App

LABEL, CROSS, GAP = 112, 28, 8
"""Widths in unscaled pixels: a name, the button that takes a LoRA out, and what stands between."""


class Loras:
    """Made in the container that is open; tags are "generator.lora.<place>.<control>", "generator.lora.add" and ".use"."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._seen: tuple[Any, ...] = ()
        self._rows: tuple[tuple[str, str], ...] | None = None
        theme, session = app.theme, app.session
        dpg.add_spacer(height=0)
        theme.head("LoRAs")
        theme.note("What a run has taught the generator, kept in a file. None is in use.", tag="generator.lora.none")
        dpg.add_group(tag="generator.lora.rows")
        theme.note("", tag="generator.lora.pending")
        tip = "What the last run has learned, for the next one, which learns on top of it. The file is kept among your own."
        with dpg.group(tag="generator.lora.use"):  # with its tooltip, which would outlast a button that is hidden under the mouse
            theme.button("Use the learned LoRA", tip, session.use_learned, kind="primary", width=-1)
        tip = "Use a LoRA of a file: what the studio exported for the generator that is chosen above. Dropping it does as well."
        theme.button("Add LoRA…", tip, lambda: app.dialogs.add_lora(), tag="generator.lora.add", width=-1)

    def update(self) -> None:
        """Follow the session; other LoRAs get other rows."""
        session = self._app.session
        width = room(self._app)
        state = (session.revision, width)
        if state == self._seen or not measurable(self._app):
            return
        narrower, self._seen = not self._seen or self._seen[1] != width, state
        loras = session.document.config.loras
        rows = tuple((loaded.name, loaded.file) for loaded in loras)
        if rows != self._rows or narrower:
            self._rows = rows
            dpg.delete_item("generator.lora.rows", children_only=True)
            for place, loaded in enumerate(loras):
                self._row(f"generator.lora.{place}", loaded, width)
        for place, loaded in enumerate(loras):
            slider = f"generator.lora.{place}.scale"
            if not dpg.is_item_active(slider):
                dpg.set_value(slider, loaded.scale)
        sentence = waiting(session.pending(), "LoRA")
        dpg.set_value("generator.lora.pending", sentence)
        shown = {"none": not loras, "pending": bool(sentence), "use": session.has_learned}
        for item, show in shown.items():
            dpg.configure_item(f"generator.lora.{item}", show=show)

    def _row(self, tag: str, loaded: Loaded, width: int) -> None:
        theme, px, session, name = self._app.theme, self._app.theme.px, self._app.session, loaded.name
        try:
            about, problem = session.about_lora(name), ""
        except StudioError as error:
            about, problem = str(error), error.problem
        label = fitted(name, px(LABEL - GAP) - dpg.get_text_size(LIVE)[0], lambda text: dpg.get_text_size(text)[0])
        with dpg.group(parent="generator.lora.rows"), theme.row(label + LIVE, f"{name}\n{about}", width=LABEL):
            with dpg.group(horizontal=True, horizontal_spacing=px(GAP)):
                dpg.add_slider_float(
                    tag=f"{tag}.scale", width=width - px(LABEL + CROSS + GAP), min_value=0, max_value=1, clamped=True,
                    format="× %.2f", default_value=loaded.scale, callback=lambda _, value: self._scale(name, round(value, 3)),
                )  # fmt: skip
                tip = "How much it counts: 0 leaves the generator exactly as it is. It answers during a run."
                theme.tip(f"{tag}.scale", f"{tip}\nCtrl+click types a number. Right-click: back to 1.\n\n{about}")
                editable(self._app, f"{tag}.scale", lambda: self._scale(name, 1.0))
                tip = f"Take this LoRA out of the list; its file stays.\n\n{about}"
                theme.button("✗", tip, lambda: session.remove_lora(name), kind="quiet", tag=f"{tag}.remove", width=px(CROSS))
        if problem:
            dpg.push_container_stack("generator.lora.rows")
            theme.note(problem, warning=True)
            dpg.pop_container_stack()

    def _scale(self, name: str, scale: float) -> None:
        self._app.session.set_knob(f"loras.{name}", "scale", scale)
