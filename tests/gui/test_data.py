"""What the window ships beside its code: complete, small, licensed, and in words the generator knows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image, ImageFont

from studio import generators, resources

DATA = Path(__file__).resolve().parent.parent.parent / "studio" / "gui" / "data"


def listed(name: str) -> list[dict[str, str]]:
    return json.loads((DATA / name).read_text(encoding="utf-8"))


def test_materials_are_said_in_known_words() -> None:
    """Every sphere is there, round on transparent ground, and the generator knows each word it puts into the prompt."""
    balls = listed("materials.json")
    assert len(balls) >= 30 and len({b["label"] for b in balls}) == len({b["words"] for b in balls}) == len(balls)
    generator = generators.SOCKET.make("mini")
    for ball in balls:
        words = generator.words(ball["words"])
        assert words is not None and not words.unknown, ball
        picture = Image.open(DATA / ball["file"])
        assert picture.size == (128, 128) and picture.getpixel((0, 0))[3] == 0 and picture.getpixel((64, 64))[3] == 255


def test_every_sample_has_its_picture() -> None:
    assert sorted(s["mesh"] for s in listed("samples.json")) == resources.sample_names()
    assert all(Image.open(DATA / s["file"]).size == (128, 128) and s["prompt"] for s in listed("samples.json"))


def test_nothing_lies_about_and_all_is_small() -> None:
    pictures = {DATA / item["file"] for name in ("materials.json", "samples.json") for item in listed(name)}
    assert {path for folder in ("materials", "samples") for path in (DATA / folder).iterdir()} == pictures
    assert sum(path.stat().st_size for path in pictures) <= 600_000


@pytest.mark.parametrize("weight", ["Regular", "SemiBold"])
def test_fonts_hold_what_is_written(weight: str) -> None:
    """Letters, icons and figures of one width; the licence lies beside them."""
    font = ImageFont.truetype(DATA / f"Inter-{weight}.otf", 32)
    missing = font.getmask("\ue000").getbbox(), bytes(font.getmask("\ue000"))
    for character in "Aßñłž–…·×±²°≤≥→↺▶■●▸▾⏸⏭◉◌⌕⚙⚿☰⛶❐✓✗⚠⌘⇧":
        assert (font.getmask(character).getbbox(), bytes(font.getmask(character))) != missing, character
    widths = [font.getlength(digit) for digit in "0123456789"]
    assert max(widths) - min(widths) < 0.05
    assert (DATA / f"Inter-{weight}.otf").stat().st_size <= 150_000
    licence = (DATA / "Inter-LICENSE.txt").read_text(encoding="utf-8")
    assert "SIL OPEN FONT LICENSE Version 1.1" in licence and "The Inter Project Authors" in licence
