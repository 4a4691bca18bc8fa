"""How well, how reliably and how fast are materials recovered?

`python tests/bench/recover.py --out DIR [--device cuda] [--seeds 4] [--path own traced]`

For every example, preset and seed under a known light, and for `split` under an unknown one: per-channel errors on the texels
seen, the PSNR under lights not seen before, seconds. A run *fails* where the roughness error exceeds FAIL_ROUGHNESS or the
metallic error FAIL_METALLIC. Pictures come from the studio's own shading ("own") and from the path tracer of the tests
("traced"), which shares no code with it; only the second says how recovery does on pictures of the world. `--levels` sweeps the
grids instead, and `--speed` times one set of 50 views of 512² on a 1024² atlas. Tables go to DIR/recover.md, all numbers to
DIR/recover.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, os.getcwd())

FAIL_ROUGHNESS, FAIL_METALLIC = 0.1, 0.1
MUST_S, AIM_S = 120.0, 45.0
EXPOSURE_EV = -1.5
UNKNOWN_SEEDS = 2


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--device", default="auto")
    p.add_argument("--examples", nargs="+", default=["sphere", "vase", "robot"])
    p.add_argument("--presets", nargs="+", default=["split", "joint", "paper"])
    p.add_argument("--path", nargs="+", default=["own"], choices=("own", "traced"))
    p.add_argument("--seeds", type=int, default=4)
    p.add_argument("--views", type=int, default=24)
    p.add_argument("--size", type=int, default=192)
    p.add_argument("--samples", type=int, default=400, help="paths per traced pixel, a square number")
    p.add_argument("--atlas", type=int, default=512)
    p.add_argument("--iterations", type=int, default=800)
    p.add_argument("--fine-iterations", type=int, default=300)
    p.add_argument("--batch", type=int, default=8192)
    p.add_argument("--levels", action="store_true", help="only split with 2, 4, 8 and 16 levels")
    p.add_argument("--speed", action="store_true", help="only the time of 50 views of 512² on 1024²")
    return p.parse_args()


class Bench:
    """Examples, their pictures (made once) and what recovers them."""

    def __init__(self, args: argparse.Namespace) -> None:
        from studio import environment, renderers
        from studio.device import device
        from studio.recover.examples import lamps

        self.args = args
        self.rasterizer, notice = renderers.build("auto", device(args.device))
        if notice:
            print(notice)
        self.light = environment.from_panorama(lamps(), name="lamps")
        self._kept: dict[tuple[str, str], Any] = {}

    def pictures(self, name: str, path: str) -> Any:
        from studio.captures import shoot
        from studio.recover.examples import example
        from studio.recover.openness import openness
        from studio.surface.atlas import build_atlas

        if (name, path) not in self._kept:
            scene, cameras = example(name), shoot.around(self.args.views)
            if path == "traced":
                import torch

                from tests.recover.scene import NOISE, panorama
                from tests.recover.truth import Tracer

                tracer = Tracer(scene.mesh, scene.material, panorama())
                shots = [
                    tracer.photograph(c, self.args.size, self.args.samples, exposure_ev=EXPOSURE_EV, noise=NOISE) for c in cameras
                ]
                taken = shoot.capture_of(scene.mesh, cameras, torch.stack(shots).permute(0, 3, 1, 2), exposure_ev=EXPOSURE_EV)
            else:
                atlas = build_atlas(scene.mesh, self.args.atlas).to(self.rasterizer.device)
                open_ = openness(scene.mesh).at_corners
                stand = shoot.Studio(scene.mesh, atlas, scene.texture(atlas), self.light, self.rasterizer, open_, EXPOSURE_EV)
                taken = shoot.taken(stand, cameras, self.args.size)
            self._kept[name, path] = scene, taken
        return self._kept[name, path]

    def run(self, name: str, path: str, preset: str, seed: int, *, known: bool = True, **values: Any) -> dict[str, Any]:
        """One recovery, and how far it is off."""
        from studio.recover import recover, settings
        from studio.recover.compare import errors
        from studio.recover.light import alignment
        from studio.recover.relight import held_out_psnr
        from studio.surface.atlas import build_atlas

        scene, capture = self.pictures(name, path)
        args = self.args
        sizes = {"iterations": args.iterations, "fine_iterations": args.fine_iterations, "batch_px": args.batch}
        chosen = settings(preset, {**sizes, "atlas_px": args.atlas, "size_px": args.size, "seed": seed, **values})
        began = time.perf_counter()
        found = _value(recover(scene.mesh, capture, chosen, self.rasterizer, environment=self.light if known else None))
        seconds = time.perf_counter() - began
        atlas = build_atlas(scene.mesh, args.atlas)
        truth = scene.texture(atlas)
        row = {"example": name, "path": path, "preset": preset, "seed": seed, "known": known, "seconds": seconds, **values}
        row |= {"psnr": found.psnr, **errors(found.texture, truth, atlas.valid & found.seen)}
        device = self.rasterizer.device
        row["held_out"] = held_out_psnr(scene.mesh, atlas.to(device), found.texture.to(device), truth.to(device), self.rasterizer)
        if not known:
            row["angle_deg"], row["correlation"] = alignment(found.light, self.light)
        row["failed"] = row["roughness"] > FAIL_ROUGHNESS or row["metallic"] > FAIL_METALLIC
        print(json.dumps(row), flush=True)
        return row


def _value(steps: Iterator[Any]) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def table(rows: list[dict[str, Any]], key: Callable[[dict[str, Any]], tuple[Any, ...]], head: str) -> str:
    """Rows with the same key as one line: failures, means over seeds."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    columns = ("base_color", "roughness", "metallic", "psnr", "held_out")
    lines = [f"| {head} | failed | base colour | roughness | metallic | PSNR | held-out light | minutes |"]
    lines.append("|" + " --- |" * (head.count("|") + 1) + " ---: |" * 7)
    for name, group in groups.items():
        numbers = [statistics.mean(r[c] for r in group) for c in columns]
        shown = [f"{x:.3f}" for x in numbers[:3]] + [f"{x:.1f}" for x in numbers[3:]]
        minutes = statistics.mean(r["seconds"] for r in group) / 60
        failed = f"{sum(r['failed'] for r in group)} of {len(group)}"
        lines.append("| " + " | ".join([*map(str, name), failed, *shown, f"{minutes:.2f}"]) + " |")
    return "\n".join(lines)


