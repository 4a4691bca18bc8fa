"""Training: what is done with the rewards, for how long, and on which device."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import dearpygui.dearpygui as dpg

from studio import renderers, trainers
from studio.config import Config
from studio.gui.choice import Choice, Entry
from studio.gui.form import LIVE as DOT
from studio.gui.form import Form, spoken
from studio.gui.panels import Panel
from studio.gui.panels._masks import Masks
from studio.gui.panels._part import Part, entries
from studio.gui.panels._room import Section
from studio.gui.panels._words import named, number
from studio.plug import knobs

if TYPE_CHECKING:
    from studio.document import Document
    from studio.gui.app import App

LIVE = ("rate", "anchor", "k")
"""The trainers' knobs that answer during a run."""
RUN = (
    *("iterations", "views", "max_views", "held_out", "judge_every", "judge", "judge_path", "unwrap", "angle_mask_deg"),
    "reward_chunk",
)
LABEL_PX = 112
DRIFT = "How far the generator has moved from the untrained one. A higher anchor holds it back; a full bar means it is lost."


@dataclass(frozen=True)
class Training(Panel):
    """How it is painted, and with what."""

    title: ClassVar[str] = "Training"
    place: ClassVar[Any] = "left"
    order: ClassVar[int] = 50

    def build(self, app: App, parent: int | str) -> Callable[[], None]:
        return _Training(app, parent).update


def sizes(app: App) -> list[Entry]:
    """Sides of the exported texture."""
    notes = {256: "A sketch.", 1024: "For most things.", 4096: "For close-ups; slow on a processor."}
    return [Entry(str(px), f"{px} px", notes.get(px, "")) for px in (256, 512, 1024, 2048, 4096)]


def devices(app: App) -> list[Entry]:
    """Where a run may compute; whether a card is really there is known when the run begins, and said then."""
    mac = sys.platform == "darwin"
    return [
        Entry("auto", "Auto", "A graphics card if there is one, else the processor."),
        Entry("cpu", "CPU", "The processor: works everywhere."),
        Entry("cuda", "CUDA", "The first NVIDIA card.", "NVIDIA cards are not supported on a Mac." if mac else None),
        Entry("cuda:1", "CUDA 1", "The second NVIDIA card.", "NVIDIA cards are not supported on a Mac." if mac else None),
        Entry("mps", "MPS", "The graphics of an Apple chip.", None if mac else "Only Macs have it."),
    ]


def rasterisers(app: App) -> list[Entry]:
    """What may find the surface behind each pixel. Whether one works here is asked once the libraries it needs are there."""
    auto = Entry("auto", "Auto", "The fastest one that works here.")
    if app.session.loading and app.session.texture is None:
        wait = "The libraries are still being loaded: open this list again in a moment."
        return [auto, *(Entry(name, named(name), why_not=wait) for name in renderers.SOCKET.names())]
    about = {"embree": "On the processor.", "nvdiffrast": "On an NVIDIA card."}
    return [auto, *entries(renderers.SOCKET, lambda kind: about.get(renderers.SOCKET.name_of(kind), ""))]


def distance(drift: float) -> float:
    """A mean square of differences as a part of the bar, 0 to 1: its root, full where predictions differ by what they hold."""
    return min(1.0, math.sqrt(max(0.0, drift)))


LISTS: dict[str, Callable[[App], list[Entry]]] = {"atlas_px": sizes, "device": devices, "renderer": rasterisers}
TIPS = {
    "atlas_px": "Side of the exported texture.",
    "device": "Where to compute.",
    "renderer": "What finds the surface behind each pixel.",
}
MASKS = {
    "region": ("Region…", "A grey picture on the texture: rewards push where it is white, less where grey, not where black."),
    "lock": ("Lock…", "A picture on the texture: what is white in it stays as the mesh has it, to the last bit."),
}
"""Labels and tips."""
SAID = {"cpu": "CPU", "cuda": "CUDA", "mps": "MPS"}


class _Training:
    def __init__(self, app: App, parent: int | str) -> None:
        self._app = app
        self._seen: Document | None = None
        theme, session = app.theme, app.session
        self._section = Section(parent)
        with dpg.group(parent=parent):
            tip = "What is done with the rewards. Another one is used from the next start on."
            self._part = Part(app, "trainer", trainers.SOCKET, tip, said=lambda kind: kind.when, live=LIVE)  # type: ignore[attr-defined]
            theme.note(f"{DOT.strip()} answers during a run", tag="trainer.live")
            with dpg.group(tag="trainer.drift.row", show=False), theme.row("Drift", DRIFT, width=LABEL_PX):
                dpg.add_progress_bar(tag="trainer.drift", width=-1)
                dpg.bind_item_theme("trainer.drift", self._app.theme.worded)
                theme.tip("trainer.drift", DRIFT)
            dpg.add_spacer(height=0)
            theme.head("Run")
            self._form = Form(app, dpg.add_group(), "run", session.document.config, only=RUN)
            self._choices = {knob: self._choice(knob, listed) for knob, listed in LISTS.items()}
            dpg.add_spacer(height=0)
            theme.head("Masks")
            self._masks = {knob: Masks(app, "run", knob, *said) for knob, said in MASKS.items()}

    def _choice(self, knob: str, listed: Callable[[App], list[Entry]]) -> Choice:
        def pick(name: str) -> None:
            self._app.session.set_knob("run", knob, name)
            self._app.session.commit()

        known = knobs(Config)[knob]
        with self._app.theme.row(spoken(knob, known.unit), TIPS[knob], width=LABEL_PX):
            return Choice(self._app, f"run.{knob}", TIPS[knob], lambda: listed(self._app), pick)

    def update(self) -> None:
        """Follow the session."""
        self._part.update()
        session = self._app.session
        config = session.document.config
        self._form.update(config)
        for knob, masks in self._masks.items():
            masks.update(getattr(config, knob))
        trainer = named(trainers.SOCKET.name_of(config.trainer))
        self._section.update(f"{trainer}, {config.iterations:,} iterations" if config.trainer.iterates else trainer)
        if drift := session.curves.get("drift"):
            dpg.set_value("trainer.drift", distance(drift[-1][1]))
            dpg.configure_item("trainer.drift", overlay=number(drift[-1][1]))
        dpg.configure_item("trainer.drift.row", show=bool(drift))
        if session.document is self._seen:
            return
        self._seen = session.document
        for knob, choice in self._choices.items():
            value = str(getattr(config, knob))
            choice.show(f"{value} px" if knob == "atlas_px" else SAID.get(value, named(value)))
        dpg.configure_item("trainer.live", show=any(hasattr(config.trainer, knob) for knob in LIVE))
