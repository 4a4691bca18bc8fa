"""The commands as a user types them: what they write, what they say, and how they end. All run on the tiny generator."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import studio.sheet
import studio.still
from studio import console, resources
from studio.__main__ import main
from studio.progress import Progress
from studio.surface.health import health
from studio.surface.mesh import load

QUICK = """
atlas_px = 256
views = 2
max_views = 2
device = "cpu"
renderer = "embree"
[generator]
name = "tiny"
steps = 2
"""
REPORT_KEYS = {
    "prompt", "seed", "device", "renderer", "steps", "held_out_seeds", "before", "after", "per_seed", "coverage", "seam_error",
    "consistency_psnr", "seconds", "peak_memory_bytes",
}  # fmt: skip

# A cube whose faces are cells of a 3×2 grid in UV space.
CUBE_CORNERS = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
CUBE_FACES = [(1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4)]


@pytest.fixture
def cube(tmp_path: Path) -> Path:
    lines = [f"v {x} {y} {z}" for x, y, z in CUBE_CORNERS]
    for i, face in enumerate(CUBE_FACES):
        u, v = (i % 3) / 3, (i // 3) / 2
        lines += [f"vt {u + a / 3.6 + 0.02} {v + b / 2.4 + 0.02}" for a, b in ((0, 0), (1, 0), (1, 1), (0, 1))]
        lines.append("f " + " ".join(f"{corner}/{4 * i + k + 1}" for k, corner in enumerate(face)))
    path = tmp_path / "cube.obj"
    path.write_text("\n".join(lines))
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def glb_json(path: Path) -> dict:
    data = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    return json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]])


def bake(mesh: Path, out: Path, *more: str) -> int:
    """Bake with a preset for haste that lies in the tests' home."""
    preset = Path(os.environ[resources.HOME_VARIABLE], "quick.toml")
    preset.parent.mkdir(exist_ok=True)
    preset.write_text(QUICK)
    return main(["bake", str(mesh), "red", "--out", str(out), "--preset", str(preset), *more])


def stopped(monkeypatch: pytest.MonkeyPatch, iteration: int, mesh: Path, out: Path, *more: str) -> None:
    """Bake, and get SIGTERM when this iteration is done."""

    def show(line: console.ProgressLine, progress: Progress) -> None:
        if progress.checkpoint is not None and progress.step == iteration:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(console.ProgressLine, "show", show)
        assert bake(mesh, out, *more) == 128 + signal.SIGTERM


# -- what works -------------------------------------------------------------------------------------------------------------


def test_bake_writes_everything_it_was_asked_for(
    cube: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studio.still, "LAMPS", 4)
    monkeypatch.setattr(studio.sheet, "TILE_PX", 32)
    out, report, sheet = tmp_path / "x.glb", tmp_path / "r.json", tmp_path / "s.png"
    more = ["--trainer", "lora_reward", "--reward", "palette=1", "--iterations", "2", "--report", str(report)]
    assert bake(cube, out, *more, "--sheet", str(sheet), "--log", str(tmp_path / "log")) == 0
    assert capsys.readouterr().out.split() == [str(out), str(sheet), str(report)]
    numbers = json.loads(report.read_text(encoding="utf-8"))
    assert set(numbers) >= REPORT_KEYS and numbers["prompt"] == "red" and numbers["device"] == "cpu"
    assert len(numbers["steps"]) == 2 and all(np.isfinite(step["palette"]) for step in numbers["steps"])
    assert glb_json(out)["images"] and Image.open(sheet).format == "PNG"
    assert names(tmp_path) == {"cube.obj", "x.glb", "r.json", "s.png", "log"}


def test_another_seed_gives_another_texture(cube: Path, tmp_path: Path) -> None:
    assert [bake(cube, tmp_path / f"{seed}.glb", "--seed", str(seed)) for seed in (0, 1)] == [0, 0]
    assert (tmp_path / "0.glb").read_bytes() != (tmp_path / "1.glb").read_bytes()


