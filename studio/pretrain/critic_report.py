"""What a critic is worth: the right caption among 64, clean against damaged, and whether another follows where it leads."""

from __future__ import annotations

import random
from collections.abc import Iterator

import torch
from torch import Tensor

from studio import environment
from studio.critics._weights import TwoTowers
from studio.pretrain import corpus
from studio.pretrain.batches import MASK, Batches
from studio.pretrain.degrade import KINDS, degraded
from studio.pretrain.lit import lit

AMONG = 64  # captions to choose from
VIEWS = 4
POOL = 512  # renders that z-scores are taken over
STEPS = 50  # of ascent, 1/255 each
TELLING = 0.02  # as in training


def distinct(count: int, *, seed: int) -> list[corpus.Sample]:
    """Samples of which no two share material, named colours and effect: captions that mean different things."""
    source, found = random.Random(seed), {}
    while len(found) < count:
        for s in corpus.draw(source, count):
            found.setdefault((s.material, s.colours, s.effect), s)
    return list(found.values())[:count]


def renders(batches: Batches, samples: list[corpus.Sample], *, seed: int) -> tuple[Tensor, Tensor]:
    """VIEWS pictures [B, V, 3, h, w] of each sample on held-out shapes, every second one lit, on grey; masks [B, V, 1, h, w]."""
    chosen = (torch.arange(len(samples), device=batches.device) + seed) % len(batches.held_out)
    geometry = batches.held_out[chosen, :VIEWS].float()
    drawn = batches.painted(samples, geometry)
    flat, facts = drawn.pictures.flatten(0, 1), geometry.flatten(0, 1)
    mask = facts[:, MASK : MASK + 1]
    light = lit(flat, facts, environment.load("softbox").turned(37.0 * seed))
    even = (torch.arange(len(flat), device=flat.device) % 2 == 0).view(-1, 1, 1, 1)
    seen = torch.where(even, light, flat[:, :3]) * mask + 0.5 * (1 - mask)
    return seen.unflatten(0, (len(samples), VIEWS)), mask.unflatten(0, (len(samples), VIEWS))


def rounds_of(batches: Batches, rounds: int) -> Iterator[tuple[list[corpus.Sample], Tensor, Tensor]]:
    for r in range(rounds):
        samples = distinct(AMONG, seed=7_000 + r)
        yield samples, *renders(batches, samples, seed=r)


@torch.no_grad()
def measured(eye: TwoTowers, batches: Batches, *, rounds: int) -> str:
    """Top-1 among AMONG captions of one picture and of the mean over VIEWS; share of clean pictures that beat damaged selves."""
    single, joint = [], []
    beaten: dict[str, list[float]] = {name: [] for name in KINDS}
    for samples, pictures, mask in rounds_of(batches, rounds):
        tokens = [eye.vocabulary.tokens(s.caption, length=eye.network.size.tokens) for s in samples]
        text = eye.network.read(torch.tensor(tokens, device=batches.device))
        flat = pictures.flatten(0, 1)
        scores = (eye.features(flat) @ text.T).unflatten(0, pictures.shape[:2])
        right = torch.arange(len(samples), device=batches.device)
        single.append((scores.argmax(-1) == right[:, None]).float().mean())
        joint.append((scores.mean(1).argmax(-1) == right).float().mean())
        clean = eye.quality(flat)
        for kind in KINDS:
            bad = degraded(flat, mask.flatten(0, 1), kind=kind)
            told = (bad - flat).abs().mean((1, 2, 3)) > TELLING * mask.flatten(0, 1).mean((1, 2, 3))
            beaten[kind] += (clean > eye.quality(bad))[told].float().tolist()
    one, four = (float(torch.stack(v).mean()) for v in (single, joint))
    kinds = ", ".join(f"{k} {sum(v) / max(1, len(v)):.1%}" for k, v in beaten.items())
    total = [x for v in beaten.values() for x in v]
    return (
        f"caption among {AMONG}: {one:.1%} of single pictures, {four:.1%} of {VIEWS} views together; "
        f"clean beats degraded: {sum(total) / max(1, len(total)):.1%} ({kinds})"
    )


@torch.no_grad()
def spread(eye: TwoTowers, batches: Batches) -> dict[str, float]:
    """The standard deviation of each opinion over POOL held-out renders, each held against its own caption."""
    rounds = rounds_of(batches, max(1, POOL // (AMONG * VIEWS)))
    seen = [(s.caption, x) for samples, pictures, _ in rounds for s, x in zip(samples, pictures, strict=True)]
    fit, good = (torch.cat(found) for found in ([eye.score(x, c) for c, x in seen], [eye.quality(x) for _, x in seen]))
    return {"score": round(float(fit.std()), 4), "quality": round(float(good.std()), 4)}


def attacked(eye: TwoTowers, judge: TwoTowers, batches: Batches, *, textures: int = 16) -> str:
    """The attack curve: pixel ascent on `eye` towards other captions, in z-scores over 512 held-out renders, as a table.

    All pictures of an object climb together but each on its own pixels, which leaves an attacker more freedom than texels would.
    """
    pool = [(samples, pictures) for samples, pictures, _ in rounds_of(batches, max(1, POOL // (AMONG * VIEWS)))]
    prompts = [s.caption for s in distinct(textures, seed=99)]
    pictures = torch.cat([p for _, p in pool])[:: max(1, len(pool) * AMONG // textures)][:textures]
    everything = torch.cat([p.flatten(0, 1) for _, p in pool])
    lines = [f"{'step':>5} {'attacked':>9} {'judge':>9}   mean z-score over {textures} textures towards another caption"]
    curves = torch.zeros(STEPS + 1, 2)
    for prompt, start in zip(prompts, pictures, strict=True):
        with torch.no_grad():
            norms = [(s.mean(), s.std()) for s in (e.score(everything, prompt) for e in (eye, judge))]
        x = start.clone()
        for step in range(STEPS + 1):
            with torch.enable_grad():
                x = x.detach().requires_grad_()
                score = eye.score(x, prompt)
                (g,) = torch.autograd.grad(score.sum(), x)
            with torch.no_grad():
                for k, e in enumerate((score, judge.score(x, prompt))):
                    curves[step, k] += float((e.mean() - norms[k][0]) / norms[k][1]) / textures
            x = (x + g.sign() / 255).clamp(0, 1)
    lines += [f"{i:5d} {curves[i, 0]:9.2f} {curves[i, 1]:9.2f}" for i in range(0, STEPS + 1, 10)]
    gains = curves[-1] - curves[0]
    return "\n".join([*lines, f"of a gain of {gains[0]:.2f} the judge confirms {gains[1] / gains[0]:.0%} (must be 67 % or more)"])