def main() -> int:
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.speed:
        args.views, args.size, args.atlas = 50, 512, 1024
    bench = Bench(args)
    if args.speed:
        bench.run(args.examples[-1], "own", "split", 0, iterations=2, fine_iterations=1)  # kernels are compiled and chosen
        rows = [bench.run(name, "own", "split", 0) for name in args.examples]
        text = table(rows, lambda r: (r["example"],), "50 views of 512², 1024²")
        slow = max(r["seconds"] for r in rows)
        text += f"\n\nSlowest {slow:.1f} s; must be at most {MUST_S:.0f}, aim {AIM_S:.0f}.\n"
    elif args.levels:
        sweep = [(n, p, v) for p in args.path for n in args.examples for v in (2, 4, 8, 16)]
        rows = [bench.run(n, p, "split", 0, levels=v) for n, p, v in sweep]
        text, slow = table(rows, lambda r: (r["example"], r["path"], r["levels"]), "example | pictures | levels"), 0.0
    else:
        cases = [
            (n, p, preset, s) for p in args.path for n in args.examples for preset in args.presets for s in range(args.seeds)
        ]
        rows = [bench.run(*case) for case in cases]
        unknown = [(n, p, s) for p in args.path for n in args.examples for s in range(min(UNKNOWN_SEEDS, args.seeds))]
        rows += [bench.run(n, p, "split", s, known=False) for n, p, s in unknown]
        text = table(
            rows,
            lambda r: (r["example"], r["path"], r["preset"], "known" if r["known"] else "unknown"),
            "example | pictures | preset | light",
        )
        slow = 0.0
    (args.out / "recover.md").write_text(text + "\n", encoding="utf-8")
    (args.out / "recover.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    print("\n" + text)
    return int(slow > MUST_S)


if __name__ == "__main__":
    sys.exit(main())
