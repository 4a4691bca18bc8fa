"""How many views a card has room for at a time, from what is free on it."""

from __future__ import annotations

import math

import torch

KEPT, KEPT_ONWARD = 195_000, 270_000
"""Bytes that autograd keeps of one pass for each latent position, in bfloat16: for the gradient of the LoRA, and with that of the
latents, which goes through the ControlNet. Counted on Stable Diffusion 1's shapes; attention keeps no scores, so that they grow
with the area."""
RECOMPUTED, RECOMPUTED_ONWARD = 65_000, 75_000
"""The same where only what enters the blocks is kept, and one block at a time is computed again."""
FLEETING = 0.2
"""What a pass without a graph needs at its widest, as a part of what one with a graph keeps."""
ROOM = 0.85
"""Part of the free memory that is planned with: allocators leave gaps."""


def free_bytes(device: torch.device, limit: float = 0.0) -> float:
    """What this process may still take of a CUDA card; of all that is there, or of `limit` bytes."""
    free, total = torch.cuda.mem_get_info(device)
    taken = torch.cuda.memory_allocated(device)
    free += torch.cuda.memory_reserved(device) - taken
    share = getattr(torch.cuda, "get_per_process_memory_fraction", lambda _: 1.0)(device)  # from torch 2.7 on
    return max(0.0, min(free, total * share - taken, (limit or math.inf) - taken))


def pass_bytes(
    *, side: int, sides: int, dtype: torch.dtype, learning: bool, onward: bool = False, recomputed: bool = False
) -> float:
    """What one view needs on its way through the network: `sides` predictions of side² latents."""
    per_latent = (RECOMPUTED_ONWARD if onward else RECOMPUTED) if recomputed else (KEPT_ONWARD if onward else KEPT)
    kept = per_latent * side**2 * sides * dtype.itemsize / 2
    return kept if learning else kept * FLEETING


def at_once(views: int, *, each: float, free: float) -> int:
    """Views that fit at a time, in parts as equal as can be: of 6 views, 3 and 3 where 4 would fit. 0 where not one does."""
    fit = min(views, int(ROOM * free / each))
    return math.ceil(views / math.ceil(views / fit)) if fit else 0
