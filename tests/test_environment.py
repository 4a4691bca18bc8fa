"""Panoramas: read safely, closed around the sphere, prefiltered as the integrals say, one exposure for all."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from studio import environment
from studio.errors import StudioError

UP = torch.tensor([[0.0, 1.0, 0.0]])


def directions(count: int = 200) -> torch.Tensor:
    return F.normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(0)), dim=-1)


def gradient() -> torch.Tensor:
    """1 + y everywhere, whose irradiance / π at a normal n is 1 + ⅔ n_y."""
    y = torch.cos((torch.arange(256) + 0.5) / 256 * math.pi)
    return (1 + y)[:, None, None].expand(256, 512, 3)


@pytest.fixture(scope="module")
def slope() -> environment.Environment:
    return environment.from_panorama(gradient(), name="slope")


def test_irradiance_of_a_linear_sky_is_analytic(slope: environment.Environment) -> None:
    n = directions()
    expected = 1 + 2 / 3 * n[:, 1:2].expand(-1, 3)
    torch.testing.assert_close(slope.irradiance(n), expected, atol=4e-3, rtol=0)


def test_a_rougher_surface_gathers_a_wider_lobe(slope: environment.Environment) -> None:
    up = torch.stack([slope.reflected(UP, torch.tensor([r])).mean() for r in torch.linspace(0, 1, 15).tolist()])
    assert abs(float(up[0]) - 2) < 2e-3 and bool((up.diff() < 0).all())
    # At roughness 1 the lobe D(h)·(n·l) is a plain cosine: the reflection is the irradiance.
    torch.testing.assert_close(slope.reflected(UP, torch.ones(1)), slope.irradiance(UP), atol=2e-3, rtol=0)


def test_the_lobe_is_the_ggx_integral() -> None:
    """Against direct quadrature of ∫ D(h)(n·l)L dl / ∫ D(h)(n·l) dl for L = (n·l)², n to one side."""
    width, level, azimuth = 512, 4, 1.1
    polar, turn = (torch.arange(256) + 0.5) / 256 * math.pi, ((torch.arange(width) + 0.5) / width - 0.5) * 2 * math.pi
    n = torch.tensor([math.sin(azimuth), 0.0, -math.cos(azimuth)])
    sky = polar.sin()[:, None] * (turn - azimuth).cos()
    made = environment.from_panorama((sky.clamp(min=0) ** 2)[..., None].expand(-1, -1, 3), name="lobe")
    scale = float(made.reflected(n[None], torch.zeros(1))[0, 0])
    a = (level / (environment.LEVELS - 1)) ** 2
    c = torch.linspace(0, 1, 4001, dtype=torch.float64)
    lobe = c / ((1 + c) / 2 * (a * a - 1) + 1) ** 2
    expected = float((lobe * c * c).sum() / lobe.sum())
    got = float(made.reflected(n[None], torch.tensor([level / (environment.LEVELS - 1)]))[0, 0]) / scale
    assert abs(got - expected) < 0.01


def test_a_panorama_closes_and_turns() -> None:
    sky = torch.zeros(64, 128, 3)
    sky[24:40, :4] = sky[24:40, -4:] = 1  # a lamp across the seam, straight at +z
    lamp = environment.from_panorama(sky, name="lamp")
    at = torch.tensor([[1e-4, 0.0, 1.0], [-1e-4, 0.0, 1.0]])
    left, right = lamp.reflected(at, torch.zeros(2))
    torch.testing.assert_close(left, right, rtol=1e-3, atol=0)
    plus_x, plus_z = torch.tensor([[1.0, 0, 0]]), torch.tensor([[0.0, 0, 1]])
    turned, mirror = lamp.turned(90), torch.zeros(1)  # counter-clockwise from above: +z goes to +x
    torch.testing.assert_close(turned.reflected(plus_x, mirror), lamp.reflected(plus_z, mirror), rtol=1e-3, atol=0)
    assert turned.turned(-90).azimuth_deg == lamp.azimuth_deg


def test_reflections_are_differentiable_in_roughness() -> None:
    lamp = environment.load("softbox")
    n, r = directions(20).double(), torch.full((20,), 0.37, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r: lamp.reflected(n, r), r, eps=1e-5, atol=1e-5)


def test_every_map_has_mean_radiance_one() -> None:
    assert {"white", "softbox"} <= set(environment.names())
    for name in ("white", "softbox", environment.names()[0]):
        light = environment.load(name)
        rows = torch.sin((torch.arange(environment.HEIGHT_PX) + 0.5) / environment.HEIGHT_PX * math.pi)[:, None]
        mean = (light.specular[0, :, 0, :, 1:-1].mean(0) * rows).mean() / rows.mean()
        assert abs(float(mean) - 1) < 1e-4
        assert environment.load(name) is light


def test_the_split_sum_table() -> None:
    table = environment.fg_table()
    assert table.isfinite().all() and table.min() >= 0 and table.sum(0).max() <= 1 + 1e-6

    def at(nv: float, roughness: float) -> torch.Tensor:
        return F.grid_sample(table[None], torch.tensor([[[[2 * nv - 1, 2 * roughness - 1.0]]]]), align_corners=True).flatten()

    torch.testing.assert_close(at(1.0, 0.0), torch.tensor([1.0, 0.0]), atol=1e-4, rtol=0)
    torch.testing.assert_close(at(0.5, 0.5), torch.tensor([0.726, 0.017]), atol=4e-3, rtol=0)
    fresnel = 0.5**5  # a smooth mirror reflects by Schlick's formula
    torch.testing.assert_close(at(0.5, 0.0), torch.tensor([1 - fresnel, fresnel]), atol=3e-3, rtol=0)


# -- Files ----------------------------------------------------------------------------------------------------------------


def rgbe_run_length(rgbe: np.ndarray) -> bytes:
    """Rows coded channel by channel: even rows in runs where they can be, the rest as they are."""
    height, width, _ = rgbe.shape
    out = bytearray()
    for y in range(height):
        out += bytes((2, 2, width >> 8, width & 255))
        for c in range(4):
            line, x = rgbe[y, :, c], 0
            while x < width:
                run = 1
                while x + run < width and run < 127 and line[x + run] == line[x]:
                    run += 1
                run = run if y % 2 == 0 else 1
                out += bytes((128 + run, line[x])) if run > 1 else bytes((1, line[x]))
                x += run
    return bytes(out)


def hdr(tmp_path: Path, body: bytes, *, height: int, width: int, axis: str = "-Y") -> Path:
    path = tmp_path / "sky ü.hdr"
    path.write_bytes(b"#?RADIANCE\n# made here\nFORMAT=32-bit_rle_rgbe\n\n" + f"{axis} {height} +X {width}\n".encode() + body)
    return path


@pytest.fixture
def rgbe() -> np.ndarray:
    rng = np.random.default_rng(0)
    pixels = rng.integers(1, 255, (6, 20, 4), dtype=np.uint8)
    pixels[..., 3] = rng.integers(120, 136, (6, 20))
    pixels[2, 3:9] = pixels[2, 3]
    pixels[0, 0] = 0
    return pixels


def test_hdr_files_flat_and_run_length_coded_say_the_same(tmp_path: Path, rgbe: np.ndarray) -> None:
    expected = rgbe[..., :3].astype(float) * 2.0 ** (rgbe[..., 3:].astype(float) - 136)
    expected[rgbe[..., 3] == 0] = 0
    for body in (rgbe.tobytes(), rgbe_run_length(rgbe)):
        np.testing.assert_allclose(environment._read_hdr(hdr(tmp_path, body, height=6, width=20)), expected, rtol=1e-6)
    upside_down = environment._read_hdr(hdr(tmp_path, rgbe.tobytes(), height=6, width=20, axis="+Y"))
    np.testing.assert_allclose(upside_down[::-1], expected, rtol=1e-6)


def test_exr_files_are_read_as_written(tmp_path: Path) -> None:
    openexr = pytest.importorskip("OpenEXR")
    sky = np.random.default_rng(0).random((8, 16, 3)).astype(np.float32)
    head = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage}
    for channels in ({"RGB": sky}, {"R": sky[..., 0].copy(), "G": sky[..., 1].copy(), "B": sky[..., 2].copy()}):
        path = tmp_path / "sky.exr"
        openexr.File(head, channels).write(str(path))
        np.testing.assert_array_equal(environment._read_exr(path), sky)
    path = tmp_path / "grey.exr"
    openexr.File(head, {"Y": sky[..., 0].copy()}).write(str(path))
    assert environment.load(path).name == "grey"


@pytest.mark.parametrize("name", ["studoi", "nothing.exr", "nothing.hdr"])
def test_what_is_not_there_is_said(name: str) -> None:
    with pytest.raises(StudioError) as said:
        environment.load(name)
    assert said.value.problem.endswith(".") and said.value.remedy
    assert name != "studoi" or "studio" in said.value.remedy


def test_damaged_files_are_said_and_never_believed(tmp_path: Path, rgbe: np.ndarray) -> None:
    whole = hdr(tmp_path, rgbe_run_length(rgbe), height=6, width=20).read_bytes()
    damaged = {
        "empty.hdr": b"",
        "half.hdr": whole[: len(whole) // 2],
        "huge.hdr": whole.replace(b"-Y 6 +X 20", b"-Y 99999999 +X 99999999"),
        "bomb.hdr": whole.replace(b"-Y 6 +X 20", b"-Y 16000 +X 16000"),
        "sideways.hdr": whole.replace(b"-Y 6 +X 20", b"+X 20 -Y 6"),
        "words.hdr": whole.replace(b"-Y 6 +X 20", b"-Y six +X 20"),
        "run.hdr": whole[:-2] + b"\xff\x00",
        "png.hdr": b"\x89PNG\r\n\x1a\n" + bytes(64),
        "empty.exr": b"",
        "text.exr": b"hello" * 100,
        "head.exr": struct.pack("<II", 20000630, 2) + bytes(40),
        "dark.hdr": hdr(tmp_path, bytes(6 * 20 * 4), height=6, width=20).read_bytes(),
    }
    for name, data in damaged.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(StudioError, match=name.removesuffix(".hdr") if name == "dark.hdr" else name):
            environment.load(tmp_path / name)


def test_values_that_are_no_numbers_count_as_dark() -> None:
    sky = torch.ones(16, 32, 3)
    sky[3, 4], sky[5, 6], sky[7, 8] = float("nan"), -5, float("inf")
    light = environment.from_panorama(sky, name="broken")
    assert light.specular.isfinite().all() and light.specular.min() >= 0 and light.diffuse.isfinite().all()
