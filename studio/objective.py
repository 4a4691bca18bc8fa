"""What a trainer is handed: a painter on a mesh, weighted rewards with their own texture gradients, and the live settings.

Every reward gives its own gradient g_i = dr_i/dT; the push is Σ weight_i · g_i / n_i, where n_i is the running mean
of ‖g_i‖ over the first 20 iterations, floored and then frozen. Equal weights therefore push equally, and a reward that
saturates fades instead of blowing up.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from studio.errors import StudioError
from studio.generators import Painter, Scene
from studio.progress import Live, Progress
from studio.replay import Flow, Rollout, decode, replay, sample
from studio.rewards import Look
from studio.texture import CHANNELS, Texture

if TYPE_CHECKING:
    from studio.bake import Baker
    from studio.surface.atlas import Atlas

NORM_ITERATIONS = 20
NORM_FLOOR = 1e-8
SHOW_SHARE = 0.15
"""Textures that are only to be looked at while they are denoised may cost this share of the time."""
SHOW_S = 1 / 15
"""Nor are they made more often than this."""


@dataclass(frozen=True, eq=False)
class Term:
    """A reward at work on one mesh."""

    name: str
    score: Callable[[Look], Tensor]


@dataclass(frozen=True, eq=False)
class Scores:
    """What the rewards say of one texture."""

    raw: dict[str, float]
    push: Tensor
    """[S, 3, T, T] weighted, normalised sum of the rewards' gradients, to be ascended."""
    total: float
    shares: dict[str, float]
    """Each reward's part of the push, by its norm; they add up to 1."""
    heat: dict[str, Tensor]
    """The length [S, 1, T, T] of the gradient of the reward that is being looked at."""
    message: str = ""
    """What the user should know: a reward was switched off."""


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
        look: Callable[[Tensor], Callable[[], Tensor]],
        live: Callable[[], Live],
        chunk: int | None = None,
    ) -> None:
        """`scene` makes the scene of a prompt; `look`, of base colours [S, 3, T, T], the lazy pictures [V, 3, h, w] that picture
        rewards see."""
        self.painter, self.baker, self.atlas = painter, baker, atlas
        self.base, self.terms, self.seed, self.chunk = base, tuple(terms), seed, chunk
        self.prompt, self.scene = prompt, scene(prompt)
        self._own_prompt, self._scene_of, self._look, self._live = prompt, scene, look, live
        self._norms: dict[str, list[float]] = {t.name: [] for t in terms}
        self._broken: set[str] = set()
        self._origin = (seed, self.scene)
        self._baked_at, self._bake_s = -math.inf, 0.0
        self.untrained: dict[str, float] | None = None
        """The raw rewards of the run's own seed before anything was learned, once it was painted."""
        self._learned = False
        self.journal: list[tuple[int, dict[str, Any]]] = []
        self.painted: Painted | None = None
        """What the painter made last."""

    # -- settings -----------------------------------------------------------------------------------------------------------

    def live(self, iteration: int) -> Live:
        """The settings of this iteration, read once; every change is journalled so that a headless run can replay it.

        A new prompt gets a new scene.
        """
        now = self._live()
        if not self.journal or self.journal[-1][1] != now.plain():
            self.journal.append((iteration, now.plain()))
        prompt = self._own_prompt if now.prompt is None else now.prompt
        if prompt != self.prompt:
            self.prompt, self.scene = prompt, self._scene_of(prompt)
        return now

    def change(self, iteration: int) -> str:
        """What was changed before this iteration, in words; empty when nothing was."""
        if len(self.journal) < 2 or self.journal[-1][0] != iteration:
            return ""
        return _told(self.journal[-2][1], self.journal[-1][1])

    def train_seed(self, iteration: int, sample: int = 0) -> int:
        """The seed painted in an iteration; never one of the held-out seeds (those are below 1,000,000)."""
        return 1_000_000 + self.seed * 100_003 + iteration * 64 + sample

    # -- painting -----------------------------------------------------------------------------------------------------------

    def paint(self, seed: int, *, stage: str = "sampling") -> Generator[Progress, None, Painted]:
        """Sample all views from `seed`, decode and bake them into the atlas; yields once per denoising step.

        What was painted last is not painted again while nothing has been learned since.
        """
        if self.painted is not None and not self._learned and self._origin[0] == seed and self._origin[1] is self.scene:
            return self.painted
        rollout = yield from sample(self.painter, self.scene, seed=seed, chunk=self.chunk, stage=stage, show=self._show)
        pictures = decode(self.painter, rollout.x0, self.scene)
        self.painted, self._origin = Painted(self._baked(pictures), pictures, rollout), (seed, self.scene)
        if seed == self.seed and not self._learned and self.untrained is None:
            self.untrained = self.raw(self.painted.texture)
        return self.painted

    def _baked(self, pictures: Tensor) -> Texture:
        """The mesh's own texture with every channel that the painter paints baked from pictures [V, P, H, W]."""
        with torch.no_grad():
            baked = self.baker.bake(pictures).clamp(0, 1)
        texture = self.base
        for name, texels in zip(self.painter.channels, baked.split([CHANNELS[c] for c in self.painter.channels], 1), strict=True):
            texture = texture.with_channel(name, texels)
        return texture

    def _show(self, x0: Tensor) -> dict[str, Any]:
        """What somebody who watches the sampling sees of a guess: its pictures, and the texture when that costs little."""
        if not self._live().watched:
            return {}
        pictures, now = decode(self.painter, x0, self.scene), time.perf_counter()
        if now - self._baked_at < max(SHOW_S, self._bake_s / SHOW_SHARE):
            return {"pictures": pictures[:, :3]}
        texture, self._baked_at = self._baked(pictures), time.perf_counter()
        self._bake_s = self._baked_at - now
        return {"pictures": pictures[:, :3], "texture": texture, "painted": frozenset(self.painter.channels)}

    # -- scoring ------------------------------------------------------------------------------------------------------------

    def look(self, base_color: Tensor, *, step: int | None = None) -> Look:
        """The look at base colours [S, 3, T, T] that every reward is given; without a step nothing is left to chance."""
        return Look(base_color=base_color, atlas=self.atlas, prompt=self.prompt, pictures=self._look(base_color), step=step)

    def raw(self, texture: Texture) -> dict[str, float]:
        """Raw reward values, no gradient; without those that were switched off."""
        with torch.no_grad():
            look = self.look(texture.channels["base_color"])
            values = {t.name: float(t.score(look)) for t in self.terms if t.name not in self._broken}
        return {name: value for name, value in values.items() if math.isfinite(value)}

    def score(self, base_color: Tensor, live: Live, *, step: int) -> Scores:
        """Raw rewards, and the push: the weighted, normalised sum of one texture gradient each.

        A reward whose value or gradient is not finite is switched off for the rest of the run. Raises StudioError when none that
        has a weight is left.
        """
        leaf = base_color.detach().requires_grad_()
        raw: dict[str, float] = {}
        parts: dict[str, float] = {}
        heat: dict[str, Tensor] = {}
        push, total, said = torch.zeros_like(leaf), 0.0, []
        with torch.enable_grad():
            look = self.look(leaf, step=step)
            for term in self.terms:
                if term.name in self._broken:
                    continue
                value, weight = term.score(look), live.weights.get(term.name, 0.0)
                gradient = self._gradient(value, leaf) if weight or live.heat == term.name else None
                if not (torch.isfinite(value) and (gradient is None or torch.isfinite(gradient).all())):
                    self._broken.add(term.name)
                    said.append(f"The reward '{term.name}' became {float(value.detach()):g} and was switched off.")
                    continue
                raw[term.name] = float(value.detach())
                if gradient is not None and live.watched:
                    heat[term.name] = gradient.norm(dim=1, keepdim=True)
                if weight and gradient is not None:
                    pull = weight * gradient / self._norm(term.name, gradient)
                    push += pull
                    parts[term.name] = float(pull.norm())
                    total += weight * raw[term.name]
        if self._broken and any(live.weights.values()) and not any(live.weights.get(n) for n in raw):
            remedy = "Choose another reward or give it other settings, then start again."
            raise StudioError(" ".join([*said, "No reward is left to learn from."]), remedy)
        all_parts = sum(parts.values()) or 1.0
        return Scores(raw, push.detach(), total, {n: p / all_parts for n, p in parts.items()}, heat, " ".join(said))

    @staticmethod
    def _gradient(value: Tensor, leaf: Tensor) -> Tensor:
        found = torch.autograd.grad(value, leaf, retain_graph=True, allow_unused=True) if value.requires_grad else (None,)
        return torch.zeros_like(leaf) if found[0] is None else found[0]

    def _norm(self, name: str, gradient: Tensor) -> float:
        seen = self._norms[name]
        if len(seen) < NORM_ITERATIONS:
            seen.append(float(gradient.norm()))
        return max(sum(seen) / len(seen), NORM_FLOOR)

    # -- learning -----------------------------------------------------------------------------------------------------------

    def pictures_gradient(self, pictures: Tensor, push: Tensor) -> Tensor:
        """The adjoint of the bake: what each painted pixel [V, P, H, W] can do for a push on the base colours [S, 3, T, T].

        Rewards see no other channel, so only the first three components get anything.
        """
        with torch.enable_grad():
            leaf = pictures.detach().requires_grad_()
            baked = self.baker.bake(leaf[:, :3])
        return torch.autograd.grad(baked, leaf, push)[0]

    def learn(
        self, painted: Painted, push: Tensor, *, truncation: int, anchor: float, share: float = 1.0, probe: bool = False
    ) -> Generator[Progress, None, Flow]:
        """Accumulate in the LoRA's `.grad` what descends −push (times `share`) plus the anchor; yields per step."""
        self._learned = True
        d_pictures = self.pictures_gradient(painted.pictures, push) * -share
        yield Progress("learning", 0, truncation)
        flow = yield from replay(
            self.painter,
            self.scene,
            painted.rollout,
            d_pictures,
            truncation=truncation,
            anchor=anchor * share,
            chunk=self.chunk,
            probe=probe,
        )
        return flow

    # -- continuing ---------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What the objective itself remembers between iterations: normalisers, the rewards' buffers, the journal."""
        buffers = {t.name: t.score.state_dict() for t in self.terms if isinstance(t.score, torch.nn.Module)}
        return {
            "norms": {k: list(v) for k, v in self._norms.items()},
            "buffers": {k: {n: b.detach().cpu().clone() for n, b in v.items()} for k, v in buffers.items()},
            "journal": [[i, dict(s)] for i, s in self.journal],
            "untrained": self.untrained,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put such a state back."""
        self._norms.update({k: list(v) for k, v in state["norms"].items() if k in self._norms})
        for term in self.terms:
            if isinstance(term.score, torch.nn.Module) and term.name in state["buffers"]:
                term.score.load_state_dict(state["buffers"][term.name])
        self.journal = [(i, s) for i, s in state["journal"]]
        self.untrained, self._learned = state["untrained"], True


def _told(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What differs between two entries of the journal: "symmetry 0.5 → 1, k 1 → 2"."""
    names = dict.fromkeys([*old["weights"], *new["weights"]])
    pairs = [(name, old["weights"].get(name, 0.0), new["weights"].get(name, 0.0)) for name in names]
    pairs += [(name, old[name], new[name]) for name in ("rate", "anchor", "k")]
    words = [f"{name} {_number(a)} → {_number(b)}" for name, a, b in pairs if a != b]
    return ", ".join(words + ([f"prompt → {new['prompt']}"] if old["prompt"] != new["prompt"] else []))


def _number(value: float | None) -> str:
    return "own" if value is None else f"{value:g}"
