"""Regions: locked texels stay the mesh's own to the last bit, weights scale the push and nothing else, wrong masks are told."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from studio import archive, resources
from studio.__main__ import main
from studio.camera import looking_along
from studio.config import Config, parse
from studio.document import Document
from studio.errors import StudioError
from studio.job import Outputs, work
from studio.looks import Term
from studio.objective import Objective
from studio.progress import Live, Progress
from studio.project import Project
from studio.project import load as load_project
from studio.project import save as save_project
from studio.region import Region, build, layers, read, seen_within
from studio.run import run
from studio.session.editing import Editing
from studio.session.running import continuation
from studio.surface.atlas import Atlas, build_atlas
from studio.surface.mesh import Mesh, load
from studio.texture import Texture
from tests.meshes import joined, patch, two_set_box, uv_sphere
from tests.runs import QUICK
from tests.test_replay import objective, surface

SIZE = QUICK["atlas_px"]
SMALL = {
    **QUICK,
    "iterations": 2,
    "trainer": {"name": "lora_reward", "seeds": 1},
    "rewards": {"palette": 1.0},
}


def png(path: Path, pixels: np.ndarray) -> str:
    Image.fromarray(pixels).save(path)
    return str(path)


def halves(path: Path, *, size: int = SIZE, left: int = 255, right: int = 0) -> str:
    """A mask that has one grey left and another one right."""
    pixels = np.full((size, size), right, np.uint8)
    pixels[:, : size // 2] = left
    return png(path, pixels)


def mapped(mesh: Mesh, folder: Path) -> Path:
    """A mesh as an OBJ whose materials have maps of noise."""
    assert mesh.corner_uv is not None
    source = np.random.default_rng(0)
    lines, materials = ["mtllib m.mtl"], []
    for material in mesh.sets:
        png(folder / f"{material.name}.png", source.integers(0, 256, (SIZE, SIZE, 3), np.uint8))
        materials.append(f"newmtl {material.name}\nKd 1 1 1\nmap_Kd {material.name}.png")
    lines += ["v {} {} {}".format(*v) for v in mesh.vertices]
    lines += [f"vt {u} {1 - v}" for u, v in mesh.corner_uv.reshape(-1, 2)]
    for i, face in enumerate(mesh.faces):
        lines.append(f"usemtl {mesh.sets[mesh.face_set[i]].name}")
        lines.append("f " + " ".join(f"{v + 1}/{3 * i + k + 1}" for k, v in enumerate(face)))
    (folder / "m.mtl").write_text("\n".join(materials))
    (folder / "mesh.obj").write_text("\n".join(lines))
    return folder / "mesh.obj"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mapped(two_set_box(), tmp_path_factory.mktemp("box"))


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return build_atlas(two_set_box(), 64)


# -- files ------------------------------------------------------------------------------------------------------------------


def test_brightness_of_every_kind_of_picture(tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    truth = ramp.astype(np.float32) / 255
    assert np.array_equal(read(png(tmp_path / "grey.png", ramp)).grey, truth)
    assert np.array_equal(read(png(tmp_path / "deep.png", ramp.astype(np.uint16) * 257)).grey, truth)
    assert np.array_equal(read(png(tmp_path / "rgb.png", np.repeat(ramp[..., None], 3, -1))).grey, truth)
    bits = read(png(tmp_path / "bits.png", ramp > 127))
    assert set(np.unique(bits.grey)) == {0.0, 1.0} and not bits.note

    half = np.dstack([np.full((16, 16, 3), 255, np.uint8), ramp])
    clear = read(png(tmp_path / "clear.png", half))
    assert np.array_equal(clear.grey, truth) and "transparent" in clear.note
    colour = read(png(tmp_path / "red.png", np.full((4, 4, 3), (255, 0, 0), np.uint8)))
    assert colour.grey[0, 0] == pytest.approx(0.299) and "brightness" in colour.note


def test_wrong_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    good = (tmp_path / "good.png", np.zeros((8, 8), np.uint8))
    cut = Path(png(*good)).read_bytes()[:40]
    (tmp_path / "cut.png").write_bytes(cut)
    wide = png(tmp_path / "wide.png", np.zeros((1, 16385), np.uint8))
    for path, said in ((tmp_path / "none.png", "no mask"), (tmp_path, "no mask"), ("a\0b", "."), ("x" * 5000, ".")):
        with pytest.raises(StudioError, match=said):
            read(path)
    for path in (tmp_path / "text.png", tmp_path / "cut.png"):
        with pytest.raises(StudioError, match="no picture"):
            read(path)
    with pytest.raises(StudioError, match="16384"):
        read(wide)


def test_one_mask_for_all_sets_or_one_each(tmp_path: Path) -> None:
    white, other = halves(tmp_path / "a.png", size=8, right=255), halves(tmp_path / "b.png", size=4, right=64)
    names = ("wall", "lid")
    assert layers([white], names, 8, empty=0.0).value.min() == 1
    each = layers(["", other], names, 8, empty=0.0)
    assert each.value[0].max() == 0 and each.value[1, 0, 0, 0] == 1 and float(each.value[1, 0, 0, 7]) == pytest.approx(64 / 255)
    assert len(each.notes) == 1 and "4 × 4 px" in each.notes[0]
    with pytest.raises(StudioError, match="3 masks .* 2 texture sets"):
        layers([white, white, white], names, 8, empty=0.0)


def test_settings_come_back_from_toml_and_survive_presets(tmp_path: Path) -> None:
    import tomllib

    from studio.document import with_preset

    masks = {"region": ["a, b.png"], "lock": ["", 'c".png'], "rewards": {"palette": {"weight": -1.0, "region": ["d.png"]}}}
    config = parse({**masks, "angle_mask_deg": 60, "reward_chunk": 2})
    assert parse(tomllib.loads(config.to_toml())) == config
    assert config.masks() == {"region": ("a, b.png",), "lock": ("", 'c".png'), "rewards.palette.region": ("d.png",)}
    assert with_preset(config, "live").lock == config.lock
    assert config.with_masks(lambda path: "").masks() == {}
    folder = parse({"lock": str(tmp_path / "secret" / "x.png")}).public()
    assert folder.lock == ("x.png",)
    for wrong in ({"angle_mask_deg": 91}, {"reward_chunk": 0}, {"lock": 3}, {"rewards": {"palette": {"region": 3}}}):
        with pytest.raises(StudioError):
            parse(wrong)


# -- regions ----------------------------------------------------------------------------------------------------------------


def test_the_gutter_follows_its_chart(atlas: Atlas, tmp_path: Path) -> None:
    """Bilinear lookups at a chart's border read gutter texels: they must not bring paint into what is locked."""
    mask = np.zeros((64, 64), np.uint8)
    mask[2:20, 2:20] = 255  # inside the first chart of every set, gutter around it left out
    region = build(atlas, ("wall", "lid"), lock=(png(tmp_path / "m.png", mask), ""))
    assert region.locked is not None
    locked = region.locked[:, 0]
    asked = torch.from_numpy(mask > 0)
    assert bool(locked[0][asked].all()) and not locked[1].any()
    assert torch.equal(locked & atlas.valid, torch.stack([asked, torch.zeros_like(asked)]) & atlas.valid)
    gutter = ~atlas.valid & (atlas.claim >= 0)
    follows = locked.flatten()[atlas.nearest.flatten()].reshape(locked.shape)
    assert torch.equal(locked[0] & gutter[0], (follows[0] | asked) & gutter[0]) and bool((follows & gutter & ~locked).sum() == 0)
    assert region.facts["locked"] == pytest.approx(float((locked & atlas.valid).sum() / atlas.valid.sum()))


