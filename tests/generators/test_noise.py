"""Noise that belongs to the surface: one for all views, white enough, another for every seed and object."""

from __future__ import annotations

import torch

from studio.generators._noise import drawn, drawn_for_training, solid


def plane(size: int = 128, pixel: float = 0.008) -> torch.Tensor:
    """A slanted plane [3, size, size], `pixel` work units between neighbours."""
    y, x = torch.meshgrid(torch.arange(size) * pixel, torch.arange(size) * pixel, indexing="ij")
    return torch.stack([x * 0.8, y, x * 0.6]) - 0.5


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_point_has_the_same_noise_in_every_view() -> None:
    a, b = plane(), plane().flip(-1)
    noise = drawn(torch.stack([a, b]), 6, cell=0.01, generator=seeded(0))
    assert torch.equal(noise[0], noise[1].flip(-1))
    shifted = a + torch.tensor([0.0, 0.002, 0.0])[:, None, None]  # what another camera sees of the same surface
    near = drawn(torch.stack([a, shifted]), 6, cell=0.01, generator=seeded(0))
    patches = torch.nn.functional.avg_pool2d(near, 8).flatten(2)
    assert torch.corrcoef(torch.stack([patches[0].flatten(), patches[1].flatten()]))[0, 1] > 0.8


def test_it_is_nearly_white_and_normal() -> None:
    noise = drawn(plane()[None], 6, cell=0.01, generator=seeded(1))[0]
    assert noise.mean().abs() < 0.02 and (noise.std() - 1).abs() < 0.02
    assert (noise[:, :, 2:] * noise[:, :, :-2]).mean().abs() < 0.05  # two pixels on nothing is left of it
    assert (noise[0] * noise[1]).mean().abs() < 0.05


def test_seeds_and_objects_differ_and_repeat() -> None:
    p = plane(32)[None]
    a, b, again = (drawn(p, 3, cell=0.01, generator=seeded(s)) for s in (0, 1, 0))
    assert torch.equal(a, again) and (a * b).mean().abs() < 0.1
    torch.manual_seed(0)
    many = drawn_for_training(p.expand(4, -1, -1, -1), 3, cell=0.01, objects=2)
    assert (many[0] * many[2]).mean().abs() < 0.1 and torch.equal(many[0], many[1])


def test_keys_move_the_rows() -> None:
    p, table = plane(16)[None], torch.arange(1_000.0)[:, None]
    assert torch.equal(solid(p, table, cell=0.01, key=5), (solid(p, table, cell=0.01) + 5) % 1_000)
