"""One training session: the ranks of a distributed run, its clock and signals, its log and its checkpoints.

Whatever is trained is a `Task`; `run` advances it until its minutes are used up, the session's are, or a signal arrives, and
saves in between. Started by `torchrun`, every process is a rank with its own card and its own data; gradients are averaged over
ranks after each backward pass, so all ranks hold the same weights and rank 0 alone writes.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import torch._dynamo
import torch.distributed as dist
from torch import Tensor, nn

AGREED = 10
"""Steps between two questions to all ranks whether to stop."""
WARM = 300
"""Steps over which the learning rate rises, at the start and after every resumption."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together."""

    rank: int
    world: int
    device: torch.device

    @classmethod
    def join(cls, device: str) -> Ranks:
        """Join the processes that torchrun has started, if it has; alone otherwise. "cuda" becomes this rank's own card."""
        rank, world, local = (int(os.environ.get(k, d)) for k, d in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0")))
        where = torch.device(f"cuda:{local}" if device == "cuda" and world > 1 else device)
        if where.type == "cuda":
            torch.cuda.set_device(where if where.index is not None else 0)
        if world > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if where.type == "cuda" else "gloo")
        return cls(rank, world, where)

    @property
    def first(self) -> bool:
        """Whether this rank writes the files and the lines."""
        return self.rank == 0

    def wait(self) -> None:
        """Until every rank is here."""
        if self.world > 1:
            dist.barrier()

    def same(self, modules: Iterable[nn.Module]) -> None:
        """Give every rank the parameters and buffers of rank 0."""
        if self.world > 1:
            for module in modules:
                for t in (*module.parameters(), *module.buffers()):
                    plain = t.data.contiguous()
                    dist.broadcast(plain, 0)
                    t.data.copy_(plain)

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace every gradient by its mean over the ranks, in one message."""
        if self.world == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        parts = flat.div_(self.world).split([g.numel() for g in gradients])
        torch._foreach_copy_(gradients, [part.view_as(g) for part, g in zip(parts, gradients, strict=True)])

    def any(self, *said: bool) -> list[bool]:
        """For each of the things said, whether any rank says it."""
        flags = torch.tensor(said, dtype=torch.float32, device=self.device)
        if self.world > 1:
            dist.all_reduce(flags, dist.ReduceOp.MAX)
        return (flags > 0).tolist()

    def most(self, number: int) -> int:
        """The greatest of the ranks' numbers."""
        if self.world == 1:
            return number
        found = torch.tensor(number, device=self.device)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return int(found)


def compiled(module: nn.Module) -> None:
    """Compile in place, once for each shape; what the compiler cannot do it leaves to the plain program."""
    torch._dynamo.config.suppress_errors = True
    torch._dynamo.config.automatic_dynamic_shapes = False  # shapes are few, and programs for any shape are slow
    module.compile()


class Task(Protocol):
    """What a session advances: a step, a clock, and what it leaves behind."""

    name: str
    losses: tuple[str, ...]
    """What the numbers that `advance` returns are called in the log."""
    step: int
    seconds: float
    """Wall time spent training, over all sessions."""
    device_seconds: float
    """The same times the number of devices."""

    def advance(self) -> Tensor:
        """One optimiser step; the detached losses, as many as `losses`."""
        ...

    def save(self) -> None:
        """Checkpoint and weights, each replaced whole. Called on the first rank."""
        ...

    def preview(self) -> None:
        """Pictures of how far it has come. Called on the first rank."""
        ...


def rate(step: int, since: int, spent: float, *, peak: float, warm: int | None = None) -> float:
    """Learning rate at a step: a rise over `warm` (or WARM) steps since the optimiser began, and a cosine fall to 1 % as `spent`
    nears 1."""
    fall = 0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * min(1.0, spent)))
    return peak * min(1.0, (step - since + 1) / (warm or WARM)) * fall


