"""Renderers: a mesh and cameras → Fragments, which say what surface point every pixel sees.

To add one, put a file here that holds one frozen dataclass of knobs, a `Renderer`; its `build()` returns a `Rasterizer`, the live
object on a device. A rasteriser answers a single question, `hits`: which face is the nearest at each pixel centre. Where on that
face the pixel looks is then computed here, for every backend alike and in float64, from the pixel's exact centre. Hence backends
agree to rounding error wherever they see the same face, and no backend needs to differentiate visibility: geometry stands still
while textures are painted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from studio.errors import DeviceError
from studio.plug import Socket

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from studio.camera import Camera
    from studio.surface.mesh import Mesh
    from studio.texture import Fragments

LARGEST_PX = 16384
"""The largest side of a rasterised picture, supersampling included."""
CHUNK_PIXELS = {"cpu": 1 << 14, "cuda": 1 << 22}
"""Pixels located at a time: their float64 tables fit into a processor's cache, or bound a card's memory."""


@dataclass(frozen=True)
class Band:
    """Rows top … top + rows of a picture of width × height pixels whose rays are moved by `shift` pixels (right, down)."""

    width: int
    height: int
    top: int
    rows: int
    shift: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def whole(cls, width: int, height: int) -> Band:
        return cls(width, height, 0, height)


class Rasterizer(ABC):
    """A renderer on a device. Not shared between threads: each thread builds its own."""

    name: ClassVar[str]
    """The renderer's name, as in menus and receipts."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    @abstractmethod
    def hits(self, mesh: Mesh, cameras: Sequence[Camera], px: int) -> Tensor:
        """The face [V, px, px] int32 nearest to the eye on the ray of `Camera.rays` through each pixel centre, −1 where none is.

        Both sides of a face count. May lie on any device; raises DeviceError when the backend fails.
        """

    @abstractmethod
    def surface(self, mesh: Mesh, camera: Camera, band: Band) -> tuple[Tensor, Tensor, Tensor]:
        """What a band of a picture shows, fast instead of exact, for looking at: its n surface pixels [n] int64, counted row by
        row from the band's top left, the faces [n] int64 they show, and the weights [n, 3] float32 of these faces' corners.

        The picture may have any width: `Camera.fov_deg` spans its height. May lie on any device; raises DeviceError when the
        backend fails.
        """

    def rasterize(self, mesh: Mesh, cameras: Sequence[Camera], size_px: int, *, supersample: int = 1) -> Fragments:
        """What `cameras` see of the mesh in pictures of `size_px`², with supersample² samples per pixel; on the device.

        Raises StudioError for pictures that are too large, DeviceError when the backend fails.
        """
        import torch

        from studio.texture import fragments

        px = size_px * supersample
        if not 1 <= px <= LARGEST_PX:
            remedy = f"Ask for 1 to {LARGEST_PX}, supersampling included."
            raise DeviceError(f"A picture of {px} pixels a side cannot be drawn.", remedy)
        with torch.no_grad():
            face = self.hits(mesh, cameras, px)
            located = [locate(mesh, camera, view) for camera, view in zip(cameras, face, strict=True)]
            tables = (torch.stack(table).to(self.device) for table in zip(*located, strict=True))
            return fragments(mesh, tuple(cameras), size_px, supersample, *tables)


