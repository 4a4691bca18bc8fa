"""The model that recovery inverts: its table, its energy, its gradients, and what it cannot tell apart."""

from __future__ import annotations

import math
from collections.abc import Generator
from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from studio import environment
from studio.captures import shoot
from studio.environment import Environment, fg_table
from studio.recover import settings
from studio.recover.examples import example, lamps, sphere_mesh
from studio.recover.field import Field, Matter
from studio.recover.gbuffer import GBuffer, Places, gather
from studio.recover.light import Light, alignment
from studio.recover.shading import bent, light_of, pixels_of
from studio.recover.solver import Scene, Solver, rates
from studio.recover.texels import Texels, rows_from, texture_of
from studio.renderers import Rasterizer, build
from studio.surface.atlas import build_atlas
from studio.texture import Texture, srgb_from_linear
from tests.meshes import two_set_box


@cache
def rasterizer() -> Rasterizer:
    return build("embree", torch.device("cpu"))[0]


@cache
def light() -> Environment:
    return environment.from_panorama(lamps(), name="lamps")


def value(steps: Generator[Any, None, Any]) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def seen(n: int = 400, seed: int = 0) -> Places:
    """Places on a unit sphere seen from random sides before them; float64."""
    g = torch.Generator().manual_seed(seed)
    normal = F.normalize(torch.randn(n, 3, generator=g).double(), dim=-1)
    to_eye = F.normalize(normal + 0.8 * F.normalize(torch.randn(n, 3, generator=g).double(), dim=-1), dim=-1)
    tangent = F.normalize(torch.linalg.cross(normal, torch.randn(n, 3, generator=g).double()), dim=-1)
    index = torch.zeros(n, dtype=torch.int64)
    return Places(
        index, torch.ones_like(normal) / 3, normal, normal, tangent, torch.linalg.cross(normal, tangent), normal[:, :2], to_eye
    )


def matter(n: int, colour: float, roughness: float, metallic: float) -> Matter:
    one = torch.ones(n, 1, dtype=torch.float64)
    return Matter(colour * one.expand(-1, 3), 0 * one.expand(-1, 3), roughness * one, metallic * one)


def test_the_split_sum_table_has_its_known_values() -> None:
    table = fg_table()
    torch.testing.assert_close(table[:, 0, -1], torch.tensor([1.0, 0.0]), atol=1e-4, rtol=0)
    middle = F.grid_sample(table[None], torch.zeros(1, 1, 1, 2), align_corners=True).flatten()
    torch.testing.assert_close(middle, torch.tensor([0.726, 0.017]), atol=3e-3, rtol=0)


@pytest.mark.parametrize("metallic", [0.0, 1.0])
@pytest.mark.parametrize("roughness", [0.0, 0.3, 0.7, 1.0])
def test_white_furnace(roughness: float, metallic: float) -> None:
    places = seen()
    shown = light_of(places, matter(400, 1.0, roughness, metallic), environment.load("white"), None)
    torch.testing.assert_close(shown, torch.ones_like(shown), atol=2e-5, rtol=0)


def test_black_dielectric_and_dark_metal_look_alike() -> None:
    """Nothing in a picture tells an albedo of 0 from a metal of 0.04; what recovery says of black surface is a guess."""
    dark = float(srgb_from_linear(torch.tensor([0.04], dtype=torch.float64))[0])
    for roughness in (0.1, 0.5, 0.9):
        dielectric = light_of(seen(), matter(400, 0.0, roughness, 0.0), light(), None)
        metal = light_of(seen(), matter(400, dark, roughness, 1.0), light(), None)
        torch.testing.assert_close(dielectric, metal, atol=1e-6, rtol=0)
        assert dielectric.max() > 0.01


@pytest.mark.parametrize("frame", [2, 3])
def test_gradients_are_those_of_central_differences(frame: int) -> None:
    """In everything that is learned: colour, bend in either frame, roughness, metallic, openness, and the light itself."""
    places, g = seen(40), torch.Generator().manual_seed(1)
    start = {"base": (40, 3), "bend": (40, frame), "rough": (40, 1), "metal": (40, 1), "open": (40, 1)}
    values = {name: 0.2 + 0.5 * torch.rand(shape, generator=g).double() for name, shape in start.items()}
    values["bend"] = values["bend"] * 0.3
    values["light"] = torch.rand(3, 16, 32, generator=g).double()
    weights = torch.randn(40, 3, generator=g).double()

    def score(v: dict[str, Tensor]) -> Tensor:
        found = environment.prefiltered(v["light"], name="test")
        return (light_of(places, Matter(v["base"], v["bend"], v["rough"], v["metal"]), found, v["open"]) * weights).sum()

    leaves = {name: v.clone().requires_grad_() for name, v in values.items()}
    score(leaves).backward()
    h = 1e-6
    for name, leaf in leaves.items():
        assert leaf.grad is not None and leaf.grad.isfinite().all()
        along = torch.randn(leaf.shape, generator=g).double()
        there, back = ({**values, name: values[name] + s * h * along} for s in (1, -1))
        difference = float(score(there) - score(back)) / (2 * h)
        assert abs(difference - float((leaf.grad * along).sum())) < 2e-3 * max(1.0, abs(difference)), name


