"""Cameras of a USD stage, a turntable's time samples included; through the extra `usd` (Pixar's usd-core)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from studio.captures._frames import Z_UP, Frame, Frames
from studio.captures._pictures import listed, size_of
from studio.errors import StudioError


def read(path: Path) -> Frames:
    """One frame for each camera and time at which it moves, in order of path and time; the pictures beside the stage, by name.

    Raises StudioError without usd-core, and when cameras and pictures are not as many.
    """
    try:
        from pxr import Gf, Usd, UsdGeom
    except ImportError as error:
        remedy = "Install it: pip install 'patina-studio[usd]', or export the cameras as a transforms.json."
        raise StudioError(f"Reading cameras from '{path.name}' needs usd-core, which is not installed.", remedy) from error
    try:
        stage = Usd.Stage.Open(str(path))
    except Exception as error:  # its own kind of error, which cannot be named without it
        raise StudioError(f"'{path.name}' cannot be read as a USD stage.", "Export it again.") from error
    up = Z_UP if UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.z else np.eye(4)
    shots = []
    for prim in stage.Traverse():
        if prim.IsA(UsdGeom.Camera):
            camera = UsdGeom.Camera(prim)
            for time in _times(prim, UsdGeom) or [Usd.TimeCode.Default()]:
                lens = camera.GetCamera(Usd.TimeCode(time))
                T = np.array(Gf.Matrix4d(lens.transform).GetTranspose())
                T[:3, :3] /= np.cbrt(abs(np.linalg.det(T[:3, :3])))
                shots.append((up @ T, lens))
    pictures = listed(path.parent)
    if not shots:
        raise StudioError(f"'{path.name}' has no cameras.", "Export the stage with its cameras.")
    if len(pictures) != len(shots):
        problem = (
            f"'{path.name}' has {len(shots)} cameras (each time sample counts), but there are {len(pictures)} pictures beside it."
        )
        raise StudioError(problem, "Keep exactly the pictures that these cameras took.")
    return Frames(tuple(_frame(picture, T, lens) for picture, (T, lens) in zip(pictures, shots, strict=True)))


def _times(prim: Any, UsdGeom: Any) -> list[float]:
    """The times at which the camera, or anything above it, is placed anew."""
    times: set[float] = set()
    while prim and not prim.IsPseudoRoot():
        if prim.IsA(UsdGeom.Xformable):
            times |= set(UsdGeom.Xformable(prim).GetTimeSamples())
        prim = prim.GetParent()
    return sorted(times)


def _frame(picture: Path, T: np.ndarray, lens: Any) -> Frame:
    if not (lens.horizontalAperture > 0 and lens.focalLength > 0):
        problem = f"The camera of '{picture.name}' has no aperture or no focal length."
        raise StudioError(problem, "Export the stage with its cameras' lenses.")
    width, height = size_of(picture) or (1, 1)
    across = width / lens.horizontalAperture  # pixels per unit of the film; pixels are square
    f = lens.focalLength * across
    centre = (width / 2 - lens.horizontalApertureOffset * across, height / 2 + lens.verticalApertureOffset * across)
    return Frame(picture, T, (f, f), centre, width, height)
