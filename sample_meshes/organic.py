"""Grown things: the rabbit and the mushrooms."""

from __future__ import annotations

import numpy as np
from charts import Part, unwrap
from fields import Field, both_sides, box, carve, curve, ellipsoid, lathe, rotation, sphere, tube, union, warp
from sculpting import sculpt

UP = (0.0, 1.0, 0.0)


def rabbit() -> list[Part]:
    """A sitting rabbit, 30 cm to the tips of its ears."""
    body = ellipsoid((0, 0.092, -0.030), (0.066, 0.080, 0.084), rotation(0, -18))
    chest = ellipsoid((0, 0.110, 0.020), (0.047, 0.062, 0.045))
    haunch = ellipsoid((0.052, 0.060, -0.022), (0.031, 0.054, 0.058), rotation(0, -20))
    foot = tube(
        curve([(0.056, 0.016, -0.050), (0.058, 0.015, 0.015), (0.057, 0.015, 0.058)], 40), np.linspace(0.0165, 0.0150, 40)
    )
    leg = tube(curve([(0.029, 0.105, 0.036), (0.030, 0.06, 0.056), (0.0265, 0.022, 0.066)], 60), np.linspace(0.0225, 0.0130, 60))
    leg = union(0.012, leg, ellipsoid((0.0265, 0.0130, 0.0760), (0.0140, 0.0130, 0.0190)))
    neck = ellipsoid((0, 0.155, 0.020), (0.037, 0.042, 0.038))
    skull = ellipsoid((0, 0.198, 0.038), (0.0405, 0.0395, 0.046), rotation(0, 12))
    muzzle = ellipsoid((0, 0.183, 0.072), (0.0245, 0.0205, 0.0215))
    cheek = ellipsoid((0.0225, 0.1810, 0.0540), (0.0235, 0.0210, 0.0240))
    turn = rotation(2, -13) @ rotation(0, -16) @ rotation(1, 16)
    ear = carve(
        0.006,
        ellipsoid((0.036, 0.276, 0.000), (0.0205, 0.062, 0.0085), turn),
        ellipsoid(np.array((0.036, 0.272, 0.000)) + turn @ (0, 0, 0.0095), (0.0125, 0.048, 0.0075), turn),
    )
    ear = union(0.014, ear, tube(np.array([(0.017, 0.215, 0.022), (0.026, 0.238, 0.012)]), np.array([0.014, 0.010])))
    tail = union(0.012, sphere((0, 0.058, -0.118), 0.024), sphere((0, 0.070, -0.122), 0.018))
    eye = sphere((0.0315, 0.2058, 0.0588), 0.0092)
    nose = ellipsoid((0, 0.1925, 0.0915), (0.0078, 0.0052, 0.0046))
    torso = union(0.014, union(0.030, body, chest, neck), both_sides(0, haunch))
    torso = union(0.010, torso, both_sides(0, union(0.012, leg, foot)), tail)
    head = union(0.016, skull, muzzle, both_sides(0, cheek))
    lips = tube(
        np.array(
            [(0, 0.188, 0), (0, 0.1795, 0), (0.0030, 0.1765, 0), (0.0070, 0.1750, 0), (0.0110, 0.1762, 0), (0.0145, 0.1795, 0)]
        ),
        0.0,
    )

    def mouth(p: np.ndarray) -> np.ndarray:  # a groove that follows the face wherever it lies under the drawn line
        return np.maximum(np.hypot(head(p), lips(p * (1, 1, 0))) - 0.0020, 0.06 - p[:, 2])

    def toes(p: np.ndarray) -> np.ndarray:
        aside = np.minimum(np.abs(np.abs(p[:, 0] - 0.0572) - 0.0048), np.abs(np.abs(p[:, 0] - 0.0265) - 0.0042))
        start = np.where(p[:, 0] > 0.041, 0.0625, 0.0835)
        return np.maximum(np.hypot(torso(p), aside) - 0.0016, start - p[:, 2])

    whole = union(0.010, union(0.022, torso, head), both_sides(0, ear))
    whole = carve(0.004, whole, both_sides(0, union(0.0, mouth, toes)))
    whole = union(0.0035, whole, both_sides(0, eye), nose)
    field = carve(0.003, whole, box((0, -0.5, 0), (1, 0.5005, 1), 0.0))
    vertices, normals, faces = sculpt(field, (-0.1, -0.006, -0.16), (0.1, 0.36, 0.13), cell=0.0014, faces=24000, mirror=0)
    return [Part("fur", (0.76, 0.72, 0.67), vertices, normals, faces, roughness=0.8)]


