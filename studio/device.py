"""The device a run computes on, and what memory it took."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.errors import DeviceError

if TYPE_CHECKING:
    import torch

HEAPS = 2
M_ARENA_MAX = -8
"""glibc's number for that option, from malloc.h."""


def constant(values: tuple[Any, ...], like: torch.Tensor) -> torch.Tensor:
    """These numbers on the device and in the precision of `like`; kept, since every new one would make a card be waited for."""
    return _constant(values, like.device, like.dtype)


@lru_cache(maxsize=64)
def _constant(values: tuple[Any, ...], where: torch.device, dtype: torch.dtype) -> torch.Tensor:
    import torch

    return torch.tensor(values, device=where, dtype=dtype)


def device(name: str) -> torch.device:
    """The torch device called `name`; "auto" takes CUDA, then Apple's MPS, then the CPU.

    Raises DeviceError when it is not there, with what would make it appear.
    """
    import torch

    if name == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(kind)
    try:
        found = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"There is no device called '{name}'.", "Use auto, cpu, cuda, cuda:1 or mps.") from None
    if found.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise DeviceError("torch sees no NVIDIA card.", "Run `studio doctor` for the cure, or use --device cpu.")
        if (found.index or 0) >= count:
            raise DeviceError(f"There is no card {name}; torch sees {count}.", f"Use cuda:0 to cuda:{count - 1}.")
    elif found.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("This machine has no Apple GPU that torch can use.", "Use --device cpu.")
    elif found.type not in {"cpu", "mps"}:
        raise DeviceError(f"The device '{name}' is not supported.", "Use auto, cpu, cuda, cuda:1 or mps.")
    return found


def leave_a_core() -> None:
    """Let torch on this thread use all cores but one, which is for the window."""
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) - 1))


def give_memory_back(where: torch.device | None = None) -> None:
    """Hand what is no longer used back to the system: of the card, and of the process."""
    gc.collect()
    if where is not None and where.type == "cuda":
        import torch

        torch.cuda.empty_cache()
    trim()


def trim() -> None:
    """Hand what has been freed back to the system; it takes some 50 ms, once there is much of it.

    glibc keeps what threads have freed, a gigabyte and more after a few runs (the others give it back by themselves).
    """
    _glibc("malloc_trim", 0)


def share_heaps() -> None:
    """Let all threads of this process allocate from HEAPS heaps. To be called before there are threads.

    glibc gives each thread a heap of its own (eight for each core at most), and what is free in one is of no use to the others:
    after a run, each holds as much as its thread needed at its busiest.
    """
    _glibc("mallopt", M_ARENA_MAX, HEAPS)


def _glibc(function: str, *numbers: int) -> None:
    """Call a function of glibc; nothing happens with another C library."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            getattr(ctypes.CDLL("libc.so.6"), function)(*numbers)


def peak_memory_bytes(where: torch.device) -> int:
    """The most memory so far: of the card since the process began on CUDA, else of the process."""
    if where.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(where))
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    if sys.platform == "linux":  # what getrusage says there begins with the most that the parent ever had
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def spills(where: torch.device) -> bool:
    """Whether the driver keeps part of what this process holds on the card in main memory, over the bus: many times slower.

    Only drivers for Windows do so (WDDM, "sysmem fallback"), instead of refusing. There, more is reserved by torch alone than all
    programs together have on the card.
    """
    if sys.platform != "win32" or where.type != "cuda":
        return False
    import torch

    free, total = torch.cuda.mem_get_info(where)
    return torch.cuda.memory_reserved(where) > total - free


def memory_bytes(where: torch.device) -> tuple[int, int]:
    """Memory in use by this process on the device, and the device's in all: the card's on CUDA, else the machine's."""
    import psutil

    if where.type == "cuda":
        import torch

        return int(torch.cuda.memory_reserved(where)), int(torch.cuda.get_device_properties(where).total_memory)
    return int(psutil.Process().memory_info().rss), int(psutil.virtual_memory().total)
