"""Train `mini` from scratch: `python -m studio.pretrain.train --arm pixel --out DIR [--minutes M] [--resume] [--compile]`.

The loss is the masked squared error of the predicted clean pictures (or latents), weighted by min(1 + SNR, 5) (2303.09556 caps
the SNR alike), over uniform times; objects have 4 to 8 views. `torchrun --nproc_per_node N -m studio.pretrain.train …` uses N
cards. A run ends when its minutes are used up or on SIGTERM or Ctrl-C; either way it leaves a checkpoint from which `--resume`
goes on, a light one (`DIR/light`) that can travel, the averaged weights as the studio loads them (`DIR/mini`) and sheets of
pictures.
"""

from __future__ import annotations

import argparse
import copy
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from studio.generators import _noise, _solid, _weights
from studio.generators._multiview import MultiView
from studio.generators._network import MASK, PATCH, Denoiser, Size
from studio.generators._schedule import alpha_bar
from studio.pretrain import autoencoder, light
from studio.pretrain.batches import RINGS, VIEW_PX, Batch, Batches, Lesson
from studio.pretrain.lit import PREVIEWED, sheet
from studio.pretrain.session import Ranks, compiled, options, rate, run

PIXEL = Size(
    view_px=VIEW_PX, channels=(96, 160, 224), heads=(3, 5, 7), head_channels=40, head_layers=2, text_channels=192,
    text_layers=2, tokens=24, painted=6, geometry=9, waves=4, cell=0.01, mixed=8, inked=True,
)  # fmt: skip
ARMS = {"pixel": PIXEL, "latent": replace(PIXEL, latent=24, shift=0.25, cell=0.08, mixed=0, inked=False)}
DROPPED = 0.1  # share of captions replaced by the empty one, for classifier-free guidance
AVERAGED = 0.9995
AHEAD = 4  # batches painted in one go: fewer, larger operations
AGAIN = 3  # times that a painted batch is used, at other times and under other noise: painting costs as much as a step
WEIGHTS = (1.0, 1.0, 1.0, 0.6, 0.6, 0.4)  # of the channels in the loss
SHARES = 0.3  # weight of the squared error of the inks' shares, in −1…1
READ, CAPTIONS = 0.5, 256  # weight of the squared error of the inks that are read, and of how many captions beside the pictures'
UNIT = 0.05  # weight of the squared error of the frame's unit, in octaves, beside the pictures'