def test_normals_straight_up_have_finite_gradients() -> None:
    up = torch.tensor([[0.0, 1, 0], [0, -1, 0]]).double()
    aside = torch.tensor([[1.0, 0, 0], [1, 0, 0]]).double()
    places = Places(torch.zeros(2).long(), torch.ones(2, 3) / 3, up, up, aside, torch.linalg.cross(up, aside), up[:, :2], up)
    bend = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    plain = matter(2, 0.5, 0.4, 0.3)
    light_of(places, Matter(plain.base_color, bend, plain.roughness, plain.metallic), light(), None).sum().backward()
    assert bend.grad is not None and bend.grad.isfinite().all()


def test_normals_bend_along_the_tangent_frame_and_stay_before_the_eye() -> None:
    places = seen()
    along = torch.tensor([[0.3, -0.2]]).double().expand(400, 2)
    in_space = 0.3 * places.tangent - 0.2 * places.bitangent + 0.9 * places.normal  # what lies along the normal does not count
    torch.testing.assert_close(bent(places, along), bent(places, in_space))
    wild = bent(places, torch.randn(400, 3, generator=torch.Generator().manual_seed(2)).double() * 3)
    assert ((wild * places.to_eye).sum(-1) > 0).all()
    torch.testing.assert_close(wild.norm(dim=-1), torch.ones(400).double())


def drawn(views: int = 3, size_px: int = 40, **options: Any) -> tuple[Any, shoot.Studio, list[Any], GBuffer]:
    """The sphere with true textures as `studio capture` photographs it, and its G-buffer."""
    scene = example("sphere")
    atlas = build_atlas(scene.mesh, 96)
    stand = shoot.Studio(scene.mesh, atlas, scene.texture(atlas), light(), rasterizer())
    cameras = shoot.around(views)
    capture = shoot.taken(stand, cameras, size_px)
    buffer = value(gather(scene.mesh, capture.placed(scene.mesh.T_work_source), rasterizer(), **options))
    return atlas, stand, cameras, buffer


def test_true_textures_give_the_pictures_that_capture_takes() -> None:
    """Two ways to the same picture: `Shader`, and places with fetched texels; beyond 60 dB before either is cut to 8 bits."""
    atlas, stand, cameras, buffer = drawn()
    texels = Texels(atlas, 7)
    texels.rows.data = rows_from(stand.texture)
    everything = torch.arange(len(buffer))
    places = buffer.places(everything)
    with torch.no_grad():
        matter, moved = texels(places)
        ours = light_of(places, matter, light(), None) * 2.0**stand.exposure_ev
    theirs = torch.stack([stand.light(camera, 40)[0].flatten(1) for camera in cameras])
    theirs = theirs[buffer.view.long(), :, buffer.pixel.long()]
    error = (srgb_from_linear(ours.clamp(0, 1)) - srgb_from_linear(theirs.clamp(0, 1))).square().mean()
    assert -10 * math.log10(float(error)) > 60
    assert moved.abs().max() > 0  # from the empty start


def test_samples_of_a_pixel_are_averaged_and_mixed_with_the_background() -> None:
    _, _, _, inner = drawn(ssaa=2)
    _, _, _, buffer = drawn(ssaa=2, background="white")
    assert inner.covered(torch.arange(len(inner))).all() and len(buffer) > len(inner)
    everything = torch.arange(len(buffer))
    covered = buffer.covered(everything)
    dark = torch.zeros(int(covered.sum()), 3)
    mixed = pixels_of(buffer, everything, dark, 1.0)
    torch.testing.assert_close(mixed[:, 0], 1 - covered.float().mean(1))


