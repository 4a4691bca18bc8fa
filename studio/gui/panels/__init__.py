"""Panels: the window's parts beside the viewport.

To add one, put a file here that holds one frozen dataclass, a `Panel`; the window finds it by its file name and places it by
`place` and `order`. A panel holds no state: what it shows is in the session, so that it can be built anew at any time (another
UI scale, another layout). Items that a test or a shortcut must find carry a tag "<panel>.<control>".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from studio.plug import Socket

if TYPE_CHECKING:
    from studio.gui.app import App


@dataclass(frozen=True)
class Panel(ABC):
    """The promise of a file in this folder."""

    title: ClassVar[str]
    place: ClassVar[Literal["left", "run", "tools", "right", "bottom", "status"]]
    """"left": a section of the left column; "run": fixed below it; "tools": the bar above the viewport; "right": a tab;
    "bottom": side by side; "status": the bar at the foot."""
    order: ClassVar[int]
    """Panels of one place stand in this order."""
    summoned: ClassVar[bool] = False
    """A tab that is there once it is asked for, or has something to show: the right column has room for a few."""
    share: ClassVar[float] = 1.0
    """Of the bottom's width, beside its neighbours."""

    @abstractmethod
    def build(self, app: App, parent: int | str) -> Callable[[], None]:
        """Make the panel's items under `parent`; the function that is returned is called each frame to bring them up to date.

        That function must return at once when nothing it shows has changed. Both run on the main thread.
        """


SOCKET: Socket[Panel] = Socket(__name__, Panel)
