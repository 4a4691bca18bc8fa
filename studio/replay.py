"""Sampling without a graph, and the exact gradient of what was sampled, one denoising step at a time.

Back-propagation through a whole denoising chain (DRaFT, arXiv 2309.17400; AlignProp, 2310.03739) keeps every activation of
every step. Here the chain is sampled without a graph; only the latents that enter each step, the network's raw predictions and
the noise are kept. The gradient then walks back from the decoded pictures: first the adjoint of `Painter.advance`, which couples
the views but holds no network, then the network's vector–Jacobian product per chunk of views. The result is the gradient of
truncated back-propagation through the last K steps, exact for any K, in the memory of one chunk of one step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from studio.errors import StudioError
from studio.generators import Painter, Scene
from studio.progress import Progress

DEAD_SHARE = 0.01
"""Below this share of the whole chain's direct gradient, the last K steps do not steer the picture."""


@dataclass(frozen=True, eq=False)
class Rollout:
    """One sampled chain: per step the latents that entered it [V, C, h, w], the prediction [V, P, C, h, w], the noise drawn."""

    entering: tuple[Tensor, ...]
    predictions: tuple[Tensor, ...]
    noise: tuple[Tensor | None, ...]
    x0: Tensor
    scene: Scene
    """What it was sampled in; where views are painted one after the other, with what each one saw of those before."""


@dataclass(frozen=True)
class Flow:
    """How much gradient reached each stage on the way back (Frobenius norms), and the last K steps' share of the chain's."""

    pictures: float
    latents: float
    prediction: float
    lora: float
    share: float | None = None
    """Measured by the probe alone."""
    drift: float | None = None
    """mean‖prediction − base prediction‖² at the last step, where the anchor or the gauge asked for it."""


def chunks(painter: Painter, views: int, size: int | None) -> list[slice]:
    """Slices of at most `size` views; all views at once where they meet inside the network or no size is given."""
    if painter.views_meet_inside or not size or size >= views:
        return [slice(0, views)]
    return [slice(a, min(a + size, views)) for a in range(0, views, size)]


def sample(
    painter: Painter,
    scene: Scene,
    *,
    seed: int,
    chunk: int | None = None,
    stage: str = "sampling",
    show: Callable[[Tensor], Mapping[str, Any]] | None = None,
    eta: float | None = None,
) -> Generator[Progress, None, Rollout]:
    """Denoise all views together from `seed`; yields once per step and returns the `Rollout`.

    `eta` counts in place of the painter's own, where it is given. `show` makes, of each step's guess of x_0, what the progress
    tells of it. Noise is drawn on the CPU in a fixed order, so a seed means the same picture for every chunk size and on every
    device.
    """
    x, noises = drawn(painter, scene, seed, eta=eta)
    return (yield from denoised(painter, scene, x, noises, chunk=chunk, stage=stage, show=show, eta=eta))


def drawn(painter: Painter, scene: Scene, seed: int, *, eta: float | None = None) -> tuple[Tensor, list[Tensor | None]]:
    """All noise of a seed: what the chain starts from, and what each step adds."""
    source = torch.Generator().manual_seed(seed)
    x = painter.noise(scene, generator=source)
    noisy = (painter.eta if eta is None else eta) > 0
    fresh = [noisy and i < painter.steps - 1 for i in range(painter.steps)]
    return x, [painter.noise(scene, generator=source) if adds else None for adds in fresh]


def denoised(
    painter: Painter,
    scene: Scene,
    x: Tensor,
    noises: Sequence[Tensor | None],
    *,
    chunk: int | None,
    stage: str,
    show: Callable[[Tensor], Mapping[str, Any]] | None,
    eta: float | None = None,
) -> Generator[Progress, None, Rollout]:
    """`sample` from noise that is drawn already."""
    entering, predictions = [], []
    for i, noise in enumerate(noises):
        with torch.no_grad():
            prediction = torch.cat([painter.predict(x[v], i, scene, views=v) for v in chunks(painter, scene.views, chunk)])
            entering.append(x)
            predictions.append(prediction)
            x = painter.advance(x, prediction, i, scene, noise=noise, eta=eta)
            told = show(painter.guess(entering[-1], prediction, i, scene)) if show else {}
        yield Progress(stage, i + 1, painter.steps, **told)
    return Rollout(tuple(entering), tuple(predictions), tuple(noises), x, scene)


