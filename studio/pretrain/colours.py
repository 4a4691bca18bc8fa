"""Named colours and named metals, with their synonyms, as inks: what a word puts on a surface.

Twenty-four plain colours are dielectric and take the roughness of the material that carries them. Nine metals are colours too,
and wherever one is named ("gold stripes", "a silver rim", "a golden vase") that part is metal with its own roughness: the word
*gold* never means a yellow paint, which is *mustard* or *yellow*.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

RGB = tuple[float, float, float]
Ink = tuple[float, float, float, float, float]
"""sRGB base colour, roughness, metallic."""

COLOURS: dict[str, RGB] = {
    "red": (0.80, 0.08, 0.08), "maroon": (0.40, 0.04, 0.12), "orange": (0.96, 0.50, 0.06), "yellow": (0.98, 0.87, 0.12),
    "mustard": (0.80, 0.62, 0.14), "olive": (0.44, 0.45, 0.12), "lime": (0.62, 0.92, 0.14), "green": (0.10, 0.55, 0.16),
    "mint": (0.62, 0.93, 0.75), "teal": (0.05, 0.48, 0.48), "cyan": (0.12, 0.82, 0.88), "sky": (0.50, 0.73, 0.95),
    "blue": (0.10, 0.24, 0.82), "navy": (0.05, 0.08, 0.33), "purple": (0.44, 0.12, 0.62), "lavender": (0.75, 0.65, 0.93),
    "magenta": (0.86, 0.09, 0.64), "pink": (0.97, 0.60, 0.72), "brown": (0.42, 0.24, 0.10), "tan": (0.78, 0.61, 0.42),
    "beige": (0.93, 0.86, 0.70), "white": (0.95, 0.95, 0.94), "grey": (0.50, 0.50, 0.51), "black": (0.05, 0.05, 0.06),
}  # fmt: skip
SYNONYMS: dict[str, tuple[str, ...]] = {
    "red": ("scarlet", "crimson", "ruby"), "maroon": ("burgundy",), "mustard": ("ochre",), "green": ("emerald",),
    "sky": ("sky blue", "azure"), "cyan": ("turquoise", "aqua"), "blue": ("cobalt", "sapphire"), "purple": ("violet",),
    "lavender": ("lilac",), "magenta": ("fuchsia",), "pink": ("rose",), "brown": ("chocolate",), "beige": ("cream", "ivory"),
    "grey": ("gray",), "black": ("jet black", "ebony"), "white": ("snow white",), "yellow": ("lemon",),
    "navy": ("navy blue",), "lime": ("lime green",), "gold": ("golden",), "silver": ("silvery",),
    "aluminium": ("aluminum",),
}  # fmt: skip
METALS: dict[str, Ink] = {
    "gold": (0.95, 0.74, 0.33, 0.22, 1), "silver": (0.92, 0.92, 0.91, 0.20, 1), "copper": (0.91, 0.56, 0.42, 0.26, 1),
    "bronze": (0.66, 0.47, 0.26, 0.35, 1), "brass": (0.86, 0.72, 0.38, 0.28, 1), "iron": (0.44, 0.43, 0.42, 0.55, 1),
    "steel": (0.63, 0.64, 0.67, 0.32, 1), "chrome": (0.78, 0.79, 0.81, 0.06, 1), "aluminium": (0.84, 0.85, 0.87, 0.42, 1),
}  # fmt: skip
LEAF = ("gold", "gold", "silver", "copper", "bronze", "brass")
"""Metals that are also named as one colour of a pattern; the grey ones are not told apart there."""
DARKER, LIGHTER = ("dark", "deep"), ("light", "pale")
TOO_NEAR = 0.12
"""Squared sRGB distance under which two inks are not put side by side."""


@dataclass(frozen=True)
class Named:
    """A colour as a caption says it. `ink` has roughness −1 where the material decides; `exact`: no word made it darker or
    lighter than the colour `name` in the tables."""

    name: str
    said: str
    ink: Ink
    exact: bool


def named(r: random.Random, names: tuple[str, ...]) -> Named:
    """One of the names in one of its wordings; a plain colour is now and then said to be darker or lighter."""
    name = r.choice(names)
    said = r.choice((name, *SYNONYMS.get(name, ()))) if r.random() < 0.4 else name
    if name in METALS:
        return Named(name, said, METALS[name], True)
    red, green, blue = COLOURS[name]
    luma, chance = 0.3 * red + 0.6 * green + 0.1 * blue, r.random()
    if chance < 0.04 and luma > 0.3:
        return Named(name, f"{r.choice(DARKER)} {said}", (0.55 * red, 0.55 * green, 0.55 * blue, -1, 0), False)
    if chance > 0.96 and luma < 0.6:
        lit = (c + 0.45 * (1 - c) for c in (red, green, blue))
        return Named(name, f"{r.choice(LIGHTER)} {said}", (*lit, -1, 0), False)  # type: ignore[arg-type]
    return Named(name, said, (red, green, blue, -1, 0), True)


def apart(one: Ink, other: Ink) -> bool:
    """Whether a person tells the two base colours apart at a glance."""
    return sum((x - y) ** 2 for x, y in zip(one[:3], other[:3], strict=True)) >= TOO_NEAR
