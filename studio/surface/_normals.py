"""Shading normals for meshes that bring none: smooth across gentle edges, sharp across others."""

from __future__ import annotations

import numpy as np

CREASE_DEG = 40.0


def edges(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The half-edges of faces [F, 3] as undirected vertex pairs [3F, 2] (smaller first) and whether each runs backwards [3F].

    Half-edge 3f + k leaves corner k of face f.
    """
    directed = np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2)
    return np.sort(directed, axis=1), directed[:, 0] > directed[:, 1]


def corner_angles(triangles: np.ndarray) -> np.ndarray:
    """Interior angles [F, 3] in radians of triangles [F, 3, 3]; 0 at zero-length sides."""
    after = np.roll(triangles, -1, axis=1) - triangles
    before = np.roll(triangles, 1, axis=1) - triangles
    sine = np.linalg.norm(np.cross(after, before), axis=-1)
    return np.arctan2(sine, np.einsum("fkc,fkc->fk", after, before)) * (sine > 0)


def corner_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals [F, 3, 3] per face corner from vertices [N, 3] (shared by neighbouring faces) and faces [F, 3].

    The corners around a vertex fall into groups, joined across edges that bend by less than CREASE_DEG; each group takes the
    mean of its face normals weighted by the angle at the corner (Thürmer and Wüthrich, 1998). Faces without area follow their
    group, or point up.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    triangles = vertices[faces]
    cross = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    length = np.linalg.norm(cross, axis=-1, keepdims=True)
    flat = np.divide(cross, length, out=np.zeros_like(cross), where=length > 0)

    pairs, backwards = edges(faces)
    key = pairs[:, 0].astype(np.int64) * len(vertices) + pairs[:, 1]
    order = np.argsort(key, kind="stable")
    same = np.flatnonzero(key[order][1:] == key[order][:-1])
    a, b = order[same], order[same + 1]
    bend = np.einsum("ec,ec->e", flat[a // 3], flat[b // 3])
    flat_face = (length[:, 0] == 0)[a // 3] | (length[:, 0] == 0)[b // 3]
    smooth = (bend > np.cos(np.radians(CREASE_DEG))) | flat_face
    a, b = a[smooth], b[smooth]

    def ends(half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        start, stop = half, half // 3 * 3 + (half + 1) % 3
        return np.where(backwards[half], stop, start), np.where(backwards[half], start, stop)

    (a0, a1), (b0, b1) = ends(a), ends(b)
    rows, columns = np.concatenate([a0, a1]), np.concatenate([b0, b1])
    corners = faces.size
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(corners, corners))
    groups, group = connected_components(graph, directed=False)
    weighted = (flat[:, None, :] * corner_angles(triangles)[..., None]).reshape(-1, 3)
    total = np.stack([np.bincount(group, weighted[:, c], minlength=groups) for c in range(3)], axis=-1)[group]
    return unit(total, np.repeat(flat, 3, axis=0)).reshape(len(faces), 3, 3)


def unit(vectors: np.ndarray, fallback: np.ndarray) -> np.ndarray:
    """`vectors` [n, 3] at length 1; where that is impossible `fallback` [n, 3], and where that is zero too, +y."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    good = np.isfinite(length) & (length > 1e-12)
    result = np.where(good, vectors / np.where(good, length, 1), fallback)
    result[~np.any(result, axis=-1)] = (0.0, 1.0, 0.0)
    return result
