"""Reading OBJ and MTL: lines, polygons, materials, encodings."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from studio.errors import MeshError
from studio.surface.mesh import load
from tests.surface.files import png, written

NASTY = """\ufeff# made to be nasty
mtllib {library}
v 0 0 0
v 1 0 0 1.0
\tv 1 1 0  # with a remark
v 0 1 0
v 9 9 9
v 0.5 0.25 0
v 0 0 1
f -7 -6 \\
  -5 -4
usemtl Größe #2
f 1 2 6 3 4
usemtl Glänzend
s off
f 1/ 2// 7
f 1 1 2
f 1 2
f 4 1 7
f 7 1 4
"""


def test_nasty_obj(tmp_path: Path) -> None:
    """N-gons, materials, a stray vertex, a degenerate and a doubled face, negative indices, blanks, umlauts and cp1252."""
    folder = tmp_path / "Mein Möbel Ordner"
    folder.mkdir()
    (folder / "Größe Stoff.png").write_bytes(png((1, 2, 3)))
    library = "newmtl Größe #2\nKd .5 .5 .5\nmap_Kd -s 1 1 1 -bm 0.5 Größe Stoff.png\nNs 98\n"
    added = "newmtl Glänzend\nd 0.5\nPm 1\n".encode()  # by a program of today, behind what an old one wrote
    (folder / "meine stoffe.mtl").write_bytes(library.encode("cp1252") + added)
    path = written(folder, NASTY.format(library="meine stoffe.mtl"), "käse & brot.obj")
    mesh = load(path)
    assert mesh.name == "käse & brot" and len(mesh.faces) == 2 + 3 + 1 + 1 + 1 + 1
    lines = path.read_bytes().split(b"\n")
    assert [lines[i].split()[:2] for i in mesh.source.face_item[[0, 2, 5, 8]]] == [
        [b"f", b"-7"], [b"f", b"1"], [b"f", b"1/"], [b"f", b"7"],
    ]  # fmt: skip
    assert [s.name for s in mesh.sets] == ["Größe #2", "Glänzend", "default"]
    assert mesh.face_set.tolist() == [2, 2, 0, 0, 0, 1, 1, 1, 1]
    cloth, shiny, _ = mesh.sets
    assert cloth.base_color[0, 0].tolist() == [1, 2, 3] and cloth.roughness == pytest.approx(math.sqrt(0.02))
    assert shiny.base_factor == (1, 1, 1, 0.5) and shiny.metallic == 1
    told = " ".join(mesh.repairs)
    for what in ("1 vertex belonging to no face", "1 face without area", "1 face lying exactly", "fewer than three corners"):
        assert what in told, what
    assert mesh.corner_uv is None


def test_obj_text_beats_no_uv_reference(tmp_path: Path) -> None:
    """A UV number that does not exist is an error with its line, not a guess."""
    with pytest.raises(MeshError, match="line 4 refers to 'vt' number 1 of 0"):
        load(written(tmp_path, "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1/1 2/1 3/1\n"))


def test_obj_v_is_flipped_once(tmp_path: Path) -> None:
    mesh = load(written(tmp_path, "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0.25\nvt .5 1 0\nvn 0 0 2\nf 1/1/1 2/2/1 3/-1/1\n"))
    np.testing.assert_allclose(mesh.corner_uv[0], [[0, 1], [1, 0.75], [0.5, 0]])
    np.testing.assert_allclose(mesh.corner_normals[0], [[0, 0, 1]] * 3)


@pytest.mark.parametrize(
    "outline",
    [
        [(0, 0), (4, 0), (4, 4), (2, 1)],  # a reflex corner in each place of a quadrilateral
        [(2, 1), (0, 0), (4, 0), (4, 4)],
        [(0, 0), (4, 0), (4, 1), (1, 1), (1, 3), (4, 3), (4, 4), (0, 4)],  # the letter C
        [(math.cos(k * math.pi / 5) * (1 + k % 2 * 2), math.sin(k * math.pi / 5) * (1 + k % 2 * 2)) for k in range(10)],  # a star
    ],
    ids=["reflex last", "reflex first", "C", "star"],
)
@pytest.mark.parametrize("turn", [(0, 1, 2), (1, 2, 0), (2, 0, 1), (0, 2, 1)])
def test_concave_polygons_keep_their_area(tmp_path: Path, outline: list[tuple[float, float]], turn: tuple[int, ...]) -> None:
    """Triangles of a concave polygon never turn over: their areas sum to the polygon's, in any plane and either direction."""
    points = np.array([(x, y, 0.0) for x, y in outline])[:, list(turn)]
    text = "".join(f"v {x} {y} {z}\n" for x, y, z in points) + "f " + " ".join(map(str, range(1, len(points) + 1)))
    mesh = load(written(tmp_path, text))
    t = points[mesh.source.face_corner]
    vectors = np.cross(t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]) / 2
    whole = np.cross(points, np.roll(points, -1, axis=0)).sum(axis=0) / 2
    assert len(mesh.faces) == len(points) - 2
    assert np.linalg.norm(vectors, axis=1).sum() == pytest.approx(np.linalg.norm(whole))
