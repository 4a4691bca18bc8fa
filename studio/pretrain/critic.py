"""Train a critic: `python -m studio.pretrain.critic --which patina|judge --out DIR [--minutes M] [--resume] [--evaluate OTHER]`.

Pictures, lit and unlit, on random backgrounds, meet their captions on the unit sphere (InfoNCE, 2103.00020); a second head tells
each picture from a damaged copy of itself. Half of every batch has been pushed by small adversarial noise first (2 steps as in
1706.06083), so that what raises the score is what a person would see. `--evaluate OTHER` adds the attack curve: 50 steps of pixel
ascent on this critic, watched by the one in OTHER.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from studio import environment
from studio.critics import _weights
from studio.critics._encoders import CONVOLUTIONS, PATCHES, Network
from studio.errors import StudioError
from studio.pretrain import critic_report
from studio.pretrain.batches import MASK, Batches
from studio.pretrain.degrade import degraded
from studio.pretrain.lit import lit
from studio.pretrain.session import Ranks, compiled, options, rate, run

WHICH = {"patina": (CONVOLUTIONS, 11), "judge": (PATCHES, 23)}  # size, and the seed of weights and data
SKIES = ("softbox", "white")
PUSHED = 20 / 255  # adversarial noise at most, per channel; it grows between these shares of the time: fitting comes first
GROWING = (0.1, 0.5)
HOTTEST = 50.0  # inverse temperature of the contrastive loss at most
AVERAGED = 0.999
TELLING = 0.02  # mean difference from which on a damaged picture must be told from its clean self


def shown(pictures: Tensor, geometry: Tensor, *, lit_up: Tensor, sky: environment.Environment, exposure: float) -> Tensor:
    """Channels [N, 6, h, w] as a person may see them [N, 3, h, w]: lit where `lit_up` [N], bare base colour elsewhere."""
    out = pictures[:, :3].clone()
    out[lit_up] = lit(pictures[lit_up], geometry[lit_up], sky, exposure_ev=exposure).to(out.dtype)
    return out


def backgrounds(like: Tensor) -> Tensor:
    """Random backgrounds in the shape of [N, 3, h, w]: a colour, often grey, a fall from top to bottom, a little noise."""
    n, _, h, _w = like.shape
    colour = torch.rand(n, 3, 1, 1, device=like.device)
    grey = torch.rand(n, 1, 1, 1, device=like.device) < 0.6
    colour = torch.where(grey, colour[:, :1], colour)
    fall = torch.linspace(-0.5, 0.5, h, device=like.device).view(1, 1, h, 1) * torch.randn(n, 1, 1, 1, device=like.device) * 0.3
    return (colour + fall + 0.02 * torch.randn_like(like)).clamp(0, 1)


class Training:
    """A critic in training, and everything that its checkpoint holds."""

    losses: tuple[str, ...] = ("contrast", "quality", "top1")

    def __init__(self, args: argparse.Namespace, ranks: Ranks) -> None:
        self.args, self.ranks, self.device, self.out = args, ranks, ranks.device, Path(args.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.name = args.which
        size, seed = WHICH[args.which]
        torch.manual_seed(seed)
        args.seed = seed
        self.batches = Batches(args, ranks, seed=seed)
        self.vocabulary = self.batches.vocabulary
        self.net = Network(size, len(self.vocabulary.words)).to(self.device)
        self.heat = torch.nn.Parameter(torch.tensor(math.log(14.0), device=self.device))
        if args.begin is not None:
            self._begin(args.begin)
        self.average = copy.deepcopy(self.net).eval().requires_grad_(False)
        self.parameters = [*self.net.parameters(), self.heat]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=args.rate, betas=(0.9, 0.98), weight_decay=0.05)
        self.step, self.since, self.seconds, self.device_seconds = 0, 0, 0.0, 0.0
        if args.resume and (self.out / "checkpoint.pt").exists():
            self._restore()
        ranks.same((self.net, self.average))
        if args.compile:
            compiled(self.net.picture)
        torch.manual_seed(seed + 1_009 * self.step + ranks.rank)
        self.skies = [environment.load(name).to(self.device) for name in SKIES]
        if ranks.first:
            print(f"{args.which}: {sum(p.numel() for p in self.net.parameters()):,} parameters", flush=True)

    def _begin(self, folder: Path) -> None:
        """With the weights of a critic of the same words."""
        eye = _weights.load(folder)
        if eye.vocabulary.words != self.vocabulary.words:
            raise StudioError(
                f"The critic in {folder} knows other words than the corpus.", "Train from scratch: leave out --begin."
            )
        self.net.load_state_dict(eye.network.state_dict())

    def _restore(self) -> None:
        saved = torch.load(self.out / "checkpoint.pt", map_location=self.device, weights_only=True)
        self.net.load_state_dict(saved["net"])
        self.average.load_state_dict(saved["average"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.heat.data.copy_(saved["heat"])
        self.step = self.since = saved["step"]
        self.seconds, self.device_seconds = saved["seconds"], saved["device_seconds"]
        self.batches.random.seed(self.args.seed + self.step)
        self.batches.generator.manual_seed(self.args.seed + self.step)

    def batch(self) -> tuple[Tensor, Tensor, Tensor, Tensor, list[str]]:
        """Surfaces [N, 3, px, px] before any background, the same damaged, masks [N, 1, px, px], each picture's caption [N], and
        the captions.

        Damage is done before pictures shrink to what the critic sees, as it is done to what the critic is asked about.
        """
        g, views = self.batches.generator, 2
        drawn = self.batches.draw(self.args.objects, views)
        pictures, geometry = drawn.pictures.flatten(0, 1), drawn.geometry.flatten(0, 1)
        lit_up = (torch.rand(len(pictures), generator=g) < 0.5).to(self.device)
        turn, exposure, pick = torch.rand(3, generator=g).tolist()
        sky = self.skies[int(pick * len(self.skies))].turned(360 * turn)
        x = shown(pictures, geometry, lit_up=lit_up, sky=sky, exposure=1.5 * exposure - 0.75)
        mask = geometry[:, MASK : MASK + 1]
        side = x.shape[-1]
        window = int(side * (0.5 + 0.5 * float(torch.rand((), generator=g))))
        top, left = (int((side - window) * float(torch.rand((), generator=g))) for _ in range(2))
        px = self.net.size.px
        x, mask = (v[..., top : top + window, left : left + window] for v in (x, mask))
        cut = torch.cat([x * mask, degraded(x, mask) * mask, mask], 1)
        cut = F.interpolate(cut, (px, px), mode="bilinear", antialias=True, align_corners=False)
        mask = cut[:, 6:].clamp(0, 1)
        owner = torch.arange(self.args.objects, device=self.device).repeat_interleave(views)
        seen = mask.mean((1, 2, 3)) > 0.05  # a crop may have missed the object
        clean, bad = ((v / mask.clamp(min=1e-3))[seen] for v in (cut[:, :3], cut[:, 3:6]))
        return clean, bad, mask[seen], owner[seen], [s.caption for s in drawn.samples]

    def loss(
        self, x: Tensor, bad: Tensor, told: Tensor, owner: Tensor, text: Tensor, same: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Contrast, quality, and how often the right caption is the best, of pictures x [N, 3, px, px] and damaged copies.

        `told` [N] is 1 where the damage shows; text [B, D] are the captions' vectors, same [B, B] tells equal captions. The first
        half of the pictures may carry noise: they must beat their damaged copies, but nobody asks that they be called clean.
        """
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            seen, good = self.net.look(torch.cat([x, bad]))
        seen, good = seen.float()[: len(x)], good.float()
        logits = seen @ text.T * self.heat.exp().clamp(max=HOTTEST)
        right = same[owner]
        rows = -(logits.masked_fill(~right, -1e4).logsumexp(1) - logits.logsumexp(1))
        columns = -(logits.masked_fill(~right, -1e4).logsumexp(0) - logits.logsumexp(0))
        held = right.any(0)
        clean, worse = good.chunk(2)
        bare = (torch.arange(len(clean), device=clean.device) >= len(clean) // 2).float()
        ranked = F.softplus(worse - clean) + 0.5 * (F.softplus(-clean) * bare + F.softplus(worse))
        top = right.gather(1, logits.argmax(1, keepdim=True)).float().mean()
        return (rows.mean() + columns[held].mean()) / 2, (ranked * told).mean(), top

    def pushed(self, x: Tensor, bad: Tensor, *rest: Tensor) -> Tensor:
        """Noise [N, 3, px, px] that raises the loss of the first half of the pictures; none for the others.

        It is added to a picture and its damaged copy alike, so that noise alone never stands for clean.
        """
        spent = self.seconds / (60 * self.args.minutes)
        grown = min(1.0, (spent - GROWING[0]) / (GROWING[1] - GROWING[0]))
        if grown <= 0:
            return torch.zeros_like(x)
        reach = grown * PUSHED * torch.rand(len(x), 1, 1, 1, device=x.device)
        reach[len(x) // 2 :] = 0
        noise = (torch.rand_like(x) * 2 - 1) * reach
        for _ in range(2):
            noise.requires_grad_()
            contrast, quality, _top = self.loss(x + noise, bad + noise, *rest)
            (g,) = torch.autograd.grad(contrast + quality, noise)
            noise = (noise.detach() + 0.6 * reach * g.sign()).clamp(-reach, reach)
        return noise.detach()

    def advance(self) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.step, self.since, self.seconds / (60 * self.args.minutes), peak=self.args.rate)
        surface, damaged, mask, owner, captions = self.batch()
        behind = backgrounds(surface)
        x, bad = (s * mask + behind * (1 - mask) for s in (surface, damaged))
        told = ((bad - x).abs().mean((1, 2, 3)) > TELLING * mask.mean((1, 2, 3))).float()
        shuffled = torch.randperm(len(x), device=x.device)
        x, bad, told, owner = x[shuffled], bad[shuffled], told[shuffled], owner[shuffled]
        rows = {c: i for i, c in enumerate(captions)}
        ident = torch.tensor([rows[c] for c in captions], device=self.device)
        same = ident[:, None] == ident[None]
        tokens = self.batches.tokens(captions, length=self.net.size.tokens)
        with torch.no_grad():
            fixed = self.net.read(tokens)
        noise = self.pushed(x, bad, told, owner, fixed, same)
        x, bad = ((y + noise).clamp(0, 1) for y in (x, bad))
        contrast, quality, top = self.loss(x, bad, told, owner, self.net.read(tokens), same)
        self.optimizer.zero_grad(set_to_none=True)
        (contrast + 0.5 * quality).backward()
        self.ranks.average_gradients(self.parameters)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        keep = min(AVERAGED, self.step / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.net.parameters()), 1 - keep)
        return torch.stack([contrast.detach(), quality.detach(), top.detach()])

    def save(self) -> None:
        state = {"net": self.net.state_dict(), "average": self.average.state_dict(), "optimizer": self.optimizer.state_dict()}
        numbers = {"step": self.step, "seconds": self.seconds, "device_seconds": self.device_seconds}
        torch.save({**state, **numbers, "heat": self.heat.detach()}, self.out / "checkpoint.part")
        os.replace(self.out / "checkpoint.part", self.out / "checkpoint.pt")
        _weights.save(self.average, self.vocabulary.words, self.out / self.name)

    def preview(self) -> None:
        """Its two numbers on shapes and captions held out."""
        print(critic_report.measured(_weights.TwoTowers(self.average, self.vocabulary), self.batches, rounds=2), flush=True)


