"""What `mini` and `tiny` make of a prompt; light, so that a window can mark words while the user types."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from studio.errors import StudioError
from studio.words import TOKENS, Vocabulary, Words, told

DATA = Path(__file__).parent / "data" / "mini"
"""What `mini` ships: weights, their size, and the vocabulary that `tiny` shares."""


@lru_cache(maxsize=64)
def words(prompt: str, negative: str = "") -> Words:
    """As `Painter.words`, from the vocabulary alone. Raises StudioError when it is missing."""
    return told(_vocabulary(), prompt, negative=negative, length=_read())


@lru_cache(maxsize=1)
def _vocabulary() -> Vocabulary:
    return Vocabulary.read(DATA / "vocabulary.txt")


@lru_cache(maxsize=1)
def _read() -> int:
    """How many words `mini` reads."""
    try:
        return json.loads((DATA / "size.json").read_text(encoding="utf-8")).get("tokens", TOKENS)
    except (OSError, ValueError) as error:
        raise StudioError("The weights of the bundled generator cannot be read.", "Reinstall patina-studio.") from error