class Training:
    """Everything that a checkpoint holds, and one step."""

    losses: tuple[str, ...] = ("early", "late")
    averaging = AVERAGED

    def __init__(self, args: argparse.Namespace, ranks: Ranks) -> None:
        self.args, self.ranks, self.device, self.out = args, ranks, ranks.device, Path(args.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.name, self.size = args.arm, ARMS[args.arm]
        torch.manual_seed(args.seed)
        self.batches = Batches(args, ranks)
        self.vocabulary = self.batches.vocabulary
        self.net = Denoiser(self.size, len(self.vocabulary.words)).to(self.device, memory_format=torch.channels_last)
        self.encoder = self._encoder() if self.size.latent else None
        self.average = copy.deepcopy(self.net).eval().requires_grad_(False)
        self.parameters = [p for p in self.net.parameters() if p.requires_grad]
        fused = self.device.type == "cuda"
        self.optimizer = torch.optim.AdamW(self.parameters, lr=args.rate, betas=(0.9, 0.99), weight_decay=0.01, fused=fused)
        self.step, self.since, self.seconds, self.device_seconds = 0, 0, 0.0, 0.0
        if args.begin:
            self._begin(args.begin)
        if args.resume:
            self._restore()
        ranks.same((self.net, self.average))
        self.averaged = [a for a, p in zip(self.average.parameters(), self.net.parameters(), strict=True) if p.requires_grad]
        if args.compile:
            compiled(self.net)
        seed = args.seed + 1_009 * self.step + ranks.rank
        torch.manual_seed(seed)
        self.batches.random.seed(seed)
        self.batches.generator.manual_seed(seed)
        self._ahead: list[Lesson] = []
        self._captions: tuple[Tensor, Tensor, Tensor]
        if ranks.first:
            count = sum(p.numel() for p in self.net.parameters())
            print(f"{args.arm}: {count:,} parameters on {ranks.world} device(s)", flush=True)

    def _encoder(self) -> autoencoder.Encoder:
        """The trained encoder; the decoder goes into the network and stays as it is."""
        encoder = autoencoder.Encoder(self.size).to(self.device)
        autoencoder.restore(encoder, self.net.decoder, self.args.autoencoder or self.out, self.device)
        self.net.decoder.requires_grad_(False)
        return encoder.eval().requires_grad_(False)

    def _restore(self) -> None:
        """From the whole checkpoint where there is one, else from the light one, without its optimiser's state."""
        whole = self.out / "checkpoint.pt"
        if whole.exists():
            saved = torch.load(whole, map_location=self.device, weights_only=True)
        elif (self.out / "light").exists():
            states, facts = light.load(self.out / "light", ("net", "average"))
            saved = {**states, **facts}
        else:
            return
        before, now = tuple(saved.get("words", self.vocabulary.words)), self.vocabulary.words
        for network, state in ((self.net, saved["net"]), (self.average, saved["average"])):
            rows = state["text.token.weight"]
            network.load_state_dict({**state, "text.token.weight": light.known(rows, network.text.token.weight, before, now)})
        if "optimizer" in saved and before == now:
            self.optimizer.load_state_dict(saved["optimizer"])
        self.step = self.since = saved["step"]
        self.seconds, self.device_seconds = saved["seconds"], saved["device_seconds"]
        if self.ranks.first:
            print(f"resumed at step {self.step} after {self.seconds / 60:.1f} minutes", flush=True)

    def _begin(self, folder: Path) -> None:
        """From other weights; of tensors that have grown the new part, and what is new altogether, starts fresh."""
        begun, vocabulary = _weights.load(folder)
        state = begun.state_dict()
        state["text.token.weight"] = light.known(
            state["text.token.weight"], self.net.text.token.weight, vocabulary.words, self.vocabulary.words
        )
        for name, own in self.net.state_dict().items():
            if name in state:
                part = tuple(slice(0, n) for n in state[name].shape)
                own[part] = state[name].to(own)
        self.average.load_state_dict(self.net.state_dict())

    def batch(self) -> Lesson:
        """The next one; painted ones are used several times."""
        if not self._ahead:
            rings = self.args.rings or self.batches.rings(self.args.pictures)
            views = rings[self.batches.random.randrange(len(rings))]
            self._ahead = self._painted(self.args.pictures // views, views) * AGAIN
        return self._ahead.pop()

    def _painted(self, objects: int, views: int) -> list[Lesson]:
        """AHEAD lessons, painted together and dealt out at random, so that neighbours of one material part."""
        drawn: Batch = self.batches.draw(AHEAD * objects, views)
        dealt = torch.randperm(AHEAD * objects, generator=self.batches.generator).chunk(AHEAD)
        self._captions = self.batches.captions(CAPTIONS, length=self.size.tokens)
        lessons = []
        for rows in dealt:
            whole = [drawn.samples[i].caption for i in rows.tolist()]
            luck = [self.batches.random.random() for _ in whole]
            tokens, read = (
                self.batches.tokens([w if x > out else "" for w, x in zip(whole, luck, strict=True)], length=self.size.tokens)
                for out in (DROPPED, DROPPED / 2)
            )
            on = rows.to(self.device)
            part = Batch(drawn.pictures[on], drawn.geometry[on], [], drawn.frame[on], drawn.shares[on])
            (x, geometry), frame, unit = part.flat(), part.frame.flatten(0, 1), part.frame[:, 0, -1, 0, 0]
            fields = self._fields(frame, geometry := geometry.float())
            lessons.append(Lesson(x, geometry, fields, part.shares.flatten(0, 1), unit, tokens, read))
        return lessons

    @torch.no_grad()
    def _fields(self, frame: Tensor, geometry: Tensor) -> Tensor | None:
        """Once per lesson, since they cost as much as a step; in the precision that the network is asked in."""
        if not self.size.mixed:
            return None
        found = _solid.seen(frame, geometry[:, 3:6], self.batches.volumes, patch=PATCH)
        return found.bfloat16() if self.device.type == "cuda" else found

    def clean(self, x: Tensor, geometry: Tensor) -> tuple[Tensor, Tensor]:
        """What is denoised, and where it counts [N, 1, …]: pictures themselves, or what the encoder makes of them."""
        mask = geometry[:, MASK : MASK + 1]
        if self.encoder is None:
            return x, mask
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            shown = torch.nn.functional.max_pool2d(mask, 8)
            return self.encoder(x, mask).float() * shown, shown

    def loss(self, lesson: Lesson) -> Tensor:
        """[2]: the weighted loss at early (noisy) and at late times; each the mean over its half of the objects. The first also
        holds the errors of the frame's unit and of the inks' shares."""
        B = len(lesson.tokens)
        x0, mask = self.clean(lesson.x, lesson.geometry)
        t = (torch.randperm(B, device=self.device) + torch.rand(B, device=self.device)) / B
        a = alpha_bar(t, shift=self.size.shift).repeat_interleave(lesson.views).view(-1, 1, 1, 1)
        noisy = a.sqrt() * x0 + (1 - a).sqrt() * self.noise(x0, lesson)
        guess, shares = self.asked(self.net, noisy, t.repeat_interleave(lesson.views), lesson)
        weight = mask if self.size.latent else mask * x0.new_tensor(WEIGHTS).view(1, -1, 1, 1)
        error = ((guess.float() - x0).square() * weight).reshape(B, -1).sum(1)
        error = error / weight.expand_as(x0).reshape(B, -1).sum(1).clamp(min=1)
        snr = alpha_bar(t, shift=self.size.shift) / (1 - alpha_bar(t, shift=self.size.shift))
        weighted = error * (1 + snr).clamp(max=5)
        early = (t > 0.5).float()
        beside = self._unit_error(lesson) + self._shares_error(shares, lesson) + self._read_error()
        return torch.stack([(weighted * early).mean() + beside, (weighted * (1 - early)).mean()])

    def _unit_error(self, lesson: Lesson) -> Tensor:
        if not self.size.mixed:
            return lesson.unit.new_zeros(())
        return UNIT * (self.net.usual_unit(self.net.text(lesson.tokens)).float() - lesson.unit).square().mean()

    def _shares_error(self, shares: Tensor | None, lesson: Lesson) -> Tensor:
        """Where a pattern lies is asked for by itself, for those captions that say one."""
        if shares is None:
            return lesson.unit.new_zeros(())
        mask = lesson.geometry[:, MASK : MASK + 1] * (lesson.tokens != 0).any(1).repeat_interleave(lesson.views).view(-1, 1, 1, 1)
        told = 2 * lesson.shares[:, : shares.shape[1]] - 1
        return SHARES * ((shares.float() - told).square() * mask).sum() / (told.shape[1] * mask.sum()).clamp(min=1)

    def _read_error(self) -> Tensor:
        """What the reader makes of many captions: pictures are too few to learn words from."""
        if not self.size.inked:
            return torch.zeros((), device=self.device)
        tokens, inks, counts = self._captions
        return READ * ((self.net.reader(self.net.text(tokens)) - inks).square().mean(-1) * counts).sum() / counts.sum()

    def noise(self, x0: Tensor, lesson: Lesson) -> Tensor:
        """Noise like x0, as painting draws it."""
        if not self.size.cell:
            return torch.randn_like(x0)
        objects = len(lesson.tokens)
        return _noise.drawn_for_training(self.net.places(lesson.geometry), x0.shape[1], cell=self.size.cell, objects=objects)

    def asked(
        self, net: Denoiser, noisy: Tensor, t: Tensor, lesson: Lesson, tokens: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """What a network tells in training precision of noisy x at times t [B·V], with the lesson's tokens or others [B, L]."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            text = net.text(lesson.tokens if tokens is None else tokens).repeat_interleave(lesson.views, 0)
            inks = net.reader(net.text(lesson.read)) if self.size.inked else None
            noisy, geometry = (v.contiguous(memory_format=torch.channels_last) for v in (noisy, lesson.geometry))
            return net(noisy, geometry, t, text, views=lesson.views, fields=lesson.fields, inks=inks)

    def advance(self) -> Tensor:
        """One optimiser step; returns the detached loss [2]."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.step, self.since, self.seconds / (60 * self.args.minutes), peak=self.args.rate)
        loss = self.loss(self.batch())
        self.optimizer.zero_grad(set_to_none=True)
        loss.sum().backward()
        self.ranks.average_gradients(self.parameters)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        keep = min(self.averaging, self.step / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(self.averaged, self.parameters, 1 - keep)
        return loss.detach()

    def save(self) -> None:
        """Whole and light checkpoints and averaged weights, each replaced whole."""
        states = {"net": self.net.state_dict(), "average": self.average.state_dict()}
        numbers: dict[str, Any] = {"step": self.step, "seconds": self.seconds, "device_seconds": self.device_seconds}
        numbers["words"] = list(self.vocabulary.words)
        whole = {**states, **numbers, "optimizer": self.optimizer.state_dict()}
        torch.save(whole, self.out / "checkpoint.part")
        os.replace(self.out / "checkpoint.part", self.out / "checkpoint.pt")
        light.save(self.out / "light", states, {**numbers, "arm": self.args.arm, "minutes": self.args.minutes})
        write(self.out / "mini", self.average, self.vocabulary.words)

    def preview(self) -> None:
        """Prompts on shapes held out as `preview.png`, also kept by step."""
        painter = MultiView(self.average, self.vocabulary, steps=4, guidance=1.0, eta=0.0)
        sheet(painter, self.batches.held_out, self.out / "preview.png", prompts=PREVIEWED[: self.args.previews])
        shutil.copyfile(self.out / "preview.png", self.out / f"preview-{self.step:06d}.png")


def write(folder: Path, network: Denoiser, words: tuple[str, ...], *, bits: int = 16) -> None:
    """A network as the studio loads it."""
    _weights.save(network.state_dict(), network.size, folder, bits=bits)
    (folder / "vocabulary.txt").write_text("\n".join(words) + "\n", encoding="utf-8")


def drawing(p: argparse.ArgumentParser) -> None:
    """The options of what a step and a preview are made of."""
    p.add_argument("--pictures", type=int, default=192, help="pictures per step and device, of objects with 4 to 8 views each")
    p.add_argument("--rings", type=int, nargs="+", choices=RINGS, help="only these numbers of views; each is compiled by itself")
    p.add_argument(
        "--previews",
        type=int,
        default=len(PREVIEWED),
        choices=range(1, len(PREVIEWED) + 1),
        metavar="N",
        help="prompts on the preview sheet",
    )


def main(argv: list[str] | None = None) -> None:
    begun = time.time()
    p = argparse.ArgumentParser(prog="python -m studio.pretrain.train", description="Train the bundled generator from scratch.")
    options(p, minutes=60.0, peak=6e-4)
    p.add_argument("--arm", choices=sorted(ARMS), default="pixel", help="what is denoised")
    p.add_argument("--begin", type=Path, default=None, help="start from these weights, such as studio/generators/data/mini")
    p.add_argument("--autoencoder", type=Path, default=None, help="folder with autoencoder.pt (OUT), for --arm latent")
    drawing(p)
    args = p.parse_args(argv)
    ranks = Ranks.join(args.device)
    run(Training(args, ranks), args, ranks, begun=begun)


if __name__ == "__main__":
    main()
