"""The materials: which pattern, in what inks, how large, how it feels, and the sentences that say it.

In a sentence `{a}`, `{b}`, `{c}` are colours, `{s}` a size word, `{n}` an object; an ink that the sentence does not name has the
material's own.
"""

from __future__ import annotations

from dataclasses import dataclass

from studio.pretrain import natural as N
from studio.pretrain import patterns as P

Look = tuple[float, ...]
"""sRGB of a dielectric that has the material's roughness, or an ink: sRGB, roughness, metallic."""


@dataclass(frozen=True)
class Material:
    """`size`: work-space length of one pattern unit; `a`, `b`, `c`: its own inks, one of each is drawn, `c` like b where it is
    empty; `roughness` of a, b, c; `metallic`: whether a plain colour named for a is an anodised metal; `weight`: how often."""

    paint: P.Paint
    size: float
    sentences: tuple[str, ...]
    a: tuple[Look, ...] = ((0.5, 0.5, 0.5),)
    b: tuple[Look, ...] = ((0.9, 0.9, 0.9),)
    c: tuple[Look, ...] = ()
    roughness: tuple[float, float, float] = (0.5, 0.5, 0.5)
    metallic: bool = False
    weight: float = 1.0


def _two(word: str, *more: str) -> tuple[str, ...]:
    """The common sentences of a pattern of two colours."""
    usual = "{a} and {b} {s} " + word, "{a} with {b} {s} " + word, "a {a} {n} with {b} {s} " + word
    return *usual, word + " in {a} and {b}", *more


def _stuff(word: str, *more: str) -> tuple[str, ...]:
    """The common sentences of a material with a look of its own."""
    return word, word, f"a {word} {{n}}", f"a {{n}} made of {word}", f"{{n}} of {word}", *more


