"""How well, how reliably and how fast are materials recovered?

`python tests/bench/recover.py --out DIR [--device cuda] [--seeds 4] [--path own traced]`

For every example, preset and seed under a known light, and for `split` under an unknown one: per-channel errors on the texels
seen, the PSNR under lights not seen before, seconds. A run *fails* where the roughness error exceeds FAIL_ROUGHNESS or the
metallic error FAIL_METALLIC. Pictures come from the studio's own shading ("own") and from the path tracer of the tests
("traced"), which shares no code with it; only the second says how recovery does on pictures of the world. `--levels` sweeps the
grids instead, and `--speed` times one set of 50 views of 512² on a 1024² atlas.

Every case is kept in DIR/cases and not done again; `--part 2/5` does the second of five parts, `--limit 120` begins no case after
so many seconds, and several parts may run at once. Whichever ends last has all of them in DIR/recover.md. Traced pictures are
kept in `--pictures`; `--trace` only makes these.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
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
    p.add_argument("--size", type=int, default=160)
    p.add_argument("--samples", type=int, default=256, help="paths per traced pixel, a square number")
    p.add_argument("--pictures", type=Path, help="where traced pictures are kept (DIR/traced)")
    p.add_argument("--atlas", type=int, default=512)
    p.add_argument("--iterations", type=int, default=800)
    p.add_argument("--fine-iterations", type=int, default=300)
    p.add_argument("--batch", type=int, default=4096)
    p.add_argument("--part", default="1/1", help="which part of the cases, of how many")
    p.add_argument("--limit", type=float, default=float("inf"), help="begin no case after this many seconds")
    kind = p.add_mutually_exclusive_group()
    kind.add_argument("--levels", dest="kind", action="store_const", const="levels", help="only split with 2, 4, 8, 16 levels")
    kind.add_argument("--speed", dest="kind", action="store_const", const="speed", help="only the time of one large set")
    kind.add_argument("--trace", dest="kind", action="store_const", const="trace", help="only make the traced pictures")
    p.set_defaults(kind="")
    args = p.parse_args()
    if args.kind == "speed":
        args.views, args.size, args.atlas, args.path = 50, 512, 1024, ["own"]
    args.pictures = args.pictures or args.out / "traced"
    return args


def cases(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Everything to be done, as keywords of `Bench.run`."""
    both = [{"name": n, "path": p} for p in args.path for n in args.examples]
    if args.kind == "speed":
        return [{**b, "preset": "split", "seed": 0, "batch_px": args.batch} for b in both]
    if args.kind == "levels":
        return [{**b, "preset": "split", "seed": 0, "levels": levels} for b in both for levels in (2, 4, 8, 16)]
    known = [{**b, "preset": preset, "seed": s} for b in both for preset in args.presets for s in range(args.seeds)]
    seeds = range(min(UNKNOWN_SEEDS, args.seeds))
    return known + [{**b, "preset": "split", "seed": s, "known": False} for b in both for s in seeds]


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
        from studio.shelter import shelter
        from studio.surface.atlas import build_atlas

        if (name, path) not in self._kept:
            scene, cameras = example(name), shoot.around(self.args.views)
            if path == "traced":
                taken = shoot.capture_of(scene.mesh, cameras, traced(self.args, name), exposure_ev=EXPOSURE_EV)
            else:
                atlas = build_atlas(scene.mesh, self.args.atlas).to(self.rasterizer.device)
                open_ = shelter(scene.mesh)
                texture = scene.texture(atlas)
                stand = shoot.Studio(scene.mesh, atlas, texture, self.light, self.rasterizer, open_, EXPOSURE_EV)
                taken = shoot.taken(stand, cameras, self.args.size)
            self._kept[name, path] = scene, taken
        return self._kept[name, path]

    def run(self, *, name: str, path: str, preset: str, seed: int, known: bool = True, **values: Any) -> dict[str, Any]:
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
        found = value(recover(scene.mesh, capture, chosen, self.rasterizer, environment=self.light if known else None))
        seconds = time.perf_counter() - began
        device = self.rasterizer.device
        atlas = build_atlas(scene.mesh, args.atlas).to(device)
        truth, texture = scene.texture(atlas), found.texture.to(device)
        row = {"kind": args.kind, "example": name, "path": path, "preset": preset, "seed": seed, "known": known}
        row |= {**values, "seconds": seconds, "psnr": found.psnr, **errors(texture, truth, atlas.valid & found.seen.to(device))}
        row["held_out"] = held_out_psnr(scene.mesh, atlas, texture, truth, self.rasterizer)
        if not known:
            row["angle_deg"], row["correlation"] = alignment(found.light, self.light)
        row["failed"] = row["roughness"] > FAIL_ROUGHNESS or row["metallic"] > FAIL_METALLIC
        print(json.dumps(row), flush=True)
        return row


