"""The geometric rewards on surfaces and textures whose score is known."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from studio.errors import StudioError
from studio.rewards import SOCKET, Look, Score
from studio.surface.atlas import Atlas, build_atlas
from studio.surface.curvature import at_texels, mean_curvature
from studio.surface.mesh import Mesh
from tests.meshes import uv_sphere

SIZE = 384


def grid(point, columns: int, rows: int, *, name: str) -> Mesh:  # noqa: ANN001 - (u, v) -> x, y, z
    """A sheet of quads over the unit square of uv, a margin of two hundredths around it."""
    u, v = np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows + 1))
    corner = (np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)).ravel()
    down = columns + 1
    faces = np.concatenate([corner[:, None] + (0, down, down + 1), corner[:, None] + (0, down + 1, 1)])
    uv = np.stack([u, v], -1).reshape(-1, 2) * 0.96 + 0.02
    return Mesh.from_arrays(np.stack(point(u, v), -1).reshape(-1, 3), faces, corner_uv=uv[faces], name=name)


@cache
def cylinder() -> tuple[Mesh, Atlas]:
    """As high as it is round, so that texels are square."""
    turn = 2 * np.pi
    mesh = grid(lambda u, v: (np.sin(turn * u), -turn * v, np.cos(turn * u)), 128, 64, name="cylinder")
    return mesh, build_atlas(mesh, SIZE)


@cache
def waves() -> tuple[Mesh, Atlas]:
    """Ridges and furrows: curved one way and the other, flat nowhere for long."""
    mesh = grid(lambda u, v: (2 * u, -2 * v, 0.12 * np.sin(12 * u) * np.cos(3 * v)), 96, 96, name="waves")
    return mesh, build_atlas(mesh, SIZE)


@cache
def plane() -> tuple[Mesh, Atlas]:
    mesh = grid(lambda u, v: (u, -v, 0 * u), 16, 16, name="plane")
    return mesh, build_atlas(mesh, 64)


def built(name: str, scene: tuple[Mesh, Atlas], **values: object) -> Score:
    return SOCKET.make(name, **values).build(*scene, torch.device("cpu"))


def scored(score: Score, texture: Tensor, scene: tuple[Mesh, Atlas]) -> float:
    return float(score(Look(texture, scene[1], "", lambda: texture)))


def stripes(direction: tuple[float, float], *, contrast: float = 1.0, period: int = 16) -> Tensor:
    """[1, 3, SIZE, SIZE] a sine across `direction` (columns, rows) around mid grey."""
    row, column = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    wave = torch.sin((column * direction[0] + row * direction[1]) * 2 * np.pi / period)
    return (0.5 + 0.5 * contrast * wave).expand(1, 3, -1, -1).float()


AXIS, RINGS, SLANTED = (1.0, 0.0), (0.0, 1.0), (0.7071, 0.7071)


@pytest.mark.parametrize("period", [16, 24])
def test_on_a_cylinder_rings_follow_the_strongest_bend_and_axis_lines_the_weakest(period: int) -> None:
    """As a share of the mean contrast factor: axis lines < .02, rings > .98, 45° at .50 under "max", the reverse under "min"."""
    highest, lowest = (built("alignment", cylinder(), follow=f) for f in ("max", "min"))
    for direction, expected in ((AXIS, 0.0), (RINGS, 1.0), (SLANTED, 0.5)):
        high, low = (scored(s, stripes(direction, period=period), cylinder()) for s in (highest, lowest))
        seen = high / (high + low)  # c is the same in both, so their sum is its mean
        assert seen == pytest.approx(expected, abs=0.02 if expected != 0.5 else 0.03)
        assert high + low > 0.85


def test_one_faint_edge_does_not_count_as_aligned() -> None:
    score = built("alignment", cylinder())
    full, faint = (scored(score, stripes(RINGS, contrast=c), cylinder()) for c in (1.0, 0.005))
    assert full > 0.85 and faint < 0.2


def test_red_on_bulges_and_blue_in_hollows_is_one_in_both_modes() -> None:
    mesh, atlas = waves()
    index = atlas.valid.flatten().nonzero()[:, 0]
    convex = torch.zeros(SIZE**2)
    convex[index] = torch.from_numpy(np.sign(at_texels(mean_curvature(mesh), mesh, atlas, index.numpy()))).float()
    convex = convex.view(1, 1, SIZE, SIZE)
    red, blue = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1), torch.tensor([0, 0, 1.0]).view(1, 3, 1, 1)
    right = torch.where(convex > 0, red, blue)
    for mode in ("ranks", "smooth"):
        score = built("colorization", waves(), mode=mode)
        assert scored(score, right, waves()) == pytest.approx(1, abs=1e-4)
        assert scored(score, right.flip(1), waves()) == pytest.approx(-1, abs=1e-4)
        assert scored(score, torch.full_like(right, 0.4), waves()) == pytest.approx(0, abs=1e-6)


def test_edges_where_it_is_curved_beat_edges_where_it_is_flat_and_faint_ones() -> None:
    """A sheet with a flat half and a wavy half: stripes on the wavy half alone score high, on the flat half low."""
    mesh = grid(lambda u, v: (2 * u, -2 * v, np.where(u > 0.5, 0.05 * np.sin(60 * u), 0.0)), 192, 32, name="half")
    scene = mesh, build_atlas(mesh, SIZE)
    score = built("emphasis", scene, color=0.0)
    right = torch.arange(SIZE) > SIZE // 2
    pattern = stripes(RINGS)
    curved, flat = torch.where(right, pattern, 0.5), torch.where(right, 0.5, pattern)
    assert scored(score, curved, scene) > 0.45 and scored(score, flat, scene) < -0.45
    faint = 0.5 + (curved - 0.5) * 0.02
    assert 0 < scored(score, faint, scene) < 0.5 * scored(score, curved, scene)


def test_one_spike_does_not_decide() -> None:
    mesh, atlas = waves()
    vertices = mesh.vertices.copy()
    vertices[len(vertices) // 2 + 20, 2] += 0.3
    spiked = Mesh.from_arrays(vertices, mesh.faces, corner_uv=mesh.corner_uv, name="spiked")
    pattern = stripes(SLANTED) * torch.linspace(0.3, 1, SIZE)
    before, after = (scored(built("emphasis", (m, atlas), color=0.0), pattern, (m, atlas)) for m in (mesh, spiked))
    assert abs(after - before) < 0.05


@pytest.mark.parametrize("name", ["alignment", "emphasis", "colorization"])
def test_a_flat_mesh_is_refused_with_a_reason(name: str) -> None:
    with pytest.raises(StudioError, match="bends nowhere|evenly curved|no curvature here"):
        built(name, plane())


@pytest.mark.parametrize("name", ["alignment", "emphasis", "colorization", "seam", "palette", "detail"])
def test_the_mesh_alone_is_refused_for_the_same_reasons(name: str) -> None:
    """`check`, which the window asks before any run, agrees with `build`."""
    for mesh, atlas in (plane(), waves(), cylinder()):
        reward, said = SOCKET.make(name), []
        for act in (reward.check, lambda m, r=reward, a=atlas: r.build(m, a, torch.device("cpu"))):
            try:
                act(mesh)
                said.append("")
            except StudioError as error:
                said.append(error.remedy)
        assert said[0] == said[1], mesh.name


def test_a_mesh_without_cuts_has_no_seams() -> None:
    with pytest.raises(StudioError, match="has no seams"):
        built("seam", plane())


def test_a_flat_colour_hides_no_seam() -> None:
    """It pays twice what the untrained seams differ, and a fainter pattern of more than half its variance nothing."""
    mesh = uv_sphere(24, 12)
    scene = mesh, build_atlas(mesh, 96)
    score, pattern = built("seam", scene), torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    untrained = scored(score, pattern, scene)
    assert scored(score, torch.full_like(pattern, 0.5), scene) == pytest.approx(2 * untrained, rel=1e-5)
    faded = 0.5 + 0.75 * (pattern - 0.5)
    assert untrained < scored(score, faded, scene) < 0


def test_a_bare_half_halves_the_coverage_and_grain_is_no_detail() -> None:
    pattern = stripes(SLANTED, period=12)
    half = torch.where(torch.arange(SIZE) > SIZE // 2, pattern, 0.5)
    score = built("coverage", waves())
    whole = scored(score, pattern, waves())
    assert whole > 0.75 and 0.4 * whole < scored(score, half, waves()) < 0.65 * whole
    assert scored(score, torch.full_like(pattern, 0.3), waves()) < 1e-5
    detail = built("detail", waves())
    grain = torch.rand(pattern.shape, generator=torch.Generator().manual_seed(0))
    assert scored(detail, pattern, waves()) > 0.6 > 0.1 > scored(detail, grain, waves())
