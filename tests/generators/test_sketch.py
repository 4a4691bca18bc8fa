"""The sketch of the words' inks: where and when it leads, and that it is differentiated with everything else."""

from dataclasses import replace

import pytest
import torch

from studio.generators._multiview import REFUSING, MultiView
from studio.generators._network import Denoiser
from studio.generators._sketch import COARSE, EARLY, INKS, LATE, PLAIN, WIDE, Sketch
from studio.replay import drain, replay, sample
from tests.generators.test_multiview import FULL, WORDS, facts

CPU = torch.device("cpu")


GUESS, SKETCH, EFFECT = 0, 1, 2


def only(sketch: Sketch, part: int, sure: float = 50.0) -> Sketch:
    """A judge who takes this part alone, whatever it sees."""
    with torch.no_grad():
        sketch.parts.weight.zero_()
        sketch.parts.bias.zero_()
        sketch.parts.bias[2 * part : 2 * part + 2] = sure
    return sketch


class Told(Sketch):
    """One that has read red with white and blue on it under moss."""

    TOLD = torch.tensor([[1.0, -1, -1, 0.2, -1], [1, 1, 1, -0.4, -1], [-1, -1, 1, 0.6, 1], [-0.6, 0.3, -0.8, 0.9, -1]])

    def __init__(self) -> None:
        super().__init__(8)

    def read(self, text):
        return self.TOLD.expand(len(text), -1, -1), torch.zeros(len(text), WIDE)

    def drawn(self, x0: torch.Tensor, *shares: float, t: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
        """What is kept of a guess, and what is added, for shares of the second ink."""
        one = torch.tensor(shares)
        laid = torch.stack([2 * one - 1, torch.full_like(one, -1), torch.zeros_like(one)])[None, :, None]
        return self(x0, grown(laid), torch.zeros(1, 4, 8), torch.tensor([t]))


def picture(*colours: tuple[float, float, float]) -> torch.Tensor:
    """A guess [1, 6, 2, 2 n], COARSE pixels a side for each colour."""
    rest = torch.zeros(len(colours), 3)
    return grown(torch.cat([torch.tensor(colours), rest], 1).T[None, :, None])


def grown(small: torch.Tensor) -> torch.Tensor:
    return small.repeat_interleave(COARSE, -2).repeat_interleave(COARSE, -1)


PINK, GREEN, ROSY = (1.0, 0.0, 0.0), (-0.6, 0.3, -0.8), (1.0, -0.4, -0.4)


def test_inks_lie_where_their_shares_are_however_undecided_the_guess():
    kept, added = only(Told(), SKETCH).drawn(picture(PINK, PINK, PINK), 0, 1, 0.5)
    expected = torch.stack([Told.TOLD[0], Told.TOLD[1], Told.TOLD[:2].mean(0)], 1)[None, :, None]
    torch.testing.assert_close(added, grown(expected))
    assert not kept.any()


def test_a_judge_may_lay_the_effect_or_leave_the_guess_alone():
    """Moss on red and white: its ink is read, where it grows the network knows from the mesh."""
    kept, added = only(Told(), EFFECT).drawn(picture(GREEN, ROSY), 0, 1)
    torch.testing.assert_close(added, Told.TOLD[3][None, :, None, None].expand_as(added))
    assert not kept.any()
    kept, added = only(Told(), GUESS).drawn(picture(GREEN, ROSY), 0, 1)
    assert (kept == 1).all() and added.abs().max() < 1e-6


def test_the_judge_sees_what_is_a_mixture_of_the_inks_and_what_is_the_effect():
    told, x0 = Told(), picture(GREEN, ROSY)
    inks, _ = told.read(torch.zeros(1, 4, 8))
    mixture, effect = told.seen(x0, x0[:, :PLAIN], inks)[0, 2 * PLAIN :, 0, ::COARSE]
    assert mixture[0] < 0.01 and mixture[1] > 0.9 and effect[0] == pytest.approx(1) and effect[1] < 0.01


@pytest.mark.parametrize(("t", "share"), [(LATE, 0), ((LATE + EARLY) / 2, 0.5), (EARLY, 1), (1.0, 1)])
def test_late_steps_are_the_networks_own(t: float, share: float):
    kept, added = only(Told(), SKETCH).drawn(picture(PINK), 0, t=t)
    torch.testing.assert_close(kept, torch.full_like(kept, 1 - share))
    torch.testing.assert_close(added[0, :, 0, 0], share * Told.TOLD[0])


def sketched(*, guidance: float, dtype: torch.dtype = torch.float32) -> MultiView:
    torch.manual_seed(0)
    network = Denoiser(replace(FULL, mixed=2, cell=0.05, sketched=True), len(WORDS.words)).to(dtype)
    return MultiView(network, WORDS, steps=3, guidance=guidance, eta=0.0)


def test_guidance_does_not_exaggerate_the_sketch():
    """Where the sketch is all that counts, guidance changes nothing."""
    found = []
    for guidance in (1.0, 3.0):
        painter = sketched(guidance=guidance)
        only(painter.network.sketch, EFFECT)
        scene = painter.scene_of("red and gold", facts())
        x = painter.noise(scene, generator=torch.Generator().manual_seed(0))
        found.append(painter.guess(x, painter.predict(x, 0, scene), 0, scene)[:, :PLAIN])
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_the_gradient_goes_through_the_sketch(guidance: float):
    """Replay equals autograd through all steps, to float64."""
    painter = sketched(guidance=guidance, dtype=torch.float64)
    painter.add_lora(rank=2)
    for p in painter.lora_parameters():
        with torch.no_grad():
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel()), dtype=p.dtype))
    scene = painter.scene_of("red stripes", facts())
    rollout = drain(sample(painter, scene, seed=0))
    weight = torch.randn(painter.decode(rollout.x0, scene).shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    drain(replay(painter, scene, rollout, weight, truncation=3))
    found = [p.grad.clone() for p in painter.lora_parameters()]
    x = rollout.entering[0]
    for i in range(painter.steps):
        x = painter.advance(x, painter.predict(x, i, scene), i, scene, noise=None)
    real = torch.autograd.grad((painter.decode(x, scene) * weight).sum(), painter.lora_parameters())
    for a, b in zip(found, real, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-12)
    assert max(float(a.abs().max()) for a in found) > 1e-6


def test_the_last_step_is_not_sketched_however_few_there_are(monkeypatch):
    """So that colours can be learned, from one step on."""
    painter = sketched(guidance=1.0)
    scene = painter.scene_of("red", facts())
    x = painter.noise(scene, generator=torch.Generator().manual_seed(0))
    asked = []
    monkeypatch.setattr(painter.network.sketch, "forward", lambda x0, *_: asked.append(1) or (x0[:, :PLAIN], x0[:, :PLAIN]))
    for i in range(painter.steps):
        painter.predict(x, i, scene)
    assert len(asked) == painter.steps - 1


def test_words_are_refused_without_guidance_too():
    painter = sketched(guidance=1.0)
    assert len(painter.scene_of("red", facts()).text) == 1
    refusing = painter.scene_of("red, no gold", facts())
    assert len(refusing.text) == 2 and refusing.guidance == REFUSING


def test_there_is_an_ink_for_each_share_and_one_for_the_effect():
    inks, meaning = Sketch(8).read(torch.zeros(2, 4, 8))
    assert inks.shape == (2, INKS + 1, PLAIN) and meaning.shape == (2, WIDE)
