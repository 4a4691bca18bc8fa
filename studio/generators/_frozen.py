"""Frozen networks that keep less for the way back, and norms that do not hold up a card.

Autograd keeps what enters a convolution even where its weights do not learn and only the shape is needed; and of a feed-forward
layer it keeps three tensors four to eight times as wide as what enters it, which are cheap to compute again. torch's group norm
gives each group of each picture to one block of threads, so that a few large pictures leave most of a card idle, and it wants
channels first, which costs a copy before and another one after it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

FEW, LARGE = 128, 1 << 14
"""Groups of all pictures, and pixels of one."""


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


class WideNorm(nn.GroupNorm):
    """A group norm of frozen weights whose statistics are sums over a whole card, where pictures are few and large."""

    def forward(self, input: Tensor) -> Tensor:
        few = input.ndim == 4 and input.shape[0] * self.num_groups < FEW and input.shape[-2:].numel() >= LARGE
        return _Normed.apply(input, self.weight, self.bias, self.num_groups, self.eps) if few else super().forward(input)  # type: ignore[return-value]


class _Normed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        count = x[0, 0].numel() * x.shape[1] // groups
        sums = x.sum((2, 3), dtype=wide), torch.linalg.vector_norm(x, 2, (2, 3), dtype=wide).square()  # of each channel
        mean, square = (s.unflatten(1, (groups, -1)).sum(-1) / count for s in sums)
        rstd = (square - mean.square()).clamp_min(0).add(eps).rsqrt()
        scale = rstd.repeat_interleave(x.shape[1] // groups, 1) * weight
        shift = bias - mean.repeat_interleave(x.shape[1] // groups, 1) * scale
        ctx.save_for_backward(x, weight, mean.to(x.dtype), rstd.to(x.dtype))
        ctx.groups = groups
        return torch.addcmul(shift[..., None, None], x, scale[..., None, None], out=torch.empty_like(x))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, weight, mean, rstd = ctx.saved_tensors
        sizes = (*x.shape[:2], x[0, 0].numel(), ctx.groups)
        found = torch.ops.aten.native_group_norm_backward(
            d.contiguous(), x.contiguous(), mean, rstd, weight, *sizes, [True, False, False]
        )
        return (found[0], *(None,) * 4)


def lean(network: nn.Module) -> None:
    """Let a frozen diffusers network keep less; what it computes stays the same."""
    from diffusers.models.attention import FeedForward

    for module in network.modules():
        if type(module) is nn.Conv2d and module.padding_mode == "zeros" and not isinstance(module.padding, str):
            module.__class__ = FrozenConv
        elif type(module) is nn.GroupNorm and module.affine:
            module.__class__ = WideNorm
        elif isinstance(module, FeedForward):
            module.forward = partial(_again, module.forward)  # type: ignore[method-assign]


def _again(forward: Any, x: Tensor, *rest: Any, **more: Any) -> Tensor:
    """A layer that is computed again on the way back."""
    if not (torch.is_grad_enabled() and x.requires_grad):
        return forward(x, *rest, **more)
    return checkpoint(forward, x, *rest, use_reentrant=False, preserve_rng_state=False, **more)
