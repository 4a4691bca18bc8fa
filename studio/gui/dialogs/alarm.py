"""A run has paused by itself: what was noticed, and the three ways on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import dearpygui.dearpygui as dpg

from studio.gui.dialogs.dialog import Button, Dialog

if TYPE_CHECKING:
    from studio.alarm import Alarm
    from studio.gui.dialogs import Dialogs

BACK = (
    "Going back restores the texture, the LoRA and the optimiser of that iteration; Start goes on from there. A higher anchor, a "
    "lower rate or other weights keep it from happening again."
)


class Hacked(Dialog):
    """The score rises while what nothing is trained on says that the pictures get worse. Esc leaves the run paused."""

    name = "alarm"

    def __init__(self, dialogs: Dialogs, alarm: Alarm) -> None:
        super().__init__(dialogs)
        self._alarm, self._moment = alarm, self.app.session.way_back()

    def title(self) -> str:
        return "⚠  The run may be fooling its rewards"

    def fill(self) -> None:
        dpg.bind_item_theme(f"{self.name}.title", self.theme.warning)
        self.text(f"{self._alarm.words} The texture was best at iteration {self._alarm.back_to}.", tag="words")
        if self._moment is not None:
            self.text(BACK, tag="advice", dim=True)

    def buttons(self) -> list[Button]:
        session = self.app.session
        ways = [
            Button("stop", "Stop", "End the run here; what it made stays.", lambda: self._answer(session.stop)),
            Button("go_on", "Go on", "Train on as before.", lambda: self._answer(session.go_on)),
        ]
        if (moment := self._moment) is not None:
            tip = "Return to how it was then; Start goes on from there."
            words = f"Roll back to iteration {moment.iteration}"
            ways.append(Button("back", words, tip, lambda: self._answer(session.roll_back)))
        return ways

    def update(self) -> None:
        if self.app.session.alarm is None:  # answered elsewhere, or the run has ended
            self.close()

    def cancel(self) -> None:
        self.app.session.alarm = None
        self.close()

    def _answer(self, act: Callable[[], None]) -> None:
        self.close()
        act()
