"""Colorization: convex parts are painted warm, concave ones cool."""

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
class Colorization(Reward):
    """r = ½ (mean of D over the most convex part − mean of D over the most concave part), D = red − blue.

    The parts are the top and bottom `share` of the texels that are curved at all, by rank, so that one crease decides nothing;
    their weights fall smoothly to exactly zero at the border. "smooth" takes all texels instead: r = Σ K·D / Σ |K| with K the
    signed, normalised mean curvature. Red on convex and blue on concave gives 1 in both, the reverse −1, grey 0.

    Source: geometry-guided texture colorization reward, arXiv 2506.18331.
    """

    description = "Paints bulges warm and hollows cool."
    alias = "geometry-guided texture colorization"

    mode: str = knob("ranks", "Compare the extremes, or weigh every texel.", choices=("ranks", "smooth"))
    share: float = knob(0.3, "Part of the curved surface that counts as most convex, and as most concave.", low=0.05, high=0.5)

    def check(self, mesh: Mesh) -> None:
        """Raises StudioError when less than 5 % of the surface is curved."""
        from studio.rewards._warmth import LEAST, flat
        from studio.surface.curvature import FLAT, mean_curvature, vertex_area

        curved = float(vertex_area(mesh) @ (abs(mean_curvature(mesh)) > FLAT))
        if curved < LEAST:
            raise flat(mesh, curved)

    def build(self, mesh: Mesh, atlas: Atlas, device: torch.device) -> Score:
        """The score of textures of this mesh. Raises StudioError when less than 5 % of the surface is curved."""
        from studio.rewards._warmth import Warmth

        return Warmth(mesh, atlas, mode=self.mode, share=self.share).to(device)
