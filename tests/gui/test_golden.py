"""The window's face, compared with pictures that people have looked at: `tests/golden/window_<name>.png`, at half its size.

What differs from machine to machine (times, memory, frames per second) is blackened in both. `PATINA_GOLDEN=write` makes the
pictures anew; then look at them: the sentence of each test says what must be seen.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.gui.driver import Window
from tests.gui.screen import why_not

pytestmark = [pytest.mark.gui, pytest.mark.long, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
RESTLESS = ("run.forecast", "run.where", "run.pace", "run.progress", "status.", "tools.readout", "mesh.busy")
FAR, MOST = 24, 0.01
"""At most this part of the pixels may differ by more than FAR of 255."""


@pytest.fixture(scope="module")
def window(begin: Callable[..., Window], project: Path) -> Window:
    window = begin(project, name="golden")
    window.wait(lambda s: s["texture_id"] and not s["loading"] and s["canvas"]["drawn"], seconds=60)
    window.key("1")
    return window


def face(window: Window) -> np.ndarray:
    """The whole window at rest [h / 2, w / 2, 3], restless places black, the mouse out of the way."""
    left, top, *_ = window.rect("viewport")
    window.move((left + 12, top + 12, left + 12, top + 12))
    window.wait(lambda s: s["canvas"]["shown"]["samples"] == 4 and not s["canvas"]["busy"], seconds=30, what="the fine picture")
    window.settle()
    picture = window.picture().copy()
    for tag, (x0, y0, x1, y1) in window.state()["items"].items():
        if tag.startswith(RESTLESS):
            picture[max(0, y0) : y1, max(0, x0) : x1] = 0
    height, width, _ = picture.shape
    return picture.reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3)).round().astype(np.uint8)


def compare(window: Window, name: str) -> None:
    seen, path = face(window), GOLDEN / f"window_{name}.png"
    window.keep(name)
    if os.environ.get("PATINA_GOLDEN") == "write":
        Image.fromarray(seen).save(path, optimize=True)
    wanted = np.asarray(Image.open(path).convert("RGB")).astype(int)
    far = np.abs(seen.astype(int) - wanted).max(-1) > FAR
    assert far.mean() <= MOST, f"{far.mean():.1%} of the window look different"


def test_empty(window: Window) -> None:
    """A white vase stands upright in the middle of a dark studio with a soft shadow; at the left eight painted samples, a prompt
    with underlined words and one green Start button below; at the right the atlas with its outlines; nothing is cut off."""
    compare(window, "empty")


def test_running(window: Window) -> None:
    """The vase is covered in coloured noise, the same as in the atlas; curves begin, the film holds two pictures of the vase, the
    big button says Resume, and the reward shows its share of the push."""
    for count in (1, 2):
        window.click("run.step")
        window.wait(lambda s, n=count: s["state"] == "paused" and s["iteration"] == n, seconds=60)
    compare(window, "running")


def test_error(window: Window, tmp_path: Path) -> None:
    """Over the darkened window a card says in copper that something failed, then the cause, then what to do; Copy log and a green
    Close stand at its lower right."""
    broken = tmp_path / "broken.glb"
    broken.write_bytes(b"glTF and nothing behind it")
    window.key("ctrl+o")
    window.click("browser.name")
    window.key("ctrl+a")
    window.type(str(broken))
    window.key("Return")
    window.wait(lambda s: s["dialog"] == "error")
    compare(window, "error")
