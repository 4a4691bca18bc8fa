"""Random shapes are closed, outward, within reach; cameras are spread."""

from __future__ import annotations

import numpy as np
import pytest

from studio.pretrain import shapes


@pytest.fixture(autouse=True)
def coarse(monkeypatch) -> None:
    monkeypatch.setattr(shapes, "GRID", 36)
    monkeypatch.setattr(shapes, "FEWEST_FACES", 100)


def test_a_seed_is_a_shape() -> None:
    for seed in range(4):
        a, b = shapes.shape(seed), shapes.shape(seed)
        assert np.array_equal(a.vertices, b.vertices) and np.linalg.norm(a.vertices, axis=1).max() < 0.901
        corners = a.vertices[a.faces].astype(float)
        volume = np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
        assert volume > 0, "faces point outwards"
        facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        aligned = np.einsum("fi,fi->f", facing, a.corner_normals.mean(1).astype(float)) > 0
        assert np.average(aligned, weights=np.linalg.norm(facing, axis=1) + 1e-12) > 0.9


def test_cameras_are_spread() -> None:
    for seed in range(20):
        d = np.stack([c.direction() for c in shapes.cameras(seed)])
        angles = np.degrees(np.arccos(np.clip(d @ d.T - 2 * np.eye(len(d)), -1, 1)))
        assert len(d) == shapes.VIEWS and angles.min() > 20


def test_rigs_are_drawn_once_and_say_what_is_seen(tmp_path, monkeypatch) -> None:
    mesh = shapes.shape(0)
    rig = shapes.seen(mesh, shapes.cameras(0), 16)
    mask = rig[:, 6] > 0
    assert rig.shape == (6, 7, 16, 16) and mask.any() and not rig[:, :6].transpose(0, 2, 3, 1)[~mask].any()
    normals = rig[:, 3:6].transpose(0, 2, 3, 1)[mask].astype(float)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=5e-3)
    path = tmp_path / "rigs.npy"
    np.save(path, rig[None])
    monkeypatch.setattr(shapes, "ProcessPoolExecutor", None)
    assert np.array_equal(shapes.make_rigs(path, 1, size_px=16)[0], rig)
