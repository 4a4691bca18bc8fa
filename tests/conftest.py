"""Tests run offline, keep their hands off the user's folders, and share what is slow to make."""

from __future__ import annotations

import functools
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# The tests' tensors are small: one thread is fastest, and threads that spin while they wait lose whole time slices to each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_DATASETS_OFFLINE="1")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The whole suite runs in two processes; for a file or a test that is asked for by name a second one would not pay."""
    return 2 if config.args_source != config.ArgsSource.ARGS and (os.cpu_count() or 1) > 1 else 0


def pytest_collection_finish() -> None:
    """What was imported stays: the garbage collector need not walk through it again and again."""
    gc.freeze()
    gc.set_threshold(20_000)


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Caches and autosaves of every test go to a folder of the test session."""
    home = tmp_path_factory.getbasetemp() / "patina-home"
    monkeypatch.setenv("PATINA_HOME", str(home))
    return home


@pytest.fixture(scope="module")
def small_pictures() -> Iterator[None]:
    """Picture rewards and picks see pictures of 64 pixels: lighting larger ones is most of what a small run costs."""
    from studio import reward_views

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reward_views, "SIZE_PX", 64)
        yield


@pytest.fixture
def every_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    """`tiny` paints roughness, metallic and height, too, and looks at the mesh's curvature and openness."""
    from studio.generators import _network

    monkeypatch.setattr(_network, "Size", functools.partial(_network.Size, painted=6, geometry=9))
