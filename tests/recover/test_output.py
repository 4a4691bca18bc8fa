"""What recovery writes, what unpacks it, and what compares it; and the commands, on tiny examples."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from studio import environment, materials, resources
from studio.__main__ import main
from studio.errors import StudioError
from studio.exporters import SOCKET, Asset
from studio.materials import Task, work
from studio.progress import Progress
from studio.recover import PAINTED, Recovered, settings
from studio.recover.compare import compare, dark_gloss, differences
from studio.recover.examples import EXAMPLES, example, sphere_mesh
from studio.recover.output import write, write_light
from studio.surface.atlas import build_atlas
from studio.surface.mesh import Mesh, load
from studio.texture import Texture
from tests.meshes import two_set_box

SIZE_PX = 64
TINY = ("--iterations", "6", "--fine-iterations", "3", "--levels", "2", "--atlas", "32", "--batch", "256", "--size", "32")


@pytest.fixture(autouse=True)
def small_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples are photographed from fewer sides, and the sphere has fewer faces."""
    sphere = replace(example("sphere"), mesh=sphere_mesh(32, 16))
    monkeypatch.setitem(EXAMPLES, "sphere", lambda: sphere)
    monkeypatch.setattr(materials, "EXAMPLE_VIEWS", 3)


def gltf(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]])


def found(mesh: Mesh, seed: int = 0) -> Recovered:
    g, sets = torch.Generator().manual_seed(seed), len(mesh.sets)
    channels = {name: torch.rand(sets, c, SIZE_PX, SIZE_PX, generator=g) for name, c in (("base_color", 3), ("normal", 3))}
    channels |= {name: torch.rand(sets, 1, SIZE_PX, SIZE_PX, generator=g) for name in ("roughness", "metallic", "occlusion")}
    texture = Texture(tuple(m.name for m in mesh.sets), channels)
    seen = torch.ones(sets, SIZE_PX, SIZE_PX, dtype=torch.bool)
    return Recovered(texture, seen, environment.load("white"), torch.rand(3, 16, 32, generator=g), 30.0)


def test_maps_light_and_glb_say_the_same(tmp_path: Path) -> None:
    mesh = example("sphere").mesh
    result = found(mesh)
    written = write(mesh, result, tmp_path, receipt={"by": "test"}, report={"psnr": 30.0})
    assert {p.name for p in written} == {
        *(f"{n}.png" for n in ("base_color", "normal", "roughness", "metallic", "occlusion", "orm")),
        *("light.exr", "sphere.glb", "report.json"),
    }
    orm = np.asarray(Image.open(tmp_path / "orm.png"))
    for k, name in enumerate(("occlusion", "roughness", "metallic")):
        np.testing.assert_array_equal(orm[..., k], np.asarray(Image.open(tmp_path / f"{name}.png")))
    material = gltf(tmp_path / "sphere.glb")["materials"][0]
    pbr = material["pbrMetallicRoughness"]
    assert material["occlusionTexture"]["index"] == pbr["metallicRoughnessTexture"]["index"]
    assert len({material["normalTexture"]["index"], pbr["baseColorTexture"]["index"], material["occlusionTexture"]["index"]}) == 3
    again = load(tmp_path / "sphere.glb").sets[0]
    assert again.metallic_roughness is not None and again.base_color is not None
    np.testing.assert_array_equal(again.metallic_roughness, orm)
    np.testing.assert_array_equal(again.base_color[..., :3], np.asarray(Image.open(tmp_path / "base_color.png")))
    light = environment._read_exr(tmp_path / "light.exr")
    assert result.radiance is not None
    np.testing.assert_allclose(light, result.radiance.permute(1, 2, 0).numpy(), rtol=1e-3)


def test_a_glb_that_has_normals_and_occlusion_gets_the_new_ones(tmp_path: Path) -> None:
    mesh = two_set_box()
    first = SOCKET.make("glb").write(Asset(mesh, found(mesh).texture, {}, PAINTED), tmp_path / "a.glb")[-1]
    once = load(first)
    second = SOCKET.make("glb").write(Asset(once, found(once, 1).texture, {}, PAINTED), tmp_path / "b.glb")[-1]
    tree = gltf(second)
    assert len(tree["images"]) == 6 and len(tree["materials"]) == 2
    for material in tree["materials"]:
        assert {"normalTexture", "occlusionTexture"} <= set(material)


def test_several_sets_are_named(tmp_path: Path) -> None:
    mesh = two_set_box()
    write(mesh, found(mesh), tmp_path, receipt={}, report={})
    assert (tmp_path / "wall_orm.png").exists() and (tmp_path / "lid_base_color.png").exists()


