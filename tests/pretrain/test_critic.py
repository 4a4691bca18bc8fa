"""Critics in training: damage is damage, attacks stay small, the report counts what it says, and weights load."""

from __future__ import annotations

import pytest
import torch

from studio import environment
from studio.critics import _weights
from studio.errors import StudioError
from studio.pretrain import critic, critic_report
from studio.pretrain.batches import MASK
from studio.pretrain.degrade import KINDS, degraded
from studio.pretrain.lit import lit


def picture(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Coarse random colours [12, 3, 32, 32] in a disc, and the disc."""
    g = torch.Generator().manual_seed(seed)
    x = torch.nn.functional.interpolate(torch.rand(12, 3, 8, 8, generator=g), scale_factor=4)
    y = torch.linspace(-1, 1, 32)
    mask = (y[:, None] ** 2 + y**2 < 0.9).float().expand(12, 1, -1, -1)
    return x * mask, mask


@pytest.mark.parametrize("kind", KINDS)
def test_damage_shows_stays_in_range_and_inside(kind: str) -> None:
    torch.manual_seed(0)
    x, mask = picture()
    bad = degraded(x, mask, kind=kind)
    assert bad.min() >= 0 and bad.max() <= 1 and torch.equal(bad * (1 - mask), x * (1 - mask))
    assert ((bad - x).abs().mean((1, 2, 3)) > 0.005).all()


def test_each_kind_of_damage_does_what_it_is_called() -> None:
    torch.manual_seed(0)
    x, mask = picture()
    inside = (mask > 0).expand_as(x)

    def edges(y: torch.Tensor) -> float:
        return float((y * mask).diff(dim=-1).square().mean())

    def spread(y: torch.Tensor) -> float:
        return float((y - y.mean(1, keepdim=True))[inside].square().mean())

    found = {kind: degraded(x, mask, kind=kind) for kind in KINDS}
    assert edges(found["blurred"]) < edges(x) < edges(found["noisy"])
    assert spread(found["washed_out"]) < spread(x) < spread(found["over_saturated"])
    assert all(len(p[:, m > 0].unique()) <= 7 for p, m in zip(found["banded"], mask[:, 0], strict=True))
    even = torch.full_like(x, 0.4) * mask
    assert torch.allclose(KINDS["blurred"](even, mask, torch.ones(12, 1, 1, 1))[inside], torch.tensor(0.4), atol=1e-3)


def test_an_attack_stays_within_its_reach_and_raises_the_loss(small) -> None:
    t = made(small, "patina")
    t.seconds = 60 * t.args.minutes  # fully grown
    x, bad, _mask, owner, captions = t.batch()
    tokens = t.batches.tokens(captions, length=t.net.size.tokens)
    text, same, told = t.net.read(tokens).detach(), torch.eye(len(captions), dtype=torch.bool), torch.ones(len(x))
    noise = t.pushed(x, bad, told, owner, text, same)
    assert noise.abs().max() <= critic.PUSHED and noise[len(x) // 2 :].abs().max() == 0 < noise.abs().max()
    with torch.no_grad():
        before, after = (sum(t.loss(x + n, bad + n, told, owner, text, same)[:2]) for n in (0 * noise, noise))
    assert after > before
    t.seconds = 0.0
    assert t.pushed(x, bad, told, owner, text, same).abs().max() == 0


def test_it_begins_with_the_weights_of_another_and_refuses_other_words(small, tmp_path) -> None:
    first = made(small, "patina")
    first.save()
    second = made(small, "patina", "--begin", str(first.out / "patina"))
    pairs = zip(first.net.state_dict().values(), second.average.state_dict().values(), strict=True)
    assert all(torch.equal(a.half(), b.half()) for a, b in pairs)
    (first.out / "patina" / "vocabulary.txt").write_text("\n".join(reversed(first.vocabulary.words)) + "\n", encoding="utf-8")
    with pytest.raises(StudioError, match="other words"):
        made(small, "patina", "--begin", str(first.out / "patina"))


def made(small, which: str, *more: str) -> critic.Training:
    """A training at its start."""
    tasks: list[critic.Training] = []
    with pytest.MonkeyPatch.context() as m:
        m.setattr(critic, "run", lambda task, *_, **__: tasks.append(task))
        critic.main(small("--which", which, "--objects", "6", *more))
    return tasks[0]


def test_training_leaves_an_eye_and_a_report(small, tmp_path, monkeypatch, capsys) -> None:
    for which in critic.WHICH:
        critic.main(small("--which", which, "--objects", "6", "--steps", "2", out=which))
        eye = _weights.load(tmp_path / which / which)
        assert eye.score(torch.rand(2, 3, 64, 64), "red").shape == (2,)
    critic.main(small("--which", "patina", "--objects", "6", "--steps", "3", "--resume", out="patina"))
    assert "patina 3 " in capsys.readouterr().out
    monkeypatch.setattr(critic_report, "attacked", lambda *a, real=critic_report.attacked: real(*a, textures=2))
    critic.main(small("--which", "patina", "--evaluate", str(tmp_path / "judge" / "judge"), out="patina"))
    said = capsys.readouterr().out
    assert "caption among 4" in said and "the judge confirms" in said


def test_a_critic_that_follows_itself_confirms_everything(small) -> None:
    t = made(small, "judge")
    eye = _weights.TwoTowers(t.average, t.vocabulary)
    assert "confirms 100%" in critic_report.attacked(eye, eye, t.batches, textures=2)


def test_captions_to_choose_from_mean_different_things() -> None:
    samples = critic_report.distinct(40, seed=3)
    assert len({(s.material, s.colours, s.effect) for s in samples}) == len(samples) == 40


def test_light_is_where_the_surface_is_and_metal_takes_its_colour(small) -> None:
    t = made(small, "patina")
    geometry = t.batches.held_out[0].float()
    mask = geometry[:, MASK : MASK + 1]
    paint = torch.tensor([0.8, 0.2, 0.2, 0.5, 0.0, 0.5]).view(1, 6, 1, 1) * mask
    metal = paint.clone()
    metal[:, 4:5] = mask
    white = environment.load("white")
    dull, shiny = lit(paint, geometry, white), lit(metal, geometry, white)
    assert (dull * (1 - mask)).abs().max() == 0
    on = mask[:, 0] > 0
    assert dull.movedim(1, -1)[on].mean(0)[0] > 2 * dull.movedim(1, -1)[on].mean(0)[1]
    assert not torch.allclose(dull, shiny, atol=0.02)