def masked_objective(region: Region, *terms: Term) -> Objective:
    work = objective(terms)
    work.region = region
    return work


def red_and_blue() -> tuple[Term, Term]:
    return (
        Term("a", lambda look: (look.base_color[:, 0] ** 2).mean()),
        Term("b", lambda look: 1000 * (look.base_color[:, 2] ** 2).mean()),
    )


TEXELS = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(3))
BOTH = Live(weights={"a": 1.0, "b": -2.0}, watched=True)


def push(region: Region, *, live: Live = BOTH) -> Tensor:
    return masked_objective(region, *red_and_blue()).score(TEXELS, live, step=0).push


def test_weights_scale_the_push_exactly_and_locked_texels_get_none(tmp_path: Path) -> None:
    _, atlas, _, _ = surface()
    plain = push(Region())
    half = build(atlas, ("paint",), region=[halves(tmp_path / "half.png", size=32, left=128, right=0)])
    scaled = push(half)
    assert half.weight is not None and torch.equal(scaled, plain * half.weight)
    assert torch.equal(scaled[..., :14], plain[..., :14] * (128 / 255)) and scaled[..., 18:].abs().max() == 0
    locked = build(atlas, ("paint",), lock=[halves(tmp_path / "lock.png", size=32)])
    kept = push(locked)
    assert kept[..., :16].abs().max() == 0 and torch.equal(kept[..., 18:], plain[..., 18:])

    own = build(atlas, ("paint",), of_reward={"b": [halves(tmp_path / "own.png", size=32)]})
    one = push(own)
    assert torch.equal(one[:, 0], plain[:, 0]) and one[:, 2, :, 18:].abs().max() == 0
    assert torch.equal(one[:, 2, :, :14], plain[:, 2, :, :14])


