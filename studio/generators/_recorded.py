"""A network's pass without a gradient, recorded once on CUDA and then launched whole (CUDA graphs).

A small network's hundreds of operations take the host longer to launch than the card to do.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

KEPT = 4
"""Recordings kept at a time, of different shapes or adapters."""


@dataclass(eq=False)
class _Recording:
    graph: torch.cuda.CUDAGraph
    reads: tuple[Tensor, ...]
    gives: Tensor


class Recorded:
    """Calls `work(*tensors, **constants)`, a pure function of these and of weights that stay where they are.

    The second call of a kind records it and later ones launch the recording; the first does not, so that what happens once is
    never recorded, and cuDNN and cuBLAS have made their choices. Weights may change in place. Elsewhere than on CUDA, and
    while a gradient is wanted, `work` is simply called; also from then on where it could not be recorded.
    """

    def __init__(self, work: Callable[..., Tensor]) -> None:
        self._work = work
        self._known: dict[Hashable, _Recording | None] = {}
        self._refused = False

    def __call__(self, *tensors: Tensor, under: Hashable, **constants: Hashable) -> Tensor:
        """`under`: what else the work depends on, such as which adapters take part."""
        if self._refused or not tensors[0].is_cuda or torch.is_grad_enabled():
            return self._work(*tensors, **constants)
        kind = (under, *constants.items(), *((t.shape, t.dtype, t.stride()) for t in tensors))
        if kind not in self._known:
            while len(self._known) >= KEPT:
                del self._known[next(iter(self._known))]
            self._known[kind] = None
            return self._work(*tensors, **constants)
        try:
            known = self._known[kind] = self._known.pop(kind) or self._record(tensors, constants)
        except RuntimeError:  # a driver that cannot, too little memory
            self._refused = True
            return self._work(*tensors, **constants)
        for place, tensor in zip(known.reads, tensors, strict=True):
            place.copy_(tensor)
        known.graph.replay()
        return known.gives.clone()

    def _record(self, tensors: tuple[Tensor, ...], constants: Mapping[str, Hashable]) -> _Recording:
        reads = tuple(t.clone() for t in tensors)
        graph = torch.cuda.CUDAGraph()
        # Other threads (the viewport) may use the card meanwhile; a recording that fails must not leave us in its stream.
        with torch.cuda.stream(torch.cuda.current_stream()), torch.cuda.graph(graph, capture_error_mode="thread_local"):
            gives = self._work(*reads, **constants)
        return _Recording(graph, reads, gives)
