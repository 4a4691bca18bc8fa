"""What each reward does: `python tests/bench/rewards.py --out DIR [--device cuda] [--rewards alignment …] [--part i/n]`.

For every reward and mesh a LoRA learns from that reward alone; all others are only watched. Held-out seeds are painted before and
after. Tables: paired gain with its 95 % bound and in standard deviations of the untrained seeds, how optimising one reward moves
each other one (in the other's untrained standard deviations), K = 1 against K = all steps, and the texture itself instead of the
LoRA. DIR gets one JSON per case, one contact sheet per reward, and `tables.md`. `--part` shares the cases over several processes;
`--tables` only writes the tables of what DIR holds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

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
SETTINGS = {"generator": {"name": "mini", "steps": 5}, "trainer": {"name": "lora_reward", "rate": 4e-3}, "atlas_px": 512}


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--device", default="auto")
    p.add_argument("--rewards", nargs="*", default=None)
    p.add_argument("--meshes", nargs="*", default=list(MESHES))
    p.add_argument("--iterations", type=int, default=40)
    p.add_argument("--seeds", type=int, default=8, help="held-out seeds")
    p.add_argument("--part", default="1/1")
    p.add_argument("--tables", action="store_true")
    return p.parse_args()


def cases(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Every reward on every mesh; on the first mesh also with all steps differentiated, and on the texture itself."""
    from studio.rewards import SOCKET

    names = args.rewards or SOCKET.working()
    listed = [{"reward": r, "mesh": m, "kind": "lora"} for r in names for m in args.meshes]
    listed += [{"reward": r, "mesh": args.meshes[0], "kind": kind} for r in names for kind in ("all steps", "texture")]
    return listed


def measure(case: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    """One case: its report, or why the mesh cannot carry the reward."""
    from studio import resources, run
    from studio.config import parse
    from studio.errors import StudioError
    from studio.rewards import SOCKET
    from studio.sheet import write_sheet

    reward, kind = case["reward"], case["kind"]
    watched = {name: {"weight": float(name == reward)} for name in SOCKET.working()}
    trainer = {"lora": {}, "all steps": {"k": SETTINGS["generator"]["steps"]}, "texture": {"name": "texture_direct"}}[kind]
    table = SETTINGS | {
        "trainer": trainer if "name" in trainer else SETTINGS["trainer"] | trainer,
        "prompt": PROMPTS.get(reward, "blue and white stripes"),
        "iterations": args.iterations, "held_out": args.seeds, "device": args.device,
    }  # fmt: skip
    mesh = resources.sample(case["mesh"])
    result, began = None, time.perf_counter()
    for _ in range(len(watched)):  # rewards that this mesh cannot carry are left out, one after the other
        try:
            config = parse(table | {"rewards": watched})
            for progress in run(config, mesh):
                result = progress.result or result
            break
        except StudioError as error:
            broken = next((name for name in watched if _refuses(name, mesh, table["atlas_px"])), None)
            if broken is None or broken == reward:
                return case | {"refused": error.problem}
            del watched[broken]
    assert result is not None
    report = dict(result.report)
    if kind == "lora" and case["mesh"] == args.meshes[0]:
        write_sheet(result, config, args.out / f"{reward}.png")
    return case | {"report": report, "wall": time.perf_counter() - began}


def _refuses(name: str, mesh: Path, atlas_px: int) -> bool:
    import torch

    from studio.errors import StudioError
    from studio.rewards import SOCKET
    from studio.surface.atlas import build_atlas
    from studio.surface.mesh import load

    loaded = load(mesh)
    try:
        SOCKET.make(name).build(loaded, build_atlas(loaded, atlas_px), torch.device("cpu"))
    except StudioError:
        return True
    return False


def tables(found: list[dict[str, Any]]) -> str:
    """All cases as markdown."""
    from studio.gain import paired

    lines = ["| reward | mesh | untrained | tuned | gain | 95 % bound | standard deviations | s / iteration |",
             "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    cross: dict[str, dict[str, list[float]]] = {}
    for case in (c for c in found if c["kind"] == "lora"):
        if "refused" in case:
            lines.append(f"| {case['reward']} | {case['mesh']} | {case['refused']} | | | | | |")
            continue
        report = case["report"]
        seeds = list(report["per_seed"].values())
        for name in seeds[0]["before"]:
            gain = paired([s["before"][name] for s in seeds], [s["after"][name] for s in seeds])
            cross.setdefault(case["reward"], {}).setdefault(name, []).append(gain.share)
            if name == case["reward"]:
                pace = report["seconds"]["train"] / max(len(report["steps"]), 1)
                before, after = report["before"][name], report["after"][name]
                numbers = f"{before:.3f} | {after:.3f} | {gain.mean:+.3f} | {gain.low:+.3f} | {gain.share:+.1f} | {pace:.2f}"
                lines.append(f"| {name} | {case['mesh']} | {numbers} |")
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
        for kind in ("lora", "all steps", "texture"):
            report = kinds.get(kind, {}).get("report")
            shown.append(f"{report['after'][reward] - report['before'][reward]:+.3f}" if report else "")
        lines.append(f"| {reward} | {found[0]['mesh']} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    part, parts = map(int, args.part.split("/"))
    listed = cases(args)
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
