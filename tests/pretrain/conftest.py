"""A training folder in miniature: four shapes at 32 px, networks of a few thousand weights, and little of everything."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from studio.critics import _weights
from studio.generators._multiview import MultiView
from studio.generators._network import Decoder, Size
from studio.generators._solid import Volumes
from studio.pretrain import batches, critic, critic_report, session, shapes, train

PX = 32
TINY = Size(
    view_px=PX, channels=(8, 16, 16), heads=(1, 2, 2), head_channels=4, head_layers=1, text_channels=16, text_layers=1, groups=4,
    painted=6, geometry=9, waves=4, cell=0.05, mixed=2, inked=True,
)  # fmt: skip


def rig() -> np.ndarray:
    """A ball seen eight times: [8, 9, PX, PX]."""
    y, x = (np.mgrid[0:PX, 0:PX] + 0.5) / (PX / 2) - 1
    p = np.stack([x, -y, np.sqrt(np.clip(1 - x * x - y * y, 0, 1))]) * 0.8
    mask = (x * x + y * y < 1)[None]
    view = np.concatenate([p, p / 0.8, mask, 0 * mask + 0.1, 0 * mask + 0.9]) * mask
    return np.broadcast_to(view, (8, 9, PX, PX)).astype(np.float16)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Makes arguments for a command's `main`, with everything large made small."""

    volumes = Volumes.make(torch.device("cpu"), cell_res=8)

    def make_rigs(path, count, *, size_px):
        return np.broadcast_to(rig(), (count, 8, 9, PX, PX))

    monkeypatch.setattr(shapes, "make_rigs", make_rigs)
    monkeypatch.setattr(batches, "VIEW_PX", PX)
    monkeypatch.setattr(batches, "HELD_OUT", 2)
    monkeypatch.setattr(batches.Volumes, "make", lambda device: volumes)
    monkeypatch.setattr(_weights, "SMALLEST_PX", PX)
    for name, value in {"AMONG": 4, "STEPS": 2, "POOL": 32}.items():
        monkeypatch.setattr(critic_report, name, value)
    monkeypatch.setattr(session, "AGREED", 4)
    monkeypatch.setattr(session, "_writer", lambda out: None)
    monkeypatch.setattr(Decoder, "WIDTHS", (8, 8, 8))
    monkeypatch.setattr(train, "ARMS", {"pixel": TINY, "latent": replace(TINY, latent=4, shift=0.25, mixed=0, inked=False)})
    tiny = {"px": 32, "text": 24, "features": 8}
    sizes = {"patina": {"widths": (8, 8, 8, 8), "depths": (1, 1, 1, 1)}, "judge": {"widths": (24,), "depths": (1,)}}
    monkeypatch.setattr(critic, "WHICH", {k: (replace(s, **tiny, **sizes[k]), seed) for k, (s, seed) in critic.WHICH.items()})
    monkeypatch.setattr(critic, "SKIES", ("white",))

    sheet = train.sheet

    def quick(painter, rigs, path, *, prompts):
        """A preview of two steps and two views shows as much as a test looks at."""
        painter = MultiView(painter.network, painter.vocabulary, steps=2, guidance=painter.guidance, eta=0.0)
        sheet(painter, rigs[:, :2], path, prompts=prompts)

    monkeypatch.setattr(train, "sheet", quick)

    def made(*more: str, out: str = "out") -> list[str]:
        return ["--out", str(tmp_path / out), "--rigs", "2", "--device", "cpu", "--every", "1", *more]

    return made
