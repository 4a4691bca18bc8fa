"""The words that `mini` and `tiny` know; light, so that a window can mark them while the user types."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from studio.errors import StudioError, nearest
from studio.generators import Words

DATA = Path(__file__).parent / "data" / "mini"
TOKENS = 16
"""How many words of a prompt are read."""


@lru_cache(maxsize=64)
def words(prompt: str) -> Words:
    """What `mini` and `tiny` make of a prompt. Raises StudioError when the vocabulary is missing."""
    return Vocabulary.read().sorted_out(prompt, length=TOKENS)


class Vocabulary:
    """Words the text encoder knows; token 0 is padding, a word's token is its place + 1."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self._token = {w: i + 1 for i, w in enumerate(self.words)}

    @classmethod
    def read(cls, path: Path = DATA / "vocabulary.txt") -> Vocabulary:
        """One word a line. Raises StudioError when the file is missing."""
        try:
            return cls(path.read_text(encoding="utf-8").split())
        except OSError as error:
            raise StudioError(f"The generator's vocabulary {path.name} is missing.", "Reinstall patina-studio.") from error

    def split(self, prompt: str) -> list[str]:
        """The prompt's words in lower case, punctuation dropped, hyphens parting words."""
        return re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+", prompt.lower())

    def sorted_out(self, prompt: str, *, length: int | None = None) -> Words:
        """Known and unknown words, each once, in order; and the known ones beyond the first `length`, repetitions counted."""
        found = self.split(prompt)
        unknown = tuple((w, nearest(w, self.words)) for w in dict.fromkeys(found) if w not in self._token)
        known = tuple(w for w in found if w in self._token)
        return Words(tuple(dict.fromkeys(known)), unknown, () if length is None else known[length:])

    def tokens(self, prompt: str, *, length: int) -> list[int]:
        """`length` tokens: the known words in order, then padding."""
        known = [self._token[w] for w in self.split(prompt) if w in self._token][:length]
        return known + [0] * (length - len(known))
