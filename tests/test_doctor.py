"""The doctor names what is wrong with any machine described to it, and the exact cure."""

from __future__ import annotations

import dataclasses
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from studio import cards, doctor
from studio.cards import Card
from studio.doctor import GIB, Probes, Row, Torch
from studio.errors import StudioError

CARD = Card("NVIDIA H200", "580.65.06", 140 * GIB, 100 * GIB, (9, 0))
OLD = Card("GTX 1080", "551.23", 8 * GIB, 7 * GIB, (6, 1))
CPU = Torch("2.13.0+cpu")
CUDA = Torch("2.13.0+cu130", cuda="13.0", sees=1, architectures=("sm_75", "sm_90", "compute_120"))


def machine(tmp_path: Path, *, cards: tuple[Card, ...] = (), torch: Torch = CPU, system: str = "Linux") -> Probes:
    """A healthy machine with these cards and this PyTorch."""
    return Probes(
        cards=lambda: list(cards),
        torch=lambda: torch,
        free_memory=lambda: (8 * GIB, 16 * GIB),
        rasteriser=lambda: ("nvdiffrast" if torch.sees else "embree", None),
        cuda_home=lambda: Path("/opt/cuda"),
        compiler=lambda: "/usr/bin/g++",
        cache_dir=lambda: tmp_path / "not" / "yet" / "there",
        autosave_dir=lambda: tmp_path,
        system=lambda: system,
    )


def rows(probes: Probes) -> dict[str, Row]:
    found = doctor.examine(probes)
    assert all(bool(row.cure) or not row.bad for row in found)
    return {row.label: row for row in found}


def test_every_row_is_there_and_a_machine_without_a_card_is_well(tmp_path: Path) -> None:
    found = rows(machine(tmp_path))
    wanted = {
        "Driver",
        "nvcc",
        "C++ compiler",
        "CUDA_HOME",
        "Rasteriser",
        "PyTorch",
        "Free memory",
        "Cache folder",
        "Autosave folder",
    }
    assert wanted <= set(found) and not any(row.bad for row in found.values())


def test_on_linux_the_default_build_of_torch_uses_a_new_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.sys, "executable", "/opt/my env/bin/python")
    row = rows(machine(tmp_path, cards=(CARD,)))["PyTorch"]
    assert row.bad and CARD.name in row.value
    command, wanted = shlex.split(row.cure.removeprefix("Install the CUDA build: ")), "pip install --force-reinstall"
    assert command[0] == "/opt/my env/bin/python" and " ".join(command[2:5]) == wanted and len(command) == 6
    assert re.match(r"torch([<>=]|$)", command[5])


@pytest.mark.parametrize(
    ("system", "card", "choice"),
    [
        ("Windows", CARD, "'CUDA'"),
        ("Windows", OLD, "'CUDA 12'"),
        ("Linux", OLD, "'CUDA 12'"),
        ("Linux", dataclasses.replace(CARD, driver="550.1"), "'CUDA 12'"),
    ],
)
def test_elsewhere_the_selector_gives_the_command_for_this_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, card: Card, choice: str
) -> None:
    monkeypatch.setattr(doctor.sys, "executable", "C:\\a b\\python.exe")
    row = rows(machine(tmp_path, cards=(card,), system=system))["PyTorch"]
    wanted = (choice, "pytorch.org/get-started", "--force-reinstall", "`studio doctor` again")
    assert row.bad and all(part in row.cure for part in wanted)
    assert f'{"& " * (system == "Windows")}"{doctor.sys.executable}" -m pip' in row.cure


def test_no_cure_names_a_package_host(tmp_path: Path) -> None:
    found = [
        row
        for system in ("Linux", "Windows", "Darwin")
        for card in (CARD, OLD)
        for torch in (CPU, dataclasses.replace(CUDA, sees=0), CUDA)
        for row in doctor.examine(machine(tmp_path, cards=(card,), torch=torch, system=system))
    ]
    assert found and not [row.cure for row in found if re.search(r"https?:|-url|whl", row.cure)]


def test_a_card_in_use_is_well(tmp_path: Path) -> None:
    found = rows(machine(tmp_path, cards=(CARD,), torch=CUDA))
    assert not any(row.bad for row in found.values())
    assert found["Driver"].value == CARD.driver and "100.0 of 140.0" in found["Free on the card"].value
    assert "6 at a time" in found["Stable Diffusion"].value


def test_whether_stable_diffusion_learns_on_a_card(tmp_path: Path) -> None:
    eight, four = (dataclasses.replace(CARD, free_bytes=gib * GIB) for gib in (8, 4))
    assert not rows(machine(tmp_path, cards=(eight,), torch=CUDA))["Stable Diffusion"].bad
    assert rows(machine(tmp_path, cards=(four,), torch=CUDA))["Stable Diffusion"].bad


