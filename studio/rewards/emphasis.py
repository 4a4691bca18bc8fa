"""Emphasis: the texture has its features where the surface has its own."""

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
class Emphasis(Reward):
    """r = cov(e, |H|) / (σ_H · (σ_e + 0.02)) + colour · colourfulness, over patches weighted by their surface.

    e is the change of grey across a patch, |H| the size of its mean curvature, both kept within their 5 % to 95 % quantiles,
    so that one outlier decides nothing. A plain correlation is blind to contrast, and its gradient
    explodes on faint textures: the constant beside σ_e mends both. Colourfulness is Hasler and Süsstrunk's (2003) M3 of values
    in 0…1, over patches.

    Source: texture-feature emphasis reward, arXiv 2506.18331.
    """

    description = "Puts edges and detail where the surface is curved, and calm where it is flat."
    alias = "texture-feature emphasis"

    color: float = knob(0.05, "How much a colourful texture is worth beside that.", low=0.0, high=2.0)

    def check(self, mesh: Mesh) -> None:
        """Raises StudioError where the surface is evenly curved."""
        from studio.rewards._features import EVEN, even, spread
        from studio.surface.curvature import normalised, vertex_area

        if spread(abs(normalised(mesh)), vertex_area(mesh))[1] < EVEN:
            raise even(mesh)

    def build(self, mesh: Mesh, atlas: Atlas, device: torch.device) -> Score:
        """The score of textures of this mesh. Raises StudioError where the surface is evenly curved."""
        from studio.rewards._features import Features

        return Features(mesh, atlas, color=self.color).to(device)
