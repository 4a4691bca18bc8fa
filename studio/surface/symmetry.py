"""Mirror symmetry: the plane a mesh is symmetric about, and which texels face each other across it.

Planes are proposed by the coordinate axes, the principal axes and pairs of surface points (Mitra, Guibas and Pauly, "Partial and
approximate symmetry detection", 2006), scored by how far the mirrored surface lies from the surface, and refined by iterated
closest points, for which the best plane has a closed form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from studio.errors import StudioError
from studio.store import recalled

if TYPE_CHECKING:
    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh

VERSION = 1
"""Grows when another plane or other pairs come of the same mesh: those kept on disk are then not used."""
LIMIT = 0.01
"""The largest mirror distance, in bounding-box diagonals, at which a mesh counts as symmetric."""
TRIM = 0.9
"""Share of the surface that is scored: the worst tenth (a handle, a bow) may differ."""
ALIKE = 0.0005
"""Planes whose costs differ by less are equally good: then the coordinate axes win, left–right first."""
PERFECT = 1e-5
"""A plane this good needs no search for a better one."""
SAMPLES = 1500
ROUNDS = 12
"""Closest-point iterations on a cloud of surface points; a third as many follow on the surface itself."""

Closest = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Plane:
    """The points x with normal · x = offset, in work space."""

    normal: np.ndarray
    """[3] float64, unit."""
    offset: float
    origin: str
    """Where it comes from, in words."""
    error: float = float("inf")
    """Mean distance of the best TRIM of the mirrored surface from the surface, in bounding-box diagonals."""
    confidence: float = 0.0
    """Share of the surface whose mirror image lies within LIMIT of the surface."""

    def height(self, points: np.ndarray) -> np.ndarray:
        """Signed distances [n] of points [n, 3]."""
        return points @ self.normal - self.offset

    def mirror(self, points: np.ndarray) -> np.ndarray:
        """Mirror images [n, 3] of points [n, 3]."""
        return points - 2 * self.height(points)[:, None] * self.normal

    def turn(self, directions: np.ndarray) -> np.ndarray:
        """Mirror images [n, 3] of directions [n, 3]."""
        return directions - 2 * (directions @ self.normal)[:, None] * self.normal

    @property
    def holds(self) -> bool:
        """Whether the mesh counts as symmetric about it."""
        return self.error <= LIMIT

    @property
    def cost(self) -> float:
        """What planes are compared by: the error, and the parts of the surface that have no mirror image."""
        return self.error + 2 * LIMIT * (1 - self.confidence)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Texels (flat indices over S·T·T) and, for each, the texel at its mirrored place. Each direction is a pair of its own."""

    texel: np.ndarray
    """[n] int64."""
    partner: np.ndarray
    """[n] int64, never equal to `texel`."""
    own: int
    """Texels left out because they are their own mirror image."""
    alone: int
    """Texels left out because nothing lies at their mirrored place."""


def find_plane(mesh: Mesh) -> Plane:
    """The plane about which the mesh is symmetric; deterministic.

    Raises StudioError when the mirror distance of every plane exceeds LIMIT.
    """
    plane = best_plane(mesh)
    if not plane.holds:
        raise StudioError(
            f"'{mesh.name}' is not symmetric: its best mirror image is {plane.error:.2%} of its size off, over {LIMIT:.0%}.",
            "Leave the symmetry reward out for this mesh.",
        )
    return plane


@lru_cache(maxsize=4)
def best_plane(mesh: Mesh) -> Plane:
    """The plane about which the mesh is most symmetric, however little that is; deterministic, kept on disk."""

    def searched() -> dict[str, np.ndarray]:
        return {name: np.asarray(value) for name, value in vars(_searched(mesh)).items()}

    found = recalled(f"plane {VERSION}", mesh.hash, searched)
    offset, error, confidence = (float(found[name]) for name in ("offset", "error", "confidence"))
    return Plane(found["normal"], offset, str(found["origin"]), error, confidence)


