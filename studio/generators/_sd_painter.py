"""The painter behind `stable_diffusion`: a latent diffusion model that sees the depth of each view through a ControlNet.

Views do not see each other inside the network. They agree through the texture: at each step the clean latents of all views are
baked and looked at again (`_fuse`). Latents and all that couples views are kept in fp32 at least, whatever the network's own
precision is; attention is torch's, whose softmax is in fp32 for halved inputs.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from studio.generators import Painter, Scene, Words, _fuse, _lora, _sd_plan
from studio.generators._frozen import lean
from studio.generators._schedule import soft_clamp
from studio.generators._sd_schedule import Schedule
from studio.generators._sd_text import Prompts, from_where
from studio.generators._sd_turns import LATE, InTurn, regions
from studio.words import asked

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel

    from studio.bake import Baker
    from studio.surface.mesh import Mesh
    from studio.texture import Fragments

FARTHEST = 0.1
"""What the farthest surface looks like to the ControlNet: the nearest is 1, the background 0."""
TO_PAINT = -1.0
"""What an inpainting ControlNet sees where there is no picture yet (ControlNet 1.1)."""


class Diffusion(Painter):
    """A Stable Diffusion 1.x or 2.x with its ControlNet."""

    views_meet_inside = False

    def __init__(
        self,
        *,
        unet: UNet2DConditionModel,
        controlnet: ControlNetModel,
        vae: AutoencoderKL,
        prompts: Prompts,
        schedule: Schedule,
        view_px: int,
        guidance: float,
        control_scale: float = 1.0,
        negative: str = "",
        directions: bool = True,
        fingerprint: str = "",
        in_turn: bool = False,
        exact: bool = False,
        memory: float = 0.0,
    ) -> None:
        """`directions`: each view is told from where it sees; `fingerprint`: of the weights in their own precision, where these
        were rounded. `in_turn`: views are painted one after the other; `exact`: and learn through what they give each other.
        `memory`: bytes of the card that this process may take, 0 for all there are."""
        self.network, self.controlnet, self.vae = (m.eval().requires_grad_(False) for m in (unet, controlnet, vae))
        for module in (unet, controlnet, vae):
            lean(module)
        self.prompts, self.schedule, self.steps = prompts, schedule, len(schedule.times)
        self.view_px, self.guidance, self.control_scale = view_px, guidance, control_scale
        self.negative, self.directions, self._fingerprint = negative, directions, fingerprint
        self.memory = memory
        self.factor = 2 ** (len(vae.config["block_out_channels"]) - 1)
        """Pixels per latent and axis."""
        self.turns = InTurn(self.encoded, exact=exact) if in_turn else None
        self.adapters = _lora.Adapters(unet, tokens=(prompts.length, unet.config["cross_attention_dim"]))

    @property
    def eta(self) -> float:
        return 1.0 if self.schedule.anew else self.schedule.eta

    @cached_property
    def fingerprint(self) -> str:
        return self._fingerprint or _lora.fingerprint(self.network)

    def words(self, prompt: str) -> Words:
        return self.prompts.words(asked(prompt, self.negative)[0])

    def at_once(self, views: int, *, learning: bool, onward: bool = True) -> int:
        device = self._like.device
        if device.type != "cuda":
            return 1
        work, free = self._work(views), _sd_plan.free_bytes(device, self.memory)
        if not learning:
            return _sd_plan.sampling(work, free=free).chunk
        plan = _sd_plan.learning(work, free=free, onward=onward)
        self.recompute(plan.recompute)
        return plan.chunk

    def recompute(self, on: bool) -> None:
        """Whether a pass with a graph keeps only what enters its blocks, and computes the rest again: slower, in less memory."""
        for module in (self.network, self.controlnet):
            _again(module, on)

    def _work(self, views: int) -> _sd_plan.Work:
        itemsize = next(self.controlnet.parameters()).dtype.itemsize
        return _sd_plan.Work(views, self.view_px // self.factor, 1 if self.guidance == 1 else 2, itemsize)

    # -- what stays ---------------------------------------------------------------------------------------------------------

    def scene(self, prompt: str, fragments: Fragments, *, mesh: Mesh | None = None, baker: Baker | None = None) -> Scene:
        if baker is None:
            raise TypeError("views fused in texture space need a baker")
        if fragments.size_px != self.view_px or fragments.supersample != 1:
            raise TypeError(f"this generator paints views of {self.view_px} px, one sub-pixel each")
        views, like = len(fragments.cameras), self._like
        mask = fragments.mask[:, None].to(like.device, like.dtype)
        control = nearness(fragments.depth, fragments.mask).to(mask)[:, None].expand(-1, 3, -1, -1)
        wanted, refused = asked(prompt, self.negative)
        seen = [from_where(c) if self.directions else "" for c in fragments.cameras]
        sides = [wanted] if self.guidance == 1 else [wanted, refused]
        told = [", ".join(filter(None, (side, where))) if side else "" for side in sides for where in seen]
        text = self.prompts.read(told).to(mask).unflatten(0, (len(sides), views))
        turn = regions(fragments, baker, factor=self.factor, like=mask) if self.turns else None
        return Scene(views, text, control, mask, baker, self.guidance, turn)

    @property
    def _like(self) -> Tensor:
        """Device and dtype of latents."""
        p = next(self.vae.parameters())
        return torch.empty(0, device=p.device, dtype=torch.promote_types(p.dtype, torch.float32))

    def noise(self, scene: Scene, *, generator: torch.Generator) -> Tensor:
        side = self.view_px // self.factor
        shape = (scene.views, self.network.config["in_channels"], side, side)
        return torch.randn(shape, generator=generator).to(scene.mask)

    # -- one step -----------------------------------------------------------------------------------------------------------

    def predict(self, x: Tensor, i: int, scene: Scene, *, views: slice = slice(None)) -> Tensor:
        text = self.adapters.read(scene.text[:, views])
        sides, dtype = len(text), next(self.controlnet.parameters()).dtype
        both = x.repeat(sides, 1, 1, 1).to(dtype, memory_format=torch.channels_last)
        told = text.flatten(0, 1).to(dtype)
        t = torch.full((), self.schedule.times[i], device=x.device)  # filled there: a copy would wait for all that runs
        control = self._control(scene, views).repeat(sides, 1, 1, 1).to(dtype, memory_format=torch.channels_last)
        down, middle = self.controlnet(both, t, told, control, conditioning_scale=self.control_scale, return_dict=False)
        steered = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        predicted = self.network(both, t, told, **steered, return_dict=False)[0]
        return predicted.to(x.dtype).unflatten(0, (sides, len(x))).transpose(0, 1)

    def _control(self, scene: Scene, views: slice) -> Tensor:
        """What the ControlNet sees: nearness, after the picture so far where it is an inpainting one."""
        near = scene.geometry[views]
        if self.controlnet.config["conditioning_channels"] == 3:
            return near
        if not scene.given:
            return torch.cat([torch.full_like(near, TO_PAINT), near], 1)
        return torch.cat([torch.where(scene.turn.keep[views] > 0, scene.given[0][views], TO_PAINT), near], 1)

    def guess(self, x: Tensor, prediction: Tensor, i: int, scene: Scene) -> Tensor:
        mixed = prediction[:, 0] if prediction.shape[1] == 1 else torch.lerp(prediction[:, 1], prediction[:, 0], scene.guidance)
        clean = self.schedule.clean(x, mixed, i)
        return clean if self.turns else _fuse.fused(clean, scene)

    def advance(
        self, x: Tensor, prediction: Tensor, i: int, scene: Scene, *, noise: Tensor | None, eta: float | None = None
    ) -> Tensor:
        after = self.schedule.step(x, self.guess(x, prediction, i, scene), i, noise=noise, eta=eta)
        if not scene.given:
            return after
        there = scene.turn
        free = there.free + there.late * (i + 1 >= LATE * self.steps)
        return torch.where(free > 0, after, self.schedule.noised(scene.given[1], there.start, i + 1))

    def signal(self, i: int) -> float:
        return self.schedule.signal[i]

    def noised(self, x0: Tensor, i: int, *, noise: Tensor) -> Tensor:
        return self.schedule.noised(x0, noise, i)

    def decode(self, x0: Tensor, scene: Scene, *, views: slice = slice(None)) -> Tensor:
        if x0.is_cuda and torch.is_grad_enabled():
            plan = _sd_plan.decoding(self._work(1), free=_sd_plan.free_bytes(x0.device, self.memory))
            _again(self.vae, plan.recompute)
        pictures = soft_clamp(self.decoded(x0) * 0.5 + 0.5)
        if not scene.given:
            return pictures
        kept = (scene.turn.keep[views] > 0) & (scene.mask[views] > 0)
        return torch.where(kept, scene.given[0][views], pictures)

    # -- the autoencoder ----------------------------------------------------------------------------------------------------

    def decoded(self, x0: Tensor) -> Tensor:
        """Latents [v, C, h, w] → pictures [v, 3, H, W] in −1…1."""
        z = (x0 / self.vae.config["scaling_factor"]).to(next(self.vae.parameters()).dtype, memory_format=torch.channels_last)
        return self.vae.decode(z, return_dict=False)[0].to(x0.dtype)

    def encoded(self, pictures: Tensor) -> Tensor:
        """Pictures [v, 3, H, W] in 0…1 → the mode of their latents [v, C, h, w]."""
        x = (pictures * 2 - 1).to(next(self.vae.parameters()).dtype, memory_format=torch.channels_last)
        return self.vae.encode(x).latent_dist.mode().to(pictures.dtype) * self.vae.config["scaling_factor"]


def _again(module: UNet2DConditionModel | ControlNetModel | AutoencoderKL, on: bool) -> None:
    module.enable_gradient_checkpointing() if on else module.disable_gradient_checkpointing()


def nearness(depth: Tensor, mask: Tensor) -> Tensor:
    """Depth [V, h, w] where mask, per view → inverse depth from FARTHEST to 1, 0 outside: what depth ControlNets were shown."""
    inverse = torch.where(mask, 1 / depth.clamp_min(1e-6), torch.nan).flatten(1)
    far = inverse.nan_to_num(torch.inf).amin(1)[:, None, None]
    span = inverse.nan_to_num(-torch.inf).amax(1)[:, None, None] - far
    share = (inverse.view_as(depth) - far) / span.clamp_min(1e-9)
    return torch.where(mask, FARTHEST + (1 - FARTHEST) * share, 0.0)
