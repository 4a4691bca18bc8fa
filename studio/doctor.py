"""What this machine offers the studio, row by row, and the cure for what is missing.

Everything the doctor looks at comes through `Probes`, so that any machine can be described to it.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from studio import files, generators, resources
from studio.cards import Card, cards
from studio.errors import StudioError

GIB = 2**30
LITTLE_MEMORY = 4 * GIB
"""Below this much free memory the bundled generator may not fit beside a large mesh."""
LITTLE_DISK = 2 * GIB
VIEWS = 6
"""As a run has them by default."""


@dataclass(frozen=True)
class Row:
    """One finding; `cure` says what to do about a bad one."""

    label: str
    value: str
    bad: bool = False
    cure: str = ""


@dataclass(frozen=True)
class Torch:
    """The installed PyTorch: `cuda` and `hip` are the versions it is built for, `sees` how many cards it can use."""

    version: str
    cuda: str | None = None
    hip: str | None = None
    sees: int = 0
    architectures: tuple[str, ...] = ()
    """What it holds machine code for: sm_90, compute_90, …"""
    mps: bool = False


def installed_torch() -> Torch:
    """The PyTorch of this Python. Raises StudioError when it cannot be imported."""
    try:
        import torch
    except (ImportError, OSError) as error:
        cure = f"Install it again: {install_torch(platform.system())}"
        raise StudioError(f"PyTorch cannot be imported: {error}.", cure) from error
    sees = torch.cuda.device_count() if torch.cuda.is_available() else 0
    architectures = tuple(torch.cuda.get_arch_list()) if sees else ()
    return Torch(torch.__version__, torch.version.cuda, torch.version.hip, sees, architectures, torch.backends.mps.is_available())


def free_memory() -> tuple[int, int]:
    """Free and total bytes of main memory."""
    import psutil

    memory = psutil.virtual_memory()
    return memory.available, memory.total


def rasteriser() -> tuple[str, str | None]:
    """The renderer that "auto" would take, and the reason when it is not the fastest kind."""
    from studio import device, renderers

    return renderers.best(device.device("auto"))


def cuda_home() -> Path | None:
    """The folder with the CUDA compiler that the renderer would use."""
    from studio.renderers import nvdiffrast

    return nvdiffrast.cuda_home()


def compiler() -> str | None:
    """The C++ compiler that the renderer would use."""
    from studio.renderers import nvdiffrast

    return nvdiffrast.compiler()


@dataclass(frozen=True)
class Probes:
    """Where the doctor looks. The defaults look at this machine."""

    cards: Callable[[], list[Card]] = cards
    torch: Callable[[], Torch] = installed_torch
    free_memory: Callable[[], tuple[int, int]] = free_memory
    rasteriser: Callable[[], tuple[str, str | None]] = rasteriser
    cuda_home: Callable[[], Path | None] = cuda_home
    compiler: Callable[[], str | None] = compiler
    cache_dir: Callable[[], Path] = resources.cache_dir
    autosave_dir: Callable[[], Path] = resources.autosave_dir
    system: Callable[[], str] = platform.system


def examine(probes: Probes = Probes()) -> list[Row]:
    """Every row of the report on this machine; never raises for what it finds."""
    rows = [Row("System", f"{probes.system()}, Python {platform.python_version()}")]
    try:
        found = probes.cards()
        rows += [_card(card) for card in found] or [Row("NVIDIA card", "none found; everything runs on the CPU")]
        rows.append(Row("Driver", found[0].driver if found else "none"))
    except StudioError as error:
        found = []
        rows.append(Row("Driver", error.problem, True, error.remedy))
    try:
        torch = probes.torch()
        rows += [_torch(torch, found, probes.system()), *_memory(probes, found)]
        rows += [*_compilers(probes, wanted=bool(found)), _rasteriser(probes, torch)]
    except StudioError as error:
        rows += [Row("PyTorch", error.problem, True, error.remedy), *_memory(probes, found)]
    return [*rows, _folder("Cache folder", probes.cache_dir()), _folder("Autosave folder", probes.autosave_dir())]


def examine_mesh(path: Path | str) -> list[Row]:
    """Every row of the health report of a mesh, then its repairs. Raises MeshError when it cannot be read."""
    from studio.surface.health import health
    from studio.surface.mesh import load

    mesh = load(path)
    rows = [Row(label, str(value), bad) for label, value, bad in health(mesh).rows()]
    return rows + [Row("Repaired", repair) for repair in mesh.repairs]


def install_torch(system: str) -> str:
    """The exact command that installs PyTorch anew from the default index; on Linux that is a CUDA build."""
    required = None
    with suppress(importlib.metadata.PackageNotFoundError):
        required = importlib.metadata.requires("patina-studio")
    wanted = next((r.split(";")[0].strip() for r in required or () if re.match("torch[<>=]", r)), "torch")
    return f'{_pip(system)} install --force-reinstall "{wanted}"'


def _pip(system: str) -> str:
    """How to call the pip of this Python, in sh and in PowerShell."""
    if " " not in sys.executable:
        return f"{sys.executable} -m pip"
    return f'{"& " if system == "Windows" else ""}"{sys.executable}" -m pip'


def _cuda_build(card: Card, system: str) -> str:
    """How to get a PyTorch that uses `card`; old cards and old drivers need a build for CUDA 12."""
    if system == "Linux" and _modern(card):
        return f"Install the CUDA build: {install_torch(system)}"
    choice = "'CUDA'" if _modern(card) else "the lowest 'CUDA 12'"
    return (
        f"Choose {choice} in the selector at pytorch.org/get-started, run the command "
        f"it prints with this interpreter, as {_pip(system)} install --force-reinstall ..., then `studio doctor` again."
    )


def _modern(card: Card) -> bool:
    """Whether CUDA 13, which the default build for Linux holds, runs: it needs driver 580 and compute capability 7.5."""
    driver = int(re.sub(r"\D.*", "", card.driver) or 0)
    return driver >= 580 and (card.capability is None or card.capability >= (7, 5))


def _card(card: Card) -> Row:
    capability = f", compute capability {card.capability[0]}.{card.capability[1]}" if card.capability else ""
    return Row("NVIDIA card", f"{card.name}, {card.total_bytes / GIB:.0f} GiB{capability}")


def _torch(torch: Torch, found: list[Card], system: str) -> Row:
    """Whether the installed PyTorch can use the cards that are there."""
    kind = f"CUDA {torch.cuda}" if torch.cuda else f"ROCm {torch.hip}" if torch.hip else "CPU only"
    value = f"{torch.version} ({kind})"
    if torch.mps:
        return Row("PyTorch", f"{value}, uses this Mac's GPU")
    if not found:
        return Row("PyTorch", f"{value}, uses {torch.sees} card(s)" if torch.sees else value)
    card = found[0]
    if torch.cuda is None:
        return Row("PyTorch", f"{value}: your {card.name} is not used", True, _cuda_build(card, system))
    if torch.sees == 0:
        blind = f"{value}: it cannot use the {card.name} with driver {card.driver}"
        return Row("PyTorch", blind, True, _revive(torch, card, system))
    if card.capability and torch.architectures and not _holds(torch.architectures, card.capability):
        return Row("PyTorch", f"{value}: it has no code for the {card.name}", True, _cuda_build(card, system))
    return Row("PyTorch", f"{value}, uses {torch.sees} card(s)")


def _revive(torch: Torch, card: Card, system: str) -> str:
    """The cure for a CUDA build that sees no card: another build for an older driver or card, the environment, or the driver."""
    if (torch.cuda or "").startswith("13") and not _modern(card):
        return _cuda_build(card, system)
    if os.environ.get("CUDA_VISIBLE_DEVICES") in {"", "-1"}:
        return "CUDA_VISIBLE_DEVICES hides every card: unset it."
    return "Update NVIDIA's driver and restart the machine."


def _holds(architectures: tuple[str, ...], capability: tuple[int, int]) -> bool:
    """Machine code runs on cards of the same major capability; portable code (compute_) on every newer one."""
    for kind, _, number in (a.partition("_") for a in architectures):
        digits = "".join(c for c in number if c.isdigit())
        has = (int(digits[:-1]), int(digits[-1])) if len(digits) > 1 else (99, 0)
        if has <= capability and (kind == "compute" or has[0] == capability[0]):
            return True
    return False


def _memory(probes: Probes, found: list[Card]) -> list[Row]:
    free, total = probes.free_memory()
    cure = "Close other programs, or use a smaller --atlas." if free < LITTLE_MEMORY else ""
    rows = [Row("Free memory", f"{free / GIB:.1f} of {total / GIB:.1f} GiB", bool(cure), cure)]
    rows += [Row("Free on the card", f"{c.free_bytes / GIB:.1f} of {c.total_bytes / GIB:.1f} GiB") for c in found]
    return rows + [_large(found[0].free_bytes)] if found and found[0].free_bytes else rows


def _large(free: int) -> Row:
    """Whether Stable Diffusion learns on a card with so much free."""
    costs = generators.SOCKET.make("stable_diffusion").costs(views=VIEWS, free_bytes=free)
    assert costs is not None
    needs = costs.held_bytes + costs.fleeting_bytes
    cure = "Close other programs that use the card, or stay with the bundled generator." if needs > free else ""
    value = f"{VIEWS} views of 512², {costs.at_once} at a time: {needs / GIB:.1f} GiB, without critics"
    return Row("Stable Diffusion", value, bool(cure), cure)


def _compilers(probes: Probes, *, wanted: bool) -> list[Row]:
    """nvcc, the C++ compiler and CUDA_HOME: needed once, and only where there is a card."""
    home, cxx = probes.cuda_home(), probes.compiler()
    why = "" if wanted else " (only needed with an NVIDIA card)"
    windows = probes.system() == "Windows"
    nvcc_cure = f'{_pip(probes.system())} install "cuda-toolkit[nvcc,cccl]" ninja' if wanted and home is None else ""
    cxx_cure = "Install Visual Studio Build Tools with C++." if windows else "Install g++ (on Debian: apt install g++)."
    said = os.environ.get("CUDA_HOME")
    stale = said is not None and home != Path(said)
    variable = f"{said}{': holds no nvcc' if stale else ''}" if said else "not set"
    return [
        Row("nvcc", str(home / "bin") if home else f"none{why}", bool(nvcc_cure), nvcc_cure),
        Row("C++ compiler", cxx or f"none{why}", wanted and cxx is None, cxx_cure if wanted and cxx is None else ""),
        Row("CUDA_HOME", f"{variable}; {home} is used" if home and (stale or not said) else variable),
    ]


def _rasteriser(probes: Probes, torch: Torch) -> Row:
    name, notice = probes.rasteriser()
    why = notice or ("drawn on the card" if name == "nvdiffrast" else "drawn on the CPU, as there is no CUDA card in use")
    cure = "Mend the rows above for faster drawing; everything works without it." if notice and torch.sees else ""
    return Row("Rasteriser", f"{name}: {why}", bool(cure), cure)


def _folder(label: str, path: Path) -> Row:
    """Whether a folder that may not exist yet can be made and written, and how much fits."""
    existing = next((p for p in (path, *path.parents) if p.exists()), path)
    if not (existing.is_dir() and os.access(existing, os.W_OK)):
        return Row(label, f"{path}: cannot be written", True, f"Set {resources.HOME_VARIABLE} to a folder you may write.")
    free = shutil.disk_usage(existing).free
    cure, words = "Free some disk space." if free < LITTLE_DISK else "", f"{files.held_bytes(path) / 2**20:.0f} MiB in it"
    return Row(label, f"{path}, {words}, {free / GIB:.0f} GiB free", bool(cure), cure)
