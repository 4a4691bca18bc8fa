"""LoRA on a painter: silent when fresh or switched off, reproducible, and refused when it does not fit."""

from __future__ import annotations

import pytest
import torch
from peft.tuners.lora import LoraLayer

from studio import lora
from studio.errors import StudioError
from studio.generators import SOCKET
from studio.generators._lora import LEARNING, TARGETS, Adapters, adapted, fingerprint
from tests.generators import tiny_sd
from tests.generators.test_reader import inked


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
    for target in TARGETS["unet"]:
        assert any(f".{target}.lora_A" in n for n in trained)


def test_what_is_read_of_the_words_learns_too() -> None:
    """A reader's LoRA is kept and loaded under its own name, and alone moves nothing but the inks."""
    p = inked(guidance=1.0)
    p.add_lora(rank=2)
    state = p.lora_state()
    own = {n for n in state if n.startswith("reader.")}
    assert {n.split(".lora_")[0].removeprefix("reader.") for n in own} == {*TARGETS["reader"]}
    text = torch.randn(1, 4, 16, generator=torch.Generator().manual_seed(0))
    before = p.network.reader(text)
    learned = {n: t + 0.1 if n in own else t for n, t in state.items()}
    p.load_lora(learned)
    assert not torch.allclose(p.network.reader(text), before, atol=1e-3)
    other = inked(guidance=1.0)
    other.stack_loras({"a": {n: t for n, t in learned.items() if n in own}})
    assert torch.allclose(other.network.reader(text), p.network.reader(text), atol=1e-6)


