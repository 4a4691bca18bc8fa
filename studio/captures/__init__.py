"""Captures: pictures of one object with known cameras, as material recovery takes them.

A set is a folder, or one file in it: the studio's own `capture.json`, NeRF's `transforms.json`, LLFF's `poses_bounds.npy`, or a
USD stage with cameras (through the extra `usd`). Alpha or mask files say where the object is; there may be neither.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from studio.captures import _llff, _nerf, _pictures, _usd
from studio.captures._frames import CONVENTIONS, Frame, Frames
from studio.captures._frames import stops as stops
from studio.errors import StudioError, unknown
from studio.pinhole import Pinhole

OWN_FILE = "capture.json"
READERS: tuple[tuple[str, Callable[[Path], Frames]], ...] = (
    (OWN_FILE, _nerf.read),
    ("transforms.json", _nerf.read),
    ("transforms_train.json", _nerf.read),
    ("poses_bounds.npy", _llff.read),
    *((f"*{suffix}", _usd.read) for suffix in (".usd", ".usda", ".usdc", ".usdz")),
)
"""What a folder is searched for, in this order, and what reads it."""


@dataclass(frozen=True, eq=False)
class Capture:
    """V pictures on squares of n × n pixels; a picture that is no square lies in the upper left one's corner."""

    names: tuple[str, ...]
    cameras: tuple[Pinhole, ...]
    """In the space of the mesh's source file."""
    rgb: Tensor
    """[V, 3, n, n] uint8 sRGB, straight (not multiplied by alpha)."""
    alpha: Tensor | None
    """[V, 1, n, n] uint8: how much of each pixel is the object; None where nothing says so."""
    known: Tensor
    """[V, n, n] bool: the pixel belongs to the picture, not to the square around it."""
    written: tuple[Pinhole, ...] = ()
    """The cameras as the file has them, before a convention was applied."""
    environment: str | None = None
    """The light the pictures were taken under, as `studio.environment.load` takes it, where the set says so."""
    exposure_ev: float = 0.0
    notes: tuple[str, ...] = ()
    """What was left out or assumed, one sentence each."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def size_px(self) -> int:
        """n."""
        return self.rgb.shape[-1]

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the pictures, their cameras and their exposure."""
        digest = hashlib.sha256()
        for plane in (self.rgb, self.alpha, self.known):
            digest.update(b"" if plane is None else plane.numpy().tobytes())
        digest.update(repr((self.cameras, self.exposure_ev)).encode())
        return digest.hexdigest()

    def placed(self, T: np.ndarray) -> Capture:
        """With its cameras in another space: T [4, 4], such as `Mesh.T_work_source`."""
        return replace(self, cameras=tuple(camera.moved(T) for camera in self.cameras))

    def of(self, views: list[int]) -> Capture:
        """Only these views."""
        return replace(
            self,
            names=tuple(self.names[v] for v in views),
            cameras=tuple(self.cameras[v] for v in views),
            written=tuple(self.written[v] for v in views) if self.written else (),
            rgb=self.rgb[views],
            alpha=None if self.alpha is None else self.alpha[views],
            known=self.known[views],
        )


def load(path: str | Path, *, size_px: int = 512, convention: str = "opengl") -> Capture:
    """Read a set of pictures, each scaled down so that its longer side has at most `size_px` pixels.

    `convention` names what the file means by a camera's axes and the world's (`CONVENTIONS`). Raises StudioError for a set
    without cameras, pictures that do not fit their cameras, masks that show nothing, and an unknown convention. A picture that
    is missing or damaged is left out with a note, as long as half of them can be read.
    """
    if convention not in CONVENTIONS:
        raise unknown("convention", convention, CONVENTIONS)
    head = _read(Path(path))
    frames = head.frames
    pictures, notes = _pictures.read(frames, size_px)
    kept = [i for i, picture in enumerate(pictures) if picture is not None]
    read = [p for p in pictures if p is not None]
    side = max(max(p.rgb.shape[:2]) for p in read)
    squares = [_pictures.squared(p, side) for p in read]
    alphas = [s.alpha for s in squares if s.alpha is not None]
    bare = [frames[i].picture.name for i, s in zip(kept, squares, strict=True) if s.alpha is None]
    if alphas and bare:
        notes.append(f"{len(bare)} of {len(squares)} pictures have no mask or alpha, so none is used; the first is '{bare[0]}'.")
    written = tuple(_camera(frames[i], p, side) for i, p in zip(kept, read, strict=True))
    capture = Capture(
        tuple(frames[i].picture.name for i in kept),
        as_meant(written, convention),
        torch.stack([s.rgb for s in squares]),
        None if bare else torch.stack(alphas),
        torch.stack([s.known for s in squares]),
        written,
        head.environment,
        head.exposure_ev,
        (*head.notes, *notes),
    )
    return _without_empty(capture)


def as_meant(written: tuple[Pinhole, ...], convention: str) -> tuple[Pinhole, ...]:
    """A file's cameras, read by a convention."""
    meant = CONVENTIONS[convention]
    return tuple(Pinhole.at(meant(camera.matrix), camera.focal, camera.centre) for camera in written)


def _read(path: Path) -> Frames:
    if not path.exists():
        raise StudioError(f"There are no pictures at '{path}'.", "Give the folder of the pictures, or its file of cameras.")
    for pattern, read in READERS:
        if path.is_file() and path.match(pattern):
            return read(path)
        found = sorted(path.glob(pattern)) if path.is_dir() else []
        if found:
            return read(found[0])
    if path.is_dir():
        problem = f"'{path}' holds no cameras."
        remedy = "Put a transforms.json (NeRF), poses_bounds.npy (LLFF), a USD file or the studio's capture.json into it."
        raise StudioError(problem, remedy)
    raise StudioError(
        f"'{path.name}' is no file of cameras.", "Give a transforms.json, poses_bounds.npy, capture.json or USD file."
    )


def _camera(frame: Frame, picture: _pictures.Picture, side: int) -> Pinhole:
    """The frame's camera on a square of `side` pixels, `picture` being the frame's scaled down."""
    height, width = picture.rgb.shape[:2]
    x, y = width / frame.width / side, height / frame.height / side
    return Pinhole.at(frame.T_world_view, (frame.focal[0] * x, frame.focal[1] * y), (frame.centre[0] * x, frame.centre[1] * y))


def _without_empty(capture: Capture) -> Capture:
    """Without the views whose masks are black. Raises StudioError when all are."""
    if capture.alpha is None:
        return capture
    shown = (capture.alpha > 127).flatten(1).any(1)
    if not shown.any():
        raise StudioError(
            "All masks are black: no picture shows the object.", "White in a mask is the object; check the mask files."
        )
    if shown.all():
        return capture
    black = [name for name, seen in zip(capture.names, shown.tolist(), strict=True) if not seen]
    note = f"The masks of {len(black)} pictures are black; these are left out: {', '.join(black[:4])}."
    return replace(capture.of(shown.nonzero()[:, 0].tolist()), notes=(*capture.notes, note))
