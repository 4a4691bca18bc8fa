"""Turned, swept and joined things: the vase, the knot, the mug and the chair."""

from __future__ import annotations

import numpy as np
from charts import Part, Sheet, join, turned, unwrap
from fields import both_sides, box, carve, curve, cylinder, rotation, torus, tube, union, warp
from sculpting import sculpt

UP = (0.0, 1.0, 0.0)


def vase() -> list[Part]:
    """A turned vase, 30 cm tall, with a foot and a rolled lip.

    It is hollow to the bottom of its neck only: nobody sees deeper, and no ring of cameras could paint it.
    """
    outside = [
        (0.0, 0.004),
        (0.018, 0.0038),
        (0.034, 0.003),
        (0.040, 0.0004),
        (0.0445, 0.0008),
        (0.0465, 0.005),
        (0.048, 0.014),
        (0.060, 0.045),
        (0.079, 0.090),
        (0.0905, 0.138),
        (0.086, 0.180),
        (0.066, 0.218),
        (0.0475, 0.246),
        (0.042, 0.268),
        (0.045, 0.286),
        (0.0535, 0.2975),
        (0.0555, 0.3005),
    ]
    inside = [
        (0.0548, 0.3028),
        (0.0520, 0.3028),
        (0.0475, 0.2985),
        (0.0400, 0.286),
        (0.0368, 0.270),
        (0.0360, 0.258),
        (0.0315, 0.2485),
        (0.0220, 0.2440),
        (0.011, 0.2430),
        (0.0, 0.2428),
    ]
    profile = curve(outside + inside, 120)
    profile[[0, -1], 0] = 0.0
    rises = np.argmax(profile[:, 1])
    foot = int(np.argmin(np.where(np.arange(len(profile)) < rises, profile[:, 1], 1.0)))
    floor = int(rises + np.argmin(np.abs(profile[rises:, 0] - 0.0315) + (profile[rises:, 1] > 0.25)))
    return [join(turned(profile, [foot, int(rises), floor], 96), "glaze", (0.80, 0.78, 0.74), 0.35)]


def torus_knot() -> list[Part]:
    """A trefoil with a round tube, 24 cm across: one continuous strip, cut into eight rows for its atlas."""
    along, around, rows, radius = 400, 32, 8, 0.0205
    t = np.linspace(0.0, 2 * np.pi, along + 1)
    swing = 0.068 + 0.034 * np.cos(3 * t)
    path = np.stack([swing * np.cos(2 * t), 0.040 * np.sin(3 * t), swing * np.sin(2 * t)], axis=1) @ rotation(0, 90).T
    path[-1] = path[0]
    tangent = np.roll(path[:-1], -1, axis=0) - np.roll(path[:-1], 1, axis=0)
    tangent = np.concatenate([tangent, tangent[:1]])
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    side = np.zeros_like(path)
    for i in range(along + 1):  # the frame that turns least, carried from ring to ring
        before = side[i - 1] if i else np.cross(tangent[0], UP)
        side[i] = before - (before @ tangent[i]) * tangent[i]
        side[i] /= np.linalg.norm(side[i])
    other = np.cross(tangent, side)
    gap = np.arctan2(side[0] @ other[-1], side[0] @ side[-1])  # what is left after one round is spread over all rings
    angle = np.arange(around + 1) % around * (2 * np.pi / around) + (gap * np.arange(along + 1) / along)[:, None]
    normals = np.cos(angle)[..., None] * side[:, None] + np.sin(angle)[..., None] * other[:, None]
    normals[-1] = normals[0]
    points = path[:, None] + radius * normals
    points[..., 1] += 0.102 + radius
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    across = np.linspace(0.0, 2 * np.pi * radius, around + 1)
    flat = np.stack(np.broadcast_arrays(length[:, None], across[None]), axis=-1)
    step = along // rows
    parts = [slice(first, first + step + 1) for first in range(0, along, step)]
    return [join([Sheet(points[p], normals[p], flat[p]) for p in parts], "knot", (0.78, 0.79, 0.80), 0.4)]


