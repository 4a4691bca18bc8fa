"""What a trainer is handed: a painter on a mesh, weighted rewards with their own texture gradients, and the live settings.

Every reward gives its own gradient g_i = dr_i/dT; the push is Σ weight_i · mask_i · g_i / n_i, where n_i is the running mean
of ‖g_i‖ over the first 20 iterations, floored and then frozen. Equal weights therefore push equally, and a reward that
saturates fades instead of blowing up. The masks are the region's (`studio.region`), which also keeps locked texels.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from studio.errors import StudioError
from studio.generators import Painter, Scene
from studio.glimpse import Glimpses
from studio.looks import Looks, Scores, Term, Views, measured
from studio.norms import Norms
from studio.progress import Live, Progress, told
from studio.region import Region
from studio.replay import Flow, Rollout, decode
from studio.texture import CHANNELS, Texture
from studio.turns import replay, sample

if TYPE_CHECKING:
    from studio.bake import Baker
    from studio.posing import Posing
    from studio.surface.atlas import Atlas


@dataclass(frozen=True, eq=False)
class Painted:
    """One texture the painter made, with what is needed to differentiate it."""

    texture: Texture
    pictures: Tensor
    """[V, P, H, W], base colour first, then what else the painter paints."""
    rollout: Rollout


class Objective:
    """A painter, a mesh's texture space and the rewards, tied together. Lives on the worker's thread only."""

    def __init__(
        self,
        *,
        painter: Painter,
        scene: Callable[[str], Scene],
        baker: Baker,
        atlas: Atlas,
        base: Texture,
        terms: Sequence[Term],
        prompt: str,
        seed: int,
        look: Views,
        live: Callable[[], Live],
        region: Region = Region(),  # noqa: B008 - frozen
        scales: Mapping[str, float] | None = None,
        posing: Posing | None = None,
        held_out: Sequence[int] = (),
        gauged: Callable[[int], bool] = lambda iteration: True,
        jittered: Callable[[int, float], Views] | None = None,
        subject: Mapping[str, Any] | None = None,
    ) -> None:
        """`scene` makes the scene of a prompt, `look` the pictures that picture rewards see; `region` says where they push;
        `scales`: how much loaded LoRAs count where the live settings do not say; `posing` turns learned painting cameras;
        `held_out` are the seeds never trained on; `gauged`: whether an iteration (from 1) measures drift without an anchor;
        `jittered`: the same as `look` from cameras moved at random (seed, degrees); `subject`: what is painted by what."""
        self.painter, self.baker, self.atlas, self.region = painter, baker, atlas, region
        self.base, self.terms, self.seed = base, tuple(terms), seed
        self.jittered, self.subject = jittered or (lambda seed, degrees: look), dict(subject or {})
        self._own_scales = self._scales = dict(scales or {})
        painter.scale_loras(self._scales)
        self._posing = posing
        self.prompt, self.scene = prompt, scene(prompt)
        self._own_prompt, self._scene_of, self._look, self._live = prompt, scene, look, live
        self._norms = Norms()
        self._broken: set[str] = set()
        self._origin: tuple[int, float | None, dict[str, float], Scene] | None = None
        self._glimpses = Glimpses()
        self.held_out, self.gauged = tuple(held_out), gauged
        self.untrained_seeds: Sequence[Mapping[str, float]] = ()
        """The raw rewards of the held-out seeds before anything was learned, where they were painted."""
        self.remarks: dict[str, Any] = {}
        """What the trainer says of its course, for the report."""
        self.untrained: dict[str, float] | None = None
        """The raw rewards of the run's own seed before anything was learned, once it was painted."""
        self._learned, self.journal = False, list[tuple[int, dict[str, Any]]]()
        self.painted: Painted | None = None
        """What the painter made last."""

    # -- settings -----------------------------------------------------------------------------------------------------------

    def live(self, iteration: int) -> Live:
        """The settings of this iteration, read once; every change is journalled so that a headless run can replay it."""
        now = self._live()
        if not self.journal or self.journal[-1][1] != now.plain():
            self.journal.append((iteration, now.plain()))
        prompt, scales = self._asked(now)
        self.ask(prompt)
        if scales != self._scales:
            self._scales = scales
            self.painter.scale_loras(scales)
        return now

    def ask(self, prompt: str) -> None:
        """Paint and score this prompt from now on, until the live settings are read again."""
        if prompt != self.prompt:
            self.prompt, self.scene = prompt, self._scene_of(prompt)

    @property
    def aim(self) -> str:
        """What the trained score of the present settings means: scores of different aims cannot be compared."""
        now = self.journal[-1][1]
        return json.dumps([now["weights"], now["prompt"]], sort_keys=True)

    @property
    def outdated(self) -> bool:
        """Whether another picture is asked for than the settings that were read last make."""
        return self._asked(self._live()) != (self.prompt, self._scales)

    def _asked(self, now: Live) -> tuple[str, dict[str, float]]:
        """The prompt and the LoRAs' scales that live settings ask for."""
        prompt = self._own_prompt if now.prompt is None else now.prompt
        return prompt, {n: own if now.loras is None else now.loras.get(n, 0.0) for n, own in self._own_scales.items()}

    def change(self, iteration: int) -> str:
        """What was changed before this iteration, in words; empty when nothing was."""
        if len(self.journal) < 2 or self.journal[-1][0] != iteration:
            return ""
        return told(self.journal[-2][1], self.journal[-1][1])

    def train_seed(self, iteration: int, sample: int = 0) -> int:
        """The seed painted in an iteration; never one of the held-out seeds (those are below 1,000,000)."""
        return 1_000_000 + self.seed * 100_003 + iteration * 64 + sample

    # -- painting -----------------------------------------------------------------------------------------------------------

    def paint(
        self, seed: int, *, stage: str = "sampling", shown: bool = True, eta: float | None = None
    ) -> Generator[Progress, None, Painted]:
        """Sample all views from `seed`, decode and bake them into the atlas; yields once per denoising step, `shown` or not.

        What was painted last is not painted again while nothing has been learned since. `eta`: as `sample` has it.
        """
        again = self._origin is not None and self._origin[:3] == (seed, eta, self._scales) and self._origin[3] is self.scene
        if self.painted is not None and not self._learned and again:
            return self.painted
        show = self._show if shown else None
        chunk = self.painter.at_once(self.scene.views, learning=False)
        rollout = yield from sample(self.painter, self.scene, seed=seed, chunk=chunk, stage=stage, show=show, eta=eta)
        pictures = decode(self.painter, rollout.x0, rollout.scene)
        self.painted = Painted(self.baked(pictures), pictures, rollout)
        self._origin = (seed, eta, self._scales, self.scene)
        if seed == self.seed and eta is None and not self._learned and self.untrained is None:
            self.untrained = self.raw(self.painted.texture)
        return self.painted

    def baked(self, pictures: Tensor, beyond: Tensor | float = 0.0) -> Texture:
        """The mesh's own texture with every channel that the painter paints baked from pictures [V, P, H, W], plus `beyond`."""
        with torch.no_grad():
            baked = (self.baker.bake(pictures) + beyond).clamp(0, 1)
        texture = self.base
        for name, texels in zip(self.painter.channels, baked.split([CHANNELS[c] for c in self.painter.channels], 1), strict=True):
            texture = texture.with_channel(name, self.kept(name, texels))
        return texture

    def kept(self, channel: str, texels: Tensor) -> Tensor:
        """A channel's texels [S, C, T, T] with the mesh's own where they are locked."""
        return self.region.kept(texels, self.base.channels.get(channel))

    def _show(self, x0: Tensor) -> dict[str, Any]:
        """What somebody who watches the sampling sees of a guess: its pictures, and the texture when that costs little."""
        if not self._live().watched:
            return {}
        pictures = decode(self.painter, x0, self.scene)
        texture = self._glimpses.of(lambda: self.baked(pictures))
        seen = {} if texture is None else {"texture": texture, "painted": frozenset(self.painter.channels)}
        return {"pictures": pictures[:, :3], **seen}

    # -- scoring ------------------------------------------------------------------------------------------------------------

    def looks(self, base_color: Tensor, *, step: int | None = None, look: Views | None = None) -> Looks:
        """The looks at base colours [S, 3, T, T] that rewards are given; without a step nothing is left to chance."""
        return Looks(base_color, self.atlas, self.prompt, (look or self._look)(base_color), step)

    def _working(self) -> list[Term]:
        return [t for t in self.terms if t.name not in self._broken]

    def raw(self, texture: Texture) -> dict[str, float]:
        """Raw reward values, no gradient; without those that were switched off."""
        with torch.no_grad():
            found = measured(self._working(), self.looks(texture.channels["base_color"]), differentiate=())
            values = {name: float(value) for name, value, _ in found}
        return {t.name: values[t.name] for t in self.terms if math.isfinite(values.get(t.name, math.nan))}

    def score(self, base_color: Tensor, live: Live, *, step: int, normalised: bool = True, look: Views | None = None) -> Scores:
        """Raw rewards, and the push: the weighted, normalised sum of one texture gradient each; otherwise the slope of the total.

        `look`: views in place of the run's. A reward whose value or gradient is not finite is switched off for good.
        Raises StudioError when none that has a weight is left.
        """
        leaf = base_color.detach().requires_grad_()
        raw: dict[str, float] = {}
        parts: dict[str, float] = {}
        heat: dict[str, Tensor] = {}
        push, total, said = torch.zeros_like(leaf), 0.0, []
        with torch.enable_grad():
            wanted = {t.name for t in self.terms if live.weights.get(t.name) or live.heat == t.name}
            for name, value, gradient in measured(self._working(), self.looks(leaf, step=step, look=look), differentiate=wanted):
                weight = live.weights.get(name, 0.0)
                felt = None if gradient is None else self.region.scaled(name, gradient)
                sizes = [] if gradient is None or felt is None else [gradient.norm(), felt.norm()]
                found, norm, size = [*torch.stack([value, *sizes]).tolist(), 0.0, 0.0][:3]  # a card is waited for once
                if not (math.isfinite(found) and math.isfinite(norm)):
                    self._broken.add(name)
                    said.append(f"The reward '{name}' became {found:g} and was switched off.")
                    continue
                raw[name] = found
                if gradient is None or felt is None:
                    continue
                if live.watched:
                    heat[name] = felt.norm(dim=1, keepdim=True)
                if weight:
                    factor = weight / (self._norms.of(name, norm) if normalised else 1.0)
                    push += self.region.scaled(name, factor * gradient)
                    parts[name] = abs(factor) * size
                    total += weight * found
        if self._broken and any(live.weights.values()) and not any(live.weights.get(n) for n in raw):
            remedy = "Choose another reward or give it other settings, then start again."
            raise StudioError(" ".join([*said, "No reward is left to learn from."]), remedy)
        all_parts = sum(parts.values()) or 1.0
        return Scores(raw, push.detach(), total, {n: p / all_parts for n, p in parts.items()}, heat, " ".join(said))

    # -- learning -----------------------------------------------------------------------------------------------------------

    @property
    def chunk(self) -> int:
        """How many views go through the network at a time while it learns."""
        return self.painter.at_once(self.scene.views, learning=True)

    def taught(self) -> None:
        """The LoRA moves: what was painted before is outdated."""
        self._learned = True

    def pictures_gradient(self, pictures: Tensor, push: Tensor) -> Tensor:
        """What each painted pixel [V, P, H, W] can do for a push on the base colours [S, 3, T, T]: all that rewards see."""
        return self.baker.adjoint(pictures, push)

    def learn(
        self, painted: Painted, push: Tensor, *, truncation: int, anchor: float, share: float = 1.0, probe: bool = False,
        gauge: bool = False,
    ) -> Generator[Progress, None, Flow]:  # fmt: skip
        """Accumulate in the LoRA's `.grad` what descends −push (times `share`) plus the anchor; yields per step.

        `probe` and `gauge`: as `replay` has them.
        """
        self.taught()
        if self._posing is not None:
            self._posing.feel(painted.pictures[:, :3], push * share)
        d_pictures = self.pictures_gradient(painted.pictures, push) * -share
        yield Progress("learning", 0, truncation)
        options = {"truncation": truncation, "anchor": anchor * share, "probe": probe, "gauge": gauge}
        chunk = self.painter.at_once(self.scene.views, learning=True, onward=truncation > 1)
        return (yield from replay(self.painter, painted.rollout.scene, painted.rollout, d_pictures, chunk=chunk, **options))

    def turn(self, back_to: Mapping[str, Any] | None = None) -> Generator[Progress]:
        """Let the painting cameras, where they are learned, take a step, or go back to where a `state` has them."""
        if self._posing is not None:
            yield from self._posing.turn() if back_to is None else self._posing.restore(back_to.get("cameras"))
            if self.baker is not self._posing.rig.baker:
                self.baker, self.scene = self._posing.rig.baker, self._scene_of(self.prompt)

    # -- continuing ---------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What the objective itself remembers between iterations: normalisers, the rewards' buffers, the journal."""
        buffers = {t.name: t.score.state_dict() for t in self.terms if isinstance(t.score, torch.nn.Module)}
        return {
            "norms": self._norms.state(),
            "buffers": {k: {n: b.detach().cpu().clone() for n, b in v.items()} for k, v in buffers.items()},
            "journal": [[i, dict(s)] for i, s in self.journal],
            "untrained": self.untrained,
            "cameras": None if self._posing is None else self._posing.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put such a state back."""
        self._norms.restore(state["norms"])
        for term in self.terms:
            if isinstance(term.score, torch.nn.Module) and term.name in state["buffers"]:
                term.score.load_state_dict(state["buffers"][term.name])
        self.journal = [(i, s) for i, s in state["journal"]]
        self.untrained, self._learned = state["untrained"], True
