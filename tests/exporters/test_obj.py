"""An OBJ keeps the user's lines; its material file says what was painted."""

import re

import numpy as np
import pytest
import torch

from studio.errors import OutputError
from studio.exporters import SOCKET, Asset
from studio.surface.mesh import load
from studio.texture import Texture
from tests.exporters import models

T = 16
PRISM = """# a house
mtllib my house.mtl
o walls and roof
v 0 0 0
v 4 0 0 1 0 0
v 4 3 0
v 0 3 0
v 0 0 -5.25
v 4 0 -5.25
v 4 3 -5.25
v 0 3 -5.25
v 9 9 9
vt 0 0
vt 1 0
vt 1 1
vt 0 1
vn 0 0 1
f 1/1/1 2/2/1 3/3/1 4/4/1
usemtl br\u00fcck wall
g side
s off
f -8/-4 -7/-3 -3/-2 -4/-1
l 1/1 2/2
f 2/1 6/2 \\
  7/3 3/4 # continued
usemtl roof
f 4//1 3//1 7
f 5/1 6/2 2/3
"""
LIBRARY = """# by hand
newmtl br\u00fcck wall
Ka 0.1 0.1 0.1
Kd 0.5 0.5 0.5
map_Kd -s 1 1 1 pics/wall colour.png
map_Bump -bm 0.2 pics/bumps.png
illum 2
newmtl roof
Kd 0.2 0.4 0.8
Ns 30
"""


@pytest.fixture(params=["\n", "\r\n"], ids=["lf", "crlf"])
def house(tmp_path, request):
    folder = tmp_path / "with spaces"
    (folder / "pics").mkdir(parents=True)
    (folder / "house.obj").write_bytes(PRISM.replace("\n", request.param).encode())
    (folder / "my house.mtl").write_text(LIBRARY, encoding="utf-8")
    (folder / "pics" / "wall colour.png").write_bytes(models.png(models.noise(8, 3, 0)))
    (folder / "pics" / "bumps.png").write_bytes(models.png(models.noise(8, 3, 1)))
    return load(folder / "house.obj")


def export(mesh, path, *, painted=(), sets=None):
    """Write random maps of these channels into these texture sets; the texture and all files."""
    texture = Texture.from_mesh(mesh, T)
    for name in painted:
        for s in range(len(mesh.sets)) if sets is None else sets:
            texture.channels[name][s] = torch.randint(0, 256, texture.channels[name][s].shape) / 255
    path.parent.mkdir(exist_ok=True)
    files = SOCKET.make("obj").write(Asset(mesh, texture, {"prompt": "p"}, frozenset(painted)), path)
    assert files[-1] == path and all(f.is_file() for f in files)
    return texture, files


def lines(path, *without):
    return [s for s in re.split(r"\r?\n", path.read_text("utf-8")) if not s.startswith(without)]


def test_every_line_but_the_library_is_kept(house, tmp_path):
    """Painted and in another folder; only a `usemtl` for the faces that had none is new."""
    texture, files = export(house, tmp_path / "out" / "my painted.obj", painted=("base_color",))
    assert lines(files[-1], "mtllib", "usemtl default") == lines(house.source.path, "mtllib")
    assert (b"\r\n" in files[-1].read_bytes()) == (b"\r\n" in house.source.read())
    again = load(files[-1])
    assert np.array_equal(again.corner_uv, house.corner_uv) and np.array_equal(again.T_work_source, house.T_work_source)
    assert same_colors(texture, Texture.from_mesh(again, T))


def same_colors(texture, back):
    """Whether two textures agree set by set; the faces without material, last before, come first once they have one."""
    order = [back.names.index(name) for name in texture.names]
    return torch.allclose(back.channels["base_color"][order], texture.channels["base_color"], atol=1e-6)


