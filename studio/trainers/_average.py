"""The exponential moving average of what learns: calmer than the newest step (Polyak and Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from studio.generators import Painter


class Average:
    """Follows a painter's LoRA. With a decay of 0 it is the LoRA itself."""

    def __init__(self, painter: Painter, decay: float) -> None:
        self._painter, self._decay = painter, decay
        self._begin()

    def _begin(self) -> None:
        self._updates = 0
        self._kept = [p.detach().clone() for p in self._painter.lora_parameters()]

    def update(self) -> None:
        """After a step. The first ones count more, (1 + n)/(10 + n), or the average would long be that of the beginning."""
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        with torch.no_grad():
            for kept, p in zip(self._kept, self._painter.lora_parameters(), strict=True):
                kept.lerp_(p, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within: the painter paints with the average."""
        parameters = self._painter.lora_parameters()
        own = [p.detach().clone() for p in parameters]
        self._put(self._kept)
        try:
            yield
        finally:
            self._put(own)

    def settle(self) -> None:
        """The learning is over: the painter keeps the average."""
        self._put(self._kept)

    def _put(self, values: list[torch.Tensor]) -> None:
        with torch.no_grad():
            for p, value in zip(self._painter.lora_parameters(), values, strict=True):
                p.copy_(value)

    def state(self) -> dict[str, Any]:
        """ "lora" is what paints in the end; where that is an average, "raw" is what learns."""
        raw = self._painter.lora_state()
        if not self._decay:
            return {"lora": raw}
        with self.in_place():
            return {"lora": self._painter.lora_state(), "raw": raw, "updates": self._updates}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put such a state back, also one that was made with another decay."""
        self._painter.load_lora(state["lora"])
        self._begin()
        self._updates = int(state.get("updates", 0))
        if "raw" in state:
            self._painter.load_lora(state["raw"])
