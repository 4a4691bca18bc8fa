"""Captures: every layout of cameras is read alike, and what is wrong with a set is said in a sentence."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from studio import captures, environment
from studio.captures import Capture, fit, shoot
from studio.captures._frames import CONVENTIONS
from studio.errors import StudioError
from studio.pinhole import Pinhole
from studio.renderers import Rasterizer, build
from studio.surface.atlas import build_atlas
from studio.surface.mesh import Mesh
from studio.texture import Texture
from tests.meshes import cube, joined, patch
from tests.recover.sets import edited

VIEWS, SIZE_PX = 6, 40


@pytest.fixture(scope="module")
def rasterizer() -> Rasterizer:
    return build("embree", torch.device("cpu"))[0]


@pytest.fixture(scope="module")
def lopsided() -> Mesh:
    """A bent sheet without any symmetry, far from the origin: every wrong reading of its cameras shows."""

    def surface(s: np.ndarray, t: np.ndarray) -> np.ndarray:
        return np.stack([5 + 2 * s + 0.8 * t * t, 3 - 3 * t * (1 - 0.6 * s), 1 + np.sin(3 * s) * (0.3 + t)], -1)

    return joined([patch(surface, 12, 12, (0.05, 0.05, 0.95, 0.95))], "lopsided")


def taken(mesh: Mesh, rasterizer: Rasterizer, folder: Path, *, views: int = VIEWS) -> Path:
    """A set written by `studio capture`'s own means."""
    atlas = build_atlas(mesh, 32)
    stand = shoot.Studio(mesh, atlas, Texture.flat(mesh, 32), environment.load("softbox"), rasterizer)
    *_, (_, path) = shoot.shoot(stand, folder, views=views, size_px=SIZE_PX, environment="softbox")
    assert path is not None
    return path


@pytest.fixture
def folder(lopsided: Mesh, rasterizer: Rasterizer, tmp_path: Path) -> Path:
    taken(lopsided, rasterizer, tmp_path)
    return tmp_path


def matrices(capture: Capture) -> np.ndarray:
    return np.array([camera.matrix for camera in capture.cameras])


def test_a_set_comes_back_as_it_was_taken(lopsided: Mesh, rasterizer: Rasterizer, folder: Path) -> None:
    capture = captures.load(folder)
    expected = [camera.moved(np.linalg.inv(lopsided.T_work_source)) for camera in shoot.around(VIEWS)]
    np.testing.assert_allclose(matrices(capture), [camera.matrix for camera in expected], atol=1e-9)
    assert capture.environment == "softbox" and capture.exposure_ev == shoot.EXPOSURE_EV and capture.size_px == SIZE_PX
    assert capture.alpha is not None and capture.known.all() and not capture.notes
    assert min(fit.check(lopsided, capture, rasterizer).overlap) > 0.9
    placed = capture.placed(lopsided.T_work_source)
    np.testing.assert_allclose(matrices(placed), [camera.matrix for camera in shoot.around(VIEWS)], atol=1e-6)


