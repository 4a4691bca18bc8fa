"""The stages that `studio.run` puts together: checks, unwrapping, held-out seeds, watching a trainer, and what to say."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from studio import device, generators, lora
from studio.camera import Camera
from studio.config import Config
from studio.errors import StudioError
from studio.generators import Painter, Words
from studio.judge import Judge, Views, opinions
from studio.judge import eye as held_out_eye
from studio.objective import Objective, Painted
from studio.plug import shown
from studio.progress import Progress
from studio.region import Region, build, seen_within
from studio.renderers import Rasterizer
from studio.surface.atlas import Atlas
from studio.surface.health import OVERLAP_LIMIT
from studio.surface.mesh import Mesh
from studio.surface.unwrap import unwrap
from studio.texture import Texture

SPILT = (
    "The graphics card is full: its driver keeps part of the run in main memory, which is many times slower. "
    "Plan with less memory, paint fewer views, or close other programs, then start again."
)
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


def told_of_spread(at_first: float, spread: float) -> str:
    """What the cameras that are learned see before and after they were spread by geometry alone."""
    if spread > at_first:
        return f"The cameras spread out and see {spread:.1%} of the surface; it was {at_first:.1%}."
    return f"The cameras see {at_first:.1%} of the surface from where they are: spreading them further would show less."


def check_masks_stay(config: Config) -> None:
    """Raises StudioError when there are masks: they lie on UVs that are about to be replaced."""
    if masks := config.masks():
        problem = f"The mesh is about to get new UVs, and {' and '.join(masks)} would no longer fit."
        raise StudioError(problem, "Clear the masks and run once; then draw them on the result, and paint that.")


def check_same_masks(region: Region, resume: Mapping[str, Any] | None) -> None:
    """Raises StudioError when a checkpoint was made with other masks, though their files may have the same names."""
    if resume is not None and resume.get("masks", region.digest) != region.digest:
        raise StudioError("The masks have changed since the run stopped.", "Put the old ones back, or start without --resume.")


def masked(
    config: Config, mesh: Mesh, base: Texture, atlas: Atlas, painted: Tensor, cameras: Sequence[Camera]
) -> Generator[Progress, None, Region]:
    """The region that a run's masks make, and what there is to say of it; `painted` [S, T, T] are the texels that views show.

    Raises StudioError for masks that cannot be read or do not fit, and when they leave nothing to paint or to learn.
    """
    seen, told = None, []
    if config.angle_mask_deg < 90:
        yield Progress("reading the masks", 0, 2)
        # Where several places share a texel, it is enough that one of them is painted.
        seen = seen_within(mesh, atlas, cameras, config.angle_mask_deg) | (atlas.shared & painted)
    yield Progress("reading the masks", 1, 2)
    own = {w.name: w.region for w in config.rewards}
    region = build(atlas, base.names, lock=config.lock, region=config.region, of_reward=own, seen=seen)
    region = region.check(atlas, config.weights() if config.trainer.follows_rewards and config.iterations else None)
    if seen is not None:
        share, angle = region.facts["unseen"], config.angle_mask_deg
        told.append(f"{share:.1%} of the texels are seen by no view within {angle:g}° of their normal: rewards do not push them.")
    if region.locked is not None:
        told += told_of_locked_size(mesh, base.size_px)
    for message in (*region.notes, *told):
        yield Progress("reading the masks", 2, 2, message=message)
    return region


def stacked(config: Config, painter: Painter) -> Generator[Progress, None, dict[str, str]]:
    """Put the loaded LoRAs under what the painter may learn; the sha256 of each file by name.

    Raises StudioError for one that cannot be read, or that was made for another generator or other weights.
    """
    tensors, digests = {}, {}
    for n, loaded in enumerate(config.loras):
        yield Progress("loading LoRAs", n, len(config.loras))
        tensors[loaded.name], found, digests[loaded.name] = lora.read(Path(loaded.file))
        lora.check(found, base_model(config, painter), loaded.name)
    painter.stack_loras(tensors)
    return digests


def base_model(config: Config, painter: Painter) -> str:
    """What a LoRA belongs to: the generator's name and the fingerprint of its weights."""
    return f"{generators.SOCKET.name_of(config.generator)}@{painter.fingerprint}"


