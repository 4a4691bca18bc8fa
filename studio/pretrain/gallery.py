"""Pictures to look at: `python -m studio.pretrain.gallery --weights DIR [--meshes vase mug rabbit] [--skies softbox] [--truth]`.

Every prompt on every mesh under every sky, baked into an atlas and photographed as the studio's own contact sheets are. With
`--truth` the corpus paints instead, one caption for each of its materials: what the generator is meant to learn.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from studio import environment, resources, sheet
from studio.camera import Camera
from studio.device import device
from studio.generators._solid import Volumes
from studio.generators._words import DATA
from studio.pretrain import corpus
from studio.pretrain.corpus import Sample
from studio.pretrain.evaluate import ATLAS_PX, VIEWS, Texturer, baked, loaded, textured_by, truthful
from studio.pretrain.subjects import Subject
from studio.pretrain.trial import as_texture
from studio.renderers import SOCKET as RENDERERS
from studio.still import Stage

PROMPTS = (
    "a golden vase", "red bricks with rough mortar and slightly worn edges", "a checkerboard-patterned bunny",
    "white marble with gold veins", "wooden planks with snow on top", "mossy stone", "copper patina", "rusty iron",
    "navy with gold stars", "glowing lava rock", "red knitted wool", "blue and white plaid", "teal and white mosaic",
    "cracked ice", "brown leather with gold trim along the edges", "green dragon scales",
    "carbon fiber with a red band around the middle",
    "circuit board", "honeycomb", "pink with white polka dots", "giraffe skin", "terrazzo", "wet stone with thick moss on top",
    "blue and purple watercolor",
)  # fmt: skip
CAPTION_PX, GAP_PX = 22, 8
FRONT = Camera(azimuth_deg=-35.0, elevation_deg=18.0, distance=2.6)


def spoken(prompt: str) -> Sample:
    """A caption that is only read, not painted by the corpus."""
    return dataclasses.replace(corpus.sample(random.Random(0), "plain"), caption=prompt)


def taught(seed: int = 0) -> list[Sample]:
    """One sample of each material."""
    r = random.Random(seed)
    return [corpus.sample(r, name) for name in corpus.MATERIALS]


def photographed(make: Texturer, samples: Sequence[Sample], subjects: Sequence[Subject], stages: Sequence[Sequence[Stage]], *,
    seed: int) -> list[list[Tensor]]:  # fmt: skip
    """For every sample its pictures [3, px, px], sky by sky on each subject in turn."""
    rows = []
    for sample in samples:
        row: list[Tensor] = []
        for subject, skies in zip(subjects, stages, strict=True):
            texture = as_texture(make(sample, subject, seed)[1].clamp(0, 1)).to("cpu")
            row += [stage(texture)[0] for stage in skies]
        rows.append(row)
    return rows


def page(captions: Sequence[str], rows: Sequence[Sequence[Tensor]], path: Path, *, columns: int = 2) -> Path:
    """A PNG with `columns` captions a line, each over its row of pictures. Raises OutputError."""
    from PIL import Image, ImageDraw, ImageFont

    px, count = rows[0][0].shape[-1], len(rows[0])
    wide, high = count * px + GAP_PX, px + CAPTION_PX + GAP_PX
    out = Image.new("RGB", (columns * wide + GAP_PX, -(-len(rows) // columns) * high + GAP_PX), sheet.CHARCOAL)
    draw, font = ImageDraw.Draw(out), ImageFont.load_default(14)
    for i, (caption, row) in enumerate(zip(captions, rows, strict=True)):
        x, y = GAP_PX + i % columns * wide, GAP_PX + i // columns * high
        while draw.textlength(caption, font) > wide - GAP_PX:
            caption = caption.removesuffix("…")[:-1].rstrip() + "…"
        draw.text((x, y), caption, fill=sheet.BONE, font=font)
        strip = torch.cat(list(row), -1).clamp(0, 1).mul(255).round().byte().movedim(0, -1).cpu().numpy()
        out.paste(Image.fromarray(strip), (x, y + CAPTION_PX))
    return sheet.write(path, out)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="python -m studio.pretrain.gallery", description="Photograph what a generator paints.")
    p.add_argument("--weights", type=Path, default=DATA, help="folder with the generator's weights")
    p.add_argument("--truth", action="store_true", help="photograph what the corpus paints, material by material")
    p.add_argument("--prompts", nargs="+", default=list(PROMPTS))
    p.add_argument("--meshes", nargs="+", default=["vase", "mug", "rabbit"], help="names of sample meshes")
    p.add_argument("--skies", nargs="+", default=["softbox"], help="names of environments")
    p.add_argument("--out", type=Path, default=Path("build/gallery.png"))
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--steps", type=int, default=4, help="denoising steps")
    p.add_argument("--guidance", type=float, default=1.0)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--atlas", type=int, default=ATLAS_PX, help="side of the atlas")
    p.add_argument("--px", type=int, default=256, help="side of a picture")
    p.add_argument("--columns", type=int, default=2, help="prompts a line")
    return p.parse_args(argv)


def main(argv: list[str] | None = None) -> Path:
    """Write the page. Raises StudioError for unknown names and missing weights."""
    args = arguments(argv)
    where, cpu = device(args.device), torch.device("cpu")
    painter = None if args.truth else loaded(args.weights, steps=args.steps, guidance=args.guidance, device=where)
    make = textured_by(painter) if painter else baked(truthful(Volumes.make(where)))
    samples = [spoken(p) for p in args.prompts] if painter is not None else taught(args.seed)
    view_px = 256 if painter is None else painter.view_px
    sizes = {"view_px": view_px, "atlas_px": args.atlas, "views": VIEWS}
    subjects = [Subject.load(resources.sample(name), **sizes, device=where) for name in args.meshes]
    rasterizer = RENDERERS.make("embree").build(cpu)
    skies = [environment.load(name) for name in args.skies]
    stages = [[Stage(s.mesh, s.atlas.to(cpu), [FRONT], sky, rasterizer, args.px) for sky in skies] for s in subjects]
    rows = photographed(make, samples, subjects, stages, seed=args.seed)
    print(page([s.caption for s in samples], rows, args.out, columns=args.columns), flush=True)
    return args.out


if __name__ == "__main__":
    main()
