"""Windows to be driven: an X server for each test file, one window at a time, and a project whose runs take seconds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gui.driver import Window
from tests.gui.screen import Screen

PICTURES = os.environ.get("PATINA_SCREENSHOTS")
QUICK = {
    "generator": {"name": "tiny"},
    "trainer": {"name": "lora_reward", "seeds": 1, "rate": 0.03},  # so that every moment looks different
    "rewards": {"palette": {"weight": 1.0}, "symmetry": {"weight": 0.5}},
    "prompt": "blue and white stripes",
    "atlas_px": 256,
    "views": 4,
    "max_views": 4,
    "iterations": 500,
    "device": "cpu",
}
Begin = Callable[..., Window]


@pytest.fixture(scope="module")
def screen() -> Iterator[Screen]:
    screen = Screen(1280, 800)
    yield screen
    screen.close()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose runs take seconds: the vase, painted by the generator `tiny`."""
    from studio import resources
    from studio.config import parse
    from studio.document import Document
    from studio.project import Project, save
    from studio.surface.mesh import load

    path = resources.sample("vase")
    return save(Project(Document(path, parse(QUICK)), load(path)), tmp_path_factory.mktemp("project") / "quick.patina")


@pytest.fixture(scope="module")
def begin(screen: Screen, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begin]:
    """Starts windows, one at a time, each with a home of its own unless it is given one."""
    windows: list[Window] = []

    def begin(*arguments: object, home: Path | None = None, name: str = "") -> Window:
        for window in windows:
            window.kill()
        home = home or tmp_path_factory.mktemp("home")
        pictures = Path(PICTURES, name) if PICTURES and name else None
        windows.append(Window(screen, home, tuple(map(str, arguments)), pictures=pictures))
        windows[-1].appear()
        return windows[-1]

    yield begin
    for window in windows:
        window.kill()
