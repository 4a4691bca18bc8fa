"""The sphere of eighteen materials as the path tracer sees it; `python -m tests.recover.scene [VIEWS SIZE SAMPLES]` makes it.

Tracing takes minutes, so the pictures are kept; a test traces some of them again.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from studio.captures import Capture
from studio.captures.shoot import around, capture_of
from studio.recover.examples import Example, example, lamps
from tests.recover.truth import Tracer

FILE = Path(__file__).with_name("sphere.npz")
VIEWS, SIZE_PX, SAMPLES = 16, 56, 900
EXPOSURE_EV, NOISE = -1.5, 0.004


def panorama() -> Tensor:
    """The examples' light with a mean radiance of 1, at a resolution of its own (the studio prefilters 128 rows)."""
    light = lamps(200)
    area = torch.sin((torch.arange(200) + 0.5) / 200 * math.pi)[:, None]
    return light / (light.mean(-1) * area).mean() * area.mean()


def tracer(scene: Example, seed: int = 0) -> Tracer:
    return Tracer(scene.mesh, scene.material, panorama(), seed)


def photographs(
    scene: Example, views: int, size_px: int, samples: int, *, seed: int = 0, only: tuple[int, ...] | None = None
) -> Tensor:
    """Pictures [V, 4, n, n] uint8 by the second path, from the cameras of `studio capture`; `only` some of these."""
    path = tracer(scene, seed)
    options = {"exposure_ev": EXPOSURE_EV, "noise": NOISE}
    cameras = around(views)
    chosen = cameras if only is None else [cameras[v] for v in only]
    return torch.stack([path.photograph(c, size_px, samples, **options) for c in chosen]).permute(0, 3, 1, 2)


def kept() -> Capture:
    """The pictures of FILE."""
    shots = torch.from_numpy(np.load(FILE)["shots"])
    return capture_of(example("sphere").mesh, around(len(shots)), shots, exposure_ev=EXPOSURE_EV)


if __name__ == "__main__":
    views, size_px, samples = (int(a) for a in sys.argv[1:]) if len(sys.argv) > 1 else (VIEWS, SIZE_PX, SAMPLES)
    np.savez_compressed(FILE, shots=photographs(example("sphere"), views, size_px, samples).numpy())
