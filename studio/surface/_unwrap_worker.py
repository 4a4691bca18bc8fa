"""The process that runs xatlas: `python -m studio.surface._unwrap_worker IN.npz OUT.npy SECONDS`.

IN holds vertices [N, 3] float32, faces [F, 3] and face_set [F] int32, padding_px and size_px; OUT gets corner UVs [F, 3, 2]
float32, each set in its own unit square. After each set the number of finished faces is printed on a line of its own.
xatlas can neither be interrupted nor asked how far it is, and it holds the interpreter's lock, hence a process.
"""

from __future__ import annotations

import faulthandler
import sys

import numpy as np

_ATTEMPTS = 4


def unwrapped(vertices: np.ndarray, faces: np.ndarray, *, padding_px: int, size_px: int) -> np.ndarray:
    """Corner UVs [F, 3, 2] with at least padding_px texels of a size_px atlas between charts, and half of that to the border."""
    import xatlas

    corners = vertices[faces].astype(np.float64)
    solid = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=-1) > 0
    uv = np.zeros((len(faces), 3, 2), np.float32)
    used, local = np.unique(faces[solid], return_inverse=True)
    if not len(used):
        return uv
    local = local.reshape(-1, 3).astype(np.uint32)
    border = (padding_px + 1) // 2
    room = size_px - 2 * border
    # xatlas pads every chart on all sides. It meets the resolution only roughly: its atlas is scaled to fit, which shrinks the
    # padding too, so a little more is asked for, and more again where that was not enough.
    ask = border + 1
    for _ in range(_ATTEMPTS):
        atlas = xatlas.Atlas()
        atlas.add_mesh(np.ascontiguousarray(vertices[used]), local)
        options = xatlas.PackOptions()
        options.padding, options.resolution, options.bilinear = ask, room, True
        options.rotate_charts = False  # it swaps u and v, which mirrors the chart
        charts = xatlas.ChartOptions()
        charts.fix_winding = True
        atlas.generate(charts, options)
        side = max(atlas.width, atlas.height)
        if ask * room >= border * side:
            break
        ask = int(np.ceil(border * side / room)) + 1
    _, indices, places = atlas.get_mesh(0)
    if indices.shape != local.shape:
        raise RuntimeError("xatlas returned another number of triangles")
    # Wound alike as seen with v up; with v from the top they would all be mirrored.
    places = np.stack([places[:, 0], 1 - places[:, 1]], axis=-1)
    texels = places * (atlas.width, atlas.height) * (room / side) + border
    uv[solid] = (texels / size_px)[indices]
    return uv


def main(source: str, target: str, seconds: str) -> None:
    """Unwrap each set. When whoever started it is gone, nothing else ends it: it ends itself after the time limit."""
    faulthandler.dump_traceback_later(float(seconds) + 10, exit=True)
    with np.load(source, allow_pickle=False) as given:
        vertices, faces, face_set = given["vertices"], given["faces"], given["face_set"]
        padding_px, size_px = int(given["padding_px"]), int(given["size_px"])
    result = np.zeros((len(faces), 3, 2), np.float32)
    done = 0
    for number in np.unique(face_set):
        those = face_set == number
        result[those] = unwrapped(vertices, faces[those], padding_px=padding_px, size_px=size_px)
        done += int(those.sum())
        print(done, flush=True)
    np.save(target, result)


if __name__ == "__main__":
    main(*sys.argv[1:])