def test_a_card_that_torch_cannot_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blind = dataclasses.replace(CUDA, sees=0)
    assert "driver" in rows(machine(tmp_path, cards=(CARD,), torch=blind))["PyTorch"].cure
    assert "'CUDA 12'" in rows(machine(tmp_path, cards=(OLD,), torch=blind))["PyTorch"].cure
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "unset" in rows(machine(tmp_path, cards=(CARD,), torch=blind))["PyTorch"].cure


@pytest.mark.parametrize(
    ("capability", "runs"), [((7, 5), True), ((8, 0), False), ((9, 0), True), ((12, 1), True), ((6, 1), False)]
)
def test_machine_code_and_portable_code(tmp_path: Path, capability: tuple[int, int], runs: bool) -> None:
    card = dataclasses.replace(CARD, capability=capability)
    assert rows(machine(tmp_path, cards=(card,), torch=CUDA))["PyTorch"].bad is not runs


def test_a_rasteriser_slower_than_the_card_allows_is_named(tmp_path: Path) -> None:
    slow = dataclasses.replace(machine(tmp_path, cards=(CARD,), torch=CUDA), rasteriser=lambda: ("embree", "no ninja"))
    assert rows(slow)["Rasteriser"].bad and "no ninja" in rows(slow)["Rasteriser"].value
    assert not rows(dataclasses.replace(slow, torch=lambda: CPU))["Rasteriser"].bad


def test_missing_compilers_matter_only_with_a_card(tmp_path: Path) -> None:
    bare = dataclasses.replace(machine(tmp_path), cuda_home=lambda: None, compiler=lambda: None)
    assert not rows(bare)["nvcc"].bad and not rows(bare)["C++ compiler"].bad
    with_card = dataclasses.replace(bare, cards=lambda: [CARD], torch=lambda: CUDA, system=lambda: "Windows")
    assert 'install "cuda-toolkit[nvcc,cccl]" ninja' in rows(with_card)["nvcc"].cure
    assert "Visual Studio" in rows(with_card)["C++ compiler"].cure


def test_cuda_home_that_holds_no_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_HOME", "/gone")
    value = rows(machine(tmp_path))["CUDA_HOME"].value
    assert "/gone: holds no nvcc" in value and str(Path("/opt/cuda")) in value


def test_little_memory_and_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    sick = dataclasses.replace(
        machine(tmp_path), free_memory=lambda: (GIB, 16 * GIB), cache_dir=lambda: tmp_path / "file" / "cache"
    )
    found = rows(sick)
    assert found["Free memory"].bad and found["Cache folder"].bad and "PATINA_HOME" in found["Cache folder"].cure


def test_a_broken_driver_or_torch_does_not_end_the_report(tmp_path: Path) -> None:
    def broken() -> list[Card]:
        raise StudioError("The driver does not answer.", "Restart.")

    def missing() -> Torch:
        raise StudioError("PyTorch cannot be imported.", "Install it.")

    found = rows(dataclasses.replace(machine(tmp_path), cards=broken, torch=missing))
    assert found["Driver"].bad and found["PyTorch"].cure == "Install it." and "Cache folder" in found


def test_what_nvidia_smi_prints() -> None:
    text = "NVIDIA H200, 580.65.06, 143771, 143166, 9.0\nTesla K80, 470.1, [N/A], 11000, [N/A]\n\n"
    first, second = cards.parse_cards(text)
    assert first == Card("NVIDIA H200", "580.65.06", 143771 * 2**20, 143166 * 2**20, (9, 0))
    assert second.capability is None and second.total_bytes == 0
    assert cards.parse_cards("GTX 680, 391.35, 2048, 1000\n")[0].capability is None


def test_cards_are_asked_of_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        old = any("compute_cap" in part for part in command)
        return subprocess.CompletedProcess(command, 2 if old else 0, "GTX 680, 391.35, 2048, 1000\n", "")

    monkeypatch.setattr(cards, "nvidia_smi", lambda: None)
    assert cards.cards() == []
    monkeypatch.setattr(cards, "nvidia_smi", lambda: "nvidia-smi")
    monkeypatch.setattr(cards.subprocess, "run", answer)
    assert cards.cards()[0].name == "GTX 680"
    monkeypatch.setattr(cards.subprocess, "run", lambda c, **_: subprocess.CompletedProcess(c, 9, "", "failed"))
    with pytest.raises(StudioError, match="does not answer"):
        cards.cards()
