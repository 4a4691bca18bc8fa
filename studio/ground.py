"""What a run stands on and what depends on mesh, sizes and views alone: atlas, cameras, and the bake. The newest one is kept.

Cameras that are learned are spread here by geometry alone; while the run goes on they belong to it (`studio.posing`).

A window starts one run after another on one mesh, and prepares this before the first is asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from studio.camera import Camera
from studio.config import Config
from studio.coverage import coverage, painting_cameras
from studio.pose import STEPS, spread
from studio.progress import Progress
from studio.renderers import Rasterizer
from studio.rewards import Reward, Score
from studio.rig import Rig, rigged
from studio.surface.atlas import Atlas, build_atlas
from studio.surface.seams import Seams, seams

if TYPE_CHECKING:
    from studio.surface.mesh import Mesh

STAGE = "preparing the surface"
SPREADING = "spreading the cameras"
SHOWN_STEPS = 10
"""Cameras that spread are looked at every so many steps."""
BEAT_S = 0.1


@dataclass(frozen=True, eq=False)
class Ground:
    """What one run after another may share."""

    atlas: Atlas
    seams: Seams
    rig: Rig
    covered_at_first: float
    """What part of the reachable texels the cameras saw before they were spread; the rig's own where they were not."""
    _scores: dict[Reward, tuple[Score, dict[str, Any]]] = field(default_factory=dict)
    """Each with what it remembered when it was new."""

    def score(self, reward: Reward, mesh: Mesh) -> Score:
        """`reward.build`, once for all runs where it lasts; what a score remembers of one run is forgotten before the next."""
        if not reward.lasts:
            return reward.build(mesh, self.atlas, self.atlas.device)
        if reward not in self._scores:
            score = reward.build(mesh, self.atlas, self.atlas.device)
            state = score.state_dict() if isinstance(score, torch.nn.Module) else {}
            self._scores[reward] = score, {name: value.clone() for name, value in state.items()}
        score, state = self._scores[reward]
        if isinstance(score, torch.nn.Module):
            score.load_state_dict(state)
        return score


_lock = threading.Lock()
_kept: tuple[object, Ground] | None = None


def ground(
    mesh: Mesh, config: Config, where: torch.device, rasterizer: Rasterizer, view_px: int
) -> Generator[Progress, None, Ground]:
    """The ground of a run, prepared or kept from the last one. Two that ask at once wait for each other.

    Raises MeshError when nothing of the mesh can be seen, StudioError for a size that no atlas has.
    """
    global _kept
    key = (mesh.hash, config.atlas_px, config.views, config.max_views, view_px, str(where), rasterizer.name)
    key = (*key, config.trainer.learns_cameras_from())
    while not _lock.acquire(timeout=BEAT_S):
        yield Progress(STAGE, 0, 5)
    try:
        if _kept is None or _kept[0] != key:
            _kept = None  # before the new one is made: two would need twice the memory
            made = yield from _prepared(mesh, config, where, rasterizer, view_px)
            _kept = (key, made)
        return _kept[1]
    finally:
        _lock.release()


def _prepared(
    mesh: Mesh, config: Config, where: torch.device, rasterizer: Rasterizer, view_px: int
) -> Generator[Progress, None, Ground]:
    yield Progress(STAGE, 0, 5)
    atlas = build_atlas(mesh, config.atlas_px)
    yield Progress(STAGE, 1, 5)
    cuts = seams(mesh, atlas)
    atlas = atlas.to(where)
    start = config.trainer.learns_cameras_from()
    if start == "front":
        cameras = (Camera(),) * config.views
    else:
        cameras = painting_cameras(mesh, atlas, count=config.views, max_count=config.max_views)
    covered = coverage(mesh, atlas, cameras)
    if start is not None:
        cameras = yield from _spread(mesh, atlas, cameras, covered)
    steps = rigged(mesh, atlas, cameras, rasterizer, view_px, turning=start is not None)
    while True:
        try:
            done = next(steps)
        except StopIteration as made:
            yield Progress(STAGE, 5, 5)
            return Ground(atlas, cuts, made.value, covered)
        yield Progress(STAGE, 1 + done, 5)


def _spread(
    mesh: Mesh, atlas: Atlas, cameras: tuple[Camera, ...], covered: float
) -> Generator[Progress, None, tuple[Camera, ...]]:
    """The cameras spread apart: the places on their way from which they see most; where they were, if that is nowhere."""
    best = cameras
    for step, (turned, _) in enumerate(spread(mesh, atlas, cameras), start=1):
        if step % SHOWN_STEPS == 0:
            yield Progress(SPREADING, step, STEPS, cameras=turned)
            seen = coverage(mesh, atlas, turned)
            best, covered = (turned, seen) if seen > covered else (best, covered)
    return best
