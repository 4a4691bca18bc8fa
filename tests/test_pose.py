"""Learned camera poses: from one place they spread out until they see nearly all that can be seen."""

from __future__ import annotations

import pytest

from studio import resources
from studio.camera import Camera
from studio.coverage import coverage
from studio.pose import STEEPEST_DEG, spread
from studio.surface.atlas import build_atlas
from studio.surface.mesh import load


@pytest.mark.parametrize("name", ["mug", "chair"])
def test_six_cameras_in_front_spread_until_they_see_nearly_everything(name: str) -> None:
    """From at most 60 % to at least 95 % of the reachable surface, at angles that differ and keep in bounds."""
    mesh = load(resources.sample(name))
    atlas = build_atlas(mesh, 256)
    start = [Camera(elevation_deg=10.0)] * 6
    assert coverage(mesh, atlas, start) < 0.6
    *_, (cameras, soft) = spread(mesh, atlas, start)
    assert coverage(mesh, atlas, cameras) > 0.95 and soft > 0.95
    assert all(abs(c.elevation_deg) <= STEEPEST_DEG and c.distance == start[0].distance for c in cameras)
    assert max(c.elevation_deg for c in cameras) - min(c.elevation_deg for c in cameras) > 40


def test_the_same_seed_gives_the_same_poses() -> None:
    mesh = load(resources.sample("mug"))
    atlas = build_atlas(mesh, 64)
    ends = [list(spread(mesh, atlas, [Camera()] * 3, steps=20))[-1] for _ in range(2)]
    assert ends[0] == ends[1]
