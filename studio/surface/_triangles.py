"""PLY (decoded by trimesh) and STL → raw arrays. Both hold triangles without materials."""

from __future__ import annotations

import io
import logging
import re

import numpy as np

from studio.surface._source import Damaged, Raw

_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def read_stl(data: bytes) -> Raw:
    """The raw mesh of an STL file, binary or text. Raises Damaged."""
    count = int.from_bytes(data[80:84], "little")
    if len(data) >= 84 and len(data) == 84 + count * _RECORD.itemsize:
        corners = np.frombuffer(data, _RECORD, count, 84)["corners"].astype(np.float64)
    elif data.lstrip()[:5].lower() == b"solid":
        text = b"\n".join(re.findall(rb"\bvertex\s([^\r\n]*)", data, re.IGNORECASE))
        try:
            corners = np.array(text.split(), dtype="S32").astype(np.float64).reshape(-1, 3, 3)
        except ValueError:
            raise Damaged("its vertices are not three numbers each") from None
    else:
        raise Damaged("its length does not fit the number of triangles it claims")
    note = "STL has no shared vertices: corners at the same place were joined, and normals computed."
    return _raw(corners.reshape(-1, 3), np.arange(len(corners) * 3).reshape(-1, 3), notes=[note])


def read_ply(data: bytes) -> Raw:
    """The raw mesh of a PLY file with its normals and UVs per vertex, if any. Raises one of `_source.DAMAGED`."""
    import trimesh

    logging.getLogger("trimesh").addHandler(logging.NullHandler())  # what goes wrong is said by the error, not printed
    try:
        mesh = trimesh.load(io.BytesIO(data), file_type="ply", process=False)
    except NameError:  # how trimesh's reader ends where a header declares no faces, or lists it cannot measure
        raise Damaged("its contents do not match its header") from None
    if not isinstance(mesh, trimesh.Trimesh):
        raise Damaged("it holds no triangles")
    vertices, faces = np.asarray(mesh.vertices, dtype=np.float64), np.asarray(mesh.faces, dtype=np.int64).reshape(-1, 3)
    if len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
        raise Damaged(f"a face refers to vertex {int(faces.max())} of {len(vertices)}")
    described = mesh.metadata["_ply_raw"]["vertex"]["data"]
    names = described.dtype.names if isinstance(described, np.ndarray) else tuple(described)

    def corners(*choices: tuple[str, ...]) -> np.ndarray | None:
        for wanted in choices:
            if set(wanted) <= set(names):
                return np.stack([np.asarray(described[n], dtype=np.float64).reshape(-1) for n in wanted], axis=-1)[faces]
        return None

    uv = corners(("s", "t"), ("u", "v"), ("texture_u", "texture_v"))
    if uv is not None:
        uv[..., 1] = 1 - uv[..., 1]
    notes = ["Vertex colours are kept in the file, but not shown."] if "red" in names else []
    return _raw(vertices, faces, uv=uv, normals=corners(("nx", "ny", "nz")), notes=notes)


def _raw(
    vertices: np.ndarray,
    faces: np.ndarray,
    *,
    uv: np.ndarray | None = None,
    normals: np.ndarray | None = None,
    notes: list[str],
) -> Raw:
    item, corner = np.arange(len(faces)), np.tile(np.arange(3), (len(faces), 1))
    return Raw(vertices, faces, face_item=item, face_corner=corner, corner_uv=uv, corner_normals=normals, notes=notes)