def test_the_light_is_whole_or_not_there(tmp_path: Path) -> None:
    path = write_light(torch.rand(3, 8, 16), tmp_path / "süß und weit.exr")
    assert environment.load(path).name == "süß und weit" and [p.name for p in tmp_path.iterdir()] == [path.name]


# -- Comparing ------------------------------------------------------------------------------------------------------------


def painted(folder: Path, name: str, **flat: float) -> Path:
    """The sphere with its true materials, some of them replaced by one value, as a GLB."""
    scene = example("sphere")
    texture = scene.texture(build_atlas(scene.mesh, 128))
    for channel, value in flat.items():
        texture = texture.with_channel(channel, torch.full_like(texture.channels[channel], value))
    return SOCKET.make("glb").write(Asset(scene.mesh, texture, {}, PAINTED), folder / f"{name}.glb")[-1]


def test_the_same_materials_differ_by_nothing_and_others_by_what_was_changed(tmp_path: Path) -> None:
    truth, same, metal = (load(painted(tmp_path, n, **f)) for n, f in (("a", {}), ("b", {}), ("c", {"metallic": 1.0})))
    assert compare(truth, same, size_px=128)["base_color"] == {"mean": 0.0, "rms": 0.0}
    found = compare(truth, metal, size_px=128)
    assert found["compared"] == "texels" and found["roughness"]["mean"] == 0
    assert found["metallic"]["mean"] == pytest.approx(15 / 18, abs=0.02)
    assert found["dark"]["dielectric taken for metal"] == 1.0 and found["dark"]["glossy taken for rough"] == 0.0


def test_other_uvs_are_compared_on_the_surface(tmp_path: Path) -> None:
    truth = load(painted(tmp_path, "a"))
    other = truth.with_uv(truth.corner_uv[:, :, ::-1].copy(), "turned")  # type: ignore[index]
    turned = [
        None if m is None else np.ascontiguousarray(m.swapaxes(0, 1))
        for m in (truth.sets[0].base_color, truth.sets[0].metallic_roughness)
    ]
    other = replace(other, sets=(replace(truth.sets[0], base_color=turned[0], metallic_roughness=turned[1]),))
    found = compare(truth, other, size_px=128)
    assert found["compared"] == "surface points" and found["count"] == 100_000
    assert found["base_color"]["mean"] < 0.01 and found["metallic"]["mean"] < 0.01


def test_the_confusion_of_dark_surface_counts_what_was_taken_for_what() -> None:
    black, white = [0.05] * 3, [0.9] * 3
    truth = torch.tensor([[*black, 0.1, 0.0], [*black, 0.1, 0.0], [*black, 0.8, 1.0], [*white, 0.1, 0.0]])
    seen = torch.tensor([[*black, 0.1, 0.9], [*black, 0.7, 0.1], [*black, 0.2, 0.2], [*black, 0.9, 1.0]])
    assert dark_gloss(truth, seen) == {
        "share": 0.75,
        "dielectric taken for metal": 0.5,
        "metal taken for dielectric": 1.0,
        "glossy taken for rough": 0.5,
        "rough taken for glossy": 1.0,
    }
    assert dark_gloss(truth[3:], seen[3:])["metal taken for dielectric"] is None
    assert differences(truth, truth)["metallic"] == {"mean": 0.0, "rms": 0.0}


# -- Commands -------------------------------------------------------------------------------------------------------------


def test_an_example_is_recovered_logged_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    assert main(["recover", "--example", "sphere", "--out", str(out), "--log", str(log), "--light", "learn", *TINY]) == 0
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert set(report["error"]) == {"base_color", "roughness", "metallic"} and report["light"] == "learned"
    assert 0 <= report["light_angle_deg"] <= 180 and (out / "light.exr").exists() and report["held_out_psnr"] > 5
    assert not (out / "recover.checkpoint.pt").exists()
    assert "Off the truth by" in capsys.readouterr().out
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(log), size_guidance={"images": 0})
    events.Reload()
    tags = events.Tags()
    names = {tag.split("/")[1] for tag in tags["scalars"]}
    assert {"loss", "rate_A", "rate_B", "gradient_A", "gradient_B", "gradient_of_the_light", "psnr", "error_roughness"} <= names
    assert any(tag.startswith("maps/base_color") for tag in tags["images"])


