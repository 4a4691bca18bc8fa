"""Give a trained network its sketch: `python -m studio.pretrain.sketch --weights DIR --out DIR [--minutes 10]`.

The network itself stays as it is. First a reader of its text features learns the inks of captions, which takes no pictures at
all; then a judge learns, on pictures of random shapes at painting's times, what to take of the network's own guess, of these inks
laid by the shares that the network says, and of the effect's ink. Minutes on a processor.
"""

from __future__ import annotations

import argparse
import random
import time
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.generators import _noise, _solid, _weights
from studio.generators._network import MASK, PATCH, Denoiser
from studio.generators._schedule import alpha_bar
from studio.generators._sketch import INKS, LATE, PLAIN, Sketch
from studio.pretrain import corpus
from studio.pretrain.batches import Batches
from studio.pretrain.session import Ranks, basics
from studio.pretrain.train import write

CAPTIONS, SEEN = 256, 400  # captions in a step of reading; pixels kept of a picture
WARM = 200  # steps over which the learning rate rises
OBJECTS, VIEWS = 4, 4  # painted at a time
READING, LOOKING = 0.5, 0.45  # shares of the minutes; the rest is for the judge itself
EMPTY = 0.1  # share of pictures without a caption: nothing is to be trusted then
JUDGING, FORGOTTEN = 1200, 0.4  # steps on what was kept; share of what a caption means that is left out in them


def read(network: Denoiser, batches: Batches, args: argparse.Namespace) -> None:
    """Learn the inks of captions, and that of their effect."""
    sketch, r, began, step = network.sketch, random.Random(args.seed), time.monotonic(), 0
    optimizer = torch.optim.AdamW(sketch.parameters(), lr=args.rate, betas=(0.9, 0.98), weight_decay=0.02)
    held = corpus.draw(random.Random(1), 512, held_out=True)
    while (gone := (time.monotonic() - began) / (60 * args.minutes * READING)) < 1 and step < args.steps:
        optimizer.param_groups[0]["lr"] = args.rate * min(1, (step + 1) / WARM) * (1 - gone)
        error = _error(network, batches, corpus.draw(r, CAPTIONS, group=1))
        optimizer.zero_grad()
        error.backward()
        torch.nn.utils.clip_grad_norm_(sketch.parameters(), 1.0)
        optimizer.step()
        if step % args.every == 0:
            with torch.no_grad():
                unseen = float(_error(network, batches, held))
            print(f"inks {step}  error {float(error.detach()):.4f}  of pairs never seen {unseen:.4f}", flush=True)
        step += 1


def _error(network: Denoiser, batches: Batches, samples: list[corpus.Sample]) -> Tensor:
    """Mean squared error of the inks, in −1…1; that of the effect counts where there is one."""
    told = torch.tensor([[s.a, s.b, s.c, s.over] for s in samples], device=batches.device) * 2 - 1
    counts = torch.tensor([[1, 1, 1, bool(s.effect)] for s in samples], device=batches.device)
    with torch.no_grad():
        text = network.text(batches.tokens([s.caption for s in samples], length=network.size.tokens))
    return ((network.sketch.read(text)[0] - told).square().mean(-1) * counts).sum() / counts.sum()


@torch.no_grad()
def look(network: Denoiser, batches: Batches, args: argparse.Namespace) -> list[tuple[Tensor, ...]]:
    """What the judge learns from, for the minutes given: of every object what it is told, as `Sketch.judged` takes it, and the
    truth [PLAIN, n, 1], at n pixels."""
    kept, began, g, size, sketch = [], time.monotonic(), torch.Generator().manual_seed(args.seed), network.size, network.sketch
    while (time.monotonic() - began) / (60 * args.minutes) < LOOKING and len(kept) < args.steps * OBJECTS:
        drawn = batches.draw(OBJECTS, VIEWS)
        said = ["" if torch.rand((), generator=g) < EMPTY else s.caption for s in drawn.samples]
        text = network.text(batches.tokens(said, length=size.tokens))
        x, geometry = drawn.flat()
        t = LATE + (1 - LATE) * torch.rand(OBJECTS, generator=g).to(x)
        a = alpha_bar(t, shift=size.shift).repeat_interleave(VIEWS).view(-1, 1, 1, 1)
        noise = _noise.drawn_for_training(network.places(geometry), x.shape[1], cell=size.cell, objects=OBJECTS)
        fields = _solid.seen(drawn.frame.flatten(0, 1), geometry[:, 3:6], batches.volumes, patch=PATCH)
        rows = (v.repeat_interleave(VIEWS, 0) for v in (t, text))
        guess, shares = network(a.sqrt() * x + (1 - a).sqrt() * noise, geometry, *rows, views=VIEWS, fields=fields)
        inks, meaning = sketch.read(text)
        seen = sketch.seen(guess, sketch.laid(shares, inks[:, :INKS]), inks)
        whole = (v.unflatten(0, (OBJECTS, VIEWS)).movedim(2, 1).flatten(2) for v in (seen, x[:, :PLAIN], geometry[:, MASK:]))
        for k, (seen, truth, mask) in enumerate(zip(*whole, strict=True)):
            on = (mask[0] > 0.5).nonzero()[:, 0]
            some = on[torch.randint(len(on), (SEEN * VIEWS,), generator=g).to(on.device)]
            kept.append((seen[:, some, None], inks[k, INKS], t[k], meaning[k], truth[:, some, None]))
    return kept


