"""Train the latents' autoencoder: `python -m studio.pretrain.autoencoder --out DIR [--minutes M] [--resume] [--compile]`.

Pictures become 24 numbers for every 8×8 pixels; a decoder that sees the geometry at full resolution draws them again. Latents
have zero mean and unit variance (a batch norm without weights), and the decoder learns under added noise, so that it forgives
what a denoiser leaves. The loss is the absolute error of all channels and of their differences between neighbours, which blur
increases. Writes `autoencoder.pt`, from which `train --arm latent` takes the encoder and the frozen decoder.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.errors import StudioError
from studio.generators._network import MASK, Decoder, Residual, Size
from studio.pretrain.batches import Batches
from studio.pretrain.lit import save_sheet
from studio.pretrain.session import Ranks, compiled, options, rate, run

WEIGHTS = (1.0, 1.0, 1.0, 0.5, 0.5, 0.5)  # of the channels in the loss
NOISE = 0.25  # at most, of a latent's standard deviation


class Encoder(nn.Module):
    """Pictures [N, C, h, w] in −1…1 → latents [N, L, h/8, w/8]."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        widths = tuple(reversed(Decoder.WIDTHS))
        self.enter = nn.ModuleList(
            nn.Conv2d(4 * c, w, 3, padding=1) for c, w in zip((size.painted + 1, *widths), widths, strict=False)
        )
        self.inner = nn.ModuleList(Residual(w) for w in widths)
        self.leave = nn.Conv2d(widths[-1], size.latent, 1)
        self.norm = nn.BatchNorm2d(size.latent, momentum=0.02, affine=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = torch.cat([x, mask], 1)
        for enter, inner in zip(self.enter, self.inner, strict=True):
            y = inner(enter(F.pixel_unshuffle(y, 2)))
        return self.norm(self.leave(F.silu(y)).float())


def loss(drawn: Tensor, true: Tensor, mask: Tensor) -> Tensor:
    """[2]: mean absolute error of the channels [N, C, h, w] and of their differences, over the mask [N, 1, h, w]."""
    weight = mask * true.new_tensor(WEIGHTS).view(1, -1, 1, 1)
    error = drawn.float() - true
    across, down = (error.diff(dim=d) * weight.narrow(d, 1, weight.shape[d] - 1) for d in (-1, -2))
    total = weight.sum()
    return torch.stack([(error.abs() * weight).sum() / total, (across.abs().sum() + down.abs().sum()) / total])


class Training:
    """An autoencoder and everything that its checkpoint holds."""

    name = "autoencoder"
    losses: tuple[str, ...] = ("value", "edges")

    def __init__(self, args: argparse.Namespace, size: Size, ranks: Ranks) -> None:
        self.args, self.ranks, self.device, self.out = args, ranks, ranks.device, Path(args.out)
        torch.manual_seed(args.seed)
        self.encoder, self.decoder = Encoder(size).to(self.device), Decoder(size).to(self.device)
        self.parameters = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=args.rate, betas=(0.9, 0.99), weight_decay=0.01)
        self.step, self.since, self.seconds, self.device_seconds = 0, 0, 0.0, 0.0
        if args.resume and (self.out / "autoencoder.pt").exists():
            saved = restore(self.encoder, self.decoder, self.out, self.device)
            self.step = self.since = saved["step"]
            self.seconds, self.device_seconds = saved["seconds"], saved["device_seconds"]
        ranks.same((self.encoder, self.decoder))
        if args.compile:
            compiled(self.encoder)
            compiled(self.decoder)
        self.batches = Batches(args, ranks, seed=1_000 + self.step)

    def pass_through(self, x: Tensor, geometry: Tensor, *, noise: float) -> Tensor:
        """Pictures [N, C, h, w] encoded, disturbed by up to `noise` and drawn again."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            z = self.encoder(x, geometry[:, MASK : MASK + 1])
            z = z + noise * torch.rand(len(z), 1, 1, 1, device=z.device) * torch.randn_like(z)
            return self.decoder(z, geometry)

    def advance(self) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.step, self.since, self.seconds / (60 * self.args.minutes), peak=self.args.rate)
        views = self.batches.rings(self.args.pictures)[0]
        x, geometry = self.batches.draw(self.args.pictures // views, views).flat()
        found = loss(self.pass_through(x, geometry, noise=NOISE), x, geometry[:, MASK : MASK + 1])
        self.optimizer.zero_grad(set_to_none=True)
        found.sum().backward()
        self.ranks.average_gradients(self.parameters)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        return found.detach()

    def save(self) -> None:
        kept = {"encoder": self.encoder.state_dict(), "decoder": self.decoder.state_dict()}
        numbers = {"step": self.step, "seconds": self.seconds, "device_seconds": self.device_seconds}
        torch.save({**kept, **numbers}, self.out / "autoencoder.part")
        os.replace(self.out / "autoencoder.part", self.out / "autoencoder.pt")

    def preview(self) -> None:
        """Truth and what the autoencoder makes of it, side by side; and its signal-to-noise ratio on shapes held out."""
        batch = self.batches.held(8, 4, seed=5)
        x, geometry = batch.flat()
        mask = geometry[:, MASK : MASK + 1]
        self.encoder.eval()
        with torch.no_grad():
            drawn = self.pass_through(x, geometry, noise=0.0).float().clamp(-1, 1)
        self.encoder.train()
        error = ((drawn - x).square() * mask).sum((0, 2, 3)) / mask.sum() / 4
        names = ("red", "green", "blue", "roughness", "metallic", "height")
        said = "  ".join(f"{n} {-10 * e.log10():.1f}" for n, e in zip(names, error, strict=True))
        print(f"autoencoder PSNR in dB: {said}", flush=True)
        pairs = torch.stack([x, drawn], 1)[::4].flatten(0, 1)[:, :3] * 0.5 + 0.5
        shown = mask[::4].repeat_interleave(2, 0)
        rows = [(pairs[i : i + 2], shown[i : i + 2]) for i in range(0, len(pairs), 2)]
        save_sheet(rows, self.out / "autoencoder.png", columns=4)


def restore(encoder: Encoder, decoder: Decoder, folder: Path, device: torch.device) -> dict:
    """Fill both from `autoencoder.pt` in the folder. Raises StudioError when it is missing or does not fit."""
    try:
        saved = torch.load(folder / "autoencoder.pt", map_location=device, weights_only=True)
        encoder.load_state_dict(saved["encoder"])
        decoder.load_state_dict(saved["decoder"])
    except (OSError, RuntimeError, KeyError) as error:
        remedy = "Train it first: python -m studio.pretrain.autoencoder."
        raise StudioError(f"There is no fitting autoencoder in {folder}: {error}.", remedy) from error
    return saved


def main(argv: list[str] | None = None) -> None:
    from studio.pretrain.train import ARMS

    begun = time.time()
    p = argparse.ArgumentParser(prog="python -m studio.pretrain.autoencoder", description="Train the autoencoder of the latents.")
    options(p, minutes=4.0, peak=4e-4)
    p.add_argument("--pictures", type=int, default=64, help="pictures per step and device")
    args = p.parse_args(argv)
    ranks = Ranks.join(args.device)
    run(Training(args, ARMS["latent"], ranks), args, ranks, begun=begun)


if __name__ == "__main__":
    main()
