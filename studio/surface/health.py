"""What is good and bad about a mesh before it is painted: its shape, and the UVs that carry the paint.

Everything is counted on whole arrays; 30,000 triangles take a fraction of a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from studio.surface._normals import edges

if TYPE_CHECKING:
    from studio.surface.mesh import Mesh

OVERLAP_LIMIT = 0.05
"""Share of the surface on shared texels up to which overlapping UVs pass without remark."""

_SAMPLES, _TEXELS = 2_000_000, 16_000_000
"""Most texel centres that are looked at, and most texels that are kept, for the overlap."""
_RASTER_PX = 1024
_TILES = 8
_UV_LIMIT = 1e4
"""UVs beyond this are no places on a texture; they count as out of range and are not rasterised."""


@dataclass(frozen=True)
class Health:
    """The report on one mesh. Shares are of the surface (3D area), 0 to 1; UV entries are None without UVs."""

    triangles: int
    vertices: int
    sets: int
    components: int
    """Parts that share no vertex."""
    watertight: bool
    """Every edge is shared by exactly two faces that agree on which side is out."""
    open_edges: int
    """Edges of one face only."""
    bad_edges: int
    """Edges of three faces or more, or of two that disagree on which side is out."""
    degenerate: int
    duplicate: int
    nan: int
    """Corners whose UVs are not finite numbers (positions that are not finite are refused when loading)."""
    uv_overlap: float | None
    """Share of the surface whose texels belong to another place on the surface too, tiled UVs included."""
    uv_flipped: int | None
    """Faces whose picture would be mirrored."""
    uv_outside: int | None
    """Faces with a corner outside the unit square."""
    uv_zero: int | None
    """Faces with area that have none in UV."""
    density_spread: float | None
    """How many times denser the texels are where they are dense (95 %) than where they are sparse (5 % of the surface)."""
    repairs: tuple[str, ...]

    def rows(self) -> list[tuple[str, str, bool]]:
        """(label, value in words, whether it deserves attention) in reading order."""
        rows = [
            ("Triangles", f"{self.triangles:,}", False),
            ("Vertices", f"{self.vertices:,}", False),
            ("Materials", f"{self.sets}", False),
            ("Separate parts", f"{self.components:,}", False),
            ("Watertight", "yes" if self.watertight else f"no ({self.open_edges:,} open edges)", False),
            ("Edges with contradicting faces", _none(self.bad_edges), self.bad_edges > 0),
            ("Faces without area", _none(self.degenerate), self.degenerate > 0),
            ("Duplicate faces", _none(self.duplicate), self.duplicate > 0),
            ("Corners that are not numbers", _none(self.nan), self.nan > 0),
        ]
        if self.uv_overlap is None:
            rows.append(("UVs", "none: the mesh is unwrapped before painting", True))
        else:
            assert self.density_spread is not None and self.uv_flipped is not None
            assert self.uv_outside is not None and self.uv_zero is not None
            rows += [
                ("UVs that overlap", f"{self.uv_overlap:.1%} of the surface", self.uv_overlap > OVERLAP_LIMIT),
                ("Mirrored in UV", _faces(self.uv_flipped), False),
                ("UVs outside the unit square", _faces(self.uv_outside), self.uv_outside > 0),
                ("Faces without area in UV", _none(self.uv_zero), self.uv_zero > 0),
                ("Texel density, dense to sparse", f"{self.density_spread:.1f} : 1", self.density_spread > 4),
            ]
        return rows + [("Repair", sentence, True) for sentence in self.repairs]


def health(mesh: Mesh) -> Health:
    """Examine a mesh."""
    faces = mesh.faces.astype(np.int64)
    area = areas(mesh.vertices, faces)
    opened, bad = _edges(faces, len(mesh.vertices))
    uv, finite = mesh.corner_uv, None
    overlap = flipped = outside = zero = spread = None
    if uv is not None:
        finite = np.all(np.isfinite(uv), axis=2)
        known = np.all(finite, axis=1) & (np.abs(np.where(np.isfinite(uv), uv, 0)) < _UV_LIMIT).all(axis=(1, 2))
        safe = np.where(known[:, None, None], uv, 0).astype(np.float64)
        signed = uv_areas(safe)
        solid = area > 0
        overlap = uv_overlap(safe, mesh.face_set, area)
        flipped = int((signed > 1e-12).sum())
        outside = int((~known | (safe < -1e-4).any(axis=(1, 2)) | (safe > 1 + 1e-4).any(axis=(1, 2))).sum())
        zero = int((solid & (np.abs(signed) <= 1e-12)).sum())
        spread = _spread(np.abs(signed), area)
    return Health(
        triangles=len(faces),
        vertices=len(mesh.vertices),
        sets=len(mesh.sets),
        components=_components(faces, len(mesh.vertices)),
        watertight=opened == 0 and bad == 0,
        open_edges=opened,
        bad_edges=bad,
        degenerate=int(degenerate_faces(mesh.vertices, faces).sum()),
        duplicate=int(duplicate_faces(faces).sum()),
        nan=0 if finite is None else int((~finite).sum()),
        uv_overlap=overlap,
        uv_flipped=flipped,
        uv_outside=outside,
        uv_zero=zero,
        density_spread=spread,
        repairs=mesh.repairs,
    )


def areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """[F] float64 areas in square work units of faces [F, 3] into vertices [N, 3]."""
    t = vertices.astype(np.float64)[faces]
    return np.linalg.norm(np.cross(t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]), axis=-1) / 2


def uv_areas(corner_uv: np.ndarray) -> np.ndarray:
    """[F] signed areas of faces in UV [F, 3, 2], in unit squares; positive where the picture would be mirrored (v runs down)."""
    a, b = corner_uv[:, 1] - corner_uv[:, 0], corner_uv[:, 2] - corner_uv[:, 0]
    return (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2


def degenerate_faces(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """[F] bool: faces with an area below 1e-12 square work units (the mesh's size is about 1)."""
    return areas(vertices, faces) < 1e-12


def duplicate_faces(faces: np.ndarray) -> np.ndarray:
    """[F] bool: faces with the same three vertices as an earlier face, whichever way round."""
    corners = np.sort(faces, axis=1)
    order = np.lexsort((corners[:, 2], corners[:, 1], corners[:, 0]))
    ordered = corners[order]
    result = np.zeros(len(faces), dtype=bool)
    result[order[1:]] = (ordered[1:] == ordered[:-1]).all(axis=1)
    return result


def uv_overlap(corner_uv: np.ndarray, face_set: np.ndarray, weight: np.ndarray) -> float:
    """The share (by weight [F]) of faces, with finite UVs [F, 3, 2], on texels that hold another place of the same set too.

    Faces are sampled at the centres of a grid of texels with the half-open rule, so that neighbours never share a sample; UVs
    wrap round, as tiled textures do. The grid is as fine as keeps the number of samples bounded. Faces over more than
    _TILES tiles are not sampled: of an area of n tiles at least n − 1 lie on shared texels.
    """
    tiled = np.ptp(corner_uv, axis=1).max(axis=1) > _TILES
    area = np.abs(uv_areas(corner_uv))
    part = np.where(tiled, 1 - 1 / np.maximum(area, 1), 0.0)
    sampled = np.where(tiled[:, None, None], 0.0, corner_uv)
    rows, texels = float(np.ptp(sampled[..., 1], axis=1).sum()), float(area[~tiled].sum())
    budgets = np.sqrt(_SAMPLES / max(texels, 1e-9)), _SAMPLES / max(rows, 1e-9), np.sqrt(_TEXELS / (int(face_set.max()) + 1))
    size = int(np.clip(min(budgets), 1, _RASTER_PX))
    face, x, y = _texels(sampled * size)
    texel = (face_set[face].astype(np.int64) * size + y % size) * size + x % size
    shared = np.bincount(texel)[texel] > 1
    samples = np.bincount(face, minlength=len(weight))
    hits = np.bincount(face, shared, minlength=len(weight))
    part = np.divide(hits, samples, out=part, where=samples > 0)
    seen = weight * ((samples > 0) | tiled)
    return float((part * seen).sum() / seen.sum()) if seen.sum() > 0 else 0.0


def _texels(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The face, column and row of every texel centre inside faces [F, 3, 2] (in texels), row span by row span."""
    low, high = corners[..., 1].min(axis=1), corners[..., 1].max(axis=1)
    first = np.ceil(low - 0.5).astype(np.int64)
    face, row = _spans(first, np.ceil(high - 0.5).astype(np.int64) - first)
    row = row + first[face]
    centre = row + 0.5
    left, right = np.full(len(face), np.inf), np.full(len(face), -np.inf)
    for k in range(3):
        p, q = corners[face, k], corners[face, (k + 1) % 3]
        # Both neighbours of an edge must compute the same crossing: always from its lower to its upper end.
        down = (p[:, 1] > q[:, 1])[:, None]
        p, q = np.where(down, q, p), np.where(down, p, q)
        crosses = (p[:, 1] <= centre) & (centre < q[:, 1])
        rise = np.where(crosses, q[:, 1] - p[:, 1], 1.0)
        at = p[:, 0] + (centre - p[:, 1]) / rise * (q[:, 0] - p[:, 0])
        left = np.where(crosses, np.minimum(left, at), left)
        right = np.where(crosses, np.maximum(right, at), right)
    solid = left < right
    start = np.ceil(np.where(solid, left, 0) - 0.5).astype(np.int64)
    stop = np.ceil(np.where(solid, right, 0) - 0.5).astype(np.int64)
    span, column = _spans(start, stop - start)
    return face[span], column + start[span], row[span]


def _spans(start: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each span its number repeated `length` times, and 0 … length − 1 within it."""
    number = np.repeat(np.arange(len(start)), np.maximum(length, 0))
    ends = np.cumsum(np.maximum(length, 0))
    return number, np.arange(len(number)) - np.concatenate([[0], ends])[number]


def _spread(uv_area: np.ndarray, area: np.ndarray) -> float:
    """Ratio of the 95th to the 5th percentile (by area) of √(UV area / area)."""
    painted = (area > 0) & (uv_area > 0)
    if not painted.any():
        return 1.0
    density, weight = np.sqrt(uv_area[painted] / area[painted]), area[painted]
    order = np.argsort(density)
    share = np.cumsum(weight[order]) / weight.sum()
    sparse, dense = density[order][np.minimum(np.searchsorted(share, (0.05, 0.95)), len(order) - 1)]
    return float(dense / sparse)


def _edges(faces: np.ndarray, vertices: int) -> tuple[int, int]:
    """The numbers of open and of contradicting edges; edges of zero length do not count."""
    pairs, backwards = edges(faces)
    real = pairs[:, 0] != pairs[:, 1]
    _, edge = np.unique(pairs[real, 0] * vertices + pairs[real, 1], return_inverse=True)
    uses = np.bincount(edge)
    reversed_uses = np.bincount(edge, backwards[real], minlength=len(uses))
    return int((uses == 1).sum()), int(((uses > 2) | ((uses == 2) & (reversed_uses != 1))).sum())


def _components(faces: np.ndarray, vertices: int) -> int:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = faces[:, [0, 1, 0, 2]].reshape(-1, 2)
    graph = coo_array((np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), shape=(vertices, vertices))
    return int(connected_components(graph, directed=False)[0])


def _none(n: int) -> str:
    return f"{n:,}" if n else "none"


def _faces(n: int) -> str:
    return f"{n:,} face{'' if n == 1 else 's'}" if n else "none"