WOODS = (0.55, 0.34, 0.17), (0.68, 0.46, 0.25), (0.42, 0.25, 0.13)
STONES = (0.52, 0.51, 0.50), (0.60, 0.56, 0.51)
STEEL, COPPER = (0.63, 0.64, 0.67, 0.35, 1.0), (0.86, 0.50, 0.34, 0.32, 1.0)
GOLD = (0.95, 0.74, 0.33, 0.25, 1.0)
WHITE, BLACK, MORTAR = (0.95, 0.95, 0.94), (0.05, 0.05, 0.06), (0.78, 0.75, 0.70)
MATERIALS: dict[str, Material] = {
    "plain": Material(P.plain, 0.4, ("{a}", "a {a} {n}", "plain {a}", "painted {a}", "{a} paint", "solid {a} {n}",
        "{a} colored {n}",
        "a {n} painted {a}"), weight=3),
    "metal": Material(N.metal, 0.4, ("{m}", "a {m} {n}", "a {n} made of {m}", "solid {m}", "{m} metal", "a {n} of pure {m}"),
        weight=2),
    "stripes": Material(P.stripes, 0.34, _two("stripes", "{a}, {b} and {c} {s} stripes", "a {n} with {a}, {b} and {c} stripes",
        "striped in {a} and {b}", "{a} and {b} {s} striped {n}", "{s} horizontal stripes in {a} and {b}"), weight=2),
    "vertical": Material(P.vertical, 0.34, _two("vertical stripes", "vertically striped in {a} and {b}",
        "{a}, {b} and {c} {s} vertical stripes")),
    "diagonal": Material(P.diagonal, 0.34, _two("diagonal stripes", "{a}, {b} and {c} {s} diagonal stripes")),
    "zigzag": Material(P.zigzag, 0.34, _two("zigzag", "{s} chevron in {a} and {b}", "{a}, {b} and {c} {s} zigzag")),
    "checks": Material(P.checks, 0.26, _two("checks", "checkerboard in {a} and {b}", "{a} and {b} {s} checkerboard",
        "a {a} and {b} {s} checkered {n}", "a {s} checkerboard patterned {n} in {a} and {b}", "{s} checkerboard",
        "a {s} checkerboard-patterned {n}", "a {s} checkered {n}"), (BLACK,), (WHITE,), weight=2),
    "dots": Material(P.dots, 0.32, _two("dots", "{b} {s} dots on {a}", "{a} with {b} {s} polka dots",
        "a {a} {n} with {b} {s} spots",
        "{s} {b} polka dots on {a}", "{a} dotted with {b}", "{a} with {b} and {c} {s} dots"), weight=2),
    "stars": Material(P.stars, 0.36, _two("stars", "{b} {s} stars on {a}", "a {a} {n} covered in {b} stars", "{s} stars",
        "starry night",
        "a starry {n}", "{a} with {b} and {c} stars"), ((0.06, 0.08, 0.28),), ((0.98, 0.86, 0.35),)),
    "bricks": Material(P.bricks, 0.19, ("bricks", "brick wall", "{a} brick {n}", "a {n} made of {s} bricks", "{a} {s} bricks",
        "{a} bricks with rough mortar", "{a} {s} bricks with {b} mortar", "{a} brick wall with {b} mortar",
        "a {n} built of {a} bricks with {b} mortar"), ((0.62, 0.22, 0.15),), (MORTAR,), roughness=(0.85, 0.95, 0.9), weight=1.5),
    "tiles": Material(P.tiles, 0.25, ("{a} {s} tiles", "a {n} covered in {a} {s} tiles", "{a} {s} tiles with {b} grout",
        "{a} tiled {n} with {b} grout"), b=((0.86, 0.85, 0.82),), roughness=(0.14, 0.9, 0.5)),
    "planks": Material(P.planks, 0.20, ("wooden planks", "a {n} made of planks", "wood boards", "{s} wooden boards",
        "{a} {s} planks",
        "{a} painted planks", "a {n} of {a} boards"), WOODS, roughness=(0.65, 0.6, 0.6)),
    "wood": Material(N.wood, 0.2, ("wood", "a wooden {n}", "wood grain", "oak wood", "carved wood", "{a} wood",
        "{a} stained wood",
        "a {n} of {a} wood"), WOODS, roughness=(0.55, 0.5, 0.5), weight=1.5),
    "marble": Material(N.marble, 0.6, _stuff("marble", "{a} marble", "{a} marble with {b} veins", "a {a} marble {n}",
        "a {n} of {a} marble with {b} veins"), ((0.93, 0.92, 0.90),), ((0.33, 0.33, 0.36),), roughness=(0.16, 0.2, 0.2)),
    "granite": Material(N.granite, 0.34, _stuff("granite", "speckled stone", "{a} granite", "a {n} of {a} granite"), STONES,
        ((0.10, 0.10, 0.11),), roughness=(0.32, 0.25, 0.3)),
    "terrazzo": Material(N.terrazzo, 0.23, _stuff("terrazzo", "{a} terrazzo with {b} chips",
        "{a} terrazzo with {b} and {c} chips"),
        ((0.91, 0.89, 0.85),), ((0.75, 0.42, 0.32), (0.20, 0.36, 0.42)), ((0.30, 0.38, 0.36), (0.86, 0.66, 0.32)),
        (0.2, 0.2, 0.2)),
    "mosaic": Material(N.mosaic, 0.19, ("{a} and {b} {s} mosaic", "mosaic of {a} and {b}", "a {a} and {b} {s} mosaic {n}",
        "{a}, {b} and {c} {s} mosaic", "mosaic of {a}, {b} and {c}"), roughness=(0.2, 0.2, 0.2)),
    "cobbles": Material(N.cobbles, 0.28, _stuff("stone", "cobblestone", "{s} cobbles", "stone wall", "rocks", "{a} cobblestone",
        "{a} stone", "a {n} of {a} stones"), STONES, ((0.17, 0.16, 0.15),), roughness=(0.82, 0.95, 0.9)),
    "mud": Material(N.mud, 0.30, _stuff("cracked mud", "dry mud", "cracked earth", "dry cracked clay", "{a} cracked clay"),
        ((0.62, 0.48, 0.34), (0.55, 0.44, 0.34)), ((0.16, 0.11, 0.08),), roughness=(0.93, 0.95, 0.9)),
    "sand": Material(N.sand, 0.13, _stuff("sand", "desert sand", "sand with ripples", "{a} sand"), ((0.86, 0.72, 0.50),),
        roughness=(0.95, 0.95, 0.9)),
    "ice": Material(N.ice, 0.5, _stuff("ice", "frozen ice", "a frozen {n}", "cracked ice"), ((0.36, 0.66, 0.84),), ((0.93,
        0.97, 0.99),),
        roughness=(0.06, 0.12, 0.1)),
    "lava": Material(N.lava, 0.32, _stuff("lava", "molten lava", "glowing lava rock", "magma")),
    "moss": Material(N.moss, 0.36, _stuff("moss", "mossy stone", "a mossy {n}", "moss on rock"), ((0.47, 0.46, 0.44),),
        ((0.27, 0.43, 0.10),), roughness=(0.85, 0.95, 0.9)),
    "grass": Material(N.grass, 0.22, _stuff("grass", "green grass", "a grassy {n}", "lawn"), ((0.24, 0.46, 0.10),), ((0.62,
        0.74, 0.24),),
        roughness=(0.85, 0.8, 0.8)),
    "bark": Material(N.bark, 0.34, _stuff("bark", "tree bark", "{a} tree bark"), ((0.44, 0.32, 0.22), (0.50, 0.42, 0.34)),
        ((0.12, 0.08, 0.06),), roughness=(0.95, 0.95, 0.9)),
    "coral": Material(N.coral, 0.26, _stuff("coral", "brain coral", "{a} coral", "{a} coral with {b} grooves"), ((0.95, 0.46,
        0.38),),
        ((0.55, 0.14, 0.16),), roughness=(0.7, 0.85, 0.8)),
    "clouds": Material(N.clouds, 0.5, _stuff("clouds", "cloudy sky", "blue sky with clouds", "{b} clouds on {a}"), ((0.30,
        0.56, 0.90),),
        ((0.97, 0.98, 0.99),), roughness=(0.8, 0.9, 0.9)),
    "zebra": Material(N.zebra, 0.26, _stuff("zebra", "zebra stripes", "zebra skin", "{a} and {b} zebra stripes",
        "zebra in {a} and {b}"),
        ((0.94, 0.93, 0.90),), ((0.06, 0.05, 0.05),), roughness=(0.8, 0.8, 0.8)),
    "tiger": Material(N.tiger, 0.26, _stuff("tiger", "tiger stripes", "tiger fur", "{a} and {b} tiger stripes"), ((0.92, 0.52,
        0.14),),
        ((0.07, 0.05, 0.04),), roughness=(0.85, 0.85, 0.8)),
    "leopard": Material(N.leopard, 0.21, _stuff("leopard", "leopard spots", "leopard fur", "{a} leopard with {b} spots"),
        ((0.85, 0.65, 0.36),), ((0.12, 0.07, 0.04),), roughness=(0.85, 0.85, 0.8)),
    "giraffe": Material(N.giraffe, 0.30, _stuff("giraffe", "giraffe skin", "giraffe in {a} and {b}"), ((0.60, 0.34, 0.14),),
        ((0.95, 0.86, 0.68),), roughness=(0.85, 0.85, 0.8)),
    "camouflage": Material(N.camouflage, 0.30, _stuff("camouflage", "army camouflage", "camo", "{a} camouflage", "{a} camo",
        "{a}, {b} and {c} camouflage"), ((0.32, 0.40, 0.19),), ((0.55, 0.45, 0.28),), ((0.09, 0.09, 0.07),), (0.85, 0.85, 0.85)),
    "snake": Material(P.snake, 0.34, _stuff("snake skin", "python skin", "{a} snake skin", "snake skin in {a} and {b}"),
        ((0.64, 0.55, 0.34),), ((0.22, 0.15, 0.09),), ((0.92, 0.87, 0.70),), (0.35, 0.35, 0.35)),
    "scales": Material(P.scales, 0.28, ("{s} scales", "reptile scales", "{a} {s} scales", "{a} dragon scales", "{a} fish scales",
        "a {n} with {a} {s} scales"), ((0.20, 0.45, 0.22),), ((0.04, 0.07, 0.05),), roughness=(0.28, 0.7, 0.5)),
    "leather": Material(N.leather, 0.2, _stuff("leather", "{a} leather", "a {n} of {a} leather", "a {a} leather {n}"),
        ((0.40, 0.22, 0.11), (0.28, 0.16, 0.10)), roughness=(0.48, 0.5, 0.5)),
    "felt": Material(N.felt, 0.10, _stuff("felt", "{a} felt", "a {a} felt {n}", "soft {a} felt"), ((0.56, 0.55, 0.53),),
        roughness=(0.98, 0.98, 0.98)),
    "plaid": Material(P.plaid, 0.40, _stuff("plaid", "tartan", "{a} and {b} {s} plaid", "{a} and {b} tartan",
        "{a}, {b} and {c} plaid",
        "plaid in {a} and {b}"), ((0.70, 0.09, 0.10),), ((0.05, 0.10, 0.16),), ((0.94, 0.90, 0.78),), (0.9, 0.9, 0.9)),
    "weave": Material(P.weave, 0.13, ("woven basket", "a woven {n}", "wicker", "basket weave", "{a} wicker",
        "{a} {s} basket weave",
        "{a} and {b} {s} weave", "a {n} woven of {a} and {b}"), ((0.76, 0.56, 0.32),), ((0.66, 0.46, 0.24),), roughness=(0.75,
        0.75, 0.7)),
    "denim": Material(P.denim, 0.07, _stuff("denim", "blue denim", "jeans", "{a} denim"), ((0.10, 0.19, 0.40),), ((0.78, 0.82,
        0.88),),
        roughness=(0.92, 0.92, 0.9)),
    "knit": Material(P.knit, 0.1, ("knitted wool", "a knitted {n}", "knit", "{a} {s} knit", "{a} knitted wool",
        "a {n} knitted in {a}",
        "a {a} knitted {n}"), ((0.88, 0.82, 0.70), (0.66, 0.16, 0.16)), roughness=(0.97, 0.97, 0.9)),
    "carbon": Material(P.carbon, 0.11, _stuff("carbon fiber", "carbon fibre", "{s} carbon fiber"), ((0.20, 0.20, 0.22),),
        ((0.07, 0.07, 0.08),), roughness=(0.14, 0.24, 0.2)),
    "brushed": Material(N.brushed, 0.30, ("brushed metal", "a brushed metal {n}", "brushed {m}", "a brushed {m} {n}",
        "brushed {a} metal"),
        (STEEL,), roughness=(0.38, 0.4, 0.4), metallic=True),
    "rust": Material(N.rust, 0.38, _stuff("rust", "rusty metal", "rusty iron", "a rusty {n}", "a rusted {n}", "corroded metal",
        "rusted {a} paint", "a rusty {a} {n}"), ((0.40, 0.40, 0.42, 0.5, 1.0),), roughness=(0.5, 0.9, 0.9)),
    "patina": Material(N.patina, 0.40, _stuff("copper patina", "copper with green patina", "verdigris", "oxidized copper",
        "{m} with {b} patina"), (COPPER,), ((0.36, 0.66, 0.58),), roughness=(0.35, 0.85, 0.8)),
    "honeycomb": Material(P.honeycomb, 0.20, ("honeycomb", "a honeycomb {n}", "{s} honeycomb", "{s} hexagons",
        "{a} {s} honeycomb",
        "{a} and {b} {s} honeycomb", "{a} {s} hexagons with {b} lines"), ((0.93, 0.62, 0.10),), ((0.98, 0.84, 0.42),),
        roughness=(0.3, 0.45, 0.4)),
    "circuit": Material(P.circuit, 0.12, _stuff("circuit board", "electronic circuit", "{a} circuit board",
        "{a} circuit with {b} traces"),
        ((0.03, 0.30, 0.16),), ((0.36, 0.66, 0.30),), (GOLD,), (0.35, 0.35, 0.3)),
    "splatter": Material(N.splatter, 0.30, _two("splatters", "{a} splattered with {b}", "{b} paint splatter on {a}",
        "{a} splattered with {b} and {c}", "{b} {s} patches on {a}"), roughness=(0.5, 0.3, 0.3)),
    "watercolour": Material(N.watercolour, 0.6, ("{a} and {b} watercolor", "watercolor in {a} and {b}",
        "a {n} painted in {a} and {b} watercolor",
        "{a} and {b} watercolour"), roughness=(0.9, 0.9, 0.9)),
    "gradient": Material(P.gradient, 1.0, ("gradient from {a} to {b}", "{a} to {b} gradient", "a {n} fading from {a} to {b}",
        "{a} bottom fading to {b} top")),
    "halves": Material(P.halves, 1.0, ("{a} top and {b} bottom", "upper half {a} and lower half {b}",
        "a {n} half {a} and half {b}")),
}  # fmt: skip
