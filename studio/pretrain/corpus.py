"""What mini is taught: captions and the painted objects that they describe, drawn at random and exact by construction.

A `Sample` is a caption and everything needed to paint it: a material, its inks, at most one effect, at most one style. Captions
name one to three colours ("red, white and blue stripes"), sizes, styles and effects; every word of them is in `vocabulary()`.
Pairs listed in `held_out.json` are never drawn for training.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from studio.errors import StudioError, nearest
from studio.generators._solid import LOOSE, PLACES, UNITS, Volumes
from studio.pretrain import effects, styles
from studio.pretrain.colours import COLOURS, DARKER, LEAF, LIGHTER, METALS, RGB, SYNONYMS, Ink, Named, apart, named
from studio.pretrain.materials import MATERIALS, Look
from studio.pretrain.solid import INK, PIXEL, Surface

CHANNELS = (("base_color", 3), ("roughness", 1), ("metallic", 1), ("height", 1))
"""What `paint` gives, in order: sRGB, linear, linear, and height with 0.5 at the untouched surface."""
HELD_OUT = Path(__file__).parent / "held_out.json"
LONGEST = 20
"""Words of the longest caption."""
NOUNS = (
    "bunny", "rabbit", "vase", "mug", "cup", "chair", "mushroom", "rocket", "robot", "knot", "torus", "ball", "statue", "bowl",
    "bottle", "table", "lamp", "toy", "figure", "object", "shape", "cat", "dog", "dragon", "duck", "car", "house", "tree",
    "teapot", "pot", "box", "sphere", "sculpture", "helmet", "shoe", "barrel", "chest", "sword", "creature", "animal",
)  # fmt: skip
SIZES = {"fine": 0.62, "small": 0.62, "thin": 0.62, "little": 0.62, "bold": 1.6, "large": 1.6, "big": 1.6, "wide": 1.6}
WRAPS = (
    "{x}", "{x}", "{x}", "a {n} in {x}", "a {n} with {x}", "a {n} covered in {x}", "the {n} of {x}", "a {n} painted with {x}",
    "{x} texture", "{x} pattern", "a photo of {x}", "a {n} decorated with {x}", "{x} on a {n}", "{x} surface",
)  # fmt: skip
FILLERS = ("detailed", "realistic", "beautiful", "high quality", "colorful", "bright", "clean", "seamless", "handmade")
WITH_EFFECT, WITH_STYLE, WITH_SIZE, WITH_FILLER, WITH_LEAF = 0.42, 0.2, 0.3, 0.05, 0.12
FINISH = 0.25  # about the work-space length of the unit in which styles and effects are drawn


@dataclass(frozen=True)
class Sample:
    """One caption and the numbers that paint it.

    `colours`: names of the plain colours and metals that the caption gives to the material, in order of {a}, {b}, {c};
    `exact`: no word made one of them darker or lighter. `effect`, `style`: names in their tables or empty; `over`: the effect's
    ink, `over_colour` its name or empty; `amount`: how much of the effect, 1 is usual.
    """

    caption: str
    material: str
    a: Ink
    b: Ink
    c: Ink
    scale: float
    place: RGB
    colours: tuple[str, ...] = ()
    exact: bool = True
    style: str = ""
    effect: str = ""
    over: Ink = (0.0, 0.0, 0.0, 0.5, 0.0)
    over_colour: str = ""
    amount: float = 1.0

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The (material, colour) and (material, effect) pairs that this sample shows."""
        told = (*self.colours, self.effect) if self.effect else self.colours
        return [(self.material, what) for what in told]


# -- captions ---------------------------------------------------------------------------------------------------------------


def _own(look: Look, roughness: float) -> Ink:
    red, green, blue, *rest = look
    return red, green, blue, rest[0] if rest else roughness, rest[1] if rest else 0.0


