"""Compare networks in a minute: `python -m studio.pretrain.yardstick --weights DIR [DIR …] --out DIR [--guidance 2]`.

Captions on shapes held out, each beside the truth that the corpus paints for it. Where a pattern lies is left to chance, so
nothing is compared pixel by pixel: colours as distributions, details by their energy in three octaves, views with each other.
This chose between the arms of the bake-off; what is shipped is measured by `evaluate`. `--write DIR --bits 8` also stores the
first network.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.generators import _weights
from studio.generators._multiview import MultiView
from studio.pretrain import train
from studio.pretrain.batches import MASK, Batches
from studio.pretrain.session import Ranks, options

VIEWS = 6
POINTS = 2_000  # of each view, for comparing views
NEAR = 0.006  # work units; a pixel spans 0.008


def colours_apart(a: Tensor, b: Tensor, *, projections: int = 24) -> float:
    """Sliced Wasserstein distance of two sets of colours [n, 3] and [m, 3]: 0 where both hold the same colours equally often."""
    g = torch.Generator().manual_seed(0)
    axes = F.normalize(torch.randn(3, projections, generator=g), dim=0).to(a)
    levels = torch.linspace(0.005, 0.995, 200, device=a.device)
    some = (x[torch.randperm(len(x), generator=g)[:20_000].to(a.device)] for x in (a, b))
    ours, theirs = (torch.quantile(x @ axes, levels, dim=0) for x in some)
    return float((ours - theirs).abs().mean())


def octaves(pictures: Tensor, mask: Tensor) -> Tensor:
    """Energy [3] in the three finest octaves of pictures [V, C, h, w], away from the mask's border."""
    energies, x, m = [], pictures, mask
    for _ in range(3):
        coarse = F.avg_pool2d(x, 2)
        inside = (-F.max_pool2d(-m, 5, 1, 2) > 0.5).to(x)
        fine = x - F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
        energies.append((fine.square() * inside).sum() / (inside.sum() * x.shape[1]).clamp(min=1))
        x, m = coarse, -F.max_pool2d(-m, 2)
    return torch.stack(energies)


def views_apart(pictures: Tensor, geometry: Tensor) -> float:
    """Mean squared difference of what two views [V, C, h, w] show of the same points of the surface."""
    g, errors = torch.Generator().manual_seed(0), []
    points, colours = [], []
    for p, geo in zip(pictures, geometry, strict=True):
        on = geo[MASK] > 0.5
        pick = torch.randperm(int(on.sum()), generator=g)[: 4 * POINTS].to(p.device)
        points.append(geo[:3].movedim(0, -1)[on][pick].float())
        colours.append(p.movedim(0, -1)[on][pick].float())
    for i in range(len(points)):
        for j in range(i + 1, len(points)):
            if len(points[i]) and len(points[j]):
                distance, nearest = torch.cdist(points[i][:POINTS], points[j]).min(1)
                near = distance < NEAR
                errors.append((colours[i][:POINTS][near] - colours[j][nearest[near]]).square().mean(1))
    found = torch.cat(errors) if errors else torch.zeros(1)
    return float(found.mean()) if len(found) else float("nan")


@torch.no_grad()
def measured(painter: MultiView, batches: Batches, *, objects: int) -> dict[str, float]:
    """What `columns` names, as means over the objects; the spectral ratio as a median."""
    rows: list[list[float]] = []
    batch = batches.held(objects, VIEWS, seed=77)
    start = time.time()
    for i, (truth, geometry) in enumerate(zip(batch.pictures, batch.geometry, strict=True)):
        scene = painter.scene_of(batch.samples[i].caption, geometry)
        made = painter.paint(scene, seed=i).float().clamp(0, 1)
        mask = geometry[:, MASK : MASK + 1]
        on = mask[:, 0] > 0.5
        a, b = (x.movedim(1, -1)[on] for x in (made, truth))
        fine, real = (octaves(x[:, :3], mask) for x in (made, truth))
        real_enough = real > 1e-6
        ratio = (fine.clamp(min=1e-7) / real.clamp(min=1e-7)).log()[real_enough]
        apart = (a[:, 3:5].mean(0) - b[:, 3:5].mean(0)).abs().tolist() if a.shape[1] > 3 else [float("nan")] * 2
        rows.append([
            colours_apart(a[:, :3], b[:, :3]), *apart, float(ratio.abs().mean()) if len(ratio) else float("nan"),
            float(ratio[0].exp()) if len(ratio) else float("nan"),
            views_apart(made[:, :3], geometry), views_apart(truth[:, :3], geometry),
        ])  # fmt: skip
    seconds = (time.time() - start) / objects
    table = torch.tensor(rows)
    colour, rough, metal, detail, _, ours, theirs = table.nanmean(0).tolist()
    return {
        "colours apart": colour, "roughness": rough, "metallic": metal, "detail (log)": detail,
        "finest octave": float(table[:, 4].nanmedian()), "views dB": -10 * torch.tensor(ours).clamp(min=1e-9).log10().item(),
        "truth dB": -10 * torch.tensor(theirs).clamp(min=1e-9).log10().item(), "seconds": seconds,
    }  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    p = argparse.ArgumentParser(prog="python -m studio.pretrain.yardstick", description="Compare networks on held-out shapes.")
    options(p, minutes=0.0, peak=0.0)
    p.add_argument("--weights", type=Path, nargs="+", required=True, help="folders such as build/mini/mini")
    p.add_argument("--painting-steps", type=int, default=4)
    p.add_argument("--guidance", type=float, default=1.0)
    p.add_argument("--objects", type=int, default=64)
    p.add_argument("--write", type=Path, default=None, help="store the first network here, and measure it as stored")
    p.add_argument("--bits", type=int, choices=(8, 16), default=16, help="of the stored weights")
    args = p.parse_args(argv)
    ranks = Ranks.join(args.device)
    batches, folders = Batches(args, ranks, learning=False), list(args.weights)
    if args.write is not None:
        network, vocabulary = _weights.load(folders[0])
        train.write(args.write, network, vocabulary.words, bits=args.bits)
        folders.append(args.write)
    for i, folder in enumerate(folders):
        network, vocabulary = _weights.load(folder)
        network.to(ranks.device, memory_format=torch.channels_last)
        painter = MultiView(network, vocabulary, steps=args.painting_steps, guidance=args.guidance, eta=0.0)
        found = measured(painter, batches, objects=args.objects)
        if i == 0:
            print("  ".join(f"{name:>14}" for name in found))
        print("  ".join(f"{value:14.4f}" for value in found.values()), "", folder, flush=True)


if __name__ == "__main__":
    main()
