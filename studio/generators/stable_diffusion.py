"""Stable Diffusion 1.5 and 2.x with depth control, from the user's own files: the generator of the paper.

Nothing is fetched here: `studio models` fetches, after it has said how large a model is and under which licence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from studio.generators import Costs, Generator, Painter
from studio.plug import knob

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class StableDiffusion(Generator):
    """Stable Diffusion 1.5 or 2 with depth control, from files of yours: every prompt, on a graphics card of 8 GB or more."""

    model: str = knob("", "A folder saved by diffusers, a checkpoint file, or a model of `studio models`; empty: sd15.")
    control: str = knob("", "Its ControlNet for depth or depth-aware inpainting; empty: the model's own, or sd15-depth.")
    steps: int = knob(10, "Denoising steps; more are sharper and slower.", low=1, high=200)
    guidance: float = knob(7.5, "How strongly the prompt is followed; 1 halves the time per step.", low=1, high=30)
    eta: float = knob(0.0, "Fresh noise added at each step; 0 makes the picture depend on the seed alone.", low=0, high=1)
    control_scale: float = knob(1.0, "How strongly the shape is followed.", low=0, high=2)
    negative: str = knob("", "Words to keep away from, such as blurry, as 'no rust' in a prompt does; needs a guidance above 1.")
    directions: bool = knob(True, "Tell each view from where it looks: front view, side view, top view.")
    mode: str = knob(
        "synchronised",
        "How views agree: all at once through the texture, or one after the other, each continuing the last ones.",
        choices=("synchronised", "sequential"),
    )
    through_views: bool = knob(False, "One after the other: also learn through what a view gives to the next; exact, slower.")
    scheduler: str = knob("ddim", "How a step goes: DDIM, or the one of models distilled for few steps.", choices=("ddim", "lcm"))
    spacing: str = knob(
        "trailing", "Which noise levels the steps visit; only trailing lets the last one learn.",
        choices=("trailing", "leading", "linspace"),
    )  # fmt: skip
    prediction: str = knob(
        "model", "What the network predicts; a checkpoint file does not say it.", choices=("model", "epsilon", "v_prediction")
    )
    view_px: int = knob(0, "Side of the views, a multiple of 64; 0: what the model was made for.", low=0, high=1024, unit="px")
    dtype: str = knob(
        "auto", "Precision of the frozen network; auto: bfloat16 on cards that have it.", choices=("auto", "float32", "bfloat16")
    )

    memory_gb: float = knob(0.0, "Most memory of the card to plan with; 0: what is free.", low=0, high=1000, unit="GB")

    def build(self, *, device: torch.device, dtype: torch.dtype | None = None) -> Painter:
        from studio.generators._sd_build import build

        return build(self, device=device, dtype=dtype)

    def public(self) -> StableDiffusion:
        return replace(self, model=Path(self.model).name, control=Path(self.control).name)

    def side_px(self) -> int:
        from studio.generators._sd_build import side_of

        return side_of(self)

    def costs(self, *, views: int, free_bytes: float, onward: bool = False) -> Costs:
        from studio.generators import _sd_plan as plan

        work = plan.Work(views, (self.view_px or 512) // 8, 1 if self.guidance == 1 else 2, 4 if self.dtype == "float32" else 2)
        free = min(free_bytes, self.memory_gb * 1e9 or free_bytes)
        return plan.costs(work, free=free, onward=onward, in_turn=self.mode == "sequential")

    def warm(self) -> None:
        import studio.generators._sd_build  # noqa: F401

    def stages(self) -> Iterator[str]:
        yield "loading Stable Diffusion"
