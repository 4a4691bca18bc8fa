"""Key chords as people write them: "Ctrl+Shift+S". Knows no window."""

from __future__ import annotations

import sys
from dataclasses import dataclass

MODIFIERS = ("Ctrl", "Shift", "Alt")
ARROWS = {"Left": "←", "Right": "→", "Up": "↑", "Down": "↓"}
TYPED = frozenset("ACVXYZ")
"""With Ctrl these belong to a text field that is being edited."""


@dataclass(frozen=True)
class Chord:
    """A key by its name ("S", "1", "F5", "Enter", "?") with its modifiers. Cmd counts as Ctrl."""

    key: str
    ctrl: bool = False
    shift: bool = False
    alt: bool = False

    @classmethod
    def parse(cls, text: str) -> Chord:
        """Read "Ctrl+Shift+S". Raises ValueError for an unknown modifier."""
        *modifiers, key = text.split("+")
        if unknown := set(modifiers) - set(MODIFIERS):
            raise ValueError(f"{text}: no modifier {unknown}")
        # "?" is typed with Shift on most keyboards, so it says nothing about Shift.
        return cls(key, *(name in modifiers for name in MODIFIERS))

    def caps(self) -> tuple[str, ...]:
        """What stands on the keys to be pressed, one by one."""
        mac = sys.platform == "darwin"
        held = [name for name, on in zip(MODIFIERS, (self.ctrl, self.shift, self.alt), strict=True) if on]
        key = ARROWS.get(self.key, self.key)
        return (*({"Ctrl": "⌘", "Shift": "⇧", "Alt": "⌥"}[name] if mac else name for name in held), key)

    def said(self) -> str:
        """As a menu shows it."""
        return "+".join(self.caps()) if sys.platform != "darwin" else "".join(self.caps())

    def fits(self, *, ctrl: bool, shift: bool, alt: bool) -> bool:
        """Whether these modifiers are the ones it wants."""
        return self.ctrl == ctrl and self.alt == alt and (self.shift == shift or self.key == "?")

    @property
    def while_typing(self) -> bool:
        """Whether it may fire while a text field is being edited."""
        named = len(self.key) > 1 and self.key[0] == "F"
        return named or (self.ctrl and self.key not in TYPED)
