"""What an iteration of Stable Diffusion costs beside others' ways: `python tests/bench/sd.py --out DIR [--device cuda] [--tiny]`.

Random weights of Stable Diffusion 1.5 and its ControlNet in their published shapes, in bfloat16; a LoRA of rank 4 on q, k, v and
out; views of 512², DDIM, guidance 7.5. All in one process, one after the other, what matters most first: the studio's own
iteration, which samples, bakes, scores with every geometric reward and a CLIP ViT-L critic, and learns, planned for 8 GiB; its
inference; plain batched back-propagation through the last steps; the published structure (views in turn, all steps
back-propagated, each recomputed); then the studio's own over K and how many views go through the network at a time, as planned
for cards of several sizes, and at settings that tell whether its forecast is right. Rows are printed and written to DIR (sd.md,
sd.json) as soon as they are known; what the time does not suffice for is left out.

Exit code 1 on a card where the studio's iteration (K = 1) needs more than 1.7 s or 8 GiB, or its inference more than 1 s.
"""

from __future__ import annotations

import argparse
import gc
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

MUST_S, MUST_GIB, MUST_INFER_S = 1.7, 8.0, 1.0
CARDS_GB = (8, 12, 16, 24)


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--device", default="auto")
    p.add_argument("--tiny", action="store_true", help="small networks, to try the script out")
    p.add_argument("--mesh", default="vase")
    p.add_argument("--views", type=int, default=6)
    p.add_argument("--steps", type=int, default=10)
    p.add_argument("--repeat", type=int, default=3)
    p.add_argument("--truncations", type=int, nargs="*", default=[1, 2, 5, 10])
    p.add_argument("--chunks", type=int, nargs="*", default=[1, 2, 3, 6])
    p.add_argument("--seconds", type=float, default=225.0, help="no row is begun later than this")
    p.add_argument("--out", type=Path, default=Path("sd-bench"))
    return p.parse_args()


class Ours:
    """The studio's own iterations, one after the other; what they are made with may change in between."""

    def __init__(self, args: argparse.Namespace, painter: Any, device: torch.device, judge: Any, meter: Any) -> None:
        from studio import replay

        self._args, self.painter, self._device, self._judge, self._meter = args, painter, device, judge, meter
        self.live, self.chunk, self.recompute = SimpleNamespace(k=1), None, False
        self.passes: list[int] = []
        """How many views went through the network at a time: sampling, learning."""
        self._planned, painter.at_once = painter.at_once, self._at_once
        meter.watch(painter, "predict", lambda *_: "network with a graph" if torch.is_grad_enabled() else "network")
        meter.watch(painter, "decode", lambda *_: "decoder with a graph" if torch.is_grad_enabled() else "decoder")
        meter.watch(painter, "advance", "fusing")
        meter.watch(replay, "vjp", lambda output, *_: "network back" if output.ndim == 5 else "decoder and fusing back")
        self.on(args.views)

    def on(self, views: int) -> None:
        """Begin anew with so many views, of the size that the painter has now, once the memory of the last is free."""
        from tests.bench import sd_stand

        self._iterations, self.objective = iter(()), cast(Any, None)
        gc.collect()
        self.objective = sd_stand.objective_of(self._args, self.painter, self._device, self._judge, views=views, live=self.live)
        for name, phase in (("score", "rewards"), ("baked", "bake"), ("pictures_gradient", "bake back")):
            self._meter.watch(self.objective, name, phase)
        self.again()

    def again(self) -> None:
        """Begin a run."""
        self._iterations = self._trained()

    def row(
        self, name: str, *, k: int = 1, chunk: int | None = None, recompute: bool = False, gib: float = 0.0, **options: Any
    ) -> None:
        """`chunk` None: as planned, for `gib` of memory or what is free."""
        self.live.k, self.chunk, self.recompute = min(k, self.painter.steps), chunk, recompute
        self.painter.memory = gib * 2**30
        scene, setting = self.objective.scene, {}
        self._meter.row(name, self.once, setting=setting, **options)
        recomputed = bool(getattr(self.painter.network, "is_gradient_checkpointing", False))
        setting |= {"k": self.live.k, "steps": self.painter.steps, "views": scene.views, "view_px": self.painter.view_px}
        setting |= {"guidance": self.painter.guidance, "passes": self.passes, "recompute": recomputed}
        setting["decoder_again"] = bool(getattr(self.painter.vae, "is_gradient_checkpointing", False))
        self._meter.write()
        if self._meter.rows and self._meter.rows[-1].gib == math.inf:
            self.again()

    def once(self) -> None:
        next(self._iterations)

    def inference(self) -> None:
        from studio.replay import decode, drain
        from studio.turns import sample

        chunk = self._at_once(self.objective.scene.views, learning=False)
        decode(self.painter, drain(sample(self.painter, self.objective.scene, seed=1, chunk=chunk)).x0, self.objective.scene)

    def steps(self, count: int) -> None:
        from studio.generators import _sd_published
        from studio.generators._sd_schedule import schedule

        self.painter.schedule = schedule(_sd_published.ONE["scheduler"], steps=count, spacing="trailing", eta=0.0)
        self.painter.steps = count

    def guided(self, guidance: float) -> None:
        self.painter.guidance = guidance
        self.objective.ask(f"{self.objective.prompt}.")

    def _at_once(self, views: int, *, learning: bool, onward: bool = True) -> int:
        if not learning or self.chunk is None:
            planned = self._planned(views, learning=learning, onward=onward)
        else:
            self.painter.recompute(self.recompute)
            planned = min(self.chunk, views)
        self.passes = [*self.passes[:1], planned] if learning else [planned]
        return planned

    def _trained(self) -> Iterator[None]:
        from studio.trainers import SOCKET

        for progress in SOCKET.make("lora_reward", k=1, rate=5e-5).train(self.objective, iterations=1_000_000):
            if progress.checkpoint is not None:
                yield


