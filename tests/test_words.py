"""Prompts taken apart: what they want, what they refuse, and which words are known."""

from __future__ import annotations

import pytest

from studio.errors import StudioError
from studio.words import Vocabulary, parted


@pytest.mark.parametrize(
    ("prompt", "wanted", "refused"),
    [
        ("red stripes", "red stripes", ""),
        ("copper, no rust", "copper", "rust"),
        ("bricks without moss, worn, no green dirt", "bricks , worn", "moss green dirt"),
        ("No rust", "", "rust"),
        ("nothing noble", "nothing noble", ""),
        ("", "", ""),
    ],
)
def test_a_prompt_is_parted_into_what_it_wants_and_refuses(prompt: str, wanted: str, refused: str) -> None:
    found = parted(prompt)
    words = Vocabulary([]).split
    assert words(found[0]) == words(wanted) and words(found[1]) == words(refused)


def test_a_missing_vocabulary_is_one_sentence(tmp_path) -> None:
    with pytest.raises(StudioError, match="missing"):
        Vocabulary.read(tmp_path / "vocabulary.txt")
