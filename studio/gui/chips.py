"""The prompt as chips: which of its words the generator reads, and the edits that a click on one makes. No widgets here."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from studio.generators import Words

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+")

State = Literal["known", "unknown", "unread", "plain"]


@dataclass(frozen=True)
class Chip:
    """One word of a prompt and where it stands in it."""

    text: str
    start: int
    state: State
    """"unread" words are known, but come after those that fit; "plain": the generator does not tell its words apart."""
    instead: str | None = None
    """The nearest word that is known, for an unknown one."""

    @property
    def end(self) -> int:
        """One past the word's last character."""
        return self.start + len(self.text)


def chips(prompt: str, words: Words | None) -> tuple[Chip, ...]:
    """The words of a prompt in order. `words` is what the generator makes of them; None when it cannot say."""
    found = [(m.group(), m.start()) for m in _WORD.finditer(prompt)]
    if words is None:
        return tuple(Chip(text, start, "plain") for text, start in found)
    instead, known = dict(words.unknown), set(words.known)
    read = sum(text.lower() in known for text, _ in found) - len(words.unread)
    made = []
    for text, start in found:
        word, state = text.lower(), "plain"
        if word in instead:
            state = "unknown"
        elif word in known:
            state, read = "known" if read > 0 else "unread", read - 1
        made.append(Chip(text, start, state, instead.get(word)))  # type: ignore[arg-type]
    return tuple(made)


def replaced(prompt: str, chip: Chip, word: str) -> str:
    """The prompt with another word in the chip's place."""
    return prompt[: chip.start] + word + prompt[chip.end :]


def without(prompt: str, chip: Chip) -> str:
    """The prompt without the chip's word, its spaces and commas in order."""
    rest = re.sub(r"\s+", " ", prompt[: chip.start] + prompt[chip.end :])
    return re.sub(r"\s+([,;.])", r"\1", re.sub(r"([,;])(\s*[,;])+", r"\1", rest)).strip(" ,;")


def joined(prompt: str, words: str) -> str:
    """The prompt with some more words at its end."""
    prompt = prompt.rstrip(" \n,;.")
    return f"{prompt}, {words}" if prompt else words


def wrapped(text: str, room: float, measure: Callable[[str], float]) -> str:
    """The text on lines no wider than `room`, as `measure` tells widths; a word that is wider stands alone."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and measure(longer) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)


def rows(widths: Sequence[float], room: float, *, gap: float) -> list[list[int]]:
    """Which items stand in which row when they flow from left to right: indices into `widths`."""
    placed: list[list[int]] = []
    used = 0.0
    for i, width in enumerate(widths):
        if placed and used + gap + width <= room:
            placed[-1].append(i)
            used += gap + width
        else:
            placed.append([i])
            used = width
    return placed
