"""The whole path on the shipped weights, as a user gets it: the same bytes every time, also from a wheel without pretraining."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections import deque
from pathlib import Path
from typing import Any

import pytest
import torch

from studio import lora, resources
from studio.config import parse
from studio.progress import Result
from studio.run import run
from tests.meshes import uv_sphere

ROOT = Path(__file__).parents[1]


@pytest.mark.long
def test_the_same_seed_and_settings_give_the_same_texture_bytes() -> None:
    """Same machine, threads, seed and settings on a CPU → identical texture bytes."""
    config = parse({"prompt": "red and white stripes", "atlas_px": 256, "device": "cpu"})

    def painted() -> bytes:
        (last,) = deque(run(config, uv_sphere()), maxlen=1)
        assert last.result is not None
        return last.result.texture.channels["base_color"].numpy().tobytes()

    assert painted() == painted()


def laid_out(folder: Path) -> Path:
    """The wheel's files in `folder`, laid out as pyproject says, but without `studio/pretrain`."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    for source in wheel["only-include"]:
        ignored = shutil.ignore_patterns("pretrain", "__pycache__", "*.pt")
        shutil.copytree(ROOT / source, folder / wheel["sources"].get(source, source), ignore=ignored)
    return folder


@pytest.mark.long
def test_what_the_shipped_generator_has_learned_comes_back_from_its_file(tmp_path: Path) -> None:
    """A LoRA written to a file paints at scale 1 what was learned, to the last bit, and at 0 what nobody taught."""

    def painted(**changes: Any) -> Result:
        config = parse({"prompt": "red and white stripes", "atlas_px": 256, "device": "cpu", **changes})
        (last,) = deque(run(config, uv_sphere()), maxlen=1)
        assert last.result is not None
        return last.result

    taught = painted(iterations=2, rewards={"palette": 1.0}, trainer={"name": "lora_reward", "rate": 0.01})
    file = tmp_path / "taught.safetensors"
    file.write_bytes(lora.encoded(taught.lora, taught.receipt))
    plain, at_0, at_1 = (
        painted(trainer="sample", **({} if scale is None else {"loras": {"taught": {"file": str(file), "scale": scale}}}))
        for scale in (None, 0.0, 1.0)
    )
    colours = [r.texture.channels["base_color"] for r in (plain, at_0, taught, at_1)]
    assert torch.equal(colours[0], colours[1]) and torch.equal(colours[2], colours[3])
    assert not torch.equal(colours[0], colours[2])


@pytest.mark.long
def test_a_wheel_without_pretraining_paints(tmp_path: Path) -> None:
    """Nothing outside pretraining needs it; the bundled generator paints a bundled mesh from a wheel without it."""
    site = laid_out(tmp_path / "site")
    (tmp_path / "quick.toml").write_text('atlas_px = 256\nmax_views = 6\n[generator]\nname = "mini"\nsteps = 2\n')
    bake = ["bake", str(site / "studio" / "_sample_meshes" / "mug.glb"), "a blue mug", "--out", str(tmp_path / "x.glb")]
    code = "import studio.__main__ as m, sys; print(m.__file__); sys.exit(m.main())"
    ended = subprocess.run(
        [sys.executable, "-c", code, *bake, "--preset", str(tmp_path / "quick.toml")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    assert Path(ended.stdout.splitlines()[0]).is_relative_to(site) and not (site / "studio" / "pretrain").exists()
    assert (tmp_path / "x.glb").stat().st_size > resources.sample("mug").stat().st_size // 2
