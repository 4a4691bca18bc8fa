"""What is done with is let go: nothing that waits for its next job keeps the last one, and a run takes all it held with it."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from studio import device
from studio.desk import Desk
from studio.objective import Objective
from studio.session import Session
from studio.worker import Worker
from tests.test_session import sessions, sphere, until  # noqa: F401 - fixtures
from tests.test_worker import eventually


class Large:
    """Something that takes memory."""


@pytest.fixture
def counted() -> Iterator[None]:
    """Memory is freed the moment that nothing refers to it, and not because the garbage collector happened to come by."""
    gc.disable()
    yield
    gc.enable()


def test_a_desk_keeps_neither_its_last_job_nor_what_came_of_it(counted: None) -> None:
    desk, taken, material = Desk("test"), [], Large()
    made = weakref.ref(material)
    results: list[weakref.ref[Large]] = []

    def work(material: Large = material) -> Large:
        results.append(weakref.ref(result := Large()))
        return result

    desk.submit("", work, then=lambda value: taken.append(type(value)), failed=lambda error: None)
    del work, material
    eventually(desk.poll)
    assert taken == [Large]
    eventually(lambda: made() is None and results[0]() is None)
    desk.close(1)


def test_a_worker_that_has_ended_keeps_nothing_of_what_it_iterated(counted: None) -> None:
    material = Large()
    left = weakref.ref(material)
    worker = Worker(lambda material=material: (type(material) for _ in range(3)))
    del material
    worker.start()
    assert worker.join(5) and worker.take() == [Large] * 3
    assert left() is None


def test_a_run_that_was_stopped_is_gone_when_its_memory_is_given_back(
    sphere: Path,  # noqa: F811
    sessions: Callable[..., Session],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Network, optimiser and rewards: else there would be nothing to give."""
    session, runs, left = sessions(sphere, iterations=100), [], []
    give = device.give_memory_back

    def recorded(**parts: Any) -> Objective:
        runs.append(weakref.ref(objective := Objective(**parts)))
        return objective

    def given(where: torch.device | None = None) -> None:
        give(where)
        if threading.current_thread().name == "studio-worker":
            gc.collect()
            left.append([run() for run in runs])

    until(session, lambda: not session.loading)
    monkeypatch.setattr("studio.run.Objective", recorded)
    monkeypatch.setattr(device, "give_memory_back", given)
    session.start()
    until(session, lambda: session.pace.iteration >= 1)
    session.stop()
    until(session, lambda: session.state == "idle")
    assert left == [[None]]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep no heaps of threads")
def test_threads_share_the_heaps() -> None:
    """In a process of its own: a heap stays as long as its process."""
    told = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, timeout=60)
    assert told.stdout.split() == ["12", str(device.HEAPS)], told.stderr


THREADS = """
import ctypes, threading
from studio import device
c = ctypes.CDLL("libc.so.6")
c.malloc.restype, c.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
c.open_memstream.restype, c.fclose.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
c.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]

def heaps():
    text, size = ctypes.c_char_p(), ctypes.c_size_t()
    stream = c.open_memstream(ctypes.byref(text), ctypes.byref(size))
    c.malloc_info(0, stream)
    c.fclose(stream)
    return text.value.count(b"<heap nr")

device.share_heaps()
gate = threading.Barrier(12)
def work():
    assert c.malloc(10_000)
    gate.wait()
threads = [threading.Thread(target=work) for _ in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(threads), heaps())
"""


def test_a_driver_that_spills_is_noticed_on_windows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    card, reserved = torch.device("cuda"), [5 << 30]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda where: (1 << 30, 8 << 30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda where: reserved[0])
    monkeypatch.setattr(sys, "platform", "win32")
    assert not device.spills(card)
    reserved[0] = 9 << 30
    assert device.spills(card) and not device.spills(torch.device("cpu"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert not device.spills(card)
