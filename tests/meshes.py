"""Small meshes with exactly known geometry and UVs, for every test that needs a mesh.

All charts are unmirrored (u to the right, v down, seen from outside) and keep a margin to the border of the unit square.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from studio.surface.mesh import Material, Mesh

Patch = tuple[np.ndarray, np.ndarray, np.ndarray]


def patch(surface: Callable[[np.ndarray, np.ndarray], np.ndarray], columns: int, rows: int, box: tuple[float, ...]) -> Patch:
    """A grid over (s, t) in the unit square (t from the top): vertices, faces and corner UVs, which fill box (u0, v0, u1, v1)."""
    t, s = np.meshgrid(np.linspace(0, 1, rows + 1), np.linspace(0, 1, columns + 1), indexing="ij")
    s, t = s.ravel(), t.ravel()
    uv = np.stack([box[0] + s * (box[2] - box[0]), box[1] + t * (box[3] - box[1])], axis=-1)
    i, j = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    a = (i * (columns + 1) + j).ravel()
    b, c, d = a + columns + 1, a + columns + 2, a + 1
    faces = np.stack([np.stack([a, b, c], axis=-1), np.stack([a, c, d], axis=-1)], axis=1).reshape(-1, 3)
    return surface(s, t), faces, uv[faces]


def joined(
    patches: list[Patch], name: str, *, sets: tuple[Material, ...] = (Material("paint"),), face_sets: tuple[int, ...] = ()
) -> Mesh:
    """Patches as one mesh; `face_sets` gives the texture set of each patch."""
    shift = np.cumsum([0, *(len(v) for v, _, _ in patches)])
    face_sets = face_sets or (0,) * len(patches)
    return Mesh.from_arrays(
        np.concatenate([v for v, _, _ in patches]),
        np.concatenate([f + n for (_, f, _), n in zip(patches, shift, strict=False)]),
        corner_uv=np.concatenate([uv for _, _, uv in patches]),
        face_set=np.concatenate([np.full(len(f), s) for (_, f, _), s in zip(patches, face_sets, strict=True)]),
        sets=sets,
        name=name,
    )


def quad(cells: int = 1, *, margin: float = 0.0) -> Mesh:
    """A square in the xy plane facing +z (work half side 0.9 / √2), its UVs the unit square less the margin: 2·cells² faces."""
    box = (margin, margin, 1 - margin, 1 - margin)
    return joined([patch(lambda s, t: np.stack([s, 1 - t, 0 * s], axis=-1), cells, cells, box)], "quad")


def cube(cells: int = 1, *, margin: float = 1 / 32) -> Mesh:
    """A cube of six square charts in a 3 × 2 grid: front, right, back / left, top, bottom. 12·cells² faces, sharp edges."""
    return joined(_sides(cells, margin), "cube")


def two_set_box(cells: int = 1, *, margin: float = 1 / 32) -> Mesh:
    """The cube with two texture sets: its four walls in "wall" (set 0), top and bottom in "lid" (set 1)."""
    sets = (Material("wall", base_factor=(0.8, 0.1, 0.1, 1.0), index=0), Material("lid", roughness=0.3, metallic=1.0, index=1))
    return joined(_sides(cells, margin), "two_set_box", sets=sets, face_sets=(0, 0, 0, 0, 1, 1))


def _sides(cells: int, margin: float) -> list[Patch]:
    right_down = [  # outward normal, then the directions of u and v
        ((0, 0, 1), (1, 0, 0), (0, -1, 0)),
        ((1, 0, 0), (0, 0, -1), (0, -1, 0)),
        ((0, 0, -1), (-1, 0, 0), (0, -1, 0)),
        ((-1, 0, 0), (0, 0, 1), (0, -1, 0)),
        ((0, 1, 0), (1, 0, 0), (0, 0, 1)),
        ((0, -1, 0), (1, 0, 0), (0, 0, -1)),
    ]
    sides = []
    for k, (n, u, v) in enumerate(np.array(right_down, dtype=float)):
        x, y = k % 3 / 3, k // 3 / 2
        box = (x + margin, y + margin, x + 1 / 3 - margin, y + 1 / 2 - margin)

        def surface(s: np.ndarray, t: np.ndarray, n=n, u=u, v=v) -> np.ndarray:
            return n + (2 * s[:, None] - 1) * u + (2 * t[:, None] - 1) * v

        sides.append(patch(surface, cells, cells, box))
    return sides


def cylinder(segments: int = 48, rings: int = 12, *, height: float = 2 * np.pi, margin: float = 1 / 32) -> Mesh:
    """An open cylinder of radius 1 before scaling, around y, as one chart: u runs around from −z, v down.

    With the default height texels are square: the chart's sides measure 2π both.
    """

    def surface(s: np.ndarray, t: np.ndarray) -> np.ndarray:
        angle = 2 * np.pi * s - np.pi
        return np.stack([np.sin(angle), height * (0.5 - t), np.cos(angle)], axis=-1)

    return joined([patch(_closed(surface), segments, rings, (margin, margin, 1 - margin, 1 - margin))], "cylinder")


def uv_sphere(columns: int = 48, rows: int = 24, *, margin: float = 1 / 32) -> Mesh:
    """A closed sphere of work radius 0.9 by longitude and latitude; triangles without area at the poles are left out."""

    def surface(s: np.ndarray, t: np.ndarray) -> np.ndarray:
        angle, polar = 2 * np.pi * s - np.pi, np.pi * t
        ring = np.where((t == 0) | (t == 1), 0.0, np.sin(polar))
        return np.stack([ring * np.sin(angle), np.cos(polar), ring * np.cos(angle)], axis=-1)

    vertices, faces, uv = patch(_closed(surface), columns, rows, (margin, margin, 1 - margin, 1 - margin))
    corners = vertices[faces]
    solid = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=-1) > 1e-12
    used, inverse = np.unique(faces[solid], return_inverse=True)
    return joined([(vertices[used], inverse.reshape(-1, 3), uv[solid])], "uv_sphere")


def torus(columns: int = 48, rows: int = 24, *, margin: float = 1 / 32) -> Mesh:
    """A ring around y, of radius 1 and thickness .4 before scaling: convex outside, less so inside; u runs around the ring."""

    def surface(s: np.ndarray, t: np.ndarray) -> np.ndarray:
        around, across = 2 * np.pi * s, 2 * np.pi * np.where(t == 1, 0.0, t)
        reach = 1 + 0.4 * np.cos(across)
        return np.stack([reach * np.sin(around), -0.4 * np.sin(across), reach * np.cos(around)], axis=-1)

    return joined([patch(_closed(surface), columns, rows, (margin, margin, 1 - margin, 1 - margin))], "torus")


def _closed(surface: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The surface with s = 1 at exactly the place of s = 0, so that the seam's vertices are the same."""
    return lambda s, t: surface(np.where(s == 1, 0.0, s), t)
