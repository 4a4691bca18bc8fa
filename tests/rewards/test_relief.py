"""The estimator that ships: plain surfaces read as themselves, painted light and shade as relief, patterns hardly."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.camera import ring
from studio.renderers import SOCKET as RENDERERS
from studio.reward_views import RewardViews
from studio.rewards import _relief
from studio.rewards._relief import Estimator, likeness
from studio.surface.atlas import Atlas, build_atlas
from studio.texture import Texture, linear_from_srgb, srgb_from_linear
from tests.meshes import cube, uv_sphere

SHIPPED = _relief.DATA  # before it is replaced for tests
PERIOD = 0.16
SCENES = {"sphere": lambda: uv_sphere(64, 32), "cube": cube}

pytestmark = [pytest.mark.long, pytest.mark.skipif(not SHIPPED.is_file(), reason="no estimator ships yet")]


@cache
def scene(name: str) -> tuple[Atlas, RewardViews]:
    mesh = SCENES[name]()
    atlas = build_atlas(mesh, 512)
    base = Texture.flat(mesh, 512).with_channel("roughness", torch.full((1, 1, 512, 512), 0.6))
    base = base.with_channel("metallic", torch.zeros(1, 1, 512, 512))
    return atlas, RewardViews(mesh, atlas, base, RENDERERS.make("embree").build(torch.device("cpu")), ring(4))


@pytest.fixture
def score() -> Callable[[str, Tensor], Tensor]:
    from safetensors.torch import load_file

    net = Estimator()
    net.load_state_dict({k: v.float() for k, v in load_file(SHIPPED).items()})

    def scored(name: str, texture: Tensor) -> Tensor:
        atlas, views = scene(name)
        (chunk,) = views(texture)
        normals, inside = chunk.surface().split([3, 1], 1)
        return likeness(net(chunk(), normals, inside), normals, inside)

    return scored


def plain(name: str, grey: float = 0.55) -> Tensor:
    return torch.full((1, 3, 512, 512), grey)


def painted_bumps(name: str) -> Tensor:
    """A grey that is shaded by a light from above as if the surface had furrows along its latitude."""
    atlas, _ = scene(name)
    p, n = atlas.position.movedim(-1, 1), F.normalize(atlas.normal.movedim(-1, 1), dim=1)
    up = torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1)
    light = F.normalize(torch.tensor([0.0, 1.0, 0.3]), dim=0).view(1, 3, 1, 1)
    g = 0.6 * torch.cos(p[:, 1:2] * 2 * math.pi / PERIOD) * up
    bumpy = F.normalize(n - (g - (g * n).sum(1, keepdim=True) * n), dim=1)
    shade = [0.35 + 0.65 * (v * light).sum(1, keepdim=True).clamp(min=0) for v in (bumpy, n)]
    linear = linear_from_srgb(torch.tensor(0.6)) * (shade[0] / shade[1]).clamp(0.2, 2.5)
    return atlas.dilated(srgb_from_linear(linear.clamp(0, 1)).expand(-1, 3, -1, -1).contiguous())


def stripes(name: str) -> Tensor:
    """Sharp light and dark ones, as high as the furrows and of far more contrast."""
    atlas, _ = scene(name)
    light = torch.sin(atlas.position[..., 1][:, None] * 2 * math.pi / PERIOD) > 0
    return atlas.dilated(torch.where(light, 0.85, 0.2).expand(-1, 3, -1, -1).contiguous())


@pytest.mark.parametrize("name", SCENES)
def test_painted_relief_costs_more_than_a_pattern_and_a_plain_surface_nothing(name: str, score) -> None:
    with torch.no_grad():
        flat, fake, pattern = (float(score(name, make(name))) for make in (plain, painted_bumps, stripes))
    assert flat > 0.99
    assert 1 - fake > 2 * (1 - pattern) and 1 - fake > 5 * (1 - flat)


def test_following_the_gradient_takes_painted_relief_away(score) -> None:
    texture = painted_bumps("sphere")
    start = float(score("sphere", texture).detach())
    for _ in range(30):
        leaf = texture.requires_grad_()
        (g,) = torch.autograd.grad(score("sphere", leaf), leaf)
        texture = (leaf.detach() + g.sign() / 255).clamp(0, 1)
    assert 1 - float(score("sphere", texture).detach()) < 0.7 * (1 - start)