def test_materials_keep_what_was_not_painted(house, tmp_path):
    """The wall's bump map comes along with its options, the roof's shininess gives way to painted roughness."""
    _, files = export(house, tmp_path / "out" / "x.obj", painted=("roughness",), sets=[1])
    text = files[-2].read_text("utf-8")
    wall, roof = text.split("newmtl ")[1:3]
    assert "map_Bump -bm 0.2 x_pics_bumps.png" in wall and "map_Kd -s 1 1 1 x_pics_wall_colour.png" in wall
    assert "Ka 0.1 0.1 0.1\nKd 0.5 0.5 0.5" in wall and "illum 2" in wall and "map_Pr" not in wall
    assert "map_Pr x_roof_roughness.png" in roof and "Ns" not in roof and "Kd 0.2 0.4 0.8" in roof and "map_Kd" not in roof
    assert (tmp_path / "out" / "x_pics_bumps.png").read_bytes() == models.png(models.noise(8, 3, 1))
    assert "default" not in text and '# Patina Studio: {"prompt": "p"}' in text


def test_in_the_same_folder_pictures_are_referred_to_where_they_are(house):
    _, files = export(house, house.source.path.with_name("again.obj"), painted=("base_color",), sets=[1])
    assert "map_Bump -bm 0.2 pics/bumps.png" in files[-2].read_text("utf-8")
    assert sorted(f.name for f in files) == ["again.mtl", "again.obj", "again_roof_base_color.png"]


def test_the_open_file_is_never_overwritten(house):
    before = house.source.path.read_bytes()
    folder = house.source.path.parent
    for path in (folder / "house.obj", folder / "pics" / ".." / "house.obj"):
        with pytest.raises(OutputError, match="belongs to the mesh"):
            SOCKET.make("obj").write(Asset(house, Texture.from_mesh(house, T), {}), path)
    assert house.source.path.read_bytes() == before


def test_after_an_unwrap_positions_and_normals_stay(house, tmp_path):
    """New vt; quads whose triangles agree stay quads, the others become triangles; the old bump map is left out."""
    uv = np.random.default_rng(0).random(house.corner_uv.shape, dtype=np.float32)
    quad = np.flatnonzero(house.source.face_item == house.source.face_item[0])
    uv[quad] = np.float32([[0.1, 0.2], [0.5, 0.25], [0.5, 1e-5], [0.125, 1]])[house.source.face_corner[quad]]
    mesh = house.with_uv(uv, "Unwrapped.")
    texture, files = export(mesh, tmp_path / "out" / "x.obj", painted=("base_color",))
    kinds = ("v ", "vn ", "o ", "g ", "s ", "usemtl b", "usemtl r")
    old, new = ([s for s in lines(p) if s.startswith(kinds)] for p in (house.source.path, files[-1]))
    assert new == old
    faces = [s.split()[1:] for s in lines(files[-1]) if s.startswith("f ")]
    assert [len(f) for f in faces] == [4, 3, 3, 3, 3, 3, 3] and [c.split("/")[2] for c in faces[0]] == ["1"] * 4
    assert all(c.startswith("-") for f in faces[1:3] for c in f)
    assert [s for s in lines(files[-1]) if s.startswith("l ")] == ["l 1 2"]
    again = load(files[-1])
    assert np.allclose(again.corner_uv, mesh.corner_uv, atol=1e-9) and np.array_equal(again.vertices, mesh.vertices)
    assert np.array_equal(again.faces, mesh.faces) and "bump" not in files[-2].read_text("utf-8").lower()
    assert same_colors(texture, Texture.from_mesh(again, T))


def test_other_sources_become_a_new_obj_in_their_own_scale(tmp_path):
    (tmp_path / "arm.glb").write_bytes(models.arm().glb())
    mesh = load(tmp_path / "arm.glb")
    texture, files = export(mesh, tmp_path / "out" / "arm.obj", painted=("base_color", "roughness"), sets=[1])
    again = load(files[-1])
    assert "o arm" in lines(files[-1]) and [s.name for s in again.sets] == ["skin", "sleeve"]
    assert np.allclose(again.T_work_source, mesh.T_work_source) and np.allclose(again.corner_uv, mesh.corner_uv, atol=1e-7)
    assert np.allclose(again.vertices[again.faces], mesh.vertices[mesh.faces], atol=1e-6)
    assert np.allclose(again.corner_normals, mesh.corner_normals, atol=1e-5)
    back = Texture.from_mesh(again, T)
    for name, values in texture.channels.items():
        assert torch.allclose(back.channels[name], values, atol=0.5 / 255 + 1e-6), name
