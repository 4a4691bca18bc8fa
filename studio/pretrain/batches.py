"""What every training command learns from: rasterised shapes on the device, painted and captioned anew for every batch."""

from __future__ import annotations

import argparse
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from studio.generators import _solid
from studio.generators._solid import Volumes
from studio.pretrain import corpus, shapes
from studio.pretrain.session import Ranks
from studio.words import Vocabulary

MASK = 6  # of the geometry's channels
HELD_OUT = 16  # rigs that nothing is trained on
RINGS = (4, 6, 8)  # views that a batch's objects may have; each is one more shape to compile
VIEW_PX = 256


@dataclass(frozen=True, eq=False)
class Batch:
    """B objects of V views: pictures [B, V, 6, h, w] in 0…1, zero outside the mask; geometry [B, V, 9, h, w]; their samples."""

    pictures: Tensor
    geometry: Tensor
    samples: list[corpus.Sample]
    frame: Tensor
    """[B, V, CODE, h, w]: where in the solid fields they lie."""
    shares: Tensor
    """[B, V, 3, h, w] in 0…1 of the materials' second and third ink, and of the effects."""

    @property
    def views(self) -> int:
        return self.pictures.shape[1]

    def flat(self) -> tuple[Tensor, Tensor]:
        """Clean pictures [B·V, 6, h, w] in −1…1, zero outside the mask, and geometry [B·V, 9, h, w]."""
        geometry = self.geometry.flatten(0, 1)
        return (self.pictures.flatten(0, 1) * 2 - 1) * geometry[:, MASK : MASK + 1], geometry


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a step learns from: B objects, the same number of views of each."""

    x: Tensor
    """Clean pictures [B·V, C, h, w] in −1…1, zero outside the mask."""
    geometry: Tensor
    """[B·V, 9, h, w]."""
    fields: Tensor | None
    """Of their frames, as `_solid.seen` gives them."""
    shares: Tensor
    """[B·V, 3, h, w] in 0…1 of the second and the third ink, and of the effect."""
    unit: Tensor
    """[B] binary logarithm of the frames' units, in work units."""
    tokens: Tensor
    """[B, L]; now and then without the caption."""
    read: Tensor
    """[B, L] of the captions whose inks are laid: half of those that `tokens` leaves out are read all the same."""

    @property
    def views(self) -> int:
        return len(self.geometry) // len(self.tokens)


def turned(rigs: Tensor, *, generator: torch.Generator) -> Tensor:
    """Rigs [B, V, G, h, w] with the world turned about the vertical at random, half of them by quarter turns; half mirrored."""
    B = len(rigs)
    angle, quarter, mirror = (torch.rand(B, generator=generator) for _ in range(3))
    angle = torch.where(quarter < 0.5, (angle * 4).floor() / 4, angle) * 2 * math.pi
    c, s, one, nil = angle.cos(), angle.sin(), torch.ones(B), torch.zeros(B)
    flip = torch.where(mirror < 0.5, -one, one)
    R = torch.stack([c * flip, nil, s, nil, one, nil, -s * flip, nil, c], -1).view(B, 3, 3).to(rigs.device)
    p, n = (torch.einsum("bij,bvjhw->bvihw", R, x.float()) for x in (rigs[:, :, :3], rigs[:, :, 3:6]))
    out = torch.cat([p, n, rigs[:, :, 6:].float()], 2)
    return torch.where((flip.to(rigs.device) < 0).view(B, 1, 1, 1, 1), out.flip(-1), out)


