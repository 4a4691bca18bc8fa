"""The two stages of recovery, step by step: first the field's branches, then the texels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from studio.environment import Environment
from studio.recover.field import Field, Matter
from studio.recover.gbuffer import GBuffer, Places
from studio.recover.light import Light
from studio.recover.losses import colour_loss, displayed, gloss_loss, log_l1, robust
from studio.recover.shading import light_of, pixels_of
from studio.recover.texels import Texels
from studio.recovery import Settings

if TYPE_CHECKING:
    from studio.surface.atlas import Atlas

BACKGROUNDS = {"ignore": 0.0, "black": 0.0, "white": 1.0}
JITTER = 0.012
"""How far apart, in work units, places are that `smooth` keeps alike."""
STAY = 0.02
"""How strongly texels are held to what the field found."""
TOLD = 10
"""Only every so many steps tell their numbers: each telling has a card wait for all that it was given to do."""
SLOWEST = 0.05
"""What is left of a learning rate at the end of its schedule."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that stands still while materials are recovered."""

    buffer: GBuffer
    clear: Tensor | None
    """[F, 3, R] uint8, where occlusion is baked: how clear the ways to the light are (`studio.shelter`)."""
    known: Environment | None
    """The light, where it is known."""
    gain: float
    """What exposure multiplies light by."""


def rates(settings: Settings, done: float) -> tuple[float, float]:
    """What the rates of branches A and B are multiplied by when this part (0 … 1) of the steps is done.

    A starts at 1 and decays; B ramps up from 0 over the first half, then decays as well.
    """
    if not settings.schedule:
        return 1.0, 1.0
    late = SLOWEST ** max(0.0, 2 * done - 1)
    return SLOWEST**done, min(2 * done, 1.0) * late


