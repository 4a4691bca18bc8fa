"""Train `mini` from scratch: `python -m studio.pretrain.train --out DIR [--minutes M] [--resume]`.

The loss is the masked squared error of the predicted clean picture, weighted by min(1 + SNR, 5) (2303.09556 caps the SNR alike),
over uniform times. A run ends when its minutes are used up or on SIGTERM or Ctrl-C; either way it leaves a checkpoint from which
`--resume` goes on, the averaged weights as the studio loads them (`DIR/mini`) and a sheet of pictures.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from studio.generators import _weights
from studio.generators._multiview import Denoiser, MultiView, Size, Vocabulary, alpha_bar
from studio.pretrain import corpus, shapes
from studio.pretrain.solid import Volumes

MINI = Size(view_px=256, channels=(96, 160, 192), heads=(3, 5, 6), head_channels=24, text_channels=192, text_layers=2)
DROPPED = 0.1  # share of captions replaced by the empty one, for classifier-free guidance
AVERAGED = 0.9995
PREVIEWED = (
    "red", "blue and yellow stripes", "a checkerboard-patterned bunny", "teal with pink polka dots",
        "red bricks with white mortar", "wooden planks",
    "white marble with black veins", "rusty metal", "zebra", "leopard", "green camouflage", "red and black plaid", "lava",
        "mossy stone",
    "gradient from purple to orange", "green dragon scales",
)  # fmt: skip


def turned(rigs: Tensor, *, generator: torch.Generator) -> Tensor:
    """Rigs [B, V, 7, h, w] with the world turned about the vertical at random, half of them by quarter turns; half mirrored."""
    B = len(rigs)
    angle, quarter, mirror = (torch.rand(B, generator=generator) for _ in range(3))
    angle = torch.where(quarter < 0.5, (angle * 4).floor() / 4, angle) * 2 * math.pi
    c, s, one, nil = angle.cos(), angle.sin(), torch.ones(B), torch.zeros(B)
    flip = torch.where(mirror < 0.5, -one, one)
    R = torch.stack([c * flip, nil, s, nil, one, nil, -s * flip, nil, c], -1).view(B, 3, 3).to(rigs.device)
    p, n = (torch.einsum("bij,bvjhw->bvihw", R, x.float()) for x in (rigs[:, :, :3], rigs[:, :, 3:6]))
    out = torch.cat([p, n, rigs[:, :, 6:].float()], 2)
    return torch.where((flip.to(rigs.device) < 0).view(B, 1, 1, 1, 1), out.flip(-1), out)


class Training:
    """Everything that a checkpoint holds, and one step."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.device, self.out = args, torch.device(args.device), Path(args.out)
        self.out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(args.seed)
        self.vocabulary = Vocabulary(corpus.vocabulary())
        self.net = Denoiser(MINI, len(self.vocabulary.words)).to(self.device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.net).eval().requires_grad_(False)
        on_gpu = self.device.type == "cuda"
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=args.rate, betas=(0.9, 0.99), weight_decay=0.01,
            fused=on_gpu)
        self.step, self.seconds = 0, 0.0
        if args.compile:
            self.net.compile()  # one minute; on an H200 a step then takes 48 ms instead of 77
        self.random, self.generator = random.Random(args.seed), torch.Generator().manual_seed(args.seed)
        if args.resume and (self.out / "checkpoint.pt").exists():
            self._restore()
        torch.manual_seed(args.seed + self.step)
        self.volumes = Volumes.make(self.device)
        start = time.time()
        rigs = shapes.make_rigs(self.out / "rigs.npy", args.rigs + 4, size_px=MINI.view_px)
        self.rigs = torch.empty(rigs.shape, dtype=torch.float16, device=self.device)
        for i in range(0, len(rigs), 64):
            self.rigs[i : i + 64] = torch.from_numpy(rigs[i : i + 64].copy()).to(self.device)
        self.held_out, self.rigs = self.rigs[args.rigs :], self.rigs[: args.rigs]
        parameters, words = sum(p.numel() for p in self.net.parameters()), len(self.vocabulary.words)
        print(f"{parameters:,} parameters, {words} words, {len(self.rigs)} rigs in {time.time() - start:.0f} s", flush=True)

    def _restore(self) -> None:
        saved = torch.load(self.out / "checkpoint.pt", map_location=self.device, weights_only=True)
        self.net.load_state_dict(saved["net"])
        self.average.load_state_dict(saved["average"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.step, self.seconds = saved["step"], saved["seconds"]
        self.generator.set_state(saved["generator"].cpu())
        self.random.seed(self.args.seed + self.step)
        print(f"resumed at step {self.step} after {self.seconds / 60:.1f} minutes", flush=True)

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Clean pictures [B·V, 3, h, w] in −1…1, geometry [B·V, 7, h, w], tokens [B, L]."""
        B = self.args.batch
        chosen = torch.randint(len(self.rigs), (B,), generator=self.generator).to(self.device)
        order = torch.randperm(self.rigs.shape[1], generator=self.generator).to(self.device)
        rigs = turned(self.rigs[chosen][:, order], generator=self.generator)
        samples = corpus.draw(self.random, B)
        rgb = corpus.paint(samples, rigs[:, :, :3], rigs[:, :, 3:6], self.volumes)
        said = [self.vocabulary.tokens(s.caption if self.random.random() > DROPPED else "", length=MINI.tokens) for s in samples]
        geometry = rigs.flatten(0, 1)
        return (rgb.flatten(0, 1) * 2 - 1) * geometry[:, 6:], geometry, torch.tensor(said, device=self.device)

    def loss(self, x0: Tensor, geometry: Tensor, tokens: Tensor) -> Tensor:
        """[2]: the weighted loss at early (noisy) and at late times; each the mean over its half of the objects."""
        B = len(tokens)
        views = len(x0) // B
        t = (torch.randperm(B, device=self.device) + torch.rand(B, device=self.device)) / B
        a = alpha_bar(t).repeat_interleave(views).view(-1, 1, 1, 1)
        x = a.sqrt() * x0 + (1 - a).sqrt() * torch.randn_like(x0)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            text = self.net.text(tokens).repeat_interleave(views, 0)
            x, geometry = (v.contiguous(memory_format=torch.channels_last) for v in (x, geometry))
            guess = self.net(x, geometry, t.repeat_interleave(views), text, views=views)
        mask = geometry[:, 6:]
        error = ((guess.float() - x0).square() * mask).reshape(B, -1).sum(1) / (3 * mask.reshape(B, -1).sum(1)).clamp(min=1)
        snr = alpha_bar(t) / (1 - alpha_bar(t))
        weighted = error * (1 + snr).clamp(max=5)
        early = (t > 0.5).float()
        return torch.stack([(weighted * early).mean(), (weighted * (1 - early)).mean()])

    def advance(self) -> Tensor:
        """One optimiser step; returns the detached loss [2]."""
        spent = min(1.0, self.seconds / (60 * self.args.minutes))
        rate = self.args.rate * min(1.0, (self.step + 1) / 400) * (0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * spent)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self.loss(*self.batch())
        self.optimizer.zero_grad(set_to_none=True)
        loss.sum().backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        keep = min(AVERAGED, self.step / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.net.parameters()), 1 - keep)
        return loss.detach()

    def save(self) -> None:
        """Checkpoint, averaged weights and a sheet, each replaced whole."""
        state = {"net": self.net.state_dict(), "average": self.average.state_dict(), "optimizer": self.optimizer.state_dict()}
        numbers = {"step": self.step, "seconds": self.seconds, "generator": self.generator.get_state()}
        torch.save({**state, **numbers}, self.out / "checkpoint.part")
        os.replace(self.out / "checkpoint.part", self.out / "checkpoint.pt")
        _weights.save(self.average.state_dict(), MINI, self.out / "mini")
        (self.out / "mini" / "vocabulary.txt").write_text("\n".join(self.vocabulary.words) + "\n")

    def preview(self) -> None:
        """16 prompts on held-out shapes, three views each, as `preview.png` and one by step."""
        from studio.pretrain.evaluate import save_sheet

        painter = MultiView(self.average, self.vocabulary, steps=8, guidance=2.0, eta=0.0)
        rows = []
        for i, prompt in enumerate(PREVIEWED[: self.args.previews]):
            scene = painter.scene_of(prompt, self.held_out[i % len(self.held_out)])
            rows.append((painter.paint(scene, seed=i).clamp(0, 1), scene.mask))
        save_sheet(rows, self.out / "preview.png", shown=3, columns=4)
        shutil.copyfile(self.out / "preview.png", self.out / f"preview-{self.step:06d}.png")


def writer(out: Path) -> Any:
    """A TensorBoard writer where it is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(out / "log"))


def run(args: argparse.Namespace) -> None:
    """Train until the minutes are over or a signal arrives."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    begun, stopped = time.time(), []
    former = {s: signal.signal(s, lambda number, _frame: stopped.append(number)) for s in (signal.SIGTERM, signal.SIGINT)}
    training, log = Training(args), writer(Path(args.out))
    tick = saved = logged = time.time()
    losses, last = torch.zeros(2, device=training.device), training.step

    def on() -> bool:
        in_time = training.seconds < 60 * args.minutes and tick - begun < 60 * args.session_minutes
        return in_time and not stopped and training.step < args.steps

    while on():
        losses += training.advance()
        now = time.time()
        training.seconds += now - tick
        tick = now
        if training.step % args.every == 0:
            early, late = (losses / (training.step - last)).tolist()
            rate = (training.step - last) / (time.time() - logged)
            print(f"step {training.step}  {training.seconds / 60:.1f} min  loss {early:.4f} {late:.4f}  {rate:.1f} it/s",
                flush=True)
            if log is not None:
                log.add_scalar("loss/early", early, training.step)
                log.add_scalar("loss/late", late, training.step)
            losses.zero_()
            last, logged = training.step, time.time()
        if now - saved > 60 * args.save_minutes:
            training.save()
            training.preview()
            tick = saved = logged = time.time()
            losses.zero_()
            last = training.step
    training.save()
    training.preview()
    for s, handler in former.items():
        signal.signal(s, handler)
    print(f"stopped at step {training.step}; weights in {training.out / 'mini'}", flush=True)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="python -m studio.pretrain.train", description="Train the bundled generator from scratch.")
    p.add_argument("--out", required=True, help="folder for rigs, checkpoint, weights and previews")
    p.add_argument("--minutes", type=float, default=25.0, help="training time in all, over which the learning rate decays")
    p.add_argument("--resume", action="store_true", help="go on from the checkpoint in the folder")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--rigs", type=int, default=1200, help="random shapes, six views each")
    p.add_argument("--batch", type=int, default=32, help="objects per step")
    p.add_argument("--rate", type=float, default=5e-4, help="peak learning rate")
    p.add_argument("--session-minutes", type=float, default=math.inf,
        help="end this call after so long, start-up included; --resume goes on")
    p.add_argument("--compile", action="store_true",
        help="torch.compile the network (worth it where a C compiler and Triton are)")
    p.add_argument("--steps", type=int, default=10**9, help="stop after this many steps in all")
    p.add_argument("--every", type=int, default=50, help="steps between log lines")
    p.add_argument("--save-minutes", type=float, default=3.0)
    p.add_argument("--previews", type=int, default=len(PREVIEWED), help="prompts on the preview sheet")
    p.add_argument("--seed", type=int, default=0)
    return p.parse_args(argv)


if __name__ == "__main__":
    run(arguments())
