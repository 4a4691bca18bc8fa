"""Projects: everything comes back, nothing half written, and no file from elsewhere does harm."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from studio import archive, files, project, resources
from studio.__main__ import main
from studio.config import parse
from studio.document import Document
from studio.errors import MeshError, OutputError, StudioError
from studio.project import Project, load, opened, save
from studio.session import recent
from studio.session.autosave import Autosave
from studio.surface.mesh import Mesh
from studio.surface.mesh import load as load_mesh
from studio.texture import Texture
from tests.runs import QUICK

OBJ = """mtllib maps/m.mtl
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
vt 0 0
vt 1 0
vt 1 1
vt 0 1
usemtl paint
f 1/1 2/2 3/3 4/4
"""


@pytest.fixture
def mesh(tmp_path: Path) -> Mesh:
    """An OBJ that refers to another file in a folder below."""
    folder = tmp_path / "wörk"
    (folder / "maps").mkdir(parents=True)
    (folder / "maps" / "m.mtl").write_text("newmtl paint\nKd 0.5 0.25 1\n")
    (folder / "plate.obj").write_text(OBJ)
    return load_mesh(folder / "plate.obj")


@pytest.fixture
def full(mesh: Mesh) -> Project:
    """A project with everything in it."""
    torch.manual_seed(0)
    color = (torch.rand(1, 3, 16, 16) * 255).round() / 255
    texture = Texture(("paint",), {"base_color": color, "roughness": color[:, :1], "height": torch.rand(1, 1, 16, 16)})
    config = parse({"prompt": 'red "lava"\n', "trainer": "lora_reward", "rewards": {"palette": {"weight": 0.5}}})
    return Project(
        Document(mesh.source.path, config),
        mesh,
        texture,
        None,
        {"a.lora_A": torch.randn(2, 3)},
        {"config": "x", "trainer": {"iteration": 2, "lora": {"a": torch.randn(2)}}},
        {"score": [(1, 0.25), (2, 0.5)]},
        [(2, "palette 0.5 → 1")],
        [(0, {"weights": {"palette": 0.5}})],
        frozenset({"base_color", "roughness"}),
    )


def test_everything_comes_back(full: Project, tmp_path: Path) -> None:
    assert save(full, tmp_path / "p.patina") == tmp_path / "p.patina"
    back = load(tmp_path / "p.patina")
    assert back.document.config == full.document.config
    assert back.texture is not None and full.texture is not None
    assert torch.equal(back.texture.channels["base_color"], full.texture.channels["base_color"])
    assert float((back.texture.channels["height"] - full.texture.channels["height"]).abs().max()) < 1 / 65535
    assert torch.equal(back.lora["a.lora_A"], full.lora["a.lora_A"])
    assert back.checkpoint is not None and back.checkpoint["trainer"]["iteration"] == 2
    assert (back.curves, back.markers, back.journal) == (full.curves, full.markers, full.journal)
    assert back.painted == {"base_color", "roughness"}
    assert back.receipt()["scores"] == {"score": 0.5} and back.receipt()["weights"][0]["iteration"] == 0


def test_the_mesh_comes_with_all_its_files_and_paints_the_same_surface(full: Project, mesh: Mesh, tmp_path: Path) -> None:
    save(full, tmp_path / "p.patina")
    back = opened(load(tmp_path / "p.patina"))
    assert back.hash == mesh.hash and back.sets[0].base_factor == mesh.sets[0].base_factor
    assert back.source.path.is_relative_to(resources.cache_dir()) and back.source.path.name == "plate.obj"


def test_uvs_that_the_studio_laid_out_come_along(full: Project, mesh: Mesh, tmp_path: Path) -> None:
    assert mesh.corner_uv is not None
    moved = mesh.with_uv(mesh.corner_uv * 0.5, "Laid out anew.")
    assert project.laid_out(mesh) is None
    save(replace(full, mesh=moved, corner_uv=project.laid_out(moved)), tmp_path / "p.patina")
    assert opened(load(tmp_path / "p.patina")).hash == moved.hash


def test_a_mesh_that_changed_is_not_saved_as_if_it_had_not(full: Project, mesh: Mesh, tmp_path: Path) -> None:
    mesh.source.path.write_text(OBJ + "# touched\n")
    with pytest.raises(MeshError, match="changed"):
        save(full, tmp_path / "p.patina")
    assert not (tmp_path / "p.patina").exists()


def test_a_write_that_fails_leaves_the_project_that_was_there(
    full: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "p.patina"
    save(full, place)
    before = place.read_bytes()

    def torn(path: Path, contents: object) -> None:
        path.write_bytes(b"PK half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(archive, "write", torn)
    with pytest.raises(OutputError, match="full"):
        save(full, place)
    assert place.read_bytes() == before and [p.name for p in tmp_path.glob(".p*")] == []


# -- files from elsewhere ---------------------------------------------------------------------------------------------------


def rewritten(place: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A project with other contents."""
    contents = archive.read(place)
    change(contents)
    archive.write(place, contents)
    return place


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../out", "mesh/../../out", "mesh\\..\\out", "C:/out", "mesh/c:out", "mesh/con. ", "mesh/a\\b"]
)
def test_names_that_leave_the_archive_are_refused(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.patina", "w") as zipped:
        zipped.writestr(zipfile.ZipInfo(name), b"x")
    with pytest.raises(StudioError, match="no studio writes"):
        load(tmp_path / "p.patina")


def links(zipped: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("mesh/link.obj")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    zipped.writestr(info, "/etc/passwd")


def bomb(zipped: zipfile.ZipFile) -> None:
    zipped.writestr("mesh/bomb.obj", b"\0" * (90 << 20), compress_type=zipfile.ZIP_DEFLATED)


def twice(zipped: zipfile.ZipFile) -> None:
    zipped.writestr("Document.toml", b"x")
    zipped.writestr("document.toml", b"y")


def crowd(zipped: zipfile.ZipFile) -> None:
    for i in range(archive.MOST_FILES + 1):
        zipped.writestr(f"mesh/{i}", b"")


@pytest.mark.parametrize("fill", [links, bomb, twice, crowd])
def test_traps_are_refused(fill: Callable[[zipfile.ZipFile], None], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.patina", "w") as zipped:
        fill(zipped)
    with pytest.raises(StudioError, match="no studio writes"):
        load(tmp_path / "p.patina")


def test_a_size_that_lies_is_found(tmp_path: Path) -> None:
    """A header that promises little and unpacks to much gives no more than it promised."""
    place = tmp_path / "p.patina"
    with zipfile.ZipFile(place, "w") as zipped:
        zipped.writestr("mesh/x", b"\0" * 5000, compress_type=zipfile.ZIP_DEFLATED)
    place.write_bytes(place.read_bytes().replace((5000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(StudioError):
        load(place)


def damages() -> Iterator[tuple[str, Callable[[dict[str, bytes]], None]]]:
    yield "no document", lambda c: c.pop("document.toml") and None
    yield "no mesh", lambda c: c.pop("mesh/plate.obj") and None
    yield "another mesh", lambda c: c.update({"mesh/plate.obj": b"v 0 0 0\n"})
    yield "no toml", lambda c: c.update({"document.toml": b"[[["})
    yield "an unknown setting", lambda c: c.update({"document.toml": b"seeed = 1\n" + c["document.toml"]})
    yield "a later format", lambda c: c.update({"document.toml": c["document.toml"].replace(b"format = 1", b"format = 99")})
    yield "a story of nonsense", lambda c: c.update({"story.json": b'{"curves": {"x": [["a", 1]]}}'})
    yield "deep json", lambda c: c.update({"story.json": b"[" * 100_000})
    yield "a pickle for a checkpoint", lambda c: c.update({"checkpoint.safetensors": b"\x80\x04cos\nsystem\n."})
    yield "a lora of noise", lambda c: c.update({"lora.safetensors": os.urandom(100)})
    yield "a picture of another size", lambda c: c.update({"texture.json": c["texture.json"].replace(b": 16", b": 32")})
    yield "no picture", lambda c: c.update({"texture/0_base_color.png": b"GIF89a"})
    yield "a huge atlas", lambda c: c.update({"texture.json": c["texture.json"].replace(b": 16", b": 1600000")})
    yield "pickled uvs", lambda c: c.update({"uv.npy": b"\x93NUMPY\x01\x00" + os.urandom(50)})


@pytest.mark.parametrize(("change"), [d[1] for d in damages()], ids=[d[0] for d in damages()])
def test_damage_is_one_sentence(change: Callable[[dict[str, bytes]], None], full: Project, tmp_path: Path) -> None:
    save(full, tmp_path / "p.patina")
    with pytest.raises(StudioError):
        load(rewritten(tmp_path / "p.patina", change))


def test_uvs_of_another_mesh_are_refused(full: Project, tmp_path: Path) -> None:
    save(replace(full, corner_uv=np.zeros((7, 3, 2), np.float32)), tmp_path / "p.patina")
    with pytest.raises(MeshError, match="UVs"):
        opened(load(tmp_path / "p.patina"))


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all" * 100])
def test_what_is_no_project_is_told(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "p.patina").write_bytes(data)
    with pytest.raises(StudioError, match="no project"):
        load(tmp_path / "p.patina")
    with pytest.raises(StudioError, match="no file"):
        load(tmp_path / "other.patina")


# -- desktop → server → desktop ---------------------------------------------------------------------------------------------

SMALL = {
    **QUICK,
    "prompt": "blue lava",
    "iterations": 2,
    "views": 1,
    "max_views": 1,
    "trainer": "lora_reward",
    "rewards": {"palette": 1.0},
}


def test_a_project_is_baked_without_a_window_and_comes_back_with_what_was_learned(mesh: Mesh, tmp_path: Path) -> None:
    save(Project(Document(mesh.source.path, parse(SMALL)), mesh), tmp_path / "in.patina")
    places = {name: str(tmp_path / name) for name in ("in.patina", "x.glb", "out.patina")}
    assert main(["bake", places["in.patina"], "--out", places["x.glb"], "--project", places["out.patina"], "--seed", "3"]) == 0
    back = load(tmp_path / "out.patina")
    assert (tmp_path / "x.glb").is_file() and back.texture is not None and back.texture.size_px == 256
    assert (back.document.config.prompt, back.document.config.seed) == ("blue lava", 3)
    assert back.lora and back.checkpoint is not None and back.checkpoint["trainer"]["iteration"] == 2
    assert [i for i, _ in back.curves["palette"]] == [1, 2] and back.journal
    assert opened(back).hash == mesh.hash


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bake", "m.obj", "--out", "x.glb"], "prompt is missing"),
        (["bake", "none.patina", "--out", "x.glb"], "no file"),
        (["bake", "m.obj", "red", "--out", "x.glb", "--project", "x.zip"], ".patina"),
        (["nothing.glb"], "neither a file nor a command"),
    ],
)
def test_what_cannot_be_done_is_told(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.obj").write_text(OBJ.replace("mtllib maps/m.mtl\n", ""))
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


# -- recent files and autosaves ---------------------------------------------------------------------------------------------


def test_recent_files_are_about_ten_newest_first_without_those_that_are_gone(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.glb" for i in range(14)]
    for path in paths:
        path.touch()
        recent.remember(path)
    recent.remember(paths[8])
    paths[12].unlink()
    assert recent.recents()[:3] == [paths[8], paths[13], paths[11]] and len(recent.recents()) == recent.MOST - 1
    recent._path().write_text('{"no": "list"}')
    assert recent.recents() == []


def test_an_autosave_is_offered_after_a_crash_and_only_then(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATINA_HOME", str(tmp_path))
    crashed, closed, alive = Autosave(), Autosave(), Autosave()
    for window in (crashed, closed, alive):
        window.begin()
        window.path.write_bytes(b"x")
    closed.end()
    files.write_json(crashed.path.with_suffix(".open"), {"pid": 2**22 + 1, "since": 0.0})
    later = Autosave()
    assert later.recoverable() == crashed.path
    later.settle(crashed.path)
    assert later.recoverable() is None and crashed.path.exists()