def _searched(mesh: Mesh) -> Plane:
    import igl
    from scipy.spatial import cKDTree

    vertices, faces = mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64)
    diagonal = float(np.linalg.norm(np.ptp(vertices, axis=0)))
    points, normals = _samples(vertices, faces, 8 * SAMPLES)
    some, some_normals = points[::8], normals[::8]
    cloud = cKDTree(points)
    tree = igl.AABB()
    tree.init(vertices, faces)

    def near(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        distance, found = cloud.query(q)
        return distance, points[found]

    def exact(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        squared, _, found = tree.squared_distance(vertices, faces, q)
        return np.sqrt(squared), found

    def across(plane: Plane) -> bool:  # a sheet that lies in the plane is its own mirror image, which says nothing
        return bool(np.abs(plane.height(vertices)).max() > LIMIT * diagonal)

    found = [_scored(p, some, exact, diagonal) for p in _axes(points) if across(p)]
    if min(p.cost for p in found) > PERFECT:
        guesses = [_scored(p, some[::8], near, diagonal) for p in _bisectors(some, some_normals, diagonal)]
        found += [_scored(p, some, exact, diagonal) for p in _distinct(sorted(guesses, key=lambda p: p.cost), 4)]
        for plane in sorted(found, key=lambda p: p.cost)[:4]:
            rough = _refined(plane, some, near, rounds=ROUNDS)
            found.append(_scored(_refined(rough, some, exact, rounds=ROUNDS // 3), some, exact, diagonal))
    found = [p for p in found if across(p)]
    best = min(p.cost for p in found)
    order = {"the x axis": 0, "the z axis": 1, "the y axis": 2}
    return min((p for p in found if p.cost <= best + ALIKE), key=lambda p: (order.get(p.origin, 3), p.cost))


def mirrored_pairs(plane: Plane, atlas: Atlas) -> Pairs:
    """The texel at the mirrored place of every texel in a chart, on the same side of thin walls.

    Among the four nearest texels the one with the least distance and best agreeing normal is taken; exact ties fall to the one
    further along a fixed direction in space, so that the pairs do not depend on where the charts lie in the atlas. Pairs may miss
    each other by two texels plus LIMIT. Kept on disk.
    """
    key = f"{atlas.key} {plane.normal.tolist()} {plane.offset}" if atlas.key else ""
    found = recalled(f"pairs {VERSION}", key, lambda: _paired(plane, atlas))
    texel, partner = (found[name].astype(np.int64) for name in ("texel", "partner"))
    return Pairs(texel, partner, own=int(found["own"]), alone=int(found["alone"]))


def _paired(plane: Plane, atlas: Atlas) -> dict[str, np.ndarray]:
    """The attributes of `Pairs`, in numbers that take little room."""
    from scipy.spatial import cKDTree

    index = np.flatnonzero(atlas.valid.cpu().numpy())
    position = atlas.position.cpu().numpy().reshape(-1, 3)[index].astype(np.float64)
    normal = atlas.normal.cpu().numpy().reshape(-1, 3)[index].astype(np.float64)
    image, image_normal = plane.mirror(position), plane.turn(normal)
    spacing = texel_size(atlas)
    tree = cKDTree(position, balanced_tree=False)
    _, near = tree.query(image, k=min(4, len(index)), workers=-1)
    near = near.reshape(len(index), -1)
    least = np.full(len(index), np.inf)
    partner = np.full(len(index), -1)
    reach = 2 * spacing + LIMIT * float(np.linalg.norm(np.ptp(position, axis=0)))
    for candidate in near.T:
        miss = position[candidate] - image
        agree = np.einsum("nc,nc->n", normal[candidate], image_normal)
        cost = (np.linalg.norm(miss, axis=1) + 1e-3 * miss @ (0.8, 0.5, 0.33)) / spacing + 2 * (1 - agree)
        better = (cost < least) & (agree > 0) & (np.linalg.norm(miss, axis=1) <= reach)
        least[better], partner[better] = cost[better], candidate[better]
    alone = partner < 0
    own = partner == np.arange(len(index))
    kept = ~(alone | own)
    pairs = {"texel": index[kept].astype(np.int32), "partner": index[partner[kept]].astype(np.int32)}
    return pairs | {"own": np.asarray(own.sum()), "alone": np.asarray(alone.sum())}


def texel_size(atlas: Atlas) -> float:
    """The side of a square with the mean surface area of a texel in charts, in work units."""
    du, dv = atlas.corners.jacobian.cpu().double().unbind(-1)
    stretch = torch.linalg.cross(du, dv).norm(dim=-1)[atlas.face[atlas.valid].cpu().long()]
    return float(stretch.mean().sqrt()) / atlas.size_px


def _samples(vertices: np.ndarray, faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` points on the surface, evenly by area in random order, and their face normals [count, 3]."""
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    double_area = np.linalg.norm(cross, axis=1)
    rng = np.random.default_rng(0)
    end = np.cumsum(double_area)
    face = np.searchsorted(end, (np.arange(count) + rng.random(count)) / count * end[-1]).clip(max=len(faces) - 1)
    face = rng.permutation(face)
    u, v = rng.random((2, count))
    u, v = np.where(u + v > 1, (1 - u, 1 - v), (u, v))
    a, b, c = corners[face].transpose(1, 0, 2)
    points = a + u[:, None] * (b - a) + v[:, None] * (c - a)
    return points, cross[face] / np.maximum(double_area[face, None], 1e-30)


def _axes(points: np.ndarray) -> Iterator[Plane]:
    """The coordinate planes through the box centre (the origin of work space) and the principal planes through the centroid."""
    for name, normal in zip("xyz", np.eye(3), strict=True):
        yield Plane(normal, 0.0, f"the {name} axis")
    centre = points.mean(0)
    for normal in np.linalg.eigh(np.cov(points.T))[1].T:
        yield Plane(normal, float(normal @ centre), "a principal axis")


def _bisectors(points: np.ndarray, normals: np.ndarray, diagonal: float) -> Iterator[Plane]:
    """Planes midway between random pairs of points whose normals mirror each other, close to the centroid; at most 150."""
    a, b = np.random.default_rng(1).integers(len(points), size=(2, 20_000))
    apart = points[b] - points[a]
    length = np.linalg.norm(apart, axis=1)
    normal = apart / np.maximum(length, 1e-30)[:, None]
    offset = np.einsum("nc,nc->n", normal, points[a] + points[b]) / 2
    turned = normals[a] - 2 * np.einsum("nc,nc->n", normals[a], normal)[:, None] * normal
    fits = (length > 0.1 * diagonal) & (np.linalg.norm(turned - normals[b], axis=1) < 0.15)
    fits &= abs(normal @ points.mean(0) - offset) < 0.1 * diagonal
    for i in np.flatnonzero(fits)[:150]:
        yield Plane(normal[i], float(offset[i]), "matching parts")


def _distinct(planes: list[Plane], count: int) -> list[Plane]:
    """The first `count` planes that differ by more than 5° or 0.05 from those before them."""
    kept: list[Plane] = []
    for p in planes:
        if len(kept) < count and all(abs(p.normal @ q.normal) < 0.996 or abs(abs(p.offset) - abs(q.offset)) > 0.05 for q in kept):
            kept.append(p)
    return kept


def _scored(plane: Plane, points: np.ndarray, closest: Closest, diagonal: float) -> Plane:
    """`plane` with its error and confidence, measured at `points`."""
    distance = np.sort(closest(plane.mirror(points))[0]) / diagonal
    error = float(distance[: round(TRIM * len(distance))].mean())
    return Plane(plane.normal, plane.offset, plane.origin, error, float((distance <= LIMIT).mean()))


def _refined(plane: Plane, points: np.ndarray, closest: Closest, *, rounds: int) -> Plane:
    """`plane` moved so that mirrored points fall onto the surface: iterated closest points with the worst 1 − TRIM left out.

    For centred points p and targets q, Σ|p − 2(n·p)n − q|² = Σ|p − q|² + 4 nᵀ(Σ p qᵀ)n: the best normal is the eigenvector of
    the symmetric part of Σ p qᵀ with the least eigenvalue, and the plane passes midway between the centroids.
    """
    for _ in range(rounds):
        distance, target = closest(plane.mirror(points))
        kept = distance <= np.quantile(distance, TRIM)
        p, q = points[kept], target[kept]
        p_mean, q_mean = p.mean(0), q.mean(0)
        product = (p - p_mean).T @ (q - q_mean)
        normal = np.linalg.eigh(product + product.T)[1][:, 0]
        normal = normal * np.sign(normal @ plane.normal + 1e-12)
        plane = Plane(normal, float(normal @ (p_mean + q_mean)) / 2, plane.origin)
    return plane
