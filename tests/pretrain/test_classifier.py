"""The judge of materials learns, keeps what it learnt on disk, and says which views agree."""

from __future__ import annotations

import json
import random

import pytest
import torch
import torch.nn.functional as F

from studio.errors import StudioError
from studio.generators._solid import Volumes
from studio.pretrain import corpus
from studio.pretrain.classifier import Classifier, as_baked
from tests.pretrain.test_corpus import ball


def test_it_learns_to_tell_materials_apart() -> None:
    """Three of them on a ball, in half a hundred small steps."""
    torch.manual_seed(0)
    r, volumes, rig = random.Random(0), Volumes.make(torch.device("cpu"), cell_res=16), ball(32)
    names = ("stripes", "felt", "lava")
    net = Classifier(names, widths=(16, 24, 32))
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    mask = rig[0, :, 6:7].expand(12, -1, -1, -1)

    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        samples = [corpus.sample(r, name) for name in names for _ in range(4)]
        return corpus.paint(samples, rig.expand(12, -1, -1, -1, -1), volumes)[:, 0], torch.arange(3).repeat_interleave(4)

    for _ in range(40):
        pictures, wanted = batch()
        loss = F.cross_entropy(net(pictures, mask), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pictures, wanted = batch()
    named = [net.named(p[None], mask[:1]) for p in pictures]
    assert sum(a == names[int(b)] for a, b in zip(named, wanted, strict=True)) >= 10


def test_what_lies_outside_the_mask_does_not_count() -> None:
    net = Classifier(("a", "b"), widths=(8, 16)).eval()
    mask = ball(32)[0, :, 6:7]
    x = torch.rand(1, 6, 32, 32)
    assert torch.equal(net(x, mask), net(torch.where(mask > 0, x, torch.rand_like(x)), mask))


def test_a_bake_is_imitated_inside_the_mask() -> None:
    """A flat picture stays flat up to the noise, also beside the silhouette."""
    mask = ball(32)[0, :, 6:7].expand(4, -1, -1, -1)
    out = as_baked(0.5 * mask.expand(-1, 6, -1, -1), mask, generator=torch.Generator().manual_seed(0))
    assert ((out - 0.5) * mask).abs().max() < 0.12 and ((out - 0.5) * mask).mean().abs() < 2e-3


def test_it_is_kept_in_a_folder(tmp_path) -> None:
    net = Classifier(tuple(corpus.MATERIALS)).eval()
    net.save(tmp_path)
    again, x, mask = Classifier.load(tmp_path), torch.rand(1, 6, 64, 64), torch.ones(1, 1, 64, 64)
    assert torch.allclose(net(x, mask), again(x, mask), atol=2e-2)
    (tmp_path / "materials.json").write_text(json.dumps(["stripes"]))
    with pytest.raises(StudioError, match="no usable classifier"):
        Classifier.load(tmp_path)
    with pytest.raises(StudioError, match="no usable classifier"):
        Classifier.load(tmp_path / "nowhere")
