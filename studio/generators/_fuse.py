"""Views that do not see each other inside the network agree through the texture they paint together."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from studio.generators import Scene


def fused(x0: Tensor, scene: Scene) -> Tensor:
    """x0 [V, C, h, w] of all views → the same views of the texture they bake to, inside the mask; linear in x0.

    Where a pixel sees no painted texel, its own value stays. Latents are coarser than pictures by a whole factor: each stands for
    a block of pixels and moves by their mean. Synchronised multi-view sampling (SyncMVD, 2311.12891).
    """
    assert scene.baker is not None
    k = scene.mask.shape[-1] // x0.shape[-1]
    fine = x0 if k == 1 else F.interpolate(x0, scale_factor=k, mode="nearest")
    seen = scene.baker.taps.fetch(scene.baker.bake(fine))
    moved = scene.mask * (seen - scene.baker.taps.alpha.to(x0) * fine)
    return x0 + (moved if k == 1 else F.avg_pool2d(moved, k))
