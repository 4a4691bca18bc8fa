"""The view thread: the newest request wins, what rests gives way, what moves is finished, and errors come home."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from studio import device
from studio.camera import Camera
from studio.errors import StudioError
from studio.gui import painter
from studio.gui.painter import Painter, Picture, Request
from studio.shot import Shot
from studio.view import Superseded


class Slow:
    """A viewer that draws until it is allowed to end."""

    def __init__(self) -> None:
        self.shown: list[Any] = []
        self.drawn: list[Shot] = []
        self.go = threading.Event()

    def show(self, mesh: Any) -> None:
        self.shown.append(mesh)

    def draw(self, shot: Shot, texture: Any, *, wanted: Callable[[], bool], **_: Any) -> np.ndarray:
        self.drawn.append(shot)
        while not self.go.wait(0.005):
            if not wanted():
                raise Superseded
        if shot.channel == "wrong":
            raise StudioError("There is no channel 'wrong'.", "Choose another.")
        return np.zeros((shot.height, shot.width, 4), np.float32)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    made = Slow()
    monkeypatch.setattr(painter, "_viewer", lambda: made)
    return made


@pytest.fixture
def drawing(slow: Slow) -> Iterator[Painter]:
    thread = Painter()
    yield thread
    slow.go.set()
    thread.close()
    assert not thread._thread.is_alive()


@pytest.fixture
def trimmed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When memory was given back."""
    times: list[float] = []
    monkeypatch.setattr(painter, "REST_S", 0.2)
    monkeypatch.setattr(device, "trim", lambda: times.append(time.monotonic()))
    return times


MESH: Any = object()


def request(azimuth: float = 0, channel: str = "material", *, patient: bool = True) -> Request:
    texture: Any = None
    return Request(Shot(Camera(azimuth), 8, 6, channel=channel), MESH, texture, patient=patient)


def until(met: Callable[[], Any]) -> Any:
    end = time.monotonic() + 10
    while not (value := met()):
        assert time.monotonic() < end
        time.sleep(0.002)
    return value


def test_a_resting_picture_gives_way_to_another_view_and_only_the_newest_is_drawn(drawing: Painter, slow: Slow) -> None:
    drawing.ask(request(0))
    until(lambda: slow.drawn)
    for azimuth in (1, 2, 3):
        drawing.ask(request(azimuth))
    until(lambda: slow.drawn[-1].camera.azimuth_deg == 3)
    slow.go.set()
    picture: Picture = until(drawing.take)
    assert picture.request.shot.camera.azimuth_deg == 3 and picture.pixels.shape == (6, 8, 4)
    assert drawing.take() is None and not drawing.busy and slow.shown == [MESH]


@pytest.mark.parametrize("first", [request(0, patient=False), request(5)], ids=["moving", "same view"])
def test_what_moves_and_what_a_new_texture_asks_for_is_finished(drawing: Painter, slow: Slow, first: Request) -> None:
    drawing.ask(first)
    until(lambda: slow.drawn)
    drawing.ask(request(5, "clay"))
    time.sleep(0.03)
    assert len(slow.drawn) == 1
    slow.go.set()
    until(lambda: (p := drawing.take()) and p.request.shot.channel == "clay")
    assert len(slow.drawn) == 2


def test_errors_come_home_and_the_thread_lives_on(drawing: Painter, slow: Slow) -> None:
    slow.go.set()
    drawing.ask(request(0, "wrong"))
    with pytest.raises(StudioError, match="wrong"):
        until(drawing.take)
    drawing.ask(request(1))
    assert until(drawing.take).request.shot.camera.azimuth_deg == 1


def test_memory_is_given_back_once_when_nothing_is_drawn_any_more(trimmed: list[float], drawing: Painter, slow: Slow) -> None:
    slow.go.set()
    for azimuth in (1, 2):
        drawing.ask(request(azimuth))
        drawn = (until(drawing.take), time.monotonic())[1]
        until(lambda drawn=drawn: trimmed and trimmed[-1] > drawn)
        count = len(trimmed)
        time.sleep(0.5)
        assert len(trimmed) == count


def test_two_variations_share_the_picture_and_the_camera(slow: Slow, drawing: Painter) -> None:
    slow.go.set()
    left_one, right_one = "left", "right"
    drawing.ask(Request(Shot(Camera(5.0), 41, 20), MESH, left_one, beside=right_one))  # type: ignore[arg-type]
    picture: Picture = until(drawing.take)
    assert picture.pixels.shape == (20, 40, 4)
    left, right = slow.drawn
    assert left == right and left.width == 20 and left.camera == picture.request.shot.camera
