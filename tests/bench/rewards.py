"""What each reward does: `python tests/bench/rewards.py --out DIR [--device cuda] [--rewards alignment …] [--part i/n]`.

For every reward and mesh a LoRA learns from that reward alone; all others are only watched. Held-out seeds are painted before and
after. Tables: paired gain with its 95 % bound and in standard deviations of the untrained seeds, how optimising one reward moves
each other one (in the other's untrained standard deviations), K = 1 against K = all steps, and the texture itself instead of the
LoRA. DIR gets one JSON per case, one contact sheet per reward, and `tables.md`. `--part` shares the cases over several processes;
`--tables` only writes the tables of what DIR holds. `--pace` instead prints the seconds of an iteration with all rewards at once.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

KINDS = ("lora", "all steps", "texture")
MESHES = ("rabbit", "robot", "vase")
PROMPTS = {
    "alignment": "black and white stripes",
    "emphasis": "blue and white mosaic",
    "colorization": "red and blue marble",
    "symmetry": "camouflage",
    "palette": "red and white stripes",
    "seam": "blue and yellow plaid",
    "detail": "grey granite",
    "coverage": "red with white dots",
    "prompt": "blue and gold mosaic",
    "quality": "white marble",
    "normal": "brown leather",
}
SETTINGS = {"generator": {"name": "mini", "steps": 4}, "trainer": {"name": "lora_reward", "rate": 4e-3}, "atlas_px": 512}


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--device", default="auto")
    p.add_argument("--rewards", nargs="*", default=None)
    p.add_argument("--meshes", nargs="*", default=list(MESHES))
    p.add_argument("--kinds", nargs="*", default=list(KINDS), choices=KINDS)
    p.add_argument("--iterations", type=int, default=40)
    p.add_argument("--seeds", type=int, default=8, help="held-out seeds")
    p.add_argument("--part", default="1/1")
    p.add_argument("--tables", action="store_true")
    p.add_argument("--pace", action="store_true")
    return p.parse_args()


def cases(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Every reward on every mesh; on the first mesh also with all steps differentiated, and on the texture itself."""
    from studio.rewards import SOCKET

    names = args.rewards or SOCKET.working()
    listed = [{"reward": r, "mesh": m, "kind": "lora"} for r in names for m in args.meshes]
    listed += [{"reward": r, "mesh": args.meshes[0], "kind": kind} for r in names for kind in KINDS[1:]]
    return [case for case in listed if case["kind"] in args.kinds]


