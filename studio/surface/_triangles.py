"""PLY and STL → raw arrays. Both hold triangles without materials; trimesh decodes them."""

from __future__ import annotations

import io

import numpy as np

from studio.surface._source import Damaged, Raw


def read_stl(data: bytes) -> Raw:
    """The raw mesh of an STL file, binary or text. Raises one of `_source.DAMAGED`."""
    raw = _decoded(data, "stl")
    raw.notes.append("STL has no shared vertices: corners at the same place were joined, and normals computed.")
    return raw


def read_ply(data: bytes) -> Raw:
    """The raw mesh of a PLY file with its normals and UVs per vertex, if any. Raises one of `_source.DAMAGED`."""
    return _decoded(data, "ply")


def _decoded(data: bytes, kind: str) -> Raw:
    import trimesh
    from trimesh.exchange.stl import HeaderError

    try:
        mesh = trimesh.load(io.BytesIO(data), file_type=kind, process=False)
    except HeaderError:
        raise Damaged("its header cannot be read") from None
    if not isinstance(mesh, trimesh.Trimesh):
        raise Damaged("it holds points only" if isinstance(mesh, trimesh.PointCloud) else "it holds no triangles")
    faces = np.asarray(mesh.faces, dtype=np.int64).reshape(-1, 3)
    notes = []
    uv = normals = None
    described = mesh.metadata.get("_ply_raw", {}).get("vertex", {}).get("data")
    if described is not None and len(faces) and 0 <= faces.min() and faces.max() < len(mesh.vertices):
        names = described.dtype.names if isinstance(described, np.ndarray) else tuple(described)

        def column(*choices: tuple[str, ...]) -> np.ndarray | None:
            for wanted in choices:
                if set(wanted) <= set(names):
                    return np.stack([np.asarray(described[n], dtype=np.float64).reshape(-1) for n in wanted], axis=-1)[faces]
            return None

        normals = column(("nx", "ny", "nz"))
        uv = column(("s", "t"), ("u", "v"), ("texture_u", "texture_v"))
        if uv is not None:
            uv[..., 1] = 1 - uv[..., 1]
        if "red" in names:
            notes.append("Vertex colours are kept in the file, but not shown.")
    return Raw(
        np.asarray(mesh.vertices, dtype=np.float64),
        faces,
        face_item=np.arange(len(faces)),
        face_corner=np.tile(np.arange(3), (len(faces), 1)),
        corner_uv=uv,
        corner_normals=normals,
        notes=notes,
    )
