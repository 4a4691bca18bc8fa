"""Icons for the window's fonts: what Inter lacks, drawn on its own grid as outlines (nonzero winding, counter-clockwise is ink).

Lengths are font units: 2816 to the em, capitals 2048 high; every icon stands in a square as high as a capital.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float, float]
Outline = list[Point]

SIDE, BEARING, LINE = 2048, 160, 210
"""An icon's square, the room on both sides of it, and the thickness of lines."""
MIDDLE = SIDE / 2


def _box(left: float, bottom: float, right: float, top: float) -> Outline:
    return [(left, bottom), (right, bottom), (right, top), (left, top)]


def _arc(x: float, y: float, radius: float, start_deg: float, end_deg: float, count: int = 40) -> Outline:
    angles = [math.radians(start_deg + (end_deg - start_deg) * i / count) for i in range(count + 1)]
    return [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles]


def _ring(x: float, y: float, radius: float, line: float = LINE) -> list[Outline]:
    return [_arc(x, y, radius, 0, 360), _arc(x, y, radius - line, 360, 0)]


def _stroke(a: Point, b: Point, line: float = LINE) -> Outline:
    length = math.dist(a, b)
    dx, dy = (b[0] - a[0]) / length * line / 2, (b[1] - a[1]) / length * line / 2
    return [(a[0] + dy, a[1] - dx), (b[0] + dy, b[1] - dx), (b[0] - dy, b[1] + dx), (a[0] - dy, a[1] + dx)]


def _lens(half_width: float, half_height: float) -> Outline:
    """Two circular arcs that meet left and right."""
    radius = (half_width**2 + half_height**2) / (2 * half_height)
    reach = math.degrees(math.asin(half_width / radius))
    over = _arc(MIDDLE, MIDDLE + half_height - radius, radius, 90 - reach, 90 + reach)
    return over + _arc(MIDDLE, MIDDLE - half_height + radius, radius, 270 - reach, 270 + reach)[1:-1]


def _eye() -> list[Outline]:
    return [_lens(1010, 640), _lens(1010 - LINE * 1.9, 640 - LINE)[::-1], _arc(MIDDLE, MIDDLE, 270, 0, 360)]


def _gear() -> list[Outline]:
    teeth: Outline = []
    for tooth in range(8):
        for turn, radius in ((-15, 720), (-10, 1000), (10, 1000), (15, 720)):
            angle = math.radians(tooth * 45 + turn)
            teeth.append((MIDDLE + radius * math.cos(angle), MIDDLE + radius * math.sin(angle)))
    return [teeth, _arc(MIDDLE, MIDDLE, 400, 360, 0)]


def _lock() -> list[Outline]:
    shackle = _arc(MIDDLE, 1250, 560, 0, 180) + [(MIDDLE - 560, 900), (MIDDLE - 560 + LINE, 900)]
    shackle += _arc(MIDDLE, 1250, 560 - LINE, 180, 0) + [(MIDDLE + 560 - LINE, 900), (MIDDLE + 560, 900)]
    return [_box(264, 60, 1784, 1050), shackle]


def _corners() -> list[Outline]:
    arm = 620
    result = []
    for x, sx in ((60, 1), (SIDE - 60, -1)):
        for y, sy in ((60, 1), (SIDE - 60, -1)):
            corner = [(0, 0), (arm, 0), (arm, LINE), (LINE, LINE), (LINE, arm), (0, arm)]
            outline = [(x + sx * a, y + sy * b) for a, b in corner]
            result.append(outline if sx * sy > 0 else outline[::-1])
    return result


def _turned(outline: Sequence[Point], quarters: int) -> Outline:
    result = [(x - MIDDLE, y - MIDDLE) for x, y in outline]
    for _ in range(quarters):
        result = [(-y, x) for x, y in result]
    return [(x + MIDDLE, y + MIDDLE) for x, y in result]


_TRIANGLE = [(560, 330), (1490, 1024), (560, 1718)]
_FOLDER = [(60, 220), (1988, 220), (1988, 1560), (980, 1560), (800, 1820), (60, 1820)]

ICONS: dict[str, list[Outline]] = {
    "\u25b8": [_TRIANGLE],
    "\u25b4": [_turned(_TRIANGLE, 1)],
    "\u25c2": [_turned(_TRIANGLE, 2)],
    "\u25be": [_turned(_TRIANGLE, 3)],
    "\u23f8": [_box(300, 130, 800, 1918), _box(1248, 130, 1748, 1918)],  # pause
    "\u23ed": [[(200, 130), (1420, 1024), (200, 1918)], _box(1480, 130, 1840, 1918)],  # step
    "\u25c9": _eye(),
    "\u25cc": [*_eye(), _stroke((230, 150), (1818, 1898))],  # eye, struck out
    "\u2315": [*_ring(860, 1188, 760), _stroke((1360, 688), (1960, 88), 260)],  # magnifier
    "\u2699": _gear(),
    "\u26bf": _lock(),
    "\u2630": [_box(100, y, 1948, y + LINE) for y in (300, 919, 1538)],  # menu
    "\u26f6": _corners(),  # frame
    "\u2750": [_FOLDER],
}
"""Character → outlines of its icon."""
