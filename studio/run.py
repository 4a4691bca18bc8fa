"""The whole studio in one function: a config and a mesh → progress, and at the end a texture with its report and receipt."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from studio import __version__, device, lora, stages
from studio.config import Config
from studio.coverage import consistency_psnr, seam_error
from studio.errors import StudioError
from studio.ground import ground
from studio.looks import Term
from studio.objective import Objective
from studio.posing import Posing
from studio.progress import Live, Progress, Result
from studio.renderers import build as build_renderer
from studio.reward_views import RewardViews
from studio.rewards import notes
from studio.rig import Rig
from studio.surface.mesh import Mesh, load
from studio.surface.unwrap import needs_unwrap
from studio.texture import Texture
from studio.variety import Variety


def run(
    config: Config, mesh: Mesh | str | Path, live: Callable[[], Live] | None = None, *, resume: Mapping[str, Any] | None = None
) -> Iterator[Progress]:
    """Texture `mesh` as `config` says, yielding at every step; the last progress carries the `Result`.

    `live` is asked once per iteration for the settings that may change while running. `resume` is what an earlier run's
    `Progress.checkpoint()` gave; it continues to the same numbers. Raises StudioError for anything the user can mend.
    """
    seconds: dict[str, float] = {}
    config.check()
    config.check_loras()
    if live is None:
        config.check_rewards()
    where = device.device(config.device)
    if resume is not None:
        stages.check_resume(config, resume)

    with _timed("mesh", seconds):
        yield Progress("reading the mesh", 0, 1)
        mesh = mesh if isinstance(mesh, Mesh) else load(mesh)
        if reason := "New UVs are laid out, as asked." if config.unwrap else needs_unwrap(mesh):
            stages.check_masks_stay(config)
            yield Progress("unwrapping", 0, len(mesh.faces), message=reason)
            mesh = yield from stages.unwrapped(mesh, config.atlas_px)
        for repair in mesh.repairs:
            yield Progress("reading the mesh", 1, 1, message=repair)
        if resume is not None and resume["mesh"] != mesh.hash:
            raise StudioError("The checkpoint belongs to another mesh.", "Resume with the mesh it was made for, or start anew.")

    with _timed("surface", seconds):
        rasterizer, notice = build_renderer(config.renderer, where)
        yield Progress("preparing the surface", 0, 5, message=notice or "", mesh=mesh)
        base = Texture.from_mesh(mesh, config.atlas_px).to(where)

    with _timed("generator", seconds):
        for stage in config.generator.stages():
            yield Progress(stage, 0, 1)
        painter = config.generator.build(device=where)
        loras = yield from stages.stacked(config, painter)
        stages.check_same_loras(loras, resume)
        for prompt in (config.prompt, *getattr(config.trainer, "prompts", ())):
            for message in stages.told_of_words(painter.words(prompt)):
                yield Progress("reading the prompt", 1, 1, message=message)

    with _timed("bake", seconds):
        on = yield from ground(mesh, config, where, rasterizer, painter.view_px)
        atlas, learned = on.atlas, config.trainer.learns_cameras_from() is not None
        posing = Posing(mesh, atlas, on.rig, rasterizer) if learned else None
        yield Progress("preparing the surface", 5, 5, message=stages.told_of_shared(atlas), cameras=on.rig.cameras)
        if learned:
            message = stages.told_of_spread(on.covered_at_first, on.rig.covered)
            yield Progress("preparing the surface", 5, 5, message=message)

    with _timed("rewards", seconds):
        terms = []
        if any(config.weights().values()) and not config.trainer.follows_rewards:
            what = "from preferences" if config.trainer.learns else "nothing"
            message = f"This trainer learns {what}: the rewards are only measured."
            yield Progress("preparing the rewards", 0, len(config.rewards), message=message)
        for i, w in enumerate(config.rewards):
            terms.append(Term(w.name, on.score(w.reward, mesh), w.reward.averages, repr(w.reward)))
            said = notes(terms[-1].score)
            message = " ".join((f"{w.name}:", *said)) if said else ""
            yield Progress("preparing the rewards", i + 1, len(config.rewards), message=message)
    with _timed("region", seconds):
        region = yield from stages.masked(config, mesh, base, atlas, on.rig.baker.painted, on.rig.cameras)
        stages.check_same_masks(region, resume)

    with _timed("judge", seconds):
        judge = yield from stages.judging(config, mesh, atlas, rasterizer, resume)
    seeds = tuple(range(config.held_out)) if config.trainer.learns else ()

    def rig() -> Rig:
        return posing.rig if posing else on.rig

    look = RewardViews(mesh, atlas, base, rasterizer, on.rig.cameras, seed=config.seed, chunk=config.reward_chunk)
    objective = Objective(
        painter=painter,
        scene=lambda prompt: painter.scene(prompt, rig().seen, mesh=mesh, baker=rig().baker),
        baker=on.rig.baker,
        atlas=atlas,
        base=base,
        terms=terms,
        prompt=config.prompt,
        seed=config.seed,
        look=look,
        live=live or (lambda: Live(weights=config.weights(), loras=config.scales())),
        region=region,
        scales=config.scales(),
        posing=posing,
        held_out=seeds,
        gauged=judge.watch.due if judge else lambda iteration: False,
        jittered=look.jittered,
        subject=stages.subject(config, mesh, painter, on.rig.cameras, loras),
    )

    variety = Variety(mesh, atlas, rasterizer)
    with _timed("before", seconds):
        before, raw_before = yield from stages.held_out(objective, mesh, seeds, "measuring before", see=variety.before)
        if config.trainer.learns and config.iterations and not seeds and resume is None:
            yield from objective.paint(config.seed)  # so that there is something to compare with
    objective.untrained_seeds = raw_before
    steps: list[dict[str, float]] = []
    if resume is not None:
        objective.restore(resume["objective"])
        yield from objective.turn(back_to=resume["objective"])
        steps = [dict(s) for s in resume["steps"]]

    with _timed("train", seconds):
        training = config.trainer.train(objective, iterations=config.iterations, resume=resume["trainer"] if resume else None)
        texture = yield from stages.watched(training, config, mesh, objective, steps, loras, judge, before)
    raw, painted = objective.raw(texture), objective.painted  # of what was learned on, comparable with the scores before
    with _timed("detail", seconds):
        yield Progress("sharpening", 0, 1)
        texture = stages.finished(objective, texture, painted)
    with _timed("after", seconds):
        after, raw_after = yield from stages.held_out(objective, mesh, seeds, "measuring after", see=variety.after)

    report = {
        "prompt": config.prompt,
        "seed": config.seed,
        "device": str(where),
        "renderer": rasterizer.name,
        "steps": steps,
        "held_out_seeds": list(seeds),
        **objective.remarks,
        "gauges": judge.story if judge else [],
        "alarms": [alarm.plain() for alarm in judge.alarms] if judge else [],
        "before": stages.mean(raw_before) or objective.untrained or (steps[0] if steps else raw),
        "after": stages.mean(raw_after) or raw,
        "per_seed": {str(s): {"before": b, "after": a} for s, b, a in zip(seeds, raw_before, raw_after, strict=True)},
        "diversity": variety.report(),
        "coverage": rig().covered,
        "coverage_at_first": on.covered_at_first,
        "seam_error": seam_error(texture, on.seams),
        "painted": list(painter.channels),
        "masks": dict(region.facts),
        "consistency_psnr": consistency_psnr(painted.pictures[:, :3], objective.baker, painted.texture, locked=region.locked)
        if painted
        else None,
        "seconds": {stage: round(s, 3) for stage, s in seconds.items()},
        "peak_memory_bytes": device.peak_memory_bytes(where),
    }
    receipt = {
        "prompt": config.prompt,
        "seed": config.seed,
        "config": config.public().table(),
        "masks": dict(region.facts),
        "loras": loras,
        "weights": [{"iteration": i, **settings} for i, settings in objective.journal],
        "scores": raw,
        "cameras": [{"azimuth_deg": c.azimuth_deg, "elevation_deg": c.elevation_deg} for c in rig().cameras],
        "renderer": rasterizer.name,
        "versions": {"patina-studio": __version__, "torch": torch.__version__},
    }
    taught = painter.lora_state() if config.trainer.learns else {}
    if taught:
        receipt["learned"] = lora.learned(stages.base_model(config, painter), report)
    result = Result(mesh, texture, frozenset(painter.channels), report, receipt, before, after, taught, variety.pictures())
    yield Progress("done", 1, 1, metrics=raw, texture=texture, painted=result.painted, mesh=mesh, result=result)


def prepare(config: Config, mesh: Mesh) -> Iterator[Progress]:
    """Prepare and keep what a run of `config` on `mesh` stands on, for the run that follows. Raises as `run` does."""
    if config.unwrap or needs_unwrap(mesh):
        return  # other UVs, another surface
    where = device.device(config.device)
    side_px = config.generator.side_px() or config.generator.build(device=where).view_px
    on = yield from ground(mesh, config, where, build_renderer(config.renderer, where)[0], side_px)
    for i, w in enumerate(config.rewards):
        on.score(w.reward, mesh)
        yield Progress("preparing the rewards", i + 1, len(config.rewards))


@contextmanager
def _timed(stage: str, seconds: dict[str, float]) -> Iterator[None]:
    """Adds the wall time spent inside to the stage's."""
    start = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start
