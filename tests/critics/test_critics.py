"""What every critic promises: specs without torch, pure and differentiable opinions at any size, damage named."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from studio.critics import SMALLEST_PX, SOCKET, Critic, _weights
from studio.critics._encoders import CONVOLUTIONS, PATCHES, Network
from studio.errors import StudioError
from studio.words import Vocabulary

SMALL = {
    "convolutions": replace(CONVOLUTIONS, px=32, widths=(8, 8, 8, 16), depths=(1, 1, 1, 1), text=24, features=8),
    "patches": replace(PATCHES, px=32, widths=(24,), depths=(1,), text=24, features=8),
}
WORDS = Vocabulary(["red", "blue", "vase"])


def eye(kind: str) -> _weights.TwoTowers:
    torch.manual_seed(0)
    return _weights.TwoTowers(Network(SMALL[kind], len(WORDS.words)), WORDS)


@pytest.mark.parametrize("name", SOCKET.names())
def test_a_critic_is_a_frozen_spec(name: str) -> None:
    plug = SOCKET.make(name)
    assert isinstance(plug, Critic) and dataclasses.is_dataclass(plug) and hash(plug) == hash(SOCKET.make(name))
    assert type(plug).description.endswith(".") and list(plug.stages())


def test_exactly_one_bundled_critic_is_held_out() -> None:
    assert [name for name in SOCKET.names() if SOCKET.load(name).held_out] == ["judge"]


def test_specs_need_no_torch() -> None:
    code = "import sys; from studio.critics import SOCKET; [SOCKET.make(n) for n in SOCKET.names()]"
    subprocess.run([sys.executable, "-c", code + "; assert 'torch' not in sys.modules"], check=True)


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("px", [SMALLEST_PX, 97])
def test_opinions_are_per_picture_differentiable_and_bounded(kind: str, px: int) -> None:
    e = eye(kind)
    pictures = torch.rand(3, 3, px, px, generator=torch.Generator().manual_seed(1)).requires_grad_()
    features, score, quality = e.features(pictures), e.score(pictures, "a red vase"), e.quality(pictures)
    assert features.shape == (3, 8) and torch.allclose(features.norm(dim=1), torch.ones(3), atol=1e-5)
    assert score.shape == quality.shape == (3,) and (score.abs() <= 1 + 1e-6).all()
    for value in (score, quality):
        (g,) = torch.autograd.grad(value[1], pictures, retain_graph=True)
        assert g[1].abs().max() > 0 and g[0].abs().max() == g[2].abs().max() == 0
    with torch.no_grad():
        assert torch.allclose(e.score(pictures[1:2], "a red vase"), score[1:2], atol=1e-5)


@pytest.mark.parametrize("kind", SMALL)
def test_padding_and_unknown_words_change_nothing(kind: str) -> None:
    e, pictures = eye(kind), torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    assert torch.equal(e.score(pictures, "red vase"), e.score(pictures, "red qqq vase"))
    assert not torch.equal(e.score(pictures, "red vase"), e.score(pictures, "blue vase"))
    assert torch.isfinite(e.score(pictures, "")).all() and e.words("red qqq").unknown[0][0] == "qqq"


@pytest.mark.parametrize("wrong", [(3, 64, 64), (1, 1, 64, 64), (1, 3, 63, 64)])
def test_wrong_shapes_are_refused(wrong: tuple[int, ...]) -> None:
    with pytest.raises(TypeError, match="critic"):
        eye("patches").features(torch.zeros(wrong))


@pytest.mark.parametrize("kind", SMALL)
def test_weights_come_back_and_damage_is_one_sentence(kind: str, tmp_path) -> None:
    e, pictures = eye(kind), torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    _weights.save(e.network, WORDS.words, tmp_path)
    again = _weights.load(tmp_path)
    assert torch.allclose(again.score(pictures, "red"), e.score(pictures, "red"), atol=2e-2)
    file = tmp_path / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(StudioError, match="cannot be read"):
        _weights.load(tmp_path)
    (tmp_path / "vocabulary.txt").unlink()
    with pytest.raises(StudioError, match="missing"):
        _weights.load(tmp_path)


@pytest.mark.parametrize("size", [CONVOLUTIONS, PATCHES], ids=lambda s: s.kind)
def test_a_shipped_critic_takes_at_most_four_megabytes(size) -> None:
    with torch.device("meta"):
        network = Network(size, 600)
    assert 2 * sum(p.numel() for p in network.parameters()) <= 4_000_000