def mushroom() -> list[Part]:
    """Three fly agarics growing from one foot, 16 cm tall; caps and stems are two materials."""
    caps, stems = [], []
    for foot, top, radius, height, lean in (
        ((0.0, 0.0, 0.0), (0.006, 0.112, 0.004), 0.060, 0.70, (-5, -5)),
        ((0.038, 0.0, 0.020), (0.061, 0.064, 0.040), 0.032, 0.85, (14, -16)),
        ((-0.035, 0.0, 0.026), (-0.048, 0.037, 0.046), 0.021, 1.05, (16, 14)),
    ):
        cap, stem = _mushroom(np.array(foot), np.array(top), radius, height, rotation(0, lean[0]) @ rotation(2, lean[1]))
        caps.append(cap)
        stems.append(stem)
    mound = ellipsoid((0.0, 0.0045, 0.012), (0.052, 0.0095, 0.040))
    stem = carve(0.003, union(0.012, union(0.010, *stems), mound), box((0, -0.5, 0), (1, 0.5, 1), 0.0))
    low, high = (-0.09, -0.006, -0.08), (0.12, 0.18, 0.10)
    red = sculpt(union(0.0, *caps), low, high, cell=0.0010, faces=20000)
    white = sculpt(stem, low, high, cell=0.0010, faces=9000)
    return [
        unwrap(Part("cap", (0.62, 0.20, 0.15), *red, roughness=0.4)),
        unwrap(Part("stem", (0.84, 0.80, 0.70), *white, roughness=0.75)),
    ]


def _mushroom(foot: np.ndarray, top: np.ndarray, radius: float, height: float, tilt: np.ndarray) -> tuple[Field, Field]:
    """A cap of the given radius and height (in radii) with warts and gills, set on `top`, and a stem from `foot` to it."""
    r, h = radius, height * radius
    outline = curve(
        [
            (0.0, h),
            (0.25 * r, 0.965 * h),
            (0.52 * r, 0.82 * h),
            (0.77 * r, 0.54 * h),
            (0.94 * r, 0.20 * h),
            (1.0 * r, -0.05 * h),
            (0.975 * r, -0.085 * r),
            (0.90 * r, -0.07 * r),
            (0.60 * r, 0.05 * r),
            (0.30 * r, 0.09 * r),
            (0.0, 0.10 * r),
        ],
        160,
    )
    dome = lathe(outline)
    gills = max(20, int(round(44 * np.sqrt(r / 0.06))))

    def ribbed(p: np.ndarray) -> np.ndarray:
        across = np.hypot(p[:, 0], p[:, 2]) / r
        under = (
            np.clip((0.88 - across) / 0.15, 0, 1)
            * np.clip((across - 0.2) / 0.2, 0, 1)
            * np.clip((0.16 * r - p[:, 1]) / (0.1 * r), 0, 1)
        )
        return dome(p) + 0.022 * r * under * np.cos(gills * np.arctan2(p[:, 2], p[:, 0]))

    top_half = outline[: np.argmax(outline[:, 0])]
    out = np.gradient(top_half, axis=0) @ np.array([[0.0, 1.0], [-1.0, 0.0]])  # a quarter turn: the outward normal
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    warts, count = [], round(24 * np.sqrt(r / 0.06))
    for k in range(count):  # a sunflower spiral over the dome
        angle, index = 2.39996 * k + 0.4, int((len(top_half) - 1) * 0.93 * np.sqrt((k + 0.35) / count))
        size = r * (0.115 * (0.06 / r) ** 0.25 + 0.030 * np.sin(5.1 * k)) * (1.0 - 0.45 * index / len(top_half))
        place, slope = top_half[index], np.degrees(np.arctan2(out[index, 0], out[index, 1]))
        turn = rotation(1, -np.degrees(angle)) @ rotation(2, -slope)
        centre = np.array((place[0] * np.cos(angle), place[1], place[0] * np.sin(angle)))
        warts.append(ellipsoid(centre, (size, 0.5 * size, size), turn))
    cap = union(max(0.06 * r, 0.0026), ribbed, union(0.0, *warts))
    middle = foot * 0.45 + top * 0.55 + (0.004, 0, 0)
    stalk = curve([foot - (0, 0.01, 0), foot * 0.9 + top * 0.1, middle, top + tilt @ (0, 0.14 * r, 0)], 80)
    girth = r * curve([(0.0, 0.36), (0.12, 0.335), (0.35, 0.225), (0.85, 0.19), (1.0, 0.21)], 80)[:, 1]
    skirt = top - 0.42 * r * (tilt @ UP)
    ring = lathe(
        curve(
            [
                (0.0, 0.17 * r),
                (0.20 * r, 0.16 * r),
                (0.27 * r, 0.08 * r),
                (0.33 * r, -0.02 * r),
                (0.375 * r, -0.07 * r),
                (0.370 * r, -0.100 * r),
                (0.31 * r, -0.075 * r),
                (0.24 * r, -0.02 * r),
                (0.18 * r, 0.01 * r),
                (0.0, 0.02 * r),
            ],
            120,
        )
    )
    frill = warp(ring, lambda p: (p - skirt) @ tilt)
    stem = tube(stalk, girth)
    return warp(cap, lambda p: (p - top) @ tilt), union(0.06 * r, stem, frill) if r > 0.04 else stem  # the young have no ring
