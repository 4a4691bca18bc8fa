"""Recovery against a known truth whose pictures were traced, not shaded: eighteen materials on a sphere, under a known light.

The control shows what the schedules are for: two branches without them, both losses summed, take black plastic for metal. How
much of it depends on the seed. That some of it is does not: with every seed tried, a tenth of the worst dark patch is off by more
than 0.5, where `split` stays below 0.1. The mean over the worst patch is above 0.5 for most seeds, not for all (0.40 for seed 1).
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from studio import environment
from studio.captures import Capture
from studio.captures.shoot import around
from studio.environment import Environment
from studio.errors import StudioError
from studio.progress import Progress
from studio.recover import Recovered, Settings, recover, settings
from studio.recover.compare import errors
from studio.recover.examples import DARK, example, lamps, patch, sphere_mesh
from studio.recover.light import alignment
from studio.recover.relight import held_out_psnr
from studio.renderers import Rasterizer, build
from studio.surface.atlas import Atlas, build_atlas
from studio.surface.mesh import Mesh
from tests.recover import scene
from tests.recover.truth import Tracer

QUICK: dict[str, Any] = {"levels": 4, "atlas_px": 64, "batch_px": 2048, "ssaa": 1, "occlusion": "none"}
CONTROL = {"loss": "summed", "schedule": False, "metallic_start": 0.5, "smooth": 0.01, "straight": 0.0, "decided": 0.0}
"""Two branches and the paper's losses, but nothing of what makes them work: no schedules, no low start, no priors."""


@cache
def rasterizer() -> Rasterizer:
    return build("embree", torch.device("cpu"))[0]


@cache
def light() -> Environment:
    return environment.from_panorama(lamps(), name="lamps")


@cache
def atlas() -> Atlas:
    return build_atlas(sphere(), QUICK["atlas_px"])


@cache
def sphere() -> Mesh:
    return example("sphere").mesh


@cache
def coarse() -> Mesh:
    """The sphere with fewer faces, where it does not matter how well it is recovered."""
    return sphere_mesh(32, 16)


def done(capture: Capture, chosen: Settings, *, mesh: Mesh | None = None, **options: Any) -> tuple[list[Progress], Recovered]:
    """All of a recovery of the sphere, or a coarser one."""
    said, steps = [], recover(mesh or sphere(), capture, chosen, rasterizer(), **options)
    while True:
        try:
            said.append(next(steps))
        except StopIteration as end:
            return said, end.value


def dark_metallic(found: Recovered) -> list[Tensor]:
    """The metallic error of every texel of each dark patch, away from its borders."""
    truth = example("sphere").texture(atlas())
    away = (found.texture.channels["metallic"] - truth.channels["metallic"]).abs().flatten()
    number, inside = patch(atlas().position.reshape(-1, 3))
    use = inside & atlas().valid.flatten() & found.seen.flatten()
    return [away[use & (number == k)] for k in DARK]


def worst_mean(found: Recovered) -> float:
    """Of the dark patches, the mean metallic error of the worst one."""
    return max(float(away.mean()) for away in dark_metallic(found))


def worst_tenth(found: Recovered) -> float:
    """Of the dark patches, what a tenth of the worst one is off by in metallic, at least."""
    return max(float(away.quantile(0.9)) for away in dark_metallic(found))


