"""The mesh as the studio works on it: frozen arrays in work space over the untouched source file.

`load` reads a file, places its scene in the unit ball of radius 0.9 around the origin and keeps, in `Source`, where every face
came from, so that an export can patch the file instead of rewriting it. Vertices at exactly the same place are one vertex here
(UVs and normals live on face corners), which is what curvature, symmetry and health need.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from studio.errors import MeshError
from studio.surface import _files, _normals
from studio.surface._source import DAMAGED, MAX_FACES, Damaged, Material, Part, Raw, Source

__all__ = ["RADIUS", "SUFFIXES", "Material", "Mesh", "Part", "Source", "load"]

RADIUS = 0.9
"""Every vertex in work space lies within this distance of the origin."""

SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".stl")


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles in work space (right-handed, y up). All arrays are read-only."""

    name: str
    vertices: np.ndarray
    """[N, 3] float32 within RADIUS of the origin, the centre of the bounding box; every vertex belongs to a face."""
    faces: np.ndarray
    """[F, 3] int32, counter-clockwise seen from outside, in the order of the source."""
    corner_normals: np.ndarray
    """[F, 3, 3] float32, unit shading normals of the face corners: the file's, or computed (`_normals`)."""
    corner_uv: np.ndarray | None
    """[F, 3, 2] float32, v from the top of the picture: (u·T, v·T) is a place in texels. None: the file has no UVs."""
    face_set: np.ndarray
    """[F] int32, index into `sets`."""
    sets: tuple[Material, ...]
    """The texture sets: one per material that some face uses, at least one."""
    T_work_source: np.ndarray
    """[4, 4] float64, scale and shift from the source's scene to work space."""
    source: Source
    repairs: tuple[str, ...] = ()
    """What was mended or left out, one sentence each."""

    @cached_property
    def hash(self) -> str:
        """sha256 over shape, UVs and texture sets: the key of everything cached for this mesh."""
        digest = hashlib.sha256()
        uv = np.empty(0, np.float32) if self.corner_uv is None else self.corner_uv
        for array in (self.vertices, self.faces, self.corner_normals, uv, self.face_set):
            digest.update(f"{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        digest.update("\0".join(s.name for s in self.sets).encode())
        return digest.hexdigest()

    def with_uv(self, corner_uv: np.ndarray, note: str) -> Mesh:
        """This mesh with other UVs [F, 3, 2] (v from the top); `note` says so among its repairs.

        Texture sets whose UVs change lose their maps, which lie on the old ones.
        """
        if corner_uv.shape != (len(self.faces), 3, 2):
            raise ValueError(f"corner_uv must be {(len(self.faces), 3, 2)}, not {corner_uv.shape}")
        uv = _frozen(corner_uv, np.float32)
        moved = np.ones(len(uv), dtype=bool) if self.corner_uv is None else (uv != self.corner_uv).any(axis=(1, 2))
        sets, notes = list(self.sets), [*self.repairs, note]
        for i in np.unique(self.face_set[moved]):
            if sets[i].base_color is not None or sets[i].metallic_roughness is not None:
                notes.append(f"The maps of material '{sets[i].name}' lie on other UVs: they stay in the file, but are not shown.")
                sets[i] = replace(sets[i], base_color=None, metallic_roughness=None)
        return replace(self, corner_uv=uv, sets=tuple(sets), repairs=tuple(notes))

    @classmethod
    def from_arrays(
        cls,
        vertices: np.ndarray,
        faces: np.ndarray,
        *,
        corner_uv: np.ndarray | None = None,
        corner_normals: np.ndarray | None = None,
        face_set: np.ndarray | None = None,
        sets: tuple[Material, ...] = (Material("default"),),
        name: str = "mesh",
    ) -> Mesh:
        """A mesh made in memory from vertices [N, 3] in any units and faces [F, 3]. Raises MeshError as `load` does."""
        faces = np.asarray(faces, dtype=np.int64).reshape(-1, 3)
        raw = Raw(
            np.asarray(vertices, dtype=np.float64).reshape(-1, 3),
            faces,
            face_item=np.arange(len(faces)),
            face_corner=np.tile(np.arange(3), (len(faces), 1)),
            face_set=face_set,
            corner_uv=corner_uv,
            corner_normals=corner_normals,
            sets=sets,
        )
        return _assemble(raw, name, Path(name), "other", "", ())


def load(path: str | Path) -> Mesh:
    """Read an OBJ, GLB, glTF, PLY or STL file with everything its scene places.

    Raises MeshError, with a remedy, for anything that is no such file, is damaged or empty, has vertices that are not numbers,
    or refers to what cannot be read. Things that can be left out or mended are, and are listed in `Mesh.repairs`.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    data = _files.read_limited(path)
    actual = _files.really(data)
    formats = "Open an OBJ, GLB, glTF, PLY or STL file; other formats can be exported as GLB from Blender."
    if suffix not in SUFFIXES:
        raise MeshError(f"'{path.name}' is not a mesh file the studio reads.", formats)
    if actual and suffix != {"a GLB file": ".glb", "a PLY file": ".ply"}.get(actual) and (suffix != ".stl" or len(data) < 84):
        raise MeshError(f"'{path.name}' is named {suffix} but is {actual}.", "Rename it, or choose the mesh itself.")
    folder = _files.Folder(path)
    try:
        with np.errstate(all="ignore"):  # what is not finite is found in `_assemble`
            raw, kind = _read(data, suffix, folder)
    except DAMAGED as e:
        said = str(e) if isinstance(e, Damaged) else f"its contents are not what a {suffix} file promises"
        raise MeshError(f"'{path.name}' is damaged: {said}.", "Export it again from the program that made it.") from e
    except _files.Outside as e:
        problem = f"'{path.name}' refers to '{str(e)[:120]}', which lies outside its own folder."
        raise MeshError(problem, "Put all of its files into one folder, or export it as GLB.") from None
    files = tuple(folder.read_files.items())
    return _assemble(raw, path.stem, path.absolute(), kind, hashlib.sha256(data).hexdigest(), files)


def _read(data: bytes, suffix: str, folder: _files.Folder) -> tuple[Raw, str]:
    if suffix in (".glb", ".gltf"):
        from studio.surface._gltf import read_gltf

        return read_gltf(data, folder), "gltf"
    if suffix == ".obj":
        from studio.surface._obj import read_obj

        return read_obj(data, folder), "obj"
    from studio.surface._triangles import read_ply, read_stl

    return (read_ply if suffix == ".ply" else read_stl)(data), "other"


def _assemble(raw: Raw, name: str, path: Path, kind: str, sha256: str, files: tuple[tuple[Path, str], ...]) -> Mesh:
    """The raw arrays checked, merged, normalised and frozen."""
    count = len(raw.faces)
    if count == 0:
        raise MeshError(f"'{path.name}' has no faces to paint.", "Open a mesh with at least one triangle.")
    if count > MAX_FACES:
        raise MeshError(f"'{path.name}' has {count:,} triangles.", f"Reduce it to at most {MAX_FACES:,}.")
    notes = list(raw.notes)
    if raw.faces.min() < 0 or raw.faces.max() >= len(raw.vertices):
        problem = f"'{path.name}' has a face that refers to a vertex which does not exist."
        raise MeshError(problem, "Export it again from the program that made it.")

    used = np.zeros(len(raw.vertices), dtype=bool)
    used[raw.faces] = True
    places, faces = _merged(raw.vertices, raw.faces, used)
    bad = int((~np.isfinite(places)).any(axis=1).sum())
    if bad:
        problem = f"'{path.name}' has {_count(bad, 'vertex', 'vertices')} whose position is not a finite number."
        raise MeshError(problem, "Repair the mesh in a 3D program and export it again.")
    if not used.all():
        stray = int((~used).sum())
        notes.append(f"{_count(stray, 'vertex', 'vertices')} belonging to no face: kept in the file, ignored here.")

    centre = places.min(axis=0) / 2 + places.max(axis=0) / 2
    size = float(np.linalg.norm(places - centre, axis=1).max())
    if not (1e-30 < size < 1e30):
        problem = f"'{path.name}' has no size: all of its vertices lie in one point or too far away."
        raise MeshError(problem, "Scale the mesh in a 3D program and export it again.")
    # A hair below RADIUS, so that rounding to float32 cannot push a vertex out of the ball.
    scale = RADIUS * (1 - 1e-6) / size
    T = np.diag([scale, scale, scale, 1.0])
    T[:3, 3] = -scale * centre
    vertices = (places - centre) * scale

    notes += _findings(vertices, faces)
    corner_uv = _usable_uv(raw.corner_uv, notes)
    sets, face_set = _used_sets(raw)
    source = Source(
        path,
        kind,  # type: ignore[arg-type]
        sha256,
        raw.parts,
        _frozen(np.zeros(count) if raw.face_part is None else raw.face_part, np.int32),
        _frozen(raw.face_item, np.int32),
        _frozen(raw.face_corner, np.int32),
        files,
    )
    return Mesh(
        name,
        _frozen(vertices, np.float32),
        _frozen(faces, np.int32),
        _frozen(_shading_normals(vertices, faces, raw.corner_normals, notes), np.float32),
        None if corner_uv is None else _frozen(corner_uv, np.float32),
        _frozen(face_set, np.int32),
        sets,
        _frozen(T, np.float64),
        source,
        tuple(notes),
    )


def _merged(vertices: np.ndarray, faces: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The used vertices with exact duplicates made one, in order of first appearance, and the faces into them."""
    ids = np.flatnonzero(used)
    places = vertices[ids] + 0.0  # turns −0 into 0
    order = np.lexsort((ids, places[:, 2], places[:, 1], places[:, 0]))
    ordered = places[order]
    first = np.ones(len(ids), dtype=bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    leader = order[np.flatnonzero(first)[np.cumsum(first) - 1]]
    lead = np.empty(len(ids), dtype=np.int64)
    lead[order] = leader
    keep = np.unique(lead)
    new = np.empty(len(vertices), dtype=np.int64)
    new[ids] = np.searchsorted(keep, lead)
    return places[keep], new[faces]


def _findings(vertices: np.ndarray, faces: np.ndarray) -> list[str]:
    """Sentences on faces that are kept although nothing can be painted on them."""
    from studio.surface.health import degenerate_faces, duplicate_faces

    found = []
    if degenerate := int(degenerate_faces(vertices, faces).sum()):
        found.append(f"{_count(degenerate, 'face', 'faces')} without area: kept in the file, nothing to paint on.")
    if duplicate := int(duplicate_faces(faces).sum()):
        found.append(f"{_count(duplicate, 'face', 'faces')} lying exactly on another one: kept in the file.")
    return found


def _usable_uv(uv: np.ndarray | None, notes: list[str]) -> np.ndarray | None:
    """UVs without NaN (missing ones become 0), or None where no face has any."""
    if uv is None:
        return None
    missing = ~np.all(np.isfinite(uv), axis=(1, 2))
    if missing.all():
        return None
    if missing.any():
        notes.append(f"{_count(int(missing.sum()), 'face', 'faces')} without UVs.")
        uv = np.where(missing[:, None, None], 0.0, uv)
    return uv


def _shading_normals(vertices: np.ndarray, faces: np.ndarray, given: np.ndarray | None, notes: list[str]) -> np.ndarray:
    """The given unit normals; computed ones where a corner has none or one without direction."""
    if given is None:
        return _normals.corner_normals(vertices, faces)
    length = np.linalg.norm(given, axis=-1)
    absent = ~np.isfinite(given).all(axis=-1) | (length < 1e-6)
    if not absent.any():
        return given / length[..., None]
    if not np.isnan(given[absent]).all():
        notes.append(f"{_count(int(absent.sum()), 'face corner', 'face corners')} had no usable normal: it was computed.")
    computed = _normals.corner_normals(vertices, faces)
    return np.where(absent[..., None], computed, given / np.where(absent, 1, length)[..., None])


def _used_sets(raw: Raw) -> tuple[tuple[Material, ...], np.ndarray]:
    """The materials that faces use, in the source's order, and each face's index among them."""
    face_set = np.zeros(len(raw.faces), dtype=np.int64) if raw.face_set is None else np.asarray(raw.face_set)
    used, face_set = np.unique(face_set, return_inverse=True)
    return tuple(raw.sets[i] for i in used), face_set


def _count(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"


def _frozen(array: np.ndarray, dtype: type) -> np.ndarray:
    result = np.array(array, dtype=dtype, order="C")
    result.setflags(write=False)
    return result
