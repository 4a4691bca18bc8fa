"""Views that do not see each other inside the network agree through the texture they paint together."""

from __future__ import annotations

from torch import Tensor

from studio.generators import Scene


def fused(x0: Tensor, scene: Scene) -> Tensor:
    """x0 [V, C, H, W] of all views → the same views of the texture they bake to, inside the mask; linear in x0.

    Where a pixel sees no painted texel, its own value stays. Synchronised multi-view sampling (Liu et al. 2023).
    """
    assert scene.baker is not None
    seen = scene.baker.taps.fetch(scene.baker.bake(x0))
    alpha = scene.baker.taps.alpha.to(x0)
    return x0 + scene.mask * (seen - alpha * x0)
