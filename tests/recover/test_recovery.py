"""Recovery against a known truth whose pictures were traced, not shaded: eighteen materials on a sphere, under a known light.

The control shows what the schedules are for: two branches without them, both losses summed, take black plastic for metal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from studio import environment
from studio.captures import Capture
from studio.environment import Environment
from studio.errors import StudioError
from studio.progress import Progress
from studio.recover import Recovered, Settings, recover, settings
from studio.recover.compare import errors
from studio.recover.examples import DARK, example, lamps, patch
from studio.recover.light import Light, alignment
from studio.recover.relight import held_out_psnr
from studio.recover.solver import rates
from studio.renderers import Rasterizer, build
from studio.surface.atlas import Atlas, build_atlas
from tests.recover import scene

QUICK: dict[str, Any] = {"levels": 4, "atlas_px": 64, "batch_px": 2048, "occlusion": "none"}
CONTROL = {"loss": "summed", "schedule": False, "metallic_start": 0.5}


@cache
def rasterizer() -> Rasterizer:
    return build("embree", torch.device("cpu"))[0]


@cache
def light() -> Environment:
    return environment.from_panorama(lamps(), name="lamps")


@cache
def atlas() -> Atlas:
    return build_atlas(example("sphere").mesh, QUICK["atlas_px"])


def done(capture: Capture, chosen: Settings, **options: Any) -> tuple[list[Progress], Recovered]:
    """All of a recovery of the sphere."""
    said, steps = [], recover(example("sphere").mesh, capture, chosen, rasterizer(), **options)
    while True:
        try:
            said.append(next(steps))
        except StopIteration as end:
            return said, end.value


def per_patch(found: Recovered, channel: str) -> Tensor:
    """[18] mean error of each patch, away from its borders."""
    truth = example("sphere").texture(atlas())
    away = (found.texture.channels[channel] - truth.channels[channel]).abs().mean(1)
    number, inside = patch(atlas().position.reshape(-1, 3))
    use = inside & atlas().valid.flatten() & found.seen.flatten()
    return torch.stack([away.flatten()[use & (number == k)].mean() for k in range(18)])


def small(views: int = 6) -> Capture:
    return scene.kept().of(list(range(0, len(scene.kept()), len(scene.kept()) // views))[:views])


def test_split_finds_the_materials_of_traced_pictures() -> None:
    chosen = settings("split", {**QUICK, "iterations": 400, "fine_iterations": 60})
    said, found = done(scene.kept(), chosen, environment=light())
    truth = example("sphere").texture(atlas())
    off = errors(found.texture, truth, atlas().valid & found.seen)
    told = {"psnr": found.psnr, **off, "dark metallic": per_patch(found, "metallic")[list(DARK)].tolist()}
    assert off["roughness"] < 0.06 and off["metallic"] < 0.05 and off["base_color"] < 0.03, told
    assert found.psnr > 32, told
    held_out = held_out_psnr(example("sphere").mesh, atlas(), found.texture, truth, rasterizer(), lights=("softbox",))
    assert held_out > 26, held_out
    assert said[-1].stage == "recovered" and found.seen[atlas().valid].float().mean() > 0.9


def test_the_control_takes_black_for_metal() -> None:
    _, found = done(scene.kept(), settings("split", {**QUICK, **CONTROL, "iterations": 150, "fine_iterations": 1}), environment=light())
    assert float(per_patch(found, "metallic")[list(DARK)].mean()) > 0.5
