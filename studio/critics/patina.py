"""The critic behind the rewards `prompt` and `quality`: convolutions that know what mini knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.critics import Critic, Eye

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Patina(Critic):
    """The bundled critic that rewards follow."""

    description = "The bundled critic that rewards follow: how well pictures fit the prompt, and how undamaged they are."

    @classmethod
    def why_not(cls) -> str | None:
        from studio.critics._data import missing

        return missing("patina")

    def build(self, *, device: torch.device, dtype: torch.dtype | None = None) -> Eye:
        import torch

        from studio.critics._data import DATA
        from studio.critics._weights import load

        eye = load(DATA / "patina")
        eye.network.to(device, dtype or torch.float32)
        return eye