def test_a_file_brings_back_all_that_was_learned(tmp_path) -> None:
    """Written, read and stacked as a user's file is, with the reader's layers."""
    p = inked(guidance=1.0)
    p.add_lora(rank=2)
    louder(p)
    (tmp_path / "a.safetensors").write_bytes(lora.encoded(p.lora_state(), {}))
    tensors, about, _ = lora.read(tmp_path / "a.safetensors")
    assert {n: t.shape for n, t in tensors.items()} == {n: t.shape for n, t in p.lora_state().items()} and about.rank == 2
    other = inked(guidance=1.0)
    other.stack_loras({"a": tensors})
    text = torch.randn(1, 4, 16, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(other.network.reader(text), p.network.reader(text), rtol=1e-4)


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


# -- loaded LoRAs -------------------------------------------------------------------------------------------------------------


def learned(kind: str = "lora", *, rank: int = 2, seed: int = 0) -> dict[str, torch.Tensor]:
    """What a run might have taught `tiny`."""
    p = painter()
    p.add_lora(rank=rank, seed=seed, adapter=kind)
    louder(p)
    return p.lora_state()


KINDS = pytest.mark.parametrize("kind", ["lora", "prompt"])


@KINDS
def test_a_scale_of_0_is_the_bare_network_bit_for_bit_and_1_what_was_learned(kind: str) -> None:
    p, other = painter(), painter()
    plain, values = look(p), learned(kind)
    other.load_lora(values)
    p.stack_loras({"a": values})
    assert torch.equal(look(p), look(other)) and not torch.equal(look(p), plain)
    p.scale_loras({"a": 0.0})
    assert torch.equal(look(p), plain)
    p.scale_loras({"a": 0.5})
    assert not torch.equal(look(p), plain) and not torch.equal(look(p), look(other))
    assert p.lora_parameters() == [] and p.lora_state() == {}
    assert not any(q.requires_grad for q in p.network.parameters())


def test_a_scale_is_a_factor_of_the_difference() -> None:
    """Half of a LoRA is a LoRA with half of its B; two of half are one whole."""
    half, p, two = painter(), painter(), painter()
    values = learned()
    half.stack_loras({"a": {n: t / 2 if "lora_B" in n else t for n, t in values.items()}})
    p.stack_loras({"a": values})
    p.scale_loras({"a": 0.5})
    assert torch.allclose(look(p), look(half), atol=1e-6)
    two.stack_loras({"a.b": values, "c": values})
    two.scale_loras({"a.b": 0.5, "c": 0.5})
    p.scale_loras({"a": 1.0})
    assert torch.allclose(look(two), look(p), atol=1e-5)


@KINDS
def test_what_learns_lies_over_loaded_ones_and_base_is_what_it_started_from(kind: str) -> None:
    p = painter()
    p.stack_loras({"a": learned(), "b": learned("prompt"), "c": learned(rank=3, seed=5)})
    p.scale_loras({"a": 0.7, "b": 0.3, "c": 0.0})
    start = look(p)
    p.add_lora(rank=2, adapter=kind)
    assert torch.equal(look(p), start)
    louder(p)
    mine = p.lora_parameters()
    assert not torch.equal(look(p), start) and all(q.requires_grad for q in mine)
    with p.base():
        assert torch.equal(look(p), start)
    p.scale_loras({"a": 0.1})
    with p.base():
        assert not torch.equal(look(p), start)
    wanting = {id(q) for q in p.network.parameters() if q.requires_grad} | {id(q) for q in mine if q.requires_grad}
    assert wanting == {id(q) for q in mine}
    assert set(p.lora_state()) == set(learned(kind))


def test_a_loaded_lora_that_does_not_fit_is_named() -> None:
    values = learned()
    for wrong in ({n: t.repeat(1, 2) for n, t in values.items()}, {"text.offset": torch.zeros(3, 3)}, {"x": torch.zeros(1)}):
        with pytest.raises(StudioError, match="'rust'"):
            painter().stack_loras({"rust": wrong})


def test_files_of_peft_and_of_older_studios_are_understood() -> None:
    values, p = learned(), painter()
    p.stack_loras({"a": values})
    for prefix in ("", "base_model.model."):
        other = painter()
        other.stack_loras({"a": {prefix + n.removeprefix("unet."): t for n, t in values.items()}})
        assert torch.equal(look(other), look(p))


def test_diffusers_itself_reads_what_was_learned() -> None:
    p, other = painter(), painter()
    p.load_lora(learned())
    other.network.unet.load_lora_adapter(p.lora_state(), prefix="unet")
    assert torch.equal(look(other), look(p)) and not torch.equal(look(p), look(painter()))


def test_a_fingerprint_belongs_to_the_weights_alone() -> None:
    p, cpu = painter(), torch.device("cpu")
    mine = p.fingerprint
    p.add_lora(rank=2)
    louder(p)
    assert fingerprint(p.network) == mine == SOCKET.make("tiny").build(device=cpu, dtype=torch.float64).fingerprint
    assert SOCKET.make("tiny", weights_seed=1).build(device=cpu).fingerprint != mine


def test_an_offset_moves_the_prompt_and_leaves_what_guidance_goes_away_from() -> None:
    p = SOCKET.make("tiny", guidance=2.0).build(device=torch.device("cpu"))
    plain = look(p)
    p.add_lora(rank=1, adapter="prompt")
    assert [tuple(q.shape) for q in p.lora_parameters()] == [(p.network.size.tokens, p.network.size.text_channels)]
    louder(p)
    loud = look(p)
    assert torch.equal(loud[:, 1], plain[:, 1]) and not torch.equal(loud[:, 0], plain[:, 0])


def test_halved_layers_add_as_peft_does() -> None:
    unet = tiny_sd.models()[0].double()
    ours = Adapters(unet, tokens=(tiny_sd.TOKENS, tiny_sd.WIDTH))
    ours.add("lora", rank=3)
    for p in ours.parameters():
        p.data.normal_(generator=torch.Generator().manual_seed(p.numel()))
    layer = next(m for m in unet.modules() if isinstance(m, LoraLayer))
    x = torch.randn(2, 5, layer.in_features, dtype=torch.float64, requires_grad=True)
    given = (x, *(half[LEARNING].weight for half in (layer.lora_A, layer.lora_B)))
    theirs, own = layer(x), adapted(layer, x)
    assert torch.allclose(own, theirs, atol=1e-12)
    for a, b in zip(*(torch.autograd.grad(y.square().sum(), given) for y in (theirs, own)), strict=True):
        assert torch.allclose(a, b, atol=1e-10)
    half = tiny_sd.models()[0].bfloat16()
    Adapters(half, tokens=(tiny_sd.TOKENS, tiny_sd.WIDTH)).add("lora", rank=3)
    assert all("forward" in m.__dict__ for m in half.modules() if isinstance(m, LoraLayer))
