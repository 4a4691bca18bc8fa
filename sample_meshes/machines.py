"""Built things: the rocket and the robot."""

from __future__ import annotations

import numpy as np
from charts import Part, unwrap
from fields import (
    Field,
    both_sides,
    box,
    carve,
    curve,
    cylinder,
    ellipsoid,
    lathe,
    plate,
    rotation,
    sphere,
    torus,
    tube,
    union,
    warp,
)
from sculpting import sculpt

UP, RIGHT, FRONT = (0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


def rocket() -> list[Part]:
    """A toy rocket, 40 cm tall: a spindle on four swept fins, with portholes, bands, a nose spike and a nozzle."""
    hull = lathe(
        curve(
            [
                (0.0, 0.062),
                (0.020, 0.062),
                (0.034, 0.064),
                (0.0385, 0.072),
                (0.0495, 0.110),
                (0.0575, 0.160),
                (0.0585, 0.205),
                (0.0530, 0.260),
                (0.0405, 0.315),
                (0.0235, 0.358),
                (0.0105, 0.380),
                (0.0, 0.386),
            ],
            150,
        )
    )
    bands = [torus((0, 0.296, 0), UP, 0.0466, 0.0026), torus((0, 0.106, 0), UP, 0.0498, 0.0026)]
    spike = union(
        0.006, tube(np.array([(0, 0.375, 0), (0, 0.412, 0)]), np.array([0.0045, 0.0022])), sphere((0, 0.415, 0), 0.0052)
    )
    nozzle = lathe(
        curve(
            [
                (0.0, 0.060),
                (0.012, 0.058),
                (0.020, 0.046),
                (0.0275, 0.026),
                (0.0292, 0.0225),
                (0.0305, 0.0235),
                (0.0290, 0.030),
                (0.0235, 0.047),
                (0.022, 0.060),
                (0.022, 0.068),
                (0.0, 0.068),
            ],
            90,
        )
    )
    outline = curve(
        [
            (0.025, 0.165),
            (0.050, 0.158),
            (0.0640, 0.142),
            (0.0850, 0.108),
            (0.1010, 0.062),
            (0.1060, 0.016),
            (0.1050, 0.004),
            (0.0985, 0.0008),
            (0.0925, 0.006),
            (0.0840, 0.034),
            (0.0690, 0.058),
            (0.046, 0.074),
            (0.025, 0.080),
        ],
        70,
    )
    fin = plate(outline, 0.0042, 0.0036, rotation(1, -45))
    fins = both_sides(0, both_sides(2, fin))
    window = [(0.228, 0.0180, 0.0575, 8.0), (0.172, 0.0125, 0.0583, -2.0)]
    body = carve(0.0035, hull, *bands)
    for height, radius, reach, pitch in window:
        out = rotation(0, -pitch) @ FRONT
        centre = np.array((0, height, reach))
        body = carve(0.003, body, cylinder(centre + out * 0.006, out, radius, 0.0095, 0.002))
        rim = torus(centre + out * 0.0005, out, radius + 0.0014, 0.0038)
        glass = ellipsoid(centre - out * 0.0030, (radius, radius, 0.0065), rotation(0, -pitch))
        body = union(0.0025, union(0.0030, body, rim), glass)
    side = cylinder((0.0560, 0.228, 0), (1, 0.14, 0), 0.0105, 0.0036, 0.0018)
    stud = both_sides(0, union(0.003, side, sphere((0.0575, 0.228, 0), 0.0068)))
    field = union(0.004, union(0.010, union(0.004, body, stud), fins), nozzle, spike)
    field = carve(0.002, field, box((0, -0.5, 0), (1, 0.5, 1), 0.0))
    vertices, normals, faces = sculpt(field, (-0.09, -0.004, -0.09), (0.09, 0.43, 0.09), cell=0.0012, faces=27000, mirror=0)
    return [unwrap(Part("enamel", (0.78, 0.79, 0.80), vertices, normals, faces, roughness=0.35))]


def robot() -> list[Part]:
    """A friendly toy robot, 32 cm tall: a screen with round eyes and a smile, an antenna, jointed arms with claws, boots."""
    face = union(0.003, carve(0.004, _head(), box((0, 0.236, 0.050), (0.0485, 0.0325, 0.0100), 0.0085)), _face())
    field = union(0.003, face, _trunk(), both_sides(0, union(0.003, _arm(), _leg())))
    vertices, normals, faces = sculpt(field, (-0.115, -0.003, -0.06), (0.115, 0.33, 0.064), cell=0.0010, faces=29800, mirror=0)
    return [unwrap(Part("painted metal", (0.72, 0.77, 0.78), vertices, normals, faces, roughness=0.45))]


def _head() -> Field:
    skull = box((0, 0.236, 0), (0.060, 0.0435, 0.046), 0.020)
    ear = union(
        0.003,
        cylinder((0.061, 0.236, 0), RIGHT, 0.0205, 0.0060, 0.003),
        cylinder((0.068, 0.236, 0), RIGHT, 0.0130, 0.0065, 0.004),
    )
    base = cylinder((0, 0.2800, 0), UP, 0.0135, 0.0060, 0.004)
    aerial = union(0.005, base, tube(np.array([(0, 0.28, 0), (0, 0.310, 0)]), 0.0032), sphere((0, 0.3150, 0), 0.0090))
    return union(0.003, skull, both_sides(0, ear), aerial)


def _face() -> Field:
    eye = union(
        0.003,
        ellipsoid((0.0205, 0.2410, 0.0395), (0.0115, 0.0115, 0.0085)),
        torus((0.0205, 0.2410, 0.0405), FRONT, 0.0135, 0.0024),
    )
    smile = curve(
        [
            (-0.0165, 0.2205, 0.0408),
            (-0.009, 0.2155, 0.0408),
            (0.0, 0.2140, 0.0408),
            (0.009, 0.2155, 0.0408),
            (0.0165, 0.2205, 0.0408),
        ],
        24,
    )
    cheek = sphere((0.0360, 0.2200, 0.0370), 0.0062)
    return union(0.002, both_sides(0, eye), tube(smile, 0.0026), both_sides(0, cheek))


def _trunk() -> Field:
    neck = union(
        0.003,
        cylinder((0, 0.186, 0), UP, 0.0160, 0.016, 0.002),
        *(torus((0, y, 0), UP, 0.0175, 0.0040) for y in (0.1785, 0.1880)),
    )
    round_trunk = lathe(
        curve(
            [
                (0.0, 0.0755),
                (0.020, 0.0755),
                (0.0345, 0.0775),
                (0.0425, 0.0860),
                (0.0475, 0.105),
                (0.0520, 0.130),
                (0.0530, 0.150),
                (0.0480, 0.1665),
                (0.0340, 0.1745),
                (0.018, 0.1760),
                (0.0, 0.1760),
            ],
            200,
        )
    )

    def trunk(p: np.ndarray) -> np.ndarray:
        return round_trunk(p * (0.93, 1.0, 1.15)) / 1.15

    def seam(p: np.ndarray) -> np.ndarray:
        return np.hypot(trunk(p) - 0.0010, p[:, 1] - 0.1040) - 0.0026

    panel = box((0, 0.1405, 0.0420), (0.0310, 0.0200, 0.0068), 0.0060)
    dial = union(0.003, torus((0.0145, 0.1405, 0.0485), FRONT, 0.0092, 0.0026), sphere((0.0145, 0.1405, 0.0440), 0.0066))
    buttons = union(0.0, sphere((0, 0.0900, 0.0365), 0.0055), both_sides(0, sphere((0.0160, 0.0905, 0.0345), 0.0055)))
    hips = box((0, 0.0720, 0), (0.0370, 0.0100, 0.0260), 0.009)
    return union(0.003, carve(0.003, trunk, seam), panel, both_sides(0, dial), buttons, hips, neck)


def _arm() -> Field:
    """The arm at +x: a ball joint, a bellows sleeve, a cuff, and a claw that opens forward."""
    shoulder = union(0.004, sphere((0.0650, 0.1520, 0), 0.0165), cylinder((0.0530, 0.1520, 0), RIGHT, 0.0130, 0.0070, 0.003))
    path = curve([(0.0680, 0.1460, 0.0), (0.0840, 0.1250, 0.001), (0.0890, 0.1050, 0.012), (0.0870, 0.0930, 0.027)], 90)
    sleeve = tube(path, 0.0092 + 0.0013 * np.cos(np.linspace(0, 14 * np.pi, 90)))
    aim = (path[-1] - path[-6]) / np.linalg.norm(path[-1] - path[-6])
    cuff = cylinder(path[-1] + 0.003 * aim, aim, 0.0135, 0.0060, 0.003)
    pitch = np.degrees(np.arctan2(-aim[1], aim[2]))
    hand = path[-1] + 0.022 * aim
    gap = box(hand + 0.014 * aim, (0.02, 0.0062, 0.0140), 0.002, rotation(0, pitch))
    claw = carve(0.004, torus(hand, RIGHT, 0.0125, 0.0060), gap)
    return union(0.003, shoulder, sleeve, cuff, claw)


def _leg() -> Field:
    """The leg at +x: a bellows sleeve in a boot with a thick sole."""
    sleeve = tube(
        np.linspace((0.0245, 0.072, 0), (0.0265, 0.028, 0), 60), 0.0112 + 0.0013 * np.cos(np.linspace(0, 8 * np.pi, 60))
    )
    boot = carve(
        0.003, ellipsoid((0.0285, 0.004, 0.008), (0.0220, 0.0320, 0.0350)), box((0.03, -0.046, 0), (0.1, 0.05, 0.1), 0.0)
    )
    outline = curve([(0.024 * np.cos(t), 0.037 * np.sin(t)) for t in np.linspace(0, 2 * np.pi, 25)], 60)[:-1]

    lying = plate(outline, 0.0055, 0.003, rotation(0, 90))
    sole = warp(lying, lambda p: p - (0.0285, 0.0055, 0.008))
    return union(0.003, sleeve, union(0.002, boot, sole))
