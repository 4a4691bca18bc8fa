"""The sketch of the words' inks: where and when it leads, and that it is differentiated with everything else."""

from dataclasses import replace

import pytest
import torch

from studio.generators import _sketch
from studio.generators._multiview import REFUSING, MultiView
from studio.generators._network import Denoiser
from studio.generators._sketch import EARLY, INKS, LATE, PLAIN, Sketch
from studio.replay import drain, replay, sample
from tests.generators.test_multiview import FULL, WORDS, facts

CPU = torch.device("cpu")


class Told(Sketch):
    """One that has read red with white and blue on it, and is sure."""

    TOLD = torch.tensor([[1.0, -1, -1, 0.2, -1], [1, 1, 1, -0.4, -1], [-1, -1, 1, 0.6, 1]])

    def __init__(self) -> None:
        super().__init__(8)
        with torch.no_grad():
            self.trust[-1].weight.zero_()
            self.trust[-1].bias.copy_(torch.tensor([50.0, 0, 50, 0]))

    def inks(self, text):
        return self.TOLD.expand(len(text), -1, -1)


def laid(*shares: float) -> torch.Tensor:
    """Shares [1, INKS, 1, n] of the second ink, none of the third; the last channel says nothing."""
    one = torch.tensor(shares)
    return torch.stack([2 * one - 1, torch.full_like(one, -1), torch.zeros_like(one)])[None, :, None]


def picture(*colours: tuple[float, float, float]) -> torch.Tensor:
    """A guess [1, 6, 1, n]."""
    rest = torch.zeros(len(colours), 3)
    return torch.cat([torch.tensor(colours), rest], 1).T[None, :, None]


def test_inks_lie_where_their_shares_are_however_undecided_the_guess():
    pink = (1.0, 0.0, 0.0)
    drawn, weight = Told()(picture(pink, pink, pink), laid(0, 1, 0.5), torch.zeros(1, 4, 8), torch.ones(1))
    expected = torch.stack([Told.TOLD[0], Told.TOLD[1], Told.TOLD[:2].mean(0)], 1)[None, :, None]
    torch.testing.assert_close(drawn, expected)
    torch.testing.assert_close(weight, torch.ones_like(weight))


def test_what_is_no_mixture_of_the_inks_is_left_alone():
    """Moss on red and white: the network knows it from the mesh."""
    green, rosy = (-0.6, 0.3, -0.8), (1.0, -0.4, -0.4)
    _, weight = Told()(picture(green, rosy), laid(0, 0), torch.zeros(1, 4, 8), torch.ones(1))
    assert (weight[..., 0] < 0.01).all() and (weight[..., 1] > 0.9).all()


def test_late_steps_are_the_networks_own():
    for t, least, most in ((LATE, 0, 0), ((LATE + EARLY) / 2, 0.49, 0.51), (EARLY, 1, 1), (1.0, 1, 1)):
        sure = Told().trusted(torch.zeros(1, 4, 8), torch.tensor([t]))
        assert least <= float(sure.min()) and float(sure.max()) <= most


def sketched(*, guidance: float, dtype: torch.dtype = torch.float32) -> MultiView:
    torch.manual_seed(0)
    network = Denoiser(replace(FULL, mixed=2, cell=0.05, sketched=True), len(WORDS.words)).to(dtype)
    with torch.no_grad():
        network.sketch.trust[-1].bias.copy_(torch.tensor([2.0, 0, 1, 0]))
    return MultiView(network, WORDS, steps=3, guidance=guidance, eta=0.0)


def test_guidance_does_not_exaggerate_the_sketch(monkeypatch):
    """Where the sketch is all that counts, guidance changes nothing."""
    monkeypatch.setattr(_sketch, "STRANGE", 1e6)
    found = []
    for guidance in (1.0, 3.0):
        painter = sketched(guidance=guidance)
        with torch.no_grad():
            painter.network.sketch.trust[-1].bias.copy_(torch.tensor([50.0, 0, 50, 0]))
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


def test_there_is_an_ink_for_each_share():
    assert Sketch(8).inks(torch.zeros(2, 4, 8)).shape == (2, INKS, PLAIN)
