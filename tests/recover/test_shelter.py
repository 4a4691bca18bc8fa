"""Light that is hidden where it comes from: what stays, what is lost, and what comes back from what stands there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from studio import environment
from studio.recover.examples import lamps, sphere_mesh
from studio.shade import Lighting
from studio.shadow import spiral
from studio.shelter import WAYS, shelter
from studio.surface.mesh import Mesh


def places(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Normals and directions to the eye [n, 3], float64."""
    g = torch.Generator().manual_seed(seed)
    normal = F.normalize(torch.randn(count, 3, generator=g).double(), dim=-1)
    return normal, F.normalize(normal + 0.6 * torch.randn(count, 3, generator=g).double(), dim=-1)


def random_ways(count: int, seed: int = 1) -> Tensor:
    return (torch.rand(count, WAYS, generator=torch.Generator().manual_seed(seed)) > 0.5).double()


def channels(count: int, roughness: float, metallic: float, colour: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    full = torch.ones(count, 1, dtype=torch.float64)
    return colour * full.expand(-1, 3), roughness * full, metallic * full


def test_nothing_hides_a_sphere() -> None:
    clear = shelter(sphere_mesh(24, 12))
    assert clear.shape[1:] == (3, WAYS) and clear.dtype == torch.uint8 and bool(clear.all())
    light = environment.from_panorama(lamps(64), name="lamps")
    normal, to_eye = places(200)
    matter = channels(200, 0.4, 0.3, 0.6)
    free = Lighting(light, normal, to_eye)(*matter)
    torch.testing.assert_close(Lighting(light, normal, to_eye, visible=torch.ones(200, WAYS).double())(*matter), free)


def test_a_ceiling_hides_what_is_above() -> None:
    """A small floor under a large ceiling: its corners see out at the sides alone."""
    square = np.array([[-1.0, 0, -1], [-1, 0, 1], [1, 0, 1], [1, 0, -1]])
    corners = np.concatenate([square * 0.05 - [0, 0.05, 0], square[::-1] * 0.6 + [0, 0.05, 0]])
    mesh = Mesh.from_arrays(corners, np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]]))
    clear, up = shelter(mesh)[:2].reshape(-1, WAYS).bool(), spiral(WAYS)[:, 1]
    assert not clear[:, up > 0.5].any() and clear[:, up < 0].all()


@pytest.mark.parametrize("metallic", [0.0, 1.0])
@pytest.mark.parametrize("roughness", [0.1, 0.5, 1.0])
def test_white_stays_white_in_a_white_room_whatever_hides_it(roughness: float, metallic: float) -> None:
    """What hides white surface is white and lit as much: the furnace closes for any pattern of ways."""
    normal, to_eye = places(100)
    white = environment.load("white")
    shown = Lighting(white, normal, to_eye, visible=random_ways(100))(*channels(100, roughness, metallic))
    torch.testing.assert_close(shown, torch.ones_like(shown), atol=5e-3, rtol=0)


def test_black_surface_mirrors_only_what_is_clear() -> None:
    """Where the way of the mirror direction and around it is hidden, black gloss shows nothing; elsewhere as much as ever."""
    normal = torch.tensor([[0.0, 1.0, 0.0]]).double().expand(2, 3)
    to_eye = F.normalize(torch.tensor([[1.0, 1.0, 0.0]]).double(), dim=-1).expand(2, 3)
    mirror = F.normalize(torch.tensor([-1.0, 1.0, 0.0]), dim=0)
    toward = (spiral(WAYS) @ mirror > 0.6).double()
    shown = Lighting(environment.load("white"), normal, to_eye, visible=torch.stack([1 - toward, toward]))
    hidden, seen = shown(*channels(2, 0.2, 0.0, 0.0)).mean(1)
    free = Lighting(environment.load("white"), normal[:1], to_eye[:1])(*channels(1, 0.2, 0.0, 0.0)).mean()
    assert hidden < 0.35 * free and seen > 0.9 * free


def test_gradients_are_finite_differences() -> None:
    normal, to_eye = places(12)
    light = environment.from_panorama(lamps(64), name="lamps")
    lighting, direction = Lighting(light, normal, to_eye, visible=random_ways(12)), torch.randn(12, 3).double()
    for k in range(3):
        given = [c.clone() for c in channels(12, 0.55, 0.4, 0.5)]
        given[k].requires_grad_()
        (lighting(*given) * direction).sum().backward()
        moved = [[c.detach() + (h if i == k else 0) for i, c in enumerate(given)] for h in (1e-5, -1e-5)]
        slope = ((lighting(*moved[0]) - lighting(*moved[1])) * direction).sum() / 2e-5
        assert given[k].grad is not None
        torch.testing.assert_close(given[k].grad.sum(), slope, rtol=1e-4, atol=1e-6)
