"""Put guidance into the weights and halve the steps: `python -m studio.pretrain.distill --weights DIR --out DIR [--minutes M]`.

First the student learns to say at once what the guided teacher says with two passes, ∅ + w·(c − ∅), at every time (2210.03142,
stage one; w is fixed). Then, once for each halving, it learns where two of the teacher's steps lead in one of its own
(2202.00512) on the very grid of times that painting uses. The last student paints in as few passes as it has steps. `--weights`
is a folder as `train` leaves it in `DIR/mini`; the result in `OUT/mini` has the same form.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from studio.generators import _weights
from studio.generators._multiview import MultiView
from studio.generators._network import Denoiser
from studio.generators._schedule import alpha_bar
from studio.pretrain import train
from studio.pretrain.batches import Lesson
from studio.pretrain.session import Ranks, compiled, options, run

GUIDANCE = 2.0
SHARE = 0.4  # of the minutes for guidance; the halvings share the rest evenly
AVERAGED = 0.998


def mixed(x0: Tensor, noise: Tensor, t: Tensor, *, shift: float) -> Tensor:
    """The noisy x [N, C, h, w] at times t [N]."""
    a = alpha_bar(t, shift=shift).view(-1, 1, 1, 1)
    return a.sqrt() * x0 + (1 - a).sqrt() * noise


def stepped(x: Tensor, x0: Tensor, now: Tensor, then: Tensor, *, shift: float) -> Tensor:
    """One deterministic step (DDIM, eq. 12) of x [N, C, h, w] with predicted x0 between times [N] each."""
    a, b = (alpha_bar(t, shift=shift).view(-1, 1, 1, 1) for t in (now, then))
    return b.sqrt() * x0 + ((1 - b) / (1 - a)).sqrt() * (x - a.sqrt() * x0)


def implied(x: Tensor, reached: Tensor, now: Tensor, then: Tensor, *, shift: float) -> Tensor:
    """The x0 that would lead from x at `now` to `reached` at `then` in one step: the inverse of `stepped` in x0."""
    a, b = (alpha_bar(t, shift=shift).view(-1, 1, 1, 1) for t in (now, then))
    slope = ((1 - b) / (1 - a)).sqrt()
    return (reached - slope * x) / (b.sqrt() - slope * a.sqrt())


def network(folder: Path, ranks: Ranks) -> tuple[Denoiser, tuple[str, ...]]:
    """The network in a folder on this rank's device, and its words."""
    net, vocabulary = _weights.load(folder)
    return net.to(ranks.device, memory_format=torch.channels_last), vocabulary.words


