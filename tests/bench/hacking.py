"""A run that cheats, and the alarm: `python tests/bench/hacking.py --out DIR [--rate 0.004] [--mesh mug]`.

`lora_reward` follows the bundled critic (`prompt`) without an anchor and at a high rate, and does not stop at the alarm. Writes
the curves as `hacking.csv` and `hacking.png`: the trained score, and the judge in standard deviations of held-out renders.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

from studio import resources
from studio.config import parse
from studio.run import run

COLUMNS = ("iteration", "trained", "judge", "saturation", "energy", "drift", "alarm")


def cheated(args: argparse.Namespace) -> list[dict[str, Any]]:
    """The run's rows, one for each iteration."""
    trainer = {"name": "lora_reward", "rate": args.rate, "seeds": 1}
    settings = {
        "generator": {"name": "mini"}, "trainer": trainer, "rewards": {args.reward: {"weight": 1.0}}, "prompt": args.prompt,
        "iterations": args.iterations, "atlas_px": 512, "judge_every": 1, "device": args.device,
    }  # fmt: skip
    rows = []
    for progress in run(parse(settings), resources.sample(args.mesh)):
        if progress.checkpoint is None:
            continue
        m = progress.metrics
        rows.append({"iteration": progress.step, "trained": m["score"], "alarm": int(progress.alarm is not None)})
        rows[-1] |= {name: m.get(name, "") for name in COLUMNS if name not in rows[-1]}
        print(*(f"{name} {value:.4g}" if value != "" else "" for name, value in rows[-1].items()), flush=True)
    return rows


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Both curves over the iterations, and where the alarm rang."""
    from matplotlib import pyplot

    charcoal, bone, verdigris, copper = "#1E1D1B", "#E9E4D8", "#4FB5A0", "#C77B4A"
    style = dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), bone)
    with pyplot.rc_context({**style, "axes.facecolor": charcoal, "figure.facecolor": charcoal, "font.size": 11}):
        figure, left = pyplot.subplots(figsize=(8, 4))
        right = left.twinx()
        at = [row["iteration"] for row in rows]
        left.plot(at, [row["trained"] for row in rows], color=verdigris, linewidth=2)
        right.plot(at, [row["judge"] for row in rows], color=bone, linewidth=2)
        for row in rows:
            if row["alarm"]:
                right.axvline(row["iteration"], color=copper, linestyle="--")
                right.annotate("alarm", (row["iteration"] + 0.15, right.get_ylim()[0]), color=copper)
        left.set_xlabel("iteration")
        left.set_ylabel("trained score", color=verdigris)
        right.set_ylabel("judge, deviations of held-out renders")
        figure.tight_layout()
        figure.savefig(path, dpi=100)


def main() -> None:
    p = argparse.ArgumentParser(description="A run that cheats, and the alarm.")
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--mesh", default="mug")
    p.add_argument("--prompt", default="red bricks")
    p.add_argument("--reward", default="prompt", choices=("prompt", "quality"))
    p.add_argument("--rate", type=float, default=0.004)
    p.add_argument("--iterations", type=int, default=45)
    p.add_argument("--device", default="cpu")
    args = p.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows = cheated(args)
    with (args.out / "hacking.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    draw(rows, args.out / "hacking.png")
    rung = next((row for row in rows if row["alarm"]), None)
    lost = next((row["iteration"] for row in rows if float(row["judge"]) <= -1), None)
    told = f"alarm at iteration {rung['iteration']}, the judge at {rung['judge']:+.2f}" if rung else "no alarm"
    print(f"{told}; the judge had lost 1 of the untrained at iteration {lost}")


if __name__ == "__main__":
    main()
