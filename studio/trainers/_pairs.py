"""Pairs of textures of which one was preferred, and their denoising errors under the learning and the frozen network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from studio.errors import StudioError
from studio.generators import Scene
from studio.preferences import FEWEST, Pick, Picks, fits
from studio.progress import Progress
from studio.trainers._pass import Pass
from studio.trainers._preferring import Errors, Method, auto_beta, loss, spread

if TYPE_CHECKING:
    from studio.objective import Objective

HELD_OUT = 5
"""Every so-manieth pair is never learned from."""
MEASURED = 32
"""At most so many errors are looked at to learn by how much pairs differ, over all steps."""
LOOKS = 2
"""Steps at which a held-out pair is judged."""
NOISE_SEED = 1_000_003
KEPT_BYTES = 512 << 20
"""Latents that are kept in memory: the first step compares all pairs, several times over. The rest is read each time."""


@dataclass(frozen=True)
class Seen:
    """What learning from pairs said."""

    loss: float
    drift: float
    """mean‖prediction − frozen prediction‖² on the better texture."""
    excess: float
    """By how much the worse is denoised worse than at first, in standard deviations of a pair's difference."""


class Pairs:
    """The picks of a folder that fit a run, parted into those that are learned and those held out."""

    def __init__(self, objective: Objective, picks: Picks, who: str | None) -> None:
        """`who`: picks by this one; None: your own, where there are some. Raises StudioError when too few fit."""
        asked = picks.yours() if who is None else picks.by(who)
        usable = [p for p in asked if all(fits(picks.samples[key], objective.subject) for key in (p.better, p.worse))]
        if len(usable) < FEWEST:
            n, others = len(usable), len(asked) - len(usable)
            problem = f"There {'is 1 pick' if n == 1 else f'are {n} picks'} to learn from in '{picks.folder}'"
            if others:
                problem += f"; {others} {'was' if others == 1 else 'were'} made for another mesh, cameras or generator"
            more = f"Make at least {FEWEST}, give another folder as 'picks', or let a score prefer."
            if who is not None:
                more = f"Let the score see {4 * FEWEST} textures or more ('samples'), or lower the 'gap'."
            raise StudioError(f"{problem}.", more)
        self.held_out = usable[HELD_OUT - 1 :: HELD_OUT]
        self.trained = [pick for n, pick in enumerate(usable) if n % HELD_OUT != HELD_OUT - 1]
        self._objective, self._painter, self._picks = objective, objective.painter, picks
        self._scenes: dict[str, Scene] = {}
        self._reference: dict[tuple[int, int], tuple[Tensor, ...]] = {}
        self._latents: dict[str, Tensor] = {}
        self.spreads: list[float] = []

    def measure(self) -> Generator[Progress, None, list[float]]:
        """The spread of e_w_ref − e_l_ref over the data at each step, which is what β, margins and gains are told in."""
        of_prompts = [self._alike(pick) for pick in {self._prompt(pick): pick for pick in self.trained}.values()]
        for i in range(self._painter.steps):
            few = [[pick] for pick in self.trained[: max(2, MEASURED // self._painter.steps)]]
            apart = []
            for n, picks in enumerate(few if i else of_prompts):
                better, worse, _ = yield from self._errors(picks, i, seed=NOISE_SEED + n, base=True)
                apart.append(better - worse)
            self.spreads.append(spread(torch.cat(apart)))
        return self.spreads

    def learned(
        self, turn: int, *, seed: int, method: Method, beta: float, margin: float, share: float
    ) -> Generator[Progress, None, Seen]:
        """Add the gradient of one pair's loss, times `share`, to what learns. Pairs take turns in an order that is drawn anew for
        each round; step and noise are drawn from `seed`. On the first step the turn is that of all pairs of the pair's prompt.

        `beta`: 0 scales it by how much pairs differ; `margin` in standard deviations of a pair's difference.
        """
        source = torch.Generator().manual_seed(NOISE_SEED + turn // len(self.trained))
        pick = self.trained[torch.randperm(len(self.trained), generator=source).tolist()[turn % len(self.trained)]]
        i = int(torch.randint(self._painter.steps, (), generator=torch.Generator().manual_seed(seed)))
        picks = [pick] if i else self._alike(pick)
        *frozen, before = yield from self._errors(picks, i, seed=seed, base=True)
        *ours, passes = yield from self._errors(picks, i, seed=seed)
        leaves = [errors.clone().requires_grad_() for errors in ours]
        with torch.enable_grad():
            scale = {"beta": beta or auto_beta(self.spreads[i]), "margin": margin * self.spreads[i]}
            value = loss(Errors(*leaves, *frozen), method, **scale).mean()
        slopes = torch.autograd.grad(value, leaves, materialize_grads=True)
        of_key: dict[str, float] = defaultdict(float)
        for slope, keys in zip(slopes, ([p.better for p in picks], [p.worse for p in picks]), strict=True):
            for key, part in zip(keys, slope.tolist(), strict=True):
                of_key[key] += part * share
        for one in passes:
            if any(of_key[key] for key in one.keys):
                yield from one.network.to_parameters(self._slope(one, i, of_key))
        drift = float((passes[0].prediction - before[0].prediction).square().mean())
        excess = float((ours[1] - frozen[1]).mean()) / self.spreads[i]
        return Seen(float(value.detach()), drift, excess)

    def accuracy(self) -> Generator[Progress, None, float | None]:
        """The share of held-out pairs whose implicit reward puts the picked one first; None without such pairs."""
        right = []
        for n, pick in enumerate(self.held_out):
            gain = 0.0
            for look in range(LOOKS):
                i, seed = (n + look * self._painter.steps // LOOKS) % self._painter.steps, NOISE_SEED + 1000 + n
                if (n, look) not in self._reference:
                    self._reference[n, look] = (yield from self._errors([pick], i, seed=seed, base=True))[:2]
                better, worse, _ = yield from self._errors([pick], i, seed=seed)
                gain += float(Errors(better, worse, *self._reference[n, look]).gain) / self.spreads[i]
            right.append(gain > 0)
        return sum(right) / len(right) if right else None

    def _alike(self, pick: Pick) -> list[Pick]:
        """The pairs to learn from whose prompt is this one's."""
        return [p for p in self.trained if self._prompt(p) == self._prompt(pick)]

    def _prompt(self, pick: Pick) -> str:
        return self._picks.samples[pick.better].prompt

    def _scene(self, prompt: str) -> Scene:
        if prompt not in self._scenes:
            own = self._objective.prompt
            self._objective.ask(prompt)
            self._scenes[prompt] = self._objective.scene
            self._objective.ask(own)
        return self._scenes[prompt]

    def _errors(
        self, picks: Sequence[Pick], i: int, *, seed: int, base: bool = False
    ) -> Generator[Progress, None, tuple[Tensor, Tensor, list[_Denoised]]]:
        """(errors [n] of the better, of the worse, the passes of the frozen (`base`) or learning network that made them) of n
        pairs of one prompt, noised to step i.

        On the first step nothing of a texture is left, and what the noise decides beside, the places of a pattern say, is the
        noise's own: one pass of pure noise, as sampling begins, is compared with all of them. So the guess can follow what is
        preferred in where things lie, which a texture's own noise would explain away.
        """
        keys = [key for p in picks for key in (p.better, p.worse)]
        errors: dict[str, Tensor] = {}
        passes = []
        for group in [keys] if i == 0 else [[key] for key in keys]:
            painter, scene = self._painter, self._scene(self._picks.samples[group[0]].prompt)
            x = painter.noise(scene, generator=torch.Generator().manual_seed(seed))
            if i:
                x = painter.noised(self._x0(group[0], scene), i, noise=x)
            network = Pass(painter, scene, x, i, chunk=self._objective.chunk, base=base)
            prediction = yield from network.forward(for_parameters=not base)
            guess = painter.guess(x, prediction, i, scene)
            errors |= {key: self._off(guess, key, scene).square().mean() for key in group}
            passes.append(_Denoised(group, x, scene, prediction, network))
        better, worse = (torch.stack([errors[key] for key in side]) for side in (keys[::2], keys[1::2]))
        return better, worse, passes

    def _slope(self, one: _Denoised, i: int, of_key: Mapping[str, float]) -> Tensor:
        """The derivative by the prediction of a loss with these derivatives by the textures' errors."""
        with torch.enable_grad():
            leaf = one.prediction.detach().requires_grad_()
            guess = self._painter.guess(one.x, leaf, i, one.scene)
        d_guess = torch.zeros_like(guess)
        for key in dict.fromkeys(one.keys):
            d_guess += (2 * of_key[key] / guess.numel()) * self._off(guess.detach(), key, one.scene)
        return torch.autograd.grad(guess, leaf, d_guess)[0]

    def _off(self, guess: Tensor, key: str, scene: Scene) -> Tensor:
        return guess - self._x0(key, scene)[:, : guess.shape[1]]  # what no step changes is not guessed

    def _x0(self, key: str, scene: Scene) -> Tensor:
        x0 = self._latents[key] if key in self._latents else self._picks.x0(key)
        if sum(t.nbytes for t in self._latents.values()) + x0.nbytes <= KEPT_BYTES:
            self._latents[key] = x0
        x0 = x0.to(scene.geometry)
        if len(x0) != scene.views:
            raise StudioError(
                "A picked texture was painted from other cameras.", "Pick anew, or use the settings it was made with."
            )
        return x0


@dataclass(frozen=True, eq=False)
class _Denoised:
    """One pass of a network."""

    keys: list[str]
    """The textures that its guess is compared with."""
    x: Tensor
    scene: Scene
    prediction: Tensor
    network: Pass
