"""What a trainer is handed: a painter on a mesh, weighted rewards with their own texture gradients, and the live settings.

Every reward gives its own gradient g_i = dr_i/dT; the push is Σ weight_i · g_i / n_i, where n_i is the running mean
of ‖g_i‖ over the first 20 iterations, floored and then frozen. Equal weights therefore push equally, and a reward that
saturates fades instead of blowing up.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from studio.errors import StudioError
from studio.generators import Painter, Scene
from studio.progress import Progress
from studio.replay import Flow, Rollout, decode, replay, sample
from studio.rewards import Look
from studio.texture import CHANNELS, Texture

if TYPE_CHECKING:
    from studio.bake import Baker
    from studio.surface.atlas import Atlas

NORM_ITERATIONS = 20
NORM_FLOOR = 1e-8


@dataclass(frozen=True)
class Live:
    """The part of a run's settings that may change while it runs: a new object for every change."""

    weights: Mapping[str, float] = field(default_factory=dict)
    """Reward weights by name; a reward that is missing has weight 0."""
    rate: float | None = None
    """Learning rate; None keeps the trainer's own."""
    anchor: float | None = None
    """Pull towards the untrained generator; None keeps the trainer's own."""

    def plain(self) -> dict[str, Any]:
        """As JSON-able values, for the journal."""
        return {"weights": dict(self.weights), "rate": self.rate, "anchor": self.anchor}


@dataclass(frozen=True, eq=False)
class Term:
    """A reward at work on one mesh."""

    name: str
    score: Callable[[Look], Tensor]


@dataclass(frozen=True, eq=False)
class Scores:
    """What the rewards say of one texture: raw values, their texture gradients [S, 3, T, T], and the joint push."""

    raw: dict[str, float]
    gradients: dict[str, Tensor]
    push: Tensor
    total: float


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
        scene: Scene,
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
        """`look` makes, of base colours [S, 3, T, T], the lazy pictures [V, 3, h, w] that picture rewards see."""
        self.painter, self.scene, self.baker, self.atlas = painter, scene, baker, atlas
        self.base, self.terms, self.prompt, self.seed, self.chunk = base, tuple(terms), prompt, seed, chunk
        self._look, self._live = look, live
        self._norms: dict[str, list[float]] = {t.name: [] for t in terms}
        self.journal: list[tuple[int, dict[str, Any]]] = []
        self.painted: Painted | None = None
        """What the painter made last."""

    # -- settings -----------------------------------------------------------------------------------------------------------

    def live(self, iteration: int) -> Live:
        """The settings of this iteration, read once; every change is journalled so that a headless run can replay it."""
        now = self._live()
        if not self.journal or self.journal[-1][1] != now.plain():
            self.journal.append((iteration, now.plain()))
        return now

    def train_seed(self, iteration: int, sample: int = 0) -> int:
        """The seed painted in an iteration; never one of the held-out seeds (those are below 1,000,000)."""
        return 1_000_000 + self.seed * 100_003 + iteration * 64 + sample

    # -- painting -----------------------------------------------------------------------------------------------------------

    def paint(self, seed: int, *, stage: str = "sampling") -> Generator[Progress, None, Painted]:
        """Sample all views from `seed`, decode and bake them into the atlas; yields once per denoising step."""
        rollout = yield from sample(self.painter, self.scene, seed=seed, chunk=self.chunk, stage=stage)
        pictures = decode(self.painter, rollout.x0, self.scene)
        with torch.no_grad():
            baked = self.baker.bake(pictures).clamp(0, 1)
        texture = self.base
        for name, texels in zip(self.painter.channels, baked.split([CHANNELS[c] for c in self.painter.channels], 1), strict=True):
            texture = texture.with_channel(name, texels)
        self.painted = Painted(texture, pictures, rollout)
        return self.painted

    # -- scoring ------------------------------------------------------------------------------------------------------------

    def look(self, base_color: Tensor, *, step: int | None = None) -> Look:
        """The look at base colours [S, 3, T, T] that every reward is given; without a step nothing is left to chance."""
        return Look(base_color=base_color, atlas=self.atlas, prompt=self.prompt, pictures=self._look(base_color), step=step)

    def raw(self, texture: Texture) -> dict[str, float]:
        """Raw reward values, no gradient."""
        with torch.no_grad():
            look = self.look(texture.channels["base_color"])
            return {t.name: self._finite(t, t.score(look)) for t in self.terms}

    def score(self, base_color: Tensor, weights: Mapping[str, float], *, step: int) -> Scores:
        """Raw rewards, one texture gradient each, and their weighted, normalised sum (the push, to be ascended)."""
        leaf = base_color.detach().requires_grad_()
        raw: dict[str, float] = {}
        gradients: dict[str, Tensor] = {}
        push, total = torch.zeros_like(leaf), 0.0
        with torch.enable_grad():
            look = self.look(leaf, step=step)
            for term in self.terms:
                value = term.score(look)
                raw[term.name] = self._finite(term, value)
                weight = weights.get(term.name, 0.0)
                (g,) = torch.autograd.grad(value, leaf, retain_graph=True, allow_unused=True) if value.requires_grad else (None,)
                gradients[term.name] = torch.zeros_like(leaf) if g is None else g
                if weight:
                    push += weight * gradients[term.name] / self._norm(term.name, gradients[term.name])
                    total += weight * raw[term.name]
        return Scores(raw, gradients, push.detach(), total)

    def _norm(self, name: str, gradient: Tensor) -> float:
        seen = self._norms[name]
        if len(seen) < NORM_ITERATIONS:
            seen.append(float(gradient.norm()))
        return max(sum(seen) / len(seen), NORM_FLOOR)

    @staticmethod
    def _finite(term: Term, value: Tensor) -> float:
        if not torch.isfinite(value):
            problem = f"The reward '{term.name}' became {float(value.detach())}."
            raise StudioError(problem, "Switch it off or lower its weight, then continue.")
        return float(value.detach())

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
        d_pictures = self.pictures_gradient(painted.pictures, push) * -share
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
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put such a state back."""
        self._norms.update({k: list(v) for k, v in state["norms"].items() if k in self._norms})
        for term in self.terms:
            if isinstance(term.score, torch.nn.Module) and term.name in state["buffers"]:
                term.score.load_state_dict(state["buffers"][term.name])
        self.journal = [(i, s) for i, s in state["journal"]]