def decode(painter: Painter, x0: Tensor, scene: Scene) -> Tensor:
    """Pictures [V, P, H, W] of the latents, decoded view by view, without a graph."""
    with torch.no_grad():
        return torch.cat([painter.decode(x0[v], scene, views=v) for v in _singly(x0)])


def replay(
    painter: Painter,
    scene: Scene,
    rollout: Rollout,
    d_pictures: Tensor,
    *,
    truncation: int,
    anchor: float = 0.0,
    gauge: bool = False,
    chunk: int | None = None,
    probe: bool = False,
) -> Generator[Progress, None, Flow]:
    """Add to the LoRA's `.grad` the gradient of a loss whose derivative by the decoded pictures is `d_pictures` [V, P, H, W].

    `truncation` is K, the number of last steps that are differentiated; K = steps is the full gradient. `anchor` adds
    anchor · mean‖prediction − base prediction‖² at each replayed step, with the latents held fixed; `gauge` measures that
    drift at the last step without an anchor, too; `probe` measures the last K steps' share of the gradient. Yields once per
    replayed step; returns the `Flow` of gradient.
    """
    steps, first = painter.steps, painter.steps - truncation
    assert 1 <= truncation <= steps, truncation
    d_x = _decode_adjoint(painter, scene, rollout.x0, d_pictures)
    latents = float(d_x.norm())
    share = (yield from _share(painter, scene, rollout, d_x, truncation)) if probe else None
    reached, drift = 0.0, None
    for i in reversed(range(first, steps)):
        d_direct, d_prediction = _advance_adjoint(painter, scene, rollout, i, d_x)
        if i == steps - 1 or not reached:
            reached = float(d_prediction.norm())
        through, apart = yield from _network_adjoint(
            painter,
            scene,
            rollout,
            i,
            d_prediction,
            anchor=anchor,
            gauge=gauge and i == steps - 1,
            chunk=chunk,
            onward=i > first,
            done=(steps - 1 - i, truncation),
        )
        d_x, drift = d_direct + through, apart if i == steps - 1 else drift
        yield Progress("learning", steps - i, truncation)
    grads = [p.grad for p in painter.lora_parameters() if p.grad is not None]
    lora = float(torch.nn.utils.get_total_norm(grads))
    return Flow(float(d_pictures.norm()), latents, reached, lora, share, drift)


def check_flow(flow: Flow, *, texture: float) -> None:
    """The gradient probe: raises StudioError that names the first stage no gradient passes. `texture` is ‖dR/dtexture‖."""
    stages = (
        ("the rewards", texture, "Give a reward a weight and a region, or choose one that this texture does not satisfy yet."),
        ("the bake", flow.pictures, "No painted pixel reaches a rewarded texel; add views or check the mesh's UVs."),
        ("the decoder", flow.latents, "The decoder is saturated or detached; lower the guidance scale."),
        ("the scheduler", flow.prediction, "Use trailing timestep spacing, or a larger K."),
        ("the network", flow.lora, "The LoRA is not attached to the network that painted; use a rank of at least 1."),
    )
    for stage, norm, remedy in stages:
        if not math.isfinite(norm):
            problem = f"The gradient turns into {norm} in {stage}."
            raise StudioError(problem, "Lower the rate or the guidance scale, or switch off the newest reward.")
        if norm == 0:
            raise StudioError(f"Nothing reaches the LoRA: the gradient ends at {stage}.", remedy)
    if flow.share is not None and flow.share < DEAD_SHARE:
        raise StudioError(
            f"The last steps carry only {flow.share:.2%} of the gradient, so learning from them would do nothing.",
            "Use trailing timestep spacing with a final noise level of 0, or a larger K.",
        )


def _singly(views: Tensor) -> list[slice]:
    """One slice for each view."""
    return [slice(i, i + 1) for i in range(len(views))]


