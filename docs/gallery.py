"""The pictures of README: `python docs/gallery.py` paints each sample mesh once and photographs it; `docs/gallery.jpg`.

Nothing is chosen or retouched: seed 1, the default settings of the bundled generator, no learning.
With `--demo patina-demo/sheet.png` it turns the contact sheet of `studio demo` into `docs/demo.jpg` instead.
"""

from __future__ import annotations

import argparse
import sys
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
    ("rabbit", "white marble with black veins", 40, 12, 2.8),
    ("mug", "zebra", 60, 22, 2.5),
    ("chair", "wooden planks", 35, 20, 2.8),
    ("mushroom", "red with white dots", 20, 16, 2.5),
    ("rocket", "gradient from purple to orange", 25, 10, 2.7),
    ("torus_knot", "lava", 20, 20, 2.5),
)


def painted(name: str, prompt: str, view: Camera, *, device: str) -> torch.Tensor:
    """A still [3, TILE_PX, TILE_PX] in sRGB of a sample mesh as `prompt` textures it."""
    for progress in studio.run(studio.Config(prompt=prompt, seed=SEED, device=device), resources.sample(name)):
        if progress.result is not None:
            mesh, texture = progress.result.mesh, progress.result.texture
            where = texture.channels["base_color"].device
            atlas = build_atlas(mesh, texture.size_px).to(where)
            rasterizer, _ = renderers.build("auto", where)
            light = environment.load("softbox")
            return Stage(mesh, atlas, [view], light, rasterizer, TILE_PX, supersample=3)(texture)[0].cpu()
    raise AssertionError("a run ends with its result")


def gallery(*, device: str, columns: int = 4) -> Image.Image:
    """The page: a still and its prompt for each of SHOWN."""
    step = TILE_PX + GAP_PX
    rows = -(-len(SHOWN) // columns)
    page = Image.new("RGB", (columns * step + GAP_PX, rows * (step + WORDS_PX) + GAP_PX), CHARCOAL)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(19)
    for i, (name, prompt, azimuth, elevation, distance) in enumerate(SHOWN):
        print(f"{name}: {prompt}", file=sys.stderr)
        picture = painted(name, prompt, Camera(azimuth, elevation, distance), device=device)
        pixels = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        x, y = GAP_PX + i % columns * step, GAP_PX + i // columns * (step + WORDS_PX)
        page.paste(Image.fromarray(pixels), (x, y))
        draw.text((x + TILE_PX / 2, y + TILE_PX + 7), prompt, fill=BONE, font=font, anchor="mt")
    return page


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
        gallery(device=chosen.device).save(HERE / "gallery.jpg", quality=QUALITY, optimize=True)


if __name__ == "__main__":
    main()
