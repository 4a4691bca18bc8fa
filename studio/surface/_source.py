"""What the readers hand over: materials, the untouched source file, and the raw arrays of a mesh before it is normalised."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from studio.errors import MeshError

MAX_FACES = 20_000_000
"""More triangles than any texture is painted on; a file that claims more is refused before memory is asked for."""


class Damaged(ValueError):
    """A file breaks its format's rules; the text says how, to follow 'is damaged: '."""


DAMAGED = (
    *(LookupError, TypeError, ValueError, AttributeError, ArithmeticError),
    *(RuntimeError, MemoryError, AssertionError, struct.error),
)
"""What Python, numpy and trimesh raise when a file's structure is not what its format promises."""


@dataclass(frozen=True, eq=False)
class Material:
    """One material of the source file, which becomes one texture set."""

    name: str
    base_color: np.ndarray | None = None
    """[h, w, 3 or 4] uint8 sRGB, row 0 at the top; None where the file has no such map."""
    base_factor: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    """Linear red, green, blue and opacity that multiply the map, as in glTF."""
    roughness: float = 1.0
    """Factor 0..1 that multiplies the map's green channel."""
    metallic: float = 0.0
    """Factor 0..1 that multiplies the map's blue channel."""
    metallic_roughness: np.ndarray | None = None
    """[h, w, 3] uint8 linear: green roughness, blue metallic, as in glTF."""
    index: int = -1
    """Its place in the source file (glTF: `materials`; OBJ: order of first `usemtl`); −1 for faces without a material."""


@dataclass(frozen=True)
class Part:
    """A run of faces in a glTF file: one primitive as placed by one node (−1 where the format has no such thing)."""

    mesh: int = -1
    primitive: int = -1
    node: int = -1


@dataclass(frozen=True, eq=False)
class Source:
    """The untouched file, and where in it each studio face comes from.

    | kind | `face_part` | `face_item` | `face_corner` |
    |---|---|---|---|
    | gltf | index into `parts` | triangle of the primitive | places in the primitive's index list, or vertices |
    | obj | 0 | 0-based line number of the `f` line (`data.split(b"\\n")`) | 0-based corners of that line's polygon |
    | other | 0 | triangle number | 0, 1, 2 |

    The corners are in studio order: a node that mirrors turns the winding round, and `face_corner` shows it.
    """

    path: Path
    kind: Literal["gltf", "obj", "other"]
    sha256: str
    """Of the file's bytes when it was loaded."""
    parts: tuple[Part, ...]
    face_part: np.ndarray
    """[F] int32."""
    face_item: np.ndarray
    """[F] int32."""
    face_corner: np.ndarray
    """[F, 3] int32."""
    files: tuple[tuple[Path, str], ...] = ()
    """The buffers, material libraries and pictures that were read beside it, each with its sha256."""

    def read(self) -> bytes:
        """The file's bytes again. Raises MeshError when it, or a file it refers to, is gone or has changed since then."""
        for path, digest in ((self.path, self.sha256), *self.files):
            try:
                data = path.read_bytes()
            except OSError:
                remedy = "Put it back there and do this again; what was painted is kept. Or export only PNG textures, without it."
                raise MeshError(f"'{path}' is no longer there.", remedy) from None
            if hashlib.sha256(data).hexdigest() != digest:
                raise MeshError(f"'{path}' has changed since it was opened.", "Open the mesh again and paint that version.")
            if path == self.path:
                main = data
        return main


@dataclass(eq=False)
class Raw:
    """A mesh as a reader found it, in the units of the source's scene (for glTF after node transforms)."""

    vertices: np.ndarray
    """[N, 3] float64."""
    faces: np.ndarray
    """[F, 3] int64, in range."""
    face_item: np.ndarray
    face_corner: np.ndarray
    face_part: np.ndarray | None = None
    face_set: np.ndarray | None = None
    corner_uv: np.ndarray | None = None
    """[F, 3, 2] float64, v from the top; NaN where a face has none."""
    corner_normals: np.ndarray | None = None
    """[F, 3, 3] float64; NaN where a face has none."""
    sets: tuple[Material, ...] = (Material("default"),)
    parts: tuple[Part, ...] = (Part(),)
    notes: list[str] = field(default_factory=list)
    """Sentences on what was left out or mended."""
