"""Training in miniature: losses fall, checkpoints resume, whole and light, and the weights load as a painter's."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import pytest
import torch

from studio.errors import StudioError
from studio.generators import _weights
from studio.generators._multiview import MultiView
from studio.pretrain import autoencoder, light, session, train
from studio.pretrain.batches import turned


def lines(said: str, name: str) -> list[list[str]]:
    return [line.split() for line in said.splitlines() if line.startswith(f"{name} ") and " it/s" in line]


def training(small, *more: str) -> train.Training:
    """A training at its start."""
    made: list[train.Training] = []
    with pytest.MonkeyPatch.context() as m:
        m.setattr(train, "run", lambda task, *_, **__: made.append(task))
        train.main(small(*more))
    return made[0]


def test_the_loss_of_a_batch_falls(small, monkeypatch) -> None:
    monkeypatch.setattr(session, "WARM", 1)
    t = training(small, "--pictures", "8", "--rate", "0.01")
    same = t.batch()
    monkeypatch.setattr(t, "batch", lambda: same)
    losses = []
    for _ in range(12):
        torch.manual_seed(0)  # the same noise at the same times
        losses.append(float(t.advance().sum()))
    assert losses[-1] < 0.8 * losses[0]


def test_shares_are_asked_of_captions_that_say_something(small) -> None:
    t = training(small, "--pictures", "8")
    lesson = t.batch()
    shares = torch.rand_like(lesson.shares) * 2 - 1
    assert t._shares_error(shares, lesson) > 0 == t._shares_error(shares, replace(lesson, tokens=torch.zeros_like(lesson.tokens)))
    assert t._shares_error(2 * lesson.shares - 1, lesson) == 0


def test_half_of_the_captions_that_are_left_out_are_read_all_the_same(small, monkeypatch) -> None:
    monkeypatch.setattr(train, "DROPPED", 0.5)
    t = training(small, "--pictures", "32")
    lessons = [t.batch() for _ in range(8)]
    told, read = (torch.cat([(getattr(x, k) != 0).any(1) for x in lessons]) for k in ("tokens", "read"))
    assert read[told].all() and 0.2 < told.float().mean() < 0.8 and told.sum() < read.sum() < len(read)


def test_training_begins_with_other_weights(small, tmp_path) -> None:
    """Those of a network without a reader too: what has grown keeps what it had."""
    plain = replace(train.ARMS["pixel"], inked=False)
    with pytest.MonkeyPatch.context() as m:
        m.setitem(train.ARMS, "pixel", plain)
        before = training(small)
        train.write(tmp_path / "plain", before.net, before.vocabulary.words)
    t = training(small, "--begin", str(tmp_path / "plain"))
    old, new = before.net.state_dict(), t.net.state_dict()
    for name, tensor in old.items():
        part = new[name][tuple(slice(0, n) for n in tensor.shape)]
        torch.testing.assert_close(part, tensor, rtol=1e-3, atol=1e-4)
    assert {k.split(".")[0] for k in new.keys() - old.keys()} == {"reader"}
    assert all(torch.equal(a, b) for a, b in zip(t.average.parameters(), t.net.parameters(), strict=True))


def test_training_stops_and_resumes(small, tmp_path, capsys) -> None:
    few = ("--pictures", "8", "--previews", "1")
    train.main(small(*few, "--steps", "4", "--every", "2"))
    said = capsys.readouterr().out
    assert [int(words[1]) for words in lines(said, "pixel")] == [2, 4]
    assert "device minutes in all" in said
    out = tmp_path / "out"
    network, vocabulary = _weights.load(out / "mini")
    assert network.size == train.ARMS["pixel"] and (out / "preview.png").exists() and (out / "preview-000004.png").exists()
    painter = MultiView(network, vocabulary, steps=2, guidance=2.0, eta=0.0)
    assert painter.channels == ("base_color", "roughness", "metallic", "height")

    train.main(small(*few, "--steps", "6", "--resume"))
    assert "resumed at step 4" in capsys.readouterr().out
    (out / "checkpoint.pt").unlink()  # what is left is what travels
    train.main(small(*few, "--steps", "8", "--resume"))
    said = capsys.readouterr().out
    assert "resumed at step 6" in said and [int(words[1]) for words in lines(said, "pixel")] == [7, 8]


def test_a_light_checkpoint_is_small_files_of_halves(small, tmp_path) -> None:
    args = small("--pictures", "4", "--previews", "1", "--steps", "1")
    train.main(args)
    folder = tmp_path / "out" / "light"
    facts = json.loads((folder / "facts.json").read_text())
    assert {*facts["files"], "facts.json"} == {p.name for p in folder.iterdir()} and facts["arm"] == "pixel"
    states, _ = light.load(folder, ("net", "average"))
    whole = torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)
    for name in ("net", "average"):
        for key, tensor in whole[name].items():
            assert torch.allclose(states[name][key], tensor, atol=1e-3, rtol=1e-3)
    (folder / facts["files"][0]).unlink()
    with pytest.raises(StudioError, match="light checkpoint"):
        light.load(folder, ("net", "average"))


def test_a_signal_leaves_a_checkpoint(small, tmp_path, monkeypatch) -> None:
    class Stopped(train.Training):
        def advance(self) -> torch.Tensor:
            if self.step == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().advance()

    monkeypatch.setattr(train, "Training", Stopped)
    former = signal.getsignal(signal.SIGTERM)
    train.main(small("--pictures", "4", "--previews", "1"))
    assert torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)["step"] == session.AGREED
    assert signal.getsignal(signal.SIGTERM) == former


def test_latents_are_trained_on_a_frozen_decoder(small, tmp_path, capsys) -> None:
    few = ("--pictures", "8", "--steps", "2")
    with pytest.raises(StudioError, match="no fitting autoencoder"):
        train.main(small("--arm", "latent", *few))
    autoencoder.main(small(*few))
    train.main(small("--arm", "latent", "--previews", "1", *few))
    assert len(lines(capsys.readouterr().out, "latent")) == 2
    network, vocabulary = _weights.load(tmp_path / "out" / "mini")
    saved = torch.load(tmp_path / "out" / "autoencoder.pt", weights_only=True)["decoder"]
    for key, tensor in network.decoder.state_dict().items():
        assert torch.allclose(tensor, saved[key].half().float())


def test_an_encoder_gives_latents_of_unit_variance(small) -> None:
    torch.manual_seed(0)
    encoder = autoencoder.Encoder(train.ARMS["latent"])
    z = encoder(torch.randn(6, 6, 32, 32), torch.ones(6, 1, 32, 32))
    assert z.shape == (6, 4, 4, 4)
    assert torch.allclose(z.mean((0, 2, 3)), torch.zeros(4), atol=1e-5)
    assert torch.allclose(z.var((0, 2, 3), correction=0), torch.ones(4), atol=0.05)


def test_blur_costs_the_autoencoder_more_at_edges_than_in_values() -> None:
    sharp = torch.zeros(1, 6, 16, 16)
    sharp[..., 8:] = 1
    soft = torch.nn.functional.avg_pool2d(sharp, 5, 1, 2, count_include_pad=False)
    mask = torch.ones(1, 1, 16, 16)
    value, edges = autoencoder.loss(soft, sharp, mask)
    shifted = autoencoder.loss(sharp + value, sharp, mask)
    assert shifted.tolist() == pytest.approx([float(value), 0], abs=1e-6) and edges > value
    assert autoencoder.loss(sharp, sharp, mask).sum() == 0


def test_a_turned_world_shows_the_same_picture() -> None:
    """Turning and mirroring moves positions and normals together: lengths, heights and all other channels stay."""
    g = torch.Generator().manual_seed(0)
    rigs = torch.rand(8, 2, 9, 8, 8, generator=g)
    out = turned(rigs, generator=g)
    assert torch.allclose(out[:, :, 6:].sum(-1), rigs[:, :, 6:].sum(-1), atol=1e-5)
    for lo, hi in ((0, 3), (3, 6)):
        was, now = (x[:, :, lo:hi].norm(dim=2).sum(-1) for x in (rigs, out))
        assert torch.allclose(was, now, atol=1e-4)
        assert torch.allclose(out[:, :, lo + 1].sum(-1), rigs[:, :, lo + 1].sum(-1), atol=1e-4)


def test_the_rate_rises_falls_and_rises_again_after_a_resumption() -> None:
    peak = 1e-3
    assert session.rate(0, 0, 0.0, peak=peak) < 0.01 * peak
    assert session.rate(session.WARM, 0, 0.0, peak=peak) == pytest.approx(peak)
    assert session.rate(10_000, 0, 1.0, peak=peak) == pytest.approx(0.01 * peak)
    assert session.rate(10_000, 10_000, 0.5, peak=peak) < 0.01 * peak


def test_words_are_matched_by_name_when_the_vocabulary_has_grown() -> None:
    rows, fresh = torch.arange(3.0)[:, None], -torch.ones(4, 1)
    found = light.known(rows, fresh, ["blue", "red"], ["amber", "blue", "red"])
    assert found[:, 0].tolist() == [0, -1, 1, 2]
