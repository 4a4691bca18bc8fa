"""The NVIDIA cards of this machine as their driver tells of them, without torch."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from studio.errors import StudioError


@dataclass(frozen=True)
class Card:
    """An NVIDIA card as its driver describes it, whether or not torch sees it."""

    name: str
    driver: str
    total_bytes: int
    free_bytes: int
    capability: tuple[int, int] | None = None
    """Compute capability; None when the driver is too old to tell."""


def nvidia_smi() -> str | None:
    """The program that comes with NVIDIA's driver, also where it is not on PATH."""
    wsl = Path("/usr/lib/wsl/lib/nvidia-smi")
    windows = Path(os.environ.get("SystemRoot", r"C:\Windows"), "System32", "nvidia-smi.exe")
    return shutil.which("nvidia-smi") or next((str(p) for p in (wsl, windows) if p.is_file()), None)


def cards(timeout_s: float = 20.0) -> list[Card]:
    """The NVIDIA cards of this machine; empty when there is no driver. Raises StudioError when the driver does not answer."""
    program = nvidia_smi()
    if program is None:
        return []
    for fields in ("name,driver_version,memory.total,memory.free,compute_cap", "name,driver_version,memory.total,memory.free"):
        command = [program, f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.TimeoutExpired):
            break
        if answer.returncode == 0:
            return parse_cards(answer.stdout)
        if "No devices were found" in answer.stdout + answer.stderr:
            return []
    raise StudioError("NVIDIA's driver does not answer nvidia-smi.", "Restart the machine, or install the driver again.")


def parse_cards(text: str) -> list[Card]:
    """What nvidia-smi prints as CSV, sizes in MiB; sizes it does not know count as 0."""
    found = []
    for line in filter(str.strip, text.splitlines()):
        name, driver, total, free, *rest = (part.strip() for part in line.split(","))
        sizes = [int(float(s)) * 2**20 if s.replace(".", "", 1).isdigit() else 0 for s in (total, free)]
        major, dot, minor = rest[0].partition(".") if rest else ("", "", "")
        capability = (int(major), int(minor)) if dot and major.isdigit() and minor.isdigit() else None
        found.append(Card(name, driver, sizes[0], sizes[1], capability))
    return found


@cache
def free_bytes() -> int | None:
    """What was free on the first card when this was first asked; None where there is none or its driver does not answer."""
    try:
        found = cards(timeout_s=3.0)
    except StudioError:
        return None
    return found[0].free_bytes if found else None