class Batches:
    """An endless source of batches; each rank has its own shapes and its own random numbers."""

    def __init__(self, args: argparse.Namespace, ranks: Ranks, *, seed: int = 0, learning: bool = True) -> None:
        """`args`: `out`, `rigs`, `rigs_file` and `seed` of `session.options`. `seed` tells commands apart.
        Without `learning` only the shapes held out are kept."""
        start = time.time()
        self.device = ranks.device
        path = args.rigs_file or Path(args.out) / "rigs.npy"
        if ranks.first:
            path.parent.mkdir(parents=True, exist_ok=True)
            shapes.make_rigs(path, args.rigs + HELD_OUT, size_px=VIEW_PX)
        ranks.wait()
        rigs = shapes.make_rigs(path, args.rigs + HELD_OUT, size_px=VIEW_PX)
        own = range(ranks.rank, args.rigs, ranks.world) if learning else ()
        rows = [*own, *range(args.rigs, args.rigs + HELD_OUT)]
        self.rigs = torch.empty((len(rows), *rigs.shape[1:]), dtype=torch.float16, device=self.device)
        for i in range(0, len(rows), 64):
            self.rigs[i : i + 64] = torch.from_numpy(rigs[rows[i : i + 64]]).to(self.device)
        self.held_out, self.rigs = self.rigs[-HELD_OUT:], self.rigs[:-HELD_OUT]
        self.volumes = Volumes.make(self.device)
        self.vocabulary = Vocabulary(corpus.vocabulary())
        mixed = (args.seed + 1) * 1_000_003 + seed * 101 + ranks.rank
        self.random, self.generator = random.Random(mixed), torch.Generator().manual_seed(mixed)
        if ranks.first:
            words = len(self.vocabulary.words)
            print(f"{len(self.rigs)} of {args.rigs} shapes, {words} words in {time.time() - start:.0f} s", flush=True)

    def rings(self, pictures: int) -> tuple[int, ...]:
        """The numbers of views that part so many pictures into whole objects; a fixed total keeps compiled shapes fixed."""
        held = self.rigs.shape[1]
        return tuple(v for v in RINGS if pictures % v == 0 and v <= held) or (held,)

    def draw(self, objects: int, views: int) -> Batch:
        """Random shapes, freshly painted, `views` views of each."""
        chosen = torch.randint(len(self.rigs), (objects,), generator=self.generator).to(self.device)
        order = torch.randperm(views, generator=self.generator).to(self.device)  # the first views of a rig are well spread
        geometry = turned(self.rigs[chosen[:, None], order], generator=self.generator)
        samples = sorted(corpus.draw(self.random, objects), key=lambda s: s.material)  # like materials are painted in one go
        return self.painted(samples, geometry)

    def held(self, objects: int, views: int, *, seed: int) -> Batch:
        """Objects on shapes that nothing is trained on, the same for the same seed; captions from the whole grammar."""
        chosen = torch.arange(objects, device=self.device) % len(self.held_out)
        samples = corpus.draw(random.Random(seed), objects)
        return self.painted(samples, self.held_out[chosen, :views].float())

    def painted(self, samples: list[corpus.Sample], geometry: Tensor) -> Batch:
        with torch.no_grad():
            painted = corpus.paint_told(samples, geometry, self.volumes)
        B, V = geometry.shape[:2]
        unit, place = (torch.tensor(x, device=self.device).repeat_interleave(V, 0) for x in (
            [s.scale for s in samples], [s.place for s in samples]))  # fmt: skip
        frame = _solid.code(geometry[:, :, :3].flatten(0, 1).float(), unit, place).unflatten(0, (B, V))
        pictures, shares = (painted * geometry[:, :, MASK : MASK + 1]).split([6, 3], 2)
        return Batch(pictures, geometry, samples, frame, shares)

    def tokens(self, captions: list[str], *, length: int) -> Tensor:
        """Tokens [B, L] of captions, on the device."""
        return torch.tensor([self.vocabulary.tokens(c, length=length) for c in captions], device=self.device)

    def captions(self, count: int, *, length: int) -> tuple[Tensor, Tensor, Tensor]:
        """Captions alone: tokens [count, L], their samples' inks and their effect's [count, INKS + 1, PLAIN] in −1…1, and which
        of these count."""
        samples = corpus.draw(self.random, count, group=1)
        inks = torch.tensor([[s.a, s.b, s.c, s.over] for s in samples]) * 2 - 1
        counts = torch.tensor([[1.0, 1.0, 1.0, float(bool(s.effect))] for s in samples])
        return self.tokens([s.caption for s in samples], length=length), inks.to(self.device), counts.to(self.device)
