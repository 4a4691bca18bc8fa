"""What `tests/bench/sd.py` measures: Stable Diffusion of random weights on a mesh with rewards, and others' ways to teach it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

GEOMETRIC = ("alignment", "emphasis", "colorization", "symmetry", "palette", "seam", "detail", "coverage")


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


def objective_of(args: argparse.Namespace, painter: Any, device: torch.device, judge: Any, *, views: int, live: Any) -> Any:
    """What a trainer is handed, put together as `studio.run` does it; `live`: what it asks for settings; `judge`: the critic."""
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

    table = {"views": views, "max_views": views, "atlas_px": 256 if args.tiny else 1024}
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
    terms.append(Term("critic", judge, True))
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
        live=lambda: Live(weights=weights, k=live.k),
        gauged=lambda iteration: False,  # as without a judge
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
    with torch.device(device):
        model = CLIPModel(CLIPConfig(vision_config=vision, text_config={**text, "projection_dim": 768}, projection_dim=768))
    eye = ClipEye(model, SimpleNamespace(), head=Head(768)).to(device, None)  # type: ignore[arg-type]
    return lambda look: mean_opinion(eye.quality, look, px=eye.px)


# -- others' ways -------------------------------------------------------------------------------------------------------------


def stepped(painter: Any, scene: Any, x: Tensor, i: int, views: slice) -> Tensor:
    """A denoising step of some views, not fused."""
    both = painter.predict(x, i, scene, views=views)
    clean = painter.schedule.clean(x, torch.lerp(both[:, 1], both[:, 0], scene.guidance), i)
    return painter.schedule.step(x, clean, i, noise=None)


@contextmanager
def plain(painter: Any) -> Iterator[None]:
    """Within: the networks as diffusers and peft have them."""
    from studio.generators._frozen import FrozenConv, WideNorm

    parts = [m for network in (painter.network, painter.controlnet, painter.vae) for m in network.modules()]
    ways = {m: m.__dict__.pop("forward") for m in parts if "forward" in m.__dict__}
    own = {m: type(m) for m in parts if type(m) in (FrozenConv, WideNorm)}
    for m, kind in own.items():
        m.__class__ = kind.__base__
    yield
    for m, kind in own.items():
        m.__class__ = kind
    for m, forward in ways.items():
        m.forward = forward


def published(painter: Any, scene: Any, views: int) -> None:
    """Views in turn; all steps of a view are back-propagated, each recomputed on the way."""
    start = painter.noise(scene, generator=torch.Generator().manual_seed(0))
    for view in range(views):
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