def subject(config: Config, mesh: Mesh, painter: Painter, cameras: Sequence[Camera], loras: Mapping[str, str]) -> dict[str, Any]:
    """What is painted by what, as JSON: latents of one run mean something to another of the same mesh, cameras and weights."""
    angles = [[round(c.azimuth_deg, 3), round(c.elevation_deg, 3)] for c in cameras]
    counted = {digest: config.scales()[name] for name, digest in loras.items()}
    return {"mesh": mesh.hash, "cameras": angles, "base_model": base_model(config, painter), "loras": counted}


def check_same_loras(digests: Mapping[str, str], resume: Mapping[str, Any] | None) -> None:
    """Raises StudioError when a checkpoint was made with other LoRAs, though their files have the same names."""
    if resume is not None and resume.get("loras", digests) != digests:
        raise StudioError("The loaded LoRAs have changed since the run stopped.", "Put them back, or start without --resume.")


def told_of_locked_size(mesh: Mesh, size_px: int) -> list[str]:
    """What to say of locked texels whose own maps have another size than the texture."""
    sides = {max(m.base_color.shape[:2]) for m in mesh.sets if m.base_color is not None} - {size_px}
    if not sides:
        return []
    own = " and ".join(f"{side:,}" for side in sorted(sides))
    return [f"The mesh's own maps have {own} px: locked texels are theirs, resampled to {size_px:,}."]


def finished(objective: Objective, texture: Texture, painted: Painted | None) -> Texture:
    """A texture with what the atlas can show beyond the pictures; as it is where it is not what the painter has `painted` from
    where the cameras stand, or where memory does not suffice, which the report then tells."""
    painter, stands = objective.painter, objective.scene.geometry
    if painted is None or painted.texture is not texture or not torch.equal(painted.rollout.scene.geometry, stands):
        return texture
    rollout, on = painted.rollout, {"atlas": objective.atlas, "baker": objective.baker}
    try:
        beyond = painter.detail(rollout.entering[-1], painted.pictures, rollout.scene, **on)
        return texture if beyond is None else objective.baked(painted.pictures, beyond)
    except (MemoryError, torch.OutOfMemoryError):
        objective.remarks["detail"] = "left out: memory did not suffice"
        return texture


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
    objective: Objective, mesh: Mesh, seeds: Sequence[int], stage: str, *, see: Callable[[Texture], None] = lambda texture: None
) -> Generator[Progress, None, tuple[tuple[Texture, ...], list[dict[str, float]]]]:
    """Paint and score seeds that are never trained on: the first SHOWN_SEEDS textures, all raw rewards; `see` is shown each."""
    kept: list[Texture] = []
    raw: list[dict[str, float]] = []
    for n, seed in enumerate(seeds):
        steps = _Value(objective.paint(seed))
        for p in steps:
            yield replace(p, stage=stage, step=n, total=len(seeds), mesh=mesh if p.texture is not None else None)
        texture = steps.value.texture
        raw.append(objective.raw(texture))
        see(texture)
        kept += [texture] if n < SHOWN_SEEDS else []
    return tuple(kept), raw


