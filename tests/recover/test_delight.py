"""Delight: light that was baked into a base colour comes out again, by a third of the error at least, on three objects."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch

from studio import environment, resources
from studio.__main__ import main
from studio.progress import Progress
from studio.recover.delight import PRIORS, Split, delight
from studio.recover.examples import _banded
from studio.recover.openness import openness
from studio.surface.atlas import build_atlas
from studio.surface.mesh import Mesh, load
from studio.texture import Texture, linear_from_srgb, srgb_from_linear

SIZE_PX = 64


def baked(mesh: Mesh, light: str) -> tuple[Texture, Texture, torch.Tensor]:
    """The true texture, the one with light in its colours, and where the atlas has surface."""
    atlas = build_atlas(mesh, SIZE_PX)
    rows = _banded((0, 4, 2, 15, 7, 12), 7, 1)(atlas.position.reshape(-1, 3))[:, :3] * 0.8
    true = atlas.dilated(rows.reshape(atlas.sets, SIZE_PX, SIZE_PX, 3).movedim(-1, 1))
    irradiance = environment.load(light).irradiance(atlas.normal.reshape(-1, 3)).reshape(atlas.sets, SIZE_PX, SIZE_PX, 3)
    lit = linear_from_srgb(true) * irradiance.movedim(-1, 1) * openness(mesh).over(atlas)
    texture = Texture.flat(mesh, SIZE_PX)
    return (
        texture.with_channel("base_color", true),
        texture.with_channel("base_color", srgb_from_linear(lit.clamp(0, 1))),
        atlas.valid,
    )


def split(mesh: Mesh, texture: Texture) -> tuple[list[Progress], Split]:
    told, steps = [], delight(mesh, texture, build_atlas(mesh, SIZE_PX))
    while True:
        try:
            told.append(next(steps))
        except StopIteration as end:
            return told, end.value


@pytest.mark.parametrize("name", ["vase", *(pytest.param(name, marks=pytest.mark.long) for name in ("robot", "mug"))])
def test_most_of_the_baked_light_is_taken_out(name: str) -> None:
    mesh = load(resources.sample(name))
    true, lit, valid = baked(mesh, "softbox")
    told, found = split(mesh, lit)
    wanted = true.channels["base_color"].movedim(1, -1)[valid]
    before = float((lit.channels["base_color"].movedim(1, -1)[valid] - wanted).abs().mean())
    after = float((found.texture.channels["base_color"].movedim(1, -1)[valid] - wanted).abs().mean())
    assert after < 0.7 * before, f"{name}: {before:.3f} -> {after:.3f}"
    assert "approximate" in told[0].message and all(prior in told[0].message for prior in PRIORS)


def test_the_command_writes_a_mesh_that_says_it_is_approximate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mesh, out = resources.sample("mug"), tmp_path / "mug.glb"
    assert main(["delight", str(mesh), "--out", str(out), "--atlas", "64"]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "mug_irradiance.exr"), str(out)]
    data = out.read_bytes()
    tree = json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]])
    assert tree["asset"]["extras"]["patina"]["delighted"]["approximate"] is True
    assert main(["delight", str(mesh), "--out", str(tmp_path / "mug.png")]) == 2


@pytest.mark.long
def test_what_has_no_light_in_it_stays_nearly_as_it_is() -> None:
    mesh = load(resources.sample("vase"))
    true, _, valid = baked(mesh, "white")
    _, found = split(mesh, true)
    away = (found.texture.channels["base_color"] - true.channels["base_color"]).abs().movedim(1, -1)[valid].mean()
    assert away < 0.08
    assert torch.equal(found.texture.channels["roughness"], true.channels["roughness"])