def test_a_small_region_is_not_pushed_harder_and_equal_weights_stay_equal() -> None:
    few = torch.zeros(1, 1, 32, 32)
    few[..., 4:6, 4:6] = 1
    plain, small = push(Region()), push(Region(weight=few))
    assert torch.equal(small, plain * few) and float(small.norm()) < 0.2 * float(plain.norm())
    even = Live(weights={"a": 1.0, "b": 1.0})
    for weight in (1.0, 0.25):
        pushed = push(Region(weight=torch.full((1, 1, 32, 32), weight)), live=even)
        assert float(pushed[:, 0].norm()) == pytest.approx(weight) and float(pushed[:, 2].norm()) == pytest.approx(weight)


def test_heat_and_shares_are_of_what_is_pushed() -> None:
    left = torch.zeros(1, 1, 32, 32)
    left[..., :16] = 1
    scores = masked_objective(Region(own={"b": left * 0}, weight=left), *red_and_blue()).score(TEXELS, BOTH, step=0)
    assert scores.shares == {"a": 1.0, "b": 0.0}
    assert scores.heat["a"][..., 16:].max() == 0 < scores.heat["a"][..., :16].max() and scores.heat["b"].max() == 0


def test_nothing_left_is_told(atlas: Atlas, tmp_path: Path) -> None:
    names, black = ("wall", "lid"), halves(tmp_path / "black.png", size=64, left=0)
    with pytest.raises(StudioError, match="nothing is left to learn"):
        build(atlas, names, region=[black]).check(atlas, {"a": 1.0, "b": 0.0})
    assert build(atlas, names, region=[black]).check(atlas, None).weight is not None
    told = build(atlas, names, of_reward={"a": [black]}).check(atlas, {"a": 1.0, "b": 1.0}).notes
    assert len(told) == 1 and "'a'" in told[0]
    with pytest.raises(StudioError, match="nothing is left to paint"):
        build(atlas, names, lock=[halves(tmp_path / "white.png", size=64, right=255)]).check(atlas, None)


