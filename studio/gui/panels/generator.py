"""The generator: which one paints, and its settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import dearpygui.dearpygui as dpg

from studio import generators
from studio.gui.panels import Panel
from studio.gui.panels._part import Part

if TYPE_CHECKING:
    from studio.gui.app import App


@dataclass(frozen=True)
class Generator(Panel):
    """What paints."""

    title: ClassVar[str] = "Generator"
    place: ClassVar[Any] = "left"
    order: ClassVar[int] = 30

    def build(self, app: App, parent: int | str) -> Callable[[], None]:
        dpg.set_value(parent, False)  # folded at first: what changes often stays in sight
        with dpg.group(parent=parent):
            tip = "What paints. Another one is used from the next start on."
            part = Part(app, "generator", generators.SOCKET, tip, said=lambda kind: (kind.__doc__ or "").split("\n")[0])
        return part.update
