"""Views painted one after the other, each continuing the last ones: how they are sampled, and how what they do is learned.

What one view gives to the next counts as constant, so that `studio.replay` differentiates all views at once; or, where that is
wanted, learning goes through it, too: back through the views in turn, and through each view's steps, one at a time. Both
recompute a step from what entered it, as checkpointing does, by pure functions of a state that is kept; so recomputation sees
what the first computation saw. Painters that paint all views together are sampled and replayed as ever.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace as changed
from typing import Any

import torch
from torch import Tensor

from studio import replay as together
from studio.generators import Painter, Scene, Turns
from studio.progress import Progress
from studio.replay import Flow, Rollout, denoised, drawn, vjp


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
    """As `studio.replay.sample`, in turns where the painter takes them; the rollout's scene holds what each view was given."""
    turns = painter.turns
    if turns is None:
        return (yield from together.sample(painter, scene, seed=seed, chunk=chunk, stage=stage, show=show, eta=eta))
    x, noises = drawn(painter, scene, seed, eta=eta)
    scene = turns.begun(scene, x)
    done: list[Rollout] = []
    pictures = torch.zeros_like(scene.mask).repeat(1, 3, 1, 1)
    for view in range(scene.views):
        v = slice(view, view + 1)
        with torch.no_grad():
            part = turns.part(scene, view, turns.given(scene, pictures, view))
        seen = show and _among(show, [r.x0 for r in done], x)
        noise = [None if n is None else n[v] for n in noises]
        steps = denoised(painter, part, x[v], noise, chunk=None, stage=stage, show=seen, eta=eta)
        while True:
            try:
                p = next(steps)
            except StopIteration as end:
                done.append(end.value)
                break
            yield changed(p, step=view * painter.steps + p.step, total=scene.views * painter.steps)
        with torch.no_grad():
            pictures = torch.cat([pictures[:view], painter.decode(done[-1].x0, part), pictures[view + 1 :]])
    given = tuple(torch.cat(each) for each in zip(*(r.scene.given for r in done), strict=True))
    entering, predictions = (tuple(torch.cat(each) for each in zip(*of, strict=True)) for of in _columns(done))
    x0 = torch.cat([r.x0 for r in done])
    return Rollout(entering, predictions, tuple(noises), x0, changed(scene, given=given))


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
    """As `studio.replay.replay`; through what views give to each other, where the painter's turns are exact."""
    options = {"truncation": truncation, "anchor": anchor, "gauge": gauge}
    if painter.turns is None or not painter.turns.exact:
        return (yield from together.replay(painter, scene, rollout, d_pictures, chunk=chunk, probe=probe, **options))
    return (yield from _chained(painter, painter.turns, scene, rollout, d_pictures, **options))


def _chained(
    painter: Painter,
    turns: Turns,
    scene: Scene,
    rollout: Rollout,
    d_pictures: Tensor,
    *,
    truncation: int,
    anchor: float,
    gauge: bool,
) -> Generator[Progress, None, Flow]:
    """The adjoint of the whole chain of views, from the last one back; the last `truncation` steps of each are differentiated."""
    steps, views, parameters = painter.steps, scene.views, painter.lora_parameters()
    total, reached, latents, squares = views * truncation, 0.0, 0.0, 0.0
    with torch.no_grad():
        pictures = torch.cat([painter.decode(rollout.x0[v], scene, views=v) for v in _each(views)])
    d_pictures = d_pictures.clone()
    for view in reversed(range(views)):
        v = slice(view, view + 1)
        given = tuple(g[v].detach().requires_grad_() for g in scene.given)
        part = turns.part(scene, view, given)
        with torch.enable_grad():
            x0 = rollout.x0[v].detach().requires_grad_()
            shown = painter.decode(x0, part)
        d_x, *d_given = vjp(shown, (x0, *given), d_pictures[v])
        latents += float(d_x.square().sum())
        for i in reversed(range(steps - truncation, steps)):
            noise = rollout.noise[i]
            with torch.enable_grad():
                x = rollout.entering[i][v].detach().requires_grad_()
                prediction = painter.predict(x, i, part)
                after = painter.advance(x, prediction, i, part, noise=None if noise is None else noise[v])
            d_prediction, d_x, *found = vjp(after, (prediction, x, *given, *parameters), d_x, retain=True)
            reached += float(d_prediction.square().sum()) if i == steps - 1 else 0.0
            d_given = [a + b for a, b in zip(d_given, found[: len(given)], strict=True)]
            found = found[len(given) :]
            if anchor or (gauge and i == steps - 1):
                with torch.no_grad(), painter.base():
                    apart = prediction.detach() - painter.predict(x, i, part)
                squares += float(apart.square().sum()) / apart.numel() / views if i == steps - 1 else 0.0
                pull = vjp(prediction, tuple(parameters), (2 * anchor / apart.numel() / views) * apart) if anchor else ()
                found = [a + b for a, b in zip(found, pull, strict=True)] if anchor else found
            del prediction, after
            for p, g in zip(parameters, found, strict=True):
                p.grad = g if p.grad is None else p.grad + g
            yield Progress("learning", (views - 1 - view) * truncation + steps - i, total)
        with torch.enable_grad():
            leaf = pictures.detach().requires_grad_()
            handed = turns.given(scene, leaf, view)
        for tensor, d in zip(handed, d_given, strict=True):
            d_pictures += vjp(tensor, (leaf,), d, retain=True)[0]
    lora = math.sqrt(sum(float(p.grad.square().sum()) for p in parameters if p.grad is not None))
    drift = squares if anchor or gauge else None
    return Flow(float(d_pictures.norm()), math.sqrt(latents), math.sqrt(reached), lora, None, drift)


def _each(views: int) -> list[slice]:
    return [slice(i, i + 1) for i in range(views)]


def _columns(done: list[Rollout]) -> tuple[list[tuple[Tensor, ...]], list[tuple[Tensor, ...]]]:
    return [r.entering for r in done], [r.predictions for r in done]


def _among(show: Callable[[Tensor], Mapping[str, Any]], before: list[Tensor], x: Tensor) -> Callable[[Tensor], Mapping[str, Any]]:
    """Shows a view's guess among those that are painted, and noise."""
    return lambda guess: show(torch.cat([*before, guess, x[len(before) + 1 :]]))