def _jittered(r: random.Random, ink: Ink, by: float = 0.012) -> Ink:
    red, green, blue, roughness, metallic = ink
    x, y, z, rough = (min(1.0, max(0.0, v + r.gauss(0, by))) for v in (red, green, blue, roughness))
    return x, y, z, rough, metallic


def _chosen(r: random.Random, sentence: str) -> dict[str, Named]:
    """A colour, or now and then a metal, for every slot of the sentence, told apart from each other."""
    out: dict[str, Named] = {}
    alone = "{b}" not in sentence  # what is nothing but golden is the material metal
    for slot in [k for k in "mabc" if f"{{{k}}}" in sentence]:
        found = None
        while found is None or not all(apart(found.ink, other.ink) for other in out.values()):
            leaf = not alone and r.random() < WITH_LEAF
            found = named(r, tuple(METALS) if slot == "m" else LEAF if leaf else tuple(COLOURS))
        out[slot] = found
    return out


def sample(r: random.Random, material: str) -> Sample:
    """A random caption of this material, and its look; it may show held-out pairs. Raises StudioError for an unknown material."""
    if material not in MATERIALS:
        raise StudioError(f"There is no material named {material!r}.", f"Did you mean {nearest(material, tuple(MATERIALS))!r}?")
    m = MATERIALS[material]
    sentence = r.choice(m.sentences)
    chosen = _chosen(r, sentence)
    inks: dict[str, Ink] = {}
    for k, (slot, looks) in enumerate((("a", m.a), ("b", m.b), ("c", m.c))):
        told = chosen.get(slot) or (chosen.get("m") if slot == "a" else None)
        if told is None:
            inks[slot] = _own(r.choice(looks), m.roughness[k]) if looks else inks["b"]
        else:
            red, green, blue, roughness, metallic = told.ink
            rough = m.roughness[k] if roughness < 0 else roughness
            inks[slot] = red, green, blue, rough, float(metallic or (m.metallic and slot == "a"))
    size = r.choice(list(SIZES)) if "{s}" in sentence and r.random() < WITH_SIZE else ""
    said = sentence.format(**{slot: told.said for slot, told in chosen.items()}, s=size, n=r.choice(NOUNS))
    style, said = _styled(r, material, said)
    if "{n}" not in sentence and r.random() < 0.5:
        said = r.choice(WRAPS).format(x=said, n=r.choice(NOUNS))
    effect, said, over, over_colour, amount = _effect(r, material, said, chosen)
    if r.random() < WITH_FILLER:
        said = f"{said}, {r.choice(FILLERS)}" if r.random() < 0.5 else _before(r.choice(FILLERS), said)
    caption = re.sub(r"\s+", " ", said).strip()
    laid = {slot: _jittered(r, ink) for slot, ink in inks.items()}
    if inks["c"] is inks["b"]:
        laid["c"] = laid["b"]
    if effect == "worn edges":
        red, green, blue, roughness, metallic = effects.bare(torch.tensor(laid["a"])).tolist()
        over = red, green, blue, roughness, metallic
    return Sample(
        caption=re.sub(r"\ba (?=[aeio])", "an ", caption),
        material=material,
        **laid,
        **frame(r, m.size * SIZES.get(size, 1.0)),
        colours=tuple(told.name for told in chosen.values()),
        exact=all(told.exact for told in chosen.values()),
        style=style,
        effect=effect,
        over=over,
        over_colour=over_colour,
        amount=amount,
    )


def frame(r: random.Random, usual: float) -> dict[str, Any]:
    """A scale about a usual one and a place, drawn as painting draws them."""
    level, upright, *at = (*r.choices((0.0, 0.5), k=2), *(2.0 * r.randrange(PLACES) for _ in range(3)))
    scale = min(max(usual * 2 ** r.uniform(-LOOSE, LOOSE), UNITS[0]), UNITS[1])
    return {"scale": scale, "place": (at[0] + level, at[1] + upright, at[2] + level)}