class Training(train.Training):
    """The student takes the place of the network in training; stages follow each other by the share of time spent."""

    losses: tuple[str, ...] = ("distance", "stage")
    averaging = AVERAGED

    def __init__(self, args: argparse.Namespace, ranks: Ranks) -> None:
        student, words = network(args.weights, ranks)
        args.arm, args.begin = "latent" if student.size.latent else "pixel", None
        super().__init__(args, ranks)
        self.name, self.size = "distil", replace(student.size, guidance=args.guidance)
        if words != self.vocabulary.words:
            raise TypeError("the weights were trained with another vocabulary")
        if self.step == 0:
            self.net.load_state_dict(student.state_dict())
            self.average.load_state_dict(student.state_dict())
        self.net.size = self.average.size = self.size
        self.teacher = student.eval().requires_grad_(False)
        if args.compile:
            compiled(self.teacher)
        self.halvings = int(math.log2(args.start_steps // args.end_steps))
        self.stage = self.stage_at(self.spent())
        if self.stage > 0:
            self._promote()

    def spent(self) -> float:
        """Share of the time that is over: of the minutes, or of the steps where they end first."""
        return max(self.seconds / (60 * self.args.minutes), self.step / self.args.steps)

    def stage_at(self, spent: float) -> int:
        """0 for guidance, then 1 … halvings."""
        if spent < SHARE or not self.halvings:
            return 0
        return min(self.halvings, 1 + int((spent - SHARE) / (1 - SHARE) * self.halvings))

    def _promote(self) -> None:
        """The student so far becomes the teacher."""
        self.teacher.load_state_dict(self.average.state_dict())
        self.net.load_state_dict(self.average.state_dict())
        self.since = self.step

    def steps_now(self) -> int:
        """Into how many steps the stage's student parts the time."""
        return self.args.start_steps >> self.stage

    def advance(self) -> Tensor:
        stage = self.ranks.most(self.stage_at(self.spent()))
        if stage != self.stage:
            self.stage = stage
            self._promote()
            if self.ranks.first:
                print(f"halving {stage}: towards {self.steps_now()} steps", flush=True)
        return torch.stack([super().advance()[0], torch.tensor(float(self.stage), device=self.device)])

    def loss(self, lesson: Lesson) -> Tensor:
        """[1]: the masked squared distance between student and teacher, weighted by min(1 + SNR, 5)."""
        B, shift = len(lesson.tokens), self.size.shift
        x0, mask = self.clean(lesson.x, lesson.geometry)
        count = self.steps_now()
        t = torch.rand(B, device=self.device)
        if self.stage > 0:
            t = torch.ceil(t * count).clamp(min=1) / count
        t = t.repeat_interleave(lesson.views)
        noisy = mixed(x0, self.noise(x0, lesson), t, shift=shift)
        with torch.no_grad():
            goal = (self.guided if self.stage == 0 else self.two)(noisy, t, lesson)
        guess = self.asked(self.net, noisy, t, lesson)[0]
        error = ((guess.float() - goal).square() * mask).reshape(B, -1).sum(1)
        error = error / mask.expand_as(x0).reshape(B, -1).sum(1).clamp(min=1)
        a = alpha_bar(t[:: lesson.views], shift=shift)
        return (error * (1 + a / (1 - a)).clamp(max=5)).mean()[None]

    def ask(self, noisy: Tensor, t: Tensor, lesson: Lesson, tokens: Tensor | None = None) -> Tensor:
        """The teacher's x0."""
        return self.asked(self.teacher, noisy, t, lesson, tokens)[0].float()

    def guided(self, noisy: Tensor, t: Tensor, lesson: Lesson) -> Tensor:
        """What the teacher says under guidance; its two passes as they are, for captions and for none."""
        bare = self.ask(noisy, t, lesson, torch.zeros_like(lesson.tokens))
        return torch.lerp(bare, self.ask(noisy, t, lesson), self.args.guidance)

    def two(self, noisy: Tensor, t: Tensor, lesson: Lesson) -> Tensor:
        """The x0 that takes the student in one step where two of the teacher's lead."""
        shift, count = self.size.shift, self.steps_now()
        between, end = t - 0.5 / count, t - 1 / count
        halfway = stepped(noisy, self.ask(noisy, t, lesson), t, between, shift=shift)
        reached = stepped(halfway, self.ask(halfway, between, lesson), between, end, shift=shift)
        return implied(noisy, reached, t, end, shift=shift)

    def preview(self) -> None:
        """The same prompts in the student's steps, one pass each."""
        painter = MultiView(self.average, self.vocabulary, steps=self.steps_now(), guidance=self.args.guidance, eta=0.0)
        prompts = train.PREVIEWED[: self.args.previews]
        train.sheet(painter, self.batches.held_out, self.out / f"distilled-{self.steps_now()}-steps.png", prompts=prompts)


def main(argv: list[str] | None = None) -> None:
    begun = time.time()
    p = argparse.ArgumentParser(prog="python -m studio.pretrain.distill", description="Distil guidance and steps.")
    options(p, minutes=15.0, peak=1e-4)
    p.add_argument("--weights", type=Path, required=True, help="the trained network's folder, such as build/mini/mini")
    p.add_argument("--autoencoder", type=Path, default=None, help="folder with autoencoder.pt, for latents")
    p.add_argument("--guidance", type=float, default=GUIDANCE, help="the scale that goes into the weights")
    p.add_argument("--start-steps", type=int, default=16, help="steps that the first halving starts from, a power of two")
    p.add_argument("--end-steps", type=int, default=4, help="steps that are left, a power of two")
    train.drawing(p)
    args = p.parse_args(argv)
    ranks = Ranks.join(args.device)
    run(Training(args, ranks), args, ranks, begun=begun)


if __name__ == "__main__":
    main()
