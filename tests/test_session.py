"""The session: every edit can be undone, a run answers at once, nothing is lost, and nothing that fails ends the window."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from studio import ground
from studio.config import Config, parse
from studio.document import Document, History
from studio.errors import StudioError
from studio.rewards import palette
from studio.session import Session, painting
from studio.session.problem import out_of_memory, problem
from studio.surface.mesh import Mesh
from tests.meshes import uv_sphere
from tests.runs import QUICK

SMALL = {
    **QUICK,
    "prompt": "red stripes",
    "iterations": 3,
    "trainer": {"name": "lora_reward", "seeds": 1},
    "rewards": {"palette": {"weight": 1.0}},
}


def as_obj(mesh: Mesh, path: Path) -> Path:
    """A mesh as a file."""
    assert mesh.corner_uv is not None
    lines = ["v {} {} {}".format(*v) for v in mesh.vertices]
    lines += [f"vt {u} {1 - v}" for u, v in mesh.corner_uv.reshape(-1, 2)]
    lines += ["f " + " ".join(f"{v + 1}/{3 * i + k + 1}" for k, v in enumerate(face)) for i, face in enumerate(mesh.faces)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def sphere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return as_obj(uv_sphere(24, 12), tmp_path_factory.mktemp("mesh") / "sphere.obj")


@pytest.fixture
def sessions() -> Iterator[Callable[..., Session]]:
    """Makes sessions that have loaded a mesh, and closes them."""
    made: list[Session] = []

    def make(mesh: Path | None, **changes: Any) -> Session:
        session = Session(parse(changes, base=parse(SMALL)))
        made.append(session)
        if mesh is not None:
            session.begin(mesh)
            until(session, lambda: session.texture is not None)
            session.commit()
        return session

    yield make
    for session in made:
        session.close()


def until(session: Session, true: Callable[[], bool], seconds: float = 60.0) -> float:
    """Poll as a window does; the seconds it took."""
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < seconds, (session.state, session.pace, session.problems)
        session.poll()
        time.sleep(0.005)
    return time.monotonic() - begun


def finished(session: Session) -> bool:
    return session.state in ("idle", "done", "failed")


def ran(session: Session) -> Session:
    """Start, and wait for the end."""
    session.start()
    until(session, lambda: finished(session))
    return session


def iterations(session: Session) -> list[int]:
    return [i for i, _ in session.curves.get("score", [])]


# -- documents ---------------------------------------------------------------------------------------------------------------


def edits(session: Session, chance: random.Random) -> list[Callable[[], None]]:
    return [
        lambda: session.set_weight("palette", chance.choice([0.0, 0.5, 2.0])),
        lambda: session.set_knob("run", "seed", chance.randrange(9)),
        lambda: session.set_knob("trainer", "rate", chance.choice([1e-3, 2e-3])),
        lambda: session.set_knob("rewards.palette", "softness", chance.choice([0.1, 0.3])),
        lambda: session.set_prompt(chance.choice(["red", "blue", "green lava"])),
        lambda: session.choose("generator", chance.choice(["mini", "tiny"])),
        lambda: session.choose("trainer", chance.choice(["lora_reward", "texture_direct", "sample"])),
        lambda: session.add_reward("symmetry"),
        lambda: session.remove_reward("symmetry"),
        lambda: session.apply_preset(chance.choice(["quick", "live", "deep"])),
        session.commit,
        session.undo,
        session.redo,
    ]


@pytest.mark.parametrize("seed", range(4))
def test_undoing_everything_leads_back_to_the_start_and_redoing_to_the_end(seed: int) -> None:
    session, chance = Session(parse(SMALL)), random.Random(seed)
    start = session.document
    for _ in range(50):
        try:
            chance.choice(edits(session, chance))()
        except StudioError:  # a reward that is there already, a knob the trainer does not have
            pass
    end, steps = session.document, 0
    while session.can_undo:
        session.undo()
        steps += 1
    assert session.document == start
    while session.can_redo:
        session.redo()
        steps -= 1
    assert session.document == end or steps < 0


def test_a_drag_is_one_step_and_a_drag_back_none() -> None:
    session = Session(parse(SMALL))
    start = session.document
    for weight in (0.9, 0.5, 0.2):
        session.set_weight("palette", weight)
    session.commit()
    session.set_weight("palette", 0.3)
    assert session.can_undo == "weight of palette"
    session.undo()
    assert session.config.weights() == {"palette": 0.2} and session.can_redo == "weight of palette"
    session.undo()
    assert session.document == start and session.can_undo is None
    for weight in (0.5, 1.0):
        session.set_weight("palette", weight)
    assert session.can_undo is None, "back where it began"


def test_a_new_edit_forgets_what_was_undone() -> None:
    history = History(Document(Path("m"), Config()))
    for seed in (1, 2):
        history.edit(Document(Path("m"), parse({"seed": seed})), key=str(seed))
    history.undo()
    history.edit(Document(Path("m"), parse({"seed": 3})), key="3")
    assert history.redo_label is None and history.undo_label == "3"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda s: s.set_weight("symmetry", 1.0),
        lambda s: s.set_weight("palette", 1e9),
        lambda s: s.set_knob("run", "atlas_px", 7),
        lambda s: s.set_knob("trainer", "rat", 1),
        lambda s: s.choose("generator", "dali"),
        lambda s: s.choose("prompt", "x"),
        lambda s: s.add_reward("palette"),
        lambda s: s.apply_preset("livly"),
        lambda s: s.start(),
        lambda s: s.export("gltfx", Path("x")),
    ],
)
def test_a_wrong_command_is_told_and_changes_nothing(wrong: Callable[[Session], None]) -> None:
    session = Session(parse(SMALL))
    before = session.document
    with pytest.raises(StudioError):
        wrong(session)
    assert session.document == before and session.can_undo is None and session.state == "idle"


def test_a_preset_leaves_what_is_painted_and_where() -> None:
    session = Session(parse(SMALL))
    session.set_knob("run", "seed", 7)
    session.apply_preset("deep")
    assert (session.config.prompt, session.config.seed, session.config.device) == ("red stripes", 7, "cpu")
    assert session.config.trainer.k == 4 and session.config.atlas_px == 1024  # type: ignore[attr-defined]


def test_words_are_marked_without_torch() -> None:
    code = (
        "import sys; from studio.session import Session; s = Session(); w = s.words('blue strpies');"
        "s.set_weight('palette', 0.5); s.forecast(); s.recents(); s.recoverable(); s.pending(); s.poll();"
        "assert w.known == ('blue',) and w.unknown == (('strpies', 'stripes'),), w;"
        "assert 'torch' not in sys.modules, 'torch'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# -- runs --------------------------------------------------------------------------------------------------------------------


def test_a_run_from_start_to_end(sphere: Path, sessions: Callable[..., Session]) -> None:
    session = sessions(sphere)
    plain, first, seen = session.texture, session.texture_id, []
    assert session.health and session.before is plain and session.mesh is not None and session.cameras == ()
    session.watch_heat("palette")
    session.start()
    assert session.state == "preparing"
    while not finished(session):
        session.poll()
        if session.state not in seen:
            seen.append(session.state)
        time.sleep(0.003)
    assert seen == ["preparing", "running", "done"] and not session.problems
    assert iterations(session) == [1, 2, 3] == [m.iteration for m in session.film]
    assert session.texture_id > first + 3 and session.before is plain and session.texture is not plain
    assert session.views is not None and session.views.shape == (2, 64, 64, 3) and session.views.dtype == np.float32
    assert len(session.cameras) == 2 and len({c.azimuth_deg for c in session.cameras}) == 2
    heat = session.heat("palette")
    assert heat is not None and heat.shape == (1, 1, 256, 256) and float(heat.max()) > 0 and session.heat("symmetry") is None
    assert session.shares == {"palette": 1.0} and session.pace.iteration == 3 and session.pace.it_per_s > 0
    assert session.pace.eta_s == 0 and 1e7 < session.pace.memory_bytes < session.pace.memory_total_bytes
    thumbnail = session.film[-1].thumbnail
    assert thumbnail.shape == (64, 64, 4) and thumbnail.dtype == np.float32 and 0.2 < thumbnail[..., 3].mean() < 0.9
    until(session, lambda: session.forecast().learned)
    assert session.dirty


def test_an_errand_is_run_at_once_and_delivered(sphere: Path, sessions: Callable[..., Session], tmp_path: Path) -> None:
    """As `studio demo` does it in the window: asset, contact sheet and report, where they were asked for."""
    from studio.job import Outputs

    outputs = Outputs(tmp_path / "ball.glb", report=tmp_path / "report.json", sheet=tmp_path / "sheet.png")
    session = sessions(None)
    session.run((sphere, parse({"held_out": 2, "iterations": 1}, base=parse(SMALL)), outputs))
    until(session, lambda: bool(session.tasks) and session.tasks[-1].state in ("done", "failed"), seconds=120)
    assert session.tasks[-1].state == "done" and session.state == "done" and session.config.prompt == "red stripes"
    assert all(path.stat().st_size > 100 for path in (outputs.asset, outputs.report, outputs.sheet) if path)


def test_colours_appear_while_denoising(sphere: Path, sessions: Callable[..., Session]) -> None:
    session = sessions(sphere, generator={"steps": 40}, iterations=1)  # many: a busy machine looks late
    first = session.texture_id
    session.start()
    until(session, lambda: session.texture_id > first)
    assert session.pace.iteration == 0 and session.pace.stage == "sampling"
    until(session, lambda: finished(session))


@pytest.mark.parametrize("when", ["preparing", "running"])
def test_a_stop_is_answered_and_keeps_what_there_is(when: str, sphere: Path, sessions: Callable[..., Session]) -> None:
    session = sessions(sphere, iterations=100)
    session.start()
    until(session, lambda: when == "preparing" or len(iterations(session)) >= 2)
    session.stop()
    assert session.state == "stopping"
    assert until(session, lambda: session.state == "idle") < 2
    assert session.texture is not None and not session.problems
    if when == "running":
        done = iterations(session)
        assert [m.iteration for m in session.film] == done and len(done) < 100
        assert session._checkpoint is not None and session._checkpoint["trainer"]["iteration"] == done[-1]


@pytest.mark.parametrize(("slow_s", "kept"), [(0.0, False), (0.6, False), (0.6, True)])
def test_a_stopped_run_leaves_its_last_texture_as_fine_as_its_atlas(
    slow_s: float, kept: bool, sphere: Path, sessions: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, or a little after the stop was answered; not where a moment was kept in between."""
    monkeypatch.setattr(painting, "PATIENCE_S", 0.2)
    wanted = []

    def detail(painter: Any, x: Any, pictures: torch.Tensor, scene: Any, *, atlas: Any, baker: Any) -> torch.Tensor:
        time.sleep(slow_s)
        wanted.append((baker.bake(pictures) + 0.2).clamp(0, 1))
        return torch.full_like(wanted[-1], 0.2)

    monkeypatch.setattr("studio.generators._multiview.MultiView.detail", detail)
    session = sessions(sphere, iterations=100)
    session.start()
    until(session, lambda: len(iterations(session)) >= 1)
    session.stop()
    assert until(session, lambda: session.state == "idle") < 2
    if kept:
        session.keep(session.film[0].id)
        until(session, lambda: session.texture is not None and not session._reader.busy)
        held = session.texture
    until(session, lambda: bool(wanted) and session._late is None)
    assert session.texture is not None and session._whole is session.texture
    if kept:
        assert session.texture is held
        return
    assert torch.equal(session.texture.channels["base_color"], wanted[-1])
    if not slow_s:
        last = session._film.texture(session.film[-1].id)
        assert (last.channels["base_color"] - wanted[-1]).abs().max() < 0.5 / 255 + 1e-6


