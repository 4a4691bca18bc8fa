"""The held-out judge: another architecture, trained apart on other shapes in another order; nothing is ever trained on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.critics import Critic, Eye

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Judge(Critic):
    """The bundled critic that only judges."""

    description = "The bundled critic that only judges, so that its opinion stays independent of the rewards."
    held_out = True

    def build(self, *, device: torch.device, dtype: torch.dtype | None = None) -> Eye:
        import torch

        from studio.critics._weights import DATA, load

        eye = load(DATA / "judge")
        eye.network.to(device, dtype or torch.float32)
        return eye
