"""What of the mesh's own shape can be looked at: fields in colours, and lines on and around the surface.

Everything is computed on the thread that asks; torch is imported only then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from studio.heat import of_lines
from studio.marks import VERDIGRIS, WIDTH, Marks, polyline

if TYPE_CHECKING:
    from studio.surface.mesh import Mesh

STROKES = 2600
"""About as many show the line field."""
LONG = 0.052
"""Length of the longest stroke, in work units."""
LIFT = 0.004
"""How far above the surface lines are drawn, in work units."""
FAINT = 0.04
"""Anisotropy below which no stroke is drawn."""
MARGIN = 1.12
"""A plane is drawn larger than the mesh by this factor."""


@dataclass(frozen=True, eq=False)
class Field:
    """A number for every place of the surface, in the range of its colours."""

    values: np.ndarray
    """[N] float32 of the vertices, or [S, T, T] of the texels; in [0, 1], or in [−1, 1] when signed."""
    title: str
    low: str
    """What the first colour means."""
    high: str
    signed: bool = False
    note: str = ""
    """Why there is nothing to see."""


FLAT = "There is no curvature here."


def mean_curvature(mesh: Mesh, size_px: int) -> Field:
    """Signed mean curvature, over its 95 % quantile."""
    from studio.surface.curvature import normalised

    values = normalised(mesh)
    return Field(values, "Mean curvature", "hollow", "bulge", signed=True, note="" if values.any() else FLAT)


def anisotropy(mesh: Mesh, size_px: int) -> Field:
    """How much more the surface bends one way than the other."""
    from studio.surface.curvature import curvature

    values = curvature(mesh).anisotropy
    return Field(values, "Anisotropy of the bend", "alike all ways", "one way", note="" if values.any() else FLAT)


def occlusion(mesh: Mesh, size_px: int) -> Field:
    """Ambient occlusion: the part of the sky that the surface around hides."""
    from studio.surface.ambient import openness

    values = 1 - openness(mesh)
    return Field(values, "Ambient occlusion", "open", "hidden", note="" if values.max() > 0.02 else "Nothing hides the sky here.")


def interior(mesh: Mesh, size_px: int) -> Field:
    """Where texels lie so near to the border of a chart that rewards leave them out."""
    from studio.surface.atlas import INTERIOR_PX, build_atlas

    atlas = build_atlas(mesh, size_px)
    values = (~atlas.interior & (atlas.claim >= 0)).float().numpy()
    return Field(values, "Interior of the charts", "inside", f"within {INTERIOR_PX} texels of a border")


def line_field(mesh: Mesh, size_px: int) -> Marks:
    """The line along which the surface bends least, as strokes: the longer and hotter, the clearer."""
    from studio.surface.curvature import line_field

    faces = mesh.faces
    corners = mesh.vertices[faces].astype(np.float64)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    twice = np.linalg.norm(cross, axis=1)
    rng = np.random.default_rng(0)
    face = np.searchsorted(twice.cumsum(), rng.random(3 * STROKES) * twice.sum()).clip(max=len(faces) - 1)
    weight = rng.dirichlet((1, 1, 1), len(face))
    point = np.einsum("nk,nkc->nc", weight, corners[face])
    kept = _apart(point, 0.75 * np.sqrt(twice.sum() / 2 / STROKES))
    face, weight, point = face[kept], weight[kept], point[kept]
    normal = cross[face] / np.maximum(twice[face], 1e-30)[:, None]
    tensor = np.einsum("nk,nkij->nij", weight, line_field(mesh)[faces[face]].astype(np.float64))
    strength, direction = np.linalg.eigh(tensor)
    clear, line = (strength[:, 2] - strength[:, 1]).clip(0, 1), direction[:, :, 2]
    line = line - (line * normal).sum(1, keepdims=True) * normal
    kept = clear > FAINT
    clear, line, point, normal = clear[kept], line[kept], point[kept], normal[kept]
    half = (LONG / 2 * (0.35 + 0.65 * clear))[:, None] * line / np.maximum(np.linalg.norm(line, axis=1, keepdims=True), 1e-9)
    middle = point + LIFT * normal
    table = of_lines()
    shade = table[(clear * (len(table) - 1)).round().astype(int)]
    color = np.concatenate([shade, 0.35 + 0.65 * clear[:, None]], 1).astype(np.float32)
    ends = np.stack([middle - half, middle + half], 1).astype(np.float32)
    if not len(ends):
        return _nothing(FLAT)
    return Marks(ends, color, width=1.25 * WIDTH, legend=("Where it bends least", "hardly clear", "very clear"))


def seams(mesh: Mesh, size_px: int) -> Marks:
    """Where the atlas is cut."""
    from studio.surface.seams import cut_edges

    if mesh.corner_uv is None:
        return _nothing("This mesh has no texture coordinates yet.")
    ends = mesh.vertices[cut_edges(mesh)].astype(np.float32)
    if not len(ends):
        return _nothing("This atlas has no seams.")
    return Marks(ends, np.broadcast_to(np.array([*VERDIGRIS, 1], np.float32), (len(ends), 4)))


def symmetry(mesh: Mesh, size_px: int) -> Marks:
    """The plane about which the mesh is most symmetric, and how much it is."""
    from studio.surface.symmetry import best_plane

    plane = best_plane(mesh)
    normal = plane.normal
    up = np.eye(3)[1 if abs(normal[1]) < 0.9 else 2]
    up = up - (up @ normal) * normal
    up /= np.linalg.norm(up)
    axes = np.stack([np.cross(normal, up), up])
    spread = mesh.vertices.astype(np.float64) @ axes.T
    middle, half = (spread.max(0) + spread.min(0)) / 2, MARGIN * np.ptp(spread, axis=0) / 2
    turns = np.array([(-1, 1), (1, 1), (1, -1), (-1, -1)])
    corners = plane.offset * normal + (middle + turns * half) @ axes
    off = f"{100 * plane.error:.1f} %"
    note = f"Symmetric, {off} of the diagonal off" if plane.holds else f"No symmetry: {off} of the diagonal off"
    outline = polyline(corners, closed=True, opacity=1.0 if plane.holds else 0.45, behind=0.3)
    return Marks(outline.ends, outline.color, outline.behind, sheet=corners.astype(np.float32), note=f"{note}.")


FIELDS: dict[str, Callable[[Mesh, int], Field]] = {
    "mean_curvature": mean_curvature, "anisotropy": anisotropy, "occlusion": occlusion, "interior": interior,
}  # fmt: skip
"""Fields that take the place of the channel: each of a mesh and the side of its atlas."""
MARKS: dict[str, Callable[[Mesh, int], Marks]] = {"line_field": line_field, "seams": seams, "symmetry": symmetry}
"""Lines that are drawn over whatever is shown."""


def _nothing(note: str) -> Marks:
    return Marks(np.zeros((0, 2, 3), np.float32), np.zeros((0, 4), np.float32), note=note)


def _apart(points: np.ndarray, distance: float) -> np.ndarray:
    """Indices of points [n, 3] of which no two are nearer than that: the first of every crowd stays."""
    from scipy.spatial import cKDTree

    free = np.ones(len(points), bool)
    pairs = cKDTree(points).query_pairs(distance, output_type="ndarray")
    order = np.argsort(pairs[:, 0], kind="stable")
    for a, b in pairs[order].tolist():
        if free[a]:
            free[b] = False
    return np.flatnonzero(free)
