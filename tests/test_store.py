"""Blobs: the same bytes once, never half written, damage noticed, the oldest unreferenced ones gone when room is needed."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from studio import files
from studio.errors import OutputError, StudioError
from studio.film import Film, checkpoint_bytes, checkpoint_from, texture_bytes, texture_from
from studio.store import Store, recalled
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


# -- what need not be computed again ------------------------------------------------------------------------------------------


class Maker:
    """Counts how often it is asked for its arrays."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> dict[str, np.ndarray]:
        self.count += 1
        return {
            "field": np.arange(12, dtype=np.float32).reshape(3, 4) / 7,
            "name": np.asarray("the x axis"),
            "own": np.asarray(5),
        }


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATINA_HOME", str(tmp_path))
    return tmp_path / "cache" / "fields"


def test_arrays_are_computed_once_and_come_back_to_the_bit(cache: Path) -> None:
    make = Maker()
    first, again = (recalled("curvature 1", "mesh", make) for _ in range(2))
    assert make.count == 1 and first.keys() == again.keys()
    for name, array in first.items():
        assert again[name].dtype == np.asarray(array).dtype and np.array_equal(again[name], array)
    recalled("curvature 2", "mesh", make)
    recalled("curvature 1", "another mesh", make)
    assert make.count == 3, "another version of the code and another mesh are something else"
    recalled("curvature 1", "", make)
    assert make.count == 4 and len(list(cache.glob("*/*"))) == 3, "what has no key is not kept"


@pytest.mark.parametrize(
    "harm", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:-9] + b"\0" + b[-8:], lambda b: b"x" * 99]
)
def test_a_damaged_entry_is_computed_anew_and_mended(cache: Path, harm: Callable[[bytes], bytes]) -> None:
    make = Maker()
    recalled("pairs 1", "mesh", make)
    (path,) = cache.glob("*/*")
    path.write_bytes(harm(path.read_bytes()))
    assert np.array_equal(recalled("pairs 1", "mesh", make)["field"], make()["field"])
    made = make.count
    recalled("pairs 1", "mesh", make)
    assert make.count == made


def test_a_folder_that_cannot_be_made_costs_nothing_but_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("PATINA_HOME", str(tmp_path / "file"))
    make = Maker()
    for _ in range(2):
        assert recalled("pairs 1", "mesh", make)["own"] == 5
    assert make.count == 2


def test_what_is_kept_by_name_is_bounded_too(tmp_path: Path) -> None:
    store = Store(tmp_path, limit_bytes=500)
    for i in range(8):
        store.keep(f"field {i}", bytes([i]) * 100)
        for path in store.folder.glob("*/*"):
            os.utime(path, (path.stat().st_atime - 10, path.stat().st_mtime - 10))
    assert sum(path.stat().st_size for path in store.folder.glob("*/*")) <= 500
    assert store.recall("field 7") == bytes([7]) * 100 and store.recall("field 0") is None


def test_two_stores_on_one_folder_do_not_disturb_each_other(tmp_path: Path) -> None:
    """As two processes would: neither reads half of what the other writes."""
    stores = [Store(tmp_path, limit_bytes=1 << 20) for _ in range(2)]

    def work(number: int) -> bool:
        store, fine = stores[number % 2], True
        for i in range(20):
            store.keep(f"{i % 3}", bytes([number]) * 40_000)
            read = store.recall(f"{i % 3}")
            fine &= read is None or (len(read) == 40_000 and len(set(read)) == 1)
        return fine

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


def test_nothing_that_could_run_is_kept(cache: Path) -> None:
    with pytest.raises(ValueError, match="pickle"):
        recalled("field 1", "mesh", lambda: {"a": np.array([object()])})


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