def test_pinhole_and_orbit_cameras_see_alike(rasterizer: Rasterizer) -> None:
    from studio.camera import Camera

    camera = Camera(35, 20, target=(0.1, -0.2, 0.0))
    pinhole = Pinhole.of(camera)
    for ours, theirs in zip(pinhole.rays(9), camera.rays(9), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    np.testing.assert_allclose(pinhole.T_clip_world(), camera.T_clip_world(), atol=1e-6)


def test_nerf_and_llff_sets_are_read_like_the_studios_own(folder: Path) -> None:
    own = captures.load(folder)
    (folder / captures.OWN_FILE).rename(folder / "transforms.json")
    nerf = captures.load(folder)
    np.testing.assert_array_equal(matrices(nerf), matrices(own))
    (folder / "transforms.json").unlink()
    rows = []
    for camera in own.cameras:
        right, up, back, place = camera.matrix[:3].T
        table = np.stack([-up, right, back, place, [SIZE_PX, SIZE_PX, camera.focal[0] * SIZE_PX]], 1)
        rows.append([*table.reshape(-1), 1.0, 9.0])
    np.save(folder / "poses_bounds.npy", np.array(rows))
    llff = captures.load(folder)
    np.testing.assert_allclose(matrices(llff), matrices(own), atol=1e-9)
    np.testing.assert_allclose([c.focal for c in llff.cameras], [c.focal for c in own.cameras])
    assert torch.equal(llff.rgb, own.rgb) and llff.environment is None


def test_pictures_of_any_shape_are_scaled_and_keep_their_lens(tmp_path: Path) -> None:
    Image.new("RGB", (80, 40), (200, 100, 50)).save(tmp_path / "a.jpg")
    frame = {"file_path": "a.jpg", "transform_matrix": np.eye(4).tolist()}
    lens = {"fl_x": 100, "fl_y": 90, "cx": 42, "cy": 18, "w": 160, "h": 80}  # the cameras are of larger pictures
    (tmp_path / "transforms.json").write_text(json.dumps({**lens, "frames": [frame]}), encoding="utf-8")
    capture = captures.load(tmp_path, size_px=40)
    assert capture.size_px == 40 and capture.alpha is None and capture.known.sum() == 40 * 20
    np.testing.assert_allclose(capture.cameras[0].focal, (100 / 160, 90 / 160))
    np.testing.assert_allclose(capture.cameras[0].centre, (42 / 160, 18 / 160))


def test_distortion_is_taken_out(tmp_path: Path) -> None:
    """A lens with k1 bends what is straight; undistorted, a line lies where the pinhole camera sees it."""
    size, focal, k1 = 81, 80.0, 0.25
    y, x = np.mgrid[:size, :size] + 0.5
    u, v = (x - size / 2) / focal, (y - size / 2) / focal
    low, r = np.sqrt(u * u + v * v), np.sqrt(u * u + v * v)
    for _ in range(30):
        low = r / (1 + k1 * low * low)
    straight = u * low / np.maximum(r, 1e-9)  # what the pinhole camera sees at each distorted place
    picture = np.where(np.abs(straight - 0.3) < 0.02, 255, 0).astype(np.uint8)
    Image.fromarray(picture).convert("RGB").save(tmp_path / "line.png")
    frame = {"file_path": "line", "transform_matrix": np.eye(4).tolist(), "k1": k1}
    tree = {"fl_x": focal, "w": size, "h": size, "frames": [frame]}
    (tmp_path / "transforms.json").write_text(json.dumps(tree), encoding="utf-8")
    line = captures.load(tmp_path).rgb[0, 0].float()
    middle = (line * torch.arange(size)).sum(1)[5:-5] / line.sum(1)[5:-5]
    assert (middle - (size / 2 + 0.3 * focal - 0.5)).abs().max() < 0.6
    bent = torch.from_numpy(picture).float()
    assert ((bent * torch.arange(size)).sum(1) / bent.sum(1)).std() > 0.4 > 2 * middle.std()


def test_one_corrupt_picture_is_left_out(folder: Path) -> None:
    (folder / "images" / "0002.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    (folder / "images" / "0004.png").unlink()
    capture = captures.load(folder)
    assert len(capture) == VIEWS - 2 and len(capture.notes) == 2
    assert "0002.png" in capture.notes[0] and "left out" in capture.notes[0] and "0004.png" in capture.notes[1]
    np.testing.assert_allclose(capture.cameras[2].matrix, captures.load(folder).cameras[2].matrix)
    for name in ("0000.png", "0001.png"):
        (folder / "images" / name).write_bytes(b"no picture")
    with pytest.raises(StudioError, match="4 of 6 pictures are missing or damaged"):
        captures.load(folder)


def test_masks_come_from_files_and_black_ones_are_told(folder: Path) -> None:
    (folder / "masks").mkdir()
    for path in sorted((folder / "images").iterdir()):
        picture = Image.open(path)
        picture.getchannel("A").save(folder / "masks" / path.name)
        picture.convert("RGB").save(path)
    Image.new("L", (SIZE_PX, SIZE_PX)).save(folder / "masks" / "0001.png")
    capture = captures.load(folder)
    assert len(capture) == VIEWS - 1 and "0001.png" in capture.notes[0]
    for path in (folder / "masks").iterdir():
        Image.new("L", (SIZE_PX, SIZE_PX)).save(path)
    with pytest.raises(StudioError, match="All masks are black"):
        captures.load(folder)


def test_what_is_wrong_with_a_set_is_said(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StudioError, match="no pictures at"):
        captures.load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StudioError, match="holds no cameras"):
        captures.load(tmp_path / "empty")
    with pytest.raises(StudioError, match="Did you mean 'opencv'"):
        captures.load(folder, convention="opencvv")
    Image.new("RGBA", (SIZE_PX, SIZE_PX // 2)).save(folder / "images" / "0003.png")
    with pytest.raises(StudioError, match="0003.png' has 40 × 20 pixels, but its camera is for 40 × 40"):
        captures.load(folder)
    edited(folder, lambda tree: tree["frames"][1].pop("transform_matrix"))
    with pytest.raises(StudioError, match="Camera 2 of 'capture.json' has no transform_matrix"):
        captures.load(folder)
    edited(folder, lambda tree: tree.update(frames=[]))
    with pytest.raises(StudioError, match="lists no cameras"):
        captures.load(folder)
    (folder / captures.OWN_FILE).write_text("{", encoding="utf-8")
    with pytest.raises(StudioError, match="cannot be read as a list of cameras"):
        captures.load(folder)
    (folder / captures.OWN_FILE).unlink()
    np.save(folder / "poses_bounds.npy", np.zeros((3, 17)))
    with pytest.raises(StudioError, match="3 cameras, but there are 6 pictures"):
        captures.load(folder)
    (folder / "poses_bounds.npy").unlink()
    (folder / "turntable.usda").write_text("#usda 1.0\n", encoding="utf-8")
    for name in [name for name in sys.modules if name.split(".")[0] == "pxr"] or ["pxr"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(StudioError, match=r"usd-core.*pip install"):
        captures.load(folder)


@pytest.mark.parametrize("meant", [name for name in CONVENTIONS if name != "opengl"])
def test_a_wrong_convention_is_found_by_silhouettes_and_named(
    meant: str, lopsided: Mesh, rasterizer: Rasterizer, folder: Path
) -> None:
    """Files written by another convention: they fit when it is given, and it is named when it is not."""
    undo = {
        "opencv": lambda T: T @ np.diag([1, -1, -1, 1.0]),
        "inverse": np.linalg.inv,
        "opencv_inverse": lambda T: np.linalg.inv(T @ np.diag([1, -1, -1, 1.0])),
        "z_up": lambda T: np.linalg.inv(captures._frames.Z_UP) @ T,
        "opencv_z_up": lambda T: np.linalg.inv(captures._frames.Z_UP) @ T @ np.diag([1, -1, -1, 1.0]),
        "left_handed": lambda T: np.diag([1, 1, -1, 1.0]) @ T @ np.diag([1, 1, -1, 1.0]),
        "left_handed_x": lambda T: np.diag([-1, 1, 1, 1.0]) @ T @ np.diag([-1, 1, 1, 1.0]),
    }[meant]

    def rewritten(tree: dict[str, Any]) -> None:
        for frame in tree["frames"]:
            frame["transform_matrix"] = undo(np.array(frame["transform_matrix"])).tolist()

    edited(folder, rewritten)
    assert min(fit.check(lopsided, captures.load(folder, convention=meant), rasterizer, convention=meant).overlap) > 0.9
    refusal = fit.check(lopsided, captures.load(folder), rasterizer).refusal
    assert refusal is not None and f"(--convention {meant})." in refusal.remedy


def test_cameras_of_another_mesh_do_not_fit(rasterizer: Rasterizer, folder: Path) -> None:
    refusal = fit.check(cube(), captures.load(folder), rasterizer).refusal
    assert refusal is not None and "do not fit the mesh" in refusal.problem


def test_pictures_that_do_not_fit_are_shown(lopsided: Mesh, rasterizer: Rasterizer, folder: Path) -> None:
    def moved(tree: dict[str, Any]) -> None:
        tree["frames"][1]["transform_matrix"] = tree["frames"][4]["transform_matrix"]

    edited(folder, moved)
    capture = captures.load(folder)
    found = fit.check(lopsided, capture, rasterizer)
    assert found.bad() == [1] and "1 of 6" in found.notes[0]
    shown = fit.overlay(lopsided, capture, 1, rasterizer)
    assert shown.shape == (fit.OVERLAY_PX, fit.OVERLAY_PX, 3)
    green, red = (shown == (26, 255, 51)).all(-1).sum(), (shown == (255, 26, 26)).all(-1).sum()
    assert green + red > 20, (green, red)


@pytest.mark.parametrize("up", ["Y", "Z"])
def test_a_usd_turntable_is_read_by_its_time_samples(up: str, folder: Path) -> None:
    pytest.importorskip("pxr", reason="needs the extra `usd`")
    from pxr import Gf, Usd, UsdGeom

    own = captures.load(folder)
    (folder / captures.OWN_FILE).unlink()
    stage = Usd.Stage.CreateNew(str(folder / "turntable.usda"))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z if up == "Z" else UsdGeom.Tokens.y)
    camera = UsdGeom.Camera.Define(stage, "/rig/camera")
    place = camera.AddTransformOp()
    turned = np.linalg.inv(captures._frames.Z_UP) if up == "Z" else np.eye(4)
    for time, view in enumerate(own.cameras, 1):
        place.Set(Gf.Matrix4d(*(turned @ view.matrix).T.reshape(-1).tolist()), time)
    camera.CreateHorizontalApertureAttr(20.0)
    camera.CreateVerticalApertureAttr(20.0)
    camera.CreateFocalLengthAttr(own.cameras[0].focal[0] * 20.0)
    stage.GetRootLayer().Save()
    capture = captures.load(folder)
    np.testing.assert_allclose(matrices(capture), matrices(own), atol=1e-6)
    np.testing.assert_allclose([c.focal for c in capture.cameras], [c.focal for c in own.cameras], rtol=1e-5)
