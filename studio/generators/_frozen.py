"""Frozen networks that keep less for the way back.

Autograd keeps what enters a convolution even where its weights do not learn and only the shape is needed; and of a feed-forward
layer it keeps three tensors that are four to eight times as wide as what enters it, and cheap to compute again.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint


class FrozenConv(nn.Conv2d):
    """A convolution whose weights get no gradient; its input does, but is not kept."""

    def forward(self, input: Tensor) -> Tensor:
        if not (torch.is_grad_enabled() and input.requires_grad):
            return super().forward(input)
        return _Convolved.apply(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)  # type: ignore[return-value]


class _Convolved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, *how: Any) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.shape, ctx.how = x.shape[-2:], how
        return torch.conv2d(x, weight, bias, *how)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        (weight,) = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.how
        reach = [p * 2 - w * (k - 1) - 1 for p, w, k in zip(padding, dilation, weight.shape[-2:], strict=True)]
        beyond = [n - (m - 1) * s + r for n, m, s, r in zip(ctx.shape, d.shape[-2:], stride, reach, strict=True)]
        return (torch.conv_transpose2d(d, weight, None, stride, padding, beyond, groups, dilation), *(None,) * 6)


def lean(network: nn.Module) -> None:
    """Let a frozen diffusers network keep less; what it computes stays the same."""
    from diffusers.models.attention import FeedForward

    for module in network.modules():
        if type(module) is nn.Conv2d and module.padding_mode == "zeros" and not isinstance(module.padding, str):
            module.__class__ = FrozenConv
        elif isinstance(module, FeedForward):
            module.forward = partial(_again, module.forward)  # type: ignore[method-assign]


def _again(forward: Any, x: Tensor, *rest: Any, **more: Any) -> Tensor:
    """A layer that is computed again on the way back."""
    if not (torch.is_grad_enabled() and x.requires_grad):
        return forward(x, *rest, **more)
    return checkpoint(forward, x, *rest, use_reentrant=False, preserve_rng_state=False, **more)