def run(task: Task, args: argparse.Namespace, ranks: Ranks, *, begun: float) -> None:
    """Advance the task until its minutes or this session's (counted from `begun`) are over, or a signal arrives, then save."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    stopped: list[int] = []
    former = {s: signal.signal(s, lambda number, _frame: stopped.append(number)) for s in (signal.SIGTERM, signal.SIGINT)}
    log = _writer(Path(args.out)) if ranks.first else None
    losses, last = torch.zeros(len(task.losses), device=ranks.device), task.step
    tick = saved = logged = time.time()
    over = False
    while not over:
        losses += task.advance()
        if task.step % args.every == 0:
            if ranks.first:
                _note(task, log, (losses / (task.step - last)).tolist(), (task.step - last) / (time.time() - logged))
            losses.zero_()
            last, logged = task.step, time.time()
        if task.step % AGREED and task.step < args.steps:
            continue
        if ranks.device.type == "cuda":
            torch.cuda.synchronize(ranks.device)
        now = time.time()
        task.seconds, task.device_seconds = task.seconds + now - tick, task.device_seconds + (now - tick) * ranks.world
        tick = now
        late = task.seconds >= 60 * args.minutes or now - begun >= 60 * args.session_minutes
        over, due = ranks.any(late or bool(stopped) or task.step >= args.steps, now - saved > 60 * args.save_minutes)
        if due and not over:
            if ranks.first:
                task.save()
                task.preview()
            ranks.wait()
            tick = saved = logged = time.time()
            losses.zero_()
            last = task.step
    if ranks.first:
        task.save()
        task.preview()
    ranks.wait()
    for s, handler in former.items():
        signal.signal(s, handler)
    if ranks.world > 1:
        dist.destroy_process_group()
    if ranks.first:
        spent = f"{task.seconds / 60:.1f} minutes, {task.device_seconds / 60:.1f} device minutes in all"
        print(f"{task.name} stopped at step {task.step} after {spent}; see {args.out}", flush=True)


def _note(task: Task, log: Any, means: list[float], pace: float) -> None:
    """One line, and the same for TensorBoard."""
    said = "  ".join(f"{name} {value:.4f}" for name, value in zip(task.losses, means, strict=True))
    print(f"{task.name} {task.step}  {task.seconds / 60:.1f} min  {said}  {pace:.1f} it/s", flush=True)
    if log is not None:
        for name, value in zip(task.losses, means, strict=True):
            log.add_scalar(f"{task.name}/{name}", value, task.step)


def basics(p: argparse.ArgumentParser, *, minutes: float, peak: float, rigs: int = 2400, every: int = 50) -> None:
    """The options that every training command has."""
    p.add_argument("--out", required=True, help="folder for what is made")
    p.add_argument("--rigs", type=int, default=rigs, help="random shapes, eight views each")
    p.add_argument("--rigs-file", type=Path, default=None, help="where they are kept (OUT/rigs.npy); drawn when missing")
    p.add_argument("--minutes", type=float, default=minutes, help="training time in all, over which the learning rate decays")
    p.add_argument("--rate", type=float, default=peak, help="peak learning rate")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--steps", type=int, default=10**9, help="stop after this many steps in all")
    p.add_argument("--every", type=int, default=every, help="steps between log lines")
    p.add_argument("--seed", type=int, default=0)


def options(p: argparse.ArgumentParser, *, minutes: float, peak: float) -> None:
    """The same, and those of commands that can be stopped and continued (`run`)."""
    basics(p, minutes=minutes, peak=peak)
    p.add_argument(
        "--session-minutes", type=float, default=math.inf, help="end this call after so long, start-up included; --resume goes on"
    )
    p.add_argument("--resume", action="store_true", help="go on from the checkpoint, or from the light one, in the folder")
    p.add_argument("--compile", action="store_true", help="torch.compile (worth it where a C compiler and Triton are)")
    p.add_argument("--save-minutes", type=float, default=3.0)


def _writer(out: Path) -> Any:
    """A TensorBoard writer where it is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(out / "log"))
