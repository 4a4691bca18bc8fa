"""How the work around recovery ends when it does not end well: nothing is lost, nothing is half there, and it is said."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from studio import captures, environment, files, materials, renderers
from studio.__main__ import main
from studio.captures import shoot
from studio.errors import MeshError, OutputError, StudioError
from studio.exporters import SOCKET, Asset
from studio.materials import CHECKPOINT, Task, work
from studio.photography import photographed
from studio.progress import Progress
from studio.recover import compare as comparing
from studio.recover import delight as delighting
from studio.recover import output, settings
from studio.recover.examples import example, sphere_mesh
from studio.surface.atlas import build_atlas
from studio.surface.mesh import load
from tests.meshes import two_set_box

TINY: dict[str, Any] = {"iterations": 6, "fine_iterations": 3, "levels": 2, "atlas_px": 32, "batch_px": 256, "size_px": 32}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ball.glb` and, in `set`, three pictures of it."""
    folder, scene = tmp_path_factory.mktemp("weiß und rund"), replace(example("sphere"), mesh=sphere_mesh(32, 16))
    atlas = build_atlas(scene.mesh, 64)
    texture = scene.texture(atlas)
    SOCKET.make("glb").write(Asset(scene.mesh, texture, {}, frozenset({"base_color"})), folder / "ball.glb")
    rasterizer = renderers.build("embree", torch.device("cpu"))[0]
    stand = shoot.Studio(scene.mesh, atlas, texture, environment.load("white"), rasterizer)
    for _ in shoot.shoot(stand, folder / "set", views=3, size_px=32, environment="white"):
        pass
    return folder


def task(given: Path, **changes: Any) -> Task:
    task = Task(settings("split", TINY), given / "ball.glb", given / "set", device="cpu", renderer="embree")
    return replace(task, **changes)


def test_the_mesh_that_was_given_is_never_replaced_and_that_is_known_before_the_work(given: Path, tmp_path: Path) -> None:
    own = tmp_path / "ball.glb"
    own.write_bytes((given / "ball.glb").read_bytes())
    seen: list[Progress] = []
    with pytest.raises(OutputError, match="belongs to the mesh"):
        work(task(given, mesh=own), tmp_path, show=seen.append)
    assert not any(p.checkpoint for p in seen) and [p.name for p in tmp_path.iterdir()] == ["ball.glb"]


