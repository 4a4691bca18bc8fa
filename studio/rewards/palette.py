"""Palette: every texel takes one of the given colours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.errors import StudioError
from studio.plug import knob
from studio.rewards import Look, Reward, Score

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh

MOST_TEXELS = 100_000
"""Looked at in one iteration."""
NEAR = 0.01
"""Perceptual distance below which the pull towards a colour fades (half of what one sees), so that the reward is smooth."""


@dataclass(frozen=True)
class Palette(Reward):
    """r = −Σ aᵢ·mᵢ / Σ aᵢ over the texels i in charts: aᵢ the surface a texel covers, mᵢ its distance in OKLab to the palette.

    With D_k = √(|Δ_k|² + NEAR²) over the colours k, m = (Σ_k D_k^−p)^(−1/p) − NEAR and p = 1/softness: a soft minimum that
    stays the minimum where one colour is much nearer than the others, whatever the scale. So r = 0 where every texel has a
    palette colour, and r = −0.1 means that texels are off by a clearly visible 0.1 on average. A look with a step sees one random
    portion of the texels, drawn without replacement until each has had its turn; a look without one sees them all.
    """

    description = "Keeps the texture to a few chosen colours."

    colors: tuple[str, ...] = knob(("#c77b4a", "#f0e2c8", "#2f6b6e"), 'The colours to keep to, such as "#c77b4a".')
    softness: float = knob(0.2, "How much colours other than the nearest one pull as well.", low=0.02, high=1.0)

    def __post_init__(self) -> None:
        if not self.colors:
            raise StudioError("The palette is empty.", 'Give at least one colour, such as "#c77b4a".')
        for color in self.colors:
            from_hex(color)

    def build(self, mesh: Mesh, atlas: Atlas, device: torch.device) -> Score:
        """The score of textures of this mesh. Raises StudioError when no texel lies on the mesh."""
        import torch

        from studio.rewards._color import oklab
        from studio.rewards._texels import area, gather, portions, valid

        index = valid(atlas)
        weight = area(atlas, index)
        parts = [(index[part].to(device), weight[part].to(device)) for part in portions(len(index), MOST_TEXELS)]
        whole = index.to(device), weight.to(device)
        palette = oklab(torch.tensor(sorted({from_hex(c) for c in self.colors}), dtype=torch.float64).T).T
        p = 1 / self.softness

        def score(look: Look) -> Tensor:
            index, weight = whole if look.step is None else parts[look.step % len(parts)]
            lab = oklab(gather(look.base_color, index))
            square = torch.stack([(lab - c[:, None]).square().sum(0) for c in palette.to(lab)])
            soft = torch.exp(torch.logsumexp(-p / 2 * torch.log(square + NEAR**2), dim=0) / -p)
            weight = weight.to(lab.dtype)
            return NEAR - weight @ soft / weight.sum().clamp_min(1e-30)

        return score


def from_hex(text: str) -> tuple[float, float, float]:
    """sRGB in [0, 1] of "#c77b4a", "c77b4a" or "#fc4". Raises StudioError for anything else."""
    digits = text.strip().removeprefix("#")
    if not re.fullmatch(r"[0-9a-fA-F]{3}|[0-9a-fA-F]{6}", digits):
        raise StudioError(f"'{text}' is no colour.", 'Write it as six hexadecimal digits, such as "#c77b4a".')
    if len(digits) == 3:
        digits = "".join(2 * d for d in digits)
    red, green, blue = (int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
    return red, green, blue
