"""Seam: colours meet where the atlas is cut."""

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
class Seam(Reward):
    """r = −Σ l·ρ(T₁ − T₂) / Σ l − contrast · d₀ · relu(1 − v/v₀)² over points along the cuts of the atlas.

    l is the length of cut a point stands for, T₁ and T₂ the texture on either side, ρ Charbonnier's robust L1; v is the variance
    of all their colours, v₀ half of that of the untrained texture and d₀ its first term, so that a flat colour does not win.
    0 where every cut is invisible.
    """

    description = "Makes colours meet along the seams of the UV layout."

    contrast: float = knob(2.0, "What a flat colour pays, in parts of what the untrained seams differ.", low=0.0, high=10.0)

    def check(self, mesh: Mesh) -> None:
        """Raises StudioError when the mesh has UVs without cuts; those that are laid out have some."""
        from studio.rewards._cuts import seamless
        from studio.surface.seams import cut_edges

        if mesh.corner_uv is not None and not len(cut_edges(mesh)):
            raise seamless(mesh)

    def build(self, mesh: Mesh, atlas: Atlas, device: torch.device) -> Score:
        """The score of textures of this mesh. Raises StudioError when its atlas has no cuts."""
        from studio.rewards._cuts import Cuts

        return Cuts(mesh, atlas, contrast=self.contrast).to(device)
