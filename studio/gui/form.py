"""Forms made from knobs: whatever a plug can be set to can be set in the window, with its range, unit and a sentence about it."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import dearpygui.dearpygui as dpg

from studio.plug import Knob, knobs

if TYPE_CHECKING:
    from studio.gui.app import App

SLIDER_STEPS = 200
"""A whole number with at most so many values is a slider, any other one a field."""
SLIDER_SPAN = 20.0
"""So is a number within a range no wider than this."""
HANDLERS = "form.handlers"
LIVE = " •"
"""After the label of a knob that answers during a run."""
UNITS = {"px": "px", "deg": "°", "s": "s"}
SPOKEN = {"ema": "EMA", "fps": "FPS", "ssaa": "SSAA"}


def spoken(name: str, unit: str = "") -> str:
    """A knob's name as people say it: "held_out" is "Held out", and "atlas_px" in px is "Atlas"."""
    base, _, last = name.rpartition("_")
    text = base if base and last in UNITS and UNITS[last] == unit else name
    return SPOKEN.get(text, text.replace("_", " ").capitalize())


def editable(app: App, item: int | str, reset: Callable[[], None]) -> None:
    """A right click on the control resets it; the end of a drag or of typing ends the undo step. Takes the item's user data."""
    if not dpg.does_item_exist(HANDLERS):  # one for all: a registry of their own would outlive the controls
        with dpg.item_handler_registry(tag=HANDLERS):
            dpg.add_item_clicked_handler(dpg.mvMouseButton_Right, callback=lambda _, clicked: _reset(app, clicked[1]))
            dpg.add_item_deactivated_after_edit_handler(callback=lambda: app.session.commit())
    dpg.set_item_user_data(item, reset)
    dpg.bind_item_handler_registry(item, HANDLERS)


def _reset(app: App, item: int | str) -> None:
    dpg.get_item_user_data(item)()
    app.session.commit()


class Form:
    """The knobs of one part of the config, kept in step with the session: "run", "generator", "trainer" or "rewards.<name>"."""

    def __init__(
        self, app: App, parent: int | str, part: str, plug: object, *,
        only: tuple[str, ...] = (), live: tuple[str, ...] = (), label_px: float = 112,
        told: Callable[[str, Any], None] | None = None,
    ) -> None:  # fmt: skip
        """`plug` is the part as it is now; `only` chooses and orders the knobs. Each item's tag is "<part>.<knob>".

        Knobs in `live` answer during a run; a dot after their label says so. `told` takes a knob and its new value where the
        part is none of the document's.
        """
        self._change = told or partial(app.session.set_knob, part)
        self._app, self._part, self._live, self._label_px = app, part, live, label_px
        self._items: dict[str, tuple[int | str, Any]] = {}
        hints = typing.get_type_hints(type(plug))
        known = knobs(plug)
        with dpg.group(parent=parent):
            for name in only or known:
                self._row(name, known[name], hints[name], getattr(plug, name), default=self._default(type(plug), name))

    def update(self, plug: object) -> None:
        """Show the part's present values, except in the item that is being worked on."""
        for name, (item, shown) in self._items.items():
            value = getattr(plug, name)
            if value != shown and not dpg.is_item_active(item):
                dpg.set_value(item, self._said(value))
                self._items[name] = (item, value)

    @staticmethod
    def _default(plug: type, name: str) -> Any:
        return plug.__dataclass_fields__[name].default  # type: ignore[attr-defined]

    @staticmethod
    def _said(value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value) if value is None else value

    def _row(self, name: str, knob: Knob, hint: Any, value: Any, *, default: Any) -> None:
        unit = UNITS.get(knob.unit, knob.unit)
        tip = f"{knob.help}\nRight-click: back to {self._said(default)}{' ' + unit if unit else ''}."
        dot = LIVE if name in self._live else ""
        with self._app.theme.row(spoken(name, knob.unit) + dot, tip, width=self._label_px):
            item = self._control(name, knob, hint, value, unit)
        self._app.theme.tip(item, tip)
        editable(self._app, item, lambda: self._set(name, default))
        self._items[name] = (item, value)

    def _control(self, name: str, knob: Knob, hint: Any, value: Any, unit: str) -> int | str:
        options: dict[str, Any] = {"tag": f"{self._part}.{name}", "width": -1, "callback": self._told(name)}
        if knob.choices:
            kind = type(knob.choices[0])
            options["callback"] = self._told(name, kind)
            with self._app.theme.dropdown():
                return dpg.add_combo([str(c) for c in knob.choices], default_value=str(value), no_arrow_button=True, **options)
        if hint is bool:
            options.pop("width")
            return dpg.add_checkbox(default_value=value, **options)
        low = -math.inf if knob.low is None else knob.low
        high = math.inf if knob.high is None else knob.high
        number = f" {unit}" if unit and unit != "%" else ""
        if hint is int:
            if high - low <= SLIDER_STEPS:
                limits = {"min_value": int(low), "max_value": int(high)}
                return dpg.add_slider_int(default_value=value, clamped=True, format=f"%d{number}", **limits, **options)
            return dpg.add_input_int(default_value=value, step=0, on_enter=True, **options)
        if hint is float:
            if high - low <= SLIDER_SPAN and (low == 0 or high / low < 1e3):
                limits = {"min_value": float(low), "max_value": float(high)}
                return dpg.add_slider_float(default_value=value, clamped=True, format=f"%.2f{number}", **limits, **options)
            return dpg.add_input_float(default_value=value, step=0, format=f"%.4g{number}", on_enter=True, **options)
        return dpg.add_input_text(default_value=self._said(value), on_enter=True, **options)

    def _told(self, name: str, kind: Callable[[Any], Any] | None = None) -> Callable[..., None]:
        def callback(sender: int | str, value: Any) -> None:
            self._set(name, kind(value) if kind else value)

        return callback

    def _set(self, name: str, value: Any) -> None:
        try:
            self._change(name, value)
        finally:
            item, _ = self._items[name]
            self._items[name] = (item, object())  # whatever came of it is shown at the next update
