"""Where the answers lie over two variations that are compared."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from studio.gui import versus


def like(scale: float) -> Any:
    """As much of a theme as the geometry asks for."""
    return SimpleNamespace(scale=scale, px=lambda size: round(size * scale))


@pytest.fixture(autouse=True)
def _a_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versus, "_wide", lambda words, theme: 8 * theme.scale * len(words))


@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0])
def test_answers_keep_apart_in_every_viewport(scale: float) -> None:
    for width in range(round(240 * scale), 1600, 20):
        pills = [versus._pill(name, (width, 400), like(scale)) for name in ("left", "neither", "right")]
        edges = [x for (left, _), (right, _) in pills for x in (left, right)]
        assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= width


def test_words_are_said_where_there_is_room() -> None:
    assert versus._said((1000, 400), like(1.0)) == versus.WORDS and versus._said((300, 400), like(1.0)) == versus.ARROWS


def test_a_click_answers_by_its_side_unless_it_says_neither() -> None:
    theme, size = like(1.0), (800, 400)
    (left, top), (right, bottom) = versus._pill("neither", size, theme)
    assert versus.answer(((left + right) / 2 - 5, (top + bottom) / 2), size, theme) == "neither"
    assert versus.answer((390, 20), size, theme) == "left" and versus.answer((410, 20), size, theme) == "right"
    assert versus.answer((-1, 20), size, theme) is None and versus.answer((20, 400), size, theme) is None
