"""The zones fill the window without gaps of their own or overlaps, at every size, scale and layout."""

from __future__ import annotations

import itertools

import pytest

from studio.gui.layout import Rect, zones
from studio.gui.settings import Settings


def apart(a: Rect, b: Rect) -> bool:
    return a[0] + a[2] <= b[0] or b[0] + b[2] <= a[0] or a[1] + a[3] <= b[1] or b[1] + b[3] <= a[1]


@pytest.mark.parametrize(
    ("size", "scale"), [((1024, 640), 1.0), ((1280, 720), 1.0), ((1280, 800), 2.0), ((1920, 1080), 1.5), ((2560, 1440), 2.0)]
)
@pytest.mark.parametrize("layout", ["3d+uv", "3d", "uv"])
@pytest.mark.parametrize("panels", [True, False])
def test_zones_do_not_overlap_and_keep_within_the_window(size, scale, layout, panels) -> None:  # noqa: ANN001
    rects, edges = zones(*size, Settings(), layout=layout, panels=panels, px=lambda x: round(x * scale))
    shown = {name: r for name, r in rects.items() if r[2] > 0 and r[3] > 0}
    assert all(apart(a, b) for a, b in itertools.combinations(shown.values(), 2))
    assert all(x >= 0 and y >= 0 and x + w <= size[0] and y + h <= size[1] for x, y, w, h in shown.values())
    assert {"stage", "tools", "status"} <= set(shown) and ("left" in shown) == panels
    assert ("right" in shown) == (panels and layout != "3d") and ("right" in edges) == (panels and layout == "3d+uv")
    assert not panels or shown["left"][2] >= min(size[0] // 3, round(240 * scale)) - 3 * scale, "too narrow for its forms"
    x, y, w, h = shown["stage"]
    assert w * h >= 0.08 * size[0] * size[1]
