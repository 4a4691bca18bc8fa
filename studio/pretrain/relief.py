"""Train the estimator of the reward `normal`: `python -m studio.pretrain.relief --out DIR [--minutes 5] [--rigs-file FILE]`.

Painted surfaces of random shapes are lit as if they had relief: by the height that the corpus paints, by waves and lumps, or by
none at all; the target is the normal that was shaded. Base colours are the corpus' patterns or plain, so a pattern that does not
look like light and shade is no relief. On a GPU five minutes do; one core of a processor takes about half an hour.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from studio import environment
from studio.pretrain import corpus, shapes
from studio.pretrain.batches import MASK, Batches
from studio.pretrain.lit import lit
from studio.pretrain.session import Ranks, basics, rate
from studio.rewards._relief import Estimator

WINDOW_PX = 96
SMOOTH, CORPUS = 0.3, 0.3  # shares of surfaces without relief and with the corpus' own; the others have waves
PLAIN = 0.4  # share of surfaces of one colour
STEEPEST = 0.9  # root mean square slope of a relief, at most
WAVES = 4  # in one relief, at most
JUMP = 0.05  # between neighbouring pixels, in work units; what lies further apart is not one surface
LAMPS = 6  # rooms with one lamp each, beside the softbox
SOFTBOX = 0.75  # share of batches that it lights; it is what rewards see
AVERAGED = 0.995
WARM = 100  # steps over which the learning rate rises


def rooms(device: torch.device, *, seed: int = 0) -> list[environment.Environment]:
    """The softbox, and dim rooms with a lamp somewhere in front or above."""
    g = torch.Generator().manual_seed(seed)
    polar, turn = torch.meshgrid(
        (torch.arange(64) + 0.5) / 64 * math.pi, ((torch.arange(128) + 0.5) / 128 - 0.5) * 2 * math.pi, indexing="ij"
    )
    direction = torch.stack([polar.sin() * turn.sin(), polar.cos(), -polar.sin() * turn.cos()], -1)
    found = [environment.load("softbox")]
    for i in range(LAMPS):
        lamp = F.normalize(torch.randn(3, generator=g) + torch.tensor([0.0, 0.5, 0.0]), dim=0)
        wide, dim = 0.8 + 0.15 * torch.rand(2, generator=g)
        room = (dim - 0.7) * (1 + 0.5 * direction[..., 1]) + 12 * torch.sigmoid((direction @ lamp - wide) * 50)
        found.append(environment.from_panorama(room[..., None].expand(-1, -1, 3), name=f"lamp {i}"))
    return [e.to(device) for e in found]


def views(rows: range) -> Tensor:
    """Rotations [rows, V, 3, 3] from world to view (right, up, to the eye) of the rigs of these seeds."""
    return torch.tensor([[c.frame().tolist() for c in shapes.cameras(row)] for row in rows], dtype=torch.float32)


def slope(height: Tensor, position: Tensor, normal: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The surface gradient [N, 3, h, w] of heights [N, 1, h, w] at positions [N, 3, h, w], and where it is known [N, 1, h, w].

    From differences between neighbouring pixels (Mikkelsen 2010, Bump mapping unparametrized surfaces on the GPU, eq. 5 to 7).
    """

    def across(x: Tensor, dim: int) -> Tensor:
        return (x.roll(-1, dim) - x.roll(1, dim)) / 2

    known = mask * mask.roll(1, -1) * mask.roll(-1, -1) * mask.roll(1, -2) * mask.roll(-1, -2)
    px, py = across(position, -1), across(position, -2)
    rx, ry = torch.linalg.cross(py, normal, dim=1), torch.linalg.cross(normal, px, dim=1)
    area = (px * rx).sum(1, keepdim=True)
    flat = area.abs() > 0.15 * px.norm(dim=1, keepdim=True) * py.norm(dim=1, keepdim=True)  # no jumps, no grazing
    known = known * flat * (px.norm(dim=1, keepdim=True) < JUMP) * (py.norm(dim=1, keepdim=True) < JUMP)
    gradient = (across(height, -1) * rx + across(height, -2) * ry) / torch.where(known > 0, area, 1.0)
    return gradient * known, known


