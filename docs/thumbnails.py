"""The small pictures of the window: `python docs/thumbnails.py` paints samples and material spheres into `studio/gui/data`.

Everything is painted by the bundled generator at its default settings; only seeds were chosen. `materials.json` and
`samples.json` list what each picture shows.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import studio
from studio import resources
from studio.camera import Camera
from studio.surface.mesh import Material, Mesh
from studio.texture import Texture
from studio.view import Shot, Viewer

OUT = Path(__file__).resolve().parent.parent / "studio" / "gui" / "data"
SIDE_PX, QUALITY, ATLAS_PX = 128, 86, 768
CHARCOAL = (0x1E / 255, 0x1D / 255, 0x1B / 255)


@dataclass(frozen=True)
class Ball:
    """A sphere in the drawer: what is written under it, what it adds to the prompt, and the seed it is painted with."""

    label: str
    words: str
    seed: int = 1


BALLS = (
    Ball("Red bricks", "red bricks"),
    Ball("Cobbles", "cobblestone"),
    Ball("Granite", "granite"),
    Ball("White marble", "white marble with black veins"),
    Ball("Black marble", "black marble with gold veins"),
    Ball("Green marble", "green marble with white veins"),
    Ball("Terrazzo", "terrazzo"),
    Ball("Mossy stone", "stone covered in moss"),
    Ball("Lava", "molten lava"),
    Ball("Rusty metal", "rusty metal"),
    Ball("Rusted paint", "rusted teal paint"),
    Ball("Oak", "oak wood"),
    Ball("Planks", "wooden planks"),
    Ball("Painted planks", "blue painted planks"),
    Ball("Tiles", "teal tiles with white grout"),
    Ball("Mosaic", "blue and white mosaic"),
    Ball("Checkerboard", "black and white checkerboard"),
    Ball("Stripes", "blue and white stripes"),
    Ball("Vertical stripes", "red and white vertical stripes"),
    Ball("Diagonals", "yellow and black diagonal stripes"),
    Ball("Zigzag", "teal and white zigzag"),
    Ball("Polka dots", "red with white polka dots"),
    Ball("Plaid", "red and black plaid"),
    Ball("Tartan", "green and navy tartan"),
    Ball("Zebra", "zebra stripes"),
    Ball("Tiger", "tiger fur"),
    Ball("Leopard", "leopard spots"),
    Ball("Giraffe", "giraffe skin"),
    Ball("Snake", "snake skin"),
    Ball("Dragon scales", "green dragon scales"),
    Ball("Fish scales", "blue fish scales"),
    Ball("Camouflage", "green camouflage"),
    Ball("Splatters", "black splattered with cyan"),
    Ball("Gradient", "gradient from purple to orange"),
    Ball("Two halves", "upper half teal and lower half beige"),
    Ball("Gold paint", "gold paint"),
)
SAMPLES = {  # mesh: prompt, seed, camera
    "vase": ("blue and white stripes", 1, Camera(-30, 14, 2.6)),
    "robot": ("rusty metal", 1, Camera(28, 12, 2.5)),
    "rabbit": ("leopard", 1, Camera(40, 12, 2.6)),
    "mug": ("zebra", 1, Camera(60, 22, 2.3)),
    "chair": ("wooden planks", 1, Camera(35, 20, 2.6)),
    "mushroom": ("green dragon scales", 1, Camera(20, 16, 2.3)),
    "rocket": ("gradient from purple to orange", 1, Camera(25, 10, 2.5)),
    "torus_knot": ("lava", 1, Camera(20, 20, 2.3)),
}


def sphere(cells: int = 24) -> Mesh:
    """A sphere of six charts: the sides of a cube, blown up so that equal angles get equal texels."""
    t = np.linspace(-1, 1, cells + 1)
    across, down = np.meshgrid(np.tan(t * np.pi / 4), np.tan(t * np.pi / 4))
    i, j = (x.ravel() for x in np.meshgrid(np.arange(cells), np.arange(cells), indexing="ij"))
    a = i * (cells + 1) + j
    quads = np.stack([a, a + cells + 1, a + cells + 2, a, a + cells + 2, a + 1], 1).reshape(-1, 3)
    one = np.ones_like(across)
    walls = (across, -down, one), (one, -down, -across), (-across, -down, -one), (-one, -down, across)
    sides = (*walls, (across, one, down), (across, -one, -down))
    flat = np.stack(np.meshgrid(t, t), -1).reshape(-1, 2) / 2 + 0.5
    vertices, faces, uv = [], [], []
    for side, parts in enumerate(sides):
        point = np.stack(parts, -1).reshape(-1, 3)
        vertices.append(point / np.linalg.norm(point, axis=1, keepdims=True))
        faces.append(quads + side * len(point))
        uv.append((np.array([side % 3, side // 3]) + 0.02 + 0.96 * flat)[quads] / np.array([3, 2]))
    stacked = np.concatenate(vertices)
    return Mesh.from_arrays(
        stacked,
        np.concatenate(faces),
        corner_uv=np.concatenate(uv),
        corner_normals=stacked[np.concatenate(faces)],
        sets=(Material("ball", roughness=0.35),),
        name="ball",
    )


def painted(mesh: Mesh | Path, prompt: str, seed: int, *, device: str) -> tuple[Mesh, Texture]:
    """A mesh and its texture, on the CPU, as a run without learning makes it."""
    *_, last = studio.run(studio.Config(prompt=prompt, seed=seed, device=device, atlas_px=ATLAS_PX), mesh)
    assert last.result is not None
    return last.result.mesh, last.result.texture.to("cpu")


def photograph(
    viewer: Viewer, texture: Texture, camera: Camera, *, exposure_ev: float = 0.3, turn_deg: float = 0.0
) -> Image.Image:
    """A picture of SIDE_PX² in front of nothing."""
    shot = Shot(camera, SIDE_PX * 2, SIDE_PX * 2, 16, exposure_ev=-0.3, backdrop=False)
    rgba = viewer.draw(shot, texture)
    rgba[rgba[..., 3] == 0, :3] = CHARCOAL
    return Image.fromarray((rgba * 255).round().astype(np.uint8)).resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)


def balls(chosen: tuple[Ball, ...], *, device: str) -> Iterator[Image.Image]:
    """A picture of each, lit from the upper left."""
    ball, viewer, camera = sphere(), Viewer(), Camera(0, 15, distance=5.6, fov_deg=19.2)
    viewer.show(ball)
    for one in chosen:
        print(one.words, file=sys.stderr)
        yield photograph(viewer, painted(ball, one.words, one.seed, device=device)[1], camera)


def samples(*, device: str) -> Iterator[Image.Image]:
    """A picture of each of SAMPLES."""
    for name, (prompt, seed, camera) in SAMPLES.items():
        print(f"{name}: {prompt}", file=sys.stderr)
        mesh, texture = painted(resources.sample(name), prompt, seed, device=device)
        viewer = Viewer()
        viewer.show(mesh)
        yield photograph(viewer, texture, camera)


def save(picture: Image.Image, path: Path) -> str:
    """Write a picture; where it lies, as the lists name it."""
    path.parent.mkdir(exist_ok=True)
    picture.save(path, quality=QUALITY, method=6)
    return path.relative_to(OUT).as_posix()


def write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def sheet(pictures: list[Image.Image], columns: int) -> Image.Image:
    """All pictures on one page, to choose from."""
    page = Image.new("RGB", (columns * SIDE_PX, -(-len(pictures) // columns) * SIDE_PX), tuple(round(c * 255) for c in CHARCOAL))
    for i, picture in enumerate(pictures):
        page.paste(picture, (i % columns * SIDE_PX, i // columns * SIDE_PX), picture)
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", choices=("balls", "samples"))
    parser.add_argument("--try-seeds", type=int, nargs="+", help="only show the spheres painted with these seeds, in sheet.png")
    parser.add_argument("--words", nargs="+", help="try only these spheres")
    chosen = parser.parse_args()
    if chosen.try_seeds:
        tried = [b for b in BALLS if not chosen.words or b.words in chosen.words]
        options = tuple(replace(b, seed=s) for b in tried for s in chosen.try_seeds)
        sheet(list(balls(options, device=chosen.device)), 4 * len(chosen.try_seeds)).save("sheet.png")
        return
    if chosen.only != "samples":
        pictures = balls(BALLS, device=chosen.device)
        names = [b.label.lower().replace(" ", "_") for b in BALLS]
        files = [save(p, OUT / "materials" / f"{n}.webp") for n, p in zip(names, pictures, strict=True)]
        write(
            OUT / "materials.json", [{"file": f, "words": b.words, "label": b.label} for f, b in zip(files, BALLS, strict=True)]
        )
    if chosen.only != "balls":
        files = [save(p, OUT / "samples" / f"{n}.webp") for n, p in zip(SAMPLES, samples(device=chosen.device), strict=True)]
        pairs = zip(files, SAMPLES.items(), strict=True)
        write(OUT / "samples.json", [{"file": f, "mesh": name, "prompt": prompt} for f, (name, (prompt, _, _)) in pairs])


if __name__ == "__main__":
    main()
