"""The pictures of README: `python docs/gallery.py` paints sample meshes and photographs them, `gallery.jpg` and `skies.jpg`.

Nothing is chosen or retouched: seed 1, the default settings of the bundled generator, no learning.
With `--demo patina-demo/sheet.png` it turns the contact sheet of `studio demo` into `docs/demo.jpg` instead.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import studio
from studio import environment, renderers, resources
from studio.camera import Camera
from studio.sheet import BONE, CHARCOAL
from studio.still import Stage
from studio.surface.atlas import build_atlas

HERE = Path(__file__).resolve().parent
SEED, TILE_PX, GAP_PX, WORDS_PX, QUALITY = 1, 336, 8, 34, 88
SHOWN = (  # mesh, prompt, azimuth and elevation in degrees, distance
    ("vase", "blue and white stripes", -30, 14, 2.85),
    ("robot", "rusty metal", 28, 12, 2.7),
    ("mug", "a red mug with white polka dots", 60, 22, 2.5),
    ("rabbit", "leopard", 40, 12, 2.8),
    ("torus_knot", "lava", 20, 20, 2.5),
    ("mushroom", "green dragon scales", 20, 16, 2.5),
    ("chair", "red and black plaid", 35, 20, 2.8),
    ("rocket", "gradient from purple to orange", 25, 10, 2.7),
    ("vase", "teal mosaic with gold", -30, 14, 2.85),
    ("robot", "green camouflage", 28, 12, 2.7),
    ("mug", "zebra", 60, 22, 2.5),
    ("rabbit", "stone with moss on top", 40, 12, 2.8),
    ("torus_knot", "red bricks with white mortar", 20, 20, 2.5),
    ("mushroom", "honeycomb", 20, 16, 2.5),
    ("chair", "wooden planks", 35, 20, 2.8),
    ("rocket", "worn copper patina", 25, 10, 2.7),
)
SKIES = ("courtyard", "sunset", "night")
LIT = (("vase", "gold", -30, 14, 2.85), ("robot", "rust", 28, 12, 2.7), ("rabbit", "wet stone", 40, 12, 2.8))


def painted(name: str, prompt: str, view: Camera, *, lights: Sequence[str], device: str) -> list[torch.Tensor]:
    """A still [3, TILE_PX, TILE_PX] in sRGB, under each light, of a sample mesh as `prompt` textures it."""
    for progress in studio.run(studio.Config(prompt=prompt, seed=SEED, device=device), resources.sample(name)):
        if progress.result is not None:
            mesh, texture = progress.result.mesh, progress.result.texture
            where = texture.channels["base_color"].device
            atlas = build_atlas(mesh, texture.size_px).to(where)
            rasterizer, _ = renderers.build("auto", where)
            stages = [Stage(mesh, atlas, [view], environment.load(x), rasterizer, TILE_PX, supersample=3) for x in lights]
            return [stage(texture)[0].cpu() for stage in stages]
    raise AssertionError("a run ends with its result")


def page(
    shown: Sequence[tuple[str, str, float, float, float]], *, lights: Sequence[str], device: str, columns: int
) -> Image.Image:
    """A still and its prompt for each of `shown` and each light."""
    step = TILE_PX + GAP_PX
    rows = -(-len(shown) * len(lights) // columns)
    paper = Image.new("RGB", (columns * step + GAP_PX, rows * (step + WORDS_PX) + GAP_PX), CHARCOAL)
    draw, font = ImageDraw.Draw(paper), ImageFont.load_default(19)
    for i, (name, prompt, azimuth, elevation, distance) in enumerate(shown):
        view = Camera(azimuth, elevation, distance)
        print(f"{name}: {prompt}", file=sys.stderr)
        for k, picture in enumerate(painted(name, prompt, view, lights=lights, device=device)):
            pixels = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
            row, column = divmod(i * len(lights) + k, columns)
            x, y = GAP_PX + column * step, GAP_PX + row * (step + WORDS_PX)
            paper.paste(Image.fromarray(pixels), (x, y))
            words = prompt if len(lights) == 1 else f"{prompt}, {lights[k]}"
            draw.text((x + TILE_PX / 2, y + TILE_PX + 7), words, fill=BONE, font=font, anchor="mt")
    return paper


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--demo", type=Path, help="a contact sheet of `studio demo`")
    chosen = parser.parse_args()
    if chosen.demo:
        sheet = Image.open(chosen.demo).convert("RGB")
        sheet = sheet.resize((sheet.width * 3 // 4, sheet.height * 3 // 4), Image.Resampling.LANCZOS)
        sheet.save(HERE / "demo.jpg", quality=QUALITY, optimize=True)
    else:
        for file, shown, lights, columns in (("gallery", SHOWN, ("softbox",), 4), ("skies", LIT, SKIES, 3)):
            made = page(shown, lights=lights, device=chosen.device, columns=columns)
            made.save(HERE / f"{file}.jpg", quality=QUALITY, optimize=True)


if __name__ == "__main__":
    main()