def watched(
    training: Iterator[Progress],
    config: Config,
    mesh: Mesh,
    objective: Objective,
    steps: list[dict[str, float]],
    loras: Mapping[str, str],
    judge: Judge | None,
    untrained: Sequence[Texture],
) -> Generator[Progress, None, Texture]:
    """The trainer's progress, with each iteration's rewards noted, judged, and checkpoints that hold the whole run.

    `loras`: the sha256 of each loaded LoRA, by name; `untrained`: textures of the held-out seeds before learning, for the judge.
    """
    steps_of, spilt = _Value(training), False  # type: ignore[arg-type]
    for p in steps_of:
        if not spilt and (spilt := device.spills(objective.atlas.device)):
            p = replace(p, message=" ".join(filter(None, (p.message, SPILT))))
        if (state := p.checkpoint) is not None:
            steps.append({t.name: p.metrics[t.name] for t in objective.terms if t.name in p.metrics})
            if judge is not None:
                p = judged(p, judge, objective, untrained, learns=config.trainer.learns)
            p = replace(p, checkpoint=partial(_state, state, config, mesh, objective, steps, loras, judge))
            p = replace(p, finish=p.texture and partial(finished, objective, p.texture, objective.painted))
        yield replace(p, mesh=mesh, painted=frozenset(objective.painter.channels)) if p.texture is not None else p
    return steps_of.value


def judged(p: Progress, judge: Judge, objective: Objective, untrained: Sequence[Texture], *, learns: bool) -> Progress:
    """The end of an iteration with what the judge says of it; iterations of further prompts are not judged."""
    if p.texture is None or "score" not in p.metrics:
        return p
    if not judge.referred:
        # A generator that learns has painted this before its first step; texels that are pushed began as what it painted.
        first = p.texture if learns or objective.painted is None else objective.painted.texture
        judge.refer([*untrained, first], objective.prompt)
    texture, weights = p.texture, objective.journal[-1][1]["weights"]

    def total() -> float:
        return sum(weights.get(name, 0.0) * value for name, value in objective.raw(texture).items())

    gauges, alarm = judge.follow(p.step, total, objective.aim, texture, objective.prompt)
    if gauges:
        judge.story.append({"iteration": p.step, **{n: v for n, v in p.metrics.items() if n == "drift"}, **gauges})
    return replace(p, metrics={**p.metrics, **gauges}, alarm=alarm, message=" ".join(filter(None, (p.message, str(alarm or "")))))


def judging(
    config: Config, mesh: Mesh, atlas: Atlas, rasterizer: Rasterizer, resume: Mapping[str, Any] | None
) -> Generator[Progress, None, Judge | None]:
    """The judge of a run, with what it remembered where the run goes on; None where nothing is trained or nobody is to judge."""
    if not (config.judge_every and config.iterations and config.trainer.follows_rewards):
        return None
    yield Progress("calling the judge", 0, 1)
    if config.judge in (getattr(w.reward, "critic", None) for w in config.rewards):
        problem = f"A reward follows '{config.judge}': its judgement would be worth nothing."
        raise StudioError(problem, "Let another critic judge, or another one be followed.")
    eye, why_not = held_out_eye(atlas.device, config.judge, config.judge_path)
    yield Progress("calling the judge", 1, 1, message=why_not)
    asked = opinions(config.judge, of_prompt=any(w.reward.reads_prompt for w in config.rewards))
    judge = Judge(Views(mesh, atlas, rasterizer), eye, every=config.judge_every, opinions=asked)
    if resume is not None and resume.get("judge"):
        judge.restore(resume["judge"])
    return judge


def _state(
    trainer: Callable[[], dict[str, Any]],
    config: Config,
    mesh: Mesh,
    objective: Objective,
    steps: list[dict[str, float]],
    loras: Mapping[str, str],
    judge: Judge | None,
) -> dict[str, Any]:
    """Plain values and CPU tensors only, so that a checkpoint can be read safely."""
    return {
        "config": replace(config, iterations=0).to_toml(),
        "mesh": mesh.hash,
        "masks": objective.region.digest,
        "base_model": base_model(config, objective.painter),
        "trainer": trainer(),
        "objective": objective.state(),
        "steps": [dict(s) for s in steps],
        "loras": dict(loras),
        "judge": judge.state() if judge else None,
    }


def mean(raw: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each raw reward that every seed has; empty when there is none."""
    names = [name for name in raw[0] if all(name in r for r in raw)] if raw else []
    return {name: sum(r[name] for r in raw) / len(raw) for name in names}
