"""An independent judge of materials: `python -m studio.pretrain.classifier --out DIR [--minutes 1.5] [--rigs-file FILE]`.

A small convolutional network that tells the material from one view of all six channels, trained on what the corpus paints and on
nothing else; no generator or critic ever sees it. Views are shown clean or as a bake returns them (a little blurred, faintly
noisy). It must name at least 97 % of true textures by the mean over their views; the command prints that share at the end.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from studio.errors import StudioError
from studio.pretrain import corpus
from studio.pretrain.batches import MASK, Batches
from studio.pretrain.session import Ranks, basics, rate

VIEWS = 2  # of each object in a batch
OBJECTS = 64
SURE = 6  # views that are asked together
WARM = 100  # steps over which the learning rate rises


class Block(nn.Module):
    """Half the size, then one residual layer."""

    def __init__(self, enter: int, leave: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(enter, leave, 4, stride=2, padding=1)
        self.first, self.second = (nn.GroupNorm(8, leave) for _ in range(2))
        self.mix = nn.Conv2d(leave, leave, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.first(self.down(x)))
        return x + F.silu(self.second(self.mix(x)))


class Classifier(nn.Module):
    """Pictures [N, 6, h, w] in 0…1 and their mask [N, 1, h, w] → logits [N, M] of the materials."""

    def __init__(self, materials: tuple[str, ...], widths: tuple[int, ...] = (32, 64, 96, 128, 160)) -> None:
        super().__init__()
        self.materials = materials
        self.blocks = nn.ModuleList(Block(a, b) for a, b in zip((7, *widths), widths, strict=False))
        self.leave = nn.Linear(2 * widths[-1], len(materials))

    def forward(self, pictures: Tensor, mask: Tensor) -> Tensor:
        x = torch.cat([(pictures * 2 - 1) * mask, mask], 1)
        for block in self.blocks:
            x = block(x)
        inside = F.adaptive_avg_pool2d(mask, x.shape[-2:])
        mean = (x * inside).sum((2, 3)) / inside.sum((2, 3)).clamp(min=1e-3)
        most = (x - 1e3 * (inside < 0.05)).amax((2, 3))
        return self.leave(torch.cat([mean, most.clamp(min=-10)], 1))

    def named(self, pictures: Tensor, mask: Tensor) -> str:
        """The material that the views [V, 6, h, w] of one object agree on: the greatest mean log-probability."""
        with torch.no_grad():
            return self.materials[int(self(pictures, mask).log_softmax(1).mean(0).argmax())]

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        save_file({k: v.half().contiguous().cpu() for k, v in self.state_dict().items()}, folder / "classifier.safetensors")
        (folder / "materials.json").write_text(json.dumps(self.materials) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Classifier:
        """Raises StudioError when the folder holds none, or one of another corpus."""
        remedy = "Train it: python -m studio.pretrain.classifier --out DIR."
        try:
            net = cls(tuple(json.loads((folder / "materials.json").read_text(encoding="utf-8"))))
            net.load_state_dict({k: v.float() for k, v in load_file(folder / "classifier.safetensors").items()})
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise StudioError(f"There is no usable classifier in {folder}: {error}.", remedy) from error
        if set(net.materials) != set(corpus.MATERIALS):
            raise StudioError(f"The classifier in {folder} knows other materials than the corpus.", remedy)
        return net.eval().requires_grad_(False)


def as_baked(pictures: Tensor, mask: Tensor, *, generator: torch.Generator) -> Tensor:
    """Half of the pictures [N, 6, h, w] as they are; the rest blurred over up to a pixel within the mask, and faintly noisy."""
    blur = (torch.rand(len(pictures), 1, 1, 1, generator=generator) * 2 - 1).clamp(min=0).to(pictures.device)
    soft = F.avg_pool2d(pictures * mask, 3, 1, 1) / F.avg_pool2d(mask, 3, 1, 1).clamp(min=1e-3)
    return torch.lerp(pictures, soft, blur) + 0.02 * blur * torch.randn_like(pictures)


def accuracy(net: Classifier, batches: Batches, *, objects: int = 512, seed: int = 5) -> tuple[float, str]:
    """Share of objects on held-out shapes whose material the mean over SURE views names, and the mistakes most often made."""
    right, mistakes = 0, Counter[str]()
    for i in range(0, objects, 32):
        batch = batches.held(32, SURE, seed=seed + i)
        for pictures, geometry, s in zip(batch.pictures, batch.geometry, batch.samples, strict=True):
            named = net.named(pictures, geometry[:, MASK : MASK + 1])
            right += named == s.material
            mistakes[f"{s.material} for {named}"] += named != s.material
    return right / objects, ", ".join(f"{what} {n}" for what, n in mistakes.most_common(8) if n)


def train(args: argparse.Namespace) -> float:
    """Train for `args.minutes` or `args.steps`, save, and return the accuracy."""
    torch.manual_seed(args.seed)
    ranks = Ranks.join(args.device)
    batches = Batches(args, ranks, seed=41)
    net = Classifier(tuple(corpus.MATERIALS)).to(ranks.device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=args.rate, weight_decay=0.02)
    place = {name: i for i, name in enumerate(net.materials)}
    start, step = time.time(), 0
    while (spent := (time.time() - start) / (60 * args.minutes)) < 1 and step < args.steps:
        for group in optimizer.param_groups:
            group["lr"] = rate(step, 0, spent, peak=args.rate, warm=WARM)
        batch = batches.draw(args.objects, VIEWS)
        pictures, mask = batch.pictures.flatten(0, 1), batch.geometry[:, :, MASK : MASK + 1].flatten(0, 1)
        wanted = torch.tensor([place[s.material] for s in batch.samples], device=ranks.device).repeat_interleave(VIEWS)
        with torch.autocast(ranks.device.type, torch.bfloat16, enabled=ranks.device.type == "cuda"):
            logits = net(as_baked(pictures, mask, generator=batches.generator), mask)
        loss = F.cross_entropy(logits.float(), wanted, label_smoothing=0.05)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        step += 1
        if step % args.every == 0:
            right = (logits.argmax(1) == wanted).float().mean()
            minutes = (time.time() - start) / 60
            print(f"step {step}  {minutes:.2f} min  loss {float(loss.detach()):.3f}  right {float(right):.1%}", flush=True)
    net.eval().requires_grad_(False).save(Path(args.out))
    found, mistakes = accuracy(net, batches, objects=args.checked)
    print(f"names {found:.1%} of {args.checked} true objects by {SURE} views (needs 97 %); saved in {args.out}", flush=True)
    print(f"mistakes: {mistakes or 'none'}", flush=True)
    return found


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="python -m studio.pretrain.classifier", description="Train the judge of materials.")
    basics(p, minutes=1.5, peak=2e-3, rigs=600, every=100)
    p.add_argument("--objects", type=int, default=OBJECTS, help="per step")
    p.add_argument("--checked", type=int, default=512, help="objects that the accuracy is measured on")
    return p.parse_args(argv)


if __name__ == "__main__":
    train(arguments())
