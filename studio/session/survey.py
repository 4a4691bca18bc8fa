"""What is known of the mesh's own shape: fields and lines to look at, and which rewards it cannot carry.

Measured on a thread of its own, when somebody asks; the answer is there at a later frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from studio import device, rewards
from studio.desk import Desk
from studio.errors import StudioError
from studio.fields import FIELDS, MARKS, Field
from studio.marks import Marks

if TYPE_CHECKING:
    from studio.surface.mesh import Mesh

Seen = Field | Marks | StudioError
"""The error says why there is nothing to see."""


class Survey:
    """The survey of one mesh at a time. Belongs to the main thread, which polls `desk`."""

    def __init__(self) -> None:
        self.desk = Desk("survey")
        self._mesh: Mesh | None = None
        self._found: dict[tuple[str, int], Seen | None] = {}
        self._refusals: dict[str, str] | None = None

    def see(self, name: str, mesh: Mesh, size_px: int) -> Seen | None:
        """A field or lines of `mesh` by their name in `studio.fields`, with an atlas of `size_px`; None until they are there."""
        self._take_up(mesh)
        key = name, size_px if name == "interior" else 0
        if key not in self._found:
            self._found[key] = None
            words = name.replace("_", " ")

            def keep(value: Any) -> None:
                if self._mesh is mesh:
                    self._found[key] = value

            def failed(error: BaseException) -> None:
                keep(error if isinstance(error, StudioError) else StudioError(f"The {words} cannot be shown: {error}.", ""))

            make = {**FIELDS, **MARKS}[name]
            self.desk.submit(f"measuring the {words}", lambda: self._done(lambda: make(mesh, size_px)), then=keep, failed=failed)
        return self._found[key]

    def refusals(self, mesh: Mesh) -> Mapping[str, str]:
        """Why `mesh` cannot carry a reward, for each that it cannot carry; empty until that is known."""
        self._take_up(mesh)
        if self._refusals is None:
            found = self._refusals = {}
            for name in rewards.SOCKET.working():

                def keep(reason: str, name: str = name) -> None:
                    if reason:
                        found[name] = reason

                job = lambda name=name: self._done(lambda: _refusal(name, mesh))  # noqa: E731
                self.desk.submit("looking at the mesh", job, then=keep, failed=lambda e: None)
        return self._refusals

    def _take_up(self, mesh: Mesh) -> None:
        if mesh is not self._mesh:
            self._mesh, self._found, self._refusals = mesh, {}, None

    @staticmethod
    def _done(job: Any) -> Any:
        device.leave_a_core()
        return job()


def _refusal(name: str, mesh: Mesh) -> str:
    try:
        rewards.SOCKET.make(name).check(mesh)
    except StudioError as error:
        return error.problem
    return ""
