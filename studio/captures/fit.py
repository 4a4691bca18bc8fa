"""Whether pictures, cameras and mesh belong together: the mesh's silhouette against the masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.captures import Capture, as_meant
from studio.captures._frames import CONVENTIONS
from studio.errors import StudioError
from studio.pinhole import Pinhole
from studio.recovery import MEANINGS

if TYPE_CHECKING:
    from studio.camera import Camera
    from studio.renderers import Rasterizer
    from studio.surface.mesh import Mesh

SIZE_PX = 96
OVERLAY_PX = 384
"""Pictures are shown at least so large, so that outlines are thin."""
TRIED = 8
"""Views on which other conventions are tried."""
GOOD = 0.8
"""Views that overlap less are shown to the user."""
LOST = 0.6
"""Sets that overlap less than this on average do not fit at all, unless another reading of the cameras does."""


class CameraError(StudioError):
    """Cameras that are not of this mesh."""


@dataclass(frozen=True, eq=False)
class Fit:
    """How well each view fits: the overlap of silhouette and mask, intersection over union."""

    overlap: tuple[float, ...]
    notes: tuple[str, ...]
    refusal: CameraError | None = None
    """What is wrong where they do not fit at all, with the convention under which they would if there is one."""

    def bad(self) -> list[int]:
        """The views to look at, the worst first."""
        return sorted((v for v, share in enumerate(self.overlap) if share < GOOD), key=lambda v: self.overlap[v])


def check(mesh: Mesh, capture: Capture, rasterizer: Rasterizer, *, convention: str = "opengl") -> Fit:
    """Compare every mask with what its camera sees of the mesh. Without masks nothing can be said, which is a note."""
    if capture.alpha is None:
        note = "The pictures have no masks or alpha: whether the cameras fit was not checked, and the mesh's own outline is used."
        return Fit((), (note,))
    overlap = overlaps(mesh, capture, capture.cameras, rasterizer)
    mean = float(np.mean(overlap))
    if mean < LOST:
        return Fit(tuple(overlap), (), _refusal(mesh, capture, rasterizer, convention, mean))
    bad = sum(share < GOOD for share in overlap)
    note = f"{bad} of {len(capture)} pictures fit the mesh badly (their masks overlap its outline by less than {GOOD:.0%})."
    return Fit(tuple(overlap), (note,) if bad else ())


def _refusal(mesh: Mesh, capture: Capture, rasterizer: Rasterizer, convention: str, mean: float) -> CameraError:
    """The error for cameras that do not fit."""
    some = capture.of(np.unique(np.linspace(0, len(capture) - 1, TRIED).astype(int)).tolist())
    scores = {}
    for name in CONVENTIONS:
        if name != convention and some.written:
            scores[name] = float(np.mean(overlaps(mesh, some, as_meant(some.written, name), rasterizer)))
    best = max(scores, key=lambda name: scores[name], default="")
    if best and scores[best] > max(LOST, mean + 0.15):
        problem = f"The pictures fit {MEANINGS[best]} (overlap {scores[best]:.0%}), not {MEANINGS[convention]} ({mean:.0%})."
        return CameraError(problem, f"Read the cameras as '{best}' (--convention {best}).")
    problem = f"The pictures do not fit the mesh: their masks overlap its outline by {mean:.0%}."
    return CameraError(problem, "Check that the cameras are of this mesh, in the same place, scale and orientation.")


def overlaps(mesh: Mesh, capture: Capture, cameras: Sequence[Pinhole], rasterizer: Rasterizer) -> list[float]:
    """Intersection over union of mask and silhouette for `cameras`, one for each of the capture's views."""
    assert capture.alpha is not None
    found = []
    for v, camera in enumerate(cameras):
        outline = silhouette(mesh, camera, rasterizer, SIZE_PX)
        mask = F.adaptive_avg_pool2d(capture.alpha[v].float() / 255, SIZE_PX)[0] > 0.5
        known = F.adaptive_avg_pool2d(capture.known[v][None].float(), SIZE_PX)[0] > 0.5
        either = ((outline | mask) & known).sum()
        found.append(float((outline & mask & known).sum() / either.clamp(min=1)))
    return found


def silhouette(mesh: Mesh, camera: Pinhole, rasterizer: Rasterizer, size_px: int) -> Tensor:
    """[size_px, size_px] bool on the CPU: what a camera in the source's space sees of the mesh."""
    placed = camera.moved(mesh.T_work_source)
    if placed.distance < 1e-6 or not np.isfinite(placed.matrix).all():
        return torch.zeros(size_px, size_px, dtype=torch.bool)
    return rasterizer.hits(mesh, cast("Sequence[Camera]", [placed]), size_px)[0].cpu() >= 0


def overlay(mesh: Mesh, capture: Capture, view: int, rasterizer: Rasterizer) -> np.ndarray:
    """A picture [m, m, 3] uint8, at least OVERLAY_PX a side, dimmed, with the mesh's outline in green, the mask's in red, and
    white where they agree."""
    size = max(capture.size_px, OVERLAY_PX)
    shown = F.interpolate(capture.rgb[view][None].float(), size=(size, size), mode="bilinear")[0] / 255 * 0.6
    mesh_edge = _edge(silhouette(mesh, capture.cameras[view], rasterizer, size))
    mask_edge = torch.zeros_like(mesh_edge)
    if capture.alpha is not None:
        mask_edge = _edge(F.interpolate(capture.alpha[view][None].float(), size=(size, size), mode="bilinear")[0, 0] > 127)
    for edge, channels in ((mask_edge, (1.0, 0.1, 0.1)), (mesh_edge, (0.1, 1.0, 0.2)), (mesh_edge & mask_edge, (1.0, 1.0, 1.0))):
        shown = torch.where(edge, torch.tensor(channels)[:, None, None], shown)
    return (shown * 255).round().byte().permute(1, 2, 0).numpy()


def _edge(mask: Tensor) -> Tensor:
    inside = mask.float()[None, None]
    return (F.max_pool2d(inside, 3, 1, 1) + F.max_pool2d(-inside, 3, 1, 1))[0, 0] > 0