def main(argv: list[str] | None = None) -> None:
    begun = time.time()
    p = argparse.ArgumentParser(prog="python -m studio.pretrain.critic", description="Train or measure one of the critics.")
    options(p, minutes=30.0, peak=1e-3)
    p.add_argument("--which", choices=sorted(WHICH), required=True)
    p.add_argument("--objects", type=int, default=160, help="captions per step and device, two pictures each")
    p.add_argument("--begin", type=Path, default=None, help="begin with the weights of the critic in this folder")
    p.add_argument("--evaluate", type=Path, default=None, help="only measure, with the critic in this folder to watch the attack")
    args = p.parse_args(argv)
    ranks = Ranks.join(args.device)
    if args.evaluate is None:
        run(Training(args, ranks), args, ranks, begun=begun)
        return
    batches = Batches(args, ranks, learning=False)
    eyes = [_weights.load(folder) for folder in (Path(args.out) / args.which, args.evaluate)]
    for eye in eyes:
        eye.network.to(ranks.device)
    spread = critic_report.spread(eyes[0], batches)
    (Path(args.out) / args.which / _weights.SPREAD).write_text(json.dumps(spread) + "\n", encoding="utf-8")
    print(f"spread of its opinions: {spread}")
    print(critic_report.measured(eyes[0], batches, rounds=8))
    print(critic_report.attacked(eyes[0], eyes[1], batches))


if __name__ == "__main__":
    main()
