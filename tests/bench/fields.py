"""How long do the fields of a mesh take, the first time and from disk, and how long one look of each geometric reward?

`python tests/bench/fields.py [--fields robot] [--rewards vase] [--atlas 1024] [--threads 2] [--repeats 15]`

Fields are measured in two processes that share an empty cache: the first computes and keeps them, the second finds them. A look
is a forward and a backward pass with a step, as in a run; the least and the median of the repeats are told, since other work on
the machine only ever adds. Exit code 1 when the fields take more than FIELDS_S or a reward's least look more than LOOK_MS.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

FIELDS_S, LOOK_MS = 5.0, 60.0
REWARDS = ("alignment", "emphasis", "colorization", "symmetry", "seam", "detail", "coverage", "palette")


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--fields", default="robot", help="the sample mesh whose fields are measured")
    p.add_argument("--rewards", default="vase", help="the sample mesh on which rewards are measured")
    p.add_argument("--atlas", type=int, default=1024)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--repeats", type=int, default=15)
    p.add_argument("--part", choices=("fields", "rewards"), help=argparse.SUPPRESS)
    return p.parse_args()


def fields(args: argparse.Namespace) -> dict[str, float]:
    """Seconds of each field, in the order in which one stands on the other."""
    import igl  # noqa: F401 - imports are no part of a field
    import torch

    from studio import resources
    from studio.rewards._patches import patches
    from studio.surface.ambient import openness
    from studio.surface.atlas import build_atlas
    from studio.surface.curvature import curvature, line_field
    from studio.surface.mesh import load
    from studio.surface.occlusion import Occlusion
    from studio.surface.seams import seams
    from studio.surface.symmetry import best_plane, mirrored_pairs

    torch.set_num_threads(args.threads)
    mesh = load(resources.sample(args.fields))
    Occlusion(mesh)
    seconds: dict[str, float] = {}

    def timed(name: str, make: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        made = make()
        seconds[name] = time.perf_counter() - began
        return made

    atlas = timed("atlas", lambda: build_atlas(mesh, args.atlas))
    timed("texels: position, normal, interior mask", lambda: (atlas.position, atlas.normal, atlas.interior))
    timed("principal curvatures", lambda: curvature(mesh))
    timed("line field", lambda: line_field(mesh))
    timed("ambient occlusion", lambda: openness(mesh))
    plane = timed("symmetry plane", lambda: best_plane(mesh))
    timed("mirrored pairs", lambda: mirrored_pairs(plane, atlas))
    timed("seam pairs", lambda: seams(mesh, atlas))
    timed("windows of the rewards", lambda: patches(atlas))
    return seconds


def looks(args: argparse.Namespace) -> dict[str, list[float]]:
    """Milliseconds of each repeat of each reward's look; the rewards take turns."""
    import torch

    from studio import resources
    from studio.rewards import SOCKET, Look
    from studio.surface.atlas import build_atlas
    from studio.surface.mesh import load

    torch.set_num_threads(args.threads)
    mesh = load(resources.sample(args.rewards))
    atlas = build_atlas(mesh, args.atlas)
    scores = {name: SOCKET.make(name).build(mesh, atlas, torch.device("cpu")) for name in REWARDS}
    torch.manual_seed(0)
    leaf = torch.rand(atlas.sets, 3, args.atlas, args.atlas, requires_grad=True)
    found: dict[str, list[float]] = {name: [] for name in scores}
    for step in range(args.repeats + 1):
        for name, score in scores.items():
            began = time.perf_counter()
            torch.autograd.grad(score(Look(leaf, atlas, "", lambda: leaf, step)), leaf)
            found[name].append(1000 * (time.perf_counter() - began))
    return {name: times[1:] for name, times in found.items()}


def apart(part: str, home: str) -> Any:
    """What a process of its own measures."""
    own = {"PATINA_HOME": home, "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, __file__, *sys.argv[1:], "--part", part]
    done = subprocess.run(command, env={**os.environ, **own}, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    args = arguments()
    if args.part:
        print(json.dumps(fields(args) if args.part == "fields" else looks(args)))
        return 0
    with tempfile.TemporaryDirectory() as home:
        first, second = (apart("fields", home) for _ in range(2))
        times = apart("rewards", home)
    print(f"| {args.fields}, {args.atlas}² | first, s | again, s |\n| --- | ---: | ---: |")
    for name in first:
        print(f"| {name} | {first[name]:.3f} | {second[name]:.3f} |")
    total = sum(first.values())
    print(f"| **all** | **{total:.2f}** | **{sum(second.values()):.2f}** |\n")
    print(f"| {args.rewards}, {args.atlas}² | least, ms | median, ms |\n| --- | ---: | ---: |")
    for name, each in times.items():
        print(f"| {name} | {min(each):.1f} | {statistics.median(each):.1f} |")
    return int(total > FIELDS_S or max(map(min, times.values())) > LOOK_MS)


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    sys.exit(main())
