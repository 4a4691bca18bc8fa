"""A recovery as a window has it: asked for, followed, paused, stopped, failed, and worn by the mesh."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio.config import parse
from studio.errors import StudioError
from studio.session import Session
from studio.session.recovering import Recovery, Wish
from studio.surface.mesh import Mesh

TINY = {"iterations": 12, "fine_iterations": 3, "levels": 2, "atlas_px": 32, "batch_px": 256, "size_px": 32, "ssaa": 1}


class Told:
    """A recovery, and what it told its window."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.failed: list[BaseException] = []
        self.changes = 0
        self.recovery = Recovery(changed=self._changed, say=self.said.append, failed=self.failed.append)
        for knob, value in TINY.items():
            self.recovery.set(knob, value)

    def _changed(self) -> None:
        self.changes += 1

    def until(self, done: Callable[[Recovery], Any], seconds: float = 60) -> list[Any]:
        """Poll until then; what came."""
        end, came = time.monotonic() + seconds, []
        while not done(self.recovery):
            assert time.monotonic() < end, (self.recovery.state, self.recovery.moment, self.failed)
            came += [each for each in self.recovery.poll() if each is not None]
            time.sleep(0.005)
        return came


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mesh, Path]:
    """The sphere, of fewer faces, and its pictures."""
    import torch

    from studio import environment, renderers
    from studio.captures import shoot
    from studio.recover.examples import example, sphere_mesh
    from studio.surface.atlas import build_atlas

    folder, scene = tmp_path_factory.mktemp("pictures"), replace(example("sphere"), mesh=sphere_mesh(32, 16))
    atlas = build_atlas(scene.mesh, 64)
    rasterizer = renderers.build("embree", torch.device("cpu"))[0]
    stand = shoot.Studio(scene.mesh, atlas, scene.texture(atlas), environment.load("white"), rasterizer)
    for _ in shoot.shoot(stand, folder, views=3, size_px=32, environment="white"):
        pass
    return scene.mesh, folder


def test_what_is_missing_is_said() -> None:
    told = Told()
    with pytest.raises(StudioError, match="No pictures were chosen"):
        told.recovery.start(None, "cpu", "embree")
    told.recovery.use(Path("nowhere"))
    with pytest.raises(StudioError, match="no mesh"):
        told.recovery.start(None, "cpu", "embree")


def test_wishes_are_checked_and_presets_keep_sizes() -> None:
    told = Told()
    with pytest.raises(StudioError, match="out of range"):
        told.recovery.set("iterations", 0)
    told.recovery.choose("joint")
    wish = told.recovery.wish
    assert wish.settings.joint and wish.settings.metallic_start == 0.5 and wish.settings.iterations == 12
    told.recovery.choose("split")
    assert told.recovery.wish.settings == Told().recovery.wish.settings and told.changes >= len(TINY) + 2
    assert Wish().settings.ssaa == 2, "the default"


def test_it_pauses_goes_on_and_comes_to_its_end(pictures: tuple[Mesh, Path], tmp_path: Path) -> None:
    mesh, folder = pictures
    told = Told()
    told.recovery.use(folder)
    told.recovery.start(mesh, "cpu", "embree")
    told.until(lambda r: r.moment.stage == "learning materials")
    told.recovery.toggle()
    assert told.recovery.state == "paused"
    told.recovery.toggle()
    came = told.until(lambda r: r.state == "done")
    *previews, outcome = came
    assert previews and all(p.size_px <= 128 for p in previews) and told.recovery.outcome is outcome
    assert outcome.mesh is mesh and outcome.report["views"] == 3 and outcome.report["light"] == "white"
    assert not told.failed and not told.recovery.active and (told.recovery.moment.psnr or 0) > 5
    assert {"report.json", "orm.png", "sphere.glb"} <= {p.name for p in outcome.write(tmp_path / "out")}
    told.recovery.abandon()
    assert told.recovery.outcome is None and told.recovery.state == "idle"


def test_a_stop_leaves_nothing_and_a_mistake_is_told(pictures: tuple[Mesh, Path]) -> None:
    mesh, folder = pictures
    told = Told()
    told.recovery.use(folder)
    told.recovery.set("iterations", 5000)
    told.recovery.start(mesh, "cpu", "embree")
    told.until(lambda r: r.moment.stage == "learning materials")
    told.recovery.stop()
    assert told.recovery.state == "stopping"
    told.until(lambda r: r.state == "idle")
    assert told.recovery.outcome is None and not told.failed
    told.recovery.convention("left_handed")
    told.recovery.start(mesh, "cpu", "embree")
    told.until(lambda r: r.state == "failed")
    assert isinstance(told.failed[0], StudioError) and len(told.recovery.misfits) == 3
    assert told.recovery.misfits[0].shown.shape[-1] == 3


# -- in a session -------------------------------------------------------------------------------------------------------------


def polled(session: Session, done: Callable[[], Any], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, (session.recovery.state, session.recovery.moment, session.problems)
        session.poll()
        time.sleep(0.005)


@pytest.fixture
def session(pictures: tuple[Mesh, Path], tmp_path: Path) -> Iterator[Session]:
    """The sphere is open and its pictures are chosen."""
    from studio.exporters import SOCKET, Asset
    from studio.texture import Texture

    mesh, folder = pictures
    file = SOCKET.make("glb").write(Asset(mesh, Texture.flat(mesh, 64), {}, frozenset({"base_color"})), tmp_path / "ball.glb")[-1]
    session = Session(
        parse({"generator": {"name": "tiny"}, "atlas_px": 256, "device": "cpu", "renderer": "embree", "prompt": "red"})
    )
    session.begin(file)
    polled(session, lambda: session.texture is not None)
    session.recovery.use(folder)
    for knob, value in TINY.items():
        session.recovery.set(knob, value)
    yield session
    session.close()


def test_the_mesh_wears_what_was_found_and_it_can_be_written(session: Session, tmp_path: Path) -> None:
    plain, mesh = session.texture, session.mesh
    with pytest.raises(StudioError, match="No materials were recovered"):
        session.export_materials(tmp_path / "early")
    session.recover()
    with pytest.raises(StudioError, match="being recovered"):
        session.start()
    polled(session, lambda: session.recovery.state == "done")
    outcome = session.recovery.outcome
    assert outcome is not None and session.texture is outcome.found.texture and session.before is plain
    assert session.mesh is mesh and session.unsaved and {"normal", "roughness", "metallic"} <= session._painted
    session.export_materials(tmp_path / "found")
    polled(session, lambda: session.tasks[-1].state == "done")
    assert (tmp_path / "found" / "orm.png").exists()


def test_a_stop_shows_again_what_there_was_and_another_mesh_ends_it(session: Session) -> None:
    plain = session.texture
    session.recovery.set("iterations", 5000)
    session.recover()
    polled(session, lambda: session.texture is not plain)  # a preview
    session.recovery.stop()
    polled(session, lambda: session.recovery.state == "idle")
    assert session.texture is plain and session.recovery.outcome is None
    session.recover()
    session.open_sample("mug")
    polled(session, lambda: session.mesh is not None and session.mesh.name == "mug")
    assert session.recovery.state == "idle" and not session.recovery.active
