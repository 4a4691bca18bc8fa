"""LoRAs in use: in settings, on the command line, in a run that goes on, in projects and in a session."""

from __future__ import annotations

import json
import os
import tomllib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from studio import document as edits
from studio import generators, lora, project, resources
from studio.__main__ import main
from studio.config import Config, Loaded, parse, preset
from studio.document import Document
from studio.errors import StudioError
from studio.progress import Live, Progress, Result
from studio.run import run
from studio.session import Session
from studio.surface.mesh import load
from tests.runs import BALL, QUICK
from tests.test_session import as_obj, finished, until

SMALL = {
    **QUICK,
    "prompt": "red",
    "iterations": 2,
    "trainer": {"name": "lora_reward", "seeds": 1, "rate": 0.03},
    "rewards": {"palette": 1.0},
}


def small(**changes: Any) -> Config:
    return parse(changes, base=parse(SMALL))


def result(config: Config, live: Callable[[], Live] | None = None) -> Result:
    found = deque(run(config, BALL, live), maxlen=1)[0].result
    assert found is not None
    return found


def colours(found: Result) -> torch.Tensor:
    return found.texture.channels["base_color"]


@pytest.fixture(scope="module")
def taught() -> Result:
    """What two steps have taught `tiny`; held out is one seed."""
    return result(small(held_out=1))


@pytest.fixture
def file(taught: Result, tmp_path: Path) -> Path:
    path = tmp_path / "rust.safetensors"
    path.write_bytes(lora.encoded(taught.lora, taught.receipt))
    return path


# -- settings -----------------------------------------------------------------------------------------------------------------


def test_settings_say_which_and_how_much() -> None:
    config = parse({"loras": {"rust": {"file": "/a/rust.safetensors", "scale": 0.6}, 'a "b".c': "C:\\d\\e.safetensors"}})
    assert config.scales() == {"rust": 0.6, 'a "b".c': 1.0}
    assert parse(tomllib.loads(config.to_toml())) == config
    moved = parse({"loras": {"rust": {"scale": 0.2}}}, base=config)
    assert moved.loras[0] == Loaded("rust", "/a/rust.safetensors", 0.2) and moved.loras[1:] == config.loras[1:]
    assert config.public().table()["loras"]["rust"] == {"file": "rust.safetensors", "scale": 0.6}


@pytest.mark.parametrize("wrong", [3, {"a": 1}, {"a": {}}, {"a": {"file": "x", "scale": 1.5}}, {"a": {"file": "x", "scael": 1}}])
def test_settings_that_make_no_sense_are_refused(wrong: object) -> None:
    with pytest.raises(StudioError):
        parse({"loras": wrong})