def test_the_field_becomes_texels_that_say_the_same() -> None:
    torch.manual_seed(0)
    atlas, _, _, buffer = drawn()
    field = Field(4, metallic=0.3, occlusion=True, joint=False)
    for branch in field.branches:
        torch.nn.init.normal_(branch.outer.weight, std=0.5)
    texels = Texels(atlas, 8)
    *_, last = texels.take(field)
    assert last <= texels.rows.shape[0]
    places = buffer.places(torch.arange(0, len(buffer), 7))
    with torch.no_grad():
        direct, (fetched, moved) = field(places.position), texels(places)
    assert moved.abs().max() == 0
    for a, b in (
        (direct.base_color, fetched.base_color),
        (direct.roughness, fetched.roughness),
        (direct.metallic, fetched.metallic),
    ):
        assert (a - b).abs().mean() < 0.02
    assert direct.open is not None and fetched.open is not None and (direct.open - fetched.open).abs().mean() < 0.02
    # Bends are laid into the tangent frame; a field that turns within a texel cannot be followed.
    assert (bent(places, direct.bend) * bent(places, fetched.bend)).sum(-1).mean() > 0.99
    texture = texture_of(texels.rows, atlas, ("paint",), None)
    assert set(texture.channels) == {"base_color", "roughness", "metallic", "normal", "occlusion"}
    again = rows_from(texture)[atlas.valid.flatten()]
    torch.testing.assert_close(again, texels.rows.detach()[atlas.valid.flatten()][:, :7], atol=2e-3, rtol=0)


def test_schedules_let_colour_lead() -> None:
    chosen = settings()
    assert rates(chosen, 0.0) == (1.0, 0.0) and rates(chosen, 0.25)[1] == pytest.approx(0.5)
    assert rates(chosen, 0.5)[1] == pytest.approx(1.0) and rates(chosen, 1.0)[1] < 0.1
    a = [rates(chosen, t / 10)[0] for t in range(11)]
    assert all(x > y for x, y in zip(a, a[1:], strict=False))
    assert rates(settings("joint"), 0.0) == (1.0, 1.0) == rates(settings("joint"), 0.9)


def test_the_papers_losses_reach_their_own_branch_alone() -> None:
    """With `paper`, what branch B is told does not change when A's loss is another one, nor the other way round."""
    _, _, _, buffer = drawn()

    def gradients(loss: str) -> list[list[Tensor]]:
        solver = Solver(
            Scene(buffer, None, light(), 0.5), settings("paper", {"loss": loss, "levels": 2, "smooth": 0.0, "batch_px": 500})
        )
        for adam in solver.adams:
            adam.step = lambda: None  # type: ignore[method-assign]
        solver.step(100)
        return [[p.grad.clone() for p in branch.parameters() if p.grad is not None] for branch in solver.field.branches]

    def alone(kind: int) -> list[list[Tensor]]:
        """Gradients of one of the two losses, by autograd alone."""
        solver = Solver(Scene(buffer, None, light(), 0.5), settings("paper", {"levels": 2, "smooth": 0.0, "batch_px": 500}))
        chosen, places = solver._drawn()
        losses = solver._losses(*solver._shown(chosen, places, solver.field(places.position)))
        losses[kind].backward()
        return [[p.grad for p in branch.parameters() if p.grad is not None] for branch in solver.field.branches]

    apart, summed = gradients("separate"), gradients("summed")
    for ours, expected in zip((*apart[0], *apart[1]), (*alone(0)[0], *alone(1)[1]), strict=True):
        torch.testing.assert_close(ours, expected)
    assert any((a - b).abs().max() > 1e-6 for a, b in zip((*apart[0], *apart[1]), (*summed[0], *summed[1]), strict=True))


def test_a_turned_light_is_found_by_its_angle() -> None:
    angle, correlation = alignment(light().turned(25), light())
    assert angle == pytest.approx(25, abs=3) and correlation > 0.98
    assert alignment(light(), light())[0] < 3


def test_a_light_begins_even_and_colour_costs() -> None:
    lamp = Light(16)
    found = lamp()
    torch.testing.assert_close(found.irradiance(F.normalize(torch.randn(20, 3), dim=-1)), torch.ones(20, 3), atol=1e-4, rtol=0)
    assert float(lamp.colour().detach()) < 1e-6
    with torch.no_grad():
        lamp.log[0] += 0.5
    assert float(lamp.colour().detach()) > 0.1


def test_places_of_a_mesh_with_sharp_edges_know_their_set_and_frame() -> None:
    box = two_set_box(2)
    atlas = build_atlas(box, 64)
    stand = shoot.Studio(box, atlas, Texture.flat(box, 64), light(), rasterizer())
    capture = shoot.taken(stand, shoot.around(3), 24)
    buffer = value(gather(box, capture.placed(box.T_work_source), rasterizer()))
    places = buffer.places(torch.arange(len(buffer)))
    for a, b in ((places.normal, places.tangent), (places.normal, places.bitangent), (places.tangent, places.bitangent)):
        assert (a * b).sum(-1).abs().max() < 1e-5
    matter, _ = Texels(atlas, 7)(places)
    assert matter.base_color.shape == (len(buffer), 3)
    assert sphere_mesh().corner_uv is not None and (buffer.weight > 0).all()
