"""Rewards: what the texture is pushed towards, how hard, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import dearpygui.dearpygui as dpg

from studio import rewards
from studio.config import Weighted, preset, preset_names
from studio.errors import StudioError
from studio.gui.choice import Choice, Entry
from studio.gui.form import Form, editable, spoken
from studio.gui.panels import Panel
from studio.gui.panels._gauges import rewarding
from studio.gui.panels._masks import Masks
from studio.gui.panels._part import entries
from studio.gui.panels._room import measurable, room, span
from studio.gui.panels._swatches import Swatches, colour_knobs
from studio.gui.panels._words import fitted, named, number
from studio.gui.theme import ASH, BONE, CURVES, FIELD, GRID, SMALL_PX, Colour
from studio.plug import knobs

if TYPE_CHECKING:
    from studio.gui.app import App

WEIGHT = 2.0
"""The slider's range to either side; larger weights can be typed."""
EYE, SPARK, NUMBER, SPARK_TALL, SHARE = 28, 112, 56, 24, 44
"""Widths and a height in unscaled pixels: a small button, a sparkline with its number, that number, and a share in per cent."""
LABEL, NAME = 88, 64
"""Unscaled pixels for the labels of a reward's own knobs, and for its name at least."""
POINTS = 64
"""A sparkline has no more points than this."""


@dataclass(frozen=True)
class Rewards(Panel):
    """What the texture is pushed towards."""

    title: ClassVar[str] = "Rewards"
    place: ClassVar[Any] = "left"
    order: ClassVar[int] = 40

    def build(self, app: App, parent: int | str) -> Callable[[], None]:
        return _Rewards(app, parent).update