def test_what_cannot_be_written_at_the_end_is_not_lost(given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any, **options: Any) -> None:
        raise OutputError("The disk is full.", "Free some space.")

    with monkeypatch.context() as patched:
        patched.setattr(output, "write", full)
        with pytest.raises(OutputError, match="The disk is full"):
            work(task(given), tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == [CHECKPOINT]
    seen: list[Progress] = []
    work(task(given), tmp_path / "out", resume=True, show=seen.append)
    assert not any(p.checkpoint for p in seen) and (tmp_path / "out" / "report.json").exists()
    assert not (tmp_path / "out" / CHECKPOINT).exists()


def test_a_checkpoint_belongs_to_its_pictures_and_its_light(given: Path, tmp_path: Path) -> None:
    steps: list[Progress] = []
    work(task(given), tmp_path, show=steps.append, stop=lambda: steps[-1].checkpoint is not None)
    for other in ({"light": "learn"}, {"light": "softbox"}, {"exposure_ev": 1.0}):
        with pytest.raises(StudioError, match="another recovery"):
            work(task(given, **other), tmp_path, resume=True)
    assert (tmp_path / CHECKPOINT).exists()


def test_a_stop_before_the_first_step_leaves_nothing(given: Path, tmp_path: Path) -> None:
    assert work(task(given), tmp_path / "out", stop=lambda: True) == ([], None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("own", [False, True])
def test_a_stop_says_whether_there_is_something_to_go_on_from(
    own: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A terminal's Ctrl-C reaches the unwrapper, too, whose end is no mistake of the user's then."""

    def interrupted(*given: Any, stop: Callable[[], bool], **options: Any) -> tuple[list[Path], None]:
        signal.raise_signal(signal.SIGINT)
        assert stop()
        if own:
            raise StudioError("Unwrapping the mesh failed.", "Unwrap it yourself.")
        return [], None

    monkeypatch.setattr(materials, "work", interrupted)
    command = ["recover", "--example", "sphere", "--out", str(tmp_path)]
    assert main(command) == 128 + signal.SIGINT
    assert capsys.readouterr().err.endswith("Stopped before there was anything to save.\n")
    (tmp_path / CHECKPOINT).touch()
    assert main(command) == 128 + signal.SIGINT
    assert "--resume to continue" in capsys.readouterr().err


def test_mistakes_leave_no_folder(given: Path, tmp_path: Path) -> None:
    for wrong in ({"mesh": given / "none.glb"}, {"images": given / "none"}, {"light": "none"}, {"convention": "none"}):
        with pytest.raises(StudioError):
            work(task(given, **wrong), tmp_path / "a" / "b")
        assert not list(tmp_path.iterdir())
    (tmp_path / "log").touch()
    with pytest.raises(OutputError, match="cannot be made"):
        work(task(given), tmp_path / "a" / "b", log=tmp_path / "log")
    assert [p.name for p in tmp_path.iterdir()] == ["log"]


def test_pictures_that_do_not_fit_are_drawn_and_the_error_says_where(given: Path, tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="overlays") as raised:
        work(task(given, convention="left_handed"), tmp_path)
    assert str(tmp_path / "overlays") in raised.value.remedy and len(list((tmp_path / "overlays").iterdir())) == 3


def test_a_folder_is_made_and_goes_again_if_nothing_came_into_it(tmp_path: Path) -> None:
    with files.folder(tmp_path / "a" / "b") as made:
        assert made.is_dir()
    assert not (tmp_path / "a").exists()
    with files.folder(tmp_path / "a" / "b") as made:
        (made / "c").touch()
    with files.folder(tmp_path / "a") as made:
        pass
    assert (tmp_path / "a" / "b" / "c").exists()
    with pytest.raises(OutputError, match="cannot be made"), files.folder(tmp_path / "a" / "b" / "c" / "d"):
        pass


# -- Unpacking ------------------------------------------------------------------------------------------------------------


def test_maps_are_not_unpacked_over_the_files_they_came_from(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text("mtllib a.mtl\nusemtl a\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nf 1/1 2/2 3/3\n")
    (tmp_path / "a.mtl").write_text("newmtl a\nmap_Kd base_color.png\n")
    Image.fromarray(np.full((4, 4, 3), 90, np.uint8)).save(tmp_path / "base_color.png")
    before = (tmp_path / "base_color.png").read_bytes()
    with pytest.raises(OutputError, match="belongs to the mesh"):
        output.unpack(load(tmp_path / "a.obj"), tmp_path)
    assert (tmp_path / "base_color.png").read_bytes() == before and not (tmp_path / "roughness.png").exists()


def test_a_mesh_without_uvs_has_no_maps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    assert main(["unpack", str(tmp_path / "a.obj"), "--out", str(tmp_path / "maps")]) == 2
    assert "has no maps" in capsys.readouterr().err and not (tmp_path / "maps").exists()


def test_maps_may_lie_beside_their_mesh(given: Path, tmp_path: Path) -> None:
    (tmp_path / "ball.glb").write_bytes((given / "ball.glb").read_bytes())
    assert len(output.unpack(load(tmp_path / "ball.glb"), tmp_path)) >= 3


@pytest.mark.parametrize("names", [("wall", "Wall"), ("a", "a"), ("ä!", "ä?")])
def test_every_set_has_files_of_its_own(names: tuple[str, str], tmp_path: Path) -> None:
    box = two_set_box()
    sets = tuple(replace(material, name=name) for material, name in zip(box.sets, names, strict=True))
    written = output.unpack(replace(box, sets=sets), tmp_path)
    assert len({path.name.casefold() for path in written}) == len(written) >= 6


# -- The other commands ---------------------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """What a command says that ends with 2."""
    capsys.readouterr()
    assert main(list(map(str, arguments))) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("stops", ["nan", "inf", "-1000"])
def test_an_exposure_is_a_number_of_stops(stops: str, given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Light that is no number at all has ended the whole program."""
    out = f"--out={tmp_path / 'out'}"
    for command in (["recover", given / "ball.glb", given / "set"], ["capture", given / "ball.glb"]):
        assert "number of stops between" in refused(capsys, *command, out, f"--exposure={stops}")
    assert not list(tmp_path.iterdir())


def test_pictures_of_two_captures_never_stand_beside_the_cameras_of_one(given: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"size_px": 32, "atlas_px": 32, "light": "white", "device": "cpu", "renderer": "embree"}
    for _ in photographed(given / "ball.glb", tmp_path, views=2, exposure_ev=-1, **options):
        pass
    steps = photographed(given / "ball.glb", tmp_path, views=9, exposure_ev=-1, **options)
    next(p for p in steps if p.stage == "taking pictures" and p.step == 1)
    steps.close()
    with pytest.raises(StudioError, match="holds no cameras"):
        captures.load(tmp_path)


def test_a_capture_names_its_file_once(given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--views", "1", "--size", "32", "--atlas", "32")
    assert main(["capture", str(given / "ball.glb"), "--out", str(tmp_path), *options]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(tmp_path / "capture.json") and "capture.json" not in said.err


def test_delight_and_comparison_look_where_they_write_before_they_work(
    given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*given: Any, **options: Any) -> None:
        raise AssertionError("worked before it looked")

    monkeypatch.setattr(delighting, "delight", never)
    monkeypatch.setattr(comparing, "compare", never)
    ball, nowhere = given / "ball.glb", tmp_path / "none"
    assert "does not exist" in refused(capsys, "delight", ball, "--out", nowhere / "x.glb")
    assert "does not exist" in refused(capsys, "compare-materials", ball, ball, "--report", nowhere / "x.json")
    for atlas_px in (0, -1, 100_000):
        assert "An atlas cannot have" in refused(capsys, "delight", ball, "--out", tmp_path / "x.glb", f"--atlas={atlas_px}")
    assert not list(tmp_path.iterdir())


def test_uvs_that_cover_no_texel_are_told(given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ball = load(given / "ball.glb")
    assert ball.corner_uv is not None
    dot = ball.with_uv(ball.corner_uv * 1e-4 + 0.01, "dot")
    with pytest.raises(MeshError, match="cover no texel"):
        work(task(given, mesh=dot), tmp_path / "out")
    assert dot.corner_uv is not None
    lines = ["v {} {} {}".format(*v) for v in dot.vertices] + ["vt {} {}".format(*t) for t in dot.corner_uv.reshape(-1, 2)]
    lines += ["f " + " ".join(f"{v + 1}/{3 * i + k + 1}" for k, v in enumerate(face)) for i, face in enumerate(dot.faces)]
    (tmp_path / "dot.obj").write_text("\n".join(lines) + "\n")
    assert "cover no texel" in refused(capsys, "delight", tmp_path / "dot.obj", "--out", tmp_path / "x.glb", "--atlas", "64")
