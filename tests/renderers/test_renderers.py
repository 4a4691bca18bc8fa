"""What every rasteriser owes: pixels located on faces exactly, rows from the top, honest reasons."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from studio import renderers
from studio.camera import Camera, ring
from studio.errors import DeviceError, StudioError
from studio.surface.mesh import Mesh
from tests.meshes import cube

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
    assert (point - origins[hit] - along * directions[hit]).abs().max() < 1e-6
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


def test_faces_that_miss_the_pixel_are_clamped_and_degenerate_ones_stay_finite() -> None:
    mesh = Mesh.from_arrays(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0.0]]), np.array([[0, 1, 2], [0, 0, 1], [1, 3, 2]]))
    face = torch.zeros(8, 8, dtype=torch.int32)
    face[0] = -1
    face[1] = 1
    bary, depth = renderers.locate(mesh, Camera(), face)
    assert bary.isfinite().all() and bary.min() >= 0 and bary.max() <= 1
    assert (bary[1:].sum(-1) - 1).abs().max() < 1e-6
    assert (bary[0] == 0).all() and (depth[0] == 0).all() and (depth[1:] > 0).all()


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
