"""How different a generator's textures are, before it learned and after: what pushing hard for a score is apt to lose.

The distance of two textures is that of a critic's features of their lit pictures, the mean over the judge's views; diversity is
its mean over all pairs of the first EIGHT held-out seeds. The critic is the judge, which nothing is trained on, if it is there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from studio import critics
from studio.critics import Eye
from studio.judge import CRITIC, Views
from studio.renderers import Rasterizer
from studio.surface.atlas import Atlas
from studio.surface.mesh import Mesh
from studio.texture import Texture

EIGHT = 8
ELSE = "patina"
"""Who looks where there is no judge."""


def diversity(features: list[Tensor]) -> float:
    """The mean distance over all pairs of textures, from features [V, D] of each; 0 for fewer than two."""
    if len(features) < 2:
        return 0.0
    each = torch.stack(features).double()
    apart = (each[:, None] - each[None]).norm(dim=-1).mean(-1)
    return float(apart.sum() / (len(each) * (len(each) - 1)))


class Variety:
    """The features of one run's held-out textures; nothing is loaded before there is one."""

    def __init__(self, mesh: Mesh, atlas: Atlas, rasterizer: Rasterizer) -> None:
        self._views, self._device = Views(mesh, atlas, rasterizer), atlas.device
        self._eye: Eye | None = None
        self._before: list[Tensor] = []
        self._after: list[Tensor] = []
        self._pictures: tuple[list[Tensor], list[Tensor]] = ([], [])

    def before(self, texture: Texture) -> None:
        """Look at the next seed's texture of the untrained generator."""
        self._look(texture, self._before, self._pictures[0])

    def after(self, texture: Texture) -> None:
        """Look at the next seed's texture at the end."""
        self._look(texture, self._after, self._pictures[1])

    def report(self) -> dict[str, Any] | None:
        """Diversity before and after, over how many seeds, and which share was kept; None for fewer than two seeds."""
        seeds = min(len(self._before), len(self._after))
        if seeds < 2:
            return None
        before, after = diversity(self._before), diversity(self._after)
        return {"seeds": seeds, "before": before, "after": after, "kept": after / before if before else None}

    def pictures(self) -> Tensor | None:
        """The first EIGHT seeds before and after, lit, from the front: [2, n, 3, h, w] uint8; None where there is none."""
        n = min(map(len, self._pictures))
        return torch.stack([torch.stack(row[:n]) for row in self._pictures]) if n else None

    def _look(self, texture: Texture, into: list[Tensor], pictures: list[Tensor]) -> None:
        if len(pictures) >= EIGHT:
            return
        views = self._views(texture)[0]
        pictures.append((views[0].clamp(0, 1) * 255).round().byte().cpu())
        name = next((name for name in (CRITIC, ELSE) if critics.SOCKET.why_not(name) is None), None)
        if name is None:
            return
        self._eye = self._eye or critics.shared(critics.SOCKET.make(name), self._device)
        with torch.no_grad():
            into.append(self._eye.features(views).cpu())
