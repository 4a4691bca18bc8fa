"""What the studio says of the machine it runs on."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import torch

from studio import device

CPU = torch.device("cpu")
LARGE = 500 << 20


def test_peak_memory_is_the_processs_own_whatever_its_parent_held() -> None:
    large = np.ones(LARGE, np.uint8)
    assert device.peak_memory_bytes(CPU) >= LARGE
    code = "import types; from studio import device; print(device.peak_memory_bytes(types.SimpleNamespace(type='cpu')))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert 1 << 20 < int(told) < LARGE and large[-1]