def _styled(r: random.Random, material: str, said: str) -> tuple[str, str]:
    """A style that suits the material, or none; its word stands before the first noun phrase."""
    fit = [name for name in styles.STYLES if material not in styles.UNFIT.get(name, ())]
    if not fit or r.random() >= WITH_STYLE:
        return "", said
    style = r.choice(fit)
    word = r.choice(styles.STYLES[style][1])
    return style, _before(word, said)


def _before(word: str, said: str) -> str:
    """An adjective in front of a noun phrase, behind its article."""
    article = re.match(r"(an?|the) ", said)
    return f"{article[0]}{word} {said[article.end() :]}" if article else f"{word} {said}"


def _effect(r: random.Random, material: str, said: str, used: dict[str, Named]) -> tuple[str, str, Ink, str, float]:
    """An effect or none: its name, the caption with it, its ink, the name of its colour, its amount."""
    fit = [name for name, e in effects.EFFECTS.items() if material not in e.never]
    if r.random() >= WITH_EFFECT:
        return "", said, Sample.over, "", 1.0
    name = r.choice(fit)
    e = effects.EFFECTS[name]
    phrase = r.choice(e.phrases)
    ink, colour, slots, amount = e.own, "", {"q": "", "c": ""}, 1.0
    if "{c}" in phrase:
        while True:
            told = named(r, LEAF if r.random() < 0.25 else tuple(COLOURS))
            if told.exact and all(apart(told.ink, other.ink) for other in used.values()):
                break
        colour, slots["c"] = told.name, told.said
        ink = (*told.ink[:3], 0.45 if told.ink[3] < 0 else told.ink[3], told.ink[4])
    if "{q}" in phrase and e.words[0] and r.random() < 0.35:
        more = r.random() < 0.5
        slots["q"], amount = e.words[more], (0.6, 1.5)[more]
    words = phrase.format(**slots)
    if " with " in said and words.startswith("with "):
        words = "and " + words.removeprefix("with ")
    joined = f"{said} {words}"
    return (name, joined, ink, colour, amount) if len(joined.split()) < LONGEST - 1 else ("", said, Sample.over, "", 1.0)


@cache
def held_out() -> frozenset[tuple[str, str]]:
    """The (material, colour) and (material, effect) pairs that are kept for the evaluation."""
    saved = json.loads(HELD_OUT.read_text(encoding="utf-8"))
    listed = [pair for kind in ("colours", "effects") for pair in saved[kind].items()]
    return frozenset((material, what) for material, whats in listed for what in whats)


