"""What each objective gains and what it costs: `python tests/bench/objectives.py --out DIR [--device cuda] [--part i/n]`.

Rewards: `lora_reward` without and with an anchor, `nabla_db`, and `preference` (which sees the rewards only as a score) on the
same meshes and rewards: gain on held-out seeds with its 95 % bound, the judge, which share of the base's diversity is kept, the
drift, seconds and memory. `lora at equal drift` is `lora_reward` without an anchor, ended where it drifted as far as `nabla_db`.

Tastes: `preference` learns three hidden tastes (a colour, the scale of the pattern, left brighter than right) from 32 simulated
picks, one in ten of them wrong; seeds that nobody picked from are scored before and after.

DIR gets one JSON per case, and `tables.md`. `--part` shares the cases over processes; `--tables` only writes the tables of what
DIR holds; `--generator tiny --small` shows in a minute that everything runs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

MESHES = ("robot", "rabbit", "vase")
PROMPTS = {"palette": "red and white stripes", "symmetry": "camouflage"}
KINDS: dict[str, dict[str, Any]] = {
    "nabla_db": {"name": "nabla_db", "beta": 4.0},
    "lora": {"name": "lora_reward", "rate": 4e-3},
    "lora at equal drift": {"name": "lora_reward", "rate": 4e-3},
    "lora with anchor": {"name": "lora_reward", "rate": 4e-3, "anchor": 1.0},
    "preference": {"name": "preference", "score": "rewards", "gap": 0.0},
}
TASTES = {
    "colour": "return float(pictures[..., 0].mean() - pictures[..., 2].mean())",
    "scale": """grey = pictures.mean(-1)
    n, h, w = grey.shape
    coarse = grey.reshape(n, h // 8, 8, w // 8, 8).mean((2, 4))
    return float(coarse.var((1, 2)).mean() / (grey.var((1, 2)).mean() + 1e-6))""",
    "left": """w = pictures.shape[2] // 2
    return float(pictures[0, :, :w].mean() - pictures[0, :, w:].mean())""",
}
PICKS, WRONG = 32, 0.1


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--device", default="auto")
    p.add_argument("--generator", default="mini")
    p.add_argument("--meshes", nargs="*", default=list(MESHES))
    p.add_argument("--rewards", nargs="*", default=list(PROMPTS))
    p.add_argument("--tastes", nargs="*", default=list(TASTES))
    p.add_argument("--iterations", type=int, default=60)
    p.add_argument("--samples", type=int, default=48, help="textures that preferences are made of")
    p.add_argument("--seeds", type=int, default=8, help="held-out seeds")
    p.add_argument("--small", action="store_true", help="as little as shows that it runs")
    p.add_argument("--part", default="1/1")
    p.add_argument("--tables", action="store_true")
    args = p.parse_args()
    if args.small:
        args.meshes, args.rewards, args.iterations, args.samples, args.seeds = args.meshes[:1], args.rewards[:1], 2, 20, 2
    return args


def cases(args: argparse.Namespace) -> list[dict[str, str]]:
    """Every case there is, in a fixed order."""
    found = [{"what": "reward", "on": r, "mesh": m, "kind": k} for m in args.meshes for r in args.rewards for k in KINDS]
    return found + [{"what": "taste", "on": t, "mesh": m, "kind": "preference"} for m in args.meshes for t in args.tastes]


def settings(args: argparse.Namespace, **changes: Any) -> dict[str, Any]:
    """What all cases have alike."""
    small = {"views": 2, "max_views": 2, "atlas_px": 256} if args.small else {"atlas_px": 512}
    return {"generator": {"name": args.generator, "steps": 6}, "device": args.device, "judge_every": 2, **small, **changes}


def rewarded(case: dict[str, str], args: argparse.Namespace) -> dict[str, Any]:
    """One objective on one reward."""
    from studio import resources, run
    from studio.config import parse

    mesh, trainer = resources.sample(case["mesh"]), dict(KINDS[case["kind"]])
    table = settings(args, prompt=PROMPTS[case["on"]], rewards={case["on"]: 1.0}, iterations=args.iterations, trainer=trainer)
    if case["kind"] == "preference":
        trainer |= {"samples": args.samples, "picks": str(args.out / "picks" / f"{case['mesh']}-{case['on']}")}
        table["iterations"] = 2 * args.iterations
    if case["kind"] == "lora at equal drift":
        nabla = args.out / f"{named({**case, 'kind': 'nabla_db'})}.json"
        if not nabla.exists():
            return case | {"refused": "Run nabla_db on this first."}
        far, table["iterations"] = json.loads(nabla.read_text(encoding="utf-8"))["report"]["drift"], 0
        for p in run(parse(table | {"iterations": args.iterations, "judge_every": 1}), mesh):
            if p.checkpoint is not None:
                table["iterations"] = p.step
                if p.metrics.get("drift", 0.0) >= far:
                    break
    began = time.perf_counter()
    result = [p for p in run(parse(table | {"held_out": args.seeds}), mesh) if p.result][-1].result
    assert result is not None
    return case | {"report": dict(result.report), "iterations": table["iterations"], "wall": time.perf_counter() - began}


def tasted(case: dict[str, str], args: argparse.Namespace) -> dict[str, Any]:
    """One hidden taste, learned from simulated picks: what it says of fresh seeds before and after."""
    from studio import consent, lora, resources, run
    from studio.config import parse
    from studio.preferences import Picks

    folder = args.out / "picks" / f"{case['mesh']}-{case['on']}"
    score = args.out / f"{case['on']}.py"
    score.write_text(f"def score(pictures, texture):\n    {TASTES[case['on']]}\n", encoding="utf-8")
    consent.confirm(score, consent.digest(score.read_bytes()))
    mesh, began = resources.sample(case["mesh"]), time.perf_counter()

    def ran(*, into: str, iterations: int = 0, seed: int = 0, by: str = str(score), samples: int = 20, **more: Any) -> Any:
        trainer = {"name": "preference", "score": by, "samples": samples, "picks": str(folder / into), "gap": 0.0}
        table = settings(args, prompt="blue and white mosaic", iterations=iterations, seed=seed, trainer=trainer, **more)
        return [p for p in run(parse(table), mesh) if p.result][-1].result

    def said(into: str) -> list[float]:
        picks = Picks(folder / into)
        (values,) = picks.scores.values()
        by_seed = {sample.seed: values[key] for key, sample in picks.samples.items()}
        return [by_seed[seed] for seed in sorted(by_seed)]

    ran(into="gathered", samples=args.samples)
    gathered, picked, draw = Picks(folder / "gathered"), Picks(folder / "picked"), random.Random(0)
    (values,) = gathered.scores.values()
    while len(picked.picks) < PICKS:
        a, b = draw.sample(sorted(values), 2)
        for sample in (gathered.samples[a], gathered.samples[b]):
            x0, pictures = gathered.x0(sample.key), gathered.pictures(sample.key)
            picked.add(x0=x0, pictures=pictures, prompt=sample.prompt, seed=sample.seed, subject=sample.subject)
        picked.prefer(*((a, b) if (values[a] > values[b]) != (draw.random() < WRONG) else (b, a)))
    result = ran(into="picked", iterations=4 * args.iterations, by="", held_out=args.seeds)
    file = folder / "learned.safetensors"
    file.write_bytes(lora.encoded(result.lora, result.receipt))
    ran(into="before", seed=1)
    ran(into="after", seed=1, loras={"learned": str(file)})
    told = {"before": said("before"), "after": said("after"), "report": dict(result.report)}
    return case | told | {"wall": time.perf_counter() - began}


def tables(found: list[dict[str, Any]]) -> str:
    """All cases as markdown."""
    from studio.gain import paired

    lines = ["| reward | mesh | objective | iterations | gain | 95 % bound | deviations | judge | diversity | drift | s | GiB |",
             "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for case in (c for c in found if c["what"] == "reward"):
        head = f"| {case['on']} | {case['mesh']} | {case['kind']} "
        if "refused" in case:
            lines.append(head + f"| {case['refused']} |" + " |" * 8)
            continue
        report = case["report"]
        seeds = list(report["per_seed"].values())
        gain = paired([s["before"][case["on"]] for s in seeds], [s["after"][case["on"]] for s in seeds])
        judge = [g["judge"] for g in report["gauges"] if "judge" in g]
        kept = (report["diversity"] or {}).get("kept")
        lines.append(
            head + f"| {case['iterations']} | {gain.mean:+.4f} | {gain.low:+.4f} | {gain.share:+.1f} "
            f"| {f'{judge[-1]:+.2f}' if judge else ''} | {'' if kept is None else f'{kept:.0%}'} "
            f"| {'' if report['drift'] is None else format(report['drift'], '.2g')} "
            f"| {report['seconds']['train']:.0f} | {(report['peak_memory_bytes'] or 0) / 2**30:.1f} |"
        )
    said = f"Three hidden tastes, from {PICKS} simulated picks with {WRONG:.0%} wrong, on seeds that nobody picked from:"
    lines += ["", said, "", "| taste | mesh | before | after | gain | 95 % bound | held-out picks | diversity kept | s |",
              "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for case in (c for c in found if c["what"] == "taste"):
        gain, mean = paired(case["before"], case["after"]), lambda values: sum(values) / len(values)
        accuracy = case["report"]["preferences"]["accuracy"]
        lines.append(
            f"| {case['on']} | {case['mesh']} | {mean(case['before']):.3f} | {mean(case['after']):.3f} | {gain.mean:+.3f} "
            f"| {gain.low:+.3f} | {f'{accuracy[-1][1]:.0%}' if accuracy else ''} "
            f"| {(case['report']['diversity'] or {}).get('kept', 0):.0%} | {case['wall']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def named(case: dict[str, str]) -> str:
    return "-".join(case[part].replace(" ", "_") for part in ("what", "on", "mesh", "kind"))


def main() -> None:
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    args.out = args.out.absolute()
    os.environ["PATINA_HOME"] = str(args.out / "home")  # what is confirmed here is confirmed for this benchmark alone
    listed = cases(args)
    part, parts = map(int, args.part.split("/"))
    if not args.tables:
        groups = [(c["what"], c["on"], c["mesh"]) for c in listed]
        mine = set(list(dict.fromkeys(groups))[part - 1 :: parts])  # a reward's cases stay together: one needs another
        for case in (c for c, group in zip(listed, groups, strict=True) if group in mine):
            found = (rewarded if case["what"] == "reward" else tasted)(case, args)
            (args.out / f"{named(case)}.json").write_text(json.dumps(found, default=float), encoding="utf-8")
            print(named(case), found.get("refused", f"{found.get('wall', 0):.1f} s"), flush=True)
    files = [args.out / f"{named(case)}.json" for case in listed]
    text = tables([json.loads(f.read_text(encoding="utf-8")) for f in files if f.exists()])
    (args.out / "tables.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
