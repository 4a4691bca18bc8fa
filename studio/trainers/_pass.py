"""One pass of a painter's network over all views and the way back through it, in the memory of one chunk of views."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Sequence

import torch
from torch import Tensor

from studio.errors import StudioError
from studio.generators import Painter, Scene
from studio.progress import Progress
from studio.replay import chunks


class Pass:
    """The prediction for the latents x [V, C, h, w] that enter step i, of the network as it is or as it was at first (`base`).

    Where all views go through the network at once, their graph is kept for the way back; of several chunks each is computed anew.
    Every method yields between chunks.
    """

    def __init__(self, painter: Painter, scene: Scene, x: Tensor, i: int, *, chunk: int | None, base: bool = False) -> None:
        self._painter, self._scene, self._x, self._i, self._base = painter, scene, x.detach(), i, base
        self._chunks = chunks(painter, scene.views, chunk)
        self._kept: tuple[Tensor, Tensor] | None = None

    def forward(self, *, for_x: bool = False, for_parameters: bool = False) -> Generator[Progress, None, Tensor]:
        """[V, P, C, h, w], without a graph; say whether the way back will lead to x or to what learns."""
        parts = []
        for v in self._chunks:
            with self._mode(), torch.set_grad_enabled(len(self._chunks) == 1 and (for_x or for_parameters)):
                x = self._x[v].requires_grad_(for_x)
                part = self._painter.predict(x, self._i, self._scene, views=v)
            self._kept = (x, part) if part.requires_grad else None
            parts.append(part.detach())
            yield Progress("learning", 0, 1)
        return torch.cat(parts)

    def to_x(self, d_prediction: Tensor) -> Generator[Progress, None, Tensor]:
        """The gradient for x of a loss with this derivative by the prediction."""
        parts = []
        for v in self._chunks:
            x, part = self._graph(v, for_x=True)
            parts.append(torch.autograd.grad(part, x, d_prediction[v])[0])
            yield Progress("learning", 0, 1)
        return torch.cat(parts)

    def to_parameters(self, d_prediction: Tensor) -> Generator[Progress, None, None]:
        """Add that gradient for what learns to its `.grad`."""
        parameters = self._painter.lora_parameters()
        for v in self._chunks:
            part = self._graph(v, for_x=False)[1]
            grads = torch.autograd.grad(part, parameters, d_prediction[v], allow_unused=True)
            for p, g in zip(parameters, grads, strict=True):
                if g is not None:
                    p.grad = g if p.grad is None else p.grad + g
            yield Progress("learning", 0, 1)

    def _graph(self, v: slice, *, for_x: bool) -> tuple[Tensor, Tensor]:
        if self._kept is not None:
            kept, self._kept = self._kept, None
            return kept
        with self._mode(), torch.enable_grad():
            x = self._x[v].detach().requires_grad_(for_x)
            return x, self._painter.predict(x, self._i, self._scene, views=v)

    def _mode(self) -> contextlib.AbstractContextManager[None]:
        return self._painter.base() if self._base else contextlib.nullcontext()


def clipped_norm(parameters: Sequence[Tensor], limit: float = math.inf) -> float:
    """The norm of the gradient that passes have added up, which is scaled down to `limit`. Raises StudioError where it is no
    number: a step along it would lose all that was learned."""
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, limit))
    if not math.isfinite(norm):
        raise StudioError(f"The gradient turns into {norm}.", "Lower the rate or beta, or the generator's guidance.")
    return norm
