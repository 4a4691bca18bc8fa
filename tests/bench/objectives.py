"""What each objective gains and what it costs: `python tests/bench/objectives.py --out DIR [--device cuda] [--part i/n]`.

Rewards: `lora_reward` without and with an anchor, `nabla_db`, and `preference` (which sees the rewards only as a score) on the
same meshes and rewards: gain on held-out seeds and where its 95 % interval begins ("from"), the judge, which share of the base's
diversity is kept, the drift, seconds of one iteration, and memory. `lora at equal drift` is `lora_reward` without an anchor,
at a tenth of the rate, ended where it drifted as far as `nabla_db`.

Tastes: `preference` learns three hidden tastes (a colour, the scale of the pattern, left brighter than right) from 32 simulated
picks, one in ten of them wrong; seeds that nobody picked from are scored before and after.

DIR gets one JSON per case, and `tables.md`. Cases that have theirs are left out, and with `--seconds` a sitting ends after about
so long and the next one goes on where it was: the same line again and again does everything. `--part` shares the cases over
processes; `--tables` only writes the tables of what DIR holds; `--generator tiny --small` shows in a minute that everything runs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from studio.preferences import Picks
    from studio.progress import Progress, Result

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

MESHES = ("robot", "rabbit", "vase")
PROMPTS = {"palette": "red and white stripes", "symmetry": "camouflage"}
RATE, VISITS = 2e-4, 4
"""A small rate, and many iterations: few picks tell little, and what they do not tell is not to be learned."""
KINDS: dict[str, dict[str, Any]] = {
    "nabla_db": {"name": "nabla_db", "beta": 4.0},
    "lora": {"name": "lora_reward", "rate": 4e-3},
    "lora at equal drift": {"name": "lora_reward", "rate": 4e-4},
    "lora with anchor": {"name": "lora_reward", "rate": 4e-3, "anchor": 1e4},
    "preference": {"name": "preference", "score": "rewards", "gap": 0.0, "rate": RATE},
}


def colour(pictures: Tensor) -> Tensor:
    """Redder than blue."""
    return pictures[:, 0].mean() - pictures[:, 2].mean()


def scale(pictures: Tensor) -> Tensor:
    """How much of the contrast is coarse."""
    grey = pictures.mean(1, keepdim=True)
    coarse = grey.unfold(2, 8, 8).unfold(3, 8, 8).mean((-1, -2))
    return coarse.var((1, 2, 3)).mean() / (grey.var((1, 2, 3)).mean() + 1e-6)


def left(pictures: Tensor) -> Tensor:
    """Brighter on the left of the first picture, as a part of both: a darker texture has no other asymmetry."""
    bright, dark = (side.mean() for side in pictures[0].chunk(2, dim=-1))
    return (bright - dark) / (bright + dark)


TASTES = {"colour": colour, "scale": scale, "left": left}
ASKED = {"left": "bold blue and white camouflage"}
"""Prompts for a taste other than a mosaic: the two sides of a fine pattern are alike, whoever picks."""
PICKS, WRONG, FRESH = 32, 0.1, 20
Enough = Callable[["Progress"], bool]
Ran = tuple["Result", int, float]


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--device", default="auto")
    p.add_argument("--generator", default="mini")
    p.add_argument("--meshes", nargs="*", default=list(MESHES))
    p.add_argument("--rewards", nargs="*", default=list(PROMPTS))
    p.add_argument("--kinds", nargs="*", default=list(KINDS))
    p.add_argument("--tastes", nargs="*", default=list(TASTES))
    p.add_argument("--iterations", type=int, default=60)
    p.add_argument("--samples", type=int, default=48, help="textures that preferences are made of")
    p.add_argument("--seeds", type=int, default=8, help="held-out seeds")
    p.add_argument("--views", type=int, default=6)
    p.add_argument("--rate", type=float, default=RATE, help="of learning a taste")
    p.add_argument("--small", action="store_true", help="as little as shows that it runs")
    p.add_argument("--part", default="1/1")
    p.add_argument("--seconds", type=float, default=float("inf"), help="how long a sitting may last, about")
    p.add_argument("--tables", action="store_true")
    args = p.parse_args()
    if args.small:
        args.meshes, args.rewards, args.iterations, args.samples, args.seeds = args.meshes[:1], args.rewards[:1], 2, 20, 2
    return args


def cases(args: argparse.Namespace) -> list[dict[str, str]]:
    """Every case there is, all of one mesh before the next."""
    found = []
    for mesh in args.meshes:
        found += [{"what": "reward", "on": r, "mesh": mesh, "kind": k} for r in args.rewards for k in args.kinds]
        found += [{"what": "taste", "on": t, "mesh": mesh, "kind": "preference"} for t in args.tastes]
    return found


def settings(args: argparse.Namespace, **changes: Any) -> dict[str, Any]:
    """What all cases have alike."""
    views, atlas_px = (2, 256) if args.small else (args.views, 512)
    table = {"generator": {"name": args.generator, "steps": 4}, "device": args.device, "judge_every": 2, "atlas_px": atlas_px}
    return {**table, "views": views, "max_views": views, **changes}


class Paused(Exception):
    """The sitting is over; what was done is kept."""


def ran(table: dict[str, Any], case: dict[str, str], args: argparse.Namespace, enough: Enough = lambda p: False) -> Ran:
    """The result of a run on the case's mesh, its number of iterations, and the median of seconds from one to the next.

    `enough` may end the learning early. Raises Paused at a checkpoint once the sitting is over.
    """
    import torch

    from studio import film, resources, run
    from studio.config import parse

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    file, state, apart = args.out / f"{named(case)}.checkpoint", None, []
    if file.exists():
        state = film.checkpoint_from(file.read_bytes())
        apart, table = list(state["apart"]), table | {"iterations": state["iterations"]}
    before = None
    for p in run(parse(table), resources.sample(case["mesh"]), resume=state):
        over = time.monotonic() > args.ends
        if p.result is not None:
            file.unlink(missing_ok=True)
            return p.result, table["iterations"], statistics.median(apart or [0.0])
        if p.checkpoint is not None:
            now = time.perf_counter()
            apart += [] if before is None else [now - before]
            ended = enough(p)
            if over or ended:
                iterations = p.step if ended else table["iterations"]
                file.write_bytes(film.checkpoint_bytes({**p.checkpoint(), "apart": apart, "iterations": iterations}))
                if not over:
                    return ran(table, case, args)
                raise Paused
            before = time.perf_counter()
        elif over and p.stage == "gathering":  # each texture is kept
            raise Paused
    raise AssertionError("a run without a result")


def rewarded(case: dict[str, str], args: argparse.Namespace) -> dict[str, Any]:
    """One objective on one reward."""
    trainer, enough = dict(KINDS[case["kind"]]), lambda p: False
    table = {"prompt": PROMPTS[case["on"]], "rewards": {case["on"]: 1.0}, "iterations": args.iterations, "trainer": trainer}
    if case["kind"] == "preference":
        trainer |= {"samples": args.samples, "picks": str(args.out / "picks" / f"{case['mesh']}-{case['on']}")}
        table["iterations"] = VISITS * args.iterations
    if case["kind"] == "lora at equal drift":
        far = json.loads((args.out / f"{named({**case, 'kind': 'nabla_db'})}.json").read_text(encoding="utf-8"))["report"][
            "drift"
        ]
        table |= {"iterations": 4 * args.iterations, "judge_every": 1}
        enough = lambda p: p.metrics.get("drift", 0.0) >= far  # noqa: E731
    result, iterations, apart = ran(settings(args, held_out=args.seeds, **table), case, args, enough)
    return case | {"report": dict(result.report), "iterations": iterations, "apart": apart, "judge": judged(result, args)}


def judged(result: Result, args: argparse.Namespace) -> float | None:
    """How much less damaged the judge finds held-out seeds after than before, in its deviations; None where there is no judge."""
    from studio import device, renderers
    from studio.judge import QUALITY, Judge, Views, eye
    from studio.surface.atlas import build_atlas

    where = device.device(args.device)
    atlas = build_atlas(result.mesh, result.texture.channels["base_color"].shape[-1]).to(where)
    judge = Judge(Views(result.mesh, atlas, renderers.build("auto", where)[0]), eye(where)[0], every=1, opinions=QUALITY)
    judge.refer([texture.to(where) for texture in result.before], "")
    said = [judge.measure(texture.to(where), "")[0].get("judge") for texture in result.after]
    return None if None in said else statistics.fmean(value for value in said if value is not None)


def tasted(case: dict[str, str], args: argparse.Namespace) -> dict[str, Any]:
    """One hidden taste, learned from simulated picks: what it says of fresh seeds before and after."""
    from studio import lora
    from studio.preferences import Picks

    folder = args.out / "picks" / named(case)

    def did(into: str, trainer: dict[str, Any], *, iterations: int = 0, seed: int = 0, **more: Any) -> Ran:
        table = {"prompt": ASKED.get(case["on"], "blue and white mosaic"), "iterations": iterations, "seed": seed, **more}
        table |= {"trainer": {**trainer, "picks": str(folder / into)}}
        return ran(settings(args, **table), case | {"what": into}, args)

    def painted(into: str, count: int, **more: Any) -> dict[str, float]:
        """What the taste says of so many textures, by key, in the order of their seeds."""
        if missing := count - len(Picks(folder / into).samples):
            did(into, {"name": "variations", "count": missing}, **more)
        picks = Picks(folder / into)
        in_order = sorted(picks.samples.values(), key=lambda sample: sample.seed)
        return {sample.key: float(TASTES[case["on"]](picks.pictures(sample.key).float())) for sample in in_order}

    file, report = folder / "learned.safetensors", folder / "report.json"
    if not report.exists():
        picked = Picks(folder / "picked")
        if len(picked.picks) < PICKS:
            values = painted("gathered", args.samples)
            pick(Picks(folder / "gathered"), picked, values)
        trainer = {"name": "preference", "rate": args.rate}
        result, _, apart = did("picked", trainer, iterations=VISITS * args.iterations, held_out=args.seeds)
        file.write_bytes(lora.encoded(result.lora, result.receipt))
        report.write_text(json.dumps({"report": dict(result.report), "apart": apart}, default=float), encoding="utf-8")
    before = painted("before", FRESH, seed=1)
    after = painted("after", FRESH, seed=1, loras={"learned": str(file)})
    values = {"before": list(before.values()), "after": list(after.values())}
    return case | values | json.loads(report.read_text(encoding="utf-8"))


def pick(gathered: Picks, picked: Picks, values: dict[str, float]) -> None:
    """Simulated picks by what a taste says, some of them wrong."""
    draw = random.Random(0)
    while len(picked.picks) < PICKS:
        a, b = draw.sample(sorted(values), 2)
        for sample in (gathered.samples[a], gathered.samples[b]):
            facts = {"prompt": sample.prompt, "seed": sample.seed, "subject": sample.subject}
            picked.add(x0=gathered.x0(sample.key), pictures=gathered.pictures(sample.key), **facts)
        picked.prefer(*((a, b) if (values[a] > values[b]) != (draw.random() < WRONG) else (b, a)))


def tables(found: list[dict[str, Any]]) -> str:
    """All cases as markdown."""
    from studio.gain import paired

    lines = ["| reward | mesh | objective | iterations | gain | from | deviations | judge | diversity | drift | s each | GiB |",
             "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for case in (c for c in found if c["what"] == "reward"):
        head = f"| {case['on']} | {case['mesh']} | {case['kind']} "
        report = case["report"]
        seeds = list(report["per_seed"].values())
        gain = paired([s["before"][case["on"]] for s in seeds], [s["after"][case["on"]] for s in seeds])
        kept = (report["diversity"] or {}).get("kept")
        lines.append(
            head + f"| {case['iterations']} | {gain.mean:+.4f} | {gain.low:+.4f} | {gain.share:+.1f} "
            f"| {'' if case['judge'] is None else format(case['judge'], '+.2f')} | {'' if kept is None else f'{kept:.0%}'} "
            f"| {'' if report['drift'] is None else format(report['drift'], '.2g')} "
            f"| {case['apart']:.2f} | {(report['peak_memory_bytes'] or 0) / 2**30:.1f} |"
        )
    said = f"Three hidden tastes, from {PICKS} simulated picks with {WRONG:.0%} wrong, on seeds that nobody picked from:"
    lines += ["", said, "", "| taste | mesh | before | after | gain | from | deviations | held-out picks | diversity | s each |",
              "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for case in (c for c in found if c["what"] == "taste"):
        gain, mean = paired(case["before"], case["after"]), lambda values: sum(values) / len(values)
        accuracy = case["report"]["preferences"]["accuracy"]
        lines.append(
            f"| {case['on']} | {case['mesh']} | {mean(case['before']):.4g} | {mean(case['after']):.4g} | {gain.mean:+.2g} "
            f"| {gain.low:+.2g} | {gain.share:+.1f} | {f'{accuracy[-1][1]:.0%}' if accuracy else ''} "
            f"| {(case['report']['diversity'] or {}).get('kept', 0):.0%} | {case['apart']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def named(case: dict[str, str]) -> str:
    return "-".join(case[part].replace(" ", "_") for part in ("what", "on", "mesh", "kind"))


def main() -> None:
    args = arguments()
    args.out = args.out.absolute()
    args.ends = time.monotonic() + args.seconds
    listed = cases(args)
    part, parts = map(int, args.part.split("/"))
    home = args.out / f"home-{part}"
    home.mkdir(parents=True, exist_ok=True)
    os.environ["PATINA_HOME"] = str(home)
    if not args.tables:
        groups = [(c["mesh"], c["what"], c["on"]) for c in listed]
        mine = set(list(dict.fromkeys(groups))[part - 1 :: parts])  # a reward's cases stay together: one needs another
        for case in (c for c, group in zip(listed, groups, strict=True) if group in mine):
            file, began = args.out / f"{named(case)}.json", time.monotonic()
            if file.exists():
                continue
            if began > args.ends:
                break
            try:
                found = (rewarded if case["what"] == "reward" else tasted)(case, args)
            except Paused:
                print(named(case), "goes on in the next sitting", flush=True)
                break
            file.write_text(json.dumps(found, default=float), encoding="utf-8")
            print(named(case), f"{time.monotonic() - began:.1f} s", flush=True)
    files = [args.out / f"{named(case)}.json" for case in listed]
    text = tables([json.loads(f.read_text(encoding="utf-8")) for f in files if f.exists()])
    (args.out / "tables.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
