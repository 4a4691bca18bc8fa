"""The stages that `studio.run` puts together: checks, unwrapping, held-out seeds, watching a trainer, and what to say."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from studio.config import Config
from studio.errors import StudioError
from studio.generators import Words
from studio.objective import Objective
from studio.plug import shown
from studio.progress import Progress
from studio.surface.atlas import Atlas
from studio.surface.health import OVERLAP_LIMIT
from studio.surface.mesh import Mesh
from studio.surface.unwrap import unwrap
from studio.texture import Texture

SHOWN_SEEDS = 4
"""Textures of this many held-out seeds are kept for pictures: the first ones, never chosen ones."""
NAMED_WORDS = 8
"""At most this many words of a prompt are named in a message of their own."""


def check_resume(config: Config, resume: Mapping[str, Any]) -> None:
    """Raises StudioError when a checkpoint cannot continue this config; more iterations are welcome."""
    if {"config", "mesh", "objective", "trainer", "steps"} - set(resume):
        raise StudioError("The checkpoint is damaged.", "Delete it and start without --resume.")
    if resume["config"] != replace(config, iterations=0).to_toml():
        raise StudioError("The checkpoint was made with other settings.", "Give the same ones again, or start without --resume.")


def told_of_words(words: Words) -> Iterator[str]:
    """What the user should know of how a prompt was read, in sentences."""
    for word, near in words.unknown[:NAMED_WORDS]:
        hint = f"; the nearest it knows is '{near}'" if near else ""
        yield f"The generator does not know the word '{shown(word)[1:-1]}'{hint}."
    if (more := len(words.unknown) - NAMED_WORDS) > 0:
        yield f"Nor does it know {more} more words of the prompt."
    if words.unread:
        left = ", ".join(words.unread[:NAMED_WORDS]) + (", ..." if len(words.unread) > NAMED_WORDS else "")
        yield f"The prompt is longer than the generator reads; it ends before: {left}."


def told_of_shared(atlas: Atlas) -> str:
    """What to say of surface that shares its texels: past the limit new UVs are offered, never imposed."""
    share = float(atlas.shared.sum() / atlas.valid.sum().clamp(min=1))
    if share <= OVERLAP_LIMIT:
        return ""
    return f"{share:.0%} of the texels belong to several places of the surface and look alike there; --unwrap lays out new UVs."


class _Value:
    """Iterates a generator and keeps what it returns."""

    def __init__(self, steps: Generator[Any, None, Any]) -> None:
        self._steps = steps
        self.value: Any = None

    def __iter__(self) -> Iterator[Any]:
        self.value = yield from self._steps


def unwrapped(mesh: Mesh, size_px: int) -> Generator[Progress, None, Mesh]:
    """The mesh with UVs by xatlas, for an atlas of size_px; its progress as a run's."""
    steps = _Value(unwrap(mesh, size_px=size_px))
    for p in steps:
        yield Progress("unwrapping", p.done, p.total)
    return steps.value


def held_out(
    objective: Objective, mesh: Mesh, seeds: Sequence[int], stage: str
) -> Generator[Progress, None, tuple[tuple[Texture, ...], list[dict[str, float]]]]:
    """Paint and score seeds that are never trained on: the first SHOWN_SEEDS textures, all raw rewards."""
    kept: list[Texture] = []
    raw: list[dict[str, float]] = []
    for n, seed in enumerate(seeds):
        steps = _Value(objective.paint(seed))
        for p in steps:
            yield replace(p, stage=stage, step=n, total=len(seeds), mesh=mesh if p.texture is not None else None)
        texture = steps.value.texture
        raw.append(objective.raw(texture))
        kept += [texture] if n < SHOWN_SEEDS else []
    return tuple(kept), raw


def watched(
    training: Iterator[Progress], config: Config, mesh: Mesh, objective: Objective, steps: list[dict[str, float]]
) -> Generator[Progress, None, Texture]:
    """The trainer's progress, with each iteration's rewards noted and checkpoints that hold the whole run."""
    steps_of = _Value(training)  # type: ignore[arg-type]
    for p in steps_of:
        if p.checkpoint is not None:
            steps.append({t.name: p.metrics[t.name] for t in objective.terms if t.name in p.metrics})
            p = replace(p, checkpoint=lambda of=p.checkpoint: _state(of(), config, mesh, objective, steps))
        yield replace(p, mesh=mesh, painted=frozenset(objective.painter.channels)) if p.texture is not None else p
    return steps_of.value


def _state(
    trainer: dict[str, Any], config: Config, mesh: Mesh, objective: Objective, steps: list[dict[str, float]]
) -> dict[str, Any]:
    """Plain values and CPU tensors only, so that a checkpoint can be read safely."""
    return {
        "config": replace(config, iterations=0).to_toml(),
        "mesh": mesh.hash,
        "trainer": trainer,
        "objective": objective.state(),
        "steps": [dict(s) for s in steps],
    }


def mean(raw: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each raw reward that every seed has; empty when there is none."""
    names = [name for name in raw[0] if all(name in r for r in raw)] if raw else []
    return {name: sum(r[name] for r in raw) / len(raw) for name in names}
