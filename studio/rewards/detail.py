"""Detail: fine structure all over the surface, but no speckle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.plug import knob
from studio.rewards import Reward, Score

if TYPE_CHECKING:
    import torch

    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh


@dataclass(frozen=True)
class Detail(Reward):
    """r = Σ a·σ/(σ + h) − speckle · Σ a·ν over windows of the surface, a their area.

    σ is the contrast of a band of sizes: the standard deviation of small cells' mean colours within a window several times their
    size, less what their grain leaves in the means; h is the contrast that counts as half (`_contrast.HALF`). ν is the deviation
    of single texels within cells: what is finer than the band is grain, which a sharp picture has little of.
    """

    description = "Asks for fine, sharp structure everywhere, without grain."

    speckle: float = knob(0.5, "How strongly grain finer than that is held against a texture.", low=0.0, high=10.0)

    def build(self, mesh: Mesh, atlas: Atlas, device: torch.device) -> Score:
        """The score of textures of this mesh. Raises StudioError when the atlas is too coarse."""
        from studio.rewards._contrast import Detail as Live

        return Live(atlas, speckle=self.speckle).to(device)
