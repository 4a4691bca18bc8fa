"""Normal: what looks like relief in the lit pictures is on the mesh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.plug import knob
from studio.rewards import Look, Reward, Score

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh


@dataclass(frozen=True)
class Normal(Reward):
    """r = mean over the reward views of the mean cosine, inside the mask, between the normals that an estimator reads from the
    lit picture and the mesh's own (the normal reward of Nabla-R2D3, 2506.15684). 1 where nothing but the mesh's relief is seen.

    The estimator is told the mesh's normals, so what it answers differs from them only where light and shade were painted in.
    """

    description = "Keeps painted light and shade from looking like relief that the mesh does not have."
    alias = "normal reward"
    sees = "pictures"
    averages = True

    path: str = knob("", "An estimator of your own: a safetensors file in the bundled one's layout; empty for the bundled one.")

    def build(self, mesh: Mesh, atlas: Atlas, device: torch.device) -> Score:
        """The score of any mesh. Raises StudioError when the estimator's weights are missing or do not fit."""
        from studio.rewards._relief import DATA, Estimator, likeness

        estimator = Estimator.load(self.path or DATA).to(device)

        def score(look: Look) -> Tensor:
            pictures = look.pictures().to(next(estimator.parameters()).dtype)
            assert look.surface is not None, "this look has no surface"
            normals, inside = look.surface().to(pictures).split([3, 1], 1)
            return likeness(estimator(pictures, normals, inside), normals, inside).to(look.base_color.dtype)

        return score
