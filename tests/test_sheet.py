"""The contact sheet: pictures where they belong, words that stay on the page, and the sheet of a run from its result."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from studio import sheet, still
from studio.errors import OutputError
from studio.texture import Texture
from tests import meshes

PAGE = tuple(bytes.fromhex(sheet.CHARCOAL[1:]))


def flat(*rgb, size=8):
    return torch.tensor(rgb)[:, None, None].expand(3, size, size) / 255


def test_pictures_are_in_reading_order_on_a_charcoal_page():
    """Tiles have rounded corners; groups of columns stand apart; a strong heading is underlined in the accent colour."""
    colors = [[(10 * i, 20 * j, 200) for j in range(3)] for i in range(2)]
    rows = [sheet.Row(f"row {i}", [flat(*c) for c in line]) for i, line in enumerate(colors)]
    page = np.asarray(sheet.compose("title", [sheet.Heading("a", 2), sheet.Heading("b", strong=True)], rows))
    assert [tuple(page[y, x]) for y in (0, -1) for x in (0, -1)] == [PAGE] * 4
    side, gap = sheet.TILE_PX, sheet.GAP_PX
    left, top = sheet.MARGIN_PX + sheet.LABEL_PX, sheet.MARGIN_PX + 126
    for i, line in enumerate(colors):
        y = top + i * (side + gap)
        for x, color in zip((left, left + side + gap, left + 2 * side + 3 * gap), line, strict=True):
            assert tuple(page[y + side // 2, x + side // 2]) == color and tuple(page[y, x]) == PAGE
    accent = (page == tuple(bytes.fromhex(sheet.ACCENT[1:]))).all(-1).any(0)
    assert accent[left + 2 * side + 3 * gap :].any() and not accent[: left + 2 * side].any()


def test_long_words_are_cut_and_foreign_ones_do_not_break_the_page():
    words = "très schöne 茶碗 " * 40
    row = sheet.Row(words, [flat(0, 0, 0)], [words])
    page = np.asarray(sheet.compose(words, [sheet.Heading(words)], [row], subtitle=words, footer=words))
    assert (page[:, -sheet.MARGIN_PX // 2 :] == PAGE).all()


def test_texture_sets_lie_side_by_side():
    sets = torch.rand(3, 3, 4, 4)
    grid = sheet._side_by_side(sets)
    assert torch.equal(grid[:, :4, 4:], sets[1]) and torch.equal(grid[:, 4:, :4], sets[2])
    assert tuple((grid[:, 7, 7] * 255).round().int().tolist()) == PAGE


@pytest.mark.parametrize("held_out", [0, 2])
def test_the_sheet_of_a_run(monkeypatch, tmp_path, held_out):
    """Before is red and after is blue: so are the middles of the pictures."""
    monkeypatch.setattr(sheet, "TILE_PX", 64)
    monkeypatch.setattr(still, "LAMPS", 4)  # shadows cost the most, and do not matter here
    monkeypatch.setattr(still, "FLOOR_PX", 8)
    mesh = meshes.two_set_box()

    def painted(*rgb):
        texture = Texture.flat(mesh, 32)
        return texture.with_channel("base_color", flat(*rgb, size=32).expand(2, 3, 32, 32))

    scores = {str(seed): {"before": {"palette": 0.1}, "after": {"palette": 0.2}} for seed in range(3)}
    report = {"seed": 5, "before": {"palette": 0.1}, "after": {"palette": 0.2}, "per_seed": scores, "coverage": 0.5}
    report |= {"held_out_seeds": [0, 1, 2] if held_out else [], "steps": [{}]}
    before, after = [painted(200, 0, 0)] * held_out, [painted(0, 0, 200)] * held_out
    result = SimpleNamespace(mesh=mesh, texture=painted(0, 200, 0), before=before, after=after, report=report)
    config = SimpleNamespace(prompt="red", device="cpu", renderer="embree", weights=lambda: {"palette": 1.0})
    path = tmp_path / "s.png"
    assert sheet.write_sheet(result, config, path) == path
    page = np.asarray(Image.open(path)).astype(int)
    left, y = sheet.MARGIN_PX + sheet.LABEL_PX, sheet.MARGIN_PX + 126 + 32
    wanted = [0, 0, 2, 2] if held_out else [1, 1]
    for k, channel in enumerate(wanted):
        gaps = k + (k > 1)  # a wider gap before the second group
        assert page[y, left + 32 + k * 64 + gaps * sheet.GAP_PX].argmax() == channel
    with pytest.raises(OutputError):
        sheet.write_sheet(result, config, tmp_path / "none" / "s.png")


def test_only_rewards_that_were_followed_are_told_and_no_more_than_fit() -> None:
    scores = {name: float(i) for i, name in enumerate("abcdefghij")}
    both = {"before": scores, "after": scores}
    report = {**both, "per_seed": {"0": both}, "seed": 0}
    one = sheet._followed(report, {"a": 0.0, "c": -0.5})
    assert one["before"] == one["after"] == one["per_seed"]["0"]["after"] == {"c": 2.0} and one["seed"] == 0
    every = sheet._followed(report, {"a": 0.0})
    assert every["after"] == scores
    lines = sheet._gains(every["per_seed"]["0"])
    assert lines[:2] == ["a", "0.000 to 0.000"] and 36 + len(lines) * sheet.NOTE_PX <= sheet.TILE_PX


def test_words_of_several_lines_or_with_control_characters_are_one_line() -> None:
    row = sheet.Row("Seed\t0", [torch.zeros(3, 4, 4)])
    pages = [sheet.compose(title, [sheet.Heading("A")], [row]) for title in ("red\n\tblue \x1b[31m", "red blue ?[31m")]
    assert pages[0].tobytes() == pages[1].tobytes()
