"""The generator: which one paints, its settings, and the LoRAs in use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import dearpygui.dearpygui as dpg

from studio import generators
from studio.gui.panels import Panel
from studio.gui.panels._loras import Loras
from studio.gui.panels._part import Part
from studio.gui.panels._room import Section
from studio.gui.panels._words import named

if TYPE_CHECKING:
    from studio.gui.app import App


@dataclass(frozen=True)
class Generator(Panel):
    """What paints."""

    title: ClassVar[str] = "Generator"
    place: ClassVar[Any] = "left"
    order: ClassVar[int] = 30

    def build(self, app: App, parent: int | str) -> Callable[[], None]:
        section = Section(parent)
        with dpg.group(parent=parent):
            tip = "What paints. Another one is used from the next start on."
            part = Part(app, "generator", generators.SOCKET, tip, said=lambda kind: (kind.__doc__ or "").split("\n")[0])
            loras = Loras(app)

        def update() -> None:
            part.update()
            loras.update()
            config = app.session.document.config
            more = f" and {len(config.loras)} LoRA{'s' if len(config.loras) > 1 else ''}" if config.loras else ""
            section.update(named(generators.SOCKET.name_of(config.generator)) + more)

        return update