def waves(position: Tensor, *, generator: torch.Generator) -> Tensor:
    """Random heights [N, 1, h, w] over work space: up to WAVES sines that bend each other, some of them flattened to plateaus."""
    n, device = len(position), position.device
    height = torch.zeros_like(position[:, :1])
    period = 0.06 * 8 ** torch.rand(n, 1, generator=generator)
    count = torch.randint(1, WAVES + 1, (n, 1, 1, 1), generator=generator).to(device)
    for i in range(WAVES):
        k = F.normalize(torch.randn(n, 3, generator=generator), dim=1) * 2 * math.pi / period
        turn = torch.rand(n, 1, 1, 1, generator=generator).to(device) * 2 * math.pi
        wave = torch.sin(torch.einsum("nc,nchw->nhw", k.to(device), position)[:, None] + turn + height)
        height = height + wave * (i < count)
    flat = (torch.rand(n, 1, 1, 1, generator=generator) < 0.4).to(device)
    return torch.where(flat, torch.tanh(3 * height), height)


class Lessons:
    """Endless batches: what a picture shows, and what it truly is."""

    def __init__(self, args: argparse.Namespace, ranks: Ranks) -> None:
        self.batches = Batches(args, ranks, seed=53)
        self.device, self.generator = ranks.device, self.batches.generator
        self.learning = self.batches.rigs, views(range(ranks.rank, args.rigs, ranks.world)).to(self.device)
        held = range(args.rigs, args.rigs + len(self.batches.held_out))
        self.held_out = self.batches.held_out, views(held).to(self.device)
        self.rooms = rooms(self.device)

    def draw(self, count: int, *, held_out: bool = False) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pictures, the surface's own normals and the normals shaded, each [N, 3, w, w], and where they count [N, 1, w, w]."""
        g, (rigs, frames) = self.generator, self.held_out if held_out else self.learning
        row, view = (torch.randint(m, (count,), generator=g).to(self.device) for m in rigs.shape[:2])
        geometry = self._windows(rigs[row, view].float())
        samples = sorted(corpus.draw(self.batches.random, count), key=lambda s: s.material)
        channels = self.batches.painted(samples, geometry[:, None]).pictures[:, 0]
        position, normal, mask = geometry[:, :3], F.normalize(geometry[:, 3:6], dim=1), geometry[:, MASK : MASK + 1]
        shaded = self._reliefs(channels[:, 5:6], position, normal, mask)
        channels = self._plain(channels) * mask
        turn, exposure, pick = torch.rand(3, generator=g).tolist()
        room = self.rooms[0 if pick < SOFTBOX else 1 + int((pick - SOFTBOX) / (1 - SOFTBOX) * LAMPS)].turned(360 * turn)
        seen = lit(channels, torch.cat([position, shaded, geometry[:, 6:]], 1), room, exposure_ev=1.5 * exposure - 0.75)
        R = frames[row, view]
        own, shaded = (torch.einsum("nij,njhw->nihw", R, v) * mask for v in (normal, shaded))
        mirrored = torch.tensor([-1.0, 1.0, 1.0], device=self.device).view(1, 3, 1, 1)
        flipped = ((seen + 0.5 * (1 - mask)).flip(-1), own.flip(-1) * mirrored, shaded.flip(-1) * mirrored, mask.flip(-1))
        straight = (seen + 0.5 * (1 - mask), own, shaded, mask)
        return flipped if torch.rand((), generator=g) < 0.5 else straight

    def _windows(self, geometry: Tensor) -> Tensor:
        """A window of WINDOW_PX of each [N, 9, h, w], around a pixel of the surface."""
        side = geometry.shape[-1]
        out = []
        for one in geometry:
            inside = one[MASK].nonzero()
            at = inside[int(torch.randint(len(inside), (), generator=self.generator))] if len(inside) else torch.zeros(2)
            top, left = (int((at - WINDOW_PX // 2).clamp(0, side - WINDOW_PX)[i]) for i in range(2))
            out.append(one[:, top : top + WINDOW_PX, left : left + WINDOW_PX])
        return torch.stack(out)

    def _reliefs(self, painted: Tensor, position: Tensor, normal: Tensor, mask: Tensor) -> Tensor:
        """World-space normals [N, 3, w, w] of the surfaces with relief: painted heights [N, 1, w, w], waves or none."""
        pick, steep, sign = (torch.rand(len(normal), 1, 1, 1, generator=self.generator).to(self.device) for _ in range(3))
        sign = torch.where(sign < 0.5, -1.0, 1.0)
        height = torch.where(pick < SMOOTH + CORPUS, sign * painted, waves(position, generator=self.generator))
        g, known = slope(height, position, normal, mask)
        mean = (g.square().sum(1, keepdim=True).sum((1, 2, 3), True) / known.sum((1, 2, 3), True).clamp(min=1)).sqrt()
        wanted = STEEPEST * steep * (pick >= SMOOTH) * (mean > 0.01)
        g = g * wanted / mean.clamp(min=1e-6)
        g = g / (1 + (g.norm(dim=1, keepdim=True) / 2.5).square()).sqrt()
        return F.normalize(normal - g, dim=1)

    def _plain(self, channels: Tensor) -> Tensor:
        """Channels [N, 6, w, w], some of them replaced by one colour and roughness."""
        colour = torch.rand(len(channels), 6, 1, 1, generator=self.generator).to(self.device) * 0.8 + 0.1
        colour[:, 4] = 0
        pick = torch.rand(len(channels), 1, 1, 1, generator=self.generator).to(self.device) < PLAIN
        return torch.where(pick, colour, channels)


def loss(net: Estimator, lesson: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Mean of 1 − cosine between what the network reads and what was shaded; the same of the surface's own normals."""
    pictures, own, shaded, mask = lesson
    read = net(pictures, own, mask)
    target, smooth = (F.normalize(F.avg_pool2d(v * mask, 2), dim=1) for v in (shaded, own))
    whole = (F.avg_pool2d(mask, 2) > 0.999).float()[:, 0]
    return tuple(((1 - (v * target).sum(1)) * whole).sum() / whole.sum().clamp(min=1) for v in (read, smooth))  # type: ignore


def train(args: argparse.Namespace) -> float:
    """Train for `args.minutes` or `args.steps`, save, and return the part of the relief that is read on held-out shapes."""
    torch.manual_seed(args.seed)
    ranks = Ranks.join(args.device)
    lessons, net = Lessons(args, ranks), Estimator().to(ranks.device, memory_format=torch.channels_last)
    average = Estimator().to(ranks.device)
    average.load_state_dict(net.state_dict())
    optimizer = torch.optim.AdamW(net.parameters(), lr=args.rate, weight_decay=0.01)
    print(f"{sum(p.numel() for p in net.parameters()):,} parameters", flush=True)
    start, step = time.time(), 0
    said = torch.zeros(2, device=ranks.device)
    while (spent := (time.time() - start) / (60 * args.minutes)) < 1 and step < args.steps:
        for group in optimizer.param_groups:
            group["lr"] = rate(step, 0, spent, peak=args.rate, warm=WARM)
        lesson = lessons.draw(args.pictures)
        missed, smooth = loss(net, lesson)
        optimizer.zero_grad(set_to_none=True)
        missed.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 0.3)
        optimizer.step()
        step += 1
        keep = min(AVERAGED, step / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1 - keep)
        said += torch.stack([missed.detach(), smooth])
        if step % args.every == 0:
            print(f"step {step}  {(time.time() - start) / 60:.2f} min  read {1 - float(said[0] / said[1]):.1%}", flush=True)
            said.zero_()
            average.save(Path(args.out) / "weights.safetensors")
    average.eval().requires_grad_(False).save(Path(args.out) / "weights.safetensors")
    sums = torch.stack([torch.stack(loss(average, lessons.draw(16, held_out=True))) for _ in range(8)]).sum(0)
    found = 1 - float(sums[0] / sums[1])
    print(f"{step} steps; reads {found:.1%} of the relief of held-out shapes; saved in {args.out}", flush=True)
    return found


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="python -m studio.pretrain.relief", description="Train the estimator of the reward normal.")
    basics(p, minutes=5.0, peak=2e-3, rigs=400)
    p.add_argument("--pictures", type=int, default=64, help="per step")
    return p.parse_args(argv)


if __name__ == "__main__":
    train(arguments())