def traced(args: argparse.Namespace, name: str) -> Any:
    """[V, 4, n, n] uint8, the pictures of the second path; kept, for they take minutes."""
    import numpy as np
    import torch

    from studio.recover.examples import example
    from tests.recover.scene import photographs

    file = args.pictures / f"{name}.npz"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(file, shots=photographs(example(name), args.views, args.size, args.samples).numpy())
    shots = torch.from_numpy(np.load(file)["shots"])
    assert shots.shape == (args.views, 4, args.size, args.size), f"{file} holds pictures {tuple(shots.shape)}: remove it"
    return shots


def value(steps: Iterator[Any]) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def table(rows: list[dict[str, Any]], kind: str) -> str:
    """Cases that differ only in their seed as one line: failures, means over seeds."""
    more = {"levels": "levels", "speed": "batch_px"}.get(kind)
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda r: (r["path"], r["example"], r["preset"], not r["known"], r["seed"])):
        light = "known" if row["known"] else "unknown"
        key = (row["example"], row["path"], row["preset"], light, *([row[more]] if more else []))
        groups.setdefault(key, []).append(row)
    head = "example | pictures | preset | light" + (f" | {more}" if more else "")
    columns = ("base_color", "roughness", "metallic", "psnr", "held_out")
    lines = [f"| {head} | failed | base colour | roughness | metallic | PSNR | held-out light | seconds | light off by |"]
    lines.append("|" + " --- |" * (head.count("|") + 1) + " ---: |" * 8)
    for name, group in groups.items():
        numbers = [statistics.mean(r[c] for r in group) for c in columns]
        shown = [f"{x:.3f}" for x in numbers[:3]] + [f"{x:.1f}" for x in numbers[3:]]
        seconds = f"{statistics.mean(r['seconds'] for r in group):.1f}"
        turned = [f"{r['angle_deg']:.0f}° ({r['correlation']:.2f})" for r in group if "angle_deg" in r]
        failed = f"{sum(r['failed'] for r in group)} of {len(group)}"
        lines.append("| " + " | ".join([*map(str, name), failed, *shown, seconds, ", ".join(turned)]) + " |")
    return "\n".join(lines)


def tables(folder: Path) -> str:
    """All that has been done so far."""
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    parts = [table(chosen, kind) for kind in ("", "levels", "speed") if (chosen := [r for r in rows if r["kind"] == kind])]
    slow = [r["seconds"] for r in rows if r["kind"] == "speed"]
    if slow:
        parts.append(f"50 views of 512², 1024²: slowest {max(slow):.1f} s; must be at most {MUST_S:.0f}, aim {AIM_S:.0f}.")
    return "\n\n".join(parts) + "\n"


def main() -> int:
    from studio import files

    began, args = time.perf_counter(), arguments()
    if args.kind == "trace":
        for name in args.examples:
            traced(args, name)
        return 0
    folder = args.out / "cases"
    folder.mkdir(parents=True, exist_ok=True)
    part, parts = map(int, args.part.split("/"))
    names = [("-".join(str(v) for v in [args.kind or "seeds", *case.values()]), case) for case in cases(args)[part - 1 :: parts]]
    todo = [(name, case) for name, case in names if not (folder / f"{name}.json").exists()]
    if todo:
        bench = Bench(args)
        if args.kind == "speed":
            bench.run(**{**todo[0][1], "iterations": 2, "fine_iterations": 1})  # kernels are compiled and chosen
        for name, case in todo:
            if time.perf_counter() - began > args.limit:
                break
            files.write_json(folder / f"{name}.json", bench.run(**case))
    text = tables(folder)
    files.write_bytes(args.out / "recover.md", text.encode())
    left = sum(not (folder / f"{name}.json").exists() for name, _ in names)
    print(f"\n{text}\n{left} cases of this part are left." if left else f"\n{text}")
    return int(any(json.loads(path.read_text())["seconds"] > MUST_S for path in folder.glob("speed-*.json")))


if __name__ == "__main__":
    sys.exit(main())
