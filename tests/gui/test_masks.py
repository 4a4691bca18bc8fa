"""What the rows of masks and the atlas's overlay compute, without a window."""

from __future__ import annotations

import numpy as np

from studio.gui.panels._masked import DIM, TINT, hatched, tinted
from studio.gui.panels._masks import per_set, replaced
from studio.gui.theme import CHARCOAL, VERDIGRIS


def test_one_mask_is_for_all_sets_until_one_gets_its_own() -> None:
    assert per_set((), 2) == ["", ""] and per_set(("a",), 2) == ["a", "a"] and per_set(("a", "b", "c"), 2) == ["a", "b"]
    assert replaced((), 1, 0, "a") == ("a",) and replaced(("a",), 2, 1, "b") == ("a", "b")
    assert replaced(("a", "b"), 2, 0, "") == ("", "b") and replaced(("", "b"), 2, 1, "") == ()


def test_what_is_locked_is_dark_with_lines_and_the_rest_untouched() -> None:
    ground = np.full((32, 32, 4), 0.8, np.float32)
    locked = np.zeros((32, 32), np.float32)
    locked[:, 16:] = 1
    shown = hatched(ground, locked)
    assert np.array_equal(shown[:, :16], ground[:, :16]) and np.array_equal(shown[..., 3], ground[..., 3])
    dark = 0.8 * (1 - DIM) + np.array(CHARCOAL[:3]) / 255 * DIM
    between = np.abs(shown[:, 16:, :3] - dark).max(-1) < 1e-6
    assert 0.6 < between.mean() < 0.9, "lines with room between them"
    assert np.array_equal(shown[8:, 16:], shown[:-8, 16:]), "the lines repeat"


def test_the_tint_grows_with_the_weight() -> None:
    ground = np.full((1, 3, 4), 0.5, np.float32)
    shown = tinted(ground, np.array([[0.0, 0.5, 1.0]], np.float32))
    green = np.array(VERDIGRIS[:3], np.float32) / 255
    assert np.array_equal(shown[0, 0], ground[0, 0])
    assert np.allclose(shown[0, 2, :3], 0.5 * (1 - TINT) + green * TINT)
    assert np.allclose(shown[0, 1, :3] * 2, shown[0, 0, :3] + shown[0, 2, :3])
