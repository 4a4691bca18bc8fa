"""LoRA on a painter: silent when fresh or switched off, reproducible, and refused when it does not fit."""

from __future__ import annotations

import pytest
import torch

from studio.errors import StudioError
from studio.generators import SOCKET
from studio.generators._lora import TARGETS


def painter():
    return SOCKET.make("tiny", guidance=1.0).build(device=torch.device("cpu"))


def look(p) -> torch.Tensor:
    g = torch.zeros(2, 7, 64, 64)
    g[:, 6, 16:48, 16:48] = 1
    g[:, 2:6:3, 16:48, 16:48] = 1
    with torch.no_grad():
        return p.predict(torch.ones(2, 3, 64, 64), 1, p.scene_of("red", g))


def louder(p) -> None:
    for q in p.lora_parameters():
        q.data += 0.3


def test_a_fresh_lora_changes_nothing_and_is_all_that_trains() -> None:
    p = painter()
    before = look(p)
    assert p.lora_parameters() == [] and p.lora_state() == {}
    p.add_lora(rank=4)
    assert torch.equal(look(p), before)
    trained = {n for n, q in p.network.named_parameters() if q.requires_grad}
    assert trained and all("lora_" in n for n in trained) and len(trained) == len(p.lora_parameters())
    for target in TARGETS:
        assert any(f".{target}.lora_A" in n for n in trained)


def test_its_random_half_depends_on_the_seed_alone() -> None:
    a, b, c = painter(), painter(), painter()
    a.add_lora(rank=2, seed=1)
    torch.manual_seed(99)
    b.add_lora(rank=2, seed=1)
    c.add_lora(rank=2, seed=2)
    assert all(torch.equal(x, y) for x, y in zip(a.lora_parameters(), b.lora_parameters(), strict=True))
    assert not all(torch.equal(x, y) for x, y in zip(a.lora_parameters(), c.lora_parameters(), strict=True))


def test_base_is_the_untrained_network_and_comes_back_on() -> None:
    p = painter()
    plain = look(p)
    p.add_lora(rank=2)
    louder(p)
    loud = look(p)
    assert not torch.allclose(loud, plain, atol=1e-4)
    with pytest.raises(RuntimeError), p.base():
        assert torch.equal(look(p), plain)
        raise RuntimeError
    assert torch.equal(look(p), loud)
    assert all(q.requires_grad for q in p.lora_parameters())


def test_the_state_comes_back_in_another_painter() -> None:
    p, other = painter(), painter()
    p.add_lora(rank=3)
    louder(p)
    other.add_lora(rank=2)
    other.load_lora(p.lora_state())
    assert torch.equal(look(other), look(p))


def test_a_lora_that_does_not_fit_is_refused() -> None:
    p = painter()
    p.add_lora(rank=2)
    state = p.lora_state()
    with pytest.raises(StudioError, match="does not fit"):
        p.load_lora({**dict(list(state.items())[1:])})
    with pytest.raises(StudioError, match="does not fit"):
        p.load_lora({n: t.repeat(1, 2) if "lora_A" in n else t for n, t in state.items()})
    with pytest.raises(StudioError, match="rank"):
        p.load_lora({})
