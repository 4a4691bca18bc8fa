"""The sketch is learned beside a network that stays as it is: a reader of inks, and a judge of what to take of them."""

from __future__ import annotations

import torch

from studio.generators import _weights
from studio.generators._sketch import PLAIN, WIDE, Sketch
from studio.pretrain import corpus, sketch, train


def test_the_command_leaves_the_network_as_it_is(small, tmp_path, capsys) -> None:
    train.main(small("--pictures", "4", "--previews", "1", "--steps", "1"))
    trained = tmp_path / "out" / "mini"
    sketch.main(small("--weights", str(trained), "--steps", "2", "--bits", "16", out="sketched"))
    (before, words), (after, _) = _weights.load(trained), _weights.load(tmp_path / "sketched")
    assert not before.size.sketched and after.size.sketched and words.words == tuple(corpus.vocabulary())
    new = after.state_dict()
    assert all(torch.equal(v, new[k]) for k, v in before.state_dict().items())
    assert {k.split(".")[0] for k in new.keys() - before.state_dict().keys()} == {"sketch"}
    assert "of pairs never seen" in capsys.readouterr().out


def test_a_reader_that_is_trained_reads_better() -> None:
    """Each ink is the colour of one word: sixty steps halve the error at least."""
    torch.manual_seed(0)
    reader, text = Sketch(16), torch.randn(64, 4, 16)
    told = torch.tanh(text[:, :, :PLAIN])
    optimizer, errors = torch.optim.Adam(reader.parameters(), lr=5e-3), []
    for _ in range(60):
        error = (reader.read(text)[0] - told).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(float(error.detach()))
    assert errors[-1] < errors[0] / 2


def test_the_judge_learns_whom_to_believe(monkeypatch) -> None:
    """Where the guess looks like the effect that is right, elsewhere the sketch; the guess itself never is."""
    monkeypatch.setattr(sketch, "JUDGING", 150)
    torch.manual_seed(0)
    kept, n = [], 40
    for _ in range(24):
        ink, moss, there = torch.rand(PLAIN, 1) * 2 - 1, torch.rand(PLAIN, 1) * 2 - 1, (torch.rand(1, n) > 0.5).float()
        seen = torch.cat([torch.zeros(PLAIN, n), ink.expand(-1, n), 1 - there, there])[..., None]
        kept.append((seen, moss[:, 0], torch.rand(()), torch.ones(WIDE), torch.lerp(ink, moss, there)[..., None]))
    alone, judged = sketch.judge(Sketch(8), kept)
    assert judged < 0.05 * alone