def others(args: argparse.Namespace, painter: Any, scene: Any, meter: Any) -> None:
    """On networks as diffusers has them. The published structure's views are independent of each other: two tell of all."""
    from tests.bench import sd_stand as way

    painter.recompute(False)
    with way.plain(painter):
        meter.row("inference, batched", lambda: way.inference(painter, scene, scene.views), repeat=2)
        for k in args.truncations[:2]:
            meter.row(f"plain, batched, K = {k}", lambda k=k: way.batched(painter, scene, k))
        meter.row("inference, in turn", lambda: way.inference(painter, scene, 1), warm=0)
        meter.row("published structure, all steps, 2 of the views", lambda: way.published(painter, scene, 2), warm=0)
    for p in painter.lora_parameters():
        p.grad = None


def cards(ours: Ours, device: torch.device) -> None:
    """What is planned for smaller cards does with them: this process gets no more."""
    total = torch.cuda.get_device_properties(device).total_memory
    for gb in CARDS_GB:
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(min(1.0, gb * 1e9 / total))
        ours.row(f"ours, K = 1, on a card of {gb} GB")
    torch.cuda.set_per_process_memory_fraction(1.0)


def profile(ours: Ours, out: Path) -> None:
    """Which kernels an iteration spends its time in."""
    try:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as seen:
            ours.once()
    except RuntimeError as error:  # where counters are not allowed
        print(f"no profile: {error}")
        return
    table = seen.key_averages().table(sort_by="cuda_time_total", row_limit=40, max_name_column_width=90)
    (out / "kernels.txt").write_text(table, encoding="utf-8")


def apart(ours: Ours, args: argparse.Namespace) -> None:
    """Settings that the forecast was not fitted to."""
    side = ours.painter.view_px
    ours.steps(2 * args.steps)
    ours.row("apart: twice the steps, K = 3, 3 at a time", k=3, chunk=3)
    ours.steps(args.steps - args.steps // 3)
    ours.guided(1.0)
    ours.row("apart: fewer steps, no guidance, K = 2", k=2, chunk=6)
    ours.steps(args.steps)
    ours.guided(7.5)
    for views, px, ks in ((4, side * 3 // 4, (1, 2)), (8, side, (1, 4))):
        ours.painter.view_px = px
        ours.on(views)
        for k in ks:
            ours.row(f"apart: {views} views of {px}², K = {k}", k=k, chunk=None if k == 1 else 2)
    ours.painter.view_px = side
    ours.on(args.views)


def main() -> int:
    from studio.device import device as device_of
    from tests.bench import sd_forecast, sd_stand
    from tests.bench.sd_meter import BEGAN, Meter

    args = arguments()
    device = device_of(args.device)
    painter, meter = sd_stand.painter_of(args, device), Meter(device, args.out, args.seconds)
    ours = Ours(args, painter, device, sd_stand.critic(args, device), meter)
    painter.add_lora(rank=4)
    print(f"{sum(p.numel() for p in painter.lora_parameters()):,} numbers learn; {torch.__version__} on {device}")
    print(f"ready after {time.perf_counter() - BEGAN:.0f} s\n\n| | s | GiB |\n| --- | ---: | ---: |", flush=True)
    ours.row("ours, K = 1, planned for 8 GiB", gib=MUST_GIB, warm=2, repeat=args.repeat, phases=True)
    meter.row("ours, inference", ours.inference, repeat=args.repeat)
    if meter.card:
        cards(ours, device)
    others(args, painter, ours.objective.scene, meter)
    for chunk in args.chunks[::-1]:
        ours.row(f"ours, K = 1, {chunk} at a time", chunk=chunk, phases=True)
    ours.row("ours, K = 1, all at a time, recomputed", chunk=args.views, recompute=True)
    if meter.card:
        profile(ours, args.out)
        pace, held = sd_forecast.fitted(meter.rows)
        print(f"\n{sd_forecast.told(pace)}  # {held / 1e9:.2f} GB stay\n", flush=True)
    apart(ours, args)
    for row in [r for r in meter.rows if meter.card and r.name.startswith("apart")]:
        seconds, gib = sd_forecast.foreseen(row.setting, pace, held)
        off = f"{seconds / row.seconds - 1:+.0%} s, {gib / row.gib - 1:+.0%} GiB"
        print(f"{row.name}: foreseen {seconds:.2f} s, {gib:.1f} GiB ({off})", flush=True)
    for k in args.truncations[1:]:
        for chunk in args.chunks[::-1]:
            ours.row(f"ours, K = {k}, {chunk} at a time", k=k, chunk=chunk, warm=0)
    with sd_stand.plain(painter):
        scene = ours.objective.scene
        meter.row("published structure, all steps", lambda: sd_stand.published(painter, scene, scene.views), warm=0)
    whole, alone = meter.rows[:2]
    met = whole.seconds <= MUST_S and whole.gib <= MUST_GIB and alone.seconds <= MUST_INFER_S
    return 0 if met or not meter.card or args.tiny else 1


if __name__ == "__main__":
    sys.exit(main())
