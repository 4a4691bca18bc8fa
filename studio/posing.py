"""Painting cameras that learn their places along with the generator (camera-pose-aware, arXiv 2506.18331).

Before the run they are spread by geometry alone (`studio.pose`). Then every EVERY iterations turn them a little: by what the push
on the texture says through the weights and places of the bake (`Baker.camera_gradient`), the pictures themselves and what the
generator knows of the geometry held fixed, and by the soft coverage, which holds them apart. Each of the two pulls with a norm of
about 1: the first is divided by its running mean, the second by the pull of cameras that stand anywhere; where it has reached its
optimum it is silent.
"""

from __future__ import annotations

import copy
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from studio.norms import Norms
from studio.pose import BETAS, STEEPEST_DEG, SoftCoverage, angles_of, moved
from studio.progress import Progress
from studio.rig import PARTS, Rig, rigged

if TYPE_CHECKING:
    from studio.renderers import Rasterizer
    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh

STAGE = "turning the cameras"
EVERY = 3
"""Iterations per turn: a new rig costs about half an iteration of six views at 1024 px on a processor."""
RATE_DEG = 1.0
"""Adam's first step, about."""
HALVED_AFTER = 30
"""Step n takes RATE_DEG / (1 + n / HALVED_AFTER): cameras come to rest, and how soon does not depend on a run's length."""
ANYWHERE = 8
"""Random rigs that say how strongly the coverage pulls where nothing has been learned."""


class Posing:
    """The cameras of a run while they are learned. Lives on the worker's thread only."""

    def __init__(self, mesh: Mesh, atlas: Atlas, rig: Rig, rasterizer: Rasterizer) -> None:
        """`rig`, made with `turning`, is where they begin; `atlas` is on its device."""
        self.rig = rig
        self._mesh, self._atlas, self._rasterizer = mesh, atlas, rasterizer
        self._coverage = SoftCoverage(mesh, atlas)
        self._angles = angles_of(rig.cameras)
        self._adam = torch.optim.Adam([self._angles], lr=RATE_DEG, betas=BETAS)
        self._pull = torch.zeros_like(self._angles)
        self._norms = Norms()
        self._steps = self._waited = 0
        self._unit = self._anywhere()

    def feel(self, pictures: Tensor, push: Tensor) -> None:
        """Add what a push [S, C, T, T] on the bake of `pictures` [V, C, h, w] says about the cameras' angles."""
        self._pull += self.rig.baker.camera_gradient(pictures, push)

    def turn(self) -> Generator[Progress]:
        """After EVERY iterations, one step of all cameras along what was felt since the last one; `rig` is then a new one."""
        self._waited += 1
        if self._waited < EVERY:
            return
        _, gradient = self._coverage.gradient(self._angles)
        gradient /= self._unit
        if self._pull.any():  # else no reward has a weight now
            gradient += self._pull / self._norms.of("push", float(self._pull.norm()))
        self._angles.grad = -gradient
        self._adam.param_groups[0]["lr"] = RATE_DEG / (1 + self._steps / HALVED_AFTER)
        self._adam.step()
        self._angles[:, 1].clamp_(-STEEPEST_DEG, STEEPEST_DEG)
        self._pull.zero_()
        self._steps, self._waited = self._steps + 1, 0
        yield from self._stand()

    def state(self) -> dict[str, Any]:
        """What the cameras need to go on."""
        return {
            "angles": self._angles.clone(),
            "pull": self._pull.clone(),
            "adam": copy.deepcopy(self._adam.state_dict()),
            "norms": self._norms.state(),
            "steps": self._steps,
            "waited": self._waited,
        }

    def restore(self, state: Mapping[str, Any] | None) -> Generator[Progress]:
        """Put such a state back, and the cameras where they stood; without one, or one of another number of cameras, they begin
        from here."""
        if state is None or state["angles"].shape != self._angles.shape:
            return
        self._angles.copy_(state["angles"])
        self._pull.copy_(state["pull"])
        self._adam.load_state_dict(state["adam"])
        self._norms.restore(state["norms"])
        self._steps, self._waited = int(state["steps"]), int(state["waited"])
        yield from self._stand()

    def _stand(self) -> Generator[Progress]:
        """A rig where the angles say."""
        cameras = moved(self.rig.cameras, self._angles)
        view_px = self.rig.seen.size_px
        making = rigged(self._mesh, self._atlas, cameras, self._rasterizer, view_px, turning=True)
        while True:
            try:
                done = next(making)
            except StopIteration as made:
                self.rig = made.value
                break
            yield Progress(STAGE, done, PARTS)
        yield Progress(STAGE, PARTS, PARTS, cameras=cameras)

    def _anywhere(self) -> float:
        """The mean norm of the coverage's pull on as many cameras in random places."""
        source = torch.Generator().manual_seed(0)
        high = torch.tensor([360.0, STEEPEST_DEG], dtype=torch.float64)
        low = torch.tensor([0.0, -STEEPEST_DEG], dtype=torch.float64)
        norms = []
        for _ in range(ANYWHERE):
            angles = low + (high - low) * torch.rand(self._angles.shape, generator=source, dtype=torch.float64)
            norms.append(float(self._coverage.gradient(angles)[1].norm()))
        return sum(norms) / ANYWHERE or 1.0
