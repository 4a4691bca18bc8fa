"""The window's fonts: `python docs/fonts.py FOLDER` cuts Inter's OpenType files in FOLDER down to what the window writes.

Needs fonttools. Inter 3.19 (https://github.com/rsms/inter) is under the SIL Open Font License and reserves no name; the licence
lies beside the fonts. Digits are replaced by Inter's own tabular ones: Dear ImGui knows no OpenType features, and numbers that
change sixty times a second must not jump. The icons of `_icons.py` are added.
"""

from __future__ import annotations

import sys
from pathlib import Path

from _icons import BEARING, ICONS, SIDE
from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

OUT = Path(__file__).resolve().parent.parent / "studio" / "gui" / "data"
WEIGHTS = ("Regular", "SemiBold")
RANGES = (
    (0x0020, 0x017F),  # Latin, Latin-1, Latin Extended-A
    (0x02C6, 0x02DD),  # accents by themselves
    (0x0394, 0x03C9),  # Greek, for units and formulas
    (0x2010, 0x205F),  # dashes, quotes, bullets, ellipsis, primes
    (0x2070, 0x2099),  # raised and lowered digits
    (0x20AC, 0x20AC),
    (0x2100, 0x215F),  # letter-like: degrees, numero, trade mark, fractions
    (0x2190, 0x21FF),  # arrows
    (0x2200, 0x22FF),  # mathematics
    (0x2300, 0x23FF),  # keys of a keyboard
    (0x2423, 0x2423),
    (0x25A0, 0x25FF),  # geometric shapes
    (0x2600, 0x27FF),  # warning sign, ticks, stars, long arrows
    (0x2B06, 0x2B1C),
)


def cut(source: Path, target: Path) -> str:
    """Write the subset of `source`; returns the characters it holds."""
    font = TTFont(source)
    wanted = {code for first, last in RANGES for code in range(first, last + 1)} & set(font.getBestCmap())
    tabular = _tabular(font)
    for table in font["cmap"].tables:
        table.cmap = {code: tabular.get(name, name) if 0x30 <= code <= 0x39 else name for code, name in table.cmap.items()}
    options = Options()
    options.layout_features = ["kern"]
    options.name_IDs = ["*"]
    options.hinting = False  # Dear ImGui's rasteriser reads none
    options.desubroutinize = False
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=wanted)
    subsetter.subset(font)
    _add_icons(font)
    font.save(target)
    return "".join(sorted({*map(chr, wanted), *ICONS}))


def _tabular(font: TTFont) -> dict[str, str]:
    """Glyph → its twin of the width all digits share (OpenType feature `tnum`)."""
    layout = font["GSUB"].table
    record = next(r for r in layout.FeatureList.FeatureRecord if r.FeatureTag == "tnum")
    found: dict[str, str] = {}
    for index in record.Feature.LookupListIndex:
        for table in layout.LookupList.Lookup[index].SubTable:
            found |= getattr(table, "ExtSubTable", table).mapping
    return found


def _add_icons(font: TTFont) -> None:
    top = font["CFF "].cff.topDictIndex[0]
    glyphs, width = top.CharStrings, SIDE + 2 * BEARING
    order = [*font.getGlyphOrder(), *(f"uni{ord(character):04X}" for character in ICONS)]
    for character, outlines in ICONS.items():
        name = f"uni{ord(character):04X}"
        pen = T2CharStringPen(width - top.Private.nominalWidthX, None)
        for outline in outlines:
            first, *rest = [(round(x + BEARING), round(y)) for x, y in outline]
            pen.moveTo(first)
            for point in rest:
                pen.lineTo(point)
            pen.closePath()
        glyphs.charStringsIndex.append(pen.getCharString(top.Private, top.GlobalSubrs))
        glyphs.charStrings[name] = len(glyphs.charStringsIndex) - 1
        left = BEARING + round(min(x for outline in outlines for x, _ in outline))
        font["hmtx"][name] = (width, left)
        for table in font["cmap"].tables:
            table.cmap[ord(character)] = name
    top.charset = order
    font.setGlyphOrder(order)


def main() -> None:
    folder = Path(sys.argv[1])
    for weight in WEIGHTS:
        target = OUT / f"Inter-{weight}.otf"
        glyphs = cut(folder / target.name, target)
        print(f"{target.name}: {target.stat().st_size // 1024} KB, {len(glyphs)} characters")
    print(glyphs)


if __name__ == "__main__":
    main()
