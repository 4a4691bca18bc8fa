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

    @classmethod
    def why_not(cls) -> str | None:
        from studio.critics._data import missing

        return missing("judge")

    def build(self, *, device: torch.device, dtype: torch.dtype | None = None) -> Eye:
        import torch

        from studio.critics._data import DATA
        from studio.critics._weights import load

        eye = load(DATA / "judge")
        eye.network.to(device, dtype or torch.float32)
        return eye
