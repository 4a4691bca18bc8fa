"""Materials from pictures: choose them, recover, see what does not fit, turn the light around what was found, write it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import dearpygui.dearpygui as dpg
import numpy as np

from studio.exporters.turntable import ENVIRONMENTS
from studio.gui.choice import Choice, Entry
from studio.gui.form import Form
from studio.gui.panels import Panel
from studio.gui.panels._pictures import Shelf
from studio.gui.panels._room import measurable
from studio.gui.panels._words import duration, fitted, named
from studio.gui.theme import GRID
from studio.recovery import LEARN, MEANINGS, PRESETS

if TYPE_CHECKING:
    from studio.gui.app import App
    from studio.materials import Misfit
    from studio.session.recovering import Moment, Recovery

LABEL, TALL, BAR, STOP = 96, 36, 6, 72
"""Unscaled pixels: the widths of labels and of the stop button, and heights."""
INTRO = (
    "Pictures of this very mesh, taken from known cameras, become its materials: base color, roughness, metallic, normal and "
    "occlusion, on its own UVs, and the light they were taken in."
)
SHOWN = ("atlas_px", "iterations", "fine_iterations", "batch_px", "size_px", "levels", "ssaa", "background", "occlusion")
"""The settings that are offered."""
OWN = "pictures"
LIGHTS = {
    OWN: ("From the pictures", "The light named in capture.json; learned where nothing is named."),
    LEARN: ("Learned", "The light is found along with the materials, up to its brightness."),
}
ABOUT = {
    "split": "Color and normal first, roughness and metallic on a ramp: fails least.",
    "paper": "The losses of Separate and Specialize, each for a branch of its own.",
    "joint": "One network for everything, as plain nvdiffrec: to compare with.",
}
TIPS = {
    "light": "The light in which the pictures were taken.",
    "convention": "What the file of cameras means by a camera's axes. A wrong one is found out and named.",
    "preset": "How it is recovered.",
    "relight": "Turn the light around the mesh: real materials answer it everywhere. Right-click: back to 0°.",
    "shown_in": "The light in which the viewport shows the mesh.",
}
BUTTON = {"running": "⏸   Pause", "paused": "▶   Resume", "stopping": "Stopping …"}


@dataclass(frozen=True)
class Recover(Panel):
    """Photos of the mesh in, its materials out."""

    title: ClassVar[str] = "Recover"
    place: ClassVar[Any] = "right"
    order: ClassVar[int] = 25
    summoned: ClassVar[bool] = True

    def build(self, app: App, parent: int | str) -> Callable[[], None]:
        return _Recover(app, parent).update


def saying(state: str, now: Moment) -> tuple[str, str]:
    """Two short lines about a recovery: where it is, and how well it meets the pictures."""
    stage = now.stage[:1].upper() + now.stage[1:] or "Reading"
    where = f"{stage} {now.step}/{now.total}" if now.total > 1 else stage
    left = f"{duration(now.eta_s)} left" if now.eta_s is not None and state == "running" else ""
    return where, "  ·  ".join(filter(None, (f"Pictures met to {now.psnr:.1f} dB" if now.psnr else "", left)))


def result(report: Any) -> str:
    """What came of it, in two sentences."""
    seen = f"{report['seen']:.0%} of the surface was seen"
    rest = "" if report["seen"] > 0.995 else "; what no picture shows is filled in"
    return f"The {report['views']} pictures are met to {report['psnr']:.1f} dB. {seen}{rest}."


def bordered(shown: np.ndarray) -> np.ndarray:
    """[n, n, 3] uint8 as [n, n, 4] float32."""
    opaque = np.ones((*shown.shape[:2], 4), np.float32)
    opaque[..., :3] = shown / np.float32(255)
    return opaque


class _Recover:
    def __init__(self, app: App, parent: int | str) -> None:
        self._app, self._shelf = app, Shelf("recover")
        self._parent = parent
        self._seen: tuple[Any, ...] = ()
        self._misfit = 0
        self._texture: int | None = None
        theme, px = app.theme, app.theme.px
        with dpg.child_window(parent=parent, tag="recover.list", border=False, height=-1):
            dpg.add_spacer(height=px(GRID) // 2)
            theme.head("Materials from pictures")
            theme.note(INTRO, tag="recover.intro")
            tip = "Choose the cameras that lie with the pictures: capture.json, transforms.json, poses_bounds.npy or USD."
            theme.button("Pictures …", f"{tip} Key: Ctrl+P", app.dialogs.choose_pictures, tag="recover.open", width=-1)
            theme.note("", tag="recover.pictures")
            with dpg.group(horizontal=True):
                tip = "Recover the materials of the mesh from the pictures."
                theme.button("", tip, self._go, kind="primary", tag="recover.start", height=px(TALL))
                dpg.bind_item_font("recover.start", theme.strong)
                tip = "End it; the mesh stays as it was."
                theme.button("■  Stop", tip, app.session.recovery.stop, tag="recover.stop", width=px(STOP), height=px(TALL))
            with dpg.group(tag="recover.going", show=False):
                dpg.add_progress_bar(tag="recover.progress", width=-1, height=px(BAR))
                theme.tip("recover.progress", "How much of the present stage is done.")
                theme.note("", tag="recover.where")
                theme.note("", tag="recover.pace")
            self._build_misfits()
            self._build_result()
            dpg.add_spacer(height=px(GRID) // 2)
            theme.head("Settings")
            self._choices = {
                "light": self._choice("light", "Light", self._lights, self._choose_light),
                "convention": self._choice("convention", "Cameras", self._conventions, app.session.recovery.convention),
                "preset": self._choice("preset", "Preset", self._presets, app.session.recovery.choose),
            }
            options = {"only": SHOWN, "label_px": LABEL, "told": app.session.recovery.set}
            self._form = Form(app, dpg.add_group(), "recover", self._recovery.wish.settings, **options)

    @property
    def _recovery(self) -> Recovery:
        return self._app.session.recovery

    # -- building -----------------------------------------------------------------------------------------------------------

    def _choice(self, name: str, label: str, entries: Callable[[], list[Entry]], pick: Callable[[str], None]) -> Choice:
        with self._app.theme.row(label, TIPS[name], width=LABEL):
            return Choice(self._app, f"recover.{name}", TIPS[name], entries, pick)

    def _build_misfits(self) -> None:
        theme, px = self._app.theme, self._app.theme.px
        with dpg.group(tag="recover.misfits", show=False):
            dpg.add_spacer(height=px(GRID) // 2)
            theme.head("Pictures that do not fit")
            theme.note("Green is the mesh as the camera sees it, red the picture's mask, white where both agree.")
            dpg.add_group(tag="recover.overlay")
            with dpg.group(horizontal=True):
                theme.button("◂", "The picture before.", lambda: self._walk(-1), tag="recover.last", width=px(32))
                theme.button("▸", "The next picture.", lambda: self._walk(1), tag="recover.next", width=px(32))
                theme.note("", tag="recover.count", wrap=-1)
            theme.note("", tag="recover.misfit")

    def _build_result(self) -> None:
        app, theme, px = self._app, self._app.theme, self._app.theme.px
        with dpg.group(tag="recover.result", show=False):
            dpg.add_spacer(height=px(GRID) // 2)
            theme.head("Recovered")
            theme.note("", tag="recover.report")
            with theme.row("Turn the light", TIPS["relight"], width=LABEL):
                options: dict[str, Any] = {"min_value": 0.0, "max_value": 360.0, "clamped": True, "format": "%.0f°", "width": -1}
                dpg.add_slider_float(tag="recover.relight", callback=lambda _, deg: self._turn(deg), **options)
            theme.tip("recover.relight", TIPS["relight"])
            with dpg.item_handler_registry() as handlers:
                dpg.add_item_clicked_handler(dpg.mvMouseButton_Right, callback=lambda: self._turn(0.0))
            dpg.bind_item_handler_registry("recover.relight", handlers)
            entries = lambda: [Entry(name, named(name)) for name in ENVIRONMENTS]  # noqa: E731
            self._shown_in = self._choice("shown_in", "Shown in", entries, lambda name: self._canvas().set_environment(name))
            tip = "Write separate maps, the packed one, the light and a GLB into a folder."
            theme.button("Save maps, light and GLB …", tip, app.dialogs.export_materials, tag="recover.export", width=-1)

    # -- callbacks ----------------------------------------------------------------------------------------------------------

    def _canvas(self) -> Any:
        return self._app.canvas

    def _go(self) -> None:
        (self._recovery.toggle if self._recovery.active else self._app.session.recover)()

    def _choose_light(self, name: str) -> None:
        self._recovery.light(None if name == OWN else name)

    def _turn(self, deg: float) -> None:
        self._canvas().turn_environment(deg - self._canvas().shot.environment_turn_deg)

    def _walk(self, step: int) -> None:
        self._misfit += step

    def _lights(self) -> list[Entry]:
        own = [Entry(name, label, note) for name, (label, note) in LIGHTS.items()]
        return own + [Entry(name, named(name)) for name in ENVIRONMENTS]

    def _conventions(self) -> list[Entry]:
        return [Entry(name, named(name), f"{words[:1].upper()}{words[1:]}.") for name, words in MEANINGS.items()]

    def _presets(self) -> list[Entry]:
        return [Entry(name, named(name), ABOUT[name]) for name in PRESETS]

    # -- following ----------------------------------------------------------------------------------------------------------

    def update(self) -> None:
        """Follow the session and the viewport's light."""
        session, recovery, shot = self._app.session, self._recovery, self._canvas().shot
        if (self._seen and not dpg.is_item_visible(self._parent)) or not measurable(self._app):
            return
        if not dpg.is_item_active("recover.relight"):
            dpg.set_value("recover.relight", shot.environment_turn_deg)
        self._shown_in.show(named(shot.environment))
        wide = (dpg.get_item_width("zone.right") or 0) - self._app.theme.px(36)
        state = (session.revision, self._misfit, wide, session.mesh is not None)
        if state == self._seen:
            return
        self._seen = state
        wish, active, px = recovery.wish, recovery.active, self._app.theme.px
        pictures = wish.pictures
        words = "None chosen yet." if pictures is None else f"{pictures.parent.name}/{pictures.name}"
        dpg.set_value("recover.pictures", self._fitted(words, wide))
        dpg.configure_item("recover.intro", show=pictures is None)
        able = pictures is not None and session.mesh is not None and recovery.state != "stopping"
        label = BUTTON.get(recovery.state, "▶   Recover materials")
        dpg.configure_item("recover.start", label=label, enabled=able, width=wide - active * px(STOP + GRID))
        dpg.configure_item("recover.stop", show=active)
        dpg.configure_item("recover.going", show=active)
        dpg.set_value("recover.progress", recovery.moment.step / max(1, recovery.moment.total))
        for tag, line in zip(("where", "pace"), saying(recovery.state, recovery.moment), strict=True):
            dpg.set_value(f"recover.{tag}", line)
        self._follow_misfits(recovery.misfits, wide)
        outcome = recovery.outcome
        dpg.configure_item("recover.result", show=outcome is not None)
        dpg.set_value("recover.report", "" if outcome is None else result(outcome.report))
        self._form.update(wish.settings)
        light = wish.light or OWN
        self._choices["light"].show(LIGHTS[light][0] if light in LIGHTS else named(light))
        self._choices["convention"].show(named(wish.convention))
        self._choices["preset"].show(named(wish.preset))

    def _fitted(self, words: str, wide: int) -> str:
        return fitted(words, wide, lambda text: dpg.get_text_size(text, font=self._app.theme.small)[0])

    def _follow_misfits(self, misfits: tuple[Misfit, ...], wide: int) -> None:
        dpg.configure_item("recover.misfits", show=bool(misfits))
        dpg.delete_item("recover.overlay", children_only=True)
        self._shelf.drop(self._texture)
        self._texture = None
        if misfits and wide > 0:
            self._misfit %= len(misfits)
            one = misfits[self._misfit]
            self._texture = self._shelf.put(bordered(one.shown))
            dpg.add_image(self._texture, parent="recover.overlay", tag="recover.picture", width=wide, height=wide)
            self._app.theme.tip("recover.picture", "The picture, the mesh's outline by its camera, and its mask's.")
            dpg.set_value("recover.count", f"{self._misfit + 1} of {len(misfits)}, overlap {one.overlap:.0%}")
            dpg.set_value("recover.misfit", self._fitted(one.name, wide))
