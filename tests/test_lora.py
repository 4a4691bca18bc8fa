"""LoRA files: what is written comes back, what is told of them is plain, and what is no LoRA is refused in words."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from studio import lora
from studio.errors import StudioError

NAMES = [f"unet.block.to_q.lora_{half}.weight" for half in "AB"]
TENSORS = {NAMES[0]: torch.randn(4, 8).half(), NAMES[1]: torch.randn(8, 4)}
RECEIPT = {
    "prompt": "rusty iron",
    "config": {"rewards": {"palette": {"weight": 0.5}, "seam": {"weight": 2.0}, "detail": {"weight": 0.0}}},
    "learned": {
        "base_model": "mini@0123456789abcdef",
        "before": {"palette": -0.4, "seam": -0.1},
        "after": {"palette": -0.2, "seam": -0.05},
        "held_out_seeds": [0, 1, 2],
    },
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rust.safetensors"
    path.write_bytes(lora.encoded(TENSORS, RECEIPT))
    return path


def test_a_file_comes_back_with_all_it_says(file: Path) -> None:
    tensors, about, digest = lora.read(file)
    assert {n: (t.dtype, t.tolist()) for n, t in tensors.items()} == {n: (t.dtype, t.tolist()) for n, t in TENSORS.items()}
    assert about == lora.about(file) and len(digest) == 64
    assert (about.base_model, about.generator, about.adapter, about.rank) == ("mini@0123456789abcdef", "mini", "lora", 4)
    assert about.parameters == 64 and about.recipe["prompt"] == "rusty iron" and "learned" not in about.recipe
    assert about.rewards == {"palette": 0.5, "seam": 2.0}
    assert (about.before["palette"], about.after["palette"], about.held_out) == (-0.4, -0.2, 3)


def test_it_is_told_in_plain_words(file: Path) -> None:
    assert lora.in_words(lora.about(file)).splitlines() == [
        "Made for the generator 'mini', on the prompt \"rusty iron\".",
        "Learned from palette × 0.5, seam × 2.",
        "Score −0.400 → −0.200, on 3 seeds it was not trained on.",
        "LoRA of rank 4, 64 numbers.",
    ]


def test_it_belongs_to_the_weights_it_was_made_for(file: Path) -> None:
    about = lora.about(file)
    lora.check(about, "mini@0123456789abcdef", "rust")
    lora.check(about, "mini", "rust")
    with pytest.raises(StudioError, match="for the generator 'mini', not for 'tiny'") as refused:
        lora.check(about, "tiny@0123456789abcdef", "rust")
    assert "Choose the generator 'mini'" in refused.value.remedy
    with pytest.raises(StudioError, match="other weights"):
        lora.check(about, "mini@fedcba9876543210", "rust")


def whole(head: object, data: bytes = b"") -> bytes:
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(shape: list[int], end: int, dtype: str = "F32", start: int = 0) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


PAIR = {NAMES[0]: entry([1, 2], 8), NAMES[1]: entry([2, 1], 16, start=8)}
BAD = {
    "empty": b"",
    "a pickle": b"PK\3\4" + bytes(100),
    "a header longer than the file": struct.pack("<Q", 1 << 40) + b"{}",
    "no JSON": struct.pack("<Q", 4) + b"nope",
    "a list": whole([1, 2]),
    "deep": struct.pack("<Q", 200_000) + b"[" * 200_000,
    "a tensor that is none": whole({"x": 3}),
    "metadata that is no text": whole({"__metadata__": {"format": 3}, **PAIR}, bytes(16)),
    "data that is missing": whole(PAIR, bytes(8)),
    "data that overlaps": whole({NAMES[0]: entry([1, 2], 8), NAMES[1]: entry([2, 1], 8)}, bytes(8)),
    "sizes that lie": whole({NAMES[0]: entry([1, 2], 8), NAMES[1]: entry([9, 1], 16, start=8)}, bytes(16)),
    "not finite": save({n: t.float() * float("nan") for n, t in TENSORS.items()}),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_damaged_or_hostile_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(StudioError, match="cannot be read as a LoRA"):
        lora.read(path)


def test_every_cut_and_every_flipped_byte_of_the_header_is_a_plain_error_or_harmless(file: Path) -> None:
    data = file.read_bytes()
    for at in range(0, 400, 7):
        for broken in (data[:at], data[:at] + bytes([data[at] ^ 0x21]) + data[at + 1 :]):
            file.write_bytes(broken)
            try:
                lora.in_words(lora.read(file)[1])
            except StudioError:
                continue


def test_loras_of_other_programs_are_named_for_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(save({"lora_unet_down.lora_down.weight": torch.zeros(2, 2)}, {"ss_base_model_version": "sdxl_base_v1-0"}))
    with pytest.raises(StudioError, match="holds no LoRA.*sdxl_base_v1-0"):
        lora.about(path)
    path.write_bytes(save({n: t.int() for n, t in TENSORS.items()}))
    with pytest.raises(StudioError, match="holds no LoRA"):
        lora.about(path)


def test_metadata_of_nonsense_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    for told in ("[[[", "3", '{"config": 3, "prompt": [1]}', '{"config": {"rewards": {"a": {"weight": "x"}}}}', "[" * 100_000):
        path.write_bytes(save(TENSORS, {"recipe": told, "scores": told}))
        about = lora.about(path)
        assert about.rewards == {} and about.before == {} and lora.in_words(about)


def test_a_file_that_is_missing_or_huge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StudioError, match="cannot be read: No such file") as missing:
        lora.about(tmp_path / "x.safetensors")
    assert "put the file back" in missing.value.remedy
    with pytest.raises(StudioError):
        lora.about(tmp_path)
    monkeypatch.setattr(lora, "LARGEST_BYTES", 100)
    (tmp_path / "big.safetensors").write_bytes(bytes(101))
    with pytest.raises(StudioError, match="no LoRA"):
        lora.read(tmp_path / "big.safetensors")


CHECKPOINT = {
    "base_model": "tiny@12", "trainer": {"lora": TENSORS}, "objective": {"untrained": {"palette": -1.0}},
    "steps": [{"palette": -0.8}, {"palette": -0.5}],
}  # fmt: skip


def test_a_checkpoint_says_what_was_taught_so_far_and_at_the_end() -> None:
    tensors, learned = lora.taught(CHECKPOINT)
    assert set(tensors) == set(NAMES)
    assert learned == {
        "base_model": "tiny@12", "before": {"palette": -1.0}, "after": {"palette": -0.5}, "held_out_seeds": [],
    }  # fmt: skip
    best = {n: t + 1 for n, t in TENSORS.items()}
    tensors, learned = lora.taught(lora.finished(CHECKPOINT, best, RECEIPT))
    assert tensors[NAMES[1]] is best[NAMES[1]] and learned == RECEIPT["learned"]
    assert lora.taught(None) == lora.taught({"trainer": {"base_color": 1}}) == ({}, {})
    assert lora.finished(CHECKPOINT, {}, RECEIPT) == CHECKPOINT


def test_an_offset_on_the_prompt_is_a_file_of_its_own_kind(tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    path.write_bytes(lora.encoded({"text.offset": torch.ones(16, 4)}, {}))
    about = lora.about(path)
    assert (about.adapter, about.rank, about.parameters) == ("prompt", 0, 64)
    assert lora.in_words(about).endswith("Offset on the prompt's tokens, 64 numbers.")
