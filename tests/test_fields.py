"""What is shown of the mesh's own shape: the right places in the right colours, lines hidden where the surface hides them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from studio.camera import Camera, ring
from studio.errors import MeshError, StudioError
from studio.fields import FIELDS, MARKS
from studio.heat import CLAY, two_sided
from studio.inking import ink
from studio.marks import frusta, frustum, polyline
from studio.pixels import evened
from studio.session.survey import Survey
from studio.shot import Shot
from studio.surface.mesh import Mesh
from studio.texture import Texture
from studio.view import Viewer
from tests.meshes import cube, quad, uv_sphere
from tests.rewards.test_geometry import cylinder, plane, waves
from tests.surface.test_symmetry import blob

Place = tuple[float, float, float]
FRONT = Camera(0, 0, distance=3.0)
SIZE = 400
"""A line is a pixel wide then."""


def canvas(depth: float = math.inf) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(SIZE, SIZE, 4), torch.full((SIZE, SIZE), depth)


def drawn(points: list[Place], *, depth: float = math.inf, camera: Camera = FRONT, **looks: Any) -> np.ndarray:
    picture, before = canvas(depth)
    ink(picture, before, camera, polyline(np.array(points), (1, 1, 1), **looks))
    return picture[..., 0].numpy()


# -- lines --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orthographic", [False, True])
def test_a_line_lies_where_the_camera_sees_it(orthographic: bool) -> None:
    camera = Camera(0, 0, distance=3.0, orthographic=orthographic)
    picture = drawn([(-0.5, 0.4, 0), (0.5, 0.4, 0)], camera=camera)
    rows, columns = np.nonzero(picture > 0.3)
    scale = SIZE / 2 / camera.half_height()
    assert abs(rows.mean() + 0.5 - (SIZE / 2 - 0.4 * scale)) < 0.6
    assert abs(columns.min() - (SIZE / 2 - 0.5 * scale)) < 1.5 and abs(columns.max() + 1 - (SIZE / 2 + 0.5 * scale)) < 1.5


def test_a_line_covers_what_its_width_says_however_it_lies() -> None:
    """The ink of a line is its length times its width, turned by any angle."""
    expected = None
    for turn in np.linspace(0, np.pi, 7):
        end = 0.6 * np.cos(turn), 0.6 * np.sin(turn), 0
        covered = drawn([(-end[0], -end[1], 0), end]).sum()
        expected = expected or covered
        assert covered == pytest.approx(expected, rel=0.12)


def test_what_the_surface_hides_is_faint_or_not_seen() -> None:
    line = [(-0.5, 0.0, 0.0), (0.5, 0.0, 0.0)]
    before, behind, hidden = (drawn(line, depth=d, behind=b).max() for d, b in ((3.5, 0.25), (2.5, 0.25), (2.5, 0.0)))
    assert behind == pytest.approx(0.25 * before, rel=0.01) and before > 0.4 and hidden == 0


def test_a_line_through_the_eye_and_beyond_the_picture_is_cut() -> None:
    assert drawn([(0, 0, 0), (0.3, 0.2, 40.0)]).max() > 0
    assert drawn([(0, 0, 5.0), (0.3, 0.2, 40.0)]).max() == 0, "all of it is behind the eye"
    assert np.isfinite(drawn([(-1e4, 0.1, 0), (1e4, 0.1, 0)])).all()
    assert drawn([(-1e4, 0.1, 0), (1e4, 0.1, 0)]).sum(0).min() > 0.9, "from one side to the other"


def test_a_frustum_stands_at_its_camera_and_looks_where_it_looks() -> None:
    camera = Camera(90, 20, distance=2.0)
    marks = frustum(camera, "7")
    eye = camera.position()
    assert np.abs(marks.ends - eye).sum(-1).min() < 1e-5 and marks.labels == ((tuple(eye.astype(np.float32).tolist()), "7"),)
    away = marks.ends.reshape(-1, 3) - eye
    assert ((away @ -camera.direction()) > -1e-6).all()
    assert [label for _, label in frusta(ring(3)).labels] == ["1", "2", "3"]


# -- fields -------------------------------------------------------------------------------------------------------------------


def test_each_field_has_a_number_for_every_place_within_its_colours() -> None:
    mesh = waves()[0]
    for name, make in FIELDS.items():
        field = make(mesh, 128)
        assert field.values.shape == ((1, 128, 128) if name == "interior" else (len(mesh.vertices),)), name
        assert field.values.dtype == np.float32 and -1 <= field.values.min() < field.values.max() <= 1, name
        assert field.signed == bool((field.values < 0).any()) and not field.note


def test_a_flat_plane_says_that_there_is_no_curvature() -> None:
    mesh = plane()[0]
    for found in (FIELDS["mean_curvature"](mesh, 64), FIELDS["anisotropy"](mesh, 64), MARKS["line_field"](mesh, 64)):
        assert found.note == "There is no curvature here."


def test_strokes_on_a_cylinder_run_along_its_axis() -> None:
    ends = MARKS["line_field"](cylinder()[0], 64).ends
    along = ends[:, 1] - ends[:, 0]
    assert len(ends) > 500 and (np.abs(along[:, 1]) > 0.98 * np.linalg.norm(along, axis=1)).mean() > 0.97


def test_the_plane_says_how_symmetric_the_mesh_is() -> None:
    good, bad = (MARKS["symmetry"](mesh, 64) for mesh in (blob(), blob(twist=1.0)))
    assert good.note == "Symmetric, 0.0 % of the diagonal off." and bad.note.startswith("No symmetry: ")
    assert good.sheet is not None and np.abs(good.sheet[:, 0]).max() < 1e-3, "left and right"
    low, high = blob().vertices.min(0), blob().vertices.max(0)
    assert (good.sheet.min(0)[1:] < low[1:]).all() and (good.sheet.max(0)[1:] > high[1:]).all()
    assert good.color[0, 3] > bad.color[0, 3]


def test_seams_are_the_cuts_of_the_atlas() -> None:
    assert len(MARKS["seams"](cube(1), 64).ends) == 12
    assert "no seams" in MARKS["seams"](quad(), 64).note


def test_colours_of_both_signs_meet_in_clay() -> None:
    table = two_sided(257)
    assert np.allclose(table[128], CLAY, atol=1e-3) and table[0, 2] > table[0, 0] and table[-1, 0] > table[-1, 2]


def test_a_heat_map_of_a_part_of_the_texels_is_as_hot_as_the_whole() -> None:
    """Rewards look at some texels at a time; without the rest the map must neither fade nor be patchy."""
    whole = torch.linspace(0.2, 1, 512).expand(1, 1, 512, 512)
    part = whole * (torch.rand(1, 1, 512, 512, generator=torch.Generator().manual_seed(0)) < 0.3)
    a, b = evened(whole), evened(part)
    seen = b > 0
    assert seen.float().mean() > 0.7 and torch.allclose(a[seen], b[seen], atol=0.02)


# -- together -----------------------------------------------------------------------------------------------------------------


def test_the_picture_shows_a_field_and_hides_the_lines_behind() -> None:
    mesh = uv_sphere(32, 16)
    viewer, texture, shot = Viewer(), Texture.flat(mesh, 32), Shot(FRONT, SIZE, SIZE)
    viewer.show(mesh)
    field = FIELDS["mean_curvature"](mesh, 64)
    picture = viewer.draw(shot, texture, heat=field)
    middle = picture[SIZE // 2, SIZE // 2, :3]
    assert middle[0] > middle[2] + 0.1, "a ball bulges everywhere"
    red = (1.0, 0.0, 0.0)
    across = [(-1.2, 0, 0), (1.2, 0, 0)]
    inside, plain = (viewer.draw(shot, texture, marks=m) for m in ((polyline(np.array(across), red, behind=0.0),), ()))
    changed = np.abs(inside - plain).max(-1) > 0.1
    rows = changed[SIZE // 2 - 2 : SIZE // 2 + 2]
    assert not rows[:, SIZE // 3 : -SIZE // 3].any() and rows[:, : SIZE // 8].any() and rows[:, -SIZE // 8 :].any()


def test_a_survey_answers_later_and_once() -> None:
    survey, mesh = Survey(), plane()[0]
    assert survey.see("anisotropy", mesh, 64) is None and not survey.refusals(mesh)
    unwrapped = Mesh.from_arrays(mesh.vertices, mesh.faces, name="bare")
    assert survey.desk.close(20)
    survey.desk.poll()
    assert survey.see("anisotropy", mesh, 64) is survey.see("anisotropy", mesh, 128)
    refused = survey.refusals(mesh)
    assert {"alignment", "colorization", "emphasis", "seam"} <= set(refused) and "palette" not in refused
    assert "no curvature here" in refused["colorization"]
    with pytest.raises(MeshError):
        FIELDS["interior"](unwrapped, 64)


def test_what_cannot_be_measured_says_why() -> None:
    survey, mesh = Survey(), Mesh.from_arrays(cube(1).vertices, cube(1).faces, name="bare")
    survey.see("interior", mesh, 64)
    assert survey.desk.close(20)
    survey.desk.poll()
    found = survey.see("interior", mesh, 64)
    assert isinstance(found, StudioError) and "no texture coordinates" in found.problem
