"""NeRF's `transforms.json` (Mildenhall et al. 2020; the fields of instant-ngp), and the studio's own file, which extends it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from studio.captures._frames import Frame, Frames, stops
from studio.captures._pictures import found, size_of
from studio.errors import StudioError

_MALFORMED = (KeyError, TypeError, ValueError, AttributeError)


def read(path: Path) -> Frames:
    """The frames of a file. A frame's own numbers come before the file's; paths are relative to the file.

    Raises StudioError for a file that is damaged, or that says nothing of a camera's lens or place.
    """
    try:
        tree = json.loads(path.read_text(encoding="utf-8-sig"))  # some editors begin a file with a mark
        listed = tree["frames"]
        assert isinstance(listed, list)
    except (OSError, *_MALFORMED, AssertionError) as error:
        raise StudioError(f"'{path.name}' cannot be read as a list of cameras.", "Export the cameras again.") from error
    if not listed:
        raise StudioError(f"'{path.name}' lists no cameras.", "Export the cameras again, one for each picture.")
    frames = tuple(_frame(path, tree, frame, number) for number, frame in enumerate(listed, 1))
    own = tree.get("patina", {})
    environment = own.get("environment") if isinstance(own, dict) else own
    if not isinstance(environment, str | None):
        remedy = "Name an environment, or an EXR or HDR file beside it."
        raise StudioError(f"'{path.name}' says of its light what cannot be read: {environment!r}.", remedy)
    if environment and (path.parent / environment).is_file():
        environment = str(path.parent / environment)
    return Frames(frames, environment, stops(own.get("exposure_ev", 0.0), of=f"The exposure in '{path.name}'"))


def _frame(path: Path, tree: dict[str, Any], frame: Any, number: int) -> Frame:
    def wrong(what: str) -> StudioError:
        return StudioError(f"Camera {number} of '{path.name}' has {what}.", "Export the cameras again, one for each picture.")

    if not isinstance(frame, dict):
        raise wrong("no description")
    said = {**tree, **frame}
    if "transform_matrix" not in said:
        raise wrong("no transform_matrix")
    try:
        T = np.array(said["transform_matrix"], float)
    except (TypeError, ValueError):
        raise wrong("a transform_matrix that is no 4 × 4 matrix") from None
    if T.shape not in ((3, 4), (4, 4)) or not np.isfinite(T).all() or abs(np.linalg.det(T[:3, :3])) < 1e-9:
        raise wrong("a transform_matrix that is no 4 × 4 matrix of a camera")
    T = np.concatenate([T[:3], [[0.0, 0, 0, 1]]])
    T[:3, :3] /= np.cbrt(abs(np.linalg.det(T[:3, :3])))
    if not isinstance(said.get("file_path"), str):
        raise wrong("no file_path")
    picture = found(path.parent / said["file_path"])
    try:
        width, height = int(said.get("w", 0)), int(said.get("h", 0))
        if not (width and height):
            width, height = size_of(picture) or (0, 0)
        if "fl_x" in said:
            fx, fy = float(said["fl_x"]), float(said.get("fl_y", said["fl_x"]))
        else:
            fx = width / (2 * math.tan(float(said["camera_angle_x"]) / 2))
            fy = height / (2 * math.tan(float(said["camera_angle_y"]) / 2)) if "camera_angle_y" in said else fx
        cx, cy = float(said.get("cx", width / 2)), float(said.get("cy", height / 2))
        k1, k2, p1, p2 = (float(said.get(k, 0.0)) for k in ("k1", "k2", "p1", "p2"))
    except (*_MALFORMED, ZeroDivisionError):
        raise wrong("no field of view (fl_x, or camera_angle_x)") from None
    sizes = (fx, fy, width, height) if width and height else ()  # a picture that cannot be read is left out later
    if not all(map(math.isfinite, (fx, fy, cx, cy, k1, k2, p1, p2))) or any(size <= 0 for size in sizes):
        raise wrong("a lens that no camera has: its size and focal length must be above 0, and all of it finite")
    mask = path.parent / said["mask_path"] if isinstance(said.get("mask_path"), str) else None
    return Frame(picture, T, (fx, fy), (cx, cy), width, height, mask, (k1, k2, p1, p2))
