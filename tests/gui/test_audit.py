"""Every control explains itself and every text can be read, in the whole window and in each of its dialogs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.gui.screen import told_by, why_not

CONTRAST, FAINT = 4.5, 3.0
"""Of texts, and of those that are greyed because they cannot be used now."""


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    if reason := why_not():
        pytest.skip(reason)
    yield told_by("tests.gui.audit", 1280, 800, home=tmp_path_factory.mktemp("home"))


@pytest.mark.gui
def test_every_control_has_a_tooltip(audit: dict[str, Any]) -> None:
    """Lines of a drop-down have their list's, and mostly a sentence below."""
    assert audit["controls"] > 250 and not audit["bare"]
    assert all(name in ("saving", shown) for name, shown in audit["dialogs"]) and len(audit["dialogs"]) == 10


@pytest.mark.gui
def test_every_text_can_be_read(audit: dict[str, Any]) -> None:
    """On all it may lie on: at rest, under the mouse, pressed, chosen; hints and keys beside menu entries, too."""
    assert len(audit["texts"]) > 1500
    assert not {(name, ratio) for name, ratio, enabled in audit["texts"] if ratio < (CONTRAST if enabled else FAINT)}


def test_what_is_drawn_can_be_read() -> None:
    """Words over the viewport lie on a dark ground, which lets some of any picture through: at worst of a white one."""
    pytest.importorskip("dearpygui.dearpygui", exc_type=ImportError)
    from studio.gui.overlay import AXES, SHADE
    from studio.gui.theme import ASH, BONE, CHARCOAL, PANEL
    from tests.gui.audit import contrast

    share = SHADE[3] / 255
    ground = tuple(share * c + (1 - share) * 255 for c in SHADE[:3])
    pairs = [(BONE, ground), (ASH, ground), (BONE, PANEL), (ASH, PANEL), *((CHARCOAL, colour) for _, colour, _, _ in AXES)]
    assert all(contrast(ink[:3], ground[:3]) >= CONTRAST for ink, ground in pairs)