@pytest.mark.parametrize("trainer", ["lora_reward", "nabla_db", "texture_direct"])
def test_interrupted_and_resumed_gives_the_same_as_uninterrupted(
    cube: Path, tmp_path: Path, trainer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--trainer", trainer, "--reward", "palette=1", "--iterations", "2"]
    assert bake(cube, tmp_path / "whole.glb", *more, "--report", str(tmp_path / "whole.json")) == 0

    stopped(monkeypatch, 1, cube, tmp_path / "x.glb", *more)
    assert "--resume" in capsys.readouterr().err
    assert glb_json(tmp_path / "x.glb")["images"] and "x.checkpoint.pt" in names(tmp_path)
    assert bake(cube, tmp_path / "x.glb", *more, "--resume", "--report", str(tmp_path / "x.json")) == 0
    assert "x.checkpoint.pt" not in names(tmp_path)
    whole, resumed = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("whole", "x"))
    assert resumed["steps"] == whole["steps"] and resumed["after"] == whole["after"]
    assert (tmp_path / "x.glb").read_bytes() == (tmp_path / "whole.glb").read_bytes()


def test_doctor_reports_on_the_machine_and_on_a_mesh(cube: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(cube)]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("Driver", "nvcc", "PyTorch", "Rasteriser", "Triangles", "Watertight"))


def test_plugs_lists_every_socket_preset_and_sample(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugs"]) == 0
    said = capsys.readouterr().out
    titles = ("generators", "trainers", "rewards", "critics", "renderers", "exporters", "presets", "sample meshes")
    assert all(f"\n{title}\n" in f"\n{said}" for title in titles)
    assert "ships no weights" not in said
    assert all(name in said for name in ("patina", "mini", "lora_reward", "palette", "embree", "glb", *resources.sample_names()))


# -- what is refused --------------------------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], code: int) -> str:
    """The text of a refusal, which is plain: exit code 2, one line, a problem and a remedy."""
    said = capsys.readouterr()
    text = said.err.strip().splitlines()[-1]
    assert code == 2 and said.out == "" and "Traceback" not in said.err
    assert text.count(". ") >= 1 and text.endswith((".", "?"))
    return text


def png() -> bytes:
    import io

    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "PNG")
    return stream.getvalue()


TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("missing.glb", None),
        ("empty.obj", b""),
        ("no_faces.obj", TRIANGLE.encode()),
        ("nan.obj", (TRIANGLE.replace("1 0 0", "nan 0 0") + "f 1 2 3\n").encode()),
        ("zero.glb", b""),
        ("picture.glb", png()),
        ("index.obj", (TRIANGLE + "f 1 2 9\n").encode()),
    ],
)
def test_a_mesh_that_cannot_be_used(name: str, content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    before = names(tmp_path)
    refused(capsys, bake(tmp_path / name, tmp_path / "x.glb"))
    assert names(tmp_path) == before


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--reward", "symetry=1"], "'symmetry'"),
        (["--reward", "symmetry=much"], "NAME=WEIGHT"),
        (["--trainer", "lora_rewrad"], "'lora_reward'"),
        (["--generator", "minni"], "'mini'"),
        (["--renderer", "embre"], "'embree'"),
        (["--device", "gpu"], "cuda"),
        (["--atlas", "100"], "at least 256"),
        (["--report", "nowhere/r.json"], "does not exist"),
        (["--sheet", "sheet.bmp"], ".png"),
        (["--resume"], "without --resume"),
    ],
)
def test_an_option_that_cannot_be_used(
    more: list[str], said: str, cube: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(capsys, bake(cube, tmp_path / "x.glb", *more))
    assert names(tmp_path) == {"cube.obj"}


def test_an_unknown_preset(cube: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "'demo'" in refused(capsys, main(["bake", str(cube), "red", "--out", str(tmp_path / "x.glb"), "--preset", "dmeo"]))


def test_an_output_that_cannot_be_written(cube: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "does not exist" in refused(capsys, bake(cube, tmp_path / "missing" / "x.glb"))
    assert "suffix" in refused(capsys, bake(cube, tmp_path / "x.fbx"))
    (tmp_path / "file").write_text("")
    assert "cannot be made" in refused(capsys, main(["demo", "--out", str(tmp_path / "file" / "demo")]))


def test_the_program_itself(tmp_path: Path) -> None:
    """Started as a process on a console that knows no umlauts: without a display it says what to do, with exit code 2."""
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0", "DISPLAY": ""}
    if sys.platform == "linux":
        ended = subprocess.run([sys.executable, "-m", "studio"], capture_output=True, env=environment, timeout=60)
        assert ended.returncode == 2 and b"studio bake" in ended.stderr and ended.stdout == b""
    missing = [sys.executable, "-m", "studio", "doctor", str(tmp_path / "наст\u00f6l.glb")]
    ended = subprocess.run(missing, capture_output=True, env=environment, timeout=60)
    assert ended.returncode == 2 and b"Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--seed", "1.5"], "whole number"),
        (["--seed", "-1"], "at least 0"),
        (["--iterations", "many"], "whole number"),
        (["--atlas", "1" + "0" * 400], "atlas_px"),
        (["--trainer", "lora_reward", "--iterations", "2"], "--reward"),
        (["--trainer", "texture_direct", "--reward", "palette=0"], "other than 0"),
    ],
)
def test_numbers_and_weights_that_make_no_run(
    more: list[str], said: str, cube: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(capsys, bake(cube, tmp_path / "x.glb", *more))
    assert names(tmp_path) == {"cube.obj"}


ODD = [("", "empty"), (" \n", "empty"), ("red " * 2000, "8,000"), ("red \udcff", "no text")]


@pytest.mark.parametrize(("prompt", "said"), ODD, ids=range(4))
def test_a_prompt_that_cannot_be_painted(
    prompt: str, said: str, cube: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(capsys, main(["bake", str(cube), prompt, "--out", str(tmp_path / "x.glb")]))
    assert names(tmp_path) == {"cube.obj"}


@pytest.mark.parametrize("trainer", ["lora_reward", "nabla_db", "texture_direct"])
def test_a_run_stopped_after_its_last_iteration_resumes_to_the_same(
    trainer: str, cube: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = ["--trainer", trainer, "--reward", "palette=1", "--iterations", "2"]
    assert bake(cube, tmp_path / "whole.glb", *more, "--report", str(tmp_path / "whole.json")) == 0

    stopped(monkeypatch, 2, cube, tmp_path / "x.glb", *more)
    assert bake(cube, tmp_path / "x.glb", *more, "--resume", "--report", str(tmp_path / "x.json")) == 0
    whole, resumed = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("whole", "x"))
    skip = {"seconds", "peak_memory_bytes"}
    assert {k: v for k, v in resumed.items() if k not in skip} == {k: v for k, v in whole.items() if k not in skip}
    assert (tmp_path / "x.glb").read_bytes() == (tmp_path / "whole.glb").read_bytes()


def test_new_uvs_are_offered_where_they_overlap_and_made_when_asked_for(
    cube: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All six faces of this cube share one square: the user is told, and --unwrap gives each a place of its own."""
    text = cube.read_text()
    stacked = tmp_path / "stacked.obj"
    lines = [f"vt {u} {v}" for u, v in ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9))]
    faces = ["f " + " ".join(f"{corner}/{k + 1}" for k, corner in enumerate(face)) for face in CUBE_FACES]
    stacked.write_text("\n".join([*(line for line in text.splitlines() if line.startswith("v ")), *lines, *faces]))

    assert bake(stacked, tmp_path / "kept.glb") == 0
    assert "--unwrap" in capsys.readouterr().err
    assert bake(stacked, tmp_path / "new.glb", "--unwrap") == 0
    assert "--unwrap" not in capsys.readouterr().err
    kept, new = (health(load(tmp_path / name)).uv_overlap for name in ("kept.glb", "new.glb"))
    assert kept > 0.9 and new < 0.01