def draw(r: random.Random, count: int, *, group: int = 4, held_out: bool = False) -> list[Sample]:
    """`count` samples, `group` neighbours of one material each, so that a batch is painted in few large operations.

    `held_out`: every sample shows a held-out pair; otherwise none does.
    """
    kept = globals()["held_out"]()
    able = {material for material, _ in kept} if held_out else set(MATERIALS)
    names = [name for name in MATERIALS if name in able]
    chosen = r.choices(names, [MATERIALS[name].weight for name in names], k=-(-count // group))
    out: list[Sample] = []
    while len(out) < count:
        s = sample(r, chosen[len(out) // group])
        if held_out != kept.isdisjoint(s.pairs):
            out.append(s)
    return out


# -- pictures ---------------------------------------------------------------------------------------------------------------


def paint(samples: Sequence[Sample], rigs: Tensor, volumes: Volumes, *, pixel: float = PIXEL) -> Tensor:
    """The pictures of `paint_told`, without the shares."""
    return paint_told(samples, rigs, volumes, pixel=pixel)[:, :, :6]


def paint_told(samples: Sequence[Sample], rigs: Tensor, volumes: Volumes, *, pixel: float = PIXEL) -> Tensor:
    """Pictures [B, V, 9, h, w] in 0…1 (`CHANNELS`, then the shares of the second ink, the third and the effect's) of B objects,
    from rigs [B, V, 9, h, w] in work space: position, normal, mask, curvature, openness. Zero outside the mask. Edges are
    softened over `pixel` work units; samples of one material that lie side by side are painted together."""
    B, V, _, H, W = rigs.shape
    out = torch.empty(B, V, 9, H, W, device=rigs.device)
    rows = torch.tensor([_numbers(s) for s in samples])
    if rigs.is_cuda:  # so that nothing below makes the host wait for the device
        rows = rows.pin_memory()
    told = rows.to(rigs.device, non_blocking=True).unsqueeze(1)
    i = 0
    while i < B:
        j = i + 1
        while j < B and samples[j].material == samples[i].material:
            j += 1
        coat = _coat(samples[i:j], rigs[i:j], told[i:j], volumes, pixel)
        out[i:j] = coat.view(j - i, V, H, W, 9).movedim(-1, 2)
        i = j
    return out.mul_(rigs[:, :, effects.MASK : effects.MASK + 1])


def _numbers(s: Sample) -> list[float]:
    """What paints a sample; where a third ink is not named it is the second one."""
    third = (1.0, 0.0) if s.c == s.b else (0.0, 1.0)
    return [*s.a, 0.0, 0.0, *s.b, 1.0, 0.0, *s.c, *third, *s.over, 0.0, 0.0, s.scale, *s.place, s.amount]


def _points(rigs: Tensor) -> Tensor:
    """[B, V, C, h, w] → [B, V·h·w, C]."""
    return rigs.float().movedim(2, -1).flatten(1, 3)


def _coat(group: Sequence[Sample], rigs: Tensor, told: Tensor, volumes: Volumes, pixel: float) -> Tensor:
    """One material's objects: rigs [B, V, 9, h, w] and their samples' numbers [B, 1, n] → [B, V·h·w, 9]."""
    a, b, c, over, scale, place, amount = told.split((INK, INK, INK, INK, 1, 3, 1), -1)
    p, n = (_points(rigs[:, :, what]) for what in (effects.POSITION, effects.NORMAL))
    whole = Surface(p, n, p / scale + place, scale, volumes, pixel)
    ink, height = MATERIALS[group[0].material].paint(whole, a, b, c)
    ink, height = ink.expand(*height.shape, INK).clamp(0, 1), height.clamp(0, 1)
    coat = torch.cat([ink[..., :5], height.unsqueeze(-1), ink[..., 5:], torch.zeros_like(height).unsqueeze(-1)], -1)
    for k, x in enumerate(group):
        k = slice(k, k + 1)
        if x.style or x.effect:
            here = Surface(p[k], n[k], whole.q[k], scale[k], volumes, pixel).finer(FINISH)
            own, high = ink[k], height[k]
            if x.style:
                own, high = styles.STYLES[x.style][0](here, own, high)
            if x.effect:
                (own, high), coat[k, :, 8] = effects.lay(x.effect, here, (own, high), _points(rigs[k]), over[k], amount[k, 0])
            coat[k, :, :8] = torch.cat([own[..., :5], high.unsqueeze(-1), own[..., 5:]], -1).clamp_(0, 1)
    return coat


# -- words ------------------------------------------------------------------------------------------------------------------


def vocabulary() -> list[str]:
    """Every word that a caption may hold, and the function words, sorted."""
    sentences = [s for m in MATERIALS.values() for s in m.sentences]
    phrases = [p for e in effects.EFFECTS.values() for p in (*e.phrases, *e.words)]
    names = [*COLOURS, *METALS, *(s for said in SYNONYMS.values() for s in said), *NOUNS, *SIZES, *FILLERS, *DARKER, *LIGHTER]
    said = [word for _, words in styles.STYLES.values() for word in words]
    function = "a an the with of in on and or to from by for at is are it its made like as very some all over"
    function += " colour color coloured texture"
    text = " ".join([*sentences, *phrases, *WRAPS, *names, *said, function])
    return sorted(set(re.findall(r"[a-z]+", re.sub(r"\{.\}", " ", text.lower()))))
