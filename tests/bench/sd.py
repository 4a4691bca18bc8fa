"""What an iteration of Stable Diffusion costs beside others' ways: `python tests/bench/sd.py [--device cuda] [--tiny]`.

Random weights of Stable Diffusion 1.5 and its ControlNet in their published shapes, in bfloat16; a LoRA of rank 4 on q, k, v and
out; views of 512², DDIM, guidance 7.5. All in one process, one after the other: the published structure (views in turn, all steps
back-propagated, each recomputed), plain batched back-propagation through the last steps, and the studio's own iteration, which
samples, bakes, scores with every geometric reward and a CLIP ViT-L critic, and learns; over K and how many views go through the
network at a time, and as planned for cards of several sizes. Prints a Markdown table of medians and peaks.

Exit code 1 on a card where the studio's iteration (K = 1) needs more than 1.7 s or 8 GiB, or its inference more than 1 s.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

GIB = 2**30
MUST_S, MUST_GIB, MUST_INFER_S = 1.7, 8.0, 1.0
GEOMETRIC = ("alignment", "emphasis", "colorization", "symmetry", "palette", "seam", "detail", "coverage")
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
    p.add_argument("--skip", nargs="*", default=[], choices=("published", "batched", "cards"))
    return p.parse_args()


class Words:
    """Stands for prompts that are encoded already."""

    def __init__(self, length: int, width: int) -> None:
        self.length, self._width = length, width

    def read(self, prompts: list[str]) -> Tensor:
        return torch.randn(len(prompts), self.length, self._width, generator=torch.Generator().manual_seed(0))


def painter_of(args: argparse.Namespace, device: torch.device) -> Any:
    from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel

    from studio.generators import _sd_published
    from studio.generators._sd_painter import Diffusion
    from studio.generators._sd_schedule import schedule

    torch.manual_seed(0)
    settings = _sd_published.ONE
    if args.tiny:
        from tests.generators import tiny_sd

        unet, controlnet, vae, _ = tiny_sd.models()
    else:
        with torch.device(device):
            unet = UNet2DConditionModel.from_config(settings["unet"])
            controlnet = ControlNetModel.from_config(settings["controlnet"])
            vae = AutoencoderKL.from_config(settings["vae"])
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    for module in (unet, controlnet, vae):
        nn.Module.to(module, device, dtype, memory_format=torch.channels_last)
    length, width = (16, 16) if args.tiny else (77, 768)
    plan = schedule(settings["scheduler"], steps=args.steps, spacing="trailing", eta=0.0)
    px = 32 if args.tiny else 512
    return Diffusion(
        unet=unet, controlnet=controlnet, vae=vae, prompts=Words(length, width), schedule=plan, view_px=px, guidance=7.5,
        fingerprint="random",
    )  # type: ignore[arg-type]  # fmt: skip


def objective_of(args: argparse.Namespace, painter: Any, device: torch.device) -> Any:
    """What a trainer is handed, put together as `studio.run` does it."""
    from studio import resources, rewards
    from studio.config import parse
    from studio.errors import StudioError
    from studio.ground import ground
    from studio.objective import Live, Objective, Term
    from studio.renderers import build as renderer
    from studio.replay import drain
    from studio.reward_views import RewardViews
    from studio.stages import unwrapped
    from studio.surface.mesh import load
    from studio.surface.unwrap import needs_unwrap
    from studio.texture import Texture

    table = {"views": args.views, "max_views": args.views, "atlas_px": 256 if args.tiny else 1024}
    config = parse({**table, "generator": {"name": "stable_diffusion"}, "device": str(device)})
    mesh = load(resources.sample(args.mesh))
    mesh = drain(unwrapped(mesh, config.atlas_px)) if needs_unwrap(mesh) else mesh
    rasterizer = renderer("auto", device)[0]
    on = drain(ground(mesh, config, device, rasterizer, painter.view_px))
    terms = []
    for name in GEOMETRIC:
        reward = rewards.SOCKET.make(name)
        try:
            terms.append(Term(name, on.score(reward, mesh), reward.averages))
        except StudioError as error:
            print(f"{name}: left out, {error.problem}", file=sys.stderr)
    terms.append(Term("critic", critic(args, device), True))
    base = Texture.from_mesh(mesh, config.atlas_px).to(device)
    weights = {t.name: 1.0 for t in terms}
    return Objective(
        painter=painter,
        scene=lambda prompt: painter.scene(prompt, on.rig.seen, mesh=mesh, baker=on.rig.baker),
        baker=on.rig.baker,
        atlas=on.atlas,
        base=base,
        terms=terms,
        prompt="a vase",
        seed=0,
        look=RewardViews(mesh, on.atlas, base, rasterizer, on.rig.cameras, seed=0, chunk=config.reward_chunk),
        live=lambda: Live(weights=weights),
    )


def critic(args: argparse.Namespace, device: torch.device) -> Callable[[Any], Tensor]:
    """The aesthetic predictor on CLIP ViT-L/14, random."""
    from transformers import CLIPConfig, CLIPModel

    from studio.critics._clip import ClipEye, Head
    from studio.rewards._glances import mean_opinion

    layers, width = (2, 64) if args.tiny else (24, 1024)
    sizes = {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": width // 64,
    }
    vision = {**sizes, "image_size": 224, "patch_size": 14, "projection_dim": 768}
    text = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1}
    model = CLIPModel(CLIPConfig(vision_config=vision, text_config={**text, "projection_dim": 768}, projection_dim=768))
    eye = ClipEye(model, SimpleNamespace(), head=Head(768)).to(device, None)  # type: ignore[arg-type]
    return lambda look: mean_opinion(eye.quality, look, px=eye.px)


# -- others' ways -------------------------------------------------------------------------------------------------------------


def stepped(painter: Any, scene: Any, x: Tensor, i: int, views: slice) -> Tensor:
    """A denoising step of some views, not fused."""
    both = painter.predict(x, i, scene, views=views)
    clean = painter.schedule.clean(x, torch.lerp(both[:, 1], both[:, 0], scene.guidance), i)
    return painter.schedule.step(x, clean, i, noise=None)


def published(painter: Any, scene: Any) -> None:
    """Views in turn; all steps of a view are back-propagated, each recomputed on the way."""
    start = painter.noise(scene, generator=torch.Generator().manual_seed(0))
    for view in range(scene.views):
        v = slice(view, view + 1)
        x = start[v].requires_grad_()
        for i in range(painter.steps):
            x = checkpoint(stepped, painter, scene, x, i, v, use_reentrant=False)
        checkpoint(painter.decode, x, scene, use_reentrant=False).mean().backward()


def batched(painter: Any, scene: Any, truncation: int) -> None:
    """All views at once; the last steps are back-propagated, everything kept."""
    x, every = painter.noise(scene, generator=torch.Generator().manual_seed(0)), slice(None)
    for i in range(painter.steps):
        with torch.set_grad_enabled(i >= painter.steps - truncation):
            x = stepped(painter, scene, x, i, every)
    painter.decode(x, scene).mean().backward()


def inference(painter: Any, scene: Any, at_once: int) -> None:
    x = painter.noise(scene, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for first in range(0, scene.views, at_once):
            views = slice(first, first + at_once)
            part = x[views]
            for i in range(painter.steps):
                part = stepped(painter, scene, part, i, views)
            painter.decode(part, scene, views=views)


# -- ours ---------------------------------------------------------------------------------------------------------------------


def iterations(objective: Any, truncation: int, count: int) -> Iterator[None]:
    """Yields after every iteration."""
    from studio.trainers import SOCKET

    trainer = SOCKET.make("lora_reward", k=truncation, rate=5e-5)
    for progress in trainer.train(objective, iterations=count):
        if progress.checkpoint is not None:
            yield


def ours_inference(objective: Any) -> None:
    from studio.replay import decode, drain
    from studio.turns import sample

    chunk = objective.painter.at_once(objective.scene.views, learning=False)
    rollout = drain(sample(objective.painter, objective.scene, seed=1, chunk=chunk))
    decode(objective.painter, rollout.x0, objective.scene)


# -- measuring ----------------------------------------------------------------------------------------------------------------


class Meter:
    """Rows of seconds and of the most memory that was allocated, all that stays included."""

    def __init__(self, device: torch.device, repeat: int) -> None:
        self._device, self._repeat = device, repeat
        self.rows: dict[str, tuple[float, float]] = {}

    def measure(self, name: str, once: Callable[[], object]) -> None:
        self.follow(name, (once() for _ in range(self._repeat + 1)))

    def follow(self, name: str, rounds: Iterator[object]) -> None:
        """The time between what `rounds` yields; the first, in which kernels are chosen, does not count."""
        card, seconds = self._device.type == "cuda", []
        try:
            next(rounds)
            if card:
                torch.cuda.synchronize()
                torch.cuda.reset_peak_memory_stats()
            while len(seconds) < self._repeat:
                began = time.perf_counter()
                next(rounds)
                if card:
                    torch.cuda.synchronize()
                seconds.append(time.perf_counter() - began)
            peak = torch.cuda.max_memory_allocated() / GIB if card else float("nan")
            self.rows[name] = (statistics.median(seconds), peak)
        except torch.OutOfMemoryError:
            self.rows[name] = (float("nan"), float("inf"))
        if card:
            torch.cuda.empty_cache()
        print(f"| {name} | {self.rows[name][0]:.2f} | {self.rows[name][1]:.1f} |", flush=True)


def main() -> int:
    from studio.device import device as device_of

    args = arguments()
    device = device_of(args.device)
    painter = painter_of(args, device)
    objective = objective_of(args, painter, device)
    painter.add_lora(rank=4)
    scene, meter = objective.scene, Meter(device, args.repeat)
    print(f"{sum(p.numel() for p in painter.lora_parameters()):,} numbers learn; {torch.__version__} on {device}\n")
    print("| | s | GiB |\n| --- | ---: | ---: |")
    if "published" not in args.skip:
        meter.measure("published structure, in turn, all steps", lambda: published(painter, scene))
    if "batched" not in args.skip:
        for k in args.truncations[:2]:
            meter.measure(f"plain, batched, K = {k}", lambda k=k: batched(painter, scene, k))
        meter.measure("inference, in turn", lambda: inference(painter, scene, 1))
        meter.measure("inference, batched", lambda: inference(painter, scene, scene.views))
    own = type(painter).at_once
    for k in args.truncations:
        for chunk in args.chunks:
            painter.at_once = lambda views, learning, chunk=chunk: min(chunk if learning else views, views)
            meter.follow(f"ours, K = {k}, {chunk} at a time", iterations(objective, min(k, args.steps), args.repeat + 1))
    painter.at_once = own.__get__(painter)
    painter.memory = MUST_GIB * GIB
    meter.follow("ours, K = 1, planned for 8 GiB", iterations(objective, 1, args.repeat + 1))
    meter.measure("ours, inference", lambda: ours_inference(objective))
    painter.memory = 0.0
    if device.type == "cuda" and "cards" not in args.skip:
        total = torch.cuda.get_device_properties(device).total_memory
        for gb in CARDS_GB:
            torch.cuda.set_per_process_memory_fraction(min(1.0, gb * 1e9 / total))
            meter.follow(f"ours, K = 1, on a card of {gb} GB", iterations(objective, 1, args.repeat + 1))
        torch.cuda.set_per_process_memory_fraction(1.0)
    seconds, peak = meter.rows["ours, K = 1, planned for 8 GiB"]
    met = seconds <= MUST_S and peak <= MUST_GIB and meter.rows["ours, inference"][0] <= MUST_INFER_S
    return 0 if met or device.type != "cuda" or args.tiny else 1


if __name__ == "__main__":
    sys.exit(main())
