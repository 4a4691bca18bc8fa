"""Every preset that ships says what it is for, is understood to the last key, and runs."""

from __future__ import annotations

import tomllib
from collections import deque
from pathlib import Path

import pytest
import torch

from studio.config import Config, parse, preset, preset_names
from studio.errors import StudioError
from studio.surface.mesh import Mesh
from tests.meshes import torus
from tests.runs import QUICK

each_preset = pytest.mark.parametrize("name", preset_names())


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return torus(32, 16)


def test_there_are_at_least_six_and_one_is_for_the_demo() -> None:
    assert len(preset_names()) >= 6 and "demo" in preset_names()


@each_preset
def test_a_preset_says_in_one_sentence_what_it_is_for(name: str) -> None:
    description = preset(name)["description"]
    assert description.endswith(".") and description.count(". ") == 0 and 20 < len(description) <= 130
    assert description[0].isupper()


@each_preset
def test_every_key_is_known_and_changes_something(name: str) -> None:
    table = preset(name)
    config = parse(table)
    assert config != Config()
    assert parse(tomllib.loads(config.to_toml())) == config
    for weighted in config.rewards:
        assert weighted.weight > 0
    assert bool(config.rewards) == config.trainer.learns or type(config.trainer).__module__.endswith("texture_direct")


@each_preset
def test_a_wrong_key_would_be_found(name: str) -> None:
    for wrong in ({"iteratons": 3}, {"trainer": {**preset(name)["trainer"], "rat": 1}}, {"rewards": {"simmetry": 1}}):
        with pytest.raises(StudioError, match="There is no"):
            parse({**preset(name), **wrong})


@each_preset
def test_two_steps_run(name: str, mesh: Mesh) -> None:
    """On the tiny generator, two views and the smallest atlas, with everything else as the preset says."""
    from studio.run import run

    config = parse({**QUICK, "iterations": 2, "held_out": 0}, base=parse(preset(name)))
    most = {"batch": 2, "samples": 16}
    config = parse(
        {"trainer": {k: min(n, getattr(config.trainer, k, 0)) for k, n in most.items() if hasattr(config.trainer, k)}},
        base=config,
    )
    (last,) = deque(run(config, mesh), maxlen=1)
    assert last.result is not None
    colour = last.result.texture.channels["base_color"]
    assert colour.shape == (1, 3, 256, 256) and torch.isfinite(colour).all()
    assert len(last.result.report["steps"]) == (2 if config.rewards else 0)
    assert {w.name for w in config.rewards} <= set(last.result.report["after"])


def test_a_presets_views_and_their_limit_agree() -> None:
    assert (parse({"max_views": 4}).views, parse({"max_views": 4}).max_views) == (4, 4)
    assert (parse({"views": 9}).views, parse({"views": 9}).max_views) == (9, 9)
    with pytest.raises(StudioError, match="max_views"):
        parse({"views": 9, "max_views": 4})


ODD = ["seed = inf", "seed = 1" + "0" * 5000, "[generator]\nname = 5", "x = " + "[" * 5000]


@pytest.mark.parametrize("text", ODD, ids=range(4))
def test_no_preset_however_odd_ends_in_a_traceback(text: str, tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text(text)
    with pytest.raises(StudioError):
        parse(preset(str(tmp_path / "odd.toml")))
