"""What every generator's spec promises, and the sizes of the bundled ones."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
import torch

from studio.errors import StudioError
from studio.generators import SOCKET, Generator
from studio.plug import knobs


@pytest.mark.parametrize("name", SOCKET.names())
def test_a_generator_is_a_frozen_spec(name: str) -> None:
    plug = SOCKET.make(name)
    assert isinstance(plug, Generator) and dataclasses.is_dataclass(plug) and hash(plug) == hash(SOCKET.make(name))
    assert set(knobs(plug)) == {f.name for f in dataclasses.fields(plug)}
    assert all(knob.help.endswith(".") for knob in knobs(plug).values()) and list(plug.stages())
    with pytest.raises(StudioError, match="out of range"):
        SOCKET.make(name, steps=0)


def test_tiny_is_tiny() -> None:
    painter = SOCKET.make("tiny").build(device=torch.device("cpu"))
    assert 80_000 < sum(p.numel() for p in painter.network.parameters()) < 150_000


def test_specs_need_no_torch() -> None:
    code = "import sys; from studio.generators import SOCKET; SOCKET.make('tiny'), SOCKET.make('mini')"
    code += "; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