# -- angles -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("angle_deg", [30.0, 60.0])
def test_texels_within_an_angle_of_a_sphere_are_a_cap(angle_deg: float) -> None:
    mesh = uv_sphere(96, 48)
    atlas = build_atlas(mesh, 128)
    camera = replace(looking_along(np.array([0.0, 0.0, 1.0])), orthographic=True)
    seen = seen_within(mesh, atlas, [camera], angle_deg)
    cosine = (atlas.normal * torch.from_numpy(camera.direction()).float()).sum(-1)
    away = torch.rad2deg(torch.arccos(cosine.clamp(-1, 1)))
    clear = atlas.valid & ((away - angle_deg).abs() > 4)  # flat faces differ from the round sphere
    assert torch.equal(seen[clear], (away < angle_deg)[clear])
    both = seen_within(mesh, atlas, [camera, replace(camera, azimuth_deg=camera.azimuth_deg + 180)], angle_deg)
    assert float(both.sum()) == pytest.approx(2 * float(seen.sum()), rel=0.05)


def test_what_hides_counts() -> None:
    """A small plate before a large one: from the front the large one's middle is not seen."""

    def plate(side: float, z: float, low: float) -> Any:
        box = (low, low, low + 0.46, low + 0.46)
        return patch(lambda s, t: np.stack([(s - 0.5) * side, (0.5 - t) * side, 0 * s + z], -1), 1, 1, box)

    plates = [plate(1.0, 0.0, 0.02), plate(0.5, 0.2, 0.52)]
    mesh = joined(plates, "plates")
    atlas = build_atlas(mesh, 64)
    seen = seen_within(mesh, atlas, [replace(looking_along(np.array([0.0, 0.0, 1.0])), orthographic=True)], 45)
    large = atlas.valid[0, :32, :32]
    assert not seen[0, 16, 16] and seen[0, 48, 48] and seen[0, 3, 3]
    assert float(seen[0, :32, :32][large].float().mean()) == pytest.approx(0.75, abs=0.05)


# -- runs -------------------------------------------------------------------------------------------------------------------


def small(**changes: Any) -> Config:
    return parse(changes, base=parse(SMALL))


def watched(config: Config, mesh: Any, **more: Any) -> list[Progress]:
    return list(run(config, mesh, lambda: Live(weights=config.weights(), watched=True), **more))


def done(seen: list[Progress]) -> list[Progress]:
    """The ends of the iterations."""
    return [p for p in seen if p.checkpoint is not None]


@pytest.mark.parametrize("trainer", ["lora_reward", "texture_direct"])
def test_locked_texels_are_the_meshs_own_in_all_that_is_shown_and_written(
    box: Path, tmp_path: Path, trainer: str, every_channel: None
) -> None:
    """Two sets, one of them locked in half: previews, every iteration and the result, in every channel the mesh has."""
    config = small(lock=[halves(tmp_path / "lock.png"), ""], trainer=trainer)
    mesh = load(box)
    own = Texture.from_mesh(mesh, SIZE)
    region = build(build_atlas(mesh, SIZE), own.names, lock=config.lock)
    assert region.locked is not None
    seen = watched(config, mesh)
    textures = [p.texture for p in seen if p.texture is not None]
    assert len(textures) > config.iterations and any(p.texture is not None for p in seen if p.stage == "sampling")
    for texture in textures:
        for name, texels in own.channels.items():
            changed = (texture.channels[name] != texels).any(1, keepdim=True)
            assert not (changed & region.locked).any(), name
            assert (changed & ~region.locked).sum() > 0.9 * (~region.locked).sum()
    result = seen[-1].result
    assert result is not None and result.report["masks"]["locked"] == region.facts["locked"]
    assert result.receipt["config"]["lock"] == ("lock.png", "") and str(tmp_path) not in json.dumps(result.receipt)


