"""Random shapes are closed, outward, within reach; cameras are spread."""

from __future__ import annotations

import numpy as np
import pytest

from studio.pretrain import forms, shapes


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


def test_cameras_are_spread_from_the_first_four_on() -> None:
    for seed in range(30):
        d = np.stack([c.direction() for c in shapes.cameras(seed)])
        angles = np.degrees(np.arccos(np.clip(d @ d.T - 2 * np.eye(len(d)), -1, 1)))
        assert len(d) == shapes.VIEWS and angles.min() > 20 and angles[:4, :4].min() > 45


@pytest.mark.parametrize("kind", forms.KINDS)
def test_every_kind_of_form_is_a_closed_body(kind) -> None:
    """Negative somewhere inside, positive far away, whatever bends it."""
    r = np.random.default_rng(3)
    p = np.random.default_rng(0).uniform(-1, 1, (4000, 3))
    far = 3.0 * p / np.linalg.norm(p, axis=1, keepdims=True)
    form = kind(r)
    for field in (form, *(bend(form, r) for bend in forms.DEFORMATIONS)):
        values = field(p)
        assert values.shape == (4000,) and np.isfinite(values).all() and values.min() < 0
    assert (form(far) > 0).all()


def test_rigs_are_drawn_once_and_say_what_is_seen(tmp_path, monkeypatch) -> None:
    mesh = shapes.shape(0)
    rig = shapes.seen(mesh, shapes.cameras(0), 16)
    mask = rig[:, 6] > 0
    rest = [0, 1, 2, 3, 4, 5, 7, 8]
    assert rig.shape == (8, 9, 16, 16) and mask.any() and not rig[:, rest].transpose(0, 2, 3, 1)[~mask].any()
    normals = rig[:, 3:6].transpose(0, 2, 3, 1)[mask].astype(float)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=5e-3)
    assert np.abs(rig[:, 7]).max() <= 1 and 0 <= rig[:, 8].min() and rig[:, 8].max() <= 1 and rig[:, 8][mask].mean() > 0.5
    path = tmp_path / "rigs.npy"
    np.save(path, rig[None])
    monkeypatch.setattr(shapes, "ProcessPoolExecutor", None)
    assert np.array_equal(shapes.make_rigs(path, 1, size_px=16)[0], rig)
