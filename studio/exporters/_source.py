"""What an exporter asks of the untouched file: its bytes, its own positions, and whether the UVs are still its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studio.errors import OutputError
from studio.surface import mesh as loading
from studio.surface._files import Folder
from studio.surface.mesh import Mesh


@dataclass(frozen=True, eq=False)
class Origin:
    """The source file read again, after its digest was checked."""

    data: bytes
    """The file's bytes; empty for a mesh made in memory."""
    folder: Folder
    """Where it refers to."""
    corners: np.ndarray
    """[F, 3, 3] float64 positions of the face corners in the units of the source's scene, to the last bit."""
    unwrapped: bool
    """True when the mesh's UVs are not the file's."""


def read(mesh: Mesh) -> Origin:
    """Raises MeshError when the file is gone or has changed since it was loaded."""
    source, folder = mesh.source, Folder(mesh.source.path)
    if not source.sha256:
        inverse = np.linalg.inv(mesh.T_work_source)
        corners = mesh.vertices[mesh.faces].astype(np.float64) @ inverse[:3, :3].T + inverse[:3, 3]
        return Origin(b"", folder, corners, False)
    data = source.read()
    raw, _ = loading._read(data, source.path.suffix.lower(), folder)
    own = raw.corner_uv
    if own is not None:
        missing = ~np.all(np.isfinite(own), axis=(1, 2))
        own = None if missing.all() else np.where(missing[:, None, None], 0.0, own).astype(np.float32)
    same = own is None if mesh.corner_uv is None else own is not None and np.array_equal(own, mesh.corner_uv)
    return Origin(data, folder, raw.vertices[raw.faces], not same)


def spare(mesh: Mesh, paths: Iterable[Path]) -> None:
    """Raise OutputError if writing these would replace a file that the mesh was loaded from."""
    own = {mesh.source.path.resolve(), *(path.resolve() for path, _ in mesh.source.files)} if mesh.source.sha256 else set()
    for path in paths:
        if path.resolve() in own:
            raise OutputError(f"'{path}' belongs to the mesh that is open.", "Choose another name, so that the original stays.")
