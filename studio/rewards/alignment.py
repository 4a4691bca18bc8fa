"""Alignment: strokes follow the curvature of the surface."""

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
class Alignment(Reward):
    """r = Σ a·c·s / Σ a over windows of surface: a their area times anisotropy, s = (g·d)²/|g|², c = |g|/(|g| + τ).

    g is the surface gradient of the texture's grey, d the line along which the surface bends least. A stroke runs across its
    gradient, so strokes that follow the strongest bend have s = 1 ("max", the published formula); "min" scores 1 − s. The
    contrast factor c stands in the numerator alone: otherwise one faint edge on a flat texture would score 1.

    Source: geometry–texture alignment reward, arXiv 2506.18331.
    """

    description = "Lets strokes and stripes follow the way the surface bends."
    alias = "geometry-texture alignment"

    follow: str = knob("max", "Strokes run along the strongest (max) or the weakest bend.", choices=("max", "min"))
    contrast: float = knob(1.0, "Change of grey per object radius that counts as half a stroke.", low=0.01, high=20.0)

    def check(self, mesh: Mesh) -> None:
        """Raises StudioError where the surface bends nowhere, or alike in all directions."""
        import numpy as np

        from studio.rewards._lines import LEAST, aimless
        from studio.surface.curvature import line_field, vertex_area

        strength = np.linalg.eigvalsh(line_field(mesh))
        if vertex_area(mesh) @ (strength[:, 2] - strength[:, 1]) < LEAST:
            raise aimless(mesh)

    def build(self, mesh: Mesh, atlas: Atlas, device: torch.device) -> Score:
        """The score of textures of this mesh. Raises StudioError where the surface bends alike in all directions."""
        from studio.rewards._lines import Lines

        return Lines(mesh, atlas, follow=self.follow, contrast=self.contrast).to(device)
