"""Model the eight sample meshes and write them beside this file: `python sample_meshes/model.py [NAME ...]`.

Everything is built from formulas, so that the same libraries give the same bytes. Metres, y up, front towards +z, standing on
y = 0. All but two are sculpted as distance fields; the vase is turned and the knot is swept, and both bring their own UVs. The
rabbit is left without UVs on purpose (the studio unwraps it) and the mushrooms have two materials.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from charts import Part
from glb import write_glb
from household import chair, mug, torus_knot, vase
from machines import robot, rocket
from organic import mushroom, rabbit


def main(names: list[str]) -> None:
    """Write the named meshes, or all."""
    makers: dict[str, Callable[[], list[Part]]] = {
        f.__name__: f for f in (vase, mug, chair, rabbit, mushroom, rocket, robot, torus_knot)
    }
    for name in names or makers:
        started, path = time.perf_counter(), Path(__file__).parent / f"{name}.glb"
        parts = makers[name]()
        floor = min(part.vertices[:, 1].min() for part in parts)
        parts = [replace(part, vertices=part.vertices - [0.0, floor, 0.0]) for part in parts]
        write_glb(path, parts)
        triangles = sum(len(part.faces) for part in parts)
        print(f"{name}: {triangles} triangles, {path.stat().st_size / 1e3:.0f} kB, {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