def test_a_pass_that_cannot_be_broken_off_does_not_hold_the_window(
    sphere: Path, sessions: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stop is answered in time, and the next run waits for the last one's end."""
    from studio.objective import Objective

    monkeypatch.setattr(painting, "PATIENCE_S", 0.2)
    slow = Objective.pictures_gradient
    monkeypatch.setattr(Objective, "pictures_gradient", lambda *a: (time.sleep(1.5), slow(*a))[1])
    session = sessions(sphere, iterations=2)
    session.start()
    until(session, lambda: session.pace.stage == "sampling" and session.pace.step == 2)
    time.sleep(0.2)
    session.stop()
    assert until(session, lambda: session.state == "idle") < 1.0
    monkeypatch.setattr(Objective, "pictures_gradient", slow)
    ran(session)
    assert session.state == "done" and iterations(session) == [1, 2] == [m.iteration for m in session.film]


def test_pause_resume_and_step(sphere: Path, sessions: Callable[..., Session]) -> None:
    session = sessions(sphere, iterations=4)
    session.step()
    until(session, lambda: session.state == "paused")
    assert iterations(session) == [1]
    time.sleep(0.1)
    session.poll()
    assert iterations(session) == [1], "it stands still"
    session.step()
    until(session, lambda: session.state == "paused")
    assert iterations(session) == [1, 2]
    session.resume()
    assert session.state == "running"
    session.pause()
    assert session.pausing and session.state == "running", "its step goes on"
    until(session, lambda: session.state == "paused")
    count = len(iterations(session))
    time.sleep(0.2)
    session.poll()
    assert not session.pausing and len(iterations(session)) == count, "it stands still when it says so"
    session.start()
    until(session, lambda: session.state == "done")
    assert iterations(session) == [1, 2, 3, 4]


def test_a_moving_camera_slows_the_run_but_does_not_stop_it(sphere: Path, sessions: Callable[..., Session]) -> None:
    session = sessions(sphere, iterations=100, trainer={"name": "texture_direct"})
    session.start()
    until(session, lambda: len(iterations(session)) >= 1)
    session.hold(60)
    before = len(iterations(session))
    until(session, lambda: len(iterations(session)) > before + 1, seconds=10)
    assert session.state == "running"


def test_live_settings_take_effect_at_the_next_iteration(sphere: Path, sessions: Callable[..., Session]) -> None:
    session = sessions(sphere, iterations=5, rewards={"palette": 1.0, "symmetry": 0.0})
    session.step()
    until(session, lambda: session.state == "paused")
    assert session.shares == {"palette": 1.0}
    session.set_weight("symmetry", 2.0)
    session.set_knob("trainer", "k", 2)
    session.set_knob("trainer", "rate", 0.01)
    session.set_prompt("blue lava")
    assert session.pending() == ()
    session.set_knob("run", "seed", 5)
    session.set_knob("rewards.palette", "softness", 0.5)
    assert session.pending() == ("seed", "palette softness")
    session.step()
    until(session, lambda: session.state == "paused")
    assert session.markers == [(2, "symmetry 0 → 2, rate 0.002 → 0.01, k 1 → 2, prompt → blue lava")]
    assert set(session.shares) == {"palette", "symmetry"} and sum(session.shares.values()) == pytest.approx(1)
    session.stop()
    until(session, lambda: session.state == "idle")
    assert session.pending() == ()


def test_another_prompt_paints_another_picture(sphere: Path, sessions: Callable[..., Session]) -> None:
    """At a learning rate of nearly nothing only the prompt can have changed the picture."""
    session = sessions(sphere, iterations=3, trainer={"rate": 1e-7})
    session.step()
    until(session, lambda: session.state == "paused")
    before = session.curves["palette"][-1][1]
    session.step()
    until(session, lambda: session.state == "paused" and len(iterations(session)) == 2)
    same = session.curves["palette"][-1][1]
    session.set_prompt("blue lava")
    session.step()
    until(session, lambda: len(iterations(session)) == 3)
    other = session.curves["palette"][-1][1]
    assert abs(same - before) < 1e-6 < abs(other - same)


def test_a_kept_moment_continues_to_the_same_numbers(sphere: Path, sessions: Callable[..., Session]) -> None:
    session = ran(sessions(sphere, iterations=4))
    whole = {name: list(curve) for name, curve in session.curves.items()}
    moment = session.film[1]
    session.preview(moment.id)
    until(session, lambda: session.texture is not session._newest)
    session.preview(None)
    assert session.texture is session._newest
    session.keep(moment.id)
    assert [m.id for m in session.film if m.kept] == [moment.id]
    until(session, lambda: session._resume is not None)
    session.start()
    assert iterations(session) == [1, 2]
    until(session, lambda: session.state == "done")
    assert session.curves == whole and [m.iteration for m in session.film] == [1, 2, 3, 4]


def test_a_moment_that_was_kept_can_branch_off_with_other_weights(sphere: Path, sessions: Callable[..., Session]) -> None:
    session = sessions(sphere, iterations=2)
    session.start()
    until(session, lambda: len(session.film) == 1)
    session.keep(session.film[0].id)
    until(session, lambda: session._resume is not None)
    assert session.state == "idle"
    session.set_weight("palette", -1.0)
    ran(session)
    assert iterations(session) == [1, 2] and session.markers == [(2, "palette 1 → -1")]
    session.keep(session.film[-1].id)
    until(session, lambda: session._resume is not None)
    ran(session)
    assert iterations(session) == [1, 2, 3, 4], "as many again after the end"
    session.keep(session.film[0].id)
    until(session, lambda: session._resume is not None)
    session.set_knob("trainer", "rank", 8)
    ran(session)
    assert iterations(session) == [1, 2] and "rank" in " ".join(session.messages)


def test_trainers_without_a_lora_run_too(sphere: Path, sessions: Callable[..., Session]) -> None:
    session = sessions(sphere)
    session.choose("trainer", "texture_direct")
    ran(session)
    assert session.state == "done" and iterations(session) == [1, 2, 3]
    session.choose("trainer", "sample")
    ran(session)
    assert session.state == "done" and not iterations(session) and not session.problems
    with pytest.raises(StudioError, match="LoRA"):
        session.export("lora", Path("x.safetensors"))


# -- what goes wrong ---------------------------------------------------------------------------------------------------------


def broken(error: BaseException | float) -> Callable[..., Any]:
    """A reward that fails at its second look in a run, or gives this number then."""
    looks = iter(range(1000))

    def score(look: Any) -> torch.Tensor:
        if next(looks) < 2:
            return look.base_color.mean()
        if isinstance(error, BaseException):
            raise error
        return look.base_color.mean() * error

    return lambda *a: score


ERRORS = [
    (MemoryError(), "more memory", "computer ran out of memory"),
    (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "more memory", "card ran out of memory"),
    (StudioError("The paint is dry.", "Add water."), "failed", "The paint is dry."),
    (ZeroDivisionError("ouch"), "failed", "ZeroDivisionError: ouch"),
]


@pytest.mark.parametrize(("error", "title", "said"), ERRORS)
def test_a_problem_says_what_why_and_what_next(error: Exception, title: str, said: str) -> None:
    try:
        raise error
    except Exception as caught:
        told = problem("The run", caught)
    assert title in told.title and said in told.cause and told.remedy
    assert "Traceback" in told.log and "torch" in told.log and f"Python {sys.version_info[0]}" in told.log


@pytest.mark.parametrize("error", [MemoryError(), ZeroDivisionError("ouch")], ids=repr)
def test_an_error_becomes_a_problem_and_the_window_goes_on(
    error: Exception, sphere: Path, sessions: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = sessions(sphere, trainer={"name": "texture_direct"})
    monkeypatch.setattr(ground, "_kept", None)
    monkeypatch.setattr(palette.Palette, "build", broken(error))
    ran(session)
    assert session.state == "failed" and session.problems.popleft().title.startswith("The run")
    monkeypatch.setattr(ground, "_kept", None)
    monkeypatch.setattr(palette.Palette, "build", broken(1.0))
    assert ran(session).state == "done" and iterations(session) == [1, 2, 3]


def test_memory_errors_are_recognised() -> None:
    assert out_of_memory(torch.cuda.OutOfMemoryError("x")) and out_of_memory(
        RuntimeError("DefaultCPUAllocator: can't allocate memory")
    )
    assert not out_of_memory(ValueError("out of memory")) and not out_of_memory(RuntimeError("shape"))


def test_a_reward_that_is_not_a_number_is_switched_off_and_the_run_goes_on(
    sphere: Path, sessions: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = sessions(sphere, trainer={"name": "texture_direct"})
    session.add_reward("symmetry")
    monkeypatch.setattr(ground, "_kept", None)
    monkeypatch.setattr(palette.Palette, "build", broken(float("nan")))
    ran(session)
    assert session.state == "done" and not session.problems, session.problems
    assert "The reward 'palette' became nan and was switched off." in session.messages
    assert [i for i, _ in session.curves["symmetry"]] == [1, 2, 3] and len(session.curves["palette"]) < 3
    assert session.shares == {"symmetry": 1.0}


@pytest.mark.parametrize("text", [b"", b"v 0 0 0\n", b"\x00\xff" * 50])
def test_a_mesh_that_cannot_be_opened_leaves_the_one_that_is_open(
    text: bytes, sphere: Path, sessions: Callable[..., Session], tmp_path: Path
) -> None:
    session = sessions(sphere)
    mesh, document = session.mesh, session.document
    (tmp_path / "bad.obj").write_bytes(text)
    session.open(tmp_path / "bad.obj")
    until(session, lambda: bool(session.problems))
    assert session.mesh is mesh and session.document == document and "bad.obj" in session.problems[0].title


def test_a_run_goes_on_when_another_mesh_cannot_be_opened(sphere: Path, sessions: Callable[..., Session], tmp_path: Path) -> None:
    session = sessions(sphere, iterations=1000, trainer={"name": "texture_direct"})
    session.start()
    until(session, lambda: session.state == "running")
    for name in ("bad.obj", "bad.patina"):
        (tmp_path / name).write_text("no mesh at all")
        (session.open if name == "bad.obj" else session.open_project)(tmp_path / name)
        until(session, lambda: bool(session.problems))
        session.problems.clear()
        assert session.state == "running" and session.mesh is not None


def test_another_mesh_during_a_run_ends_it_and_undo_brings_the_first_one_back(
    sphere: Path, sessions: Callable[..., Session], tmp_path: Path
) -> None:
    session = sessions(sphere, iterations=100, trainer={"name": "texture_direct"})
    session.watch_heat("palette")
    session.start()
    until(session, lambda: len(session.film) > 0 and session.heat("palette") is not None)
    other = as_obj(uv_sphere(8, 6), tmp_path / "other.obj")
    session.open(other)
    until(session, lambda: session.document.mesh == other and session.texture is not None)
    assert session.state == "idle" and not session.film and not session.curves and session.can_undo == "open other.obj"
    assert session.heat("palette") is None, "what lay on another mesh's texels would be drawn on this one's"
    session.undo()
    until(session, lambda: session.mesh is not None and session.mesh.name == "sphere")
    until(session, lambda: session.recents()[:1] == [other])
    assert session.document.mesh == sphere
    assert ran_briefly(session)


def ran_briefly(session: Session) -> bool:
    session.step()
    until(session, lambda: session.state == "paused")
    return iterations(session) == [1]


# -- files -------------------------------------------------------------------------------------------------------------------


def test_exports_and_projects_come_back(sphere: Path, sessions: Callable[..., Session], tmp_path: Path) -> None:
    session = ran(sessions(sphere))
    for kind, name in (("glb", "x.glb"), ("obj", "x.obj"), ("png", "x.png"), ("lora", "x.safetensors")):
        session.export(kind, tmp_path / name)
    session.save(tmp_path / "work")
    until(session, lambda: all(t.state == "done" for t in session.tasks))
    assert [t.paths[-1].name for t in session.tasks] == ["x.glb", "x.obj", "x.png", "x.safetensors", "work.patina"]
    until(session, lambda: session.recents()[:1] == [tmp_path / "work.patina"])
    assert session.path == tmp_path / "work.patina" and not session.dirty

    again = sessions(None)
    again.begin(tmp_path / "work.patina")
    until(again, lambda: again.texture is not None and again.before is not None)
    assert again.curves == session.curves and again.config == session.config and not again.dirty and not again.can_undo
    assert again.texture is not None and session.texture is not None
    error = again.texture.channels["base_color"] - session.texture.channels["base_color"]
    assert float(error.abs().max()) <= 0.5 / 255 + 1e-6
    again.keep(again.film[0].id)
    until(again, lambda: again._resume is not None)
    ran(again)
    assert iterations(again) == [1, 2, 3, 4, 5, 6], "training goes on where the project was saved"


def test_roughness_and_metallic_that_were_painted_are_shown_exported_and_saved(
    sphere: Path, sessions: Callable[..., Session], tmp_path: Path, every_channel: None
) -> None:
    def maps(path: Path) -> set[str]:
        data = path.read_bytes()
        head = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
        return {name for name in head["materials"][0]["pbrMetallicRoughness"] if name.endswith("Texture")}

    session = ran(sessions(sphere))
    assert session.texture is not None and "metallic" in session.texture.channels and session.views is not None
    assert session.views.shape[-1] == 3
    session.export("glb", tmp_path / "x.glb")
    session.save(tmp_path / "work")
    until(session, lambda: all(t.state == "done" for t in session.tasks))
    again = sessions(None)
    again.begin(tmp_path / "work.patina")
    until(again, lambda: again.texture is not None and again.before is not None)
    again.export("glb", tmp_path / "again.glb")
    until(again, lambda: again.tasks[-1].state == "done")
    assert maps(tmp_path / "x.glb") == maps(tmp_path / "again.glb") == {"baseColorTexture", "metallicRoughnessTexture"}


def test_an_export_that_fails_is_told_and_others_go_on(sphere: Path, sessions: Callable[..., Session], tmp_path: Path) -> None:
    session = sessions(sphere)
    session.export("glb", tmp_path / "missing" / "x.glb")
    session.export("glb", tmp_path / "x.glb")
    until(session, lambda: session.tasks[-1].state == "done")
    assert [t.state for t in session.tasks] == ["failed", "done"] and "missing" in session.problems[0].cause


def test_a_cancelled_export_leaves_nothing(
    sphere: Path, sessions: Callable[..., Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from studio.exporters import Step, glb

    gate = SimpleNamespace(closed=False)

    def steps(self: object, asset: object, path: Path) -> Iterator[Step]:
        try:
            for i in range(10_000):
                yield Step(i, 10_000)
                time.sleep(0.001)
        finally:
            gate.closed = True

    monkeypatch.setattr(glb.GLB, "steps", steps)
    session = sessions(sphere)
    session.export("glb", tmp_path / "x.glb")
    until(session, lambda: session.tasks[0].done > 3)
    session.cancel(session.tasks[0])
    until(session, lambda: session.tasks[0].state == "cancelled")
    assert gate.closed and not (tmp_path / "x.glb").exists()


CRASH = """
import time
from pathlib import Path
from studio.config import parse
from studio.session import Session

session = Session(parse({settings!r}))
session.begin(Path({mesh!r}))
while session.mesh is None:
    session.poll(); time.sleep(0.01)
session.set_prompt("my work")
session.autosave()
while session._writer.busy:
    session.poll(); time.sleep(0.01)
print("saved", flush=True)
time.sleep(60)
"""


def test_a_killed_window_loses_nothing_that_was_autosaved(
    sphere: Path, sessions: Callable[..., Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATINA_HOME", str(tmp_path))
    code = CRASH.format(settings=SMALL, mesh=str(sphere))
    window = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ}, text=True)
    assert window.stdout is not None and window.stdout.readline() == "saved\n"
    window.send_signal(signal.SIGKILL)
    window.wait()

    session = sessions(None)
    left = session.recoverable()
    assert left is not None
    session.begin(left)
    until(session, lambda: session.texture is not None)
    assert session.config.prompt == "my work" and session.dirty and session.path is None
    assert session.recoverable() is None
    session.close()
    assert sessions(None).recoverable() == session._autosave.path, "closed, and still in no file of the user's"
    session.forget()
    session.close()
    assert sessions(None).recoverable() is None, "declined"


def test_closing_while_running_writes_what_there_is(sphere: Path, sessions: Callable[..., Session]) -> None:
    from studio.project import load

    session = sessions(sphere, iterations=100)
    session.start()
    until(session, lambda: len(iterations(session)) >= 1)
    begun = time.monotonic()
    session.close()
    assert time.monotonic() - begun < 4
    saved = load(session._autosave.path)
    assert saved.texture is not None and saved.curves["score"] and saved.lora
    assert Session(parse(SMALL)).recoverable() == session._autosave.path


def test_what_is_saved_is_not_offered_again(
    sphere: Path, sessions: Callable[..., Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATINA_HOME", str(tmp_path))
    session = sessions(sphere)
    session.set_prompt("blue stripes")
    assert session.unsaved
    session.save(tmp_path / "mine.patina")
    session.close()
    assert not session.unsaved and sessions(None).recoverable() is None


def test_beginning_anew_is_one_step(sphere: Path, sessions: Callable[..., Session]) -> None:
    """The paint goes, the settings can be called back, and nothing is left to be asked about."""
    session = sessions(sphere, iterations=1)
    assert session.can_undo
    session.start()
    until(session, lambda: session.state == "done")
    session.new()
    until(session, lambda: session.mesh is not None and session.mesh.name == "vase" and not session.film)
    assert session.cameras == () and session.document == session._blank and not session.unsaved and session.path is None
    assert session.can_undo == "new project"
    session.undo()
    until(session, lambda: session.mesh is not None and session.mesh.name == "sphere")
    assert session.config.iterations == 1
    until(session, lambda: session.loading is None)
