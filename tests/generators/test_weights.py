"""Weights on disk: they come back to fp16 precision, in small files, and damage is named."""

from __future__ import annotations

import json

import pytest
import torch

from studio.errors import StudioError
from studio.generators import SOCKET, _weights


@pytest.fixture
def saved(tmp_path, monkeypatch):
    p = SOCKET.make("tiny").build(device=torch.device("cpu"))
    monkeypatch.setattr(_weights, "SHARD_BYTES", 100_000)
    paths = _weights.save(p.network.state_dict(), p.network.size, tmp_path)
    (tmp_path / "vocabulary.txt").write_text("\n".join(p.vocabulary.words))
    return p, tmp_path, paths


def test_weights_come_back(saved) -> None:
    p, folder, paths = saved
    assert len(paths) > 1 and all(path.stat().st_size < 150_000 for path in paths)
    network, vocabulary = _weights.load(folder)
    assert vocabulary.words == p.vocabulary.words and network.size == p.network.size
    for a, b in zip(network.state_dict().values(), p.network.state_dict().values(), strict=True):
        assert torch.allclose(a, b, atol=2e-3, rtol=1e-3) and a.dtype == torch.float32


def test_eight_bits_come_back_within_half_a_step_of_each_channel(saved) -> None:
    p, folder, paths = saved
    before = sum(path.stat().st_size for path in paths)
    after = _weights.save(p.network.state_dict(), p.network.size, folder, bits=8)
    assert sum(path.stat().st_size for path in after) < 0.65 * before
    network, _ = _weights.load(folder)
    for a, b in zip(network.state_dict().values(), p.network.state_dict().values(), strict=True):
        step = b.flatten(1).abs().amax(1) / 127 if b.ndim > 1 else b.abs() * 2e-3
        assert ((a - b).abs().reshape(len(b), -1).amax(1) <= 0.52 * step + 1e-3 * b.abs().reshape(len(b), -1).amax(1)).all()


def test_files_older_than_a_field_still_load(saved) -> None:
    """The first release's size.json had seven fields: three channels, seven facts of geometry, no guidance in the weights."""
    _, folder, _ = saved
    numbers = json.loads((folder / "size.json").read_text())
    old = ("view_px", "channels", "heads", "head_channels", "text_channels", "text_layers", "groups", "tokens")
    (folder / "size.json").write_text(json.dumps({k: numbers[k] for k in old}))
    size = _weights.load(folder)[0].size
    assert (size.painted, size.geometry, size.latent, size.guidance) == (3, 7, 0, 1.0)


def test_damage_is_one_sentence(saved) -> None:
    _, folder, paths = saved
    whole = paths[0].read_bytes()
    paths[0].write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StudioError, match="cannot be read"):
        _weights.load(folder)
    paths[0].unlink()
    with pytest.raises(StudioError, match="incomplete"):
        _weights.load(folder)
    (folder / "size.json").unlink()
    with pytest.raises(StudioError, match="cannot be read"):
        _weights.load(folder)
    (folder / "vocabulary.txt").unlink()
    with pytest.raises(StudioError, match="missing"):
        _weights.load(folder)
