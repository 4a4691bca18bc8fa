"""Seconds and memory of what `tests/bench/sd.py` runs, row by row, and phase by phase where that is asked for."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

BEGAN = time.perf_counter()
GIB = 2**30


@dataclass
class Row:
    """Medians of seconds, and the most memory that was allocated, all that stays included."""

    name: str
    seconds: float
    gib: float
    phases: dict[str, tuple[float, float]]
    """Of one iteration in which every phase was waited for: seconds, and GiB on top of what there was before."""
    setting: dict[str, Any]


class Meter:
    def __init__(self, device: torch.device, out: Path, limit_s: float) -> None:
        self.card, self._out, self._limit_s = device.type == "cuda", out, limit_s
        self.rows: list[Row] = []
        self._phases: dict[str, list[float]] = {}
        self.inside = False
        """Whether phases are waited for."""
        out.mkdir(parents=True, exist_ok=True)

    def wait(self) -> float:
        if self.card:
            torch.cuda.synchronize()
        return time.perf_counter()

    def row(
        self, name: str, once: Callable[[], object], *, warm: int = 1, repeat: int = 1, phases: bool = False, setting: Any = None
    ) -> None:
        """`once` `warm` times, then `repeat` times with the clock running, and once by phases where these are wanted."""
        if time.perf_counter() - BEGAN > self._limit_s:
            print(f"| {name} | not run | |", flush=True)
            return
        seconds, told = [math.nan], {}
        try:
            for _ in range(warm):
                once()
            if self.card:
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            took = []
            for _ in range(repeat):
                began = self.wait()
                once()
                took.append(self.wait() - began)
            seconds, peak = took, torch.cuda.max_memory_allocated() / GIB if self.card else math.nan
            if phases:
                self._phases, self.inside = {}, True
                once()
                told = {k: (round(s, 4), round(b / GIB, 3)) for k, (s, b) in self._phases.items()}
        except torch.OutOfMemoryError:
            peak = math.inf
        self.inside = False
        self.rows.append(Row(name, statistics.median(seconds), peak, told, {} if setting is None else setting))
        self.write()
        said = ", ".join(f"{k} {s:.3f} s {g:.2f} GiB" for k, (s, g) in told.items())
        print(f"| {name} | {self.rows[-1].seconds:.2f} | {peak:.1f} |" + (f" <!-- {said} -->" if said else ""), flush=True)

    def watch(self, owner: Any, name: str, phase: str | Callable[..., str]) -> None:
        """From now on calls of a method count as a phase."""
        method = getattr(owner, name)

        def watched(*given: Any, **named: Any) -> Any:
            if not self.inside:
                return method(*given, **named)
            began, before = self.wait(), torch.cuda.memory_allocated() if self.card else 0
            if self.card:
                torch.cuda.reset_peak_memory_stats()
            found = method(*given, **named)
            took, high = self.wait() - began, (torch.cuda.max_memory_allocated() if self.card else 0) - before
            which = phase if isinstance(phase, str) else phase(*given)
            told = self._phases.setdefault(which, [0.0, 0.0])
            self._phases[which] = [told[0] + took, max(told[1], high)]
            return found

        setattr(owner, name, watched)

    def write(self) -> None:
        lines = ["| | s | GiB |", "| --- | ---: | ---: |", *(f"| {r.name} | {r.seconds:.2f} | {r.gib:.1f} |" for r in self.rows)]
        (self._out / "sd.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (self._out / "sd.json").write_text(json.dumps([asdict(r) for r in self.rows], indent=1), encoding="utf-8")
