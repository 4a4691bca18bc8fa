"""Two variations in the viewport: which pair is shown, what a click on it means, and what is said of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from studio.gui.painter import Request
from studio.gui.panels._words import counted
from studio.gui.versus import Answer, Versus, answer

if TYPE_CHECKING:
    from studio.gui.app import App
    from studio.session.pairing import Pair
    from studio.shot import Shot

FLASH_S = 0.45
"""So long an answer stays lit."""


class Duel:
    """Follows the session's pair; the last one stays on the screen until the next has been painted."""

    def __init__(self, app: App, last: Duel | None) -> None:
        self._app = app
        self.pair: Pair | None = last.pair if last else None
        self._answered: tuple[Answer, float] | None = None

    def follow(self) -> bool:
        """Take the newest pair; True when comparing has begun or ended."""
        session, alone = self._app.session, self.pair is None
        self.pair = (session.pair or self.pair) if session.comparing else None
        return alone != (self.pair is None)

    def pick(self, found: Answer) -> None:
        """Answer the pair that is shown."""
        session = self._app.session
        if session.pair is not None and session.pair is self.pair:
            self._answered = found, time.monotonic()
            session.pick(None if found == "neither" else found)

    def click(self, at: tuple[float, float], size: tuple[int, int]) -> bool:
        """A click that moved nothing, in a viewport of `size`; whether it meant something."""
        found = answer(at, size, self._app.theme) if self.pair is not None else None
        if found is not None:
            self.pick(found)
        return found is not None

    def request(self, shot: Shot) -> Request | None:
        """The picture of both; None while there is no pair."""
        if self.pair is None:
            return None
        left, right = self.pair
        return Request(shot, left.mesh, left.texture, beside=right.texture)

    def versus(self, mouse: tuple[float, float], size: tuple[int, int], *, busy: bool) -> Versus | None:
        """What lies over it; `busy`: the mouse does something else."""
        session = self._app.session
        if self.pair is None:
            return None
        lit = self._answered[0] if self._answered and time.monotonic() - self._answered[1] < FLASH_S else None
        meant, waiting = None if busy else answer(mouse, size, self._app.theme), session.pair is None
        if waiting:
            return Versus("Painting the next two …", meant=meant, picked=lit, waiting=True)
        return Versus("Which one is better?", counted(session.picked, "pick") if session.picked else "", meant, lit)
