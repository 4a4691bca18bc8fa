"""Training on a network of tiny's size: the loss falls, a checkpoint resumes, and the weights load as a painter's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from studio.generators import _weights
from studio.generators._multiview import Size
from studio.pretrain import shapes, train
from studio.pretrain.solid import Volumes

TINY = Size(view_px=32, channels=(8, 16, 16), heads=(1, 2, 2), head_channels=4, text_channels=16, text_layers=1, groups=4)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A training folder with six rigs of two views and a small network."""
    y, x = (np.mgrid[0:32, 0:32] + 0.5) / 16 - 1
    p = np.stack([x, -y, np.sqrt(np.clip(1 - x * x - y * y, 0, 1))]) * 0.8
    mask = (x * x + y * y < 1)[None]
    view = np.concatenate([p, p / 0.8, mask]) * mask
    np.save(tmp_path / "rigs.npy", np.broadcast_to(view, (6, 2, 7, 32, 32)).astype(np.float16))
    monkeypatch.setattr(shapes, "VIEWS", 2)
    monkeypatch.setattr(train, "MINI", TINY)
    volumes = Volumes.make(torch.device("cpu"), cell_res=8)
    monkeypatch.setattr(train.Volumes, "make", lambda device: volumes)
    monkeypatch.setattr(train, "writer", lambda out: None)
    return lambda *more: train.arguments(["--out", str(tmp_path), "--rigs", "2", "--batch", "4", "--device", "cpu", *more])


def test_training_learns_stops_and_resumes(small, tmp_path, capsys) -> None:
    train.run(small("--steps", "30", "--every", "10", "--previews", "1", "--rate", "0.2"))
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("step")]
    loss = [float(words[5]) + float(words[6]) for words in lines]
    assert [int(words[1]) for words in lines] == [10, 20, 30] and loss[-1] < 0.9 * loss[0]
    network, vocabulary = _weights.load(tmp_path / "mini")
    assert network.size == TINY and (tmp_path / "preview.png").exists()
    resumed = train.Training(small("--resume"))
    assert resumed.step == 30 and resumed.seconds > 0 and resumed.optimizer.state
    for a, b in zip(resumed.average.state_dict().values(), network.state_dict().values(), strict=True):
        assert torch.allclose(a, b, atol=2e-3, rtol=1e-3)


def test_a_turned_world_shows_the_same_picture(small) -> None:
    """Turning and mirroring moves positions and normals together: lengths, heights and the mask's area stay."""
    rigs = torch.from_numpy(np.load(small().out + "/rigs.npy")).float()
    out = train.turned(rigs, generator=torch.Generator().manual_seed(0))
    assert torch.equal(out[:, :, 6].sum((-1, -2)), rigs[:, :, 6].sum((-1, -2)))
    for lo, hi in ((0, 3), (3, 6)):
        same = rigs[:, :, lo:hi].norm(dim=2)
        assert torch.allclose(out[:, :, lo:hi].norm(dim=2), same, atol=1e-3)  # a ball is its own mirror image
        assert torch.allclose(out[:, :, lo + 1], rigs[:, :, lo + 1], atol=1e-3)
