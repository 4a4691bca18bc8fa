"""Symmetry: the two halves of the mesh are painted alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.plug import knob
from studio.rewards import Reward, Score

if TYPE_CHECKING:
    import torch

    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh

MOST_PAIRS = 150_000
"""Texel pairs compared in one iteration."""


@dataclass(frozen=True)
class Symmetry(Reward):
    """r = −⅓ Σ_s mean ρ(B_s(T − T∘mirror)) − contrast · d₀ · relu(1 − v/v₀)².

    B_s averages over nothing, small and large cells of surface, weighted by the surface a texel covers; ρ is Charbonnier's robust
    L1; v is the mean variance within large cells, v₀ half of that of the untrained texture and d₀ its first term, so that a flat
    colour does not win. The difference is taken before it is averaged: a texture that mirrors itself exactly then has a data
    term of exactly 0 at all scales however its charts are cut, and one that is off by a constant δ between the halves has
    exactly ρ(δ).
    """

    description = "Paints the left and the right half of a symmetric mesh alike."
    alias = "symmetry consistency"

    contrast: float = knob(2.0, "What a flat colour pays, in parts of what the untrained halves differ.", low=0.0, high=10.0)

    def check(self, mesh: Mesh) -> None:
        """Raises StudioError when the mesh has no mirror plane."""
        from studio.surface.symmetry import find_plane

        find_plane(mesh)

    def build(self, mesh: Mesh, atlas: Atlas, device: torch.device) -> Score:
        """The score of textures of this mesh. Raises StudioError when the mesh or the atlas has no mirror image."""
        from studio.rewards._mirror import Mirror
        from studio.surface.symmetry import find_plane

        return Mirror(find_plane(mesh), atlas, contrast=self.contrast, most=MOST_PAIRS).to(device)
