"""What can be held of the CUDA renderer without a card: its pixel convention, how it finds its tools, its honest refusals."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from studio.camera import Camera
from studio.renderers import nvdiffrast


@pytest.mark.parametrize("camera", [Camera(30, 20), Camera(200, -50, distance=0.5), Camera(75, 10, orthographic=True)])
def test_a_point_on_a_pixels_ray_lands_on_that_pixel(camera: Camera) -> None:
    """nvdiffrast: column = (x/w + 1)/2·px − ½ and row likewise, counted from the row of y = −w."""
    px = 16
    origins, directions = camera.rays(px)
    points = origins.astype(float) + 1.7 * directions
    clip = np.c_[points, np.ones(len(points))] @ nvdiffrast.T_raster_world(camera).T
    row, column = np.divmod(np.arange(px * px), px)
    np.testing.assert_allclose((clip[:, 0] / clip[:, 3] + 1) / 2 * px - 0.5, column, atol=1e-4)
    np.testing.assert_allclose((clip[:, 1] / clip[:, 3] + 1) / 2 * px - 0.5, row, atol=1e-4)


@pytest.mark.parametrize("distance", [0.2, 1.0, 2.8, 20.0])
def test_the_unit_ball_is_never_clipped_behind_or_before(distance: float) -> None:
    camera = Camera(40, 30, distance=distance)
    T = nvdiffrast.T_raster_world(camera)
    towards = camera.direction()
    for point in (-0.95 * towards, min(0.95, distance - 0.05) * towards):
        z, w = (T @ [*point, 1])[2:]
        assert -w <= z <= w


def test_nvcc_is_found_in_pips_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    nvcc = tmp_path / "nvidia" / "cu13" / "bin" / ("nvcc.exe" if os.name == "nt" else "nvcc")
    nvcc.parent.mkdir(parents=True)
    nvcc.touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "nvidia", raising=False)
    assert nvdiffrast.cuda_home() in (tmp_path / "nvidia" / "cu13", Path("/usr/local/cuda"))
    monkeypatch.setenv("CUDA_HOME", str(nvcc.parent.parent))
    assert nvdiffrast.cuda_home() == tmp_path / "nvidia" / "cu13"


def test_compiling_leaves_no_trace_and_makes_the_plugin_importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.utils import cpp_extension

    built = object()
    monkeypatch.setattr(cpp_extension, "_import_module_from_library", lambda name, path, is_python_module: built)
    before, original = dict(os.environ), cpp_extension._import_module_from_library
    with nvdiffrast._compiling():
        cpp_extension._import_module_from_library("patina_test_plugin", "", True)
        assert str(Path(sys.executable).parent) in os.environ["PATH"]
    assert sys.modules.pop("patina_test_plugin") is built
    assert dict(os.environ) == before and cpp_extension._import_module_from_library is original


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_card_the_reason_is_one_sentence() -> None:
    reason = nvdiffrast.Nvdiffrast.why_not()
    assert reason and reason.endswith(".") and "\n" not in reason
