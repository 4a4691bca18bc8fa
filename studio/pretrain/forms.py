"""Implicit forms to paint on: blends, lathes, sweeps, bevelled boxes, carved and assembled bodies, and what bends them.

A form is drawn at random as a function of points; `random_form` draws one of them and now and then twists, bends or tapers it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Field = Callable[[np.ndarray], np.ndarray]
"""Points [N, 3] → values [N], negative inside, about the distance to the surface."""


def rotation(r: np.random.Generator) -> np.ndarray:
    """A random rotation [3, 3]."""
    q, s = np.linalg.qr(r.normal(size=(3, 3)))
    q *= np.sign(np.diag(s))
    return q if np.linalg.det(q) > 0 else -q


def primitive(r: np.random.Generator) -> Field:
    """An ellipsoid, rounded box, capsule, cone or torus of random size, upright or turned, around the origin."""
    kind, turn = r.integers(5), rotation(r) if r.random() < 0.5 else np.eye(3)
    a, b, c = r.uniform(0.18, 0.5, 3)
    bevel = r.uniform(0.02, 0.12)

    def field(p: np.ndarray) -> np.ndarray:
        x, y, z = (p @ turn).T
        flat = np.hypot(x, z)
        if kind == 0:
            k = np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2)
            return (k - 1) * min(a, b, c)
        if kind == 1:
            d = np.stack([np.abs(x) - a, np.abs(y) - b, np.abs(z) - c], -1) + bevel
            return np.linalg.norm(np.maximum(d, 0), axis=-1) + np.minimum(d.max(-1), 0) - bevel
        if kind == 2:
            return np.sqrt(x**2 + (y - np.clip(y, -b, b)) ** 2 + z**2) - 0.5 * a
        if kind == 3:
            lean = a / (2 * b)
            return np.maximum((flat - lean * (b - y)) / math.hypot(1, lean), np.abs(y) - b)
        return np.hypot(flat - a, y) - 0.35 * c

    return field


def moved(field: Field, to: np.ndarray) -> Field:
    return lambda p: field(p - to)


def blend(a: np.ndarray, b: np.ndarray, k: float) -> np.ndarray:
    """Polynomial smooth minimum of two fields with radius k."""
    h = np.clip(0.5 + 0.5 * (b - a) / k, 0, 1)
    return b + (a - b) * h - k * h * (1 - h)


def blob(r: np.random.Generator) -> Field:
    """Two to six primitives grown together, each starting from an earlier one; sometimes mirrored like an animal."""
    parts, at = [], np.zeros(3)
    places = [at]
    for _ in range(r.integers(2, 7)):
        parts.append(moved(primitive(r), at))
        at = places[r.integers(len(places))] + rotation(r)[0] * r.uniform(0.25, 0.55)
        places.append(at)
    k, mirrored = float(np.exp(r.uniform(np.log(0.02), np.log(0.25)))), r.random() < 0.5

    def field(p: np.ndarray) -> np.ndarray:
        q = p * [1, 1, 1]
        if mirrored:
            q[:, 0] = np.abs(q[:, 0])
        out = parts[0](q)
        for part in parts[1:]:
            out = blend(out, part(q), k)
        return out

    return field


def lathe(r: np.random.Generator) -> Field:
    """A turned profile, solid or hollow and open at the top, now and then with a handle."""
    knots = r.uniform(0.2, 0.75, r.integers(4, 8))
    top, wall = r.uniform(0.5, 0.95), r.uniform(0.06, 0.12)
    hollow, handle = r.random() < 0.5, r.random() < 0.3
    from scipy.interpolate import PchipInterpolator

    profile = PchipInterpolator(np.linspace(-top, top, len(knots)), knots)

    def field(p: np.ndarray) -> np.ndarray:
        x, y, z = p.T
        flat, radius = np.hypot(x, z), profile(np.clip(y, -top, top))
        out = np.maximum(flat - radius, np.abs(y) - top)
        if hollow:
            out = np.maximum(out, -np.maximum(flat - radius + wall, -y - top + wall))
        if handle:
            ring = np.hypot(np.hypot(x - knots.mean() - 0.1, y) - 0.3, z) - 0.07
            out = np.where(flat > radius - wall, blend(out, ring, 0.05), out)
        return out

    return field


def sweep(r: np.random.Generator) -> Field:
    """A tube along a closed curve (torus knots among them) or an open, wandering one."""
    from scipy.spatial import cKDTree

    t = np.linspace(0, 2 * np.pi, 400)
    if r.random() < 0.5:
        p, q = ((2, 3), (3, 2), (2, 5), (1, 2), (3, 4))[r.integers(5)]
        k = 0.55 + 0.25 * np.cos(q * t)
        curve = np.stack([k * np.cos(p * t), k * np.sin(p * t), 0.3 * np.sin(q * t)], -1)
        width = r.uniform(0.08, 0.15)
    else:
        waves = r.normal(size=(3, 3, 2)) / np.arange(1, 4)[:, None, None]
        span = t * r.choice([0.5, 1.0])
        angles = [span[:, None] * (k + 1) for k in range(3)]
        curve = sum(np.cos(angle) * w[:, 0] + np.sin(angle) * w[:, 1] for angle, w in zip(angles, waves, strict=True))
        curve = 0.75 * curve / np.abs(curve).max()
        width = r.uniform(0.1, 0.22)
    tree = cKDTree(curve @ rotation(r))
    return lambda p: tree.query(p)[0] - width


def boxes(r: np.random.Generator) -> Field:
    """Furniture-like: a few bevelled, axis-aligned boxes and posts, often mirrored left and right."""
    n = r.integers(2, 7)
    centre, half = r.uniform(-0.55, 0.55, (n, 3)), np.exp(r.uniform(np.log(0.07), np.log(0.55), (n, 3)))
    bevel, mirrored = r.uniform(0.0, 0.06), r.random() < 0.6

    def field(p: np.ndarray) -> np.ndarray:
        q = np.abs(p) * [1, 0, 0] + p * [0, 1, 1] if mirrored else p
        d = np.abs(q[:, None] - centre) - half + bevel
        return (np.linalg.norm(np.maximum(d, 0), axis=-1) + np.minimum(d.max(-1), 0) - bevel).min(1)

    return field


def assembly(r: np.random.Generator) -> Field:
    """Two to four primitives stacked upward, touching with hard creases."""
    parts, height = [], -0.6
    for _ in range(r.integers(2, 5)):
        parts.append(moved(primitive(r), np.array([r.normal() * 0.08, height, r.normal() * 0.08])))
        height += r.uniform(0.3, 0.5)
    return lambda p: np.min([part(p) for part in parts], axis=0)


def carved(r: np.random.Generator) -> Field:
    """A body with bites and holes cut out of it: sharp rims, deep hollows."""
    body = primitive(r) if r.random() < 0.5 else boxes(r)
    tools = [moved(primitive(r), rotation(r)[0] * r.uniform(0.3, 0.65)) for _ in range(r.integers(1, 4))]
    bevel = r.uniform(0.005, 0.04)

    def field(p: np.ndarray) -> np.ndarray:
        out = body(p / 1.5) * 1.5
        for tool in tools:
            out = -blend(-out, tool(p), bevel)
        return out

    return field


def prism(r: np.random.Generator) -> Field:
    """An upright regular polygon or star with bevelled edges, tapering a little: columns, cogs, bolts."""
    sides, star = int(r.integers(3, 9)), float(r.choice([1.0, 1.0, 0.75, 0.6]))
    height, radius, bevel, slope = r.uniform(0.2, 0.85), r.uniform(0.35, 0.75), r.uniform(0.01, 0.07), r.uniform(-0.3, 0.3)
    k = math.pi / sides
    tip, notch = np.array([radius, 0.0]), radius * star * math.cos(k) * np.array([math.cos(k), math.sin(k)])
    normal = np.array([notch[1], tip[0] - notch[0]]) / np.linalg.norm(notch - tip)
    if normal @ tip < 0:
        normal = -normal

    def field(p: np.ndarray) -> np.ndarray:
        x, y, z = p.T
        t, flat = np.abs((np.arctan2(x, z) + k) % (2 * k) - k), np.hypot(x, z) * (1 + slope * y)
        side = (flat * np.cos(t) - tip[0]) * normal[0] + flat * np.sin(t) * normal[1]
        a, b = side + bevel, np.abs(y) - height + bevel
        return np.minimum(np.maximum(a, b), 0) + np.hypot(np.maximum(a, 0), np.maximum(b, 0)) - bevel

    return field


def twisted(field: Field, r: np.random.Generator) -> Field:
    """Turned about the vertical in proportion to height, by at most half a turn from bottom to top."""
    rate = r.uniform(-1.6, 1.6)

    def turned(p: np.ndarray) -> np.ndarray:
        c, s = np.cos(rate * p[:, 1]), np.sin(rate * p[:, 1])
        x, z = p[:, 0], p[:, 2]
        return field(np.stack([c * x - s * z, p[:, 1], s * x + c * z], 1)) * 0.75

    return turned


def bent(field: Field, r: np.random.Generator) -> Field:
    """Leaned sideways by a parabola of the height."""
    lean = r.uniform(-0.45, 0.45, 2)

    def leaning(p: np.ndarray) -> np.ndarray:
        push = (p[:, 1:2] + 0.2) ** 2
        return field(p - push * [lean[0], 0, lean[1]]) * 0.75

    return leaning


def tapered(field: Field, r: np.random.Generator) -> Field:
    """Wider at one end."""
    slope = r.uniform(-0.45, 0.45)

    def narrowing(p: np.ndarray) -> np.ndarray:
        width = 1 + slope * p[:, 1:2]
        return field(p / (width * [1, 0, 1] + [0, 1, 0])) * 0.7

    return narrowing


KINDS = (blob, blob, blob, blob, lathe, lathe, lathe, sweep, boxes, boxes, assembly, assembly, carved, prism)
DEFORMATIONS = (twisted, bent, tapered)
DEFORMED = 0.35


def random_form(r: np.random.Generator) -> Field:
    """Any of the kinds, sometimes deformed."""
    form = KINDS[r.integers(len(KINDS))](r)
    return DEFORMATIONS[r.integers(len(DEFORMATIONS))](form, r) if r.random() < DEFORMED else form


def gradient(field: Field, p: np.ndarray, h: float = 0.01) -> np.ndarray:
    """Unit gradient [N, 3] of the field at p by central differences."""
    g = np.stack([field(p + step) - field(p - step) for step in np.eye(3) * h], -1)
    return g / np.maximum(np.linalg.norm(g, axis=-1, keepdims=True), 1e-9)
