"""The inks that words say: read from the text, laid by a network's shares, and differentiated with everything else."""

from dataclasses import replace

import pytest
import torch

from studio.generators._multiview import REFUSING, MultiView
from studio.generators._network import Denoiser, Head
from studio.generators._reader import INKS, PLAIN, Reader, laid
from studio.generators._solid import FIELDS
from studio.replay import drain, replay, sample
from tests.generators.test_multiview import FULL, WORDS, facts

INKED = replace(FULL, mixed=2, cell=0.05, inked=True)
RED, WHITE, BLUE, MOSS = [1.0, -1, -1, 0.2, -1], [1.0, 1, 1, -0.4, -1], [-1.0, -1, 1, 0.6, 1], [-0.6, 0.3, -0.8, 0.9, -1]
READ = torch.tensor([[RED, WHITE, BLUE, MOSS]])


def test_inks_lie_where_their_shares_are():
    second = torch.tensor([0.0, 1, 0, 0.5])
    third = torch.tensor([0.0, 0, 1, 0])
    found = laid(torch.stack([second, third])[None, :, None] * 2 - 1, READ[:, :INKS])
    expected = [RED, WHITE, BLUE, (READ[0, 0] + READ[0, 1]).tolist()]
    expected[3] = [v / 2 for v in expected[3]]
    torch.testing.assert_close(found, torch.tensor(expected).T[None, :, None])


def head(*, over: float, trust: float) -> tuple[torch.Tensor, torch.Tensor, Head]:
    """What a head paints that convolves nothing: its picture and shares; every pixel has the second ink."""
    torch.manual_seed(0)
    made, px = Head(INKED), 16
    with torch.no_grad():
        made.leave.weight.zero_()
        made.leave.bias.zero_()
        made.leave.bias[4 * INKED.painted :] = torch.tensor([over] * 4 + [trust] * 8)
    sides = Head.read(INKED)
    features = torch.zeros(1, sum(sides), px // 8, px // 8)
    features[:, sum(sides[:4]) + torch.arange(INKS)] = 0  # no bias of the shares but:
    features[:, sum(sides[:4])] = 9.0
    features[:, sum(sides[:4]) + 1] = -9.0
    features[:, sum(sides[:5]) :] = 0.3
    x, geometry = torch.zeros(1, INKED.painted, px, px), torch.ones(1, INKED.geometry, px, px)
    picture, shares = made(features, x, geometry, torch.zeros(1, 4, 64, FIELDS), READ)
    assert shares is not None
    return picture, shares, made


def test_a_pixel_says_whether_the_effect_lies_there_and_whether_inks_are_believed():
    picture, shares, _ = head(over=-30.0, trust=30.0)
    torch.testing.assert_close(picture[0, :PLAIN, 3, 5], torch.tensor(WHITE), rtol=0, atol=1e-4)
    torch.testing.assert_close(shares[0, :, 3, 5], torch.tensor([1.0, -1, -1]), rtol=0, atol=1e-4)
    picture, shares, _ = head(over=30.0, trust=30.0)
    torch.testing.assert_close(picture[0, :PLAIN, 3, 5], torch.tensor(MOSS), rtol=0, atol=1e-4)
    assert float(shares[0, 2, 3, 5].detach()) == pytest.approx(1)
    other, _, _ = head(over=30.0, trust=-30.0)
    assert (other - picture)[0, :PLAIN].abs().max() > 0.5, "the token's own inks are painted where those read are not believed"
    torch.testing.assert_close(other[:, PLAIN:], picture[:, PLAIN:])


def inked(*, guidance: float, dtype: torch.dtype = torch.float32) -> MultiView:
    torch.manual_seed(0)
    network = Denoiser(INKED, len(WORDS.words)).to(dtype)
    with torch.no_grad():
        network.head.leave.bias[4 * INKED.painted :] = 1.0
    return MultiView(network, WORDS, steps=3, guidance=guidance, eta=0.0)


def test_guidance_does_not_exaggerate_the_inks(monkeypatch):
    """One reading a pass, of the prompt's own text, also where another one is refused."""
    painter = inked(guidance=3.0)
    scene = painter.scene_of("red and gold", facts())
    x = painter.noise(scene, generator=torch.Generator().manual_seed(0))
    seen = []
    monkeypatch.setattr(painter.network.reader, "forward", lambda text: seen.append(text) or READ)
    painter.predict(x, 0, scene)
    assert len(scene.text) == 2 and len(seen) == 1 and torch.equal(seen[0], scene.text[:1])


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_the_gradient_goes_through_what_is_laid(guidance: float):
    """Replay equals autograd through all steps, to float64."""
    painter = inked(guidance=guidance, dtype=torch.float64)
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


def test_words_are_refused_without_guidance_too():
    painter = inked(guidance=1.0)
    assert len(painter.scene_of("red", facts()).text) == 1
    refusing = painter.scene_of("red, no gold", facts())
    assert len(refusing.text) == 2 and refusing.guidance == REFUSING


def test_a_reader_that_is_trained_reads_better():
    """Each ink is the colour of one word: sixty steps halve the error at least."""
    torch.manual_seed(0)
    reader, text = Reader(16), torch.randn(64, 4, 16)
    assert reader(text).shape == (64, INKS + 1, PLAIN)
    told = torch.tanh(text[:, :, :PLAIN])
    optimizer, errors = torch.optim.Adam(reader.parameters(), lr=5e-3), []
    for _ in range(60):
        error = (reader(text) - told).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(float(error.detach()))
    assert errors[-1] < errors[0] / 2
