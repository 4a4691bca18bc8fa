"""Sets of pictures with nonsense in them: each is said in a sentence, or read all the same."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from studio import captures
from studio.captures import _usd
from studio.errors import StudioError
from tests.recover.sets import Change, edited

VIEWS, SIZE_PX = 6, 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Grey pictures whose middle is the object."""
    (tmp_path / "images").mkdir()
    pixels = np.full((SIZE_PX, SIZE_PX, 4), 128, np.uint8)
    pixels[..., 3] = 0
    pixels[10:30, 10:30, 3] = 255
    frames = []
    for i in range(VIEWS):
        Image.fromarray(pixels).save(tmp_path / "images" / f"{i:04d}.png")
        frames.append({"file_path": f"images/{i:04d}.png", "transform_matrix": np.eye(4).tolist()})
    lens = {"fl_x": 50.0, "fl_y": 50.0, "cx": 20.0, "cy": 20.0, "w": SIZE_PX, "h": SIZE_PX}
    tree = {**lens, "patina": {"environment": "softbox", "exposure_ev": -1.0}, "frames": frames}
    (tmp_path / captures.OWN_FILE).write_text(json.dumps(tree), encoding="utf-8")
    assert len(captures.load(tmp_path)) == VIEWS
    return tmp_path


def lens(**values: Any) -> Change:
    return lambda tree: tree.update(values)


def own(**values: Any) -> Change:
    return lambda tree: tree["patina"].update(values)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tree: tree["frames"].__setitem__(1, 5), "Camera 2 of 'capture.json' has no description"),
        *((lens(**{name: 0}), "Camera 1 of 'capture.json' has a lens") for name in ("fl_x", "fl_y")),
        *((lens(**{name: -40}), "Camera 1 of 'capture.json' has a lens") for name in ("fl_x", "w", "h")),
        *((lens(**{name: math.nan}), "Camera 1 of 'capture.json' has a lens") for name in ("fl_x", "cx", "k1", "p2")),
        (lens(patina=[1]), "'capture.json' says of its light"),
        (own(environment=7), "'capture.json' says of its light"),
        *((own(exposure_ev=ev), "The exposure in 'capture.json'") for ev in ("much", math.nan, 1000, None)),
    ],
)
def test_nonsense_in_a_file_of_cameras_is_named(folder: Path, change: Change, said: str) -> None:
    edited(folder, change)
    with pytest.raises(StudioError, match=said):
        captures.load(folder)


def test_a_table_of_cameras_without_axes_is_named(folder: Path) -> None:
    (folder / captures.OWN_FILE).unlink()
    np.save(folder / "poses_bounds.npy", np.ones((VIEWS, 17)))
    with pytest.raises(StudioError, match="Camera 1 of 'poses_bounds.npy'"):
        captures.load(folder)


def test_a_usd_camera_without_a_lens_is_named() -> None:
    for film, focal in ((0.0, 50.0), (20.0, 0.0), (20.0, math.nan)):
        with pytest.raises(StudioError, match="The camera of 'a.png'"):
            _usd._frame(Path("a.png"), np.eye(4), SimpleNamespace(horizontalAperture=film, focalLength=focal))


def test_a_byte_order_mark_is_no_damage(folder: Path) -> None:
    path = folder / captures.OWN_FILE
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(captures.load(folder)) == VIEWS


def test_sixteen_bits_are_the_same_grey(folder: Path) -> None:
    grey = (np.arange(SIZE_PX * SIZE_PX, dtype=np.uint16) % 256).reshape(SIZE_PX, SIZE_PX)
    (folder / "masks").mkdir()
    for place in ("images", "masks"):
        Image.fromarray(grey * 257).save(folder / place / "0000.png")
    capture = captures.load(folder)
    assert capture.alpha is not None
    np.testing.assert_array_equal(capture.rgb[0, 1], grey)
    np.testing.assert_array_equal(capture.alpha[0, 0], grey)


def test_masks_have_the_shape_of_their_pictures_and_are_there_for_all(folder: Path) -> None:
    path = folder / "images" / "0001.png"
    Image.open(path).convert("RGB").save(path)
    capture = captures.load(folder)
    assert capture.alpha is None and "1 of 6 pictures" in capture.notes[0] and "'0001.png'" in capture.notes[0]
    (folder / "masks").mkdir()
    Image.new("L", (SIZE_PX // 2, SIZE_PX // 4), 255).save(folder / "masks" / "0001.png")
    with pytest.raises(StudioError, match="The mask '0001.png' has 20 × 10 pixels, but its picture has 40 × 40"):
        captures.load(folder)
    Image.new("L", (SIZE_PX // 2, SIZE_PX // 2), 255).save(folder / "masks" / "0001.png")
    assert captures.load(folder).alpha is not None
