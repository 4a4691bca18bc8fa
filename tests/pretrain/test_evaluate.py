"""The shipped weights obey colours because they read the prompt: the rows that
`python -m studio.pretrain.evaluate --meshes sample_meshes/vase.glb` prints, every second one: a quarter of all."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from studio import resources
from studio.generators import SOCKET
from studio.pretrain.evaluate import PROMPTS, SHARE, VIEWS, judge, shuffled
from studio.pretrain.shapes import seen
from studio.surface.mesh import load


@pytest.mark.long
def test_the_shipped_generator_obeys_colours() -> None:
    """The asked colour covers > 25 % of the surface in ≥ 85 % of prompts, a colour not asked for in < 15 %; with the
    text encoder's weights shuffled the asked colour is left to chance (here at most one prompt in five)."""
    painter = SOCKET.make("mini").build(device=torch.device("cpu"))
    geometry = torch.from_numpy(seen(load(resources.sample("vase")), VIEWS, painter.view_px)).float()
    asked, wrong, _ = judge(painter, geometry, PROMPTS[::2])
    blind, _, _ = judge(shuffled(painter), geometry, PROMPTS[::8])
    obeyed, control, chance = (float(np.mean(np.array(shares) > SHARE)) for shares in (asked, wrong, blind))
    assert obeyed >= 0.85 and control < 0.15 and chance <= 0.2, (asked, wrong, blind)
