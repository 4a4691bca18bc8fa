"""What painting with Stable Diffusion costs on a card, and how many views to send through the network at a time.

A pass costs the time to launch its kernels or the time they take, whichever is more; the rest goes with the number of views and
their area. Memory is what stays, and on top of it the largest of what sampling, learning, the decoder's way back and a look of
the critics take for a while.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.generators import Costs

if TYPE_CHECKING:
    import torch

ROOM = 0.85
"""Part of the free memory that is planned with: allocators leave gaps."""


@dataclass(frozen=True)
class Kept:
    """Bytes that one pass with a graph takes at its widest for each latent position, in half precision.

    Nine parts in ten are what autograd keeps, as counted on Stable Diffusion 1's shapes (`_frozen` keeps it lean); attention
    keeps no scores, so that all of it grows with the area.
    """

    lora: int
    """For the gradient of the LoRA alone,"""
    onward: int
    """and with that of the latents, which goes through the ControlNet."""

    def bytes(self, *, onward: bool) -> int:
        return self.onward if onward else self.lora


WHOLE, RECOMPUTED = Kept(115_000, 156_000), Kept(50_000, 55_000)
"""All of it; and where only what enters the blocks is kept, and one block at a time is computed again."""
FLEETING = 22_000
"""The same of a pass without a graph."""
DECODER_BYTES, DECODER_AGAIN_BYTES = 2.1e9, 0.9e9
"""What the decoder takes for a picture of 512² and its way back, in half precision; and where its blocks are recomputed."""
WEIGHTS_BYTES, HELD_BYTES = 2.61e9, 1.34e9
"""Of network, ControlNet and autoencoder, in half precision; and of bake, texture and rewards, at 1024² texels."""


@dataclass(frozen=True)
class Pace:
    """Seconds on an H200, in bfloat16; `tests/bench/sd.py` measures and prints them. Of one prediction of 64² latents each."""

    launch_s: float
    """A pass, however small."""
    forward_s: float
    back_s: float
    """The way back, on top of the way there."""
    fuse_s: float
    """A step's meeting of views in the texture, per view."""
    decode_s: float
    """A picture and its way back, per view."""
    score_s: float
    """All geometric rewards and a critic, per view, and bake and back."""


PACE = Pace(launch_s=0.0923, forward_s=0.00623, back_s=0.00845, fuse_s=0.000587, decode_s=0.0626, score_s=0.0321)


@dataclass(frozen=True)
class Work:
    """What a step is asked to do: `views`, each as `sides` predictions (2 with guidance) of `side`² latents."""

    views: int
    side: int
    sides: int
    itemsize: int = 2
    """Bytes per number in the network."""

    @property
    def area(self) -> float:
        """Of a view, where 512² is 1."""
        return (self.side / 64) ** 2

    def pass_bytes(self, kept: float) -> float:
        """What one view needs on its way through the network."""
        return kept * self.side**2 * self.sides * self.itemsize / 2


@dataclass(frozen=True)
class Plan:
    """How many views go through the network at a time."""

    chunk: int
    recompute: bool = False

    def passes(self, views: int) -> list[int]:
        """The sizes of the chunks."""
        return [min(self.chunk, views - a) for a in range(0, views, self.chunk)]


def sampling(work: Work, *, free: float) -> Plan:
    """Without a graph, in `free` bytes; one view at a time where none is said to fit."""
    return Plan(_at_once(work.views, each=work.pass_bytes(FLEETING), free=free) or 1)


def learning(work: Work, *, free: float, onward: bool) -> Plan:
    """With a graph, which leads on to the latents where `onward`; blocks are recomputed where not one view fits otherwise."""
    for kept, recompute in ((WHOLE, False), (RECOMPUTED, True)):
        if fit := _at_once(work.views, each=work.pass_bytes(kept.bytes(onward=onward)), free=free):
            return Plan(fit, recompute)
    return Plan(1, recompute=True)


def decoding(work: Work, *, free: float) -> Plan:
    """The decoder with a graph, one view at a time; it recomputes its blocks where `free` bytes are too little otherwise."""
    return Plan(1, recompute=decoder_bytes(work, Plan(1)) > ROOM * free)


def decoder_bytes(work: Work, plan: Plan) -> float:
    """What a view and its way back take."""
    return (DECODER_AGAIN_BYTES if plan.recompute else DECODER_BYTES) * work.area * work.itemsize / 2


def _at_once(views: int, *, each: float, free: float) -> int:
    """Views that fit at a time, in parts as equal as can be: of 6 views, 3 and 3 where 4 would fit. 0 where not one does."""
    fit = min(views, int(ROOM * free / each)) if math.isfinite(free) else views
    return math.ceil(views / math.ceil(views / fit)) if fit else 0


# -- the forecast ---------------------------------------------------------------------------------------------------------------


def costs(work: Work, *, free: float, onward: bool, in_turn: bool = False) -> Costs:
    """With `free` bytes of a card before anything is loaded; `in_turn`: views are sampled one after the other."""
    held = HELD_BYTES + WEIGHTS_BYTES * work.itemsize / 2
    left = max(0.0, free - held)
    sampled = Plan(1) if in_turn else sampling(work, free=left)
    learned = learning(work, free=left, onward=onward)
    fleeting = fleeting_bytes(work, sampled, learned, decoding(work, free=left), onward=onward)
    return Costs(step_s(work, sampled), learn_s(work, learned), score_s(work), held, fleeting, learned.chunk)


def fleeting_bytes(work: Work, sampled: Plan, learned: Plan, decoded: Plan, *, onward: bool) -> float:
    """The most that comes and goes."""
    kept = (RECOMPUTED if learned.recompute else WHOLE).bytes(onward=onward)
    network = max(sampled.chunk * work.pass_bytes(FLEETING), learned.chunk * work.pass_bytes(kept))
    return max(network, decoder_bytes(work, decoded))


def step_s(work: Work, plan: Plan, pace: Pace = PACE) -> float:
    """One denoising step of all views."""
    network = sum(max(pace.launch_s, pace.forward_s * n * work.sides * work.area) for n in plan.passes(work.views))
    return network + pace.fuse_s * work.views * work.area


def learn_s(work: Work, plan: Plan, pace: Pace = PACE) -> float:
    """One differentiated step: there, back, and where blocks are recomputed there once more."""
    there, each = (2 if plan.recompute else 1), work.sides * work.area
    return sum(
        there * max(pace.launch_s, pace.forward_s * n * each) + max(pace.launch_s, pace.back_s * n * each)
        for n in plan.passes(work.views)
    )


def score_s(work: Work, pace: Pace = PACE) -> float:
    """What a texture costs beside the network: its pictures, the bake, the rewards, and back."""
    return work.views * (pace.decode_s * work.area + pace.score_s)


def free_bytes(device: torch.device, limit: float = 0.0) -> float:
    """What this process may still take of a CUDA card; of all that is there, or of `limit` bytes."""
    import torch

    free, total = torch.cuda.mem_get_info(device)
    taken = torch.cuda.memory_allocated(device)
    free += torch.cuda.memory_reserved(device) - taken
    share = getattr(torch.cuda, "get_per_process_memory_fraction", lambda _: 1.0)(device)  # from torch 2.7 on
    return max(0.0, min(free, total * share - taken, (limit or math.inf) - taken))