def test_a_preset_names_files_beside_itself(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text('[loras.rust]\nfile = "rust.safetensors"\n')
    assert parse(preset(str(tmp_path / "p.toml"))).loras[0].file == str(tmp_path / "rust.safetensors")


def test_edits(file: Path) -> None:
    config = edits.with_lora(small(), file)
    assert config.loras == (Loaded("rust", str(file), 1.0),)
    with pytest.raises(StudioError, match="loaded already"):
        edits.with_lora(config, file)
    other = file.rename(file.with_name("again.safetensors"))
    two = edits.with_lora(config, other, name="rust")
    assert two.scales() == {"rust": 1.0, "rust 2": 1.0} and edits.without_lora(two, "rust 2") == config
    half = edits.with_knob(config, "loras.rust", "scale", 0.5)
    assert half.scales() == {"rust": 0.5} and edits.difference(config, half) == ("LoRA rust scale",)
    assert edits.difference(config, two) == ("LoRA rust 2 added",)
    assert edits.with_preset(config, "demo").loras == config.loras
    with pytest.raises(StudioError, match="rust"):
        edits.with_knob(config, "loras.rsut", "scale", 0.5)
    with pytest.raises(StudioError, match="for the generator 'tiny', not for 'mini'"):
        edits.with_lora(parse({}), other)


def test_a_run_is_told_of_scales_and_asked_for_nothing_it_has_not_loaded(file: Path) -> None:
    started = edits.with_lora(small(), file)
    now = edits.with_knob(started, "loras.rust", "scale", 0.25)
    now = replace(now, loras=(*now.loras, Loaded("late", "late.safetensors")))
    assert edits.live(started, now, None).loras == {"rust": 0.25}
    assert edits.difference(edits.as_run(started, now), now) == ("LoRA late added",)
    gone = edits.without_lora(now, "rust")
    assert edits.live(started, gone, None).loras == {} and edits.as_run(started, gone).loras == ()


# -- runs ---------------------------------------------------------------------------------------------------------------------


def test_a_run_writes_down_what_it_taught(taught: Result, file: Path) -> None:
    about = lora.about(file)
    painter = generators.SOCKET.make("tiny").build(device=torch.device("cpu"))
    assert about.base_model == f"tiny@{painter.fingerprint}" and about.adapter == "lora" and about.held_out == 1
    assert about.before == taught.report["before"] != about.after == taught.report["after"]
    assert about.rewards == {"palette": 1.0} and about.recipe["prompt"] == "red"


def test_scale_0_is_no_lora_at_all_and_scale_1_paints_what_was_learned(taught: Result, file: Path) -> None:
    sample = small(trainer="sample")
    plain = colours(result(sample))
    used = edits.with_lora(sample, file)
    assert torch.equal(colours(result(edits.with_knob(used, "loras.rust", "scale", 0.0))), plain)
    assert torch.equal(colours(result(used)), colours(taught)) and not torch.equal(plain, colours(taught))


def test_learning_begins_where_the_loaded_lora_ended(taught: Result, file: Path) -> None:
    """The untrained picture of such a run is what the first one has painted in the end."""
    untrained = result(edits.with_lora(small(iterations=0), file))
    assert torch.equal(colours(untrained), colours(taught)) and untrained.receipt["loras"] == {"rust": lora.read(file)[2]}


def test_scales_are_live_and_journalled(file: Path) -> None:
    used = edits.with_lora(small(), file)
    scale, journals, changes = [1.0], [], []
    for p in run(used, BALL, lambda: Live(weights={"palette": 1.0}, loras={"rust": scale[0]})):
        if p.checkpoint is not None:
            scale[0] = 0.25
            changes.append(p.change)
        journals += [p.result.receipt["weights"]] if p.result is not None else []
    assert changes == ["", "rust 1 → 0.25"]
    assert [(entry["iteration"], entry["loras"]) for entry in journals[0]] == [(0, {"rust": 1.0}), (1, {"rust": 0.25})]


def test_a_scale_that_moves_while_a_texture_is_sampled_begins_it_anew(file: Path) -> None:
    sample = edits.with_lora(small(trainer="sample"), file)
    scale, steps = [1.0], []
    for p in run(sample, BALL, lambda: Live(loras={"rust": scale[0]})):
        if p.stage == "sampling":
            steps.append(p.step)
            scale[0] = 0.3
        last: Progress = p
    assert steps == [1, 1, 2] and last.result is not None
    expected = result(edits.with_knob(sample, "loras.rust", "scale", 0.3))
    assert torch.equal(colours(last.result), colours(expected))
    assert [entry["loras"] for entry in last.result.receipt["weights"]] == [{"rust": 1.0}, {"rust": 0.3}]


def test_a_prompt_adapter_learns_and_is_loaded_like_a_lora(tmp_path: Path) -> None:
    found = result(small(trainer={"adapter": "prompt"}, iterations=1))
    assert set(found.lora) == {"text.offset"} and found.report["after"] != found.report["before"]
    path = tmp_path / "words.safetensors"
    path.write_bytes(lora.encoded(found.lora, found.receipt))
    again = result(edits.with_lora(small(trainer="sample"), path))
    assert torch.equal(colours(again), colours(found))


def test_a_lora_of_other_weights_or_that_changed_is_refused(file: Path) -> None:
    with pytest.raises(StudioError, match="'rust' was made for other weights"):
        result(edits.with_lora(small(generator={"weights_seed": 7}), file))
    used = edits.with_lora(small(iterations=1), file)
    kept = next(p.checkpoint() for p in run(used, BALL) if p.checkpoint is not None)
    file.write_bytes(lora.encoded(lora.read(file)[0], {}))
    with pytest.raises(StudioError, match="LoRAs have changed"):
        deque(run(used, BALL, resume=kept), maxlen=0)
    file.unlink()
    with pytest.raises(StudioError, match="rust.safetensors"):
        next(run(used, BALL))


# -- command line, projects, sessions -----------------------------------------------------------------------------------------


def test_the_command_line_loads_several(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mesh = as_obj(BALL, tmp_path / "ball.obj")
    (tmp_path / "q.toml").write_text(small(trainer="sample").to_toml(), encoding="utf-8")
    odd = Path("a=b.safetensors")
    odd.write_bytes(file.read_bytes())
    bake = ["bake", str(mesh), "--preset", str(tmp_path / "q.toml"), "--out", "x.glb"]
    assert main([*bake, "--lora", "rust.safetensors=0.6", "--lora", str(odd), "--project", "x.patina"]) == 0
    inside = project.load("x.patina").document.config
    assert inside.scales() == {"rust": 0.6, "a=b": 1.0}
    capsys.readouterr()
    for wrong, said in (
        ("rust.safetensors=x", "Write FILE=SCALE"),
        ("rust.safetensors=2", "at most 1"),
        ("no.x", "cannot be read"),
    ):
        assert main([*bake, "--lora", wrong]) == 2 and said in capsys.readouterr().err


def test_a_project_brings_its_loras_along(file: Path, tmp_path: Path) -> None:
    mesh = load(as_obj(BALL, tmp_path / "ball.obj"))
    config = edits.with_lora(small(), file)
    project.save(project.Project(Document(mesh.source.path, config), mesh), tmp_path / "p.patina")
    data = file.read_bytes()
    file.unlink()
    back = project.load(tmp_path / "p.patina").document.config
    (loaded,) = back.loras
    assert (loaded.name, loaded.scale, Path(loaded.file).read_bytes()) == ("rust", 1.0, data)
    assert Path(loaded.file).is_relative_to(resources.cache_dir())
    back.check_loras()
    # Without its file a project is saved all the same, and says what is missing when it is to be used.
    project.save(project.Project(Document(mesh.source.path, config), mesh), tmp_path / "q.patina")
    missing = project.load(tmp_path / "q.patina").document.config
    with pytest.raises(StudioError, match=r"'rust\.safetensors' cannot be read") as told:
        missing.check_loras()
    assert "Take it out of the list" in told.value.remedy
    assert edits.without_lora(missing, "rust").loras == ()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    session = Session(small(iterations=1))
    session.begin(as_obj(BALL, tmp_path / "ball.obj"))
    until(session, lambda: session.texture is not None)
    yield session
    session.close()


def test_what_a_run_has_learned_is_used_with_one_click(session: Session, tmp_path: Path) -> None:
    assert not session.has_learned
    with pytest.raises(StudioError, match="No LoRA was learned"):
        session.use_learned()
    session.start()
    until(session, lambda: finished(session))
    assert session.has_learned
    exports_say_what_they_were_made_for(session, tmp_path)
    learned = colours_of(session)
    session.use_learned()
    until(session, lambda: bool(session.config.loras))
    assert session.config.scales() == {"learned": 1.0} and not session.has_learned and not session.problems
    assert session.about_lora("learned").startswith("Made for the generator 'tiny'")
    assert Path(session.config.loras[0].file).parent == resources.loras_dir()
    session.undo()
    assert session.config.loras == () and session.has_learned
    session.redo()
    session.edit(edits.with_plug(session.config, "trainer", "sample"), key="trainer")
    session.start()
    until(session, lambda: finished(session))
    assert torch.equal(colours_of(session), learned)
    session.remove_lora("learned")
    assert session.config.loras == () and session.can_undo == "remove learned"
    with pytest.raises(StudioError):
        session.add_lora(tmp_path / "none.safetensors")
    assert session.config.loras == ()


def colours_of(session: Session) -> torch.Tensor:
    assert session.texture is not None
    return session.texture.channels["base_color"].clone()


def exports_say_what_they_were_made_for(session: Session, folder: Path) -> None:
    session.export("lora", folder / "mine.safetensors")
    session.save(folder / "p.patina")
    until(session, lambda: [t.state for t in session.tasks] == ["done", "done"])
    about = lora.about(folder / "mine.safetensors")
    assert about.generator == "tiny" and about.before == session.report["before"] and about.after == session.report["after"]
    assert lora.taught(project.load(folder / "p.patina").checkpoint)[1]["base_model"] == about.base_model
    assert os.fspath(folder) not in json.dumps(dict(about.recipe))
