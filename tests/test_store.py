"""Blobs: the same bytes once, never half written, damage noticed, the oldest unreferenced ones gone when room is needed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from studio import files
from studio.errors import OutputError, StudioError
from studio.film import Film, checkpoint_bytes, checkpoint_from, texture_bytes, texture_from
from studio.store import Store
from studio.texture import Texture

PICTURE = np.zeros((64, 64, 4), np.float32)


def held(store: Store) -> set[str]:
    return {path.name for path in store.folder.glob("*/*")}


def aged(store: Store, key: str, seconds: float) -> None:
    """As if this blob had been used so long ago."""
    path = store.folder / key[:2] / key
    os.utime(path, (path.stat().st_atime - seconds, path.stat().st_mtime - seconds))


def test_a_blob_comes_back_and_is_kept_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    key = store.put(b"paint")
    assert store.put(b"paint") == key and store.get(key) == b"paint" and held(store) == {key}


def test_the_longest_unused_blobs_go_but_none_that_is_held(tmp_path: Path) -> None:
    store = Store(tmp_path, limit_bytes=250)
    old, middle, young = (store.put(bytes([i]) * 100) for i in range(3))
    assert held(store) == {old, middle, young}, "all three are held, so the limit has to wait"
    aged(store, old, 300)
    aged(store, middle, 200)
    store.release([old, middle])
    last = store.put(b"x" * 100)
    assert held(store) == {young, last}


def test_a_blob_that_was_read_lately_is_not_old(tmp_path: Path) -> None:
    store = Store(tmp_path, limit_bytes=250)
    a, b = store.put(b"a" * 100), store.put(b"b" * 100)
    store.release([a, b])
    aged(store, a, 300)
    aged(store, b, 200)
    store.get(a)
    store.put(b"c" * 100)
    assert a in held(store) and b not in held(store)


def test_a_blob_is_held_as_often_as_it_was_put(tmp_path: Path) -> None:
    store = Store(tmp_path, limit_bytes=10)
    key = store.put(b"twice" * 10)
    store.put(b"twice" * 10)
    store.release([key])
    store.trim()
    assert held(store) == {key}
    store.release([key])
    store.trim()
    assert not held(store)


def test_damage_and_loss_are_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    key = store.put(b"paint")
    (tmp_path / key[:2] / key).write_bytes(b"pains")
    with pytest.raises(StudioError, match="damaged"):
        store.get(key)
    with pytest.raises(StudioError, match="no longer"):
        store.get(key)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> Path:
        raise OutputError("The disk is full.", "Free some space.")

    store = Store(tmp_path)
    monkeypatch.setattr(files, "write_bytes", full)
    with pytest.raises(OutputError):
        store.put(b"paint")
    assert not held(store) and not store._held


def textured(value: float) -> Texture:
    color = torch.full((2, 3, 16, 16), value)
    return Texture(("a", "b"), {"base_color": color, "roughness": color[:, :1] / 2, "height": color[:, :1] / 3})


def test_a_texture_survives_within_half_a_step() -> None:
    torch.manual_seed(0)
    texture = textured(0.3).with_channel("height", torch.rand(2, 1, 16, 16))
    back = texture_from(texture_bytes(texture))
    assert back.names == texture.names and list(back.channels) == list(texture.channels)
    for name, levels in (("base_color", 255), ("roughness", 255), ("height", 65535)):
        assert float((back.channels[name] - texture.channels[name]).abs().max()) <= 0.5 / levels + 1e-7


def test_a_checkpoint_survives_to_the_bit_and_the_type() -> None:
    torch.manual_seed(0)
    shared = torch.randn(3)
    state = {
        "config": "text",
        "optimiser": {"state": {0: {"step": torch.tensor(3.0), "avg": torch.randn(2, 3)}}, "groups": [{"betas": (0.9, 0.99)}]},
        "lora": {"a": shared, "b": shared, "view": torch.randn(4, 4).T},
        "nothing": None,
        "journal": [[0, {"weights": {"x": 1.0}, "rate": None}]],
    }
    back = checkpoint_from(checkpoint_bytes(state))
    assert back["optimiser"]["groups"] == [{"betas": (0.9, 0.99)}] and list(back["optimiser"]["state"]) == [0]
    assert torch.equal(back["optimiser"]["state"][0]["avg"], state["optimiser"]["state"][0]["avg"])
    assert torch.equal(back["lora"]["view"], state["lora"]["view"]) and torch.equal(back["lora"]["b"], shared)
    assert back["config"] == "text" and back["nothing"] is None and back["journal"] == state["journal"]


def film_of(tmp_path: Path, iterations: int, most: int = 10) -> Film:
    film = Film(Store(tmp_path), most=most)
    for i in range(1, iterations + 1):
        if film.wants(i):
            film.add(i, textured(i / 100), PICTURE, {"score": float(i)}, {"iteration": i})
    return film


def test_a_long_film_thins_out_evenly(tmp_path: Path) -> None:
    film = film_of(tmp_path, 70)
    iterations = [m.iteration for m in film.moments]
    assert len(iterations) <= 10 and film.stride == 8
    assert set(np.diff(iterations)) == {film.stride}
    assert len({key for blobs in film._blobs.values() for key in blobs.keys()}) == len(film._store._held)


def test_a_kept_moment_stays_and_leads_back(tmp_path: Path) -> None:
    film = film_of(tmp_path, 3)
    film.keep(film.moments[0].id)
    for i in range(4, 60):
        if film.wants(i):
            film.add(i, textured(i / 100), PICTURE, {}, None)
    first = film.moments[0]
    assert first.iteration == 1 and first.kept and sum(m.kept for m in film.moments) == 1
    assert film.checkpoint(first.id) == {"iteration": 1}
    assert float(film.texture(first.id).channels["base_color"].max()) == pytest.approx(0.01, abs=0.002)


def test_cutting_and_clearing_let_go_of_the_blobs(tmp_path: Path) -> None:
    film = film_of(tmp_path, 8)
    film.cut(3)
    assert [m.iteration for m in film.moments] == [1, 2, 3]
    film.clear()
    assert not film.moments and not film._store._held


def test_a_moment_of_the_same_iteration_replaces_the_one_before(tmp_path: Path) -> None:
    film = film_of(tmp_path, 2)
    id = film.add(2, textured(0.9), PICTURE, {}, None)
    assert [m.iteration for m in film.moments] == [1, 2] and film.moments[-1].id == id