def mug() -> list[Part]:
    """A stoneware mug, 9.5 cm tall, with a wall of 5 mm, a rounded lip and an ear-shaped handle on its right."""
    wall = curve(
        [
            (0.0, 0.0065),
            (0.018, 0.0065),
            (0.029, 0.0072),
            (0.0355, 0.0115),
            (0.0385, 0.020),
            (0.0402, 0.040),
            (0.0408, 0.065),
            (0.0412, 0.0925),
        ],
        90,
    )
    thickness = 0.0027 + 0.0012 * np.clip(1 - wall[:, 1] / 0.03, 0, 1)
    shell = tube(np.pad(wall, [(0, 0), (0, 1)]), thickness)
    body = warp(shell, lambda p: np.stack([np.hypot(p[:, 0], p[:, 2]), p[:, 1], np.zeros(len(p))], axis=1))
    foot = torus((0, 0.0030, 0), UP, 0.0295, 0.0030)
    ear = curve(
        [
            (0.0415, 0.077, 0),
            (0.052, 0.0805, 0),
            (0.0645, 0.0765, 0),
            (0.071, 0.0635, 0),
            (0.069, 0.047, 0),
            (0.059, 0.033, 0),
            (0.0475, 0.0265, 0),
            (0.040, 0.025, 0),
        ],
        40,
    )
    girth = 0.0042 + 0.0010 * np.cos(np.linspace(0, 2 * np.pi, 40))
    handle = warp(tube(ear, girth), lambda p: p * (1, 1, 0.62))
    inside = cylinder((0, 0.06, 0), UP, 0.0345, 0.045, 0.01)
    field = union(0.008, union(0.004, body, foot), carve(0.002, handle, inside))
    vertices, normals, faces = sculpt(field, (-0.05, -0.003, 0), (0.082, 0.1, 0.05), cell=0.0008, faces=16000, mirror=2)
    return [unwrap(Part("stoneware", (0.79, 0.77, 0.73), vertices, normals, faces, roughness=0.4))]


def chair() -> list[Part]:
    """A dining chair, 82 cm tall: tapered splayed legs, a dished seat, a curved top rail and slat between leaning posts."""

    def dish(p: np.ndarray) -> np.ndarray:
        x, z = p[:, 0] / 0.22, p[:, 2] / 0.21
        sink = 0.022 * np.clip(1 - x**2, 0, None) * np.clip(1 - z**2, 0, None) + 0.012 * np.clip(z - 0.35, 0, None) ** 2
        narrow = 1 + 0.10 * (0.5 - p[:, 2] / 0.42)
        return np.stack([p[:, 0] * narrow, p[:, 1] + sink * np.clip((p[:, 1] - 0.40) / 0.03, 0, 1), p[:, 2]], axis=1)

    def bow(p: np.ndarray) -> np.ndarray:
        back = -0.205 - 0.25 * np.clip(p[:, 1] - 0.45, 0, None) - 0.040 * (1 - (p[:, 0] / 0.19) ** 2)
        return np.stack([p[:, 0], p[:, 1], p[:, 2] - back], axis=1)

    seat = warp(box((0, 0.440, 0.0), (0.222, 0.018, 0.215), 0.0150), dish)
    front = tube(curve([(0.178, 0.432, 0.170), (0.195, 0.20, 0.186), (0.205, 0.012, 0.196)], 40), np.linspace(0.0225, 0.0115, 40))
    path = curve(
        [(0.196, 0.013, -0.262), (0.186, 0.22, -0.218), (0.178, 0.44, -0.196), (0.181, 0.62, -0.236), (0.188, 0.80, -0.296)], 60
    )
    post = tube(path, np.interp(np.linspace(0, 1, 60), [0, 0.30, 0.50, 0.62, 1], [0.0115, 0.0175, 0.0205, 0.0195, 0.0120]))
    rail = warp(box((0, 0.745, 0), (0.192, 0.050, 0.0105), 0.0100), bow)
    slat = warp(box((0, 0.605, 0), (0.186, 0.024, 0.0090), 0.0085), bow)
    side = tube(np.array([(0.190, 0.17, 0.186), (0.188, 0.17, -0.228)]), 0.0095)
    cross = tube(np.array([(0.0, 0.17, -0.02), (0.189, 0.17, -0.02)]), 0.0095)
    apron = box((0, 0.408, -0.005), (0.165, 0.022, 0.165), 0.008)
    hollow = box((0, 0.38, -0.005), (0.147, 0.042, 0.147), 0.006)
    wood = union(
        0.010, union(0.008, seat, carve(0.004, apron, hollow)), both_sides(0, union(0.008, front, post, side, cross)), rail, slat
    )
    floor = box((0, -0.5, 0), (1, 0.5, 1), 0.0)
    field = carve(0.004, wood, floor)
    vertices, normals, faces = sculpt(field, (-0.26, -0.02, -0.36), (0.26, 0.86, 0.26), cell=0.004, faces=26000, mirror=0)
    return [unwrap(Part("wood", (0.70, 0.60, 0.47), vertices, normals, faces, roughness=0.55))]