def small(views: int = 6) -> Capture:
    return scene.kept().of(list(range(0, len(scene.kept()), len(scene.kept()) // views))[:views])


def test_split_finds_the_materials_of_traced_pictures() -> None:
    chosen = settings("split", {**QUICK, "iterations": 250, "fine_iterations": 40, "batch_px": 1024})
    said, found = done(scene.kept(), chosen, environment=light())
    truth = example("sphere").texture(atlas())
    off = errors(found.texture, truth, atlas().valid & found.seen)
    told = {"psnr": found.psnr, **off, "dark mean": worst_mean(found), "dark tenth": worst_tenth(found)}
    assert off["roughness"] < 0.06 and off["metallic"] < 0.05 and off["base_color"] < 0.03, told
    assert found.psnr > 32 and told["dark mean"] < 0.25 and told["dark tenth"] < 0.25, told
    held_out = held_out_psnr(sphere(), atlas(), found.texture, truth, rasterizer(), lights=("softbox",))
    assert held_out > 26, held_out
    assert said[-1].stage == "recovered" and found.seen[atlas().valid].float().mean() > 0.9


def test_the_control_takes_black_for_metal() -> None:
    chosen = settings("split", {**QUICK, **CONTROL, "iterations": 100, "fine_iterations": 1, "batch_px": 1024})
    _, found = done(scene.kept(), chosen, environment=light())
    assert worst_mean(found) > 0.5 and worst_tenth(found) > 0.6, (worst_mean(found), worst_tenth(found))


def test_resuming_gives_the_same_numbers() -> None:
    """A recovery stopped in either stage goes on to the same texels; a checkpoint is safe to save and belongs to its recovery."""
    chosen = settings(
        "split", {**QUICK, "levels": 2, "atlas_px": 32, "batch_px": 128, "iterations": 6, "fine_iterations": 4, "light_px": 16}
    )
    capture = small(3)
    said, whole = done(capture, chosen, mesh=coarse())
    for stop in (4, 8):
        steps, state = recover(coarse(), capture, chosen, rasterizer()), None
        for progress in steps:
            if progress.checkpoint is not None:
                state = progress.checkpoint()
                if state["done"] == stop:
                    break
        steps.close()
        again, resumed = done(capture, chosen, mesh=coarse(), resume=state)
        assert sum(p.checkpoint is not None for p in again) == 10 - stop
        for name, channel in whole.texture.channels.items():
            torch.testing.assert_close(resumed.texture.channels[name], channel, msg=name)
        assert whole.radiance is not None and resumed.radiance is not None
        torch.testing.assert_close(resumed.radiance, whole.radiance)
    with pytest.raises(StudioError, match="another recovery"):
        done(capture, replace(chosen, seed=1), mesh=coarse(), resume=state)
    assert {"loss", "rate A", "rate B", "gradient A", "gradient B", "gradient of the light", "psnr"} <= {
        n for p in said for n in p.metrics
    }


def test_a_light_that_is_not_known_is_learned() -> None:
    """Its even beginning learns where the lamps are, not only that there are some; it meets the pictures better."""
    chosen = settings("split", {**QUICK, "iterations": 60, "fine_iterations": 1, "light_px": 16, "batch_px": 1024})
    said, found = done(scene.kept(), chosen)
    first = next(p for p in said if "psnr" in p.metrics)
    assert found.radiance is not None and found.psnr > first.metrics["psnr"] + 3
    angle_deg, correlation = alignment(found.light, light())
    assert angle_deg < 15 and correlation > 0.35, (angle_deg, correlation)


@pytest.mark.parametrize("preset", ["paper", "joint"])
def test_presets_run_and_learn(preset: str) -> None:
    chosen = settings(preset, {**QUICK, "levels": 2, "atlas_px": 32, "iterations": 30, "fine_iterations": 2, "batch_px": 512})
    said, found = done(small(), chosen, mesh=coarse(), environment=light())
    first = next(p for p in said if "psnr" in p.metrics)
    assert found.psnr > first.metrics["psnr"] + 1


def test_learned_occlusion_is_among_the_maps_and_the_truth_among_the_metrics() -> None:
    sizes = {"levels": 2, "atlas_px": 32, "iterations": 5, "fine_iterations": 2, "batch_px": 128}
    chosen = settings("split", {**sizes, "occlusion": "learned"})
    truth = example("sphere").texture(build_atlas(coarse(), 32))
    said, found = done(small(3), chosen, mesh=coarse(), environment=light(), truth=truth)
    assert found.texture.channels["occlusion"].shape == (1, 1, 32, 32)
    assert any({"error base_color", "error roughness", "error metallic"} <= set(p.metrics) for p in said)


def test_pictures_that_show_nothing_of_the_mesh_are_an_error() -> None:
    capture = small(3)
    aside = np.eye(4)
    aside[0, 3] = 50.0
    away = replace(capture, cameras=tuple(camera.moved(aside) for camera in capture.cameras))
    with pytest.raises(StudioError, match="No picture shows the mesh"):
        done(away, settings("split", {**QUICK, "iterations": 1}), mesh=coarse(), environment=light())


def test_tracing_again_gives_the_kept_pictures() -> None:
    """One view, with fewer paths: the same up to noise, and no brighter or darker."""
    shots = np.load(scene.FILE)["shots"]
    assert shots.shape == (scene.VIEWS, 4, scene.SIZE_PX, scene.SIZE_PX)
    ours = scene.photographs(example("sphere"), scene.VIEWS, scene.SIZE_PX, 36, seed=7, only=(5,))[0].float() / 255
    kept = torch.from_numpy(shots[5]).float() / 255
    whole = (ours[3] == 1) & (kept[3] == 1)
    away = (ours - kept)[:3, whole]
    assert away.abs().mean() < 0.06 and away.mean().abs() < 0.015 and whole.float().mean() > 0.3


@pytest.mark.parametrize("metallic", [0.0, 1.0])
@pytest.mark.parametrize("roughness", [0.1, 0.5, 1.0])
def test_the_second_path_neither_makes_nor_loses_light(roughness: float, metallic: float) -> None:
    """The tracer's own white furnace."""
    one = torch.ones
    white = Tracer(
        sphere(),
        lambda p: (one(len(p), 3), torch.full((len(p),), roughness), torch.full((len(p),), metallic)),
        one(4, 8, 3),
    )
    picture, cover = white.picture(around(3)[0], 24, 16)
    assert float(picture[cover == 1].mean()) == pytest.approx(1.0, abs=3e-3)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_split_never_fails_whatever_the_seed(seed: int) -> None:
    chosen = settings("split", {**QUICK, "iterations": 600, "fine_iterations": 60, "seed": seed})
    _, found = done(scene.kept(), chosen, environment=light())
    off = errors(found.texture, example("sphere").texture(atlas()), atlas().valid & found.seen)
    assert off["roughness"] < 0.07 and off["metallic"] < 0.05 and off["base_color"] < 0.03, off
    assert worst_mean(found) < 0.25 and worst_tenth(found) < 0.25, (worst_mean(found), worst_tenth(found))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_the_control_fails_on_a_dark_patch_whatever_the_seed(seed: int) -> None:
    chosen = settings("split", {**QUICK, **CONTROL, "iterations": 300, "fine_iterations": 1, "seed": seed})
    _, found = done(scene.kept(), chosen, environment=light())
    assert worst_tenth(found) > 0.5, (worst_mean(found), worst_tenth(found))
