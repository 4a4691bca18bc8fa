"""What of the mesh's own shape the viewport shows: a field in place of the channel, lines over whatever is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.errors import StudioError, unknown
from studio.fields import FIELDS, MARKS, Field
from studio.gui.overlay import Legend
from studio.marks import Marks, frusta

if TYPE_CHECKING:
    from studio.gui.app import App
    from studio.surface.mesh import Mesh

CAMERAS = "cameras"
LINES = (*MARKS, CAMERAS)
"""What can be drawn over the picture."""
NO_CAMERAS = "The painting cameras are placed when a run begins."


@dataclass(frozen=True)
class Sight:
    """What there is to see of what was asked for. Equal parts are the same objects from frame to frame."""

    field: Field | None = None
    marks: tuple[Marks, ...] = ()
    legends: tuple[Legend, ...] = ()
    notes: tuple[str, ...] = ()
    waiting: str = ""
    """What is being measured, in words."""


class Sights:
    """The choice of fields and lines. Belongs to the window's thread."""

    def __init__(self, app: App, last: Sights | None = None) -> None:
        self._app = app
        self.field: str | None = last.field if last else None
        """One of `fields.FIELDS`."""
        self.lines: frozenset[str] = last.lines if last else frozenset()
        """Some of LINES."""
        self._frusta: tuple[object, Marks] | None = None

    def choose(self, field: str | None) -> None:
        """Raises StudioError for an unknown field."""
        if field is not None and field not in FIELDS:
            raise unknown("field", field, FIELDS)
        self.field = field

    def toggle(self, line: str) -> bool:
        """Show these lines, or no longer; whether they are shown now. Raises StudioError for an unknown name."""
        if line not in LINES:
            raise unknown("kind of lines", line, LINES)
        self.lines ^= {line}
        return line in self.lines

    @property
    def cameras(self) -> Marks | None:
        """The painting cameras; None before there are any."""
        cameras = self._app.session.cameras
        if not cameras:
            return None
        if self._frusta is None or self._frusta[0] is not cameras:
            self._frusta = cameras, frusta(cameras)
        return self._frusta[1]

    def of(self, mesh: Mesh) -> Sight:
        """What is there of the choice now; what is missing is measured."""
        session, config = self._app.session, self._app.session.config
        names = [*filter(None, [self.field]), *(line for line in MARKS if line in self.lines)]
        seen = [session.survey.see(name, mesh, config.atlas_px) for name in names]
        notes = []
        if CAMERAS in self.lines:
            seen.append(self.cameras or StudioError(NO_CAMERAS, ""))
        for each in seen:
            note = each.problem if isinstance(each, StudioError) else each.note if each is not None else ""
            notes += [note] if note else []
        fields = [each for each in seen if isinstance(each, Field)]
        marks = [each for each in seen if isinstance(each, Marks)]
        legends = [Legend(f.title, f.low, f.high, "two_sided" if f.signed else "on_clay") for f in fields]
        legends += [Legend(*m.legend, "of_lines") for m in marks if m.legend is not None]
        waiting = (session.survey.desk.label or "measuring the mesh") if None in seen else ""
        return Sight(fields[0] if fields else None, tuple(marks), tuple(legends), tuple(notes), waiting)
