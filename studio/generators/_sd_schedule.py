"""Noise schedules of published latent diffusion models, and one denoising step as a pure function.

Sources: DDIM (2010.02502, eq. 12 and 16); v-prediction (2202.00512); trailing steps and zero terminal SNR (2305.08891);
consistency sampling (2310.04378, algorithm 3), which is eq. 12 with all of the remaining noise drawn anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from studio.errors import StudioError

PREDICTIONS = ("epsilon", "v_prediction", "sample")


@dataclass(frozen=True)
class Schedule:
    """`times` [steps] enter the network; `signal` [steps + 1] is ᾱ before each step and after the last, where it is 1."""

    times: tuple[int, ...]
    signal: tuple[float, ...]
    prediction: str
    eta: float
    """Share of DDIM's full noise that each step adds; ignored where all noise is drawn anew."""
    anew: bool = False

    def clean(self, x: Tensor, prediction: Tensor, i: int) -> Tensor:
        """The clean latents that a network's prediction for x at step i speaks of."""
        a = self.signal[i]
        if self.prediction == "epsilon":
            return (x - math.sqrt(1 - a) * prediction) / math.sqrt(a)
        return prediction if self.prediction == "sample" else math.sqrt(a) * x - math.sqrt(1 - a) * prediction

    def noised(self, x0: Tensor, noise: Tensor, i: int) -> Tensor:
        """x_t as it enters step i; i = steps gives x0."""
        a = self.signal[i]
        return math.sqrt(a) * x0 + math.sqrt(1 - a) * noise

    def step(self, x: Tensor, x0: Tensor, i: int, *, noise: Tensor | None, eta: float | None = None) -> Tensor:
        """x after step i, from x before it and the clean latents x0; `noise` None adds nothing, `eta` counts in place of the
        schedule's own where it is given."""
        a, b = self.signal[i : i + 2]
        if b == 1:
            return x0
        sigma = math.sqrt(1 - b) if self.anew else (self.eta if eta is None else eta) * math.sqrt((1 - b) / (1 - a) * (1 - a / b))
        direction = (x - math.sqrt(a) * x0) / math.sqrt(1 - a)
        y = math.sqrt(b) * x0 + math.sqrt(max(0.0, 1 - b - sigma**2)) * direction
        return y if noise is None or sigma == 0 else y + sigma * noise


def schedule(
    config: Mapping[str, Any], *, steps: int, spacing: str, eta: float, anew: bool = False, prediction: str = "model"
) -> Schedule:
    """From the `scheduler_config.json` of a model. `spacing`: trailing, leading or linspace (2305.08891, table 2).

    Raises StudioError for a schedule that DDIM does not know, or one that this spacing cannot start from.
    """
    from diffusers import DDIMScheduler

    try:
        made = DDIMScheduler.from_config({k: v for k, v in config.items() if not k.startswith("_")})
        signal, trained = made.alphas_cumprod.double(), int(made.config["num_train_timesteps"])
    except (TypeError, ValueError, NotImplementedError, KeyError) as error:
        problem = f"The model's noise schedule cannot be used: {str(error).splitlines()[0]}."
        raise StudioError(problem, "Choose another model.") from error
    kind = made.config["prediction_type"] if prediction == "model" else prediction
    if kind not in PREDICTIONS:
        raise StudioError(f"The model predicts '{kind}', which is not known.", f"Known: {', '.join(PREDICTIONS)}.")
    if steps > trained:
        raise StudioError(f"{steps} steps are more than the {trained} that the model knows.", "Take fewer steps.")
    times = _times(spacing, steps, trained)
    entering = tuple(float(signal[t]) for t in times)
    if entering[0] <= 0 and kind == "epsilon":
        raise StudioError("A model that predicts noise cannot start from nothing but noise.", "Set prediction to v_prediction.")
    return Schedule(times, (*entering, 1.0), kind, eta, anew)


def _times(spacing: str, steps: int, trained: int) -> tuple[int, ...]:
    if spacing == "trailing":
        found = [round(trained - i * trained / steps) - 1 for i in range(steps)]
    elif spacing == "leading":
        found = [min(i * (trained // steps) + 1, trained - 1) for i in reversed(range(steps))]
    else:
        found = torch.linspace(trained - 1, 0, steps).round().int().tolist()
    return tuple(found)
