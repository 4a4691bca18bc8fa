"""What every rasteriser owes: pixels located on faces exactly, rows from the top, honest reasons."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from studio import renderers, resources
from studio.camera import Camera, ring
from studio.errors import DeviceError, StudioError
from studio.surface.mesh import Mesh, load
from tests.meshes import cube, uv_sphere

CPU = torch.device("cpu")
CAMERAS = (Camera(30, 20), Camera(200, -50, distance=1.2), Camera(75, 10, orthographic=True), Camera(10, 90))


def runnable() -> list[str]:
    return [n for n in renderers.SOCKET.names() if renderers.SOCKET.why_not(n) is None]


@pytest.fixture(params=runnable())
def rasterizer(request: pytest.FixtureRequest) -> renderers.Rasterizer:
    device = torch.device("cuda" if request.param == "nvdiffrast" else "cpu")
    return renderers.SOCKET.make(request.param).build(device)


@pytest.mark.parametrize("camera", CAMERAS)
def test_every_located_point_lies_on_its_pixels_ray(rasterizer: renderers.Rasterizer, camera: Camera) -> None:
    mesh = cube()
    view = rasterizer.rasterize(mesh, [camera], 48).to("cpu")
    origins, directions = (torch.from_numpy(a).double() for a in camera.rays(48))
    hit = view.mask.flatten()
    assert hit.any() and not (camera.distance > 2 and hit.all())
    point = view.position.reshape(-1, 3)[hit].double()
    along = ((point - origins[hit]) * directions[hit]).sum(-1, keepdim=True)
    grid = 1 / 16 if rasterizer.name == "nvdiffrast" else 0  # of a pixel: how far beyond the silhouette a hit may lie
    assert (point - origins[hit] - along * directions[hit]).abs().max() < 1e-6 + grid * 2 * camera.half_height() / 48
    back = torch.from_numpy(camera.frame()[2])
    axial = ((torch.from_numpy(camera.position()) - point) * back).sum(-1)
    torch.testing.assert_close(view.depth.flatten()[hit].double(), axial, atol=1e-6, rtol=0)


def test_only_the_nearest_face_is_hit(rasterizer: renderers.Rasterizer) -> None:
    view = rasterizer.rasterize(cube(), CAMERAS, 40)
    assert (view.cosine[view.mask] > 0).all()  # of a closed convex body only front faces are seen
    assert (view.bary.sum(-1)[view.mask] - 1).abs().max() < 1e-6 and view.bary.min() >= 0


def test_row_zero_is_the_top_and_azimuth_90_looks_from_plus_x(rasterizer: renderers.Rasterizer) -> None:
    view = rasterizer.rasterize(cube(), [Camera(90, 0)], 33).to("cpu")
    columns = view.position[0, 16][view.mask[0, 16]]
    rows = view.position[0, :, 16][view.mask[0, :, 16]]
    assert (rows[:, 1].diff() < 0).all(), "y falls from row to row"
    assert (columns[:, 2].diff() < 0).all(), "seen from +x, −z lies to the right"
    assert (columns[1:-1, 0] > 0).all()


def test_supersampling_is_a_larger_picture(rasterizer: renderers.Rasterizer) -> None:
    mesh, camera = cube(), Camera(30, 20)
    fine, coarse = rasterizer.rasterize(mesh, [camera], 32, supersample=2), rasterizer.rasterize(mesh, [camera], 64)
    assert torch.equal(fine.face, coarse.face) and torch.equal(fine.bary, coarse.bary)
    assert fine.alpha.shape == (1, 1, 32, 32) and set(fine.alpha.unique().tolist()) <= {0, 0.25, 0.5, 0.75, 1}


def test_silhouette_of_a_sphere_has_its_analytic_area(rasterizer: renderers.Rasterizer) -> None:
    import trimesh

    ball = trimesh.creation.icosphere(5)
    view = rasterizer.rasterize(Mesh.from_arrays(ball.vertices, ball.faces), ring(3), 256)
    camera = Camera()
    radius = 0.9 / np.sqrt(camera.distance**2 - 0.9**2) / np.tan(np.radians(camera.fov_deg) / 2)  # of the tangent cone
    share = view.mask.double().mean((1, 2)).cpu()
    torch.testing.assert_close(share, torch.full_like(share, np.pi * radius**2 / 4), atol=2e-3, rtol=0)


@pytest.mark.parametrize("camera", CAMERAS)
def test_the_fast_surface_is_the_exact_one(rasterizer: renderers.Rasterizer, camera: Camera) -> None:
    """In wide pictures too, band by band, and moved by parts of a pixel."""
    mesh = uv_sphere()
    view = rasterizer.rasterize(mesh, [camera], 60).to("cpu")
    band = renderers.Band(90, 60, 20, 30)
    pixel, face, bary = (t.cpu() for t in rasterizer.surface(mesh, camera, band))
    wide = torch.full((30 * 90,), -1)
    wide[pixel] = face
    wide = wide.reshape(30, 90)
    seen, expected = wide[:, 15:75], view.face[0, 20:50]
    assert ((seen >= 0) != (expected >= 0)).double().mean() < 0.003 and (seen == expected).double().mean() > 0.97
    position = (bary[..., None] * view.corners.position[face]).sum(1)
    inside = (pixel % 90 >= 15) & (pixel % 90 < 75)
    exact = view.position[0, 20:50].reshape(-1, 3)[(pixel // 90 * 60 + pixel % 90 - 15)[inside]]
    assert (position[inside] - exact).norm(dim=-1).median() < 1e-4
    # Twice as fine by moved rays: the samples of a picture with 120 rows.
    fine = rasterizer.rasterize(mesh, [camera], 120).to("cpu").face[0, 41:100:2, ::2]
    moved = renderers.Band(60, 60, 20, 30, shift=(-0.25, 0.25))
    pixel, face, _ = (t.cpu() for t in rasterizer.surface(mesh, camera, moved))
    again = torch.full((30 * 60,), -1)
    again[pixel] = face
    assert (again.reshape(30, 60) == fine).double().mean() > 0.97


class Shaken(Camera):
    """A camera whose rays miss the pixel centres by up to 1/32 pixel, like a rasteriser that rounds corners to 1/16."""

    def rays(self, size_px: int) -> tuple[np.ndarray, np.ndarray]:
        origins, directions = super().rays(size_px)
        right, up, _ = self.frame()
        shift = np.random.default_rng(0).uniform(-1, 1, (len(directions), 2)) / 32 * 2 / size_px
        moved = directions + np.tan(np.radians(self.fov_deg / 2)) * (shift[:, :1] * right + shift[:, 1:] * up)
        return origins, np.ascontiguousarray(moved, dtype=np.float32)


def test_a_backend_that_rounds_still_names_the_face_under_the_centre() -> None:
    ball = uv_sphere(96, 48)
    exact, _ = renderers.build("embree", CPU)
    view = exact.rasterize(ball, [Camera(20, 15)], 192)
    rounded = exact.hits(ball, [Shaken(20, 15)], 192)[0]
    face, bary, _ = renderers.locate(ball, Camera(20, 15), rounded)
    both = (rounded >= 0) & view.mask[0]
    assert (rounded != view.face[0])[both].double().mean() > 3e-3, "rounding names other faces"
    assert (face != view.face[0])[both].double().mean() < 1e-3, "the centre decides again"
    inside = both & (view.cosine[0] > 0.15)
    assert (bary - view.bary[0])[inside & (face == view.face[0])].abs().max() < 1e-5


def test_the_face_under_the_centre_is_found_around_a_corner() -> None:
    """In this view of the chair a rasteriser that rounds names a face that shares only a corner with the right one."""
    chair, camera, (row, column) = load(resources.sample("chair")), ring(4, elevation_deg=20)[2], (416, 167)
    right = renderers.SOCKET.make("embree").build(CPU).rasterize(chair, [camera], 512)
    named = right.face[0].clone()
    named[row, column] = 3170
    assert len(set(chair.faces[3170]) & set(chair.faces[right.face[0, row, column]])) == 1
    face, bary, _ = renderers.locate(chair, camera, named)
    assert torch.equal(face, right.face[0].to(face.dtype))
    assert (bary - right.bary[0]).abs().max() < 1e-6


def test_a_pixel_beside_the_surface_takes_its_nearest_point_and_degenerate_faces_stay_finite() -> None:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0.0]])
    mesh = Mesh.from_arrays(corners, np.array([[0, 1, 2], [0, 0, 1], [1, 3, 2]]))
    face = torch.zeros(8, 8, dtype=torch.int32)
    face[0], face[1] = -1, 1
    face, bary, depth = renderers.locate(mesh, Camera(), face)
    assert bary.isfinite().all() and bary.min() >= 0 and bary.max() <= 1
    assert (bary[1:].sum(-1) - 1).abs().max() < 1e-6
    assert (face[0] == -1).all() and (bary[0] == 0).all() and (depth[0] == 0).all() and (depth[1:] > 0).all()
    assert (face[2:4, 4:6] == 2).all(), "the upper right of the square is the other triangle's"


def test_best_says_why_not() -> None:
    assert renderers.best(CPU) == ("embree", None) and renderers.best("mps") == ("embree", None)
    name, notice = renderers.best("cuda:0")
    assert (name, notice) == ("nvdiffrast", None) or (name == "embree" and notice is not None and notice.endswith("."))


def test_auto_draws_and_wrong_names_are_said() -> None:
    drawn, notice = renderers.build("auto", CPU)
    assert drawn.name == "embree" and notice is None
    with pytest.raises(StudioError, match="embree"):
        renderers.build("embre", CPU)
    with pytest.raises(DeviceError, match="pixels"):
        drawn.rasterize(cube(), [Camera()], 20000)
    with pytest.raises(DeviceError, match="CUDA"):
        renderers.build("nvdiffrast", CPU)
