"""Pairs of textures of which one was preferred, and their denoising errors under the learning and the frozen network."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from studio.errors import StudioError
from studio.generators import Scene
from studio.preferences import FEWEST, Pick, Picks, fits
from studio.progress import Progress
from studio.trainers._pass import Pass
from studio.trainers._preferring import Errors, Method, auto_beta, loss

if TYPE_CHECKING:
    from studio.objective import Objective

HELD_OUT = 5
"""Every so-manieth pair is never learned from."""
MEASURED = 32
"""At most so many pairs are looked at to scale β."""
LOOKS = 2
"""Steps at which a held-out pair is judged."""
NOISE_SEED = 1_000_003


@dataclass(frozen=True)
class Seen:
    """What learning from one pair said."""

    loss: float
    drift: float
    """mean‖prediction − frozen prediction‖² on the better texture."""
    worse: float
    worse_reference: float


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
        self._reference: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def scaled(self, beta: float) -> Generator[Progress, None, tuple[float, float]]:
        """(β, the spread of e_w_ref − e_l_ref over the data): β as given, or scaled by that spread where it is 0."""
        better, worse = [], []
        for n, pick in enumerate(self.trained[:MEASURED]):
            i = n % self._painter.steps
            for key, errors in ((pick.better, better), (pick.worse, worse)):
                one = yield from self._error(key, i, seed=NOISE_SEED + n, base=True)
                errors.append(one.error)
        both = torch.stack(better), torch.stack(worse)
        return beta or auto_beta(*both), max(float((both[0] - both[1]).std()), 1e-12)

    def learned(
        self, turn: int, *, seed: int, method: Method, beta: float, margin: float, share: float
    ) -> Generator[Progress, None, Seen]:
        """Add the gradient of one pair's loss, times `share`, to what learns. Pairs take turns in an order that is drawn anew for
        each round; step and noise are drawn from `seed`."""
        source = torch.Generator().manual_seed(NOISE_SEED + turn // len(self.trained))
        pick = self.trained[torch.randperm(len(self.trained), generator=source).tolist()[turn % len(self.trained)]]
        i = int(torch.randint(self._painter.steps, (), generator=torch.Generator().manual_seed(seed)))
        keys = (pick.better, pick.worse)
        frozen, ours = [], []
        for key in keys:
            frozen.append((yield from self._error(key, i, seed=seed, base=True)))
        for key in keys:
            ours.append((yield from self._error(key, i, seed=seed)))
        leaves = [one.error.clone().requires_grad_() for one in ours]
        with torch.enable_grad():
            value = loss(Errors(*leaves, *(one.error for one in frozen)), method, beta=beta, margin=margin)
        slopes = torch.autograd.grad(value, leaves, allow_unused=True)
        for one, slope in zip(ours, slopes, strict=True):
            if slope is not None and float(slope):
                yield from one.network.to_parameters(one.d_prediction * (float(slope) * share))
        drift = float((ours[0].prediction - frozen[0].prediction).square().mean())
        return Seen(float(value.detach()), drift, float(ours[1].error), float(frozen[1].error))

    def accuracy(self) -> Generator[Progress, None, float | None]:
        """The share of held-out pairs whose implicit reward puts the picked one first; None without such pairs."""
        right = []
        for n, pick in enumerate(self.held_out):
            gain = 0.0
            for look in range(LOOKS):
                i, seed = (n + look * self._painter.steps // LOOKS) % self._painter.steps, NOISE_SEED + 1000 + n
                if (n, look) not in self._reference:
                    self._reference[n, look] = yield from self._both(pick, i, seed, base=True)
                better, worse = yield from self._both(pick, i, seed, base=False)
                gain += float(Errors(better, worse, *self._reference[n, look]).gain)
            right.append(gain > 0)
        return sum(right) / len(right) if right else None

    def _both(self, pick: Pick, i: int, seed: int, *, base: bool) -> Generator[Progress, None, tuple[Tensor, Tensor]]:
        better = yield from self._error(pick.better, i, seed=seed, base=base)
        worse = yield from self._error(pick.worse, i, seed=seed, base=base)
        return better.error, worse.error

    def _scene(self, prompt: str) -> Scene:
        if prompt not in self._scenes:
            own = self._objective.prompt
            self._objective.ask(prompt)
            self._scenes[prompt] = self._objective.scene
            self._objective.ask(own)
        return self._scenes[prompt]

    def _error(self, key: str, i: int, *, seed: int, base: bool = False) -> Generator[Progress, None, _Noised]:
        """One texture noised to step i, denoised by the frozen (`base`) or the learning network."""
        painter, scene = self._painter, self._scene(self._picks.samples[key].prompt)
        x0 = self._picks.x0(key).to(scene.geometry)
        if len(x0) != scene.views:
            raise StudioError(
                "A picked texture was painted from other cameras.", "Pick anew, or use the settings it was made with."
            )
        noise = painter.noise(scene, generator=torch.Generator().manual_seed(seed))
        x = painter.noised(x0, i, noise=noise)
        network = Pass(painter, scene, x, i, chunk=self._objective.chunk, base=base)
        prediction = yield from network.forward(for_parameters=not base)
        with torch.enable_grad():
            leaf = prediction.detach().requires_grad_()
            guess = painter.guess(x, leaf, i, scene)
            error = (guess - x0[:, : guess.shape[1]]).square().mean()  # what no step changes is not guessed
        (d_prediction,) = torch.autograd.grad(error, leaf)
        return _Noised(error.detach(), prediction, d_prediction, network)


@dataclass(frozen=True, eq=False)
class _Noised:
    error: Any
    """The mean squared error of the guess, a scalar."""
    prediction: Tensor
    d_prediction: Tensor
    """Of the error by the prediction."""
    network: Pass