class Solver:
    """Holds all that is learned; `step` and `fine_step` do one step each, and return the numbers of every `TOLD`th."""

    def __init__(self, scene: Scene, settings: Settings) -> None:
        device = scene.buffer.device
        self.scene, self.settings = scene, settings
        self.random = torch.Generator(device).manual_seed(settings.seed)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(settings.seed)
            self.field = Field(
                settings.levels,
                metallic=settings.metallic_start,
                occlusion=settings.occlusion == "learned",
                joint=settings.joint,
            ).to(device)
        self.light = None if scene.known is not None else Light(settings.light_px).to(device)
        groups: list[nn.Module] = [*self.field.branches, *([self.light] if self.light else [])]
        self.adams = [torch.optim.Adam(g.parameters(), lr=settings.rate, betas=(0.9, 0.99), eps=1e-12) for g in groups]
        self.texels: Texels | None = None
        self.fine: torch.optim.Adam | None = None
        self._still: Environment | None = scene.known

    def environment(self) -> Environment:
        """The light as it stands."""
        if self._still is not None:
            return self._still
        assert self.light is not None
        return self.light()

    def step(self, number: int) -> dict[str, float]:
        """Step `number` (from 0) of the branches."""
        settings = self.settings
        self._done = number / settings.iterations
        a, b = rates(settings, self._done)
        speeds = [a] if settings.joint else [a, b]
        for adam, speed in zip(self.adams, [*speeds, a], strict=False):
            adam.param_groups[0]["lr"] = settings.rate * speed
        chosen, places = self._drawn()
        matter = self.field(places.position)
        shown, target, weight = self._shown(chosen, places, matter)
        smooth = self._roughness_of_field(places, matter)
        losses = self._losses(shown, target, weight)
        self._backward(losses, smooth)
        for adam in self.adams:
            adam.step()
        if number % TOLD:
            return {}
        named = dict(zip(("loss A", "loss B") if len(losses) == 2 else ("loss",), losses, strict=True))
        known = {"rate A": settings.rate * a, "rate B": settings.rate * (a if settings.joint else b)}
        return {**known, **_told({**named, **self._gradients(), "smooth": smooth, "error": _error(shown, target)})}

    def begin_texels(self, texels: Texels) -> None:
        """Go on with texels, which hold what the field found; a light that is learned stands still from here."""
        with torch.no_grad():
            self._still = self.environment()
        self.texels = texels
        self.fine = torch.optim.Adam([texels.rows], lr=self.settings.fine_rate, betas=(0.9, 0.99), eps=1e-12)

    def fine_step(self, number: int) -> dict[str, float]:
        """Step `number` (from 0) of the texels."""
        assert self.texels is not None and self.fine is not None
        self.fine.param_groups[0]["lr"] = self.settings.fine_rate * SLOWEST ** (number / self.settings.fine_iterations)
        chosen, places = self._drawn()
        matter, moved = self.texels(places)
        shown, target, weight = self._shown(chosen, places, matter)
        losses = self._losses(shown, target, weight)
        loss, stay = torch.stack(losses).sum(), moved.square().sum(-1).mean()
        self.fine.zero_grad()
        (loss + STAY * stay).backward()
        self.fine.step()
        self.texels.keep_in_range()
        return {} if number % TOLD else _told({"loss": loss, "moved": stay, "error": _error(shown, target)})

    def state(self) -> dict[str, Any]:
        """Everything learned, as CPU tensors and plain values."""
        parts: dict[str, Any] = {"field": self.field.state_dict(), "adams": [adam.state_dict() for adam in self.adams]}
        if self.light is not None:
            parts["light"] = self.light.state_dict()
        if self.texels is not None and self.fine is not None:
            parts |= {"texels": self.texels.state_dict(), "fine": self.fine.state_dict()}
        return {**_on_cpu(parts), "random": self.random.get_state()}

    def restore(self, state: dict[str, Any], texels: Texels | None) -> None:
        """Continue from `state`; `texels` are empty ones where the texels' stage had begun."""
        self.field.load_state_dict(state["field"])
        if self.light is not None:
            self.light.load_state_dict(state["light"])
        for adam, saved in zip(self.adams, state["adams"], strict=True):
            adam.load_state_dict(saved)
        if texels is not None:
            texels.load_state_dict(state["texels"])
            self.begin_texels(texels)
            assert self.fine is not None
            self.fine.load_state_dict(state["fine"])
        self.random.set_state(state["random"])

    def seen_and_psnr(self, atlas: Atlas) -> tuple[Tensor, float]:
        """[S, T, T] bool, the texels that pixels show, and the PSNR in dB over all pixels that were used."""
        assert self.texels is not None
        buffer = self.scene.buffer
        seen = torch.zeros(atlas.face.numel(), dtype=torch.bool, device=buffer.device)
        total = 0.0
        with torch.no_grad():
            for chosen in torch.arange(len(buffer), device=buffer.device).split(max(self.settings.batch_px, 1 << 14)):
                places = buffer.places(chosen)
                matter, _ = self.texels(places)
                shown, target, _ = self._shown(chosen, places, matter)
                total += float((shown.clamp(0, 1) - target).square().sum())
                index, weight = atlas.taps(atlas.corners.face_set[places.face], places.uv, atlas.face_chart[places.face])
                seen[index[weight > 0].long()] = True
        return seen.reshape(atlas.face.shape), -10 * math.log10(max(total / (3 * len(buffer)), 1e-12))

    def _drawn(self) -> tuple[Tensor, Places]:
        buffer = self.scene.buffer
        count = min(self.settings.batch_px, len(buffer))
        chosen = torch.randint(len(buffer), (count,), generator=self.random, device=buffer.device)
        return chosen, buffer.places(chosen)

    def _shown(self, chosen: Tensor, places: Places, matter: Matter) -> tuple[Tensor, Tensor, Tensor]:
        """What is drawn (sRGB) and what the pictures show [p, 3], and how much each pixel counts [p, 1]."""
        buffer = self.scene.buffer
        open_ = matter.open
        if open_ is None and self.scene.clear is not None:
            open_ = torch.einsum("nkr,nk->nr", self.scene.clear[places.face].float(), places.bary)
        light = light_of(places, matter, self.environment(), open_) * self.scene.gain
        target = buffer.target[chosen].float() / 255
        light = pixels_of(buffer, chosen, light, BACKGROUNDS[self.settings.background])
        return displayed(light, target), target, buffer.weight[chosen][:, None]

    def _losses(self, shown: Tensor, target: Tensor, weight: Tensor) -> list[Tensor]:
        """One loss, or A's and B's."""
        kinds = {"robust": [robust], "log_l1": [log_l1]}.get(self.settings.loss, [colour_loss, gloss_loss])
        return [(kind(shown, target) * weight).sum() / (3 * weight.sum()) for kind in kinds]

    def _roughness_of_field(self, places: Places, matter: Matter) -> Tensor:
        """How much the field differs between places that are close (nvdiffrec's smoothness), on a quarter of them."""
        if not self.settings.smooth:
            return matter.roughness.new_zeros(())
        part = slice(None, None, 4)
        here = places.position[part]
        aside = torch.randn(here.shape, generator=self.random, device=here.device) * JITTER
        there = self.field(here + aside)
        alike = (there.flat() - matter.flat()[part]).abs().mean() * self.settings.smooth
        between = matter.metallic * (1 - matter.metallic)
        late = max(0.0, 2 * self._done - 1)
        return alike + matter.bend.square().mean() * self.settings.straight + late * self.settings.decided * between.mean()

    def _backward(self, losses: list[Tensor], smooth: Tensor) -> None:
        """Gradients into all parameters, each branch's own loss into it alone where losses are separate."""
        parameters = [list(adam.param_groups[0]["params"]) for adam in self.adams]
        colour = smooth if self.light is None else smooth + self.settings.white_balance * self.light.colour()
        if self.settings.loss == "separate" and not self.settings.joint:
            # The second call differentiates the same picture anew: nothing of B's loss reaches A, nor of A's loss B.
            mine = [*parameters[0], *(parameters[2] if self.light is not None else [])]
            first = torch.autograd.grad(losses[0] + colour, mine, retain_graph=True)
            second = torch.autograd.grad(losses[1] + smooth, parameters[1])
            for p, g in zip([*mine, *parameters[1]], [*first, *second], strict=True):
                p.grad = g
        else:
            flat = [p for group in parameters for p in group]
            for p, g in zip(flat, torch.autograd.grad(torch.stack(losses).sum() + colour, flat), strict=True):
                p.grad = g

    def _gradients(self) -> dict[str, Tensor]:
        """The norms of what `_backward` left."""
        names = ["gradient A"] if self.settings.joint else ["gradient A", "gradient B"]
        groups = [[p.grad for p in adam.param_groups[0]["params"]] for adam in self.adams]
        return dict(zip([*names, "gradient of the light"], map(nn.utils.get_total_norm, groups), strict=False))


def _error(shown: Tensor, target: Tensor) -> Tensor:
    """Mean square error of sRGB values cut at white, as a viewer shows them."""
    return (shown.clamp(0, 1) - target).square().mean()


def _told(values: dict[str, Tensor]) -> dict[str, float]:
    """Numbers by name, fetched at once; "error" as "psnr" in dB."""
    told = dict(zip(values, torch.stack([value.detach() for value in values.values()]).tolist(), strict=True))
    return {**told, "psnr": -10 * math.log10(max(told.pop("error"), 1e-12))}


def _on_cpu(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, dict):
        return {k: _on_cpu(v) for k, v in value.items()}
    return [_on_cpu(v) for v in value] if isinstance(value, list | tuple) else value
