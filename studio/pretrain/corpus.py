"""What mini is taught: named colours, materials and the sentences that say them; painted batches with exact captions.

A `Sample` is a caption and everything needed to paint it. Captions follow a two-colour grammar ("red and white stripes",
"a blue vase with yellow dots"); every word of every sentence is in `vocabulary()`. Materials carry base colour only; further
channels (roughness, metallic, height) would be further outputs of their patterns.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from studio.pretrain import patterns as P
from studio.pretrain.solid import Surface, Volumes

RGB = tuple[float, float, float]

COLOURS: dict[str, RGB] = {
    "red": (0.82, 0.08, 0.08), "maroon": (0.40, 0.04, 0.12), "orange": (0.96, 0.50, 0.06), "yellow": (0.98, 0.87, 0.12),
    "gold": (0.80, 0.62, 0.14), "olive": (0.44, 0.45, 0.12), "lime": (0.62, 0.92, 0.14), "green": (0.10, 0.55, 0.16),
    "mint": (0.62, 0.93, 0.75), "teal": (0.05, 0.48, 0.48), "cyan": (0.12, 0.82, 0.88), "sky": (0.50, 0.73, 0.95),
    "blue": (0.10, 0.24, 0.82), "navy": (0.05, 0.08, 0.33), "purple": (0.44, 0.12, 0.62), "lavender": (0.75, 0.65, 0.93),
    "magenta": (0.86, 0.09, 0.64), "pink": (0.97, 0.60, 0.72), "brown": (0.42, 0.24, 0.10), "tan": (0.78, 0.61, 0.42),
    "beige": (0.93, 0.86, 0.70), "white": (0.95, 0.95, 0.94), "grey": (0.50, 0.50, 0.51), "black": (0.05, 0.05, 0.06),
}  # fmt: skip
SYNONYMS: dict[str, tuple[str, ...]] = {
    "red": ("scarlet", "crimson", "ruby"), "maroon": ("burgundy",), "gold": ("golden",), "green": ("emerald",),
        "sky": ("sky blue", "azure"),
    "cyan": ("turquoise", "aqua"), "blue": ("cobalt", "sapphire"), "purple": ("violet",), "lavender": ("lilac",),
        "magenta": ("fuchsia",),
    "pink": ("rose",), "brown": ("chocolate",), "beige": ("cream", "ivory"), "grey": ("gray",), "black": ("jet black", "ebony"),
    "white": ("snow white",), "yellow": ("lemon",), "navy": ("navy blue",), "lime": ("lime green",), "tan": ("sand",),
}  # fmt: skip
NOUNS = (
    "bunny", "rabbit", "vase", "mug", "cup", "chair", "mushroom", "rocket", "robot", "knot", "torus", "ball", "statue", "bowl",
        "bottle",
    "table", "lamp", "toy", "figure", "object", "shape", "cat", "dog", "dragon", "duck", "car", "house", "tree", "teapot",
        "pot", "box",
    "sphere", "sculpture", "helmet", "shoe", "barrel", "chest", "sword", "creature", "animal",
)  # fmt: skip
SIZES = {"fine": 0.62, "small": 0.62, "thin": 0.62, "little": 0.62, "bold": 1.6, "large": 1.6, "big": 1.6, "wide": 1.6}
WRAPS = (
    "{x}", "{x}", "{x}", "a {n} in {x}", "a {n} with {x}", "{n} covered in {x}", "a {n} made of {x}", "the {n} of {x}",
        "a {n} painted with {x}",
    "{x} texture", "{x} pattern", "a photo of {x}", "a {n} decorated with {x}", "{x} on a {n}", "an image of a {n} in {x}",
        "{x} surface",
)  # fmt: skip
FILLERS = ("detailed", "realistic", "beautiful", "high quality", "colorful", "shiny", "matte", "bright", "clean", "seamless",
    "handmade")
AGAIN = 1.0 / 1.1, 1.0, 1.1  # few scales and offsets per pattern: less to guess in the first, blind denoising step


@dataclass(frozen=True)
class Material:
    """A pattern with its sentences. `{a}`, `{b}`: colours; `{s}`: a size word; `{n}`: an object. The first `usual` sentences
    name no colour and get the default ones; `size` is the work-space length of one pattern unit."""

    paint: P.Paint
    size: float
    sentences: tuple[str, ...]
    usual: tuple[str, ...] = ()
    a: tuple[RGB, ...] = ((0.5, 0.5, 0.5),)
    b: tuple[RGB, ...] = ((0.9, 0.9, 0.9),)
    weight: float = 1.0


WOODS = (0.55, 0.34, 0.17), (0.68, 0.46, 0.25), (0.42, 0.25, 0.13)
STONES = (0.52, 0.51, 0.50), (0.60, 0.56, 0.52)
MATERIALS: dict[str, Material] = {
    "plain": Material(P.plain, 0.4, ("{a}", "a {a} {n}", "plain {a}", "painted {a}", "{a} paint", "solid {a} {n}",
        "{a} colored {n}"), weight=3),
    "stripes": Material(P.stripes, 0.34, (
        "{a} and {b} {s} stripes", "{a} with {b} {s} stripes", "a {a} {n} with {b} {s} stripes", "striped in {a} and {b}",
            "{a} and {b} {s} striped {n}",
        "{s} horizontal stripes in {a} and {b}", "{a} {b} stripes"), weight=2),
    "vertical": Material(P.vertical, 0.34, ("{a} and {b} {s} vertical stripes", "a {a} {n} with {b} {s} vertical stripes",
        "vertically striped in {a} and {b}")),
    "diagonal": Material(P.diagonal, 0.34, ("{a} and {b} {s} diagonal stripes", "a {a} {n} with {b} diagonal {s} stripes")),
    "zigzag": Material(P.zigzag, 0.34, ("{a} and {b} {s} zigzag", "a {a} {n} with a {b} {s} zigzag",
        "{s} chevron in {a} and {b}", "zigzag stripes in {a} and {b}")),
    "checks": Material(P.checks, 0.26, (
        "checkerboard in {a} and {b}", "{a} and {b} {s} checkerboard", "{a} and {b} {s} checks", "a {a} and {b} checkered {n}",
            "{s} checkered in {a} and {b}",
        "a {s} checkerboard patterned {n} in {a} and {b}"), ("checkerboard", "a checkerboard-patterned {n}", "a checkered {n}",
            "black and white checkerboard {n}"),
        ((0.05, 0.05, 0.06),), ((0.95, 0.95, 0.94),), weight=2),
    "dots": Material(P.dots, 0.32, (
        "{a} with {b} {s} dots", "{b} {s} dots on {a}", "a {a} {n} with {b} {s} dots", "{a} with {b} {s} polka dots",
            "a {a} {n} with {b} {s} spots",
        "{s} {b} polka dots on {a}", "{a} dotted with {b}"), weight=2),
    "bricks": Material(P.bricks, 0.20, ("{a} {s} bricks with {b} mortar", "{a} brick wall with {b} mortar",
        "a {n} built of {a} {s} bricks with {b} mortar"),
        ("bricks", "brick wall", "red bricks", "a {n} made of bricks", "red brick {n}"), ((0.62, 0.22, 0.15),), ((0.78, 0.75,
            0.70),), weight=1.5),
    "tiles": Material(P.tiles, 0.26, ("{a} {s} tiles", "a {n} covered in {a} {s} tiles", "{a} {s} tiles with {b} grout",
        "{a} tiled {n} with {b} grout")),
    "planks": Material(P.planks, 0.20, ("{a} wooden {s} planks", "{a} painted planks"), ("wooden planks",
        "a {n} made of planks", "wood boards", "old wooden boards"), WOODS),
    "wood": Material(P.wood, 0.30, ("{a} wood", "{a} stained wood grain"), ("wood", "a wooden {n}", "wood grain", "oak wood",
        "carved wood"), WOODS, weight=1.5),
    "marble": Material(P.marble, 0.45, ("{a} marble", "{a} marble with {b} veins", "a {n} of {a} marble with {b} veins",
        "a {a} marble {n}"),
        ("marble", "white marble", "a marble {n}"), ((0.93, 0.92, 0.90),), ((0.35, 0.35, 0.38),)),
    "granite": Material(P.granite, 0.32, ("{a} granite", "a {n} of {a} granite"), ("granite", "speckled stone",
        "a granite {n}"), STONES),
    "rust": Material(P.rust, 0.40, ("rusty {a} metal", "rusted {a} paint", "a rusty {a} {n}"), ("rust", "rusty metal",
        "rusty iron", "a rusted {n}", "corroded metal"), ((0.45, 0.46, 0.48),)),
    "zebra": Material(P.zebra, 0.26, ("{a} and {b} zebra stripes", "zebra in {a} and {b}"), ("zebra", "zebra stripes",
        "zebra skin", "a zebra {n}"),
        ((0.94, 0.93, 0.90),), ((0.06, 0.05, 0.05),)),
    "tiger": Material(P.tiger, 0.26, ("{a} and {b} tiger stripes",), ("tiger", "tiger stripes", "tiger fur", "a tiger {n}"),
        ((0.92, 0.52, 0.14),), ((0.07, 0.05, 0.04),)),
    "leopard": Material(P.leopard, 0.32, ("{a} leopard with {b} spots", "leopard in {a} and {b}"), ("leopard", "leopard spots",
        "leopard fur", "a leopard {n}"),
        ((0.85, 0.65, 0.36),), ((0.12, 0.07, 0.04),)),
    "giraffe": Material(P.giraffe, 0.30, ("giraffe in {a} and {b}",), ("giraffe", "giraffe skin", "a giraffe {n}"), ((0.58,
        0.33, 0.14),), ((0.93, 0.84, 0.66),)),
    "camouflage": Material(P.camouflage, 0.30, ("{a} camouflage", "{a} camo"), ("camouflage", "army camouflage", "camo",
        "a camouflage {n}", "green camouflage"),
        ((0.30, 0.38, 0.18),), ((0.52, 0.42, 0.26),)),
    "plaid": Material(P.plaid, 0.40, ("{a} and {b} plaid", "{a} and {b} {s} tartan", "a {a} {n} with {b} plaid",
        "plaid in {a} and {b}"),
        ("plaid", "tartan", "a plaid {n}"), ((0.72, 0.10, 0.10),), ((0.06, 0.08, 0.10),)),
    "lava": Material(P.lava, 0.32, (), ("lava", "molten lava", "glowing lava rock", "a {n} of lava", "magma")),
    "moss": Material(P.moss, 0.40, (), ("moss", "mossy stone", "a mossy {n}", "stone covered in moss", "moss on rock")),
    "terrazzo": Material(P.terrazzo, 0.34, ("{a} terrazzo with {b} chips", "{a} terrazzo"), ("terrazzo", "a terrazzo {n}"),
        ((0.90, 0.88, 0.84),), ((0.75, 0.42, 0.32),)),
    "gradient": Material(P.gradient, 1.0, ("gradient from {a} to {b}", "{a} to {b} gradient", "a {n} fading from {a} to {b}",
        "{a} bottom fading to {b} top")),
    "halves": Material(P.halves, 1.0, ("{a} top and {b} bottom", "upper half {a} and lower half {b}",
        "a {n} half {a} and half {b}")),
    "scales": Material(P.scales, 0.30, ("{a} {s} scales", "{a} dragon scales", "{a} fish scales", "a {n} with {a} {s} scales"),
        ("scales", "reptile scales", "snake skin"),
        ((0.20, 0.45, 0.22),), ((0.05, 0.10, 0.06),)),
    "cobbles": Material(P.cobbles, 0.28, ("{a} cobblestone", "{a} stones"), ("cobblestone", "cobbles", "stone wall", "rocks",
        "a stone {n}"), STONES),
    "mosaic": Material(P.mosaic, 0.32, ("{a} and {b} mosaic", "mosaic of {a} and {b}", "a {a} and {b} mosaic {n}")),
    "splatter": Material(P.splatter, 0.30, ("{a} splattered with {b}", "{a} with {b} splatters", "a {a} {n} with {b} blotches",
        "{b} patches on {a}")),
}  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """One caption and the numbers that paint it. `colours`: the named ones in order of {a}, {b} (empty where none is named)."""

    caption: str
    material: str
    a: RGB
    b: RGB
    scale: float
    offset: RGB
    place: RGB
    colours: tuple[str, ...] = field(default=())


def _colour(r: random.Random, base: RGB, jitter: float = 0.025) -> RGB:
    x, y, z = (min(1.0, max(0.0, c + r.gauss(0, jitter))) for c in base)
    return x, y, z


def _named(r: random.Random) -> tuple[str, str, RGB]:
    """A colour: its main name, how it is said, its value; one in ten is darkened or lightened."""
    name = r.choice(list(COLOURS))
    said, value = (r.choice(SYNONYMS[name]) if name in SYNONYMS and r.random() < 0.3 else name), COLOURS[name]
    if r.random() < 0.08:
        word, goal, share = r.choice((("dark", 0.0, 0.45), ("deep", 0.0, 0.35), ("light", 1.0, 0.45), ("pale", 1.0, 0.55)))
        x, y, z = (v + (goal - v) * share for v in value)
        return name, f"{word} {said}", (x, y, z)
    return name, said, value


def sample(r: random.Random, material: str) -> Sample:
    """A random caption of this material, and its look."""
    m = MATERIALS[material]
    usual = bool(m.usual) and (not m.sentences or r.random() < 0.4)
    sentence = r.choice(m.usual if usual else m.sentences)
    a_name, a_said, a = _named(r)
    b_name, b_said, b = _named(r)
    while sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) < 0.12:
        b_name, b_said, b = _named(r)
    a = a if "{a}" in sentence else r.choice(m.a)
    b = b if "{b}" in sentence else r.choice(m.b)
    level, upright = r.choice((0.0, 0.5)), r.choice((0.0, 0.5)) + r.gauss(0, 0.03)
    size = r.choice(list(SIZES)) if "{s}" in sentence and r.random() < 0.3 else ""
    said = sentence.format(a=a_said, b=b_said, s=size, n=r.choice(NOUNS))
    if "{n}" not in sentence and r.random() < 0.5:
        said = r.choice(WRAPS).format(x=said, n=r.choice(NOUNS))
    if r.random() < 0.08:
        said = r.choice((f"{r.choice(FILLERS)} {said}", f"{said}, {r.choice(FILLERS)}"))
    return Sample(
        caption=re.sub(r"\s+", " ", said).strip(),
        material=material,
        a=_colour(r, a),
        b=_colour(r, b),
        scale=m.size * SIZES.get(size, 1.0) * r.choice(AGAIN) * r.uniform(0.985, 1.015),
        offset=(level, upright, level),
        place=tuple(r.uniform(0, 16) for _ in range(3)),  # type: ignore[arg-type]
        colours=tuple(n for n, k in ((a_name, "{a}"), (b_name, "{b}")) if k in sentence),
    )


def draw(r: random.Random, count: int, *, group: int = 4) -> list[Sample]:
    """`count` samples, `group` neighbours of one material each, so that a batch is painted in few large operations."""
    weights = [m.weight for m in MATERIALS.values()]
    chosen = r.choices(list(MATERIALS), weights, k=-(-count // group))
    return [sample(r, chosen[i // group]) for i in range(count)]


def paint(samples: Sequence[Sample], position: Tensor, normal: Tensor, volumes: Volumes) -> Tensor:
    """Pictures [B, V, 3, H, W] sRGB of B objects whose views show position and normal [B, V, 3, H, W]."""
    B, V, _, H, W = position.shape
    out = torch.empty(B, V, 3, H, W, device=position.device)
    i = 0
    while i < B:
        j = i + 1
        while j < B and samples[j].material == samples[i].material:
            j += 1

        def told(what: str, lo: int = i, hi: int = j) -> Tensor:
            return torch.tensor([getattr(s, what) for s in samples[lo:hi]], device=position.device).view(hi - lo, 1, -1)

        p, n = (x[i:j].movedim(2, -1).reshape(j - i, V * H * W, 3).float() for x in (position, normal))
        surface = Surface(p, n, told("scale"), told("offset"), told("place"), volumes)
        rgb = MATERIALS[samples[i].material].paint(surface, told("a"), told("b")).clamp(0, 1)
        out[i:j] = rgb.reshape(j - i, V, H, W, 3).movedim(-1, 2)
        i = j
    return out


def vocabulary() -> list[str]:
    """Every word of every sentence, and the function words, sorted."""
    sentences = [s for m in MATERIALS.values() for s in (*m.sentences, *m.usual)]
    names = [*COLOURS, *(s for said in SYNONYMS.values() for s in said), *NOUNS, *SIZES, *FILLERS, "dark deep light pale"]
    function = "a an the with of in on and or to from by for at is are it its made like as very some all over"
    function += " colour color coloured texture"
    text = " ".join([*sentences, *WRAPS, *names, function])
    return sorted(set(re.findall(r"[a-z]+", re.sub(r"\{.\}", " ", text.lower()))))
