"""The relief estimator in training: slopes are true, lessons show what they say, and what is learned can be loaded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from studio import environment
from studio.pretrain import relief, shapes
from studio.pretrain.session import Ranks
from studio.rewards._relief import Estimator
from tests.pretrain.conftest import PX


@pytest.fixture
def args(small, monkeypatch):
    monkeypatch.setattr(relief, "WINDOW_PX", PX)
    monkeypatch.setattr(relief, "rooms", lambda device: [environment.load("white")] * (relief.LAMPS + 1))
    monkeypatch.setattr(relief, "JUMP", 0.2)
    return lambda *more: relief.arguments([*small(), "--pictures", "6", *more])


def ball(px: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions of a unit ball seen from +z, which are its normals [1, 3, px, px], and where it is [1, 1, px, px]."""
    y, x = torch.meshgrid(*[(torch.arange(px) + 0.5) / (px / 2) - 1] * 2, indexing="ij")
    inside = (x * x + y * y < 1).float()
    return torch.stack([x, -y, (1 - x * x - y * y).clamp(min=0).sqrt()])[None] * inside, inside[None, None]


def test_the_slope_of_a_height_that_is_linear_in_space_lies_in_the_surface() -> None:
    p, inside = ball()
    a = torch.tensor([0.3, -0.5, 0.8]).view(1, 3, 1, 1)
    slope, known = relief.slope((a * p).sum(1, keepdim=True), p, p, inside)
    expected = (a - (a * p).sum(1, keepdim=True) * p) * known
    assert 0.6 < known.sum() / inside.sum() < 1 and (known <= inside).all()
    assert torch.allclose(slope, expected, atol=2e-2) and (slope * p).sum(1).abs().max() < 1e-5


def test_waves_are_heights_over_space() -> None:
    p, _ = ball()
    g = torch.Generator().manual_seed(0)
    height = relief.waves(p.expand(16, -1, -1, -1), generator=g)
    assert height.shape == (16, 1, 64, 64) and torch.isfinite(height).all() and height.abs().max() <= relief.WAVES
    assert (height.std((1, 2, 3)) > 0.05).all() and len({round(float(h.mean()), 5) for h in height}) == 16


def test_frames_turn_towards_the_cameras() -> None:
    frames = relief.views(range(2))
    assert frames.shape == (2, 8, 3, 3)
    assert torch.allclose(frames @ frames.mT, torch.eye(3).expand(2, 8, 3, 3), atol=1e-5)
    directions = np.stack([c.direction() for c in shapes.cameras(1)])
    assert np.allclose(frames[1, :, 2].numpy(), directions, atol=1e-6)


def test_lessons_show_what_they_say(args) -> None:
    lessons = relief.Lessons(args(), Ranks.join("cpu"))
    for held_out in (False, True):
        pictures, own, shaded, mask = lessons.draw(24, held_out=held_out)
        assert pictures.shape == own.shape == shaded.shape == (24, 3, PX, PX) and 0 <= pictures.min() <= pictures.max() <= 1
        outside = (mask == 0).expand_as(pictures)
        assert (pictures[outside] == 0.5).all() and (own[outside] == 0).all()
        for v in (own, shaded):
            assert torch.allclose(v.norm(dim=1)[mask[:, 0] > 0], torch.ones(()), atol=1e-2)
        apart = (1 - F.cosine_similarity(own, shaded, dim=1)) * mask[:, 0]
        changed = (apart.amax((1, 2)) > 1e-3).float().mean()
        assert 0.2 < changed < 0.95


@pytest.mark.long
def test_rooms_have_their_lamps_in_different_places() -> None:
    found = relief.rooms(torch.device("cpu"))[1:3]
    ahead = torch.stack([room.specular[0, 0, 0].flatten().argmax() for room in found])
    assert len(found) == 2 and ahead[0] != ahead[1]


@pytest.mark.long
def test_training_leaves_an_estimator(args, tmp_path, capsys) -> None:
    found = relief.train(args("--steps", "3"))
    assert np.isfinite(found) and "of the relief of held-out shapes" in capsys.readouterr().out
    net = Estimator.load(tmp_path / "out" / "weights.safetensors")
    assert sum(p.numel() for p in net.parameters()) <= 300_000
    assert (tmp_path / "out" / "weights.safetensors").stat().st_size <= 700_000


def test_an_untrained_estimator_reads_about_the_surface_itself() -> None:
    torch.manual_seed(0)
    normals, inside = ball()
    read = Estimator()(torch.rand(1, 3, 64, 64), normals, inside)
    own = F.normalize(F.avg_pool2d(normals * inside, 2), dim=1)
    whole = F.avg_pool2d(inside, 2)[:, 0] > 0.999
    assert F.cosine_similarity(read, own, dim=1)[whole].min() > 0.8