def locate(mesh: Mesh, camera: Camera, face: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where each pixel centre looks: its face [px, px], barycentrics [px, px, 3], depth [px, px] along the view axis; float32.

    A pixel p = (x, y, 1) on a triangle with homogeneous screen corners c_i = (x_i, y_i, w_i) has perspective-correct barycentrics
    proportional to p · (c_j × c_k), valid for corners behind the eye too (Olano and Greer 1997, Triangle scan conversion using 2D
    homogeneous coordinates, §3). A backend that decides coverage on a coarser grid may name a neighbour of the face under the
    pixel's centre: then that one is taken; where the surface ends there, the nearest point of the named face.
    Zero where face is −1.
    """
    import torch

    px, device = face.shape[-1], face.device
    clip = torch.from_numpy(camera.T_clip_world()[[0, 1, 3]]).to(device)
    axis = torch.from_numpy(-camera.T_view_world()[2]).to(device)
    vertices = torch.tensor(mesh.vertices, dtype=torch.float64, device=device)
    corners = torch.tensor(mesh.faces, dtype=torch.int64, device=device)
    fans = tuple(torch.from_numpy(a).to(device) for a in _fans(mesh))

    c = (vertices @ clip[:, :3].T + clip[:, 3])[corners]
    edges = torch.linalg.cross(c[:, [1, 2, 0]], c[:, [2, 0, 1]])
    turn = (c[:, 0] * edges[:, 0]).sum(-1).sign()  # 1: the eye sees the face from outside
    depths = (vertices @ axis[:3] + axis[3])[corners]

    def weighed(owner: Tensor, x: Tensor, y: Tensor) -> Tensor:
        e = edges[owner]
        areas = e[..., 0] * x[:, None] + e[..., 1] * y[:, None] + e[..., 2]
        total = areas.sum(-1, keepdim=True)
        return torch.where(total == 0, 1 / 3, areas / total)

    owners = face.flatten().clone()
    places = (owners >= 0).nonzero()[:, 0]
    bary = torch.zeros(px * px, 3, device=device)
    depth = torch.zeros(px * px, device=device)
    for place in places.split(CHUNK_PIXELS[device.type]):
        owner = owners[place].long()
        x = ((place % px).double() + 0.5) * (2 / px) - 1
        y = 1 - ((place // px).double() + 0.5) * (2 / px)
        weights = weighed(owner, x, y)
        off = (weights.amin(-1) < 0).nonzero()[:, 0]
        if len(off):
            _moved(owner, weights, off, lambda face, at, x=x, y=y: weighed(face, x[at], y[at]), corners, turn, fans)
        weights = weights.clamp(min=0)
        weights = weights / weights.sum(-1, keepdim=True)
        owners[place] = owner.to(owners.dtype)
        bary[place] = weights.float()
        depth[place] = (weights * depths[owner]).sum(-1).float()
    return owners.reshape(px, px), bary.reshape(px, px, 3), depth.reshape(px, px)


def _moved(
    owner: Tensor,
    weights: Tensor,
    off: Tensor,
    weighed: Callable[[Tensor, Tensor], Tensor],
    corners: Tensor,
    turn: Tensor,
    fans: tuple[Tensor, ...],
) -> None:
    """Give the pixels `off`, whose centre misses the face they were named, the best of the faces around its nearest corner.

    The best one holds the centre. Where none does the surface ends, and a face seen from outside comes before the nearest one.
    """
    import torch

    first, fan = fans
    corner = corners[owner[off], weights[off].argmax(-1)]
    count = first[corner + 1] - first[corner]
    pixel = torch.repeat_interleave(count)
    place = torch.arange(len(pixel), device=off.device) - (count.cumsum(0) - count)[pixel]
    other = fan[first[corner][pixel] + place]
    theirs = weighed(other, off[pixel])
    low, mine = theirs.amin(-1), turn[owner[off]][pixel]
    rank = low.clamp(-4, 0) / 8 + 2 * (low >= 0) + 0.75 * (turn[other] > mine) - 9 * (turn[other] < mine)
    best = torch.full_like(low[: len(off)], -torch.inf).scatter_reduce(0, pixel, rank, "amax")
    chosen = (rank == best[pixel]).nonzero()[:, 0]
    to = off[pixel[chosen]]
    owner[to], weights[to] = other[chosen], theirs[chosen]


@lru_cache(maxsize=4)
def _fans(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """The faces around each vertex, as a list of faces and where each vertex's begin in it [N + 1]."""
    import numpy as np

    order = np.argsort(mesh.faces.reshape(-1), kind="stable")
    first = np.concatenate([[0], np.bincount(mesh.faces.reshape(-1), minlength=len(mesh.vertices)).cumsum()])
    return first, order // 3


@dataclass(frozen=True)
class Renderer(ABC):
    """The promise of a file in this folder: settings, and how to bring them to life."""

    @abstractmethod
    def build(self, device: torch.device) -> Rasterizer:
        """The live object. Its Fragments lie on `device`. Raises DeviceError with the reason when it cannot run here."""

    @classmethod
    def why_not(cls) -> str | None:
        """The reason why this renderer cannot run on this machine, in one sentence, or None. Never raises, never compiles."""
        return None


SOCKET: Socket[Renderer] = Socket(__name__, Renderer)


def best(device: torch.device | str) -> tuple[str, str | None]:
    """The fastest renderer that can run for `device`, and the notice to show when it is not the one made for it."""
    if not str(device).startswith("cuda"):
        return "embree", None
    reason = SOCKET.why_not("nvdiffrast")
    return ("nvdiffrast", None) if reason is None else ("embree", f"Drawing on the CPU: {reason}")


def build(name: str, device: torch.device) -> tuple[Rasterizer, str | None]:
    """The rasteriser called `name`, or for "auto" the best one that really starts, with the notice to show (or None).

    Raises StudioError for an unknown name, DeviceError when the named one cannot run.
    """
    if name != "auto":
        return SOCKET.make(name).build(device), None
    chosen, notice = best(device)
    try:
        return SOCKET.make(chosen).build(device), notice
    except DeviceError as error:
        if chosen == "embree":
            raise
        return SOCKET.make("embree").build(device), f"Drawing on the CPU: {error.problem}"
