"""Vocabularies: which words a model knows, and what it makes of a prompt."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.errors import StudioError

WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+")
TOKENS = 16
"""How many words of a prompt a network reads, unless its size says otherwise."""
SPELLING = 0.75
"""How alike words must be, of 1, for one to be taken for the other misspelt."""
MEANT = {
    "gleaming": "shiny", "glass": "shiny", "dull": "matte", "gilded": "gold", "timber": "wood", "cobbled": "cobblestone",
    "cheetah": "leopard",
}  # fmt: skip
"""Words of the same meaning for some that people use; also where another is spelt like them, as "grass" is like "glass"."""
REFUSED = re.compile(r"\b(?:no|without)\b([^,.;]*)", re.IGNORECASE)


@dataclass(frozen=True)
class Words:
    """What a painter makes of a prompt: `known` words, `unknown` ones each with the nearest known word (or None), and known ones
    left `unread` because the prompt is longer than what it reads."""

    known: tuple[str, ...]
    unknown: tuple[tuple[str, str | None], ...] = ()
    unread: tuple[str, ...] = ()


class Vocabulary:
    """Words a text encoder knows; token 0 is padding, a word's token is its place + 1."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self._token = {w: i + 1 for i, w in enumerate(self.words)}

    @classmethod
    def read(cls, path: Path) -> Vocabulary:
        """One word a line. Raises StudioError when the file is missing."""
        try:
            return cls(path.read_text(encoding="utf-8").split())
        except OSError as error:
            raise StudioError(f"The vocabulary {path.parent.name}/{path.name} is missing.", "Reinstall patina-studio.") from error

    def split(self, prompt: str) -> list[str]:
        """The prompt's words in lower case, punctuation dropped, hyphens parting words."""
        return WORD.findall(prompt.lower())

    def sorted_out(self, prompt: str, *, length: int | None = None) -> Words:
        """Known and unknown words, each once, in order; and the known ones beyond the first `length`, repetitions counted."""
        found = self.split(prompt)
        unknown = tuple((w, self.nearest(w)) for w in dict.fromkeys(found) if w not in self._token)
        known = tuple(w for w in found if w in self._token)
        return Words(tuple(dict.fromkeys(known)), unknown, () if length is None else known[length:])

    def nearest(self, word: str) -> str | None:
        """The known word that was meant: one of the same meaning, or of nearly the same spelling from its first letter on."""
        if MEANT.get(word) in self._token:
            return MEANT[word]
        alike = difflib.get_close_matches(word, [w for w in self.words if w[0] == word[0]], n=1, cutoff=SPELLING)
        return alike[0] if alike else None

    def tokens(self, prompt: str, *, length: int) -> list[int]:
        """`length` tokens: the known words in order, then padding."""
        known = [self._token[w] for w in self.split(prompt) if w in self._token][:length]
        return known + [0] * (length - len(known))


def told(vocabulary: Vocabulary, prompt: str, *, negative: str = "", length: int | None = None) -> Words:
    """What a network makes of a prompt that reads `length` words of what it asks for, and as many of what it refuses."""
    wanted, refused = (vocabulary.sorted_out(part, length=length) for part in asked(prompt, negative))
    known, unknown = dict.fromkeys(wanted.known + refused.known), dict.fromkeys(wanted.unknown + refused.unknown)
    return Words(tuple(known), tuple(unknown), wanted.unread + refused.unread)


def asked(prompt: str, negative: str = "") -> tuple[str, str]:
    """What a prompt wants, and what it and `negative` refuse."""
    wanted, refused = parted(prompt)
    return wanted, " ".join(filter(None, (refused, negative)))


def parted(prompt: str) -> tuple[str, str]:
    """What a prompt asks for and what it refuses: "copper, no rust" → ("copper", "rust"). A refusal ends at the next comma."""
    refused = " ".join(m.group(1).strip() for m in REFUSED.finditer(prompt))
    return re.sub(r"\s*,(?=\s*(?:,|$))", "", REFUSED.sub("", prompt)).strip(), refused
