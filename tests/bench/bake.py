"""How long does a bake take, and how much memory? `python tests/bench/bake.py --device cpu cuda`.

Every run is a process of its own on `studio.run`: a LoRA learns from two rewards, so that each stage of a bake takes part. It
prints, as Markdown tables of medians, the seconds per stage and per iteration, and the memory at several numbers of views. An
iteration is timed from one checkpoint to the next, without the first, in which kernels are compiled and chosen. Its *working
memory* is the peak of the later iterations above what is held between them: allocated bytes on CUDA, where they are exact,
resident ones elsewhere, where less than JUDGED is lost in the noise of the allocator.

Exit code 1 when working memory grows faster than it should: more than linearly with the views where they attend to each other
(`mini`, `attend`), by more than 10 % where they are fused in texture space (`fused`).
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

GENERATORS = {
    "mini": {"name": "mini"},
    "attend": {"name": "tiny", "views": "attend"},
    "fused": {"name": "tiny", "views": "fused"},
}
STAGES = ("mesh", "surface", "generator", "bake", "rewards", "train")
TOLERANCE = 1.1
GIB = 2**30
JUDGED = GIB // 4
"""Resident memory below this is reported, not judged."""


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """One bake in this process: seconds per stage, per iteration, and memory in bytes."""
    from studio import run
    from studio.config import parse
    from studio.device import device

    settings = {key: case[key] for key in ("device", "iterations", "atlas_px")}
    settings |= {"views": case["views"], "max_views": case["views"], "prompt": "blue and white stripes"}
    settings |= {"generator": GENERATORS[case["generator"]], "trainer": {"name": "lora_reward"}}
    config = parse({**settings, "rewards": {"palette": 1.0, "symmetry": 1.0}})
    memory = Memory(device(config.device))
    marks, report, highest, held, working = [], {}, 0, 0, 0
    started = time.perf_counter()
    for progress in run(config, ROOT / "sample_meshes" / f"{case['mesh']}.glb"):
        if progress.checkpoint is not None:
            memory.wait()
            marks.append(time.perf_counter())
            if len(marks) == 1:
                highest, held = memory.peak(), memory.held()
                memory.reset()
            elif len(marks) == config.iterations:
                working = memory.peak() - held
        if progress.result is not None:
            report = progress.result.report
    return {
        "seconds": {**report["seconds"], "total": time.perf_counter() - started},
        "iteration": statistics.median(b - a for a, b in zip(marks, marks[1:], strict=False)),
        "working": working,
        "peak": max(highest, memory.peak()),
        "machine": _machine(memory.where),
    }


class Memory:
    """Bytes in use and their peak: of the card on CUDA, of this process elsewhere (its peak can be reset on Linux only)."""

    def __init__(self, where: Any) -> None:
        self.where = where

    def wait(self) -> None:
        """Until the device has done all it was given."""
        import torch

        if self.where.type == "cuda":
            torch.cuda.synchronize(self.where)

    def held(self) -> int:
        """In use now."""
        import psutil
        import torch

        if self.where.type == "cuda":
            return torch.cuda.memory_allocated(self.where)
        return psutil.Process().memory_info().rss

    def peak(self) -> int:
        """The most since `reset`."""
        from studio.device import peak_memory_bytes

        status = Path("/proc/self/status")
        if self.where.type == "cuda" or not status.exists():
            return peak_memory_bytes(self.where)
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def reset(self) -> None:
        """Forget the peak so far."""
        import torch

        if self.where.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.where)
        elif Path("/proc/self/clear_refs").exists():
            Path("/proc/self/clear_refs").write_text("5")


def _machine(where: Any) -> str:
    import os

    import torch

    cuda = where.type == "cuda"
    name = torch.cuda.get_device_name(where) if cuda else f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    return f"{name}, torch {torch.__version__}, Python {platform.python_version()}"


def repeated(case: dict[str, Any], repeats: int) -> list[dict[str, Any]]:
    """`measure` in fresh processes. Raises SystemExit with what a process said when it fails."""
    results = []
    for _ in range(repeats):
        command = [sys.executable, str(Path(__file__)), "--one", json.dumps(case)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        if done.returncode:
            raise SystemExit(f"{case} failed:\n{done.stderr.strip()[-2000:]}")
        results.append(json.loads(done.stdout.splitlines()[-1]))
        total = results[-1]["seconds"]["total"]
        print(f"{case['generator']}, {case['views']} views on {case['device']}: {total:.1f} s", file=sys.stderr)
    return results


def median(results: Sequence[dict[str, Any]], *keys: str) -> float:
    """The median over the results of the number found under the keys."""
    values = []
    for result in results:
        for key in keys:
            result = result[key]
        values.append(float(result))  # type: ignore[arg-type]
    return statistics.median(values)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def stage_table(runs: dict[str, list[dict[str, Any]]]) -> str:
    """Seconds per stage, a column per device, and with two devices how many times faster the second is."""
    names, rows = list(runs), []
    ratio = len(names) == 2
    for key in [*(("seconds", stage) for stage in (*STAGES, "total")), ("iteration",)]:
        values = [median(runs[name], *key) for name in names]
        ratios = [f"{values[0] / max(values[1], 1e-9):.1f}"] if ratio else []
        rows.append(["one iteration" if key == ("iteration",) else key[-1], *(f"{v:.2f}" for v in values), *ratios])
    return table(["seconds", *names, *(["ratio"] if ratio else [])], rows)


def memory_table(runs: dict[int, list[dict[str, Any]]], *, linear: bool, exact: bool) -> tuple[str, bool]:
    """Memory by number of views, its growth and the growth allowed; and whether all that can be judged are within it."""
    first, fine, rows = min(runs), True, []
    for views, results in sorted(runs.items()):
        working = median(results, "working")
        growth = working / max(median(runs[first], "working"), 1)
        allowed = TOLERANCE * (views / first if linear else 1.0)
        good = growth <= allowed and (linear or growth >= 1 / TOLERANCE)
        verdict = ("ok" if good else "FAILED") if exact or working >= JUDGED else "too small to judge"
        fine &= verdict != "FAILED"
        numbers = (median(results, "iteration"), working / GIB, median(results, "peak") / GIB, growth, allowed)
        rows.append([str(views), *(f"{n:.{d}f}" for n, d in zip(numbers, (2, 3, 3, 2, 2), strict=True)), verdict])
    return table(["views", "s / iteration", "working GiB", "peak GiB", "growth", "allowed", "verdict"], rows), fine


def main() -> int:
    """0, or 1 when memory grows faster than it should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", nargs="+", default=["cpu"], help="where to compute; with two devices a ratio is printed")
    parser.add_argument("--generator", nargs="+", default=["mini", "fused"], choices=GENERATORS)
    parser.add_argument("--views", nargs="+", type=int, default=[4, 6, 8])
    parser.add_argument("--mesh", default="vase", help="one of the sample meshes")
    parser.add_argument("--iterations", type=int, default=4, help="per run, at least 2")
    parser.add_argument("--atlas", type=int, default=1024, help="side of the texture")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(measure(json.loads(chosen.one))))
        return 0
    if chosen.iterations < 2:
        parser.error("--iterations must be at least 2: the first is not timed")

    fine = True
    for generator in chosen.generator:
        runs: dict[str, dict[int, list[dict[str, Any]]]] = {}
        for device in chosen.device:
            runs[device] = {}
            for views in chosen.views:
                case = {"device": device, "generator": generator, "views": views, "mesh": chosen.mesh}
                case |= {"iterations": chosen.iterations, "atlas_px": chosen.atlas}
                runs[device][views] = repeated(case, chosen.repeats)
        usual = 6 if 6 in chosen.views else chosen.views[0]
        print(f"\n### {generator}: {chosen.mesh}, {usual} views, {chosen.iterations} iterations, atlas {chosen.atlas}\n")
        print("\n".join(f"- {device}: {by_views[usual][0]['machine']}" for device, by_views in runs.items()), end="\n\n")
        print(stage_table({device: by_views[usual] for device, by_views in runs.items()}))
        for device, by_views in runs.items():
            text, good = memory_table(by_views, linear=generator != "fused", exact=device.startswith("cuda"))
            fine &= good
            print(f"\n{generator}, memory on {device}\n\n{text}")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