@pytest.mark.long
def test_locked_texels_are_in_the_exported_file_and_a_stopped_run_goes_on(box: Path, tmp_path: Path) -> None:
    masks = {"lock": [halves(tmp_path / "lock.png"), ""], "region": [halves(tmp_path / "r.png", left=200, right=100)]}
    config = small(**masks)
    whole = work(config, box, Outputs(tmp_path / "whole.glb", project=tmp_path / "p.patina"))
    assert whole.result is not None
    mesh, painted = load(box), load(tmp_path / "whole.glb")
    before, after = (m.sets[0].base_color for m in (mesh, painted))
    assert before is not None and after is not None and painted.sets[0].name == "wall"
    locked = build(build_atlas(mesh, SIZE), ("wall", "lid"), lock=config.lock).locked
    assert locked is not None
    same = (before[..., :3] == after[..., :3]).all(-1)
    assert same[locked[0, 0].numpy()].all() and same.mean() < 0.7

    shown: list[Progress] = []
    stopped = work(config, box, Outputs(tmp_path / "x.glb"), show=shown.append, stop=lambda: len(done(shown)) == 1)
    assert stopped.result is None and (tmp_path / "x.checkpoint.pt").exists()
    again = work(config, box, Outputs(tmp_path / "x.glb"), resume=True)
    assert again.result is not None and again.result.report["steps"] == whole.result.report["steps"]
    for name, texels in whole.result.texture.channels.items():
        assert torch.equal(texels, again.result.texture.channels[name])

    project = load_project(tmp_path / "p.patina")
    kept = [Path(path) for path in project.document.config.lock if path]
    assert kept[0].read_bytes() == (tmp_path / "lock.png").read_bytes() and kept[0].is_relative_to(resources.cache_dir())
    assert str(tmp_path) not in json.dumps(project.receipt())


def test_a_mask_that_changed_is_no_continuation_except_by_hand(tmp_path: Path) -> None:
    mesh, config = uv_sphere(24, 12), small(region=[halves(tmp_path / "r.png", left=200, right=100)])
    state: dict[str, Any] = next(p.checkpoint() for p in run(config, mesh) if p.checkpoint is not None)
    halves(tmp_path / "r.png")
    with pytest.raises(StudioError, match="masks have changed"):
        deque(run(config, mesh, resume=state))
    again, resume, _ = continuation(replace(config, lock=(halves(tmp_path / "l.png", left=0, right=255),)), mesh, state)
    result = deque(run(again, mesh, resume=resume), maxlen=1)[0].result
    assert result is not None and len(result.report["steps"]) == 2 and result.report["masks"]["locked"] > 0


def test_masks_do_not_outlive_their_uvs(tmp_path: Path) -> None:
    config = small(unwrap=True, lock=[halves(tmp_path / "l.png")])
    with pytest.raises(StudioError, match="new UVs, and lock"):
        deque(run(config, uv_sphere(24, 12)))


def test_another_mesh_takes_the_masks_off(tmp_path: Path) -> None:
    class Desk(Editing):
        def _edited(self, before: Document) -> None:
            pass

    masks = {"lock": ["l.png"], "rewards": {"palette": {"region": ["", "r.png"]}}}
    desk = Desk(Document(tmp_path / "a.obj", parse(masks)))
    assert not desk._adopt(tmp_path / "a.obj") and len(desk.config.masks()) == 2
    (said,) = desk._adopt(tmp_path / "b.obj")
    assert "masks" in said and not desk.config.masks() and "palette" in desk.config.weights()
    desk.undo()
    assert len(desk.config.masks()) == 2


def test_a_project_keeps_masks_and_never_other_files(box: Path, tmp_path: Path) -> None:
    """Whatever they are called; one that is gone is missed at the start; no path of this computer is taken from a project."""
    odd, secret = halves(tmp_path / "my:mask? .png", size=8), tmp_path / "secret.txt"
    secret.write_text("mine")
    save_project(Project(Document(box, parse({"lock": ["x" * 5000]})), load(box)), tmp_path / "long.patina")
    config = parse({"lock": [odd, str(tmp_path / "gone.png")], "rewards": {"palette": {"region": [odd]}}})
    path = save_project(Project(Document(box, config), load(box)), tmp_path / "p.patina")
    found = load_project(path).document.config
    assert Path(found.lock[0]).read_bytes() == Path(odd).read_bytes() and found.lock[0] == found.rewards[0].region[0]
    with pytest.raises(StudioError, match="gone.png"):
        read(found.lock[1])
    contents = archive.read(path)
    contents["document.toml"] = contents["document.toml"].replace(b"masks/missing/gone.png", str(secret).encode())
    archive.write(path, contents)
    assert not Path(load_project(path).document.config.lock[1]).exists()