def sparkline(values: Sequence[float], width: float, height: float) -> list[tuple[float, float]]:
    """Places of at most POINTS values in a box, the newest at its right edge; a single value gives none."""
    if len(values) < 2:
        return []
    step = max(1, -(-len(values) // POINTS))
    kept = [*values[::step][:-1], values[-1]] if step > 1 else list(values)
    low, high = min(kept), max(kept)
    if high == low:
        return [(0.0, height / 2), (width, height / 2)]
    return [(i * width / (len(kept) - 1), height * (high - v) / (high - low)) for i, v in enumerate(kept)]


def colour(name: str, curves: Iterable[str]) -> Colour:
    """The colour of a reward's curve among others, as the curves' panel gives it: by name, totals left out."""
    return CURVES[sum(n < name for n in set(rewarding(curves))) % len(CURVES)]


class _Rewards:
    def __init__(self, app: App, parent: int | str) -> None:
        self._app = app
        self._seen: tuple[Any, ...] = ()
        self._names: tuple[str, ...] | None = None
        self._rows: dict[str, _Row] = {}
        self._opened: set[str] = set()
        with dpg.group(parent=parent):
            tip = "Settings made for a purpose. A preset keeps your prompt, seed and device, and replaces everything else."
            Choice(app, "rewards.presets", tip, self._presets, app.session.apply_preset, label="Presets")
            app.theme.note("", tag="rewards.note")
            dpg.add_group(tag="rewards.rows")
            tip = "One more thing to push the texture towards."
            Choice(app, "rewards.add", tip, self._others, app.session.add_reward, label="+  Add a reward")

    def _presets(self) -> list[Entry]:
        return [Entry(name, named(name), str(preset(name).get("description", ""))) for name in preset_names()]

    def _others(self) -> list[Entry]:
        used = self._app.session.document.config.weights()
        found = [e for e in entries(rewards.SOCKET, lambda kind: kind.description) if e.name not in used]  # type: ignore[attr-defined]
        refused = self._refusals()
        found = [replace(e, why_not=e.why_not or refused.get(e.name)) for e in found]
        return found or [Entry("", "All are in use", why_not="Every reward there is stands in the list.")]

    def _refusals(self) -> Mapping[str, str]:
        """Why the mesh cannot carry a reward, as far as that is known: it is asked once torch has been loaded for the picture."""
        session = self._app.session
        return session.survey.refusals(session.mesh) if session.mesh is not None and session.texture is not None else {}

    def update(self) -> None:
        """Follow the session: other rewards get other rows."""
        session, canvas, wide = self._app.session, self._app.canvas, span(self._app)
        heat = getattr(canvas, "heat", None)
        for weighted in session.document.config.rewards:
            if weighted.name in self._rows:
                self._rows[weighted.name].follow(weighted)
        refused = self._refusals()
        state = (session.revision, heat, wide, tuple(refused))
        if state == self._seen or not measurable(self._app):
            return
        self._seen = state
        config = session.document.config
        names = tuple(w.name for w in config.rewards)
        if names != self._names:
            self._names = names
            dpg.delete_item("rewards.rows", children_only=True)
            self._rows = {w.name: _Row(self._app, w, self._opened) for w in config.rewards}
        for weighted in config.rewards:
            self._rows[weighted.name].update(weighted, heat == weighted.name, wide, refused.get(weighted.name, ""))
        sentence = ""
        if not names:
            sentence = "Without rewards the generator paints as it is. Add one, or take a preset."
        elif not config.trainer.follows_rewards:
            sentence = "They are only measured: this trainer learns nothing from them. Choose another one under Training."
        dpg.configure_item("rewards.note", show=bool(sentence))
        dpg.set_value("rewards.note", sentence)


class _Row:
    """One reward: eye, name, sparkline and menu; the weight; its share of the push; its knobs, folded away."""

    def __init__(self, app: App, weighted: Weighted, opened: set[str]) -> None:
        """`opened`: the rewards whose knobs are shown, kept over rebuilding."""
        self._app, self._name, self._reward, self._opened = app, weighted.name, weighted.reward, opened
        self._colour = CURVES[0]
        self._drawn: tuple[Any, ...] = ()
        theme, px, tag = app.theme, app.theme.px, f"rewards.{weighted.name}"
        kind = type(weighted.reward)
        with dpg.group(parent="rewards.rows", tag=tag):
            with dpg.group(horizontal=True):
                tip = "Show on the mesh where this reward pushes. Once more: the material again."
                theme.button("◉", tip, self._eye, kind="quiet", tag=f"{tag}.eye", width=px(EYE))
                dpg.add_text(named(self._name), tag=f"{tag}.name")
                theme.tip(f"{tag}.name", f"{kind.description}" + (f"\nIn the paper: {kind.alias}." if kind.alias else ""))
                dpg.add_spacer(tag=f"{tag}.gap")
                with dpg.group(tag=f"{tag}.curve"):
                    dpg.add_drawlist(px(SPARK), px(SPARK_TALL), tag=f"{tag}.spark")
                theme.tip(f"{tag}.curve", "What it says of the texture, newest at the right: higher is better.")
                tip = "Its settings, and how to remove it."
                theme.button("⚙", tip, self._fold, kind="quiet", tag=f"{tag}.more", width=px(EYE))
            default = kind.default_weight
            dpg.add_slider_float(
                tag=f"{tag}.weight", width=-1, min_value=-WEIGHT, max_value=WEIGHT, format="× %.2f",
                default_value=weighted.weight, callback=lambda _, value: self._weigh(value),
            )  # fmt: skip
            tip = "How hard it pushes; below 0 it pushes the other way. It answers during a run."
            theme.tip(f"{tag}.weight", f"{tip}\nCtrl+click types a number. Right-click: back to {default:g}.")
            editable(app, f"{tag}.weight", lambda: app.session.set_weight(self._name, default))
            with dpg.group(tag=f"{tag}.push"):
                dpg.add_drawlist(1, px(14), tag=f"{tag}.share")
            theme.note("", tag=f"{tag}.refused")
            theme.tip(f"{tag}.push", "Its present share of the push that all rewards together give the texture.")
            with dpg.group(tag=f"{tag}.knobs", indent=px(GRID), show=self._name in opened):
                theme.note(kind.description)
                coloured = colour_knobs(weighted.reward)
                plain = tuple(k for k in knobs(weighted.reward) if k not in coloured)
                self._swatches = {k: self._colours(k) for k in coloured}
                self._form = Form(app, dpg.add_group(), tag, weighted.reward, only=plain, label_px=LABEL) if plain else None
                tip = "A grey picture on the texture: this reward pushes where it is white, less where grey, not where black."
                self._masks = Masks(app, tag, "region", "Region…", tip, label_px=LABEL, inset_px=GRID)
                theme.button("✗  Remove", "Take this reward out of the list.", self._remove, kind="quiet", tag=f"{tag}.remove")
        dpg.bind_item_font(f"{tag}.spark", theme.small)
        dpg.bind_item_font(f"{tag}.share", theme.small)

    def _colours(self, knob: str) -> Swatches:
        px, known = self._app.theme.px, knobs(type(self._reward))[knob]
        with self._app.theme.row(spoken(knob), known.help, width=LABEL):
            return Swatches(self._app, f"rewards.{self._name}", knob, width=room(self._app) - px(LABEL + GRID))

    # -- callbacks ----------------------------------------------------------------------------------------------------------

    def _eye(self) -> None:
        canvas = self._app.canvas
        assert canvas is not None
        canvas.set_heat(None if canvas.heat == self._name else self._name)

    def _weigh(self, weight: float) -> None:
        try:
            self._app.session.set_weight(self._name, round(weight, 3))
        except StudioError:  # typed, and beyond all bounds
            dpg.set_value(f"rewards.{self._name}.weight", self._app.session.document.config.weights()[self._name])
            raise

    def _fold(self) -> None:
        self._opened ^= {self._name}
        dpg.configure_item(f"rewards.{self._name}.knobs", show=self._name in self._opened)

    def _remove(self) -> None:
        self._app.session.remove_reward(self._name)
        self._app.session.commit()

    # -- following ----------------------------------------------------------------------------------------------------------

    def follow(self, weighted: Weighted) -> None:
        """Show its knobs and its masks as they are."""
        if self._form is not None:
            self._form.update(weighted.reward)
        for knob, swatches in self._swatches.items():
            swatches.update(getattr(weighted.reward, knob))
        self._masks.update(weighted.region)

    def update(self, weighted: Weighted, seen: bool, wide: int, refused: str) -> None:
        """`seen`: its heat map is shown; `wide`: the column's inside in pixels; `refused`: why the mesh cannot carry it."""
        session, tag, theme = self._app.session, f"rewards.{self._name}", self._app.theme
        if not dpg.is_item_active(f"{tag}.weight"):
            dpg.set_value(f"{tag}.weight", weighted.weight)
        curve, share = session.curves.get(self._name, []), session.shares.get(self._name)
        state = (seen, wide, len(curve), curve[-1:], share, refused)
        if state == self._drawn:
            return
        self._drawn = state
        dpg.bind_item_theme(f"{tag}.eye", theme.chosen if seen else theme.quiet)
        self._grey(refused)
        self._spread(wide)
        self._colour = colour(self._name, session.curves or session.document.config.weights())
        self._draw_curve([value for _, value in curve])
        self._draw_share(share, wide)

    def _grey(self, refused: str) -> None:
        """A reward that the mesh cannot carry cannot be weighed or looked at, and says why."""
        tag, dim = f"rewards.{self._name}", self._app.theme.dim
        dpg.configure_item(f"{tag}.refused", show=bool(refused))
        dpg.set_value(f"{tag}.refused", refused)
        dpg.configure_item(f"{tag}.push", show=not refused)
        for part in ("eye", "weight"):
            dpg.configure_item(f"{tag}.{part}", enabled=not refused)
        for part in ("name", "weight"):
            dpg.bind_item_theme(f"{tag}.{part}", dim if refused else 0)

    def _spread(self, wide: int) -> None:
        """The name at the left, the sparkline, where there is room for it, and the menu at the right edge."""
        px, tag = self._app.theme.px, f"rewards.{self._name}"
        left = wide - px(2 * EYE + SPARK + 4 * GRID)
        dpg.configure_item(f"{tag}.curve", show=left >= px(NAME))
        left += px(SPARK + GRID) if left < px(NAME) else 0
        name = fitted(named(self._name), left, lambda text: dpg.get_text_size(text)[0])
        dpg.set_value(f"{tag}.name", name)
        dpg.configure_item(f"{tag}.gap", width=max(1, round(left - dpg.get_text_size(name)[0])))

    def _draw_curve(self, values: list[float]) -> None:
        px, where = self._app.theme.px, f"rewards.{self._name}.spark"
        dpg.delete_item(where, children_only=True)
        if not values:
            ends = [(px(x), px(SPARK_TALL) / 2) for x in (NUMBER + 4, SPARK)]
            dpg.draw_line(*ends, color=FIELD, thickness=px(1), parent=where)
            return
        text, small = number(values[-1]), self._app.theme.small
        wide = dpg.get_text_size(text, font=small)[0]
        dpg.draw_text((px(NUMBER) - wide - px(4), px(5)), text, color=ASH, size=px(SMALL_PX), parent=where)
        inset = px(4)
        points = sparkline(values, px(SPARK - NUMBER) - 2 * inset, px(SPARK_TALL) - 2 * inset)
        points = [(px(NUMBER) + inset + x, inset + y) for x, y in points]
        if points:
            dpg.draw_polyline(points, color=self._colour, thickness=1.5 * self._app.theme.scale, parent=where)
        last = points[-1] if points else (px(SPARK) - inset, px(SPARK_TALL) / 2)
        dpg.draw_circle(last, px(2), color=self._colour, fill=self._colour, parent=where)

    def _draw_share(self, share: float | None, wide: int) -> None:
        px, where = self._app.theme.px, f"rewards.{self._name}.share"
        dpg.configure_item(where, width=wide)
        dpg.delete_item(where, children_only=True)
        long, top, tall = wide - px(SHARE), px(5), px(4)
        for length, fill in ((long, FIELD), (long * (share or 0), self._colour)):
            if length:
                end = max(tall, length), top + tall
                dpg.draw_rectangle((0, top), end, color=fill, fill=fill, rounding=px(2), parent=where)
        if share is not None:
            text = f"{share:.0%}".replace("%", " %")
            left = wide - dpg.get_text_size(text, font=self._app.theme.small)[0]
            dpg.draw_text((left, 0), text, color=BONE, size=px(SMALL_PX), parent=where)
