"""Coverage: no part of the surface is left bare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.rewards import Reward, Score

if TYPE_CHECKING:
    import torch

    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh


@dataclass(frozen=True)
class Coverage(Reward):
    """r = Σ a·σ²/(σ² + b²) over windows of the surface: the part of it that carries the pattern, with a soft border.

    a is a window's area, σ its contrast, and b half of the surface's mean contrast (plus a trace, so that a flat texture scores
    0): the score asks for a pattern that reaches everywhere and does not care how strong it is.
    """

    description = "Spreads the pattern over the whole surface, so that nothing is left bare."

    def build(self, mesh: Mesh, atlas: Atlas, device: torch.device) -> Score:
        """The score of textures of this mesh. Raises StudioError when the atlas is too coarse."""
        from studio.rewards._contrast import Coverage as Live

        return Live(atlas).to(device)
