"""Give a trained network its sketch: `python -m studio.pretrain.sketch --weights DIR --out DIR [--minutes 10]`.

The network itself stays as it is. First a reader of its text features learns the inks of captions, which takes no pictures at
all; then, on pictures of random shapes at painting's times, how far these inks, laid by the shares that the network says, are to
be trusted over its own guess. Minutes on a processor.
"""

from __future__ import annotations

import argparse
import random
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from studio.generators import _noise, _solid, _weights
from studio.generators._network import MASK, PATCH, Denoiser
from studio.generators._schedule import alpha_bar
from studio.generators._sketch import LATE, PLAIN, Sketch
from studio.pretrain import corpus
from studio.pretrain.batches import Batches
from studio.pretrain.session import Ranks, basics
from studio.pretrain.train import write

CAPTIONS, SEEN = 256, 400  # captions in a step of reading; pixels kept of a picture
OBJECTS, VIEWS = 4, 4  # painted at a time
READING, LOOKING = 0.5, 0.45  # shares of the minutes; the rest is for the trust itself
EMPTY = 0.1  # share of pictures without a caption: nothing is to be trusted then
TRUSTING = 1500  # steps on what was kept


def read(network: Denoiser, batches: Batches, args: argparse.Namespace) -> None:
    """Learn the inks of captions."""
    sketch, r, began, step = network.sketch, random.Random(args.seed), time.monotonic(), 0
    optimizer = torch.optim.AdamW([p for n, p in sketch.named_parameters() if not n.startswith("trust.")], lr=args.rate)
    held = corpus.draw(random.Random(1), 512, held_out=True)
    while (gone := (time.monotonic() - began) / (60 * args.minutes * READING)) < 1 and step < args.steps:
        optimizer.param_groups[0]["lr"] = args.rate * min(1, (step + 1) / 100) * (1 - gone)
        error = _error(network, batches, corpus.draw(r, CAPTIONS, group=1))
        optimizer.zero_grad()
        error.backward()
        torch.nn.utils.clip_grad_norm_(sketch.parameters(), 1.0)
        optimizer.step()
        if step % args.every == 0:
            with torch.no_grad():
                unseen = float(_error(network, batches, held))
            print(f"inks {step}  error {float(error):.4f}  of pairs never seen {unseen:.4f}", flush=True)
        step += 1


def _error(network: Denoiser, batches: Batches, samples: list[corpus.Sample]) -> Tensor:
    """Mean squared error of the inks, in −1…1."""
    told = torch.tensor([[s.a, s.b, s.c] for s in samples], device=batches.device) * 2 - 1
    with torch.no_grad():
        text = network.text(batches.tokens([s.caption for s in samples], length=network.size.tokens))
    return (network.sketch.inks(text) - told).square().mean()


@torch.no_grad()
def look(network: Denoiser, batches: Batches, args: argparse.Namespace) -> list[tuple[Tensor, ...]]:
    """What trust is learned from, for the minutes given: of every object the text, the time, and at some pixels the truth, the
    network's guess, the sketch and its nearness, [·, PLAIN] each."""
    kept, began, g, size = [], time.monotonic(), torch.Generator().manual_seed(args.seed), network.size
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
        sketch, near = network.sketch.laid(guess, shares, text)
        rows = [v[:, :PLAIN].movedim(1, -1).unflatten(0, (OBJECTS, VIEWS)) for v in (x, guess, sketch, near.expand_as(sketch))]
        for k in range(OBJECTS):
            on = geometry[k * VIEWS : (k + 1) * VIEWS, MASK] > 0.5
            some = torch.randint(int(on.sum()), (SEEN * VIEWS,), generator=g).to(on.device)
            kept.append((text[k], t[k], *(v[k][on][some] for v in rows)))
    return kept


def trust(sketch: Sketch, kept: list[tuple[Tensor, ...]]) -> tuple[float, float]:
    """Learn how far; the mean squared error of the guesses alone, and of guesses drawn towards their sketches."""
    text, t, truth, guess, drawn, near = (torch.stack(v) for v in zip(*kept, strict=True))
    optimizer = torch.optim.AdamW(sketch.trust.parameters(), lr=3e-3, weight_decay=0.05)
    error = alone = (guess - truth).square().mean()
    for _ in range(TRUSTING):
        weight = sketch.trusted(text, t)[:, None] * near
        error = (torch.lerp(guess, drawn, weight) - truth).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    return float(alone), float(error)


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
    network.load_state_dict(trained.state_dict(), strict=False)
    network.to(batches.device).eval().requires_grad_(False).sketch.requires_grad_()
    read(network, batches, args)
    alone, drawn = trust(network.sketch, look(network, batches, args))
    write(Path(args.out), network, tuple(vocabulary.words), bits=args.bits)
    print(f"mean squared error at noisy times: guesses {alone:.4f}, drawn towards the sketch {drawn:.4f}; saved in {args.out}")


if __name__ == "__main__":
    main()
