"""Do nvdiffrast and Embree see the same? `python tests/bench/parity.py`, on a machine with an NVIDIA card.

For every mesh and camera: the largest UV difference on interior pixels (the pixel and its eight neighbours show one chart, with
no jump in depth or UV), the pixels that one silhouette has beyond one pixel of the other, the share of pixels with the same face,
and the time of a picture. Prints a table; exit code 1 when UVs differ by 1e-4 or more or silhouettes by more than a pixel.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from studio import renderers  # noqa: E402
from studio.camera import Camera, ring  # noqa: E402
from studio.errors import StudioError  # noqa: E402
from studio.surface.atlas import build_atlas  # noqa: E402
from studio.surface.mesh import Mesh, load  # noqa: E402
from studio.texture import Fragments  # noqa: E402
from tests import meshes  # noqa: E402

CAMERAS = (
    *ring(4, elevation_deg=20),
    Camera(40, -35),
    Camera(0, 90),
    Camera(250, 5, distance=1.6),
    Camera(110, 30, orthographic=True),
)
LARGEST_UV_ERROR = 1e-4
DEPTH_STEP, UV_STEP = 0.01, 0.03
"""Among neighbouring pixels, larger steps in depth (work units) or UV are borders between parts of the mesh or of its atlas."""


def torus(columns: int = 96, rows: int = 48) -> Mesh:
    """A torus of radii 1 and 0.4 as one chart, closed."""

    def surface(s: np.ndarray, t: np.ndarray) -> np.ndarray:
        around, tube = 2 * np.pi * (s % 1), 2 * np.pi * (t % 1)
        ring = 1 + 0.4 * np.cos(tube)
        return np.stack([ring * np.sin(around), 0.4 * np.sin(tube), ring * np.cos(around)], axis=-1)

    return meshes.joined([meshes.patch(surface, columns, rows, (0.05, 0.05, 0.95, 0.95))], "torus")


def subjects() -> list[Mesh]:
    """Cube, sphere, torus, and the sample meshes that have UVs."""
    samples = [load(path) for path in sorted((ROOT / "sample_meshes").glob("*.*")) if path.suffix in (".glb", ".obj")]
    return [meshes.cube(), meshes.uv_sphere(64, 32), torus(), *(m for m in samples if m.corner_uv is not None)]


def spread(values: torch.Tensor) -> torch.Tensor:
    """Largest minus smallest value [V, H, W] among each pixel and its eight neighbours."""
    x = values.double()[:, None]
    return (F.max_pool2d(x, 3, 1, 1) + F.max_pool2d(-x, 3, 1, 1))[:, 0]


def interior(view: Fragments, chart: torch.Tensor) -> torch.Tensor:
    """[V, H, W] bool: the pixel and its neighbours show one chart without a jump in depth or UV."""
    shown = torch.where(view.mask, chart[view.face.clamp(min=0)], -1)
    smooth = (spread(view.depth) < DEPTH_STEP) & (spread(view.uv[..., 0]) < UV_STEP) & (spread(view.uv[..., 1]) < UV_STEP)
    return view.mask & (spread(shown) == 0) & smooth


def stray(mask: torch.Tensor, other: torch.Tensor) -> int:
    """Pixels of `mask` with no pixel of `other` among themselves and their eight neighbours."""
    near = F.max_pool2d(other.float()[:, None], 3, 1, 1)[:, 0] > 0
    return int((mask & ~near).sum())


def milliseconds(rasterizer: renderers.Rasterizer, mesh: Mesh, px: int) -> float:
    """Of one picture, the median of seven, after a warm-up."""
    times = []
    for i in range(8):
        start = time.perf_counter()
        rasterizer.rasterize(mesh, CAMERAS[:1], px)
        if rasterizer.device.type == "cuda":
            torch.cuda.synchronize(rasterizer.device)
        times.append((time.perf_counter() - start) * 1e3)
        times = times[i == 0 :]
    return float(np.median(times))


def compare(mesh: Mesh, fast: renderers.Rasterizer, exact: renderers.Rasterizer, px: int) -> tuple[bool, str]:
    """Whether the two agree, and the mesh's row of the table."""
    a, b = (r.rasterize(mesh, CAMERAS, px).to("cpu") for r in (fast, exact))
    inside = interior(a, chart := build_atlas(mesh, 64).face_chart.long()) & interior(b, chart)
    error = float((a.uv - b.uv).abs().amax(-1)[inside].max())
    off = stray(a.mask, b.mask) + stray(b.mask, a.mask)
    same = float((a.face == b.face)[a.mask & b.mask].double().mean())
    fine = error < LARGEST_UV_ERROR and off == 0 and bool(inside.any())
    times = [milliseconds(r, mesh, px) for r in (fast, exact)]
    share = float(inside.sum() / a.mask.sum())
    row = f"{mesh.name:14} {len(mesh.faces):7,} {error:10.1e} {off:6d} {same:9.4%} {share:9.1%} {times[0]:9.2f} {times[1]:9.2f}"
    return fine, f"{row}  {'ok' if fine else 'FAILED'}"


def main() -> int:
    """0 when all meshes agree, 1 when one does not or nvdiffrast cannot run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--px", type=int, default=512, help="side of the pictures")
    px = parser.parse_args().px
    try:
        fast = renderers.SOCKET.make("nvdiffrast").build(torch.device("cuda"))
    except StudioError as error:
        print(error)
        return 1
    exact = renderers.SOCKET.make("embree").build(torch.device("cpu"))
    print(f"{len(CAMERAS)} cameras of {px} pixels on {torch.cuda.get_device_name()}; times are of one picture in ms")
    columns = f"{'mesh':14} {'faces':>7} {'UV error':>10} {'stray':>6} {'same face':>9} {'interior':>9}"
    print(f"{columns} {fast.name:>10} {exact.name:>7}")
    results = [compare(mesh, fast, exact, px) for mesh in subjects()]
    print(*(row for _, row in results), sep="\n")
    return 0 if all(fine for fine, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