def judge(sketch: Sketch, kept: list[tuple[Tensor, ...]]) -> tuple[float, float]:
    """Learn what to take of guess, sketch and effect. The mean squared errors of guesses, and of what the judge makes of them,
    over every eighth object, from which it did not learn."""
    *given, truth = (torch.stack(v) for v in zip(*kept, strict=True))
    held = torch.arange(len(truth), device=truth.device) % 8 == 0
    mine, others = (~held).nonzero()[:, 0], held.nonzero()[:, 0]
    parts = (sketch.about, sketch.told, sketch.pixel, sketch.inner, sketch.parts)
    optimizer = torch.optim.AdamW([p for part in parts for p in part.parameters()], lr=2e-3, weight_decay=0.05)

    def error(which: Tensor, pixels: Tensor, *, forgetful: bool) -> Tensor:
        seen, effect, t, meaning = (v[which] for v in given)
        seen, wanted = seen[:, :, pixels], truth[which][:, :, pixels]
        guess, drawn = seen[:, :PLAIN], seen[:, PLAIN : 2 * PLAIN]
        told = torch.stack([guess, drawn, effect[..., None, None].expand_as(guess)], 1)
        meaning = F.dropout(meaning, FORGOTTEN, forgetful)  # a few hundred captions are quickly learned by heart
        return ((sketch.judged(seen, effect, t, meaning) * told).sum(1) - wanted).square().mean()

    every = torch.arange(truth.shape[2], device=truth.device)
    for step in range(JUDGING):
        optimizer.param_groups[0]["lr"] = 2e-3 * (1 - step / JUDGING)
        some = mine[torch.randint(len(mine), (24,)).to(mine.device)] if len(mine) else others
        found = error(some, every[torch.randint(len(every), (300,)).to(every.device)], forgetful=True)
        optimizer.zero_grad()
        found.backward()
        optimizer.step()
    with torch.no_grad():
        alone = (given[0][others][:, :PLAIN] - truth[others]).square().mean()
        return float(alone), float(error(others, every, forgetful=False))


def main(argv: list[str] | None = None) -> None:
    p = argparse.ArgumentParser(prog="python -m studio.pretrain.sketch", description="Give a trained network its sketch.")
    basics(p, minutes=10.0, peak=1e-3, rigs=60, every=200)
    p.add_argument("--weights", type=Path, required=True, help="the trained network's folder, such as build/mini/mini")
    p.add_argument("--bits", type=int, choices=(8, 16), default=8, help="of the stored weights")
    args = p.parse_args(argv)
    torch.manual_seed(args.seed)
    trained, vocabulary = _weights.load(args.weights)
    batches = Batches(args, Ranks.join(args.device), seed=9)
    network = Denoiser(replace(trained.size, sketched=True), len(vocabulary.words))
    network.load_state_dict({k: v for k, v in trained.state_dict().items() if not k.startswith("sketch.")}, strict=False)
    network.to(batches.device).eval().requires_grad_(False).sketch.requires_grad_()
    read(network, batches, args)
    alone, drawn = judge(network.sketch, look(network, batches, args))
    write(Path(args.out), network, tuple(vocabulary.words), bits=args.bits)
    print(f"mean squared error at noisy times: guesses {alone:.4f}, drawn towards the sketch {drawn:.4f}; saved in {args.out}")


if __name__ == "__main__":
    main()
