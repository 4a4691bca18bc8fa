"""The pictures of README: `python docs/gallery.py` paints sample meshes and photographs them, `gallery.jpg` and `skies.jpg`.

Nothing is chosen or retouched: seed 1, the default settings of the bundled generator, no learning. The gallery is the page of
`studio.pretrain.gallery`, 24 prompts on three meshes.
With `--demo patina-demo/sheet.png` it turns the contact sheet of `studio demo` into `docs/demo.jpg` instead.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import studio
from studio import environment, renderers, resources
from studio.camera import Camera
from studio.pretrain import gallery
from studio.sheet import BONE, CHARCOAL
from studio.still import Stage
from studio.surface.atlas import build_atlas

HERE = Path(__file__).resolve().parent
SEED, TILE_PX, GAP_PX, WORDS_PX, QUALITY = 1, 336, 8, 34, 88
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
        made = page(LIT, lights=SKIES, device=chosen.device, columns=3)
        made.save(HERE / "skies.jpg", quality=QUALITY, optimize=True)
        with tempfile.TemporaryDirectory() as folder:
            sheet = [f"--{k}={v}" for k, v in {"out": Path(folder) / "page.png", "seed": SEED, "px": 176, "columns": 4}.items()]
            Image.open(gallery.main(sheet)).save(HERE / "gallery.jpg", quality=QUALITY, optimize=True)


if __name__ == "__main__":
    main()
