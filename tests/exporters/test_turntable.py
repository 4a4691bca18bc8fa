"""One turn of the mesh as a video, read back with the encoder's own decoder."""

import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
import torch

from studio import environment, resources
from studio.errors import OutputError, StudioError
from studio.exporters import SOCKET, Asset, turntable
from studio.surface.mesh import load
from studio.texture import Texture
from tests import meshes

SMALL = {"seconds": 1, "fps": 24, "size_px": 256}


@pytest.fixture(scope="module")
def asset():
    """A cube, each side in a colour of its own."""
    mesh = meshes.cube()
    texture = Texture.flat(mesh, 48)
    color = torch.zeros(1, 3, 48, 48)
    for i, rgb in enumerate(((0.8, 0.1, 0.1), (0.1, 0.7, 0.1), (0.1, 0.1, 0.8))):
        color[0, :, :24, 16 * i : 16 * (i + 1)] = torch.tensor(rgb)[:, None, None]
    return Asset(mesh, texture.with_channel("base_color", color), {})


def test_one_whole_turn_that_plays_everywhere(asset, tmp_path):
    """24 pictures of H.264 in yuv420p; the green right and the blue back side follow the red front, and no two are alike."""
    path = tmp_path / "turn.mp4"
    steps = list(SOCKET.make("turntable", **SMALL).steps(asset, path))
    assert [s.done for s in steps] == list(range(25)) and {s.total for s in steps} == {24} and steps[-1].written == (path,)
    assert list(tmp_path.iterdir()) == [path]
    reader = imageio_ffmpeg.read_frames(path)
    facts = next(reader)
    assert facts["codec"] == "h264" and facts["pix_fmt"].startswith("yuv420p") and facts["size"] == (256, 256)
    assert facts["fps"] == 24 and facts["duration"] == pytest.approx(1, abs=0.05)
    pictures = np.stack([np.frombuffer(p, np.uint8).reshape(256, 256, 3) for p in reader]).astype(int)
    assert len(pictures) == 24
    middle = pictures[:, 108:148, 108:148].mean((1, 2))
    strongest = middle.argmax(1)
    # The camera starts 30° beside the front and goes round to the right, 15° a picture.
    assert strongest[0] == 0 and strongest[4] == 1 and strongest[10] == 2
    assert (np.abs(np.diff(pictures, axis=0)).mean((1, 2, 3)) > 0.5).all()
    assert pictures[0, :8].mean() == pytest.approx(pictures[12, :8].mean(), abs=6)  # the studio stands still


@pytest.mark.long
@pytest.mark.parametrize("name", resources.sample_names())
def test_every_sample_turns(name, tmp_path):
    mesh = load(resources.sample(name))
    path = tmp_path / "turn.mp4"
    assert SOCKET.make("turntable", **SMALL).write(Asset(mesh, Texture.from_mesh(mesh, 64), {}), path) == [path]
    assert imageio_ffmpeg.count_frames_and_secs(path)[0] == 24


def test_closed_early_it_leaves_nothing(asset, tmp_path):
    """Neither a file nor a process stays behind when the export is given up after two pictures."""
    (tmp_path / "turn.mp4").write_bytes(b"the last one")
    steps = SOCKET.make("turntable", **SMALL).steps(asset, tmp_path / "turn.mp4")
    assert [next(steps).done for _ in range(3)] == [0, 1, 2]
    steps.close()
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"the last one"]


def test_what_goes_wrong_is_said_in_words(asset, tmp_path, monkeypatch):
    with pytest.raises(OutputError, match="does not exist"):
        SOCKET.make("turntable", **SMALL).write(asset, tmp_path / "nowhere" / "x.mp4")
    monkeypatch.setattr(turntable, "_command", lambda *a: ["python", "-c", "import sys; sys.exit('No space left on device')"])
    with pytest.raises(OutputError, match="No space left"):
        SOCKET.make("turntable", **SMALL).write(asset, tmp_path / "x.mp4")
    monkeypatch.undo()
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: (_ for _ in ()).throw(RuntimeError("no binary")))
    with pytest.raises(StudioError, match="no video encoder"):
        SOCKET.make("turntable", **SMALL).write(asset, tmp_path / "x.mp4")
    assert not list(tmp_path.iterdir())


def test_it_can_be_asked_for_every_environment():
    assert list(turntable.ENVIRONMENTS) == environment.names()
    assert subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-version"], capture_output=True).returncode == 0