def test_texels_seen_too_slantwise_are_told_and_not_pushed() -> None:
    """With two mirrored faces on every texel it is enough that one is painted."""
    mesh = uv_sphere(24, 12)
    config = small(trainer="texture_direct", angle_mask_deg=30, iterations=1)
    seen = list(run(config, mesh))
    result = seen[-1].result
    assert result is not None and 0.5 < result.report["masks"]["unseen"] < 0.95
    assert any("within 30°" in p.message for p in seen)
    first = deque(run(small(trainer="sample"), mesh), maxlen=1)[0].texture
    assert first is not None
    moved = (first.channels["base_color"] != result.texture.channels["base_color"]).any(1) & build_atlas(mesh, SIZE).valid
    assert 0 < float(moved.sum()) <= (1 - result.report["masks"]["unseen"]) * float(build_atlas(mesh, SIZE).valid.sum()) + 1

    front = (lambda s, t: np.stack([s, 1 - t, 0 * s], -1), lambda s, t: np.stack([1 - s, 1 - t, 0 * s - 0.2], -1))
    twice = joined([patch(side, 4, 4, (0.1, 0.1, 0.9, 0.9)) for side in front], "twice")
    result = deque(run(replace(config, angle_mask_deg=85.0, views=2, max_views=2), twice), maxlen=1)[0].result
    assert result is not None and result.report["masks"]["unseen"] < 0.05


def test_a_negative_weight_pushes_the_other_way() -> None:
    config = small(trainer={"name": "texture_direct", "rate": 0.05}, rewards={"palette": {"weight": -1.0}}, iterations=4)
    steps = [p.metrics for p in done(list(run(config, uv_sphere(24, 12))))]
    assert steps[-1]["palette"] < steps[0]["palette"] - 0.005 and [s["score"] for s in steps] == [-s["palette"] for s in steps]


# -- the command ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def bake(box: Path, tmp_path: Path) -> Callable[..., int]:
    preset = tmp_path / "quick.toml"
    preset.write_text(parse(SMALL).to_toml())
    common = ["bake", str(box), "red", "--preset", str(preset), "--out", str(tmp_path / "x.glb"), "--iterations", "1"]
    return lambda *more: main([*common, *more])


@pytest.mark.long
def test_the_command_takes_masks_and_negative_weights(bake: Callable[..., int], tmp_path: Path) -> None:
    lock, own = halves(tmp_path / "lock.png"), halves(tmp_path / "own.png", left=100, right=250)
    more = ["--lock", lock, "", "--region", own, "--region", f"palette={own}", "--reward", "palette=-1", "--angle-mask-deg", "60"]
    assert bake(*more, "--report", str(tmp_path / "r.json")) == 0
    masks = json.loads((tmp_path / "r.json").read_text())["masks"]
    assert set(masks["files"]) == {"lock", "region", "rewards.palette.region"} and 0 < masks["locked"] < 1 and masks["unseen"] > 0


def test_the_command_says_what_is_wrong_with_a_mask(
    bake: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    black = halves(tmp_path / "black.png", left=0)
    for more, said in (
        (("--lock", "nowhere.png"), "There is no mask"),
        (("--region", "simmetry=x.png"), "Did you mean 'symmetry'?"),
        (("--region", black), "nothing is left to learn"),
        (("--reward-chunk", "none"), "reward_chunk"),
        (("--angle-mask-deg", "2"), "at least 5"),
        (("--lock", black, black, black), "2 texture sets (wall, lid)"),
    ):
        assert bake(*more) == 2
        assert said in capsys.readouterr().err