def measure(case: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    """One case: its report, or why the mesh cannot carry the reward."""
    from studio import resources, run
    from studio.config import parse
    from studio.sheet import write_sheet

    reward, kind = case["reward"], case["kind"]
    mesh = resources.sample(case["mesh"])
    able, refused = carried(mesh)
    if reward in refused:
        return case | {"refused": refused[reward]}
    trainer = {"lora": {}, "all steps": {"k": SETTINGS["generator"]["steps"]}, "texture": {"name": "texture_direct"}}[kind]
    table = SETTINGS | {
        "trainer": trainer if "name" in trainer else SETTINGS["trainer"] | trainer,
        "prompt": PROMPTS.get(reward, "blue and white stripes"),
        "rewards": {name: {"weight": float(name == reward)} for name in able},
        "iterations": args.iterations, "held_out": args.seeds, "device": args.device,
    }  # fmt: skip
    config, began = parse(table), time.perf_counter()
    result = [p for p in run(config, mesh) if p.result][-1].result
    assert result is not None
    if kind == "lora" and case["mesh"] == args.meshes[0]:
        write_sheet(result, config, args.out / f"{reward}.png")
    return case | {"report": dict(result.report), "wall": time.perf_counter() - began}


def carried(mesh: Path) -> tuple[list[str], dict[str, str]]:
    """The rewards that a mesh can carry, and why it cannot carry the others."""
    import torch

    from studio.errors import StudioError
    from studio.rewards import SOCKET
    from studio.surface.atlas import build_atlas
    from studio.surface.mesh import load
    from studio.surface.unwrap import needs_unwrap, unwrap

    loaded = load(mesh)
    if needs_unwrap(loaded):
        loaded = finished(unwrap(loaded, size_px=SETTINGS["atlas_px"]))
    atlas, able, refused = build_atlas(loaded, SETTINGS["atlas_px"]), [], {}
    for name in SOCKET.working():
        try:
            SOCKET.make(name).build(loaded, atlas, torch.device("cpu"))
            able.append(name)
        except StudioError as error:
            refused[name] = error.problem
    return able, refused


def finished(steps: Generator[Any, None, Any]) -> Any:
    """What a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def pace(args: argparse.Namespace) -> str:
    """Seconds from one iteration's end to the next's, medians, with every reward that a mesh carries at once; a second run, after
    caches and kernels are warm."""
    from studio import resources, run
    from studio.config import parse

    lines = ["| mesh | rewards | s / iteration | slowest |", "| --- | ---: | ---: | ---: |"]
    for name in args.meshes:
        mesh = resources.sample(name)
        able = carried(mesh)[0]
        table = SETTINGS | {"prompt": "blue and white stripes", "rewards": dict.fromkeys(able, 1.0)}
        table |= {"iterations": args.iterations, "device": args.device, "held_out": 0}
        for _ in range(2):
            ends = [time.perf_counter() for p in run(parse(table), mesh) if p.checkpoint is not None]
        took = [b - a for a, b in itertools.pairwise(ends)]
        lines.append(f"| {name} | {len(able)} | {statistics.median(took):.2f} | {max(took):.2f} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def tables(found: list[dict[str, Any]]) -> str:
    """All cases as markdown."""
    from studio.gain import paired

    lines = ["| reward | mesh | untrained | tuned | gain | 95 % bound | in SD | judge | drift | alarm | s / iteration |",
             "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    cross: dict[str, dict[str, list[float]]] = {}
    for case in (c for c in found if c["kind"] == "lora"):
        if "refused" in case:
            lines.append(f"| {case['reward']} | {case['mesh']} | {case['refused']} |" + " |" * 8)
            continue
        report = case["report"]
        seeds = list(report["per_seed"].values())
        for name in seeds[0]["before"]:
            gain = paired([s["before"][name] for s in seeds], [s["after"][name] for s in seeds])
            cross.setdefault(case["reward"], {}).setdefault(name, []).append(gain.share)
            if name == case["reward"]:
                pace = report["seconds"]["train"] / max(len(report["steps"]), 1)
                before, after = report["before"][name], report["after"][name]
                numbers = f"{before:.3f} | {after:.3f} | {gain.mean:+.3f} | {gain.low:+.3f} | {gain.share:+.1f}"
                first, last = report["gauges"][0], report["gauges"][-1]
                watched = f"{last['judge'] - first['judge']:+.1f} | {last['drift']:.4f}"
                rang = report["alarms"][0]["iteration"] if report["alarms"] else ""
                lines.append(f"| {name} | {case['mesh']} | {numbers} | {watched} | {rang} | {pace:.2f} |")
    names = sorted({n for row in cross.values() for n in row})
    said = "How optimising one (rows) moves each other, in standard deviations of its untrained seeds, mean over meshes:"
    lines += ["", said, "",
              "| | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]  # fmt: skip
    for reward, row in cross.items():
        lines.append(f"| {reward} | " + " | ".join(f"{statistics.mean(row[n]):+.1f}" if n in row else "" for n in names) + " |")
    lines += ["", "| reward | mesh | K = 1 | K = all steps | the texture itself |", "| --- | --- | ---: | ---: | ---: |"]
    for reward in dict.fromkeys(c["reward"] for c in found):
        kinds = {c["kind"]: c for c in found if c["reward"] == reward and c["mesh"] == found[0]["mesh"] and "report" in c}
        shown = []
        for kind in KINDS:
            report = kinds.get(kind, {}).get("report")
            shown.append(f"{report['after'][reward] - report['before'][reward]:+.3f}" if report else "")
        lines.append(f"| {reward} | {found[0]['mesh']} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    part, parts = map(int, args.part.split("/"))
    listed = cases(args)
    if args.pace:
        print(pace(args))
        return
    if not args.tables:
        for case in listed[part - 1 :: parts]:
            found = measure(case, args)
            name = "-".join((case["reward"], case["mesh"], case["kind"].replace(" ", "_")))
            (args.out / f"{name}.json").write_text(json.dumps(found, default=float), encoding="utf-8")
            print(name, found.get("refused", f"{found.get('wall', 0):.1f} s"), flush=True)
    kept = {tuple(c[k] for k in ("reward", "mesh", "kind")): c for c in map(_read, sorted(args.out.glob("*.json")))}
    text = tables([kept[key] for c in listed if (key := (c["reward"], c["mesh"], c["kind"])) in kept])
    (args.out / "tables.md").write_text(text, encoding="utf-8")
    print(text)


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