def _decode_adjoint(painter: Painter, scene: Scene, x0: Tensor, d_pictures: Tensor) -> Tensor:
    parts = []
    for v in _singly(x0):
        with torch.enable_grad():
            leaf = x0[v].detach().requires_grad_()
            pictures = painter.decode(leaf, scene, views=v)
        (part,) = vjp(pictures, (leaf,), d_pictures[v])
        parts.append(part)
    return torch.cat(parts)


def _advance_adjoint(painter: Painter, scene: Scene, rollout: Rollout, i: int, d_next: Tensor) -> tuple[Tensor, Tensor]:
    """(direct gradient for x_i, gradient for the prediction) of one scheduler step, all views jointly, no network."""
    with torch.enable_grad():
        x = rollout.entering[i].detach().requires_grad_()
        prediction = rollout.predictions[i].detach().requires_grad_()
        after = painter.advance(x, prediction, i, scene, noise=rollout.noise[i])
    d_x, d_prediction = vjp(after, (x, prediction), d_next)
    return d_x, d_prediction


def _network_adjoint(
    painter: Painter,
    scene: Scene,
    rollout: Rollout,
    i: int,
    d_prediction: Tensor,
    *,
    anchor: float,
    gauge: bool,
    chunk: int | None,
    onward: bool,
    done: tuple[int, int],
) -> Generator[Progress, None, tuple[Tensor, float | None]]:
    """The network's share of the gradient for x_i, and the drift where it was asked for; parameter gradients accumulate.

    `onward` false: nothing goes further back. Yields between the network's passes; `done` is how many of how many steps were
    replayed before."""
    parameters = painter.lora_parameters()
    parts, squares = [], 0.0
    for v in chunks(painter, scene.views, chunk):
        with torch.enable_grad():
            x = rollout.entering[i][v].detach().requires_grad_(onward)
            prediction = painter.predict(x, i, scene, views=v)
        yield Progress("learning", *done)
        d = d_prediction[v]
        if onward and anchor:  # which pulls at the parameters alone: two passes
            parts += vjp(prediction, (x,), d, retain=True)
            yield Progress("learning", *done)
        if anchor or gauge:
            with torch.no_grad(), painter.base():
                base = painter.predict(x, i, scene, views=v)
            yield Progress("learning", *done)
            apart = prediction.detach() - base
            squares += float(apart.square().sum())
            d = d + (2 * anchor / d_prediction.numel()) * apart if anchor else d
        at_x = (x,) if onward and not anchor else ()
        found = vjp(prediction, (*at_x, *parameters), d)
        del prediction  # its graph, before that of the next chunk is built
        parts += found[: len(at_x)]
        for p, g in zip(parameters, found[len(at_x) :], strict=True):
            p.grad = g if p.grad is None else p.grad + g
    through = torch.cat(parts) if onward else torch.zeros_like(rollout.entering[i])
    return through, squares / d_prediction.numel() if anchor or gauge else None


def _share(painter: Painter, scene: Scene, rollout: Rollout, d_x: Tensor, truncation: int) -> Generator[Progress, None, float]:
    """Norm of the last K predictions' gradients over all predictions', along the scheduler alone (the network is left out)."""
    squares = []
    for i in reversed(range(painter.steps)):
        d_x, d_prediction = _advance_adjoint(painter, scene, rollout, i, d_x)
        squares.append(float(d_prediction.square().sum()))
        yield Progress("learning", 0, truncation)
    total = sum(squares)
    return math.sqrt(sum(squares[:truncation]) / total) if total > 0 else 0.0


def vjp(output: Tensor, inputs: tuple[Tensor, ...], d_output: Tensor, *, retain: bool = False) -> tuple[Tensor, ...]:
    """Vector–Jacobian products, zeros where an input does not matter."""
    if not output.requires_grad:
        return tuple(torch.zeros_like(x) for x in inputs)
    found = torch.autograd.grad(output, inputs, d_output, retain_graph=retain, allow_unused=True)
    return tuple(torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True))


def drain(steps: Iterator[Progress] | Generator[Progress, None, object]) -> object:
    """Run a stage to its end and return its value, for callers that watch nothing (tests, scripts)."""
    iterator = iter(steps)
    while True:
        try:
            next(iterator)
        except StopIteration as end:
            return end.value
