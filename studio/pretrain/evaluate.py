"""Does a generator obey colours? `python -m studio.pretrain.evaluate [--weights DIR] [--out sheet.png]`.

40 sentences on two sample meshes. A sentence is obeyed when its colour is the nearest named one (CIELAB) on more than a quarter
of the visible surface; the control counts a colour that was not asked for; a third run shuffles the text encoder's weights,
after which obedience must fall to chance. Prints the table and writes a contact sheet.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from studio.camera import Camera
from studio.generators import _weights
from studio.generators._multiview import DATA, MultiView
from studio.pretrain.corpus import COLOURS
from studio.pretrain.shapes import seen
from studio.surface.mesh import load

SHARE = 0.25
PROMPTS: tuple[tuple[str, str, str], ...] = (  # sentence, colour asked for, colour not asked for
    ("a red vase", "red", "blue"), ("a rabbit painted blue", "blue", "orange"), ("plain green object", "green", "pink"),
        ("bright yellow paint", "yellow", "navy"),
    ("a purple statue", "purple", "lime"), ("solid orange", "orange", "teal"), ("a black helmet", "black", "yellow"),
        ("snow white surface", "white", "red"),
    ("a pink toy", "pink", "green"), ("turquoise", "cyan", "maroon"), ("teal pot", "teal", "orange"), ("navy blue", "navy",
        "beige"),
    ("a chocolate bunny", "brown", "cyan"), ("gray", "grey", "magenta"), ("lime green creature", "lime", "purple"),
        ("fuchsia paint on a bottle", "magenta", "olive"),
    ("a golden cup", "gold", "blue"), ("lilac object", "lavender", "brown"), ("red and white stripes", "red", "green"),
        ("a blue vase with yellow dots", "blue", "red"),
    ("a green rabbit with white polka dots", "green", "purple"), ("orange and black stripes", "orange", "cyan"),
        ("checkerboard in black and white", "black", "gold"),
    ("purple and yellow checks", "purple", "green"), ("a pink bunny with navy spots", "pink", "olive"), ("cyan and navy zigzag",
        "cyan", "red"),
    ("red bricks with white mortar", "red", "blue"), ("blue tiles", "blue", "yellow"), ("white marble with black veins",
        "white", "green"), ("a green marble vase", "green", "magenta"),
    ("teal and white plaid", "teal", "red"), ("black with gold splatters", "black", "pink"), ("gradient from yellow to red",
        "yellow", "blue"),
    ("blue top and orange bottom", "blue", "green"), ("a rabbit half magenta and half black", "magenta", "tan"),
        ("red dragon scales", "red", "cyan"),
    ("blue and white mosaic", "blue", "brown"), ("yellow terrazzo with black chips", "yellow", "purple"),
        ("black and white zebra stripes", "black", "orange"),
    ("maroon cobblestone", "maroon", "mint"),
)  # fmt: skip
VIEWS = tuple(Camera(90.0 * k + 20, 10) for k in range(4)) + (Camera(0, 75), Camera(180, -70))


def lab(rgb: Tensor) -> Tensor:
    """sRGB [..., 3] in [0, 1] → CIELAB under D65 (CIE 15)."""
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clamp(min=0) + 0.055) / 1.055) ** 2.4)
    M = rgb.new_tensor([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ M.T / rgb.new_tensor([0.9505, 1.0, 1.089])
    f = torch.where(xyz > (6 / 29) ** 3, xyz.clamp(min=1e-9) ** (1 / 3), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = f.unbind(-1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def shares(pictures: Tensor, mask: Tensor) -> dict[str, float]:
    """Share of the visible surface whose nearest named colour is each one. pictures [V, 3, h, w] sRGB, mask [V, 1, h, w]."""
    pixels = lab(pictures.clamp(0, 1).movedim(1, -1)[mask[:, 0] > 0.5].float().cpu())
    nearest = torch.cdist(pixels, lab(torch.tensor(list(COLOURS.values())))).argmin(1)
    counts = torch.bincount(nearest, minlength=len(COLOURS)) / max(1, len(nearest))
    return dict(zip(COLOURS, counts.tolist(), strict=True))


def shuffled(painter: MultiView, *, seed: int = 0) -> MultiView:
    """The same painter with every weight of its text encoder in random order."""
    other = copy.copy(painter)
    other.network = copy.deepcopy(painter.network)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in other.network.text.parameters():
            p.copy_(p.flatten()[torch.randperm(p.numel(), generator=generator).to(p.device)].view_as(p))
    return other


def save_sheet(rows: Sequence[tuple[Tensor, Tensor]], path: Path, *, shown: int = 3, columns: int = 4) -> None:
    """A PNG of `columns` items a line; an item is (pictures [V, 3, h, w], mask [V, 1, h, w]), its first `shown` views on grey."""
    from PIL import Image

    strips = [torch.cat(list((p * m + 0.75 * (1 - m))[:shown]), -1).float().cpu() for p, m in rows]
    strips += [torch.full_like(strips[0], 0.75)] * (-len(strips) % columns)
    lines = [torch.cat(strips[i : i + columns], -1) for i in range(0, len(strips), columns)]
    sheet = torch.cat(lines, -2).clamp(0, 1).mul(255).round().byte().movedim(0, -1).numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(path)


def judge(painter: MultiView, geometry: Tensor, prompts: Sequence[tuple[str, str, str]], *, seed: int = 0) -> tuple[list[float],
    list[float], list[tuple[Tensor, Tensor]]]:
    """Share of the asked and of the wrong colour for each prompt on one mesh [V, 7, h, w], and the pictures with their masks."""
    asked, wrong, kept = [], [], []
    for i, (prompt, right, other) in enumerate(prompts):
        scene = painter.scene_of(prompt, geometry)
        pictures = painter.paint(scene, seed=seed + i)
        found = shares(pictures, scene.mask)
        asked.append(found[right])
        wrong.append(found[other])
        kept.append((pictures, scene.mask))
    return asked, wrong, kept


def main(argv: list[str] | None = None) -> bool:
    """Print the table; True when the generator passes."""
    p = argparse.ArgumentParser(prog="python -m studio.pretrain.evaluate",
        description="Measure how well the bundled generator obeys colours.")
    p.add_argument("--weights", type=Path, default=DATA, help="folder with the weights")
    p.add_argument("--meshes", type=Path, nargs="+", default=[Path("sample_meshes/rabbit.glb"), Path("sample_meshes/vase.glb")])
    p.add_argument("--out", type=Path, default=Path("evaluation.png"))
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--steps", type=int, default=8)
    p.add_argument("--guidance", type=float, default=2.0)
    p.add_argument("--prompts", type=int, default=len(PROMPTS), help="only the first so many")
    args = p.parse_args(argv)
    network, vocabulary = _weights.load(args.weights)
    painter = MultiView(network.to(args.device), vocabulary, steps=args.steps, guidance=args.guidance, eta=0.0)
    blind, prompts = shuffled(painter), PROMPTS[: args.prompts]
    right, wrong, chance, rows = [], [], [], []
    for path in args.meshes:
        geometry = torch.from_numpy(seen(load(path), VIEWS, painter.view_px)).float()
        asked, other, kept = judge(painter, geometry, prompts)
        right, wrong, rows = right + asked, wrong + other, rows + kept
        chance += judge(blind, geometry, prompts)[0]
    print(f"{'prompt':45} {'colour':10} " + " ".join(f"{m.stem[:8]:>8}" for m in args.meshes))
    for i, (prompt, colour, _) in enumerate(prompts):
        print(f"{prompt:45} {colour:10} " + " ".join(f"{right[i + len(prompts) * k]:8.2f}" for k in range(len(args.meshes))))
    obeyed, control, lucky = (float(np.mean(np.array(v) > SHARE)) for v in (right, wrong, chance))
    print(f"asked colour on > {SHARE:.0%} of the surface: {obeyed:.1%} (needs 85 %)")
    print(f"wrong colour: {control:.1%} (must stay below 15 %); asked colour after shuffling the text encoder: {lucky:.1%}")
    save_sheet(rows, args.out, shown=2, columns=8)
    return obeyed >= 0.85 and control < 0.15


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
