"""What learning from preferences makes small, in terms of denoising errors.

e = mean‖guess of x0 − x0‖² of the better (w) and the worse (l) of two textures, both noised to the same step; e_ref the same of
the frozen network with the same noise. DPO for diffusion: 2311.12908; DRO and the labels by a black box: DSO (2503.22677).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

Method = Literal["dpo", "dro", "dro_published", "sft"]
SCALE = 2.0
"""Of DPO's β: so many over the standard deviation of e_w_ref − e_l_ref over the data."""


@dataclass(frozen=True, eq=False)
class Errors:
    """Denoising errors of pairs, each of any equal shape; those of the frozen network carry no graph."""

    better: Tensor
    worse: Tensor
    better_reference: Tensor
    worse_reference: Tensor

    @property
    def gain(self) -> Tensor:
        """The implicit reward of the better over the worse, up to β/2: positive where the learned order is the picked one."""
        return (self.worse - self.worse_reference) - (self.better - self.better_reference)


def loss(errors: Errors, method: Method, *, beta: float, margin: float) -> Tensor:
    """One value per pair.

    "dpo": −log σ(½β·gain), ln 2 while nothing was learned. "dro": the better is learned, and the worse unlearned until its error
    has grown by `margin`. "dro_published": e_w − e_l, which has no lowest value. "sft": the better is learned.
    """
    if method == "dpo":
        return F.softplus(-0.5 * beta * errors.gain)
    if method == "dro":
        kept = F.relu(margin - (errors.worse - errors.worse_reference))
        return errors.better - errors.better_reference + kept
    if method == "dro_published":
        return errors.better - errors.worse
    return errors.better


def spread(apart: Tensor) -> float:
    """The standard deviation of e_w_ref − e_l_ref over pairs."""
    return max(float(apart.std()), 1e-12)


def auto_beta(spread: float) -> float:
    """2 / std(e_w_ref − e_l_ref): the learned differences themselves are 0 at the start."""
    return SCALE / spread


class Guard:
    """Ends what runs away: a worse texture that is denoised far worse than at first is forgotten together with much else."""

    LIMIT, HEALTHY, WINDOW = 8.0, 4.0, 5

    def __init__(self) -> None:
        self._last: list[float] = []
        self.lora: dict[str, Tensor] = {}
        """What was learned while all was well."""

    def ran_away(self, excess: float, lora: dict[str, Tensor]) -> bool:
        """`excess` is by how much the worse is denoised worse than at first, in standard deviations of a pair's difference (DPO
        comes to rest at about 4); `lora` is what denoised it."""
        self._last = [*self._last[1 - self.WINDOW :], excess]
        mean = sum(self._last) / len(self._last)
        if mean <= self.HEALTHY or not self.lora:
            self.lora = lora
        return not mean < self.LIMIT

    def state(self) -> dict[str, object]:
        """Plain values and CPU tensors."""
        return {"last": list(self._last), "lora": dict(self.lora)}

    def restore(self, state: dict) -> None:
        """Put such a state back."""
        self._last, self.lora = list(state["last"]), dict(state["lora"])