def test_capture_then_recover_then_unpack_then_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mesh = painted(tmp_path, "ball")
    assert main(["capture", str(mesh), "--out", str(tmp_path / "set"), "--views", "3", "--size", "32", "--atlas", "64"]) == 0
    assert capsys.readouterr().out.strip().endswith("capture.json")
    out = tmp_path / "found"
    assert main(["recover", str(mesh), str(tmp_path / "set"), "--out", str(out), *TINY]) == 0
    assert json.loads((out / "report.json").read_text(encoding="utf-8"))["light"] == "softbox"
    assert main(["unpack", str(out / "ball.glb"), "--out", str(tmp_path / "maps")]) == 0
    for name in ("base_color", "roughness", "metallic", "occlusion"):
        unpacked, own = (np.asarray(Image.open(folder / f"{name}.png")) for folder in (tmp_path / "maps", out))
        np.testing.assert_array_equal(unpacked, own)
    capsys.readouterr()
    assert (
        main(["compare-materials", str(mesh), str(out / "ball.glb"), "--atlas", "64", "--report", str(tmp_path / "r.json")]) == 0
    )
    said = json.loads(capsys.readouterr().out)
    assert said["compared"] == "texels" and said == json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))


def test_a_stopped_recovery_is_kept_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in its fourth step, it leaves a checkpoint and no results; resumed, it ends as if nobody had stopped it."""
    monkeypatch.setattr(materials, "held_out_psnr", lambda *given: 0.0)  # another test looks at it
    chosen = settings(
        "split", {"iterations": 6, "fine_iterations": 3, "levels": 2, "atlas_px": 32, "batch_px": 256, "size_px": 32}
    )
    task, stopped = Task(chosen, example="sphere", device="cpu", renderer="embree"), tmp_path / "stopped"
    seen: list[Progress] = []

    def stop() -> bool:
        return sum(p.checkpoint is not None for p in seen) == 4

    written, report = work(task, stopped, show=seen.append, stop=stop)
    assert report is None and [p.name for p in written] == ["recover.checkpoint.pt"]
    assert [p.name for p in stopped.iterdir()] == ["recover.checkpoint.pt"]
    work(task, stopped, resume=True)
    work(task, tmp_path / "whole")
    names = {p.name for p in (tmp_path / "whole").iterdir()}
    assert names == {p.name for p in stopped.iterdir()}
    for name in ("base_color.png", "roughness.png", "metallic.png", "normal.png"):
        assert (stopped / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    with pytest.raises(StudioError, match="no unfinished run"):
        work(task, stopped, resume=True)


def test_a_mesh_without_uvs_gets_some_and_bad_views_are_drawn(tmp_path: Path) -> None:
    """The sphere as a bare PLY, photographed with its UVs; one picture is another's."""
    ball = painted(tmp_path, "ball")
    assert main(["capture", str(ball), "--out", str(tmp_path / "set"), "--views", "4", "--size", "32", "--atlas", "64"]) == 0
    path = tmp_path / "set" / "capture.json"
    tree = json.loads(path.read_text(encoding="utf-8"))
    tree["frames"][1]["transform_matrix"][0][3] += 0.6
    path.write_text(json.dumps(tree), encoding="utf-8")
    mesh = load(ball)
    rows = [" ".join(map(str, v)) for v in mesh.vertices @ np.linalg.inv(mesh.T_work_source)[:3, :3].T]
    head = f"ply\nformat ascii 1.0\nelement vertex {len(rows)}\n" + "".join(f"property float {c}\n" for c in "xyz")
    faces = ["3 " + " ".join(map(str, f)) for f in mesh.faces]
    bare = tmp_path / "bare.ply"
    bare.write_text(
        "\n".join([f"{head}element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header", *rows, *faces]) + "\n"
    )
    assert main(["recover", str(bare), str(tmp_path / "set"), "--out", str(tmp_path / "o"), *TINY]) == 0
    assert [p.name for p in (tmp_path / "o" / "overlays").iterdir()] == ["0001.png"]
    assert load(tmp_path / "o" / "bare.glb").corner_uv is not None


def test_mistakes_are_two_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "o")]
    for arguments, said in (
        (["recover", *out], "Give MESH IMAGES, or --example vase."),
        (["recover", "--example", "spere", *out], "Did you mean 'sphere'?"),
        (["recover", "--example", "sphere", "--preset", "splitt", *out], "Did you mean 'split'?"),
        (["recover", "--example", "sphere", "--levels", "3", *out], "Choose one of 2, 4, 8, 16."),
        (["recover", "--example", "sphere", "--batch", "3", *out], "at most 4194304 px."),
        (["recover", str(resources.sample("vase")), str(tmp_path), *out], "holds no cameras"),
        (["recover", "--example", "sphere", "--exposure", "x", *out], "is no number"),
    ):
        assert main(arguments) == 2 and said in capsys.readouterr().err
